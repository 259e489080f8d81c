"""What is wrong with a source, judged by its receipts, its attempts, its schedule and its reject budget. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise, takewhile
from math import expm1, log1p
from statistics import median
from typing import Final

from trunkline.contracts.records import Receipt, SourceAttempt
from trunkline.monitor.schedules import due_after
from trunkline.monitor.sources.belonging import FILES, source_of
from trunkline.monitor.sources.health import Arrival, Finding, SourceHealth, SourceKey
from trunkline.spec.sources import AnySource, Schedule, TopicSource

__all__ = ["COMING", "LATE_GAPS", "LEAST_GAPS", "LEAST_HISTORY", "NOTED_EVERY_S", "SMALL_Z", "health_of"]

LEAST_HISTORY: Final = 8
"""Earlier arrivals from which a source has a usual size."""

LEAST_GAPS: Final = 3
"""Gaps between arrivals from which a source without a schedule has a usual gap."""

COMING: Final = timedelta(minutes=30)
"""Within which arrivals of a source come together, and say nothing of how often it comes."""

LATE_GAPS: Final = 3.0
"""Usual gaps after which a source without a schedule is late."""

NOTED_EVERY_S: Final = 300.0
"""Time between two notes of one watch of a topic, in seconds."""

SMALL_Z: Final = -3.5
"""Modified z-score below which an arrival is unusually small."""

_LONGEST_HISTORY: Final = 60
_LEAST_SPREAD: Final = 0.1
_GRACE_SHARE: Final = 0.1
_LEAST_GRACE: Final = timedelta(minutes=1)
_NOTED_EVERY: Final = timedelta(seconds=NOTED_EVERY_S)


def health_of(
    receipts: Iterable[Receipt],
    *,
    attempts: Iterable[SourceAttempt],
    declared: Mapping[str, AnySource],
    mains: Mapping[str, str],
    budgets: Mapping[tuple[str, str], float | None],
    now: datetime,
) -> tuple[SourceHealth, ...]:
    """Judge every source.

    A source with a schedule is late when it was due and a tenth of the interval more has passed since it was last heard
    of: since it delivered, answered that it has nothing new, or, where it never did, was first seen. One without is
    late when three times its usual gap has passed since its last batch; a topic, since somebody who consumes it last
    said so, and three times as long as one of them may be silent at least: several note more often than one. What
    arrives within half an hour, or while one run has no pause that long, came once. The usual gap is the upper quartile
    of those between comings: a few long ones do not move it, nor do some short ones of a load that took hours.

    It is empty when nothing of its last batch was taken in, or when it answers that it has nothing: at once where at
    least half of its answers brought rows so far, else once three times its usual gap has passed. A topic of which
    nothing has come yet is not, but by its schedule: that somebody listens does not say that somebody has sent.

    An arrival is unusually small when the modified z-score
    (Iglewicz and Hoaglin 1993, "How to Detect and Handle Outliers", ASQC Quality Press) of the logarithm of its
    accepted rows lies below -3.5 against at least 8 earlier arrivals; the spread counts as 0.1 at least, so that a
    source whose batches hardly differ is not small before about 30 % are missing. That assumes that sizes vary around
    one level: a source with a weekly rhythm is judged against the whole week.

    It is over its budget when its last batch is, also where that was stopped for it and left no receipt; and it fails
    when its last attempt was refused for anything else.

    Args:
        receipts: Receipts in any order.
        attempts: Attempts in any order.
        declared: Declared sources by name.
        mains: Use case to the name of its main dataset, for declarations that name none.
        budgets: Use case and dataset to the largest share of rows that may be refused; None or absent allows any.
        now: UTC.

    Returns:
        One record per source, sorted by use case, dataset and source.

    """
    found: dict[SourceKey, list[Receipt]] = defaultdict(list)
    for receipt in receipts:
        key = source_of(receipt.usecase, receipt.dataset, source=receipt.source, piece=receipt.piece, declared=declared)
        found[key].append(receipt)
    tried: dict[SourceKey, list[SourceAttempt]] = defaultdict(list)
    open_ended = []
    for attempt in attempts:
        if attempt.dataset is None:
            open_ended.append(attempt)
        else:
            tried[SourceKey(attempt.usecase, attempt.dataset, attempt.source)].append(attempt)
    named = {(key.usecase, key.source) for key in (*found, *tried)}
    for name, one in declared.items():
        # of one that names no dataset, rows may come for any: where they have, they show which it is
        if one.usecase in mains and (one.dataset is not None or (one.usecase, name) not in named):
            found.setdefault(SourceKey(one.usecase, one.dataset or mains[one.usecase], name), [])
    for attempt in open_ended:
        keys = [key for key in {**found, **tried} if (key.usecase, key.source) == (attempt.usecase, attempt.source)]
        main = SourceKey(attempt.usecase, mains.get(attempt.usecase, ""), attempt.source)
        for key in keys or [main]:
            tried[key].append(attempt)
    return tuple(
        _judged(
            key,
            _arrivals(found.get(key, ())),
            sorted(tried.get(key, ()), key=lambda attempt: (attempt.attempted_at, attempt.attempt_id)),
            source=declared.get(key.source),
            budget=budgets.get((key.usecase, key.dataset)),
            now=now,
        )
        for key in sorted({**found, **tried})
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
        )
        for group in groups.values()
    ]
    return tuple(sorted(arrivals, key=lambda arrival: arrival.at))


def _judged(
    key: SourceKey,
    arrivals: tuple[Arrival, ...],
    attempts: Sequence[SourceAttempt],
    *,
    source: AnySource | None,
    budget: float | None,
    now: datetime,
) -> SourceHealth:
    answers = [one for one in attempts if one.outcome == "taken"]
    heard = [one.attempted_at for one in answers[-1:]] + [one.at for one in arrivals[-1:]]
    heard_at = max(heard, default=None)
    seen_at = attempts[0].attempted_at if attempts else None
    usual_due_at = _usual_due_at(arrivals)
    if source is not None and source.schedule is not None:
        last = heard_at or seen_at
        due_at = None if last is None else _scheduled_at(source.schedule, last)
    elif isinstance(source, TopicSource):  # who consumes it says so now and then, whether records came or not
        longest = _long_for([later.attempted_at - earlier.attempted_at for earlier, later in pairwise(answers)])
        allowed = None if longest is None else max(longest, LATE_GAPS * _NOTED_EVERY)
        last, due_at = heard_at, None if heard_at is None or allowed is None else heard_at + allowed
    else:
        last, due_at = arrivals[-1].at if arrivals else None, usual_due_at
    findings: list[Finding] = []
    if last is not None and due_at is not None and now > due_at:
        late = _late(last, due_at, now, said=_last_of(last, arrivals, heard_at))
        findings.append(replace(late, since=heard_at))
    told = _of_whole_topic(answers) if isinstance(source, TopicSource) else answers
    if isinstance(source, TopicSource) and not arrivals:
        quiet = _quiet(None, told, _awaited_until(source, seen_at), is_expected=False)
    else:
        quiet = _quiet(arrivals[-1].at if arrivals else None, told, usual_due_at, is_expected=not arrivals)
    size = quiet or (_size(arrivals) if arrivals else None)
    if size is not None:
        findings.append(size)
    newest = attempts[-1] if attempts else None
    if newest is not None and newest.refused and (not arrivals or newest.attempted_at >= arrivals[-1].at):
        refused = _stopped(newest) or (None if size is not None and size.problem == "empty" else _failed(newest))
        refused = refused and replace(refused, since=heard_at)
    else:
        refused = None
    refused = refused or (_refused(arrivals[-1], budget) if arrivals else None)
    if refused is not None:
        findings.append(refused)
    return SourceHealth(
        key, arrivals, tuple(findings), due_at, source is not None, budget, heard_at, bool(arrivals or attempts)
    )


def _scheduled_at(schedule: Schedule, last: datetime) -> datetime:
    """By when a source is expected to be heard of by its schedule, grace included."""
    due = due_after(schedule, last)
    return due + max(_LEAST_GRACE, (due_after(schedule, due) - due) * _GRACE_SHARE)


def _usual_due_at(arrivals: Sequence[Arrival]) -> datetime | None:
    """By when the next batch is expected, judged by the gaps between those before; None where they are too few."""
    usual = _long_for([later - earlier for earlier, later in pairwise(_comings(arrivals))])
    return None if usual is None else arrivals[-1].at + usual


def _comings(arrivals: Sequence[Arrival]) -> list[datetime]:
    """When a source began to come, each time."""
    begins = [arrival.at for arrival in arrivals[:1]]
    for earlier, later in pairwise(arrivals):
        pause = later.at - timedelta(seconds=later.seconds) - earlier.at
        goes_on = later.run_id == earlier.run_id and pause < COMING
        if not goes_on and later.at - begins[-1] >= COMING:
            begins.append(later.at)
    return begins


def _long_for(gaps: Sequence[timedelta]) -> timedelta | None:
    """From when on a gap is a long one among these; None where they are too few."""
    if len(gaps) < LEAST_GAPS:
        return None
    ordered = sorted(gaps[-_LONGEST_HISTORY:])
    return LATE_GAPS * ordered[3 * (len(ordered) - 1) // 4]


def _of_whole_topic(answers: Sequence[SourceAttempt]) -> Sequence[SourceAttempt]:
    """Leave out that one watch of a shared topic had nothing while another, which noted next to it, had records."""

    def is_beside(one: SourceAttempt, other: SourceAttempt) -> bool:
        between = abs(one.attempted_at - other.attempted_at)
        return other.read > 0 and other.run_id != one.run_id and between < 2 * _NOTED_EVERY

    return [
        one
        for at, one in enumerate(answers)
        if one.read
        or not any(is_beside(one, other) for other in (*answers[max(0, at - 1) : at], *answers[at + 1 : at + 2]))
    ]


def _last_of(last: datetime, arrivals: Sequence[Arrival], heard_at: datetime | None) -> str:
    """Say what was last heard of a source."""
    if heard_at is None:
        return "it was first seen {} ago and nothing has come"
    if arrivals and arrivals[-1].at == last:
        return "the last batch came {} ago"
    return "it last answered {} ago"


def _late(last: datetime, due_at: datetime, now: datetime, *, said: str) -> Finding:
    since, allowed = (now - last).total_seconds(), (due_at - last).total_seconds()
    return Finding(
        "late", f"{said.format(_span(since))}, the next one was expected within {_span(allowed)}", since, allowed
    )


def _awaited_until(source: TopicSource, seen_at: datetime | None) -> datetime | None:
    """By when the first record of a topic is expected; None where its declaration does not say."""
    return None if source.schedule is None or seen_at is None else _scheduled_at(source.schedule, seen_at)


def _quiet(
    last_at: datetime | None,
    answers: Sequence[SourceAttempt],
    expected_at: datetime | None,
    *,
    is_expected: bool,
) -> Finding | None:
    """Look whether a source that answers has nothing, although it should.

    Args:
        last_at: When its last batch came; None where none did.
        answers: Its answers, oldest first.
        expected_at: From when on rows are missed of one that often has none; None where that is not known.
        is_expected: Whether rows are missed from the first answer on.
    """
    is_quiet = [one.read == 0 and (last_at is None or one.attempted_at > last_at) for one in answers]
    since = list(takewhile(bool, reversed(is_quiet)))
    if not since:
        return None
    before = answers[: -len(since)][-_LONGEST_HISTORY:]
    is_known = is_expected or len(before) >= LEAST_GAPS
    is_usual = not is_known or 2 * sum(one.read > 0 for one in before) < len(before)
    if is_usual and (expected_at is None or answers[-1].attempted_at <= expected_at):
        return None
    times = "answered" if len(since) == 1 else f"answered {len(since):,} times"
    return Finding("empty", f"it {times} and had no new row", 0.0, 1.0)


def _stopped(attempt: SourceAttempt) -> Finding | None:
    """Look whether the last batch of an attempt was stopped over its reject budget."""
    read, rows, budget = attempt.refused_read, attempt.refused_rows, attempt.budget
    if not read or rows is None or budget is None:
        return None
    found = _beyond(rows, read, budget)
    return Finding("over_budget", f"{found.text}; nothing of the batch was written", found.value, found.limit)


def _failed(attempt: SourceAttempt) -> Finding:
    whole = attempt.taken + attempt.refused
    of = "the last attempt" if whole == 1 else f"{attempt.refused:,} of {whole:,} files or pieces of the last attempt"
    said = f"{attempt.error}: {attempt.said}" if attempt.said else attempt.error
    return Finding("failed", f"{of} ended with {said}", float(attempt.refused), 0.0)


def _size(arrivals: Sequence[Arrival]) -> Finding | None:
    newest, earlier = arrivals[-1], arrivals[:-1][-_LONGEST_HISTORY:]
    if newest.read == 0:  # inputs of a derived table have not come yet; or nothing is gone of a table that is empty
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
    if budget is None or newest.quarantined <= budget * newest.read:
        return None
    return _beyond(newest.quarantined, newest.read, budget)


def _beyond(rows: int, read: int, budget: float) -> Finding:
    share = rows / read
    return Finding(
        "over_budget",
        f"{rows:,} of {read:,} rows ({share:.2%}) broke the contract, the budget is {budget:.2%}",
        share,
        budget,
    )


def _span(seconds: float) -> str:
    for size, name in ((86400.0, "days"), (3600.0, "hours"), (60.0, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {name}"
    return f"{seconds:.0f} seconds"
