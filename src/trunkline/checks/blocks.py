"""Blocks of a file, judged one by one: texts typed, limits and rules applied by Arrow, without an engine.

Takes blocks of raw texts under the names of fields and gives each of them typed, with the verdicts on its rows. What
the least and the greatest values of a block's columns decide for all of its rows is not asked of each. The verdicts are
those of :func:`trunkline.checks.split_expression` and of the edge; a block is all that is in memory.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trunkline.checks.arrays import TextReader, text_readers
from trunkline.checks.arrow_rules import arrow_value
from trunkline.checks.columns import Resolution
from trunkline.checks.intervals import array_interval, expression_interval
from trunkline.checks.limits import limits_of
from trunkline.checks.schemas import arrow_schema
from trunkline.contracts import Contract

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

__all__ = ["BlockJudge", "JudgedBlock"]


@dataclass(frozen=True)
class JudgedBlock:
    """A block after the split.

    Attributes:
        rows: The contract's columns, all rows of the block; those of refused rows mean nothing.
        refused: Positions of the rows that broke something, ascending.
        reasons: Reason codes of each of them.
    """

    rows: "pa.Table"
    refused: "npt.NDArray[np.int64]"
    reasons: Sequence[Sequence[str]]


class BlockJudge:
    """Judges the blocks of one source. Threads may share it.

    Args:
        contract: What the rows must look like.
        resolution: Which source column is which field.
    """

    def __init__(self, contract: type[Contract], resolution: Resolution) -> None:
        self._readers = text_readers(contract)
        self._schema = arrow_schema(contract)
        self._source_of = resolution.source_of
        self._others = resolution.others
        columns = {column.name: column for column in contract.columns}
        self._missing = [name for name in resolution.missing if columns[name].impute is None]
        self._needed = {
            name for name, column in columns.items() if column.is_needed and name not in resolution.optional
        }
        self._limits = {name: limits_of(column) for name, column in columns.items() if name in resolution.source_of}
        self._table = contract.table
        self._rules = contract.table.rules

    def judge(self, texts: "Mapping[str, pa.Array]", *, rows: int) -> JudgedBlock:
        """Judge a block.

        Args:
            texts: Raw texts by source column; those that no field claims are left alone.
            rows: How many there are.

        Returns:
            The block with its verdicts.
        """
        import numpy as np
        import pyarrow as pa

        columns: dict[str, pa.Array] = {}
        malformed: dict[str, npt.NDArray[np.int64]] = {}
        twice: dict[str, npt.NDArray[np.int64]] = {}
        for name, reader in self._readers.items():
            if name not in self._source_of:
                columns[name] = reader.absent(rows)
                continue
            said = texts[self._source_of[name]]
            if name in self._others:
                said, twice[name] = _coalesced(reader, said, [texts[other] for other in self._others[name]])
            typed = reader.read(said)
            columns[name], malformed[name] = typed.values, typed.malformed
        found: dict[int, list[str]] = {}
        for name, places in twice.items():
            for place in places.tolist():
                found.setdefault(place, []).append(f"{name}.twice")
        for reason, places in self._failures(columns, malformed, rows):
            for place in places.tolist():
                found.setdefault(place, []).append(reason)
        refused = sorted(found)
        table = pa.Table.from_arrays(list(columns.values()), schema=self._schema)
        return JudgedBlock(table, np.array(refused, dtype=np.int64), [found[place] for place in refused])

    def _failures(
        self, columns: "Mapping[str, pa.Array]", malformed: "Mapping[str, npt.NDArray[np.int64]]", rows: int
    ) -> "Iterator[tuple[str, npt.NDArray[np.int64]]]":
        """Give each reason that some rows have with the positions of those rows; reasons in the order of the split."""
        import numpy as np
        import pyarrow.compute as pc

        within = {name: array_interval(values) for name, values in columns.items()}
        for name in self._missing:
            yield f"{name}.null", self._needing(name, np.arange(rows), columns)
        for name, limits in self._limits.items():
            values, wrong = columns[name], malformed[name]
            if name in self._needed and values.null_count > len(wrong):
                absent = np.setdiff1d(_places(pc.is_null(values), rows), wrong, assume_unique=True)
                yield f"{name}.null", self._needing(name, absent, columns)
            if len(wrong):
                yield f"{name}.type", wrong
            for reason, broken in limits:
                yield reason, _places(broken(values, within[name]), rows)
        for rule in self._rules:
            if expression_interval(rule.condition, within).low < 1:  # it may be false somewhere
                yield rule.name, _places(arrow_value(~rule.condition, columns), rows)

    def _needing(
        self, name: str, places: "npt.NDArray[np.int64]", columns: "Mapping[str, pa.Array]"
    ) -> "npt.NDArray[np.int64]":
        """Leave out the rows that need not have a field, because they say that their key is gone."""
        if self._table.deleted is None or not self._table.spares(name):
            return places
        import pyarrow.compute as pc

        must_be_there = pc.invert(columns[self._table.deleted].fill_null(False))
        needing: npt.NDArray[np.int64] = places[must_be_there.to_numpy(zero_copy_only=False)[places]]
        return needing


def _coalesced(
    reader: TextReader, texts: "pa.Array", others: "Sequence[pa.Array]"
) -> "tuple[pa.Array, npt.NDArray[np.int64]]":
    """Take of several columns, row by row, the first that says something; give the rows where more than one does."""
    import numpy as np
    import pyarrow.compute as pc

    is_null = reader.means_null(texts)
    is_twice = np.zeros(len(texts), dtype=bool)
    for other in others:
        is_other_null = reader.means_null(other)
        is_twice |= pc.invert(pc.or_(is_null, is_other_null)).to_numpy(zero_copy_only=False)
        texts = pc.if_else(is_null, other, texts)
        is_null = pc.and_(is_null, is_other_null)
    return texts, np.flatnonzero(is_twice)


def _places(fails: "pa.Array | pa.Scalar | None", rows: int) -> "npt.NDArray[np.int64]":
    """Say where a condition is true; that of a rule without columns is so everywhere or nowhere."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    if fails is None or not pc.any(fails).as_py():
        return np.empty(0, dtype=np.int64)
    if isinstance(fails, pa.Scalar):
        return np.arange(rows)
    return np.flatnonzero(fails.fill_null(False).to_numpy(zero_copy_only=False))
