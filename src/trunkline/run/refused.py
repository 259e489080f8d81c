"""The quarantine: what lies there, handing it in again, letting it go."""

import json
from collections import Counter
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pydantic import BaseModel, ConfigDict

from trunkline.checks import ROW, arrow_schema, table_from_rows
from trunkline.contracts import Contract
from trunkline.contracts.kinds import NUL
from trunkline.contracts.records import QuarantinedRow, Receipt
from trunkline.errors import UnknownNameError

if TYPE_CHECKING:
    from trunkline.run.workspace import Workspace

__all__ = [
    "OpenBatch",
    "RefusedRow",
    "Replayed",
    "batch_contract",
    "discard_batch",
    "open_batches",
    "refused_rows",
    "replay_batch",
]

QUARANTINE: Final = "platform.quarantine"
_MALFORMED: Final = "line.malformed"
_TICK: Final = timedelta(microseconds=1)


class OpenBatch(BaseModel):
    """A batch with refused rows that nobody has dealt with.

    Attributes:
        batch_id: Its id.
        usecase: The use case.
        dataset: The dataset.
        source: Where it came from.
        rows: Open rows.
        reasons: How many of them failed for each reason.
    """

    model_config = ConfigDict(frozen=True)

    batch_id: str
    usecase: str
    dataset: str
    source: str
    rows: int
    reasons: Mapping[str, int]


class RefusedRow(BaseModel):
    """One refused row.

    Attributes:
        row_number: 1-based position in its source.
        reasons: All reasons.
        row: The raw texts under the source's names.
        state: open, replayed or discarded.
    """

    model_config = ConfigDict(frozen=True)

    row_number: int
    reasons: tuple[str, ...]
    row: Mapping[str, str | None]
    state: str


class Replayed(BaseModel):
    """What became of a replay.

    Attributes:
        accepted: Rows that are now in the lake.
        still_refused: Rows that still break the contract and stay open.
    """

    model_config = ConfigDict(frozen=True)

    accepted: int
    still_refused: int


def open_batches(workspace: "Workspace", *, usecase: str | None = None) -> tuple[OpenBatch, ...]:
    """List the batches that have open rows, the newest first."""
    groups: dict[str, list[Mapping[str, object]]] = {}
    for row in _current(workspace, batch=None):
        if row["state"] == "open" and usecase in (None, row["usecase"]):
            groups.setdefault(str(row["batch_id"]), []).append(row)
    found = []
    for batch_id, rows in groups.items():
        counts = Counter(reason for row in rows for reason in json.loads(str(row["reasons"])))
        first = rows[0]
        found.append(
            OpenBatch(
                batch_id=batch_id,
                usecase=str(first["usecase"]),
                dataset=str(first["dataset"]),
                source=str(first["source"]),
                rows=len(rows),
                reasons=dict(counts.most_common(8)),
            )
        )
    return tuple(reversed(found))


def refused_rows(workspace: "Workspace", batch: str) -> tuple[RefusedRow, ...]:
    """Give the refused rows of a batch in the order of their source.

    Raises:
        UnknownNameError: The quarantine holds nothing of that batch.
    """
    return tuple(
        RefusedRow(
            row_number=int(str(row["row_number"])),
            reasons=tuple(json.loads(str(row["reasons"]))),
            row={name: _shown(text) for name, text in json.loads(str(row["row"])).items()},
            state=str(row["state"]),
        )
        for row in _needed(workspace, batch)
    )


def batch_contract(workspace: "Workspace", batch: str) -> type[Contract] | None:
    """Give the contract of a batch's dataset; None where its use case is no longer installed.

    Raises:
        UnknownNameError: The quarantine holds nothing of that batch.
    """
    first = _needed(workspace, batch)[0]
    if first["usecase"] not in workspace.usecases():
        return None
    return workspace.usecase(str(first["usecase"])).datasets.get(str(first["dataset"]))


