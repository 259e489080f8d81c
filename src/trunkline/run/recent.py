"""What lineage can be asked for: the newest runs, batches and versions, the newest first.

Takes the workspace, gives one line per id. Reads the runs, the receipts and the registry; refuses nothing: an empty
workspace has no ids.
"""

from datetime import datetime
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from trunkline.contracts.records import RECEIPTS
from trunkline.run.records import PastRun, newest_states
from trunkline.run.replaced import Replacements

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from trunkline.run.workspace import Workspace

__all__ = ["Recent", "recent"]


class Recent(BaseModel):
    """One id.

    Attributes:
        kind: run, batch or version.
        identity: What ``trunkline lineage`` takes.
        usecase: The use case.
        at: When it came to be (UTC).
        about: State of a run, counts and source of a batch, aliases of a version.
    """

    model_config = ConfigDict(frozen=True)

    kind: str
    identity: str
    usecase: str
    at: datetime
    about: str


def recent(workspace: "Workspace", *, limit: int) -> tuple[Recent, ...]:
    """List the newest ids of each kind.

    Args:
        workspace: The workspace.
        limit: At most so many of each kind.
    """
    found = [*_runs(workspace, limit), *_batches(workspace, limit), *_versions(workspace, limit)]
    return tuple(sorted(found, key=lambda one: (one.at, one.identity), reverse=True))


def _runs(workspace: "Workspace", limit: int) -> list[Recent]:
    def state(run: PastRun) -> str:
        if run.state != "started" or (run == newest[run.usecase] and workspace.is_running(run.usecase)):
            return run.state
        return f"unfinished; it goes on by trunkline run {run.usecase} --run-id {run.run_id}"

    runs = newest_states(workspace)
    newest = {run.usecase: run for run in runs}
    return [
        Recent(kind="run", identity=run.run_id, usecase=run.usecase, at=run.started_at, about=state(run))
        for run in runs[-limit:]
    ]


def _batches(workspace: "Workspace", limit: int) -> list[Recent]:
    if not workspace.lake.exists(RECEIPTS):
        return []

    def newest(table: "ir.Table") -> "ir.Table":
        return table.order_by(table["finished_at"].desc(), "batch_id").limit(limit)

    def replaced(batch_id: str) -> str:
        after = replacements.newest(batch_id)
        return "" if after is None else f"; replaced by {after}"

    replacements = Replacements(workspace.lake)
    return [
        Recent(
            kind="batch",
            identity=row["batch_id"],
            usecase=row["usecase"],
            at=row["finished_at"],
            about=f"{row['dataset']}: {row['read']} read = {row['accepted']} accepted"
            f" + {row['quarantined']} quarantined + {row['duplicates']} duplicates, from {row['source']}"
            f"{replaced(row['batch_id'])}",
        )
        for row in workspace.lake.collect(newest, RECEIPTS).to_pylist()
    ]


def _versions(workspace: "Workspace", limit: int) -> list[Recent]:
    entries = {
        (entry.usecase, entry.version): entry
        for entry in workspace.registry.ledger.entries()
        if entry.version  # a refused candidate never becomes one
    }
    return [
        Recent(
            kind="version",
            identity=f"{usecase}/{version}",
            usecase=usecase,
            at=entry.at,
            about=f"{entry.event} by {entry.approver}",
        )
        for (usecase, version), entry in sorted(entries.items(), key=lambda item: item[1].at)[-limit:]
    ]
