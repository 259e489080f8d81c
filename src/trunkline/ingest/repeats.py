"""Rows that repeat a key: within a batch, and against a table that holds the key already.

Most batches repeat nothing. Where the keys of a file grow from row to row that is known without counting; else 64 bits
of each key are compared, or the keys are counted by the engine, which spills what does not fit. Only then it is asked
which of the rows is the one to keep.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast

from trunkline.checks import ROW, arrow_schema
from trunkline.contracts import Contract, Table
from trunkline.contracts.kinds import Scalar
from trunkline.engine import Engine

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa
    from _typeshed import SupportsRichComparison

__all__ = ["KeyOrder", "Keys", "between", "held_already", "is_compared", "key_columns", "marked_twice", "repeated"]

_ODD: Final = 0x9E3779B97F4A7C15
"""Spreads the bits of one field's hash over those of the next (Knuth's multiplicative hashing)."""


@dataclass
class KeyOrder:
    """Whether the keys of some rows grow strictly from row to row, so that none can repeat.

    Attributes:
        is_growing: They do, as far as the rows go.
        first: The first key; None where there are no rows.
        last: The last key.
        least: The least value of the key's first field, to find the files that may hold it.
        greatest: The greatest.
    """

    is_growing: bool = True
    first: "tuple[object, ...] | None" = None
    last: "tuple[object, ...] | None" = None
    least: "Scalar | None" = None
    greatest: "Scalar | None" = None

    @classmethod
    def of(cls, rows: "pa.Table", key: tuple[str, ...]) -> "KeyOrder":
        """Look at the keys of a block; rows of a table without a key count as growing."""
        import pyarrow.compute as pc

        if not key or rows.num_rows == 0:
            return cls()
        columns = [rows.column(name).combine_chunks() for name in key]
        ends = pc.min_max(columns[0])
        grows, ties = None, None
        for column in columns:
            after, before = column[1:], column[:-1]
            more = pc.greater(after, before)
            more = more if ties is None else pc.and_(ties, more)
            grows = more if grows is None else pc.or_(grows, more)
            same = pc.equal(after, before)
            ties = same if ties is None else pc.and_(ties, same)
        is_growing = bool(pc.all(grows, skip_nulls=False, min_count=0).as_py())
        return cls(
            is_growing,
            tuple(column[0].as_py() for column in columns),
            tuple(column[-1].as_py() for column in columns),
            ends["min"].as_py(),
            ends["max"].as_py(),
        )

    def follow(self, other: "KeyOrder") -> None:
        """Take in the rows that come next."""
        if other.first is None:
            return
        if self.last is None:
            self.first, self.least, self.greatest = other.first, other.least, other.greatest
            self.is_growing = self.is_growing and other.is_growing
        else:
            # fields of one key have one type each, and text compares by code points as Arrow's bytes do
            self.is_growing = self.is_growing and other.is_growing and self.last < other.first
            self.least = cast("Scalar", min((self.least, other.least), key=_comparable))
            self.greatest = cast("Scalar", max((self.greatest, other.greatest), key=_comparable))
        self.last = other.last


def _comparable(value: object) -> "SupportsRichComparison":
    """The same value: those of one field have one type, none is null, and each kind's type has an order."""
    return cast("SupportsRichComparison", value)


def key_columns(table: Table) -> list[str]:
    """Give the fields that decide which of several rows is kept: the key, and what orders versions of a row."""
    return [*table.key, *(name for name in table.version_order if name not in table.key)]


def is_compared(table: Table) -> bool:
    """Whether the keys of a batch must be compared with those that the table holds."""
    # where the last is kept and nothing else orders the rows, what arrives is newer than what is there
    return table.unique == "table" and (table.keep == "first" or table.versions_by is not None)


