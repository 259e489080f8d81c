"""Versions of tables that something still needs: a live model, a run that goes on or may be gone on with, a sink."""

import json
from datetime import datetime
from typing import TYPE_CHECKING

from trunkline.checks import arrow_schema
from trunkline.contracts.records import STEPS, StepRecord
from trunkline.errors import TrunklineError
from trunkline.publish import Outbox
from trunkline.run.records import newest_states

if TYPE_CHECKING:
    from trunkline.run.workspace import Workspace

__all__ = ["is_old", "pinned_versions"]


def pinned_versions(workspace: "Workspace") -> tuple[dict[str, set[int]], tuple[str, ...]]:
    """Give the versions that must stay, by table, and what was found damaged on the way, a sentence each."""
    from trunkline.tasks import load_model

    pins: dict[str, set[int]] = {}
    problems: list[str] = []
    needed = {
        run.run_id
        for run in newest_states(workspace)
        if run.state == "started" and (workspace.is_running(run.usecase) or not is_old(workspace, run.changed_at))
    }
    unclear: set[str] = set()
    live = {path.stem for path in (workspace.root / "live").glob("*.json")}
    for usecase in sorted({*workspace.usecases(), *live}):
        try:
            shown = workspace.registry.live(usecase).aliases
        except TrunklineError as error:
            problems.append(str(error))
            unclear.add(usecase)
            continue
        for alias, model in shown.items():
            needed.add(model.run_id)
            try:
                lineage = load_model(workspace.registry.folder(usecase, alias)).info.lineage
            except TrunklineError as error:
                problems.append(str(error))
                continue
            for name, version in lineage.items():
                if name.startswith("table:"):
                    pins.setdefault(name.removeprefix("table:"), set()).add(int(str(version)))
    for table, version in Outbox(workspace.root / "publish" / "outbox.db").versions():
        pins.setdefault(table, set()).add(version)  # what is new for a sink is what came after the version that it has
    for table, version in _trained_on(workspace, runs=needed, usecases=unclear):
        pins.setdefault(table, set()).add(version)
    return pins, tuple(problems)


def _trained_on(workspace: "Workspace", *, runs: set[str], usecases: set[str]) -> list[tuple[str, int]]:
    """Tables and versions that runs, and all runs of use cases, have read for their training."""
    if not (runs or usecases) or not workspace.lake.exists(STEPS):
        return []
    documents = workspace.lake.arrow(
        STEPS,
        schema=arrow_schema(StepRecord),
        where=lambda table: (
            (table["step"] == "train") & (table["run_id"].isin(sorted(runs)) | table["usecase"].isin(sorted(usecases)))
        ),
    ).column("document")
    return [
        (str(table), int(version))
        for document in documents.to_pylist()
        for table, version in json.loads(document)["table_versions"].items()
    ]


def is_old(workspace: "Workspace", instant: datetime) -> bool:
    """Whether nobody can be reading any more what was given up at an instant."""
    return workspace.clock() - instant > workspace.settings.lake.vacuum_grace
