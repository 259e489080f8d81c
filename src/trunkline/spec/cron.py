"""Cron lines: five fields of numbers, lists, ranges and steps. Pure."""

from dataclasses import dataclass
from datetime import date
from typing import Final

__all__ = ["CronLine", "cron_line"]

_BOUNDS: Final = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
_ALLOWED: Final = "minute 0-59, hour 0-23, day of month 1-31, month 1-12, day of week 0-7"
_HOURS: Final = 24
_MONTH_DAYS: Final = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


@dataclass(frozen=True)
class CronLine:
    """What a cron line says.

    Attributes:
        minutes: 0 to 59.
        hours: 0 to 23.
        days: Of the month, 1 to 31.
        months: 1 to 12.
        weekdays: 0 to 6 from Sunday.
        either: Whether a day has to be one of ``days`` or one of ``weekdays``, as where neither field begins with
            ``*``; else it has to be both.
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


def cron_line(text: str) -> CronLine:
    """Read a cron line.

    Args:
        text: Five fields; 0 and 7 are Sunday.

    Raises:
        ValueError: There are not five, one of them cannot be read, or its months have none of its days.

    >>> sorted(cron_line("*/20 6 * * 5-7").weekdays)
    [0, 5, 6]
    """
    fields = text.split()
    if len(fields) != len(_BOUNDS):
        raise ValueError("a cron line has five fields: minute, hour, day of month, month, day of week")
    minutes, hours, days, months, weekdays = (
        _values(field, low, high) for field, (low, high) in zip(fields, _BOUNDS, strict=True)
    )
    either = not fields[2].startswith("*") and not fields[4].startswith("*")
    if not either and all(min(days) > _MONTH_DAYS[month - 1] for month in months):
        raise ValueError(
            f"the cron line {' '.join(fields)[:60]!r} names a day that never comes: say a day of the month that one of "
            "its months has (29 is the last of February, 30 of April, June, September and November)"
        )
    return CronLine(minutes, hours, days, months, frozenset(day % 7 for day in weekdays), either)


def _values(text: str, low: int, high: int) -> frozenset[int]:
    found: set[int] = set()
    for part in text.split(","):
        span, slash, step_text = part.partition("/")
        first_text, dash, last_text = span.partition("-")
        try:
            step = int(step_text) if slash else 1
            first = low if span == "*" else int(first_text)
            last = high if span == "*" or (slash and not dash) else int(last_text) if dash else first
        except ValueError:
            raise _unreadable(text) from None
        if not (low <= first <= last <= high and step >= 1):
            raise _unreadable(text)
        found.update(range(first, last + 1, step))
    return frozenset(found)


def _unreadable(text: str) -> ValueError:
    return ValueError(
        f"the field {text[:20]!r} of a cron line cannot be read: write numbers, lists 1,15, ranges 1-5, steps */10, "
        f"or *; {_ALLOWED}"
    )
