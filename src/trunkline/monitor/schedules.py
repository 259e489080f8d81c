"""When a source is due: the next instant of a schedule.

Takes a schedule as declared and an instant, gives the next one after it. Pure.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from trunkline.spec.cron import cron_line
from trunkline.spec.sources import Schedule

__all__ = ["due_after"]

_FURTHEST_DAYS: Final = 366 * 40 + 1
"""Days within which every line is due: 29 February falls on each day of the week once in 40 years at least."""


def due_after(schedule: Schedule, at: datetime) -> datetime:
    """Give the first instant after another at which a source is due.

    As usual for cron, day of month and day of week are alternatives when neither begins with ``*``, and else a day has
    to be both. A local time that the clock leaves out is due as much later as the clock jumps; one that it shows twice
    is due the second time, by a line of every hour both times. Airflow's ``CronTriggerTimetable`` reads it alike, given
    the line that ``dags`` writes for it.

    Args:
        schedule: When the source is asked.
        at: UTC.

    Returns:
        UTC.

    >>> due_after(Schedule(cron="30 6 * * 1-5"), datetime(2026, 3, 6, 7, tzinfo=UTC)).isoformat()
    '2026-03-09T06:30:00+00:00'
    """
    if schedule.every is not None:
        return at + schedule.every
    assert schedule.cron is not None
    line = cron_line(schedule.cron)
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
    raise AssertionError(f"{schedule.cron!r} names a day that never comes, which cron_line refuses")


def _instants(local: datetime, zone: ZoneInfo) -> list[datetime]:
    """Give when a clock shows a local time: once, twice or never."""
    return [one for one in _read(local, zone) if one.astimezone(zone).replace(tzinfo=None) == local]


def _read(local: datetime, zone: ZoneInfo) -> set[datetime]:
    """Read a local time by the offset before a change of the clock, and by that after it."""
    return {local.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1)}


def _days(first: date) -> Iterator[date]:
    return (first + timedelta(days=number) for number in range(_FURTHEST_DAYS))
