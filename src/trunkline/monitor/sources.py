"""Health of sources, told from the receipts of their batches: late, empty, unusually small, over the reject budget.

Takes receipts, the declared sources and an instant; gives one record per source with what is wrong, and the readings
and alerts that follow. Pure. A source that never delivered has no receipts: it is found by its declaration alone.
"""

import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from math import expm1, log1p
from pathlib import PurePosixPath
from statistics import median
from typing import Final, Literal

from trunkline.contracts.records import Alert, Reading, Receipt
from trunkline.monitor.readings import Window
from trunkline.monitor.schedules import due_after
from trunkline.spec.sources import AnySource, FolderSource

__all__ = [
    "Arrival",
    "Finding",
    "Problem",
    "SourceHealth",
    "SourceKey",
    "health_of",
    "source_alerts",
    "source_of",
    "source_readings",
]

Problem = Literal["late", "empty", "small", "over_budget"]
"""What may be wrong with a source."""

LEAST_HISTORY: Final = 8
"""Earlier arrivals from which a source has a usual size."""

LEAST_GAPS: Final = 3
"""Gaps between arrivals from which a source without a schedule has a usual gap."""

LATE_GAPS: Final = 3.0
"""Usual gaps after which a source without a schedule is late."""

SMALL_Z: Final = -3.5
"""Modified z-score below which an arrival is unusually small."""

_LONGEST_HISTORY: Final = 60
_LEAST_SPREAD: Final = 0.1
_GRACE_SHARE: Final = 0.1
_LEAST_GRACE: Final = timedelta(minutes=1)
_FILES: Final = "files"
_NUMBERS: Final = re.compile(r"\d+(?:[-_.T:]?\d+)*")
_SEVERITIES: Final[Mapping[Problem, Literal["critical", "major", "minor", "warning"]]] = {
    "late": "major",
    "empty": "major",
    "over_budget": "major",
    "small": "minor",
}


@dataclass(frozen=True, order=True)
class SourceKey:
    """Names a source.

    Attributes:
        usecase: The use case its rows belong to.
        dataset: The dataset.
        source: The name of its declaration; for files that were handed over, their path with ``*`` for the numbers in
            its name, so that the files of all days are one source.
    """

    usecase: str
    dataset: str
    source: str

    @property
    def label(self) -> str:
        """Its name without folders."""
        return PurePosixPath(self.source).name or self.source


