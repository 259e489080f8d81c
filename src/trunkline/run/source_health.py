"""How the sources of a use case stand, read from the receipts of their batches."""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from trunkline.checks import arrow_schema
from trunkline.contracts.records import RECEIPTS, Receipt
from trunkline.ingest.budget import budget_of
from trunkline.monitor import SourceHealth, health_of

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from trunkline.lake import Lake
    from trunkline.run.workspace import Workspace
    from trunkline.spec import UseCase

__all__ = ["HISTORY_DAYS", "MOST_RECEIPTS", "recent_receipts", "source_health"]

HISTORY_DAYS: Final = 400
"""Days of receipts that are looked at."""

MOST_RECEIPTS: Final = 20_000
"""The newest receipts that are looked at."""


def source_health(workspace: "Workspace", usecase: "UseCase", *, now: datetime) -> tuple[SourceHealth, ...]:
    """Judge the sources of a use case.

    Args:
        workspace: Its settings declare sources and the reject budget; its lake holds the receipts.
        usecase: The use case.
        now: UTC.

    Raises:
        InputError: The cron line of a declared source cannot be read.
    """
    settings = workspace.settings
    return health_of(
        recent_receipts(workspace.lake, now=now, usecase=usecase.name),
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
