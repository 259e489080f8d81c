"""The quarantine: what lies there, handing it in again, letting it go."""

import json
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from pydantic import BaseModel, ConfigDict

from trunkline.checks import arrow_schema, table_from_rows
from trunkline.contracts.records import QuarantinedRow
from trunkline.errors import UnknownNameError

if TYPE_CHECKING:
    from trunkline.run.workspace import Workspace

__all__ = ["OpenBatch", "RefusedRow", "Replayed", "discard_batch", "open_batches", "refused_rows", "replay_batch"]

QUARANTINE: Final = "platform.quarantine"


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
            row=json.loads(str(row["row"])),
            state=str(row["state"]),
        )
        for row in _needed(workspace, batch)
    )


def replay_batch(workspace: "Workspace", batch: str) -> Replayed:
    """Hand the open rows of a batch in again, by the contract as it is now; those that pass go to the lake.

    Raises:
        UnknownNameError: The quarantine holds nothing of that batch, or its use case is gone.
    """
    from trunkline.ingest import Target, ingest_file
    from trunkline.run.execute import new_run_id

    rows = [row for row in _needed(workspace, batch) if row["state"] == "open"]
    if not rows:
        return Replayed(accepted=0, still_refused=0)
    usecase = workspace.usecase(str(rows[0]["usecase"]))
    dataset = str(rows[0]["dataset"])
    run_id = new_run_id(workspace)
    whole = [row for row in rows if "line.malformed" not in json.loads(str(row["reasons"]))]
    if not whole:
        return Replayed(accepted=0, still_refused=len(rows))
    path = workspace.folder("tmp") / f"replay-{batch}.ndjson"
    path.write_text("".join(f"{row['row']}\n" for row in whole), encoding="utf-8")
    try:
        from trunkline.errors import RowsRefusedError

        try:
            receipt = ingest_file(
                path,
                Target(usecase.name, dataset, usecase.datasets[dataset]),
                lake=workspace.lake,
                run_id=run_id,
                clock=workspace.clock,
            ).receipt
        except RowsRefusedError:
            return Replayed(accepted=0, still_refused=len(rows))
        refused = {row.row_number for row in _refused_again(workspace, receipt.batch_id)}
    finally:
        path.unlink(missing_ok=True)
    accepted = [row for position, row in enumerate(whole, start=1) if position not in refused]
    _mark(workspace, accepted, "replayed", run_id=run_id)
    if refused:  # they are open under their first batch; under the replay they would be listed twice
        _mark(workspace, _needed(workspace, receipt.batch_id), "discarded", run_id=run_id)
    return Replayed(accepted=receipt.accepted, still_refused=len(rows) - len(accepted))


def discard_batch(workspace: "Workspace", batch: str) -> int:
    """Mark the open rows of a batch as discarded; gives how many.

    Raises:
        UnknownNameError: The quarantine holds nothing of that batch.
    """
    rows = [row for row in _needed(workspace, batch) if row["state"] == "open"]
    _mark(workspace, rows, "discarded", run_id=str(rows[0]["run_id"]) if rows else "")
    return len(rows)


def _refused_again(workspace: "Workspace", batch: str) -> tuple[RefusedRow, ...]:
    try:
        return refused_rows(workspace, batch)
    except UnknownNameError:
        return ()


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


def _mark(workspace: "Workspace", rows: list[dict[str, object]], state: str, *, run_id: str) -> None:
    if not rows:
        return
    now = workspace.clock()
    changed = [{**row, "state": state, "changed_at": now, "run_id": run_id} for row in rows]
    names = arrow_schema(QuarantinedRow).names
    workspace.lake.append(
        QUARANTINE, table_from_rows(QuarantinedRow, [{name: row[name] for name in names} for row in changed])
    )