class Keys:
    """The keys of rows that are in memory, and which of these rows repeat one.

    Args:
        contract: Says the key, what orders its versions, and which row is kept.
        engine: Computes what is not known at a glance.
        batch: A column of whole numbers whose rows do not meet those with another value of it.
    """

    def __init__(self, contract: type[Contract], *, engine: Engine, batch: str | None = None) -> None:
        import pyarrow as pa

        self._table, self._engine, self._batch = contract.table, engine, batch
        self.names = ([batch] if batch and self._table.key else []) + list(self._table.key)
        types = arrow_schema(contract)
        own = [pa.field(name, pa.int64()) for name in (ROW, *([batch] if batch else []))]
        self._schema = pa.schema([*own, *(types.field(name) for name in key_columns(self._table))])
        self._hash: Callable[[pa.Table], pa.Table] | None = None
        self._choose: Callable[[pa.Table], pa.Table] | None = None

    def marks(self, rows: "pa.Table") -> "npt.NDArray[np.int64]":
        """Give 64 bits of each row's key: rows with one key have the same, and hardly any others."""
        import numpy as np
        import pyarrow as pa

        first = rows.column(self.names[0])
        if len(self.names) == 1 and first.type in (pa.int64(), pa.timestamp("us", tz="UTC")) and not first.null_count:
            return cast("npt.NDArray[np.int64]", first.cast(pa.int64()).to_numpy())
        if self._hash is None:
            schema = pa.schema([self._schema.field(name) for name in self.names])
            self._hash = self._engine.compiled(_hashed, schema)
        total = np.zeros(rows.num_rows, dtype=np.uint64)
        for column in self._hash(rows.select(self.names)).columns:
            total = total * np.uint64(_ODD) ^ column.to_numpy().view(np.uint64)
        return total.view(np.int64)

    def repeats(self, parts: "Sequence[tuple[pa.Table, npt.NDArray[np.int64]]]") -> "pa.Array | None":
        """Find the rows that are not the one to keep of their key.

        Args:
            parts: Rows, and what :meth:`marks` gave for them; together all rows among which keys may not repeat.

        Returns:
            Their ``_row``, which no two rows share; None where there are none.
        """
        import numpy as np
        import pyarrow as pa

        twice = marked_twice(np.concatenate([marks for _, marks in parts]))
        if not len(twice):
            return None
        columns, suspects = self._schema.names, [self._schema.empty_table()]
        for rows, marks in parts:
            near = between(twice, marks.min(initial=twice[-1]), marks.max(initial=twice[0]))
            if len(near):
                places = np.searchsorted(near, marks)
                is_suspect = near[np.minimum(places, len(near) - 1)] == marks
                suspects.append(rows.select(columns).filter(pa.array(is_suspect)))
        if self._choose is None:
            key, table = self.names, self._table
            self._choose = self._engine.compiled(lambda given: _outranked(given, key, table), self._schema)
        doomed = self._choose(pa.concat_tables(suspects)).column(ROW).combine_chunks()
        return doomed if len(doomed) else None


def marked_twice(marks: "npt.NDArray[np.int64]") -> "npt.NDArray[np.int64]":
    """Give the marks that occur more than once; sorts them where they are, because there may be many."""
    import numpy as np

    marks.sort()
    return np.unique(marks[1:][marks[1:] == marks[:-1]])


def between(ascending: "npt.NDArray[np.int64]", low: int, high: int) -> "npt.NDArray[np.int64]":
    """Give the numbers that are not less than one and not greater than another."""
    return ascending[ascending.searchsorted(low) : ascending.searchsorted(high, side="right")]


def _hashed(rows: "ir.Table") -> "ir.Table":
    return rows.select(**{name: rows[name].hash() for name in rows.columns})


def _outranked(rows: "ir.Table", key: list[str], table: Table) -> "ir.Table":
    """Give the ``_row`` of all rows but the one to keep of each key."""
    import ibis

    order = [rows[name] for name in (*table.version_order, ROW)]
    ahead = [cast("ir.Value", column.desc() if table.keep == "last" else column) for column in order]
    rank = ibis.row_number().over(ibis.window(group_by=[rows[name] for name in key], order_by=ahead))
    ranked = rows.select(ROW, _rank=rank)
    return ranked.filter(ranked["_rank"] > 0).select(ROW)


def repeated(good: "ir.Table", table: Table, *, engine: Engine, batch: str | None = None) -> "pa.Array | None":
    """Find the good rows that are not the one to keep of their key.

    Args:
        good: Rows that broke nothing, with ``_row``.
        table: Says the key, what orders its versions, and which row is kept.
        engine: Computes it.
        batch: A column whose rows do not meet those with another value of it.

    Returns:
        Their ``_row``; None where there are none.
    """
    if not table.key:
        return None
    key = [*([batch] if batch else []), *table.key]
    counted = good.group_by(key).aggregate(_rows=good.count())
    twice = engine.arrow(counted.filter(counted["_rows"] > 1).select(key))
    if twice.num_rows == 0:
        return None
    again = good.select(ROW, *([batch] if batch else []), *key_columns(table)).semi_join(engine.table(twice), key)
    return engine.arrow(_outranked(again, key, table)).column(ROW).combine_chunks()


def held_already(good: "ir.Table", stored: "ir.Table", table: Table, *, engine: Engine) -> "pa.Array":
    """Find the rows whose key a table holds already, unless they are newer and the newest is kept.

    Args:
        good: Rows that broke nothing and repeat no key among themselves, with ``_row``.
        stored: The table's rows.
        table: Says the key, what orders its versions, and which row is kept. Where the last is kept and nothing orders
            them, what arrives is newer than what is there.
        engine: Computes it.

    Returns:
        Their ``_row``; possibly none.
    """
    key, order = list(table.key), table.versions_by
    if table.keep == "first":
        found = good.select(ROW, *key).semi_join(stored.select(*key), key)
    else:
        assert order is not None, "what arrives is always newer; nobody needs to ask"
        newest = stored.group_by(key).aggregate(_newest=stored[order].max())
        both = good.select(ROW, *key, _event=good[order]).inner_join(newest, key)
        # null is oldest, on both sides
        is_newer = both["_event"].notnull() & (both["_newest"].isnull() | (both["_event"] > both["_newest"]))
        found = both.filter(~is_newer)
    return engine.arrow(found.select(ROW)).column(ROW).combine_chunks()