def replay_batch(workspace: "Workspace", batch: str) -> Replayed:
    """Hand the open rows of a batch in again, by the contract as it is now; those that pass go to the lake.

    Rows that still break the contract stay open as they are. Killed in between, the same call completes the replay:
    the rows that pass have one content, so they enter the lake once.

    Raises:
        UnknownNameError: The quarantine holds nothing of that batch, or its use case or dataset is gone.
    """
    from trunkline.ingest import Target, checked_rows, ingest_file
    from trunkline.run.execute import new_run_id

    rows = [row for row in _needed(workspace, batch) if row["state"] == "open"]
    whole = [row for row in rows if _MALFORMED not in json.loads(str(row["reasons"]))]
    if not whole:
        return Replayed(accepted=0, still_refused=len(rows))
    usecase = workspace.usecase(str(whole[0]["usecase"]))
    dataset = str(whole[0]["dataset"])
    if dataset not in usecase.datasets:
        raise UnknownNameError(f"{usecase.name!r} has no dataset {dataset!r} any more", allowed=usecase.datasets)
    contract, mapping = usecase.datasets[dataset], _mapping(workspace, batch)
    path = workspace.folder("tmp") / f"replay-{batch}.ndjson"
    try:
        _write_lines(path, whole)
        good, _, _ = checked_rows(path, contract, lake=workspace.lake, mapping=mapping)
        passing = [whole[position - 1] for position in good.column(ROW).to_pylist()]
        if not passing:
            return Replayed(accepted=0, still_refused=len(rows))
        run_id = new_run_id(workspace)
        _write_lines(path, passing)
        receipt = ingest_file(
            path,
            Target(usecase.name, dataset, contract),
            lake=workspace.lake,
            run_id=run_id,
            clock=workspace.clock,
            mapping=mapping,
        ).receipt
    finally:
        path.unlink(missing_ok=True)
    _mark(workspace, passing, "replayed", run_id=run_id)
    return Replayed(accepted=receipt.accepted, still_refused=len(rows) - len(passing))


def _write_lines(path: Path, rows: list[dict[str, object]]) -> None:
    path.write_text("".join(f"{row['row']}\n" for row in rows), encoding="utf-8")


def _mapping(workspace: "Workspace", batch: str) -> dict[str, str] | None:
    """Give the mapping that the user gave with the batch's file."""
    receipts = "platform.receipts"
    if not workspace.lake.exists(receipts):
        return None
    found = workspace.lake.arrow(
        receipts, schema=arrow_schema(Receipt), where=lambda table: table["batch_id"] == batch
    ).to_pylist()
    told = found[0]["mapping"] if found else None
    return None if told is None else {str(column): str(name) for column, name in json.loads(str(told)).items()}


def discard_batch(workspace: "Workspace", batch: str) -> int:
    """Mark the open rows of a batch as discarded; gives how many.

    Raises:
        UnknownNameError: The quarantine holds nothing of that batch.
    """
    rows = [row for row in _needed(workspace, batch) if row["state"] == "open"]
    _mark(workspace, rows, "discarded", run_id=str(rows[0]["run_id"]) if rows else "")
    return len(rows)


def _shown(text: str | None) -> str | None:
    # a value of JSON that is no scalar is kept with a mark before it, see trunkline.ingest.json_lines
    return None if text is None else text.removeprefix(NUL)


def _needed(workspace: "Workspace", batch: str) -> list[dict[str, object]]:
    rows = _current(workspace, batch=batch)
    if not rows:
        raise UnknownNameError(
            f"the quarantine holds nothing of batch {batch!r}",
            allowed=[found.batch_id for found in open_batches(workspace)],
            next_step="see `trunkline quarantine list`",
        )
    return rows


def _current(workspace: "Workspace", *, batch: str | None) -> list[dict[str, object]]:
    """The newest state of each row, in the order of batches and rows."""
    lake = workspace.lake
    if not lake.exists(QUARANTINE):
        return []
    table = lake.current(QUARANTINE, key=("quarantine_id",), newest_by=("changed_at",))
    if batch is not None:
        table = table.filter(table["batch_id"] == batch)
    found = lake.engine.arrow(table.order_by(["changed_at", "batch_id", "row_number"]))
    rows: list[dict[str, object]] = found.to_pylist()
    return rows


def _instant(value: object) -> datetime:
    assert isinstance(value, datetime), "a column of instants"
    return value


def _mark(workspace: "Workspace", rows: list[dict[str, object]], state: str, *, run_id: str) -> None:
    if not rows:
        return
    now = workspace.clock()
    # later than the state it follows, whatever the clock says
    changed = [
        {**row, "state": state, "run_id": run_id, "changed_at": max(now, _instant(row["changed_at"]) + _TICK)}
        for row in rows
    ]
    names = arrow_schema(QuarantinedRow).names
    workspace.lake.append(
        QUARANTINE, table_from_rows(QuarantinedRow, [{name: row[name] for name in names} for row in changed])
    )
