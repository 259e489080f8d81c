"""Refreshes derived tables: what changed, computed once, written once, accounted for.

The commit that holds the rows notes which versions of the inputs they come from, so rows and state cannot part. The
order of writing is rows, quarantine, receipt. Killed in between, the next refresh finds rows without a receipt and
finishes them from the same pinned versions before it looks further; the same refresh again changes nothing.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pydantic import BaseModel, ConfigDict

from trunkline.checks import ROW
from trunkline.contracts.records import Receipt
from trunkline.engine import FilesVanishedError
from trunkline.errors import UnknownNameError
from trunkline.ingest.derived.computing import Kept, PinnedTable, pinned_table
from trunkline.ingest.derived.inputs import Input, lineage_schema, same
from trunkline.ingest.derived.judging import JudgedRows, judged
from trunkline.ingest.derived.refusals import write_refusals
from trunkline.ingest.receipts import add_receipt, has_receipt
from trunkline.lake import Lake, Transaction, held
from trunkline.settings.drills import point
from trunkline.spec import UseCase
from trunkline.spec.derived import refresh_order

if TYPE_CHECKING:
    import ibis.expr.types as ir

__all__ = ["CRASH_POINTS", "refresh_tables"]

CRASH_POINTS: Final = ("derived.before_rows", "derived.after_rows", "derived.after_quarantine", "derived.after_receipt")
"""Points at which a drill kills a refresh."""

_STATE: Final = "derived"
_WRITTEN_ROWS: Final = 100_000
_TICK: Final = timedelta(microseconds=1)


class _State(BaseModel):
    """What the newest rows of a derived table come from; noted in their commit.

    Attributes:
        batch_id: Of the refresh.
        run_id: The run that asked for it.
        recipe: Hash of the expression.
        contract: Fingerprint of the table's contract.
        inputs: Version of each input that existed.
        previous: The versions before, from which changes were looked for; None where every row was computed.
        at: When, also the rows' ``_ingested_at``.
    """

    model_config = ConfigDict(frozen=True)

    batch_id: str
    run_id: str
    recipe: str
    contract: str
    inputs: Mapping[str, int]
    previous: Mapping[str, int] | None
    at: datetime


def refresh_tables(
    usecase: UseCase, *, lake: Lake, locks: Path, run_id: str, clock: Callable[[], datetime], only: str | None = None
) -> tuple[Receipt, ...]:
    """Refresh the derived tables of a use case whose inputs changed, each after those it reads.

    Args:
        usecase: Declares them.
        lake: The lake, with its engine.
        locks: Folder for the locks that keep a second refresh of a table away.
        run_id: The run that asks for it.
        clock: Gives the current instant.
        only: The only table to refresh; None for all.

    Returns:
        One receipt per table that was refreshed; none where nothing had changed.

    Raises:
        UseCaseError: An expression cannot be built, or lacks a column that its contract needs.
        BusyError: Another refresh of the table, a writer, or a change of the pseudonyms took too long.
        FilesVanishedError: Files of an input were removed while they were read.
    """
    if not usecase.derived:
        return ()
    receipts: list[Receipt] = []
    names = refresh_order(usecase.derived) if only is None else (only,)
    kept = Kept.of(usecase.derived[name] for name in names)
    with lake.keys.naming() if lake.has_keys else nullcontext():  # the inputs' pseudonyms are the derived table's
        for name in names:
            lock = locks / f"derived-{usecase.table_name(name)}.lock"
            what = f"refresh of the derived table {usecase.table_name(name)!r}"
            with held(lock, what=what, timeout_s=lake.settings.lock_timeout_s, clock=clock):
                receipts += _refreshed(pinned_table(usecase, name, lake=lake, clock=clock, kept=kept), run_id=run_id)
    return tuple(receipts)


def _refreshed(table: PinnedTable, *, run_id: str) -> list[Receipt]:
    """Finish what was interrupted, then refresh if anything changed."""
    state = _state(table)
    receipts = []
    if state is not None and not has_receipt(table.lake, state.batch_id):
        finished = _finish(table, state)
        receipts += [finished] if finished else []
    if not table.versions:
        return receipts  # nothing was ever taken in
    since, has_changed = _changes(table, state)
    if has_changed:
        receipts.append(_refresh(table, state, since, run_id=run_id))
    return receipts


def _changes(table: PinnedTable, state: _State | None) -> tuple[Mapping[str, int] | None, bool]:
    """Say whether anything changed, and since which versions; None where every row has to be computed."""
    if state is None or (state.recipe, state.contract) != (table.recipe, table.derived.contract.fingerprint):
        return None, True
    try:
        changed = [one.has_changed(table.lake, state.inputs.get(name)) for name, one in table.inputs.items()]
    except (UnknownNameError, FilesVanishedError):  # the lake has let go of what was read then
        return None, True
    return state.inputs, any(changed)


def _refresh(table: PinnedTable, state: _State | None, since: Mapping[str, int] | None, *, run_id: str) -> Receipt:
    groups = _groups(table, since)
    now = table.clock().astimezone(UTC)
    facts = [
        table.table,
        table.derived.contract.fingerprint,
        table.recipe,
        sorted(table.versions.items()),
        None if groups is None or since is None else sorted(since.items()),
        state.batch_id if state else None,
    ]
    done = _State(
        batch_id=hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:24],
        run_id=run_id,
        recipe=table.recipe,
        contract=table.derived.contract.fingerprint,
        inputs=table.versions,
        previous=None if groups is None else since,
        # later than what it supersedes, whatever the clock says
        at=now if state is None else max(now, state.at + _TICK),
    )
    rows = _judged(table, groups)
    point("derived.before_rows")
    version = _write_rows(table, rows, groups, done)
    point("derived.after_rows")
    return _account(table, rows, groups, done, version=version, started_at=now)


def _finish(table: PinnedTable, state: _State) -> Receipt | None:
    """Write quarantine and receipt of rows that have none; None where their inputs' versions are gone."""
    pinned = table.at(state.inputs)
    try:
        groups = _groups(pinned, state.previous)
        rows = _judged(pinned, groups)
    except (UnknownNameError, FilesVanishedError):
        return None
    version = table.lake.version(table.table)
    return _account(pinned, rows, groups, state, version=version, started_at=state.at)


