"""Which windows the rows that came since a version touch.

What is new is told by files: those that a version of a table has and the one before had not. Where files were replaced
meanwhile (compaction, erasure, retention), the writes of the rows in them are compared instead. Rows that went touch no
window: what was computed of them stays, until an erasure takes the windows of the person as well.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final

from trunkline.contracts import Contract
from trunkline.features.windows import END, START
from trunkline.ingest.derived.inputs import lineage_schema, same
from trunkline.lake.versions import current_rows
from trunkline.spec.windows import Windowed

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from trunkline.lake import Lake

__all__ = ["Touched", "came", "current", "touched"]

_WRITE: Final = ("_batch_id", "_ingested_at")


@dataclass(frozen=True)
class Touched:
    """Windows to compute.

    Attributes:
        keys: One row per device and window; held in the engine.
        count: How many.
        first_at: Begin of the first.
        last_at: End of the last.
        late: Rows that came after all of their windows were final.
    """

    keys: "ir.Table"
    count: int
    first_at: datetime | None
    last_at: datetime | None
    late: int


def came(lake: "Lake", table: str, contract: type[Contract], *, since: int | None, version: int) -> "ir.Table":
    """Give the rows of a version that an earlier one had not, with their lineage.

    Args:
        lake: The lake.
        table: The table.
        contract: What its rows look like.
        since: The earlier version; None had no rows.
        version: The version.

    Raises:
        UnknownNameError: The lake has let go of the earlier version.
        FilesVanishedError: It has let go of its files, and they are needed.
    """
    schema = lineage_schema(contract)
    if since is None:
        return lake.read(table, schema=schema, version=version)
    now, then = set(lake.files(table, version=version)), set(lake.files(table, version=since))
    if then <= now and "://" not in lake.root:
        return lake.engine.parquet(sorted(now - then), schema)
    rows, before = lake.read(table, schema=schema, version=version), lake.read(table, schema=schema, version=since)
    writes = before.select(*_WRITE).distinct()
    return rows.anti_join(writes, same(rows, writes, _WRITE))


def touched(windowed: Windowed, rows: "ir.Table", finals: "ir.Table | None", *, event_at: str, lake: "Lake") -> Touched:
    """Name the windows that rows are in, without those that are final.

    Args:
        windowed: The declaration.
        rows: From :func:`came`.
        finals: Newest begin of a window of each device, as ``_newest_at``; None where there are no windows yet.
        event_at: Event time of the rows.
        lake: Lends its engine.
    """
    import ibis

    placed = windowed.placed(rows.select(*windowed.by, event_at, *_WRITE, "_row"), event_at=event_at)
    if finals is not None:
        known = finals.rename({f"_{name}": name for name in windowed.by})
        by = [placed[name].identical_to(known[f"_{name}"]) for name in windowed.by]
        placed = placed.left_join(known, by)
        final_from = placed["_newest_at"] - ibis.interval(seconds=int(windowed.windows.lateness.total_seconds()))
        placed = placed.mutate(_is_final=(placed[END] < final_from).fill_null(False))
    else:
        placed = placed.mutate(_is_final=False)
    counted = placed.group_by(*windowed.by, START, END, "_is_final").aggregate(_rows=placed.count())
    held = lake.engine.arrow(counted)
    import pyarrow.compute as pc

    final = held.column("_is_final")
    late = pc.sum(held.filter(final).column("_rows")).as_py() or 0
    kept = held.filter(pc.invert(final))
    return Touched(
        lake.engine.table(kept.select([*windowed.by, START])),
        kept.num_rows,
        pc.min(kept.column(START)).as_py(),
        pc.max(kept.column(END)).as_py(),
        # a row of sliding windows is in several; those that are final for some of them are counted by the share
        int(late // (windowed.windows.length // windowed.windows.step)),
    )


def current(
    lake: "Lake", windowed: Windowed, table: str, contract: type[Contract], found: Touched, *, version: int
) -> "ir.Table":
    """Give all rows of touched windows, placed, of each key the newest.

    Args:
        lake: The lake.
        windowed: The declaration.
        table: The dataset's table.
        contract: Its contract.
        found: The windows.
        version: Version of the table.
    """
    event_at = str(contract.table.event_at)
    schema = lineage_schema(contract)
    rows = lake.read(table, schema=schema, version=version, within={event_at: (found.first_at, found.last_at)})
    rows = current_rows(rows, contract, table=table)
    placed = windowed.placed(rows, event_at=event_at)
    return placed.semi_join(found.keys, same(placed, found.keys, windowed.key))
