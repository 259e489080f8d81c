"""A learner's view of the base matrix: fitted preprocessing as plain arrays.

A view is a row of blocks, each computing some float32 columns from the base matrix, then a chain of tails over all of
them. ``view_fitting`` makes views, ``view_graph`` writes the same arithmetic as ONNX nodes. Each operation is one
float32 operation per cell in both, so that the two agree bit by bit (matrix products excepted) and a tree sees on
either side of its threshold the same value.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import ClassVar, Protocol

import numpy as np
import numpy.typing as npt

from trunkline.tasks.base_matrix import Floats, Matrix

__all__ = [
    "Bins",
    "Block",
    "Indicators",
    "Lookup",
    "Numbers",
    "OneHot",
    "Products",
    "Projection",
    "Selection",
    "Tail",
    "View",
]

Places = npt.NDArray[np.int64]
"""Column numbers."""


class Block(Protocol):
    """Some columns computed from the base matrix."""

    op: ClassVar[str]

    @property
    def columns(self) -> Places:
        """Base column of each output, shape (n,)."""
        ...

    def apply(self, base: Matrix) -> Matrix:
        """Give shape (rows, len(columns)) from shape (rows, base columns)."""
        ...


class Tail(Protocol):
    """A step over all columns so far."""

    op: ClassVar[str]

    def apply(self, matrix: Matrix) -> Matrix:
        """Give the new columns, shape (rows, new columns)."""
        ...

    def sources(self, so_far: Floats) -> Floats:
        """Give the share of each base column in each new column, from those of the columns so far."""
        ...


@dataclass(frozen=True)
class Numbers:
    """Fill, limit, shift and scale: ``(min(max(fill(x), low), high) - offset) / scale``.

    Attributes:
        columns: Base column of each output, shape (n,).
        fill: What replaces null; NaN leaves it.
        low: Lower limits; -inf for none.
        high: Upper limits; inf for none.
        offset: Subtracted after the limits.
        scale: Divides last; never 0.
    """

    op: ClassVar[str] = "numbers"
    columns: Places
    fill: Matrix
    low: Matrix
    high: Matrix
    offset: Matrix
    scale: Matrix

    def apply(self, base: Matrix) -> Matrix:
        """See :class:`Block`."""
        cells = base[:, self.columns]  # a copy; steps that would change nothing are left out, as in the graph
        if not np.isnan(self.fill).all():
            cells = np.where(np.isnan(cells), self.fill, cells)
        if (self.low > -np.inf).any():
            cells = np.where(cells < self.low, self.low, cells)
        if (self.high < np.inf).any():
            cells = np.where(cells > self.high, self.high, cells)
        if self.offset.any():
            cells -= self.offset
        if (self.scale != 1).any():
            cells /= self.scale
        return cells


@dataclass(frozen=True)
class Indicators:
    """1 where the base column is null."""

    op: ClassVar[str] = "indicators"
    columns: Places

    def apply(self, base: Matrix) -> Matrix:
        """See :class:`Block`."""
        return np.isnan(base[:, self.columns]).astype(np.float32)


@dataclass(frozen=True)
class OneHot:
    """1 where the category of the base column, after filling, is the output's code.

    Attributes:
        columns: Base column of each output, shape (n,).
        codes: The code each output stands for.
        fill: Code that replaces null; NaN leaves it, and null is then no category.
    """

    op: ClassVar[str] = "one_hot"
    columns: Places
    codes: Matrix
    fill: Matrix

    def apply(self, base: Matrix) -> Matrix:
        """See :class:`Block`."""
        cells = base[:, self.columns]
        return np.asarray(np.where(np.isnan(cells), self.fill, cells) == self.codes, dtype=np.float32)


@dataclass(frozen=True)
class Lookup:
    """A number per category, e.g. its target mean.

    Attributes:
        columns: Base column of each output, shape (n,).
        starts: Where each output's part of ``table`` begins.
        table: For each output: the number for null, for unknown, then for each code.
    """

    op: ClassVar[str] = "lookup"
    columns: Places
    starts: Places
    table: Matrix

    def apply(self, base: Matrix) -> Matrix:
        """See :class:`Block`."""
        cells = base[:, self.columns]
        at = np.where(np.isnan(cells), np.float32(-2.0), cells).astype(np.int64) + self.starts
        return np.asarray(self.table[at + 2], dtype=np.float32)


@dataclass(frozen=True)
class Bins:
    """1 where ``low <= x < high``; null is in no bin.

    Attributes:
        columns: Base column of each output, shape (n,).
        low: Lower edges, inclusive; -inf for the first bin.
        high: Upper edges, exclusive; inf for the last.
    """

    op: ClassVar[str] = "bins"
    columns: Places
    low: Matrix
    high: Matrix

    def apply(self, base: Matrix) -> Matrix:
        """See :class:`Block`."""
        cells = base[:, self.columns]
        return ((cells >= self.low) & (cells < self.high)).astype(np.float32)


@dataclass(frozen=True)
class Products:
    """The columns so far, and after them products of pairs of them."""

    op: ClassVar[str] = "products"
    left: Places
    right: Places

    def apply(self, matrix: Matrix) -> Matrix:
        """See :class:`Tail`."""
        return np.concatenate([matrix, matrix[:, self.left] * matrix[:, self.right]], axis=1)

    def sources(self, so_far: Floats) -> Floats:
        """Share a product equally between its two factors."""
        halves = 0.5 * so_far
        return np.concatenate([so_far, halves[self.left] + halves[self.right]])


@dataclass(frozen=True)
class Projection:
    """Principal components: ``(x - mean) @ components``, components of shape (columns so far, components)."""

    op: ClassVar[str] = "projection"
    mean: Matrix
    components: Matrix

    def apply(self, matrix: Matrix) -> Matrix:
        """See :class:`Tail`."""
        return np.asarray((matrix - self.mean) @ self.components, dtype=np.float32)

    def sources(self, so_far: Floats) -> Floats:
        """Share a component by the absolute loadings of its columns."""
        loadings = np.abs(self.components.T.astype(np.float64))
        return np.asarray(loadings / loadings.sum(axis=1, keepdims=True) @ so_far, dtype=np.float64)


@dataclass(frozen=True)
class Selection:
    """Some of the columns so far."""

    op: ClassVar[str] = "selection"
    kept: Places

    def apply(self, matrix: Matrix) -> Matrix:
        """See :class:`Tail`."""
        return matrix[:, self.kept]

    def sources(self, so_far: Floats) -> Floats:
        """Keep the same rows of shares."""
        return so_far[self.kept]


_BLOCKS: Mapping[str, type[Block]] = {kind.op: kind for kind in (Numbers, Indicators, OneHot, Lookup, Bins)}
_TAILS: Mapping[str, type[Tail]] = {kind.op: kind for kind in (Products, Projection, Selection)}


@dataclass(frozen=True)
class View:
    """All steps between the base matrix and an estimator.

    Attributes:
        blocks: Columns computed from the base matrix; at least one.
        tails: Steps over all of them, in order.
        names: Names of the final columns, for people.
    """

    blocks: Sequence[Block]
    tails: Sequence[Tail]
    names: tuple[str, ...]

    def apply(self, base: Matrix) -> Matrix:
        """Prepare rows.

        Args:
            base: Shape (rows, base columns), float32.

        Returns:
            Shape (rows, len(names)), float32.
        """
        matrix = np.concatenate([block.apply(base) for block in self.blocks], axis=1)
        for tail in self.tails:
            matrix = tail.apply(matrix)
        return np.ascontiguousarray(matrix, dtype=np.float32)

    def sources(self, base_columns: int) -> Floats:
        """Say where each column comes from.

        Args:
            base_columns: Columns of the base matrix.

        Returns:
            Shape (len(names), base_columns), rows sum to 1: the share of each base column.
        """
        columns = np.concatenate([block.columns for block in self.blocks])
        shares = np.zeros((len(columns), base_columns))
        shares[np.arange(len(columns)), columns] = 1.0
        for tail in self.tails:
            shares = tail.sources(shares)
        return shares

    def to_data(self) -> dict[str, object]:
        """Give the view as JSON; infinities and NaN as the strings that ``float`` reads."""
        return {
            "blocks": [_step_data(step) for step in self.blocks],
            "tails": [_step_data(step) for step in self.tails],
            "names": list(self.names),
        }

    @classmethod
    def from_data(cls, data: Mapping[str, object]) -> "View":
        """Read back what ``to_data`` gave.

        Raises:
            ValueError: An operation is unknown.
            TypeError: The data is malformed.
        """
        blocks, tails, names = data["blocks"], data["tails"], data["names"]
        if not isinstance(blocks, list) or not isinstance(tails, list) or not isinstance(names, list):
            raise TypeError("malformed view")
        return cls([_block(step) for step in blocks], [_tail(step) for step in tails], tuple(names))


_WHOLE = frozenset({"columns", "starts", "left", "right", "kept"})


def _step_data(step: Block | Tail) -> dict[str, object]:
    data: dict[str, object] = {"op": step.op}
    for field in fields(step):  # type: ignore[arg-type]  # every operation is a dataclass
        array: npt.NDArray[np.generic] = getattr(step, field.name)
        data[field.name] = array.tolist() if field.name in _WHOLE else _float_texts(array)
    return data


def _float_texts(array: npt.NDArray[np.generic]) -> list[object]:
    if array.ndim > 1:
        return [_float_texts(row) for row in array]
    return [value if np.isfinite(value) else str(value) for value in array.astype(np.float64).tolist()]


def _block(data: Mapping[str, object]) -> Block:
    kind = _BLOCKS.get(str(data["op"]))
    if kind is None:
        raise ValueError(f"unknown operation {data['op']!r}")
    return kind(**_arrays(kind, data))


def _tail(data: Mapping[str, object]) -> Tail:
    kind = _TAILS.get(str(data["op"]))
    if kind is None:
        raise ValueError(f"unknown operation {data['op']!r}")
    return kind(**_arrays(kind, data))


def _arrays(kind: type, data: Mapping[str, object]) -> dict[str, npt.NDArray[np.generic]]:
    return {
        field.name: np.array(data[field.name], dtype=np.int64 if field.name in _WHOLE else np.float32)
        for field in fields(kind)
    }