def _groups(table: PinnedTable, since: Mapping[str, int] | None) -> "ir.Table | None":
    """Name the groups to compute, held in the engine; None computes everything."""
    if since is None or not table.by:
        return None
    touched: ir.Table | None = None
    for name, one in table.inputs.items():
        if set(table.by) <= {column.name for column in one.contract.columns}:
            found = one.touched(table.lake, since.get(name), table.by)
            touched = found if touched is None else touched.union(found)
        elif one.has_changed(table.lake, since.get(name)):
            return None  # looked up by any row
    assert touched is not None, "the use case was refused without an input that has the columns"
    return table.lake.engine.table(table.lake.engine.arrow(touched.distinct()))


def _judged(table: PinnedTable, groups: "ir.Table | None") -> JudgedRows:
    where = f"use case {table.usecase.name!r}, derived table {table.name!r}"
    rows = table.derived.expression(table.stepwise(groups))
    return judged(rows, table.derived.contract, engine=table.lake.engine, where=where)


def _notes(table: PinnedTable, groups: "ir.Table | None") -> str | None:
    """What the use case tells of the rows that were computed, as JSON."""
    if table.derived.notes is None:
        return None
    known = table.stepwise(groups)
    told = table.lake.engine.arrow(table.derived.notes({**known, "rows": table.derived.expression(known)}))
    return json.dumps(told.to_pylist()[0] if told.num_rows else {}, default=str)


def _write_rows(table: PinnedTable, judged_rows: JudgedRows, groups: "ir.Table | None", state: _State) -> int:
    """Write the good rows in one commit that notes the state: added, or in place of all there are."""
    import ibis
    import pyarrow as pa

    lake, contract = table.lake, table.derived.contract
    schema = lineage_schema(contract)
    good = judged_rows.good
    rows = good.select(
        *(column.name for column in contract.columns),
        _run_id=ibis.literal(state.run_id),
        _batch_id=ibis.literal(state.batch_id),
        _row=good[ROW],
        _ingested_at=ibis.literal(state.at, type="timestamp('UTC', 6)"),
    )
    metadata = {_STATE: state.model_dump_json()}
    vanished = False
    if groups is not None:
        before = Input(table.table, contract, lake.version(table.table))
        current = before.rows(lake).select(*contract.table.key).distinct()
        stale = current.semi_join(groups, same(current, groups, table.by))
        gone = stale.anti_join(rows, same(stale, rows, contract.table.key))
        vanished = lake.engine.arrow(gone.limit(1)).num_rows > 0
        if vanished:  # rows that are no more cannot be superseded, only left out
            old = before.rows(lake)
            rows = old.anti_join(groups, same(old, groups, table.by)).union(rows)
    reader = lake.engine.batches(rows, rows=_WRITTEN_ROWS)
    batches = pa.RecordBatchReader.from_batches(schema, (part.cast(schema) for part in reader))
    if groups is None or vanished:
        return lake.replace(table.table, batches, metadata=metadata)
    return lake.append(table.table, batches, transaction=Transaction(f"rows:{state.batch_id}", 1), metadata=metadata)


def _account(
    table: PinnedTable,
    rows: JudgedRows,
    groups: "ir.Table | None",
    state: _State,
    *,
    version: int | None,
    started_at: datetime,
) -> Receipt:
    """Write quarantine and receipt of a refresh."""
    source = _source(table)
    reasons = write_refusals(
        table.lake,
        rows,
        groups,
        facts={
            "batch_id": state.batch_id,
            "run_id": state.run_id,
            "usecase": table.usecase.name,
            "dataset": table.name,
            "source": source,
            "changed_at": state.at,
        },
        contract=table.derived.contract,
    )
    point("derived.after_quarantine")
    said = json.dumps([state.recipe, sorted(state.inputs.items())])
    receipt = Receipt(
        batch_id=state.batch_id,
        run_id=state.run_id,
        usecase=table.usecase.name,
        dataset=table.name,
        source=source,
        piece=None,
        content_sha256=hashlib.sha256(said.encode()).hexdigest(),
        bytes=None,
        contract_fingerprint=state.contract,
        read=rows.read,
        accepted=rows.accepted,
        quarantined=rows.quarantined,
        duplicates=rows.duplicates,
        reasons=json.dumps(dict(reasons.most_common())),
        absent_columns=json.dumps(rows.absent),
        extra_columns=json.dumps(rows.extra),
        mapping=None,
        notes=_notes(table, groups),
        table_version=version,
        started_at=started_at,
        finished_at=max(table.clock(), started_at),
    )
    add_receipt(table.lake, receipt)
    point("derived.after_receipt")
    return receipt


def _source(table: PinnedTable) -> str:
    """``derived from churn.calls@7, churn.cells@3``; inputs without a table yet are left out."""
    named = [f"{one.table}@{one.version}" for one in table.inputs.values() if one.version is not None]
    return f"derived from {', '.join(named)}"


def _state(table: PinnedTable) -> _State | None:
    noted = table.lake.newest_note(table.table, _STATE)
    return None if noted is None else _State.model_validate_json(noted)
