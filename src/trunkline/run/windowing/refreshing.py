"""Refreshes windows: what rows came, which windows they touch, computed once, written once, announced once.

The commit that holds windows notes which version of the dataset they come from, so windows and place cannot part. The
order of writing is quarantine, windows, alerts, receipt. Killed in between, the next refresh finds the windows and
writes what is missing from them; the same refresh again changes nothing.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pydantic import BaseModel, ConfigDict

from trunkline.checks import ROW
from trunkline.contracts.records import Alert, Receipt
from trunkline.engine import FilesVanishedError
from trunkline.errors import UnknownNameError
from trunkline.features.windows import START
from trunkline.ingest.derived.inputs import Input, lineage_schema
from trunkline.ingest.derived.refusals import write_refusals
from trunkline.ingest.receipts import add_receipt, has_receipt
from trunkline.lake import Lake, Transaction, held
from trunkline.lake.versions import newest
from trunkline.run.alerts import write_alerts
from trunkline.run.windowing.announcing import announced
from trunkline.run.windowing.changes import Touched, came, current, touched
from trunkline.run.windowing.judging import JudgedWindows, judged_windows
from trunkline.run.windowing.recipes import windows_recipe
from trunkline.run.windowing.scoring import STATE, Row, Scorer
from trunkline.settings.drills import point
from trunkline.spec import UseCase
from trunkline.spec.windows import Windowed

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["CRASH_POINTS", "Refreshed", "refresh_windows"]

CRASH_POINTS: Final = ("windows.before_rows", "windows.after_rows", "windows.after_alerts", "windows.after_receipt")
"""Points at which a drill kills a refresh."""

_NOTE: Final = "windows"
_TICK: Final = timedelta(microseconds=1)
_NEW: Final = "_new"


@dataclass(frozen=True)
class Refreshed:
    """What became of one table of windows.

    Attributes:
        table: Its lake table.
        windows: Windows that were computed.
        alerts: Alerts that were raised.
        late: Rows that came after their windows were final.
        receipt: The receipt.
    """

    table: str
    windows: int
    alerts: int
    late: int
    receipt: Receipt


class _State(BaseModel):
    """What the newest windows come from; noted in their commit.

    Attributes:
        batch_id: Of the refresh.
        run_id: The run that asked for it.
        recipe: Hash of the declaration.
        contract: Fingerprint of the table's contract.
        version: Version of the dataset that is accounted for.
        at: When, also the windows' ``_ingested_at``.
        read: Windows computed.
        accepted: Of which are in the table.
        quarantined: Of which broke the contract.
        late: Rows that came too late.
        has_refused: Whether any window of the table ever broke the contract.
        reasons: JSON object: reason to number of windows.
    """

    model_config = ConfigDict(frozen=True)

    batch_id: str
    run_id: str
    recipe: str
    contract: str
    version: int
    at: datetime
    read: int = 0
    accepted: int = 0
    quarantined: int = 0
    late: int = 0
    has_refused: bool = False
    reasons: str = "{}"


@dataclass(frozen=True)
class _Table:
    """One table of windows with everything that its refresh needs."""

    usecase: UseCase
    name: str
    windowed: Windowed
    recipe: str
    lake: Lake
    clock: Callable[[], datetime]

    @property
    def table(self) -> str:
        return self.usecase.table_name(self.name)

    @property
    def source(self) -> str:
        return self.usecase.table_name(self.windowed.dataset)


def refresh_windows(
    usecase: UseCase,
    *,
    lake: Lake,
    locks: Path,
    run_id: str,
    clock: Callable[[], datetime],
    wait_s: float | None = None,
) -> tuple[Refreshed, ...]:
    """Compute the windows of a use case that new rows touch.

    Args:
        usecase: Declares them.
        lake: The lake, with its engine.
        locks: Folder for the lock that keeps a second refresh of the use case away.
        run_id: The run that asks for it.
        clock: Gives the current instant.
        wait_s: Longest wait for another refresh, in seconds; by default as long as the lake waits for a table.

    Returns:
        What was refreshed; none where nothing had come.

    Raises:
        UseCaseError: An expression cannot be built, or lacks a column that its contract needs.
        BusyError: Another refresh of the use case, or a writer, took too long.
        FilesVanishedError: Files were removed while they were read.
    """
    if not usecase.windows:
        return ()
    timeout_s = lake.settings.lock_timeout_s if wait_s is None else wait_s
    done: list[Refreshed] = []
    lock = locks / f"windows-{usecase.name}.lock"
    with held(lock, what=f"refresh of windows of {usecase.name!r}", timeout_s=timeout_s, clock=clock):
        for name, windowed in usecase.windows.items():
            table = _Table(usecase, name, windowed, windows_recipe(usecase, name, windowed), lake, clock)
            done += _refreshed(table, run_id=run_id)
    return tuple(done)


def _refreshed(table: _Table, *, run_id: str) -> list[Refreshed]:
    version = table.lake.version(table.source)
    if version is None:
        return []
    state = _state(table)
    done = []
    if state is not None and not has_receipt(table.lake, state.batch_id):
        done.append(_account(table, state))
    if state is not None and state.version == version and not _is_other(table, state):
        return done
    found = _touched(table, state, version)
    if not found.count and not found.late:
        return done
    done.append(_refresh(table, state, found, version, run_id=run_id))
    return done


def _is_other(table: _Table, state: _State) -> bool:
    return (state.recipe, state.contract) != (table.recipe, table.windowed.contract.fingerprint)


def _touched(table: _Table, state: _State | None, version: int) -> Touched:
    contract = table.usecase.datasets[table.windowed.dataset]
    event_at = str(contract.table.event_at)
    since = None if state is None or _is_other(table, state) else state.version
    finals = None
    if since is not None:
        import ibis

        windows = table.lake.read(table.table, schema=_schema(table))
        # a device whose clock was once ahead must not make all that it sends until then late
        windows = windows.filter(windows[START] <= ibis.literal(table.clock().astimezone(UTC)))
        finals = windows.group_by(*table.windowed.by).aggregate(_newest_at=windows[START].max())
    try:
        rows = came(table.lake, table.source, contract, since=since, version=version)
        return touched(table.windowed, rows, finals, event_at=event_at, lake=table.lake)
    except (UnknownNameError, FilesVanishedError):  # the lake has let go of what was read then
        rows = came(table.lake, table.source, contract, since=None, version=version)
        return touched(table.windowed, rows, None, event_at=event_at, lake=table.lake)


def _schema(table: _Table) -> "pa.Schema":
    import pyarrow as pa

    return lineage_schema(table.windowed.contract).append(pa.field(STATE, pa.string()))


def _refresh(table: _Table, state: _State | None, found: Touched, version: int, *, run_id: str) -> Refreshed:
    now = table.clock().astimezone(UTC)
    rows = _judged(table, found, version) if found.count else None
    facts = [table.table, table.windowed.contract.fingerprint, table.recipe, version, state.batch_id if state else None]
    done = _State(
        batch_id=hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:24],
        run_id=run_id,
        recipe=table.recipe,
        contract=table.windowed.contract.fingerprint,
        version=version,
        at=now if state is None else max(now, state.at + _TICK),
        read=rows.read if rows else 0,
        accepted=rows.good.num_rows if rows else 0,
        quarantined=rows.quarantined if rows else 0,
        late=found.late,
        reasons=json.dumps(dict(rows.reasons.most_common())) if rows else "{}",
        has_refused=bool(rows and rows.quarantined) or (state is not None and state.has_refused),
    )
    good = rows.good.to_pylist() if rows else []
    written = _scored(table, good, found) if good else []
    if rows is not None and done.has_refused:
        _refuse(table, rows, found, done)  # also closes what an earlier refresh refused of these windows
    point("windows.before_rows")
    table.lake.append(
        table.table,
        _arrow(table, written, done),
        transaction=Transaction(f"rows:{done.batch_id}", 1),
        metadata={_NOTE: done.model_dump_json()},
    )
    point("windows.after_rows")
    return _account(table, done)


def _judged(table: _Table, found: Touched, version: int) -> JudgedWindows:
    windowed, lake = table.windowed, table.lake
    contract = table.usecase.datasets[windowed.dataset]
    placed = current(lake, windowed, table.source, contract, found, version=version)
    told = {}
    for lookup in windowed.lookups:
        name = table.usecase.table_name(lookup.dataset)
        told[lookup.dataset] = Input(name, table.usecase.datasets[lookup.dataset], lake.version(name)).current(lake)
    where = f"use case {table.usecase.name!r}, windows {table.name!r}"
    return judged_windows(lake.engine.arrow(windowed.rows(placed, told)), windowed, where=where)


def _scored(table: _Table, good: "list[Row]", found: Touched) -> list[Row]:
    """Give the windows with their scores, and those after them whose scores change by them."""
    windowed = table.windowed
    by_device: dict[tuple[object, ...], list[Row]] = {}
    for row in good:
        by_device.setdefault(tuple(row[name] for name in windowed.by), []).append(row)
    earlier = _earlier(table, found)
    scorer = Scorer(windowed)
    written: list[Row] = []
    for device, computed in by_device.items():
        known = earlier.get(device, {})
        fresh = {row[START]: row for row in computed}
        first = min(fresh)  # type: ignore[type-var]  # instants
        before = [start for start in known if start < first]  # type: ignore[operator]  # as above
        again = {start: dict(row) for start, row in known.items() if start > first}  # type: ignore[operator]  # as above
        windows = {**again, **fresh}
        inputs = [windows[start] for start in sorted(windows)]  # type: ignore[type-var]  # as above
        scored = scorer.scored(known[max(before)] if before else None, inputs, known)  # type: ignore[type-var]  # as above
        written += [row for row in scored if row[START] in fresh or row[STATE] != known[row[START]][STATE]]
    return written


def _earlier(table: _Table, found: Touched) -> "dict[tuple[object, ...], dict[object, Row]]":
    """The windows of the touched devices from the last before the first touched one on, as the table has them."""
    windowed, lake = table.windowed, table.lake
    if not lake.exists(table.table):
        return {}
    by = windowed.by
    firsts = found.keys.group_by(*by).aggregate(_first_at=found.keys[START].min())
    firsts = firsts.rename({f"_{name}": name for name in by})
    rows = lake.read(table.table, schema=_schema(table))
    mine = rows.inner_join(firsts, [rows[name].identical_to(firsts[f"_{name}"]) for name in by])
    starts = mine.filter(mine[START] < mine["_first_at"]).group_by(*by).aggregate(_from_at=mine[START].max())
    starts = starts.rename({f"_from_{name}": name for name in by})
    mine = mine.left_join(starts, [mine[name].identical_to(starts[f"_from_{name}"]) for name in by])
    mine = mine.filter(mine[START] >= mine["_from_at"].fill_null(mine["_first_at"]))
    mine = newest(mine, key=windowed.key, newest_by=["_ingested_at"], table=table.table)
    names = [*(column.name for column in windowed.contract.columns), STATE]
    held_rows = lake.engine.arrow(mine.select(*names)).to_pylist()
    earlier: dict[tuple[object, ...], dict[object, Row]] = {}
    for row in held_rows:
        earlier.setdefault(tuple(row[name] for name in by), {})[row[START]] = row
    return earlier


def _arrow(table: _Table, written: "list[Row]", state: _State) -> "pa.Table":
    import pyarrow as pa

    lineage = {"_run_id": state.run_id, "_batch_id": state.batch_id, "_ingested_at": state.at}
    rows = [{**row, **lineage, ROW: number} for number, row in enumerate(written, 1)]
    new = pa.array([json.dumps(row.get(_NEW, [])) for row in written], pa.string())
    return pa.Table.from_pylist(rows, schema=_schema(table)).append_column(_NEW, new)


def _refuse(table: _Table, rows: JudgedWindows, found: Touched, state: _State) -> None:
    write_refusals(
        table.lake,
        rows,
        found.keys,
        facts={
            "batch_id": state.batch_id,
            "run_id": state.run_id,
            "usecase": table.usecase.name,
            "dataset": table.name,
            "source": _source(table, state),
            "changed_at": state.at,
        },
        contract=table.windowed.contract,
    )


def _account(table: _Table, state: _State) -> Refreshed:
    """Write alerts and receipt of windows that are in the table; again, where they were written already."""
    raised = _alerts(table, state)
    write_alerts(table.lake, raised, under=f"alerts:{state.batch_id}")
    point("windows.after_alerts")
    receipt = Receipt(
        batch_id=state.batch_id,
        run_id=state.run_id,
        usecase=table.usecase.name,
        dataset=table.name,
        source=_source(table, state),
        piece=None,
        content_sha256=hashlib.sha256(f"{state.recipe} {state.version}".encode()).hexdigest(),
        contract_fingerprint=state.contract,
        read=state.read,
        accepted=state.accepted,
        quarantined=state.quarantined,
        duplicates=state.read - state.accepted - state.quarantined,
        reasons=state.reasons,
        absent_columns="[]",
        extra_columns="[]",
        mapping=None,
        notes=json.dumps({"late_rows": state.late, "alerts": len(raised)}),
        table_version=table.lake.version(table.table),
        started_at=state.at,
        finished_at=max(table.clock(), state.at),
    )
    add_receipt(table.lake, receipt)
    point("windows.after_receipt")
    return Refreshed(table.table, state.read, len(raised), state.late, receipt)


def _alerts(table: _Table, state: _State) -> list[Alert]:
    """The alerts of a refresh, from its windows in the table."""
    if not table.windowed.rules:
        return []
    import pyarrow as pa

    schema = _schema(table).append(pa.field(_NEW, pa.string()))
    found = table.lake.arrow(
        table.table,
        schema=schema,
        where=lambda rows: (rows["_batch_id"] == state.batch_id) & (rows[_NEW] != "[]"),
    )
    rows = [(row, json.loads(row[_NEW])) for row in found.to_pylist()]
    at = max(table.clock(), state.at)
    return list(announced(table.windowed, rows, table=table.table, run_id=state.run_id, raised_at=at))


def _source(table: _Table, state: _State) -> str:
    return f"windows of {table.source}@{state.version}"


def _state(table: _Table) -> _State | None:
    noted = table.lake.newest_note(table.table, _NOTE)
    return None if noted is None else _State.model_validate_json(noted)
