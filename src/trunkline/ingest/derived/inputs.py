"""The inputs of a derived table at pinned versions, and which groups of rows changed between two of them.

Every ingested row carries ``_batch_id`` and ``_ingested_at``, which together name the write that brought it. What two
versions of a table differ in is the rows of the writes that only one of them has, and those that a write had only then;
compaction changes none. Rows that retention has let go do not count as gone: what was computed from them stays.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from operator import and_
from typing import TYPE_CHECKING, Final, cast

from trunkline.checks import arrow_schema
from trunkline.contracts import Contract
from trunkline.lake import Lake
from trunkline.lake.aging import Retirement, aged, retirements
from trunkline.lake.versions import current_rows

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import pyarrow as pa

__all__ = ["LINEAGE", "ORDER", "Input", "lineage_schema", "same"]

LINEAGE: Final = ("_run_id", "_batch_id", "_row", "_ingested_at")
"""Columns that every row of the lake carries beside its contract's."""

ORDER: Final = ("_ingested_at", "_row")
"""Those of them that tell in which order rows came."""

_WRITE: Final = ("_batch_id", "_ingested_at")
_ROWS: Final = "_rows"


def lineage_schema(contract: type[Contract]) -> "pa.Schema":
    """Give the schema of a contract's lake table, :data:`LINEAGE` included."""
    import pyarrow as pa

    schema = arrow_schema(contract)
    instant = pa.timestamp("us", tz="UTC")
    for name, kind in zip(LINEAGE, (pa.string(), pa.string(), pa.int64(), instant), strict=True):
        schema = schema.append(pa.field(name, kind))
    return schema


def same(left: "ir.Table", right: "ir.Table", names: Sequence[str]) -> "ir.BooleanValue":
    """Condition of a join: equal in all columns; null equals null."""
    return cast("ir.BooleanValue", reduce(and_, (left[name].identical_to(right[name]) for name in names)))


def _writes(rows: "ir.Table") -> "ir.Table":
    """Name the writes that brought some rows, and count the rows of each."""
    return rows.group_by(_WRITE).aggregate(**{_ROWS: rows.count()})


@dataclass(frozen=True)
class Input:
    """One input of a derived table.

    Attributes:
        table: Its lake table.
        contract: What its rows look like.
        version: The pinned version; None where there is no such table yet.
        in_order: Current rows also have the columns of :data:`ORDER`.
    """

    table: str
    contract: type[Contract]
    version: int | None
    in_order: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """Columns of the current rows."""
        return (*(column.name for column in self.contract.columns), *(ORDER if self.in_order else ()))

    @property
    def schema(self) -> "pa.Schema":
        """Schema of the current rows."""
        import pyarrow as pa

        stored = lineage_schema(self.contract)
        return pa.schema([stored.field(name) for name in self.names])

    def rows(self, lake: Lake, *, version: int | None = None) -> "ir.Table":
        """Give all rows with their lineage; none where the table does not exist."""
        at = self.version if version is None else version
        schema = lineage_schema(self.contract)
        if at is None:
            return lake.engine.parquet([], schema)
        return lake.read(self.table, schema=schema, version=at)

    def current(self, lake: Lake, groups: "ir.Table | None" = None) -> "ir.Table":
        """Give the columns of :attr:`names`, of each key the newest row.

        Args:
            lake: The lake.
            groups: Only rows of these groups, one row a group; their columns are columns of the contract.
        """
        rows, key = self.rows(lake), self.contract.table.key
        by: tuple[str, ...] = () if groups is None else tuple(groups.columns)
        if groups is not None:
            within = rows.semi_join(groups, same(rows, groups, by))
            if key and not set(by) <= set(key):
                # the newest row of a key may have gone to another group, and is then no row of this one
                keys = within.select(*key).distinct()
                within = rows.semi_join(keys, same(rows, keys, key))
            rows = within
        rows = current_rows(rows, self.contract, table=self.table)
        if groups is not None and key and not set(by) <= set(key):
            rows = rows.semi_join(groups, same(rows, groups, by))
        return rows.select(*self.names)

    def has_changed(self, lake: Lake, since: int | None) -> bool:
        """Whether rows came or went since a version.

        Raises:
            UnknownNameError: The lake has let go of that version.
            FilesVanishedError: It has let go of its files.
        """
        if since == self.version:
            return False
        changed = self._changed(lake, since)
        return bool(lake.engine.arrow(changed.limit(1)).num_rows)

    def touched(self, lake: Lake, since: int | None, by: Sequence[str]) -> "ir.Table":
        """Name the groups whose rows changed since a version, also where another row of the same key superseded one.

        Raises:
            UnknownNameError: The lake has let go of that version.
        """
        changed, key = self._changed(lake, since), self.contract.table.key
        if not key or set(by) <= set(key):
            return changed.select(*by).distinct()
        keys = changed.select(*key).distinct()
        everywhere = self._both(lake, since)
        return everywhere.semi_join(keys, same(everywhere, keys, key)).select(*by).distinct()

    def _changed(self, lake: Lake, since: int | None) -> "ir.Table":
        now, then = self.rows(lake), self._then(lake, since)
        writes_now, writes_then = _writes(now), _writes(then)
        came = now.anti_join(writes_then, same(now, writes_then, _WRITE))
        whole = writes_then.semi_join(writes_now, [*_WRITE, _ROWS]).view()
        fewer = then.anti_join(whole, same(then, whole, _WRITE))  # a write may have lost some of its rows alone
        there = now.select(*_WRITE, "_row").view()
        went = fewer.anti_join(there, same(fewer, there, (*_WRITE, "_row")))
        for retired in self._retired(lake, since):
            is_past = aged(went, retired.columns, retired.before)
            went = went.filter(~is_past.fill_null(False))
        return came.union(went)

    def _retired(self, lake: Lake, since: int | None) -> list[Retirement]:
        newest = lake.version(self.table)
        if since is None or self.version is None or newest is None:
            return []
        commits = lake.history(self.table, limit=max(0, newest - since))
        return retirements(commits, since=since, until=self.version)

    def _both(self, lake: Lake, since: int | None) -> "ir.Table":
        return self.rows(lake).union(self._then(lake, since))

    def _then(self, lake: Lake, since: int | None) -> "ir.Table":
        if since is None:
            return lake.engine.parquet([], lineage_schema(self.contract))
        return self.rows(lake, version=since)