@dataclass(frozen=True)
class Arrival:
    """What came at once: a file, or all pieces that one run pulled of a source.

    Attributes:
        run_id: The run that took it in.
        at: When it was done, UTC.
        read: Rows read.
        accepted: Rows written to the lake.
        quarantined: Rows that broke the contract.
        duplicates: Rows left out as repetitions.
        seconds: Time it took.
    """

    run_id: str
    at: datetime
    read: int
    accepted: int
    quarantined: int
    duplicates: int
    seconds: float


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong.

    Attributes:
        problem: Which.
        text: In a sentence, with the limit.
        value: Seconds since the last batch (late), rows (empty, small), share of refused rows (over_budget).
        limit: The limit of the value.
    """

    problem: Problem
    text: str
    value: float
    limit: float


@dataclass(frozen=True)
class SourceHealth:
    """How a source stands.

    Attributes:
        key: The source.
        arrivals: Oldest first; none for a declared source that never delivered.
        findings: What is wrong; none when all is well.
        due_at: By when the next batch is expected, UTC; None when nobody can tell.
        is_declared: Whether the settings name it.
        budget: Largest share of rows that may be refused; None for any.
    """

    key: SourceKey
    arrivals: tuple[Arrival, ...]
    findings: tuple[Finding, ...]
    due_at: datetime | None
    is_declared: bool
    budget: float | None

    @property
    def newest(self) -> Arrival | None:
        """The last arrival."""
        return self.arrivals[-1] if self.arrivals else None


def source_of(
    usecase: str, dataset: str, *, source: str, piece: str | None, declared: Mapping[str, AnySource]
) -> SourceKey:
    """Say which source a receipt belongs to.

    Args:
        usecase: As in the receipt.
        dataset: As in the receipt.
        source: As in the receipt.
        piece: As in the receipt.
        declared: Declared sources by name.

    >>> source_of("churn", "subscribers", source="/in/day-2026-03-01.csv", piece=None, declared={}).source
    '/in/day-*.csv'
    """
    name = (piece or "").partition("/")[0]
    if name and name != _FILES:
        return SourceKey(usecase, dataset, name)
    path = PurePosixPath(source)
    for known, one in declared.items():
        if isinstance(one, FolderSource) and one.usecase == usecase and PurePosixPath(one.path) == path.parent:
            return SourceKey(usecase, dataset, known)
    stem, dot, suffix = path.name.partition(".")
    kept = _NUMBERS.sub("*", stem) + dot + suffix if not suffix[:1].isdigit() else _NUMBERS.sub("*", path.name)
    return SourceKey(usecase, dataset, str(path.with_name(kept)) if path.name else source)


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


def source_readings(health: Sequence[SourceHealth], *, window: Window) -> tuple[Reading, ...]:
    """Write the health of one use case's sources down as readings of the families ``freshness`` and ``volume``.

    Args:
        health: From :func:`health_of`; sources of other use cases are left out.
        window: What the readings have in common; ``read_at`` is the instant of the look.
    """
    readings: list[Reading] = []
    for one in health:
        newest = one.newest
        if one.key.usecase != window.usecase or newest is None:
            continue
        subject = f"{one.key.dataset} from {one.key.label}"
        problems = {finding.problem: finding for finding in one.findings}
        late, small = problems.get("late"), problems.get("small") or problems.get("empty")
        readings += [
            window.reading(
                "freshness",
                "hours_since_batch",
                subject,
                value=(window.read_at - newest.at).total_seconds() / 3600,
                rows=newest.read,
                limit=None if one.due_at is None else (one.due_at - newest.at).total_seconds() / 3600,
                crossed=late is not None,
            ),
            window.reading(
                "volume",
                "accepted_rows",
                subject,
                value=float(newest.accepted),
                rows=newest.read,
                limit=None if small is None else small.limit,
                crossed=small is not None,
            ),
            window.reading(
                "volume",
                "refused_share",
                subject,
                value=newest.quarantined / newest.read if newest.read else None,
                rows=newest.read,
                limit=one.budget,
                crossed="over_budget" in problems,
            ),
        ]
    return tuple(readings)


def source_alerts(health: Sequence[SourceHealth], *, run_id: str, raised_at: datetime) -> tuple[Alert, ...]:
    """Announce what is wrong: one alert per source and problem.

    The id follows from source, problem and last arrival, so that a problem that lasts is the same alert at every look.

    Args:
        health: From :func:`health_of`.
        run_id: The run that looks.
        raised_at: UTC.
    """
    alerts = []
    for one in health:
        for finding in one.findings:
            since = one.newest.at.isoformat() if one.newest else "never"
            said = json.dumps([one.key.usecase, one.key.dataset, one.key.source, finding.problem, since])
            alerts.append(
                Alert(
                    alert_id=hashlib.sha256(said.encode()).hexdigest()[:24],
                    run_id=run_id,
                    usecase=one.key.usecase,
                    severity=_SEVERITIES[finding.problem],
                    title=f"{one.key.usecase}.{one.key.dataset}: source {one.key.label} is {_SAID[finding.problem]}",
                    text=finding.text,
                    raised_at=raised_at,
                )
            )
    return tuple(alerts)


_SAID: Final[Mapping[Problem, str]] = {
    "late": "late",
    "empty": "empty",
    "small": "unusually small",
    "over_budget": "over its reject budget",
}


def _arrivals(receipts: Sequence[Receipt]) -> tuple[Arrival, ...]:
    """Put the pieces that one run pulled together; a file is an arrival of its own."""
    groups: dict[str, list[Receipt]] = defaultdict(list)
    for receipt in receipts:
        is_piece = receipt.piece is not None and not receipt.piece.startswith(f"{_FILES}/")
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
