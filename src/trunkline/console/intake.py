"""Questions to the lake about what came in: receipts, attempts, the newest events, and sums per source.

Takes a lake and what is installed and declared, gives the records of :mod:`trunkline.console.quality` and the state of
every source. Receipts older than the history, or beyond the newest so many, are left out of everything but the sums.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from trunkline.checks import arrow_schema
from trunkline.console.quality import DatasetQuality, dataset_quality
from trunkline.contracts import Contract
from trunkline.contracts.records import ATTEMPTS, RECEIPTS, Receipt, SourceAttempt
from trunkline.ingest.budget import budget_of
from trunkline.monitor import SourceHealth, SourceKey, health_of, source_of
from trunkline.run.attempts import recent_attempts
from trunkline.run.source_health import HISTORY_DAYS, recent_receipts
from trunkline.spec import UseCase
from trunkline.spec.sources import AnySource

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from trunkline.lake import Lake

__all__ = ["Intake", "SourceState"]


@dataclass(frozen=True)
class SourceState:
    """A source with the sums of all its receipts.

    Attributes:
        health: How it stands.
        batches: Batches ever.
        accepted: Rows ever written to the lake.
        quarantined: Rows ever refused.
        duplicates: Rows ever left out as repetitions.
        seconds: Time that all batches took.
        size_bytes: Bytes of all batches as they came, where they were counted.
        errors: Files, pieces and pulls of it that were ever refused.
    """

    health: SourceHealth
    batches: int = 0
    accepted: int = 0
    quarantined: int = 0
    duplicates: int = 0
    seconds: float = 0.0
    size_bytes: int = 0
    errors: int = 0


@dataclass(frozen=True)
class Intake:
    """Looks at what came in.

    Attributes:
        usecases: Installed use cases by name.
        declared: Declared sources by name.
        reject_budget: Of the settings, share in [0, 1]; None for none. A contract's own wins.
    """

    usecases: Mapping[str, UseCase]
    declared: Mapping[str, AnySource]
    reject_budget: float | None

    def quality(
        self, lake: "Lake", *, days: int, now: datetime, only: tuple[str, str] | None = None
    ) -> tuple[DatasetQuality, ...]:
        """Judge the quality of every dataset that is installed: troubled ones first, then those with rows.

        Args:
            lake: The lake.
            days: Length of the span up to today.
            now: UTC.
            only: Use case and dataset, to look at that one alone.
        """
        receipts = recent_receipts(lake, now=now, usecase=only and only[0], dataset=only and only[1])
        health = self._health(lake, receipts, now=now, usecase=only and only[0])
        judged = (
            dataset_quality(
                usecase,
                dataset,
                receipts=receipts,
                health=health,
                declared=self.declared,
                fingerprint=contract.fingerprint,
                budget=self._budget(contract),
                newest_event_at=_newest_event(lake, f"{usecase}.{dataset}", contract),
                days=days,
                now=now,
            )
            for (usecase, dataset), contract in self._datasets().items()
            if only is None or only == (usecase, dataset)
        )
        return tuple(
            sorted(judged, key=lambda found: (not found.troubled, not found.sources, found.last_batch_at is None))
        )

    def sources(self, lake: "Lake", *, now: datetime) -> tuple[SourceState, ...]:
        """Give the state of every source.

        Args:
            lake: The lake.
            now: UTC.
        """
        sums: dict[SourceKey, SourceState] = {
            one.key: SourceState(one) for one in self._health(lake, recent_receipts(lake, now=now), now=now)
        }
        for row in _sums(lake):
            key = source_of(
                str(row["usecase"]),
                str(row["dataset"]),
                source=str(row["source"]),
                piece=None if row["piece"] is None else str(row["piece"]),
                declared=self.declared,
            )
            state = sums.get(key)
            if state is not None:
                sums[key] = replace(
                    state,
                    batches=state.batches + int(str(row["batches"])),
                    accepted=state.accepted + int(str(row["accepted"])),
                    quarantined=state.quarantined + int(str(row["quarantined"])),
                    duplicates=state.duplicates + int(str(row["duplicates"])),
                    seconds=state.seconds + float(str(row["seconds"])),
                    size_bytes=state.size_bytes + int(str(row["bytes"] or 0)),
                )
        for row in _refusals(lake):
            usecase, source, refused = str(row["usecase"]), str(row["source"]), int(str(row["refused"]))
            dataset = row["dataset"]
            # what was refused before anything told its dataset stands with the first that the source is known by
            keys = [
                key for key in sums if (key.usecase, key.source) == (usecase, source) and dataset in (None, key.dataset)
            ]
            for key in keys[:1]:
                sums[key] = replace(sums[key], errors=sums[key].errors + refused)
        return tuple(sums.values())

    def _datasets(self) -> dict[tuple[str, str], type[Contract]]:
        return {
            (usecase.name, dataset): contract
            for usecase in sorted(self.usecases.values(), key=lambda one: one.name)
            for dataset, contract in usecase.datasets.items()
        }

    def _budget(self, contract: type[Contract]) -> float | None:
        return budget_of(contract.table, self.reject_budget)

    def _health(
        self, lake: "Lake", receipts: Sequence[Receipt], *, now: datetime, usecase: str | None = None
    ) -> tuple[SourceHealth, ...]:
        return health_of(
            receipts,
            attempts=recent_attempts(lake, since=now - timedelta(days=HISTORY_DAYS), usecase=usecase),
            declared=self.declared,
            mains={name: usecase.main for name, usecase in self.usecases.items()},
            budgets={key: self._budget(contract) for key, contract in self._datasets().items()},
            now=now,
        )


def _sums(lake: "Lake") -> list[dict[str, object]]:
    if not lake.exists(RECEIPTS):
        return []

    def summed(rows: "ir.Table") -> "ir.Table":
        # engines differ in whether they give fractions here, whatever the type says
        ends, begins = (rows[name].epoch_seconds().cast("float64") for name in ("finished_at", "started_at"))
        return rows.group_by(["usecase", "dataset", "source", "piece"]).aggregate(
            batches=rows.count(),
            accepted=rows["accepted"].sum(),
            quarantined=rows["quarantined"].sum(),
            duplicates=rows["duplicates"].sum(),
            seconds=(ends - begins).sum(),
            bytes=rows["bytes"].sum(),
        )

    found: list[dict[str, object]] = lake.collect(
        summed, RECEIPTS, schemas={RECEIPTS: arrow_schema(Receipt)}
    ).to_pylist()
    return found


def _refusals(lake: "Lake") -> list[dict[str, object]]:
    """Files and pieces that were refused, ever, per source."""
    if not lake.exists(ATTEMPTS):
        return []

    def summed(rows: "ir.Table") -> "ir.Table":
        return rows.group_by(["usecase", "dataset", "source"]).aggregate(refused=rows["refused"].sum())

    found: list[dict[str, object]] = lake.collect(
        summed, ATTEMPTS, schemas={ATTEMPTS: arrow_schema(SourceAttempt)}
    ).to_pylist()
    return found


def _newest_event(lake: "Lake", table: str, contract: type[Contract]) -> datetime | None:
    event_at = contract.table.event_at
    if event_at is None or not lake.exists(table):
        return None
    field = arrow_schema(contract).field(event_at)
    if str(field.type) != "timestamp[us, tz=UTC]":
        return None

    def newest(rows: "ir.Table") -> "ir.Table":
        return rows.aggregate(at=rows[event_at].max())

    import pyarrow as pa

    found = lake.collect(newest, table, schemas={table: pa.schema([field])}).column("at")[0].as_py()
    return found.astimezone(UTC) if isinstance(found, datetime) else None
