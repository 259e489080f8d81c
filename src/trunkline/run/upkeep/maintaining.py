"""Maintenance of a workspace: retention, compaction, versions that are still needed, candidates that are not.

A version of a table stays readable while a live model was trained on it, or a run that goes on, or may be gone on with.
What is damaged is told and does not stop the rest; the versions it may need are kept. Without ``act`` nothing is
changed, and what would go is told.
"""

import shutil
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Final

from pydantic import BaseModel, ConfigDict

from trunkline.checks import arrow_schema
from trunkline.contracts import Contract
from trunkline.contracts.records import QUARANTINE, RECORDS, STEPS, VAULT, StepRecord
from trunkline.errors import TrunklineError
from trunkline.run.records import newest_states
from trunkline.run.scheduling import JOBS, JobRecord
from trunkline.run.upkeep.archive_list import ARCHIVES, ArchiveRecord
from trunkline.run.upkeep.landed import tidy_landing
from trunkline.run.upkeep.pins import is_old, pinned_versions
from trunkline.run.upkeep.retiring import retire
from trunkline.run.upkeep.ripening import Rule, ripe_rows, rules_of
from trunkline.spec import Incremental, UseCase

if TYPE_CHECKING:
    from trunkline.lake import Lake, Upsert
    from trunkline.run.workspace import Workspace

__all__ = ["Maintained", "TableStock", "Upkeep", "maintain"]


class TableStock(BaseModel):
    """What a table takes, and what that costs.

    Attributes:
        files: Data files of the newest version.
        live_bytes: Their bytes.
        superseded_files: Data files that only older versions need, or nobody.
        superseded_bytes: Their bytes.
        versions: Versions that can be opened.
        log_files: Files of the log.
        log_bytes: Their bytes.
        cost_per_month: Of all bytes, by ``lake.price_per_gb_month``.
    """

    model_config = ConfigDict(frozen=True)

    files: int
    live_bytes: int
    superseded_files: int
    superseded_bytes: int
    versions: int
    log_files: int
    log_bytes: int
    cost_per_month: float


class Maintained(BaseModel):
    """What maintenance did to one table, or would do.

    Attributes:
        table: The table.
        version: Its newest version.
        pinned: Versions that stay readable because a live model was trained on them, or a run may need them.
        rows_retired: Rows past their time that left the table.
        keeps: How long rows are kept; empty for ever.
        oldest_at: The oldest of the rows that would go; None unless nothing was done.
        compacted: Data files that compaction made fewer; 0 when nothing was done.
        files_removed: Data and log files that retention let go; of a look, data files.
        stock: What the table takes, afterwards.
    """

    model_config = ConfigDict(frozen=True)

    table: str
    version: int
    pinned: tuple[int, ...]
    rows_retired: int
    keeps: str
    oldest_at: datetime | None
    compacted: int
    files_removed: int
    stock: TableStock


class Upkeep(BaseModel):
    """What maintenance did, or would do.

    Attributes:
        done: Whether anything was changed; a look changes nothing.
        tables: One entry per table.
        candidates_removed: Runs whose candidate was removed: it is a version of the registry.
        landing_freed_bytes: Bytes of raw files that retention let go.
        records_folded: Records of such raw files that were folded away; 0 when nothing was done.
        problems: What was found damaged, a sentence each.
        failed: What could not be done, a sentence each; the rest was.
    """

    model_config = ConfigDict(frozen=True)

    done: bool
    tables: tuple[Maintained, ...]
    candidates_removed: tuple[str, ...]
    landing_freed_bytes: int
    records_folded: int
    problems: tuple[str, ...]
    failed: tuple[str, ...]

    @property
    def cost_per_month(self) -> float:
        """Of all tables."""
        return sum(table.stock.cost_per_month for table in self.tables)


_LOCK: Final = "maintain.lock"

FOLDED: Final[Mapping[str, type[Contract]]] = {
    QUARANTINE: RECORDS[QUARANTINE],
    VAULT: RECORDS[VAULT],
    JOBS: JobRecord,
    ARCHIVES: ArchiveRecord,
}
"""Platform tables whose older states are folded away: only the newest state of a row, or entry of the vault, counts."""


def maintain(workspace: "Workspace", *, progress: Callable[[str, float], None], act: bool = True) -> Upkeep:
    """Let go of rows past their time, compact tables, remove what retention lets go, and needless candidates.

    Args:
        workspace: The workspace.
        progress: Told which table is being done.
        act: False only looks at what would go.

    Raises:
        BusyError: Somebody else maintains the workspace, or a writer holds a table for too long.
        UnknownNameError: The settings let rows of a table go that there is not.
    """
    from trunkline.lake import held

    if not act:
        return _maintained(workspace, progress=progress, act=False)
    with held(workspace.folder("locks") / _LOCK, what="maintenance of this workspace", clock=workspace.clock):
        return _maintained(workspace, progress=progress, act=True)


