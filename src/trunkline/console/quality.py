"""What the receipts say of the quality of data: per dataset and day, rule, source, column and contract.

Takes receipts as they are stored, gives frozen records for a page. Pure: the clock and the declared sources come in as
arguments, nothing is read here.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from trunkline.contracts.records import Receipt
from trunkline.monitor import SourceHealth, SourceKey, source_of
from trunkline.report.charts import (
    DayRows,
    Freshness,
    durations_chart,
    freshness_chart,
    refused_chart,
    rejects_chart,
    rows_chart,
)
from trunkline.report.drawing import Chart
from trunkline.spec.sources import AnySource

__all__ = ["ColumnSeen", "ContractSeen", "DatasetQuality", "dataset_quality", "quality_charts"]


@dataclass(frozen=True)
class ContractSeen:
    """A version of the contract under which batches came in.

    Attributes:
        fingerprint: Its hash.
        first_at: Its first batch, UTC.
        last_at: Its last batch, UTC.
        batches: How many.
        is_current: Whether it is the contract as it is installed.
    """

    fingerprint: str
    first_at: datetime
    last_at: datetime
    batches: int
    is_current: bool


@dataclass(frozen=True)
class ColumnSeen:
    """A column in which a source and the contract differ.

    Attributes:
        name: The column, or the field that the source lacks.
        source: The source.
        is_extra: Whether the source has it and the contract does not know it; False: the source lacks it.
        batches: In how many batches.
        last_at: In which last, UTC.
    """

    name: str
    source: SourceKey
    is_extra: bool
    batches: int
    last_at: datetime


@dataclass(frozen=True)
class DatasetQuality:
    """The quality of one dataset over a span of days.

    Attributes:
        usecase: The use case.
        dataset: The dataset.
        days: Every day of the span, oldest first, also those without rows.
        batches: Batches of the span.
        reasons: Check or rule to rows that broke it, most first.
        durations: Instant and seconds of each batch of the span, oldest first.
        sources: All sources, also those that did not deliver in the span.
        contracts: Contracts of all batches known, the newest first.
        columns: Columns in which sources and contract differ, of the span.
        last_batch_at: The newest batch with accepted rows, UTC; None without any.
        newest_event_at: The newest event in the table, UTC; None where the contract names no event time.
        budget: Largest share of rows that may be refused; None for any.
        now: When this was put together, UTC.
    """

    usecase: str
    dataset: str
    days: tuple[DayRows, ...]
    batches: int
    reasons: tuple[tuple[str, int], ...]
    durations: tuple[tuple[datetime, float], ...]
    sources: tuple[SourceHealth, ...]
    contracts: tuple[ContractSeen, ...]
    columns: tuple[ColumnSeen, ...]
    last_batch_at: datetime | None
    newest_event_at: datetime | None
    budget: float | None
    now: datetime

    @property
    def accepted(self) -> int:
        """Rows written to the lake in the span."""
        return sum(day.accepted for day in self.days)

    @property
    def quarantined(self) -> int:
        """Rows refused in the span."""
        return sum(day.quarantined for day in self.days)

    @property
    def duplicates(self) -> int:
        """Rows left out as repetitions in the span."""
        return sum(day.duplicates for day in self.days)

    @property
    def read(self) -> int:
        """Rows read in the span."""
        return sum(day.read for day in self.days)

    @property
    def refused_share(self) -> float | None:
        """Share of refused rows in the span; None without rows."""
        return self.quarantined / self.read if self.read else None

    @property
    def age_seconds(self) -> float | None:
        """Time since the newest batch with accepted rows."""
        return None if self.last_batch_at is None else (self.now - self.last_batch_at).total_seconds()

    @property
    def event_lag_seconds(self) -> float | None:
        """Time since the newest event in the table; below zero where events lie ahead."""
        return None if self.newest_event_at is None else (self.now - self.newest_event_at).total_seconds()

    @property
    def troubled(self) -> int:
        """Sources with something wrong."""
        return sum(bool(source.findings) for source in self.sources)


def dataset_quality(  # noqa: PLR0913 - what one page rests on
    usecase: str,
    dataset: str,
    *,
    receipts: Iterable[Receipt],
    health: Sequence[SourceHealth],
    declared: Mapping[str, AnySource],
    fingerprint: str,
    budget: float | None,
    newest_event_at: datetime | None,
    days: int,
    now: datetime,
) -> DatasetQuality:
    """Put together what the receipts say of one dataset.

    Args:
        usecase: The use case.
        dataset: The dataset.
        receipts: Receipts of any datasets, in any order.
        health: Health of the sources of any datasets.
        declared: Declared sources by name.
        fingerprint: Of the contract as it is installed.
        budget: Largest share of rows that may be refused; None for any.
        newest_event_at: The newest event in the table, UTC; None for none.
        days: Length of the span up to today.
        now: UTC.
    """
    own = sorted(
        (receipt for receipt in receipts if (receipt.usecase, receipt.dataset) == (usecase, dataset)),
        key=lambda receipt: (receipt.finished_at, receipt.batch_id),
    )
    today = now.astimezone(UTC).date()
    first = today - timedelta(days=days - 1)
    span = [receipt for receipt in own if first <= receipt.finished_at.astimezone(UTC).date() <= today]
    accepted_at = [receipt.finished_at for receipt in own if receipt.accepted]
    return DatasetQuality(
        usecase=usecase,
        dataset=dataset,
        days=_by_day(span, [first + timedelta(days=number) for number in range(days)]),
        batches=len(span),
        reasons=_reasons(span),
        durations=tuple(
            (receipt.finished_at, (receipt.finished_at - receipt.started_at).total_seconds()) for receipt in span
        ),
        sources=tuple(one for one in health if (one.key.usecase, one.key.dataset) == (usecase, dataset)),
        contracts=_contracts(own, fingerprint),
        columns=_columns(span, declared),
        last_batch_at=accepted_at[-1] if accepted_at else None,
        newest_event_at=newest_event_at,
        budget=budget,
        now=now,
    )


def quality_charts(found: DatasetQuality) -> tuple[Chart, ...]:
    """Give the charts of a dataset; none of rows when none came in the span."""
    charts = []
    if found.read:
        charts += [rows_chart(found.days), refused_chart(found.days, budget=found.budget)]
    if found.reasons:
        charts.append(rejects_chart(found.reasons))
    fresh = [
        Freshness(
            one.key.label,
            (found.now - one.newest.at).total_seconds() / 3600,
            None if one.due_at is None else (one.due_at - one.newest.at).total_seconds() / 3600,
            any(finding.problem == "late" for finding in one.findings),
        )
        for one in found.sources
        if one.newest is not None
    ]
    if fresh:
        charts.append(freshness_chart(fresh))
    if found.durations:
        charts.append(durations_chart(found.durations))
    return tuple(charts)


def _by_day(receipts: Sequence[Receipt], days: Sequence[date]) -> tuple[DayRows, ...]:
    counts = {day: [0, 0, 0] for day in days}
    for receipt in receipts:
        found = counts[receipt.finished_at.astimezone(UTC).date()]
        for place, rows in enumerate((receipt.accepted, receipt.quarantined, receipt.duplicates)):
            found[place] += rows
    return tuple(DayRows(day, *found) for day, found in counts.items())


def _reasons(receipts: Sequence[Receipt]) -> tuple[tuple[str, int], ...]:
    counted: Counter[str] = Counter()
    for receipt in receipts:
        for name, rows in json.loads(receipt.reasons or "{}").items():
            counted[str(name)] += int(rows)
    return tuple(sorted(counted.items(), key=lambda pair: (-pair[1], pair[0])))


def _contracts(receipts: Sequence[Receipt], current: str) -> tuple[ContractSeen, ...]:
    found: dict[str, list[datetime]] = {}
    for receipt in receipts:
        found.setdefault(receipt.contract_fingerprint, []).append(receipt.finished_at)
    seen = [
        ContractSeen(fingerprint, instants[0], instants[-1], len(instants), is_current=fingerprint == current)
        for fingerprint, instants in found.items()
    ]
    return tuple(sorted(seen, key=lambda one: one.first_at, reverse=True))


def _columns(receipts: Sequence[Receipt], declared: Mapping[str, AnySource]) -> tuple[ColumnSeen, ...]:
    found: dict[tuple[str, SourceKey, bool], list[datetime]] = {}
    for receipt in receipts:
        key = source_of(receipt.usecase, receipt.dataset, source=receipt.source, piece=receipt.piece, declared=declared)
        for text, is_extra in ((receipt.extra_columns, True), (receipt.absent_columns, False)):
            for name in json.loads(text or "[]"):
                found.setdefault((str(name), key, is_extra), []).append(receipt.finished_at)
    seen = [
        ColumnSeen(name, source, is_extra, len(instants), instants[-1])
        for (name, source, is_extra), instants in found.items()
    ]
    return tuple(sorted(seen, key=lambda one: (not one.is_extra, one.source, one.name)))
