"""From typed rows to the float32 matrix that every learner starts from.

Takes an Arrow table or one row, gives float32 columns: numbers as they are, flags as 0 and 1, categories as the index
of their value in the vocabulary learned at training (unknown or rare = -1), then the row features. Null is NaN
throughout. The vectorised and the per-row path give the same bits, so that training and serving cannot drift apart.

Numbers beyond +-1e15 are cut there: squares of float32 values stay finite in every learner. Those nearer to 0 than
1e-30 are 0: LightGBM reads them so.
"""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from trunkline.contracts.expressions import RowValue, from_data, vector
from trunkline.contracts.row_program import row_functions
from trunkline.errors import SchemaError
from trunkline.tasks.features import Feature, FeatureKind, RowFeatures

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["LIMIT", "TINY", "BaseMatrix", "Floats", "Matrix", "number_column"]

Matrix = npt.NDArray[np.float32]
"""Array of 32-bit floats, shape (rows, columns)."""
Floats = npt.NDArray[np.float64]
"""Array of 64-bit floats, shape (rows,) unless said otherwise."""

LIMIT: Final = 1e15
"""Largest magnitude of a cell."""

TINY: Final = 1e-30
"""Smallest magnitude of a cell that is not 0."""

_UNKNOWN: Final = -1.0


