"""When a source is due: the next instant of a schedule.

Takes a schedule as declared and an instant, gives the next one after it. Refuses cron lines whose fields are not
numbers, lists, ranges or steps of them. Pure.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from trunkline.errors import InputError
from trunkline.spec.sources import Schedule

__all__ = ["CronLine", "due_after", "line_of"]

_BOUNDS: Final = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
_HOURS: Final = 24
_FURTHEST_DAYS: Final = 366 * 8 + 1
"""Days after which nothing more is looked for: 29 February is at most eight years away."""


def due_after(schedule: Schedule, at: datetime) -> datetime | None:
    """Give the first instant after another at which a source is due.

    As usual for cron, day of month and day of week are alternatives when both are said. A local time that the clock
    leaves out is due as much later as the clock jumps; one that it shows twice is due the second time, by a line of
    every hour both times. Airflow's ``CronTriggerTimetable`` reads it alike.

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
    line = line_of(schedule.cron)
    zone = ZoneInfo(schedule.zone)
    shown = at.astimezone(zone).replace(tzinfo=None)
    for day in _days(shown.date()):
        if not line.is_day(day):
            continue
        times = [datetime.combine(day, time(hour, minute)) for hour in line.hours for minute in line.minutes]
        if line.is_hourly:
            found = [one for local in times for one in _instants(local, zone)]
        else:
            found = [max(_read(local, zone)) for local in times if local > shown]
        if found := [one for one in found if one > at]:
            return min(found)
    return None


@dataclass(frozen=True)
class CronLine:
    """What a cron line says.

    Attributes:
        minutes: 0 to 59.
        hours: 0 to 23.
        days: Of the month, 1 to 31.
        months: 1 to 12.
        weekdays: 0 to 6 from Sunday.
        either: Whether a day has to be one of ``days`` or one of ``weekdays``; else it has to be both.
    """

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    either: bool

    @property
    def is_hourly(self) -> bool:
        """Whether it is due in every hour."""
        return len(self.hours) == _HOURS

    def is_day(self, day: date) -> bool:
        """Say whether it is due at any time of a day."""
        by_month, by_week = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        return day.month in self.months and ((by_month or by_week) if self.either else (by_month and by_week))


def line_of(cron: str) -> CronLine:
    """Read a cron line.

    Args:
        cron: Five fields.

    Raises:
        InputError: A field cannot be read.

    >>> sorted(line_of("*/20 6 * * 5-7").weekdays)
    [0, 5, 6]
    """
    fields = cron.split()
    minutes, hours, days, months, weekdays = (
        _values(text, low, high, line=cron) for text, (low, high) in zip(fields, _BOUNDS, strict=True)
    )
    either = not fields[2].startswith("*") and not fields[4].startswith("*")
    return CronLine(minutes, hours, days, months, frozenset(day % 7 for day in weekdays), either)


def _instants(local: datetime, zone: ZoneInfo) -> list[datetime]:
    """Give when a clock shows a local time: once, twice or never."""
    return [one for one in _read(local, zone) if one.astimezone(zone).replace(tzinfo=None) == local]


def _read(local: datetime, zone: ZoneInfo) -> set[datetime]:
    """Read a local time by the offset before a change of the clock, and by that after it."""
    return {local.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1)}


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
