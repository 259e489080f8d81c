"""Which rows of a lake table a target lacks: those that its files gained between two versions, exactly.

Delta's log says which files a version has. Files of both versions are not opened; of the others, rows that merely moved
(compaction) cancel out, row by row. The newest row of a key is looked for in the whole table, because a late row may be
older than one that was published already.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from trunkline.checks import arrow_schema
from trunkline.contracts import Contract
from trunkline.errors import UnknownNameError
from trunkline.ingest.derived.inputs import lineage_schema
from trunkline.lake import LakeReader
from trunkline.lake.versions import newest, with_whole_key

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import pyarrow as pa

__all__ = ["Readable", "added", "current", "day_of", "days_of", "newest_among", "newest_of", "versions_of"]

_LINEAGE = ("_ingested_at", "_row")


@dataclass(frozen=True)
class Readable:
    """One table of the lake as it is published.

    Attributes:
        table: Its name in the lake.
        contract: Of its rows as they are stored; None takes the columns that the lake has.
        usecase: Only rows of this use case; empty for all.
        version: The version that is read.
    """

    table: str
    contract: type[Contract] | None
    usecase: str
    version: int

    def schema(self, lake: LakeReader) -> "pa.Schema":
        """Give the schema that is read: the contract's, and what says when a row came where the table says so."""
        stored = lake.schema(self.table, version=self.version)
        if self.contract is None:
            return stored
        if "_batch_id" in stored.names:
            return lineage_schema(self.contract)
        return arrow_schema(self.contract)

    def rows(self, lake: LakeReader) -> "ir.Table":
        """Give all rows."""
        rows = lake.read(self.table, schema=self.schema(lake), version=self.version)
        return self.own(rows)

    def own(self, rows: "ir.Table") -> "ir.Table":
        """Keep the rows of the use case."""
        return rows.filter(rows["usecase"] == self.usecase) if self.usecase else rows


def current(lake: LakeReader, one: Readable, *, key: Sequence[str] = ()) -> "ir.Table":
    """Give one row per key, the newest; every row where there is no key.

    Args:
        lake: The lake.
        one: The table.
        key: Its key; that of the contract by default.
    """
    return newest_among(one, one.rows(lake), key)


def newest_among(one: Readable, rows: "ir.Table", key: Sequence[str]) -> "ir.Table":
    """Give of each key the newest of some rows; of two that are as new the later one of the contract's own key.

    Args:
        one: The table they are from.
        rows: The rows.
        key: What names a row; that of the contract if empty.
    """
    contract = one.contract
    key = key or (contract.table.key if contract is not None else ())
    if not key or contract is None:
        return rows
    rows = with_whole_key(rows, contract)
    order = [*contract.table.version_order, *(name for name in _LINEAGE if name in rows.columns)]
    order += [name for name in contract.table.key if name not in (*key, *order)]
    return newest(rows, key=key, newest_by=order, table=one.table) if order else rows.distinct(on=list(key))


def added(lake: LakeReader, one: Readable, *, since: int) -> "ir.Table | None":
    """Give the rows that came after a version; None where the lake has let go of it.

    Args:
        lake: The lake.
        one: The table, at the version up to which rows are wanted.
        since: The version up to which they were published.
    """
    schema = one.schema(lake)
    try:
        now, then = lake.files(one.table, version=one.version), lake.files(one.table, version=since)
    except UnknownNameError:
        return None
    came, went = sorted(set(now) - set(then)), sorted(set(then) - set(now))
    if lake.engine.capabilities.reads_object_stores or not any("://" in name for name in (*came, *went)):
        rows = lake.engine.parquet(came, schema)
        gone = lake.engine.parquet(went, schema) if went else None
    else:
        rows = lake.read(one.table, schema=schema, version=one.version)
        gone = lake.read(one.table, schema=schema, version=since)
    if gone is not None:
        rows = rows.difference(gone, distinct=False)
    return one.own(rows)


def newest_of(lake: LakeReader, one: Readable, rows: "ir.Table", *, key: Sequence[str]) -> "ir.Table":
    """Give of each key among some rows the newest row of the whole table.

    Args:
        lake: The lake.
        one: The table.
        rows: New rows of it.
        key: Its key.
    """
    keys = rows.select(*key).distinct()
    every = one.rows(lake)
    return newest_among(one, every.semi_join(keys, list(key)), key)


def days_of(rows: "ir.Table", column: str) -> "ir.Table":
    """Name the days of some rows.

    Args:
        rows: The rows.
        column: An instant, whose day in UTC counts, or a day.
    """
    return rows.select(day=day_of(rows, column)).distinct()


def day_of(rows: "ir.Table", column: str) -> "ir.Value":
    """Give the day of each row as text, ``20261122``."""
    value = rows[column]
    if value.type().is_timestamp():
        return cast("ir.TimestampValue", value).strftime("%Y%m%d")
    return cast("ir.DateValue", value).strftime("%Y%m%d")


def versions_of(lake: LakeReader, tables: Sequence[str]) -> Mapping[str, int]:
    """Give the newest versions of tables, without those that do not exist."""
    found = {table: lake.version(table) for table in tables}
    return {table: version for table, version in found.items() if version is not None}
