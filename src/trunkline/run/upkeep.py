"""Maintenance of a workspace: compaction, retention, versions that are still needed, candidates that are not.

A version of a table stays readable while a live model was trained on it, or a run that goes on, or may be gone on with.
What is damaged is told and does not stop the rest; the versions it may need are kept.
"""

import json
import shutil
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Final

from pydantic import BaseModel, ConfigDict

from trunkline.checks import arrow_schema
from trunkline.contracts.records import QUARANTINE, RECORDS, VAULT, StepRecord
from trunkline.errors import TrunklineError
from trunkline.ingest.receipts import taken_pieces
from trunkline.run.records import STEPS_TABLE, newest_states
from trunkline.spec import Incremental

if TYPE_CHECKING:
    from trunkline.run.workspace import Workspace

__all__ = ["Maintained", "Upkeep", "maintain"]


class Maintained(BaseModel):
    """What maintenance did to one table.

    Attributes:
        table: The table.
        version: Its newest version.
        pinned: Versions that stay readable because a live model was trained on them, or a run may need them.
        compacted: Data files that compaction made fewer.
        files_removed: Data and log files that retention let go.
    """

    model_config = ConfigDict(frozen=True)

    table: str
    version: int
    pinned: tuple[int, ...]
    compacted: int
    files_removed: int


class Upkeep(BaseModel):
    """What maintenance did.

    Attributes:
        tables: One entry per table.
        candidates_removed: Runs whose candidate was removed: it is a version of the registry.
        landing_freed_bytes: Bytes of raw files that retention let go.
        problems: What was found damaged, a sentence each.
    """

    model_config = ConfigDict(frozen=True)

    tables: tuple[Maintained, ...]
    candidates_removed: tuple[str, ...]
    landing_freed_bytes: int
    problems: tuple[str, ...]


FOLDED: Final = (QUARANTINE, VAULT)
"""Platform tables whose older states are folded away: only the newest state of a row, or entry of the vault, counts."""


def maintain(workspace: "Workspace", *, progress: Callable[[str, float], None]) -> Upkeep:
    """Compact tables, remove what retention lets go, and candidates that have become versions.

    Args:
        workspace: The workspace.
        progress: Told which table is being done.

    Raises:
        BusyError: A writer holds a table for too long.
    """
    from trunkline.lake import Upsert

    lake = workspace.lake
    pins, problems = _pins(workspace)
    upserts = {
        name: Upsert(key=RECORDS[name].table.key, newest_by=(str(RECORDS[name].table.event_at),)) for name in FOLDED
    }
    installed = workspace.installed()
    problems += tuple(str(error) for error in installed.broken.values())
    for usecase in installed.usecases.values():
        upserts |= {
            usecase.table_name(name): Upsert(key=table.contract.table.key, newest_by=("_ingested_at",))
            for name, table in usecase.derived.items()
            if isinstance(table.refresh, Incremental)
        }
    done = []
    tables = lake.tables()
    for position, table in enumerate(tables):
        progress(f"maintain {table}", position / len(tables))
        pinned = sorted(pins.get(table, ()))
        (found,) = lake.maintain(pins={table: pinned}, tables=[table], upserts=upserts)
        done.append(
            Maintained(
                table=table,
                version=found.version,
                pinned=tuple(pinned),
                compacted=found.folded_files,
                files_removed=found.removed_files + found.removed_log_files,
            )
        )
    removed = _remove_candidates(workspace)
    freed = _tidy_landing(workspace, without=set(installed.broken))
    progress("done", 1.0)
    return Upkeep(tables=tuple(done), candidates_removed=removed, landing_freed_bytes=freed, problems=problems)


def _tidy_landing(workspace: "Workspace", *, without: set[str]) -> int:
    """Remove raw files beyond their retention, and what killed processes left beside them; gives the bytes freed.

    Those of broken use cases stay: whether they are encrypted is for their contracts to say.
    """
    root, retention = workspace.root / "landing", workspace.settings.landing.retention
    freed = 0
    for folder in sorted(root.iterdir()) if root.is_dir() else []:
        if folder.name.partition(".")[0] in without:
            continue
        landing = workspace.landing(folder.name)
        landing.tidy(older_than=workspace.settings.lake.vacuum_grace)
        if retention is not None:
            usecase, _, dataset = folder.name.partition(".")
            taken = taken_pieces(workspace.lake, usecase=usecase, dataset=dataset)
            freed += landing.forget(before=workspace.clock() - retention, taken=taken)
    return freed


def _pins(workspace: "Workspace") -> tuple[dict[str, set[int]], tuple[str, ...]]:
    """Versions that must stay, by table, and what was found damaged on the way."""
    from trunkline.tasks import Model

    pins: dict[str, set[int]] = {}
    problems: list[str] = []
    needed = {
        run.run_id
        for run in newest_states(workspace)
        if run.state == "started" and (workspace.is_running(run.usecase) or not _is_old(workspace, run.changed_at))
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
                lineage = Model.load(workspace.registry.folder(usecase, alias)).info.lineage
            except TrunklineError as error:
                problems.append(str(error))
                continue
            for name, version in lineage.items():
                if name.startswith("table:"):
                    pins.setdefault(name.removeprefix("table:"), set()).add(int(str(version)))
    for table, version in _trained_on(workspace, runs=needed, usecases=unclear):
        pins.setdefault(table, set()).add(version)
    return pins, tuple(problems)


def _trained_on(workspace: "Workspace", *, runs: set[str], usecases: set[str]) -> list[tuple[str, int]]:
    """Tables and versions that runs, and all runs of use cases, have read for their training."""
    if not (runs or usecases) or not workspace.lake.exists(STEPS_TABLE):
        return []
    documents = workspace.lake.arrow(
        STEPS_TABLE,
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


def _remove_candidates(workspace: "Workspace") -> tuple[str, ...]:
    """Remove the candidates of finished runs that are versions of the registry, once nobody can be reading them."""
    folder = workspace.root / "candidates"
    lying = {path.name for path in folder.iterdir() if path.is_dir()} if folder.is_dir() else set()
    old = [
        run.run_id
        for run in newest_states(workspace)
        if run.run_id in lying and run.state == "finished" and _is_old(workspace, run.changed_at)
    ]
    if not old:
        return ()
    registered = set(
        workspace.lake.arrow(
            STEPS_TABLE,
            schema=arrow_schema(StepRecord),
            where=lambda table: (table["step"] == "register") & table["run_id"].isin(old),
        )
        .column("run_id")
        .to_pylist()
    )
    removed = [run_id for run_id in old if run_id in registered]
    for run_id in removed:
        shutil.rmtree(folder / run_id)
    return tuple(removed)


def _is_old(workspace: "Workspace", instant: datetime) -> bool:
    return workspace.clock() - instant > workspace.settings.lake.vacuum_grace