def _maintained(workspace: "Workspace", *, progress: Callable[[str, float], None], act: bool) -> Upkeep:
    lake = workspace.lake
    installed = workspace.installed()
    rules = rules_of(workspace, installed)
    pins, problems = pinned_versions(workspace)
    problems += tuple(str(error) for error in installed.broken.values())
    upserts = _upserts(installed.usecases.values())
    done, failed = [], []
    tables = lake.tables()
    for position, table in enumerate(tables):
        progress(f"maintain {table}", position / len(tables))
        pinned = sorted(pins.get(table, ()))
        rule = rules.get(table)
        if not act:
            done.append(_looked_at(workspace, table, pinned, rule))
            continue
        gone = 0
        try:
            gone = 0 if rule is None else retire(workspace, rule, now=workspace.clock())
        except TrunklineError as error:
            failed.append(f"{table}: rows past their time stay: {error}")
        (found,) = lake.maintain(pins={table: pinned}, tables=[table], upserts=upserts)
        done.append(
            Maintained(
                table=table,
                version=found.version,
                pinned=tuple(pinned),
                rows_retired=gone,
                keeps=_said(rule),
                oldest_at=None,
                compacted=found.folded_files,
                files_removed=found.removed_files + found.removed_log_files,
                stock=_stock(lake, table),
            )
        )
    removed = _candidates(workspace)
    if act:
        for run_id in removed:
            shutil.rmtree(workspace.root / "candidates" / run_id)
    landed = tidy_landing(workspace, act=act, without=set(installed.broken))
    progress("done", 1.0)
    return Upkeep(
        done=act,
        tables=tuple(done),
        candidates_removed=removed,
        landing_freed_bytes=landed.freed_bytes,
        records_folded=landed.records_folded,
        problems=problems,
        failed=tuple(failed),
    )


def _looked_at(workspace: "Workspace", table: str, pinned: list[int], rule: Rule | None) -> Maintained:
    lake = workspace.lake
    ripe = None if rule is None else ripe_rows(workspace, rule, now=workspace.clock())
    version = lake.version(table)
    assert version is not None, "it was listed"
    return Maintained(
        table=table,
        version=version,
        pinned=tuple(pinned),
        rows_retired=ripe.rows if ripe else 0,
        keeps=_said(rule),
        oldest_at=ripe.oldest_at if ripe else None,
        compacted=0,
        files_removed=len(lake.removable(table, pins=pinned)),
        stock=_stock(lake, table),
    )


def _said(rule: Rule | None) -> str:
    if rule is None:
        return ""
    return f"{rule.keep.days:g} days by {rule.columns[0]}{', archived' if rule.keep.archive else ''}"


def _stock(lake: "Lake", table: str) -> TableStock:
    found = lake.stock(table)
    return TableStock(
        files=found.files,
        live_bytes=found.live_bytes,
        superseded_files=found.superseded_files,
        superseded_bytes=found.superseded_bytes,
        versions=found.versions,
        log_files=found.log_files,
        log_bytes=found.log_bytes,
        cost_per_month=found.cost_per_month(lake.settings.price_per_gb_month),
    )


def _upserts(usecases: Iterable[UseCase]) -> "dict[str, Upsert]":
    from trunkline.lake import Upsert

    upserts = {
        name: Upsert(key=contract.table.key, newest_by=(str(contract.table.event_at),))
        for name, contract in FOLDED.items()
    }
    for usecase in usecases:
        upserts |= {
            usecase.table_name(name): Upsert(key=table.contract.table.key, newest_by=("_ingested_at",))
            for name, table in usecase.derived.items()
            if isinstance(table.refresh, Incremental)
        }
        upserts |= {
            usecase.table_name(name): Upsert(key=table.key, newest_by=("_ingested_at",))
            for name, table in usecase.windows.items()
        }
    return upserts


def _candidates(workspace: "Workspace") -> tuple[str, ...]:
    """Name the finished runs whose candidates are versions of the registry, once nobody can be reading them."""
    folder = workspace.root / "candidates"
    lying = {path.name for path in folder.iterdir() if path.is_dir()} if folder.is_dir() else set()
    old = [
        run.run_id
        for run in newest_states(workspace)
        if run.run_id in lying and run.state == "finished" and is_old(workspace, run.changed_at)
    ]
    if not old:
        return ()
    registered = set(
        workspace.lake.arrow(
            STEPS,
            schema=arrow_schema(StepRecord),
            where=lambda table: (table["step"] == "register") & table["run_id"].isin(old),
        )
        .column("run_id")
        .to_pylist()
    )
    return tuple(run_id for run_id in old if run_id in registered)
