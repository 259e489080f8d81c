"""The states of refused rows: reading the newest of each, adding new ones.

The quarantine is only added to. A row of it is one state of one refused row; of several, the one that was written last
counts. Everything here is an expression of the engine or a stream of batches: a million refused rows are never held as
Python objects.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from trunkline.checks import arrow_schema
from trunkline.contracts import Contract
from trunkline.contracts.records import QUARANTINE, QuarantinedRow
from trunkline.errors import UnknownNameError
from trunkline.ingest.privacy import sealed
from trunkline.ingest.raw import MALFORMED, SUSPECT
from trunkline.lake import Transaction
from trunkline.lake.versions import newest

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import pyarrow as pa

    from trunkline.run.workspace import Workspace

__all__ = [
    "BATCH_ROWS",
    "LINE",
    "Held",
    "add_states",
    "as_states",
    "has_reason",
    "held_batch",
    "is_whole",
    "newest_states",
]


LINE: Final = "line"
"""Name under which the text of a line is kept that is no row."""

BATCH_ROWS: Final = 20_000
"""Rows that are in memory at once."""

_NO_ROWS: Final = (MALFORMED, SUSPECT)
_NEAREST: Final = 12
_TICK: Final = timedelta(microseconds=1)


@dataclass(frozen=True)
class Held:
    """What the quarantine holds of a batch.

    Attributes:
        batch_id: Its id.
        usecase: The use case.
        dataset: The dataset.
        source: Where it came from.
        rows: Refused rows, whatever their state.
        open: Rows that nobody has dealt with.
    """

    batch_id: str
    usecase: str
    dataset: str
    source: str
    rows: int
    open: int


def newest_states(rows: "ir.Table", *, batch: str | None = None) -> "ir.Table":
    """Keep the newest state of each refused row.

    Args:
        rows: The quarantine's table.
        batch: Only rows of this batch.
    """
    if batch is not None:
        rows = rows.filter(rows["batch_id"] == batch)
    order = ("quarantine_id", "changed_at")  # a state is later than the one it follows: no two of a row are equal
    # ranked by these alone: the texts of a million rows would have to be held for it
    kept = newest(rows.select(*order), key=order[:1], newest_by=order[1:], table=QUARANTINE)
    return rows.semi_join(kept, order)


def has_reason(rows: "ir.Table", reason: str) -> "ir.BooleanValue":
    """Say which rows failed for a reason, among others."""
    column: ir.StringColumn = rows["reasons"]
    return column.contains(json.dumps(reason))


def is_whole(rows: "ir.Table") -> "ir.BooleanValue":
    """Say which rows are rows, and not lines that could not be read as such."""
    import ibis

    return ~ibis.or_(*(has_reason(rows, reason) for reason in _NO_ROWS))


def held_batch(workspace: "Workspace", batch: str, *, reason: str | None = None) -> Held:
    """Look a batch up.

    Args:
        workspace: The workspace.
        batch: Its id.
        reason: A reason for which some of its rows must have failed; None asks for none.

    Raises:
        UnknownNameError: The quarantine holds nothing of that batch, or no row of it ever failed for that reason.
    """
    lake = workspace.lake
    if lake.exists(QUARANTINE):

        def counted(table: "ir.Table") -> "ir.Table":
            rows = newest_states(table, batch=batch)
            return rows.group_by("usecase", "dataset", "source").aggregate(
                rows=rows.count(), open=rows.count(where=rows["state"] == "open")
            )

        found = lake.collect(counted, QUARANTINE).to_pylist()
        if found:
            if reason is not None:
                _require_reason(workspace, batch, reason)
            return Held(batch_id=batch, **found[0])
    raise UnknownNameError(
        f"the quarantine holds nothing of batch {batch[:80]!r}",
        allowed=_nearest(workspace),
        next_step="see `trunkline quarantine list`",
    )


def _require_reason(workspace: "Workspace", batch: str, reason: str) -> None:
    """See to it that a reason that is asked for is one that rows of the batch have or had.

    Args:
        workspace: The workspace.
        batch: Id of a batch that the quarantine holds.
        reason: The reason.

    Raises:
        UnknownNameError: No row of the batch ever failed for it.
    """

    def lists(table: "ir.Table") -> "ir.Table":
        return table.filter(table["batch_id"] == batch).select("reasons").distinct()

    known = {
        name for text in workspace.lake.collect(lists, QUARANTINE)["reasons"].to_pylist() for name in json.loads(text)
    }
    if reason not in known:
        raise UnknownNameError(
            f"no row of batch {batch} failed for {reason[:80]!r}",
            allowed=sorted(known),
            next_step=f"see `trunkline quarantine show {batch}`",
        )


def _nearest(workspace: "Workspace") -> list[str]:
    """Some batches that it does hold, the newest first."""
    if not workspace.lake.exists(QUARANTINE):
        return []

    def last(table: "ir.Table") -> "ir.Table":
        batches = table.group_by("batch_id").aggregate(at=table["changed_at"].max())
        return batches.order_by(batches["at"].desc()).limit(_NEAREST)

    names: list[str] = workspace.lake.collect(last, QUARANTINE).column("batch_id").to_pylist()
    return names


def as_states(
    batches: "Iterator[pa.RecordBatch] | pa.RecordBatchReader", state: str, *, now: datetime, run_id: str | None = None
) -> "pa.RecordBatchReader":
    """Turn rows of the quarantine into their next state.

    Args:
        batches: The rows as they are, with all columns of the quarantine.
        state: The new state.
        now: When it begins; later than the state it follows, whatever the clock says.
        run_id: The run that brings it about; None keeps the row's own.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    schema = arrow_schema(QuarantinedRow)

    def changed() -> "Iterator[pa.RecordBatch]":
        for batch in batches:
            columns = {name: batch.column(name) for name in schema.names}
            columns["state"] = pa.repeat(state, batch.num_rows)
            if run_id is not None:
                columns["run_id"] = pa.repeat(run_id, batch.num_rows)
            after = pc.add(columns["changed_at"], pa.scalar(_TICK, pa.duration("us")))
            begins = pa.scalar(now, after.type)
            columns["changed_at"] = pc.if_else(pc.less(after, begins), begins, after)
            yield pa.RecordBatch.from_arrays([columns[field.name].cast(field.type) for field in schema], schema=schema)

    return pa.RecordBatchReader.from_batches(schema, changed())


def add_states(
    workspace: "Workspace",
    rows: "ir.Table",
    state: str,
    *,
    run_id: str | None,
    transaction: Transaction | None,
    contract: type[Contract] | None = None,
) -> None:
    """Add the next state of rows.

    Args:
        workspace: Its lake holds the quarantine.
        rows: An expression with all columns of the quarantine.
        state: The new state.
        run_id: The run that brings it about; None keeps each row's own.
        transaction: Makes it once; None where doing it again would find no rows.
        contract: Says whether raw texts are encrypted; None leaves them as they are.
    """
    import pyarrow as pa

    lake = workspace.lake
    stream = lake.engine.batches(rows.select(*arrow_schema(QuarantinedRow).names), rows=BATCH_ROWS)
    states = as_states(stream, state, now=workspace.clock(), run_id=run_id)
    written = pa.RecordBatchReader.from_batches(states.schema, sealed(iter(states), contract, lake=lake))
    lake.append(QUARANTINE, written, transaction=transaction)
