"""How the sources of a use case stand, read from their receipts and attempts, and told where something is wrong.

No model has a part in it: sources of pure ingestion, and those of a use case without a champion, are judged as all are.
"""

import logging
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from trunkline.checks import arrow_schema
from trunkline.contracts.records import RECEIPTS, Receipt
from trunkline.errors import AuthorError, TrunklineError
from trunkline.ingest.budget import budget_of
from trunkline.monitor import SourceHealth, health_of, source_alerts
from trunkline.run.alerts import write_alerts
from trunkline.run.attempts import note_declared, recent_attempts
from trunkline.run.declared import refuse_misdeclared
from trunkline.run.notifying import announce

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from trunkline.lake import Lake
    from trunkline.run.workspace import Workspace
    from trunkline.spec import UseCase

__all__ = [
    "HISTORY_DAYS",
    "MOST_RECEIPTS",
    "check_sources",
    "checked_sources",
    "look_after_sources",
    "recent_receipts",
    "source_health",
]

_logger = logging.getLogger(__name__)

HISTORY_DAYS: Final = 400
"""Days of receipts that are looked at."""

MOST_RECEIPTS: Final = 20_000
"""The newest receipts that are looked at."""


def checked_sources(workspace: "Workspace", usecases: "Iterable[str]") -> tuple[SourceHealth, ...]:
    """Judge the sources of several use cases, raise their alerts, and tell those whom the settings name.

    A use case that is broken has no sources: a warning says so, and the others are judged.

    Args:
        workspace: As for :func:`source_health`.
        usecases: Their names.

    Raises:
        UnknownNameError: There is no such use case, or a source names one that is not installed, or a dataset that its
            use case has not.
        BusyError: A writer held a table for too long.
    """
    found: list[SourceHealth] = []
    for source, declared in workspace.settings.sources.items():
        refuse_misdeclared(workspace, source, declared, usecase="")
    for name in usecases:
        try:
            usecase = workspace.usecase(name)
        except AuthorError as error:
            _logger.warning("sources of %s are not judged: %s", name, error.what, extra={"usecase": name})
            continue
        for source, declared in workspace.settings.sources.items():
            if declared.usecase == name:
                refuse_misdeclared(workspace, source, declared)
        found += check_sources(workspace, usecase, run_id="sources")
    announce(workspace)
    return tuple(found)


def check_sources(workspace: "Workspace", usecase: "UseCase", *, run_id: str) -> tuple[SourceHealth, ...]:
    """Judge the sources of a use case now, and raise an alert of each problem that was not told yet.

    A declared source that was never seen is noted, so that it can be late from then on.

    Args:
        workspace: As for :func:`source_health`.
        usecase: The use case.
        run_id: Who looks.

    Returns:
        How they stand.

    Raises:
        BusyError: A writer held a table for too long.
    """
    now = workspace.clock()
    found = source_health(workspace, usecase, now=now)
    note_declared(workspace, [one.key for one in found if one.is_declared and not one.is_known])
    for alert in source_alerts(found, run_id=run_id, raised_at=now):  # each is written once for as long as it lasts
        write_alerts(workspace.lake, [alert], under=f"alert:{alert.alert_id}")
    return found


def look_after_sources(workspace: "Workspace", usecase: "UseCase", *, run_id: str) -> None:
    """Judge the sources of a use case after rows came in: what goes wrong with that is logged, and harms no rows.

    Args:
        workspace: As for :func:`source_health`.
        usecase: The use case.
        run_id: Who took the rows in.
    """
    try:
        check_sources(workspace, usecase, run_id=run_id)
    except TrunklineError as error:
        _logger.warning("sources of %s are not judged: %s", usecase.name, error.what, extra={"usecase": usecase.name})


def source_health(workspace: "Workspace", usecase: "UseCase", *, now: datetime) -> tuple[SourceHealth, ...]:
    """Judge the sources of a use case.

    Args:
        workspace: Its settings declare sources and the reject budget; its lake holds receipts and attempts.
        usecase: The use case.
        now: UTC.

    """
    settings = workspace.settings
    return health_of(
        recent_receipts(workspace.lake, now=now, usecase=usecase.name),
        attempts=recent_attempts(workspace.lake, since=now - timedelta(days=HISTORY_DAYS), usecase=usecase.name),
        declared={name: one for name, one in settings.sources.items() if one.usecase == usecase.name},
        mains={usecase.name: usecase.main},
        budgets={
            (usecase.name, dataset): budget_of(contract.table, settings.ingest.reject_budget)
            for dataset, contract in usecase.datasets.items()
        },
        now=now,
    )


def recent_receipts(
    lake: "Lake", *, now: datetime, usecase: str | None = None, dataset: str | None = None
) -> list[Receipt]:
    """Read the receipts of the last days, the newest first.

    Args:
        lake: The lake.
        now: UTC.
        usecase: Only of this use case.
        dataset: Only of datasets of this name.
    """
    if not lake.exists(RECEIPTS):
        return []

    def recent(rows: "ir.Table") -> "ir.Table":
        import ibis

        kept = rows.filter(rows["finished_at"] >= ibis.literal(now - timedelta(days=HISTORY_DAYS)))
        for name, value in (("usecase", usecase), ("dataset", dataset)):
            if value is not None:
                kept = kept.filter(kept[name] == value)
        return kept.order_by(ibis.desc("finished_at"), ibis.desc("batch_id")).limit(MOST_RECEIPTS)

    rows = lake.collect(recent, RECEIPTS, schemas={RECEIPTS: arrow_schema(Receipt)}).to_pylist()
    # they were judged when they were written; judging twenty thousand again takes seconds
    return [Receipt.model_construct(**row) for row in rows]
