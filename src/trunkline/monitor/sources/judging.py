"""What is wrong with a source, judged by the receipts of its batches, its schedule and its reject budget. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from math import expm1, log1p
from statistics import median
from typing import Final

from trunkline.contracts.records import Receipt
from trunkline.monitor.schedules import due_after
from trunkline.monitor.sources.belonging import FILES, source_of
from trunkline.monitor.sources.health import Arrival, Finding, SourceHealth, SourceKey
from trunkline.spec.sources import AnySource

__all__ = ["LATE_GAPS", "LEAST_GAPS", "LEAST_HISTORY", "SMALL_Z", "health_of"]

LEAST_HISTORY: Final = 8
"""Earlier arrivals from which a source has a usual size."""

LEAST_GAPS: Final = 3
"""Gaps between arrivals from which a source without a schedule has a usual gap."""

LATE_GAPS: Final = 3.0
"""Usual gaps after which a source without a schedule is late."""

SMALL_Z: Final = -3.5
"""Modified z-score below which an arrival is unusually small."""

_LONGEST_HISTORY: Final = 60
_DERIVED: Final = "derived from "
_LEAST_SPREAD: Final = 0.1
_GRACE_SHARE: Final = 0.1
_LEAST_GRACE: Final = timedelta(minutes=1)


def health_of(
    receipts: Iterable[Receipt],
    *,
    declared: Mapping[str, AnySource],
    mains: Mapping[str, str],
    budgets: Mapping[tuple[str, str], float | None],
    now: datetime,
) -> tuple[SourceHealth, ...]:
    """Judge every source.

    A source with a schedule is late when its next batch is due and a tenth of the interval more has passed; one without
    is late when three times its usual (median) gap has passed. An arrival is unusually small when the modified z-score
    (Iglewicz and Hoaglin 1993, "How to Detect and Handle Outliers", ASQC Quality Press) of the logarithm of its
    accepted rows lies below -3.5 against at least 8 earlier arrivals; the spread counts as 0.1 at least, so that a
    source whose batches hardly differ is not small before about 30 % are missing. That assumes that sizes vary around
    one level: a source with a weekly rhythm is judged against the whole week.

    Args:
        receipts: Receipts in any order.
        declared: Declared sources by name.
        mains: Use case to the name of its main dataset, for declarations that name none.
        budgets: Use case and dataset to the largest share of rows that may be refused; None or absent allows any.
        now: UTC.

    Returns:
        One record per source, sorted by use case, dataset and source.

    Raises:
        InputError: The cron line of a declared source cannot be read.
    """
    found: dict[SourceKey, list[Receipt]] = defaultdict(list)
    for receipt in receipts:
        key = source_of(receipt.usecase, receipt.dataset, source=receipt.source, piece=receipt.piece, declared=declared)
        found[key].append(receipt)
    for name, one in declared.items():
        if one.usecase in mains:
            found.setdefault(SourceKey(one.usecase, one.dataset or mains[one.usecase], name), [])
    return tuple(
        _judged(key, _arrivals(found[key]), declared.get(key.source), budgets.get((key.usecase, key.dataset)), now)
        for key in sorted(found)
    )


def _arrivals(receipts: Sequence[Receipt]) -> tuple[Arrival, ...]:
    """Put the pieces that one run pulled together; a file is an arrival of its own."""
    groups: dict[str, list[Receipt]] = defaultdict(list)
    for receipt in receipts:
        is_piece = receipt.piece is not None and not receipt.piece.startswith(f"{FILES}/")
        groups[f"run {receipt.run_id}" if is_piece else f"batch {receipt.batch_id}"].append(receipt)
    arrivals = [
        Arrival(
            run_id=group[0].run_id,
            at=max(receipt.finished_at for receipt in group).astimezone(UTC),
            read=sum(receipt.read for receipt in group),
            accepted=sum(receipt.accepted for receipt in group),
            quarantined=sum(receipt.quarantined for receipt in group),
            duplicates=sum(receipt.duplicates for receipt in group),
            seconds=sum((receipt.finished_at - receipt.started_at).total_seconds() for receipt in group),
            size_bytes=sum(receipt.bytes or 0 for receipt in group),
            is_derived=group[0].source.startswith(_DERIVED),
        )
        for group in groups.values()
    ]
    return tuple(sorted(arrivals, key=lambda arrival: arrival.at))


def _judged(
    key: SourceKey, arrivals: tuple[Arrival, ...], source: AnySource | None, budget: float | None, now: datetime
) -> SourceHealth:
    due_at = _due_at(arrivals, source)
    findings: list[Finding] = []
    if due_at is not None and arrivals and now > due_at:
        findings.append(_late(arrivals[-1].at, due_at, now))
    if arrivals:
        findings += [found for found in (_size(arrivals), _refused(arrivals[-1], budget)) if found is not None]
    return SourceHealth(key, arrivals, tuple(findings), due_at, source is not None, budget)


def _due_at(arrivals: Sequence[Arrival], source: AnySource | None) -> datetime | None:
    """By when the next batch is expected, grace included."""
    if not arrivals:
        return None
    last = arrivals[-1].at
    if source is not None and source.schedule is not None:
        due = due_after(source.schedule, last)
        following = None if due is None else due_after(source.schedule, due)
        if due is None or following is None:
            return due
        return due + max(_LEAST_GRACE, (following - due) * _GRACE_SHARE)
    # files that one run took in together say nothing about how often they come
    gaps = [(later.at - earlier.at) for earlier, later in pairwise(arrivals) if later.run_id != earlier.run_id]
    if len(gaps) < LEAST_GAPS:
        return None
    usual = median(gap.total_seconds() for gap in gaps[-_LONGEST_HISTORY:])
    return last + timedelta(seconds=LATE_GAPS * usual)


def _late(last: datetime, due_at: datetime, now: datetime) -> Finding:
    since, allowed = (now - last).total_seconds(), (due_at - last).total_seconds()
    return Finding(
        "late",
        f"the last batch came {_span(since)} ago, the next one was expected within {_span(allowed)}",
        since,
        allowed,
    )


def _size(arrivals: Sequence[Arrival]) -> Finding | None:
    newest, earlier = arrivals[-1], arrivals[:-1][-_LONGEST_HISTORY:]
    if newest.read == 0 and newest.is_derived:  # its inputs have not come yet, or have nothing to do with each other
        return None
    if newest.accepted == 0 and newest.duplicates == 0:
        return Finding("empty", f"none of its {newest.read:,} rows was taken in", 0.0, 1.0)
    if len(earlier) < LEAST_HISTORY:
        return None
    sizes = [log1p(arrival.accepted) for arrival in earlier]
    middle = median(sizes)
    spread = max(_LEAST_SPREAD, 1.4826 * median(abs(size - middle) for size in sizes))
    z = (log1p(newest.accepted) - middle) / spread
    if z >= SMALL_Z:
        return None
    usual = median(arrival.accepted for arrival in earlier)
    return Finding(
        "small",
        f"{newest.accepted:,} rows were taken in, usually about {usual:,.0f} (modified z {z:.1f}, limit {SMALL_Z})",
        float(newest.accepted),
        max(0.0, expm1(middle + SMALL_Z * spread)),
    )


def _refused(newest: Arrival, budget: float | None) -> Finding | None:
    share = newest.quarantined / newest.read if newest.read else 0.0
    if budget is None or share <= budget:
        return None
    return Finding(
        "over_budget",
        f"{newest.quarantined:,} of {newest.read:,} rows ({share:.2%}) broke the contract, the budget is {budget:.2%}",
        share,
        budget,
    )


def _span(seconds: float) -> str:
    for size, name in ((86400.0, "days"), (3600.0, "hours"), (60.0, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {name}"
    return f"{seconds:.0f} seconds"
