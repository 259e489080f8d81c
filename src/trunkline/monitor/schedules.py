"""When a source is due: the next instant of a schedule.

Takes a schedule as declared and an instant, gives the next one after it. Refuses cron lines whose fields are not
numbers, lists, ranges or steps of them. Pure.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from trunkline.errors import InputError
from trunkline.spec.sources import Schedule

__all__ = ["due_after"]

_BOUNDS: Final = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
_FURTHEST_DAYS: Final = 366 * 8 + 1
"""Days after which nothing more is looked for: 29 February is at most eight years away."""


def due_after(schedule: Schedule, at: datetime) -> datetime | None:
    """Give the first instant after another at which a source is due.

    As usual for cron, day of month and day of week are alternatives when both are said. A local time that the clock
    leaves out is not due that day; one that it shows twice is due the first time.

    Args:
        schedule: When the source is asked.
        at: UTC.

    Returns:
        UTC; None when the cron line names a day that never comes.

    Raises:
        InputError: The cron line cannot be read.

    >>> due_after(Schedule(cron="30 6 * * 1-5"), datetime(2026, 3, 6, 7, tzinfo=UTC)).isoformat()
    '2026-03-09T06:30:00+00:00'
    """
    if schedule.every is not None:
        return at + schedule.every
    assert schedule.cron is not None
    fields = schedule.cron.split()
    minutes, hours, days, months, weekdays = (
        _values(text, low, high, line=schedule.cron) for text, (low, high) in zip(fields, _BOUNDS, strict=True)
    )
    weekdays = frozenset(day % 7 for day in weekdays)
    zone = ZoneInfo(schedule.zone)
    either = not fields[2].startswith("*") and not fields[4].startswith("*")

    def is_day(day: date) -> bool:
        by_month, by_week = day.day in days, day.isoweekday() % 7 in weekdays
        return day.month in months and ((by_month or by_week) if either else (by_month and by_week))

    for day in _days(at.astimezone(zone).date()):
        if not is_day(day):
            continue
        for hour in sorted(hours):
            for minute in sorted(minutes):
                found = datetime.combine(day, time(hour, minute), zone).astimezone(UTC)
                shown = found.astimezone(zone)
                if found > at and (shown.hour, shown.minute) == (hour, minute):
                    return found
    return None


def _days(first: date) -> Iterator[date]:
    return (first + timedelta(days=number) for number in range(_FURTHEST_DAYS))


def _values(text: str, low: int, high: int, *, line: str) -> frozenset[int]:
    found: set[int] = set()
    for part in text.split(","):
        span, slash, step_text = part.partition("/")
        first_text, dash, last_text = span.partition("-")
        try:
            step = int(step_text) if slash else 1
            first = low if span == "*" else int(first_text)
            last = high if span == "*" or (slash and not dash) else int(last_text) if dash else first
        except ValueError:
            raise _unreadable(line, text) from None
        if not (low <= first <= last <= high and step >= 1):
            raise _unreadable(line, text)
        found.update(range(first, last + 1, step))
    return frozenset(found)


def _unreadable(line: str, text: str) -> InputError:
    return InputError(
        f"the field {text[:20]!r} of a cron line cannot be read",
        where=f"cron = {line[:60]!r}",
        allowed=("minute 0-59", "hour 0-23", "day of month 1-31", "month 1-12", "day of week 0-7"),
        next_step="write numbers, lists 1,15, ranges 1-5, steps */10, or *",
    )