@dataclass(frozen=True)
class BaseMatrix:
    """The declared and learned data that turns rows into float32 columns.

    Attributes:
        features: Table columns, in the order of their matrix columns.
        vocabularies: Values of each category feature; a value's index is its code.
        row_features: Expressions, in the order of the matrix columns that follow the features.
    """

    features: tuple[Feature, ...]
    vocabularies: Mapping[str, tuple[str, ...]]
    row_features: RowFeatures

    @classmethod
    def learn(
        cls, table: "pa.Table", *, features: Sequence[Feature], row_features: RowFeatures | None = None
    ) -> "BaseMatrix":
        """Learn the vocabularies from training rows.

        Args:
            table: Training rows; no label is looked at.
            features: The columns to use.
            row_features: Further columns computed from those of the row.

        Returns:
            The base matrix of these rows and of any later ones.

        Raises:
            SchemaError: The table lacks a column that a feature or expression needs.
        """
        needed = {feature.name for feature in features}.union(*(e.columns() for e in (row_features or {}).values()))
        _require(table, sorted(needed))
        vocabularies = {feature.name: _vocabulary(table, feature) for feature in features if feature.kind == "category"}
        return cls(tuple(features), vocabularies, dict(row_features or {}))

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names of the matrix columns."""
        return (*(feature.name for feature in self.features), *self.row_features)

    @cached_property
    def kinds(self) -> tuple[FeatureKind, ...]:
        """Kinds of the matrix columns; row features are numbers."""
        computed: list[FeatureKind] = ["number"] * len(self.row_features)
        return (*(feature.kind for feature in self.features), *computed)

    @cached_property
    def sizes(self) -> tuple[int, ...]:
        """Number of codes of each matrix column; 0 for numbers and flags."""
        return tuple(len(self.vocabularies.get(name, ())) for name in self.names)

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """Table columns that are read, each once, sorted."""
        own = {feature.name for feature in self.features}
        return tuple(sorted(own.union(*(expr.columns() for expr in self.row_features.values()))))

    def from_table(self, table: "pa.Table") -> Matrix:
        """Encode rows.

        Args:
            table: Rows with at least the columns of ``columns``, typed as at training.

        Returns:
            Shape (rows, columns), float32, null as NaN.

        Raises:
            SchemaError: A column is missing.
        """
        _require(table, self.columns)
        rows = table.num_rows
        out = np.empty((len(self.names), rows), dtype=np.float32)  # a column at a time stays in the processor's cache
        for at, feature in enumerate(self.features):
            if feature.kind == "category":
                out[at] = _codes(table, feature.name, self.vocabularies[feature.name])
            else:
                out[at] = _cut(number_column(table, feature.name))
        if self.row_features:
            read = set().union(*(expr.columns() for expr in self.row_features.values()))
            columns = {name: _raw_column(table, name) for name in read}
            for at, expr in enumerate(self.row_features.values(), start=len(self.features)):
                out[at] = _cut(vector(expr, columns, rows=rows))
        return np.ascontiguousarray(out.T)

    def row_encoder(self) -> Callable[[Mapping[str, RowValue]], Matrix]:
        """Compile the encoding of one row.

        Returns:
            A function from a row (column name to value; absent or None = null) to shape (1, columns), the same bits as
            ``from_table`` gives.
        """
        plain = [(f.name, None if f.kind != "category" else self._codes_of(f.name)) for f in self.features]
        compute = row_functions(tuple(self.row_features.values()))
        nan, as_matrix, single = math.nan, np.array, np.float32

        def encode(row: Mapping[str, RowValue]) -> Matrix:
            get = row.get
            cells: list[RowValue] = []
            add = cells.append
            for name, codes in plain:
                value = get(name)
                if codes is not None:
                    add(codes.get(value, _UNKNOWN))  # type: ignore[arg-type]  # any scalar may be looked up
                elif value is None:
                    add(nan)
                else:  # most numbers lie within the limits and are not negative
                    add(value if TINY <= value <= LIMIT else _cut_cell(value))  # type: ignore[operator]  # a number
            for value in compute(row):
                if value is None:
                    add(nan)
                elif TINY <= value <= LIMIT:  # type: ignore[operator]  # a number or a condition
                    add(value)
                else:
                    add(nan if value in _INFINITE else _cut_cell(value))
            return as_matrix([cells], single)

        return encode

    def _codes_of(self, name: str) -> dict[str | None, float]:
        codes: dict[str | None, float] = {value: float(at) for at, value in enumerate(self.vocabularies[name])}
        codes[None] = math.nan
        return codes

    def to_data(self) -> dict[str, object]:
        """Give the declared and learned data as JSON."""
        return {
            "features": [asdict(feature) for feature in self.features],
            "vocabularies": {name: list(values) for name, values in self.vocabularies.items()},
            "row_features": [[name, expr.to_data()] for name, expr in self.row_features.items()],
        }

    @classmethod
    def from_data(cls, data: Mapping[str, object]) -> "BaseMatrix":
        """Read back what ``to_data`` gave.

        Raises:
            ContractError: A row feature is not an expression.
            TypeError: The data is malformed.
        """
        features, vocabularies, rows = data["features"], data["vocabularies"], data["row_features"]
        if not isinstance(features, list) or not isinstance(vocabularies, Mapping) or not isinstance(rows, list):
            raise TypeError("malformed base matrix")
        return cls(
            tuple(Feature(**feature) for feature in features),
            {str(name): tuple(values) for name, values in vocabularies.items()},
            {str(name): from_data(expr) for name, expr in rows},
        )


_INFINITE: Final = (math.inf, -math.inf)


def _cut(cells: Floats) -> Floats:
    """Keep a column within the limits; null stays NaN."""
    limited = np.clip(cells, -LIMIT, LIMIT)
    limited[np.abs(limited) < TINY] = 0.0
    return limited


def _cut_cell(value: RowValue) -> float:
    """Cut one number as :func:`_cut` does."""
    cell = float(value)  # type: ignore[arg-type]  # callers have excluded None; text raises as it should
    if cell > LIMIT:
        return LIMIT
    if cell < -LIMIT:
        return -LIMIT
    return 0.0 if -TINY < cell < TINY else cell


def _require(table: "pa.Table", columns: Sequence[str]) -> None:
    missing = [name for name in columns if name not in table.column_names]
    if missing:
        raise SchemaError(
            f"the table lacks columns that the model reads: {', '.join(missing)}", allowed=table.column_names
        )


def _vocabulary(table: "pa.Table", feature: Feature) -> tuple[str, ...]:
    """The most frequent values that the feature allows, sorted: the order of ``1-High``, ``2-Low`` means something."""
    import pyarrow.compute as pc

    counted = pc.value_counts(table[feature.name].combine_chunks())
    counts = Counter(
        {
            str(value): count
            for value, count in zip(
                counted.field("values").to_pylist(), counted.field("counts").to_pylist(), strict=True
            )
            if value is not None and count >= feature.minimum_count
        }
    )
    ranked = sorted(counts, key=lambda value: (-counts[value], value))
    return tuple(sorted(ranked[: feature.most_values]))


def _codes(table: "pa.Table", name: str, vocabulary: Sequence[str]) -> Floats:
    import pyarrow as pa
    import pyarrow.compute as pc

    column = table[name].combine_chunks().cast(pa.string())
    codes = pc.fill_null(pc.index_in(column, value_set=pa.array(vocabulary, pa.string())), int(_UNKNOWN))
    found: Floats = codes.to_numpy(zero_copy_only=False).astype(np.float64)
    found[pc.is_null(column).to_numpy(zero_copy_only=False)] = np.nan
    return found


def number_column(table: "pa.Table", name: str) -> Floats:
    """Read a number, integer or flag column as float64, null as NaN.

    Args:
        table: Any table with the column.
        name: The column.

    Returns:
        Shape (rows,).

    Raises:
        SchemaError: The column is of another type.
    """
    import pyarrow as pa
    from pyarrow import types

    column = table[name].combine_chunks()
    if types.is_boolean(column.type):
        column = column.cast(pa.uint8())
    if types.is_null(column.type):
        return np.full(len(column), np.nan)
    if not (types.is_integer(column.type) or types.is_floating(column.type) or types.is_decimal(column.type)):
        raise SchemaError(
            f"column {name!r} has type {column.type}", allowed=("integer", "number", "flag"), where="feature"
        )
    values = column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return np.asarray(values, dtype=np.float64)


def _raw_column(table: "pa.Table", name: str) -> npt.NDArray[np.generic]:
    import pyarrow as pa
    from pyarrow import types

    kind = table[name].type
    if types.is_string(kind) or types.is_large_string(kind) or types.is_dictionary(kind):
        return np.array(table[name].cast(pa.string()).to_pylist(), dtype=object)
    return number_column(table, name)
