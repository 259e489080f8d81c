"""Cron lines as Airflow reads them: the same times as those of the built-in scheduler, or a refusal. Pure."""

from collections.abc import Set as AbstractSet
from typing import Final

from trunkline.errors import InputError
from trunkline.spec.cron import cron_line

__all__ = ["airflow_line"]

_ALL_DAYS: Final = 31
_ALL_WEEKDAYS: Final = 7


def airflow_line(cron: str, *, where: str) -> str:
    """Write a cron line so that Airflow is due when the built-in scheduler is.

    Airflow takes day of month and day of week as alternatives wherever both leave a day out; cron and the built-in
    scheduler only where neither begins with ``*``.

    Args:
        cron: Five fields that can be read.
        where: Whose line it is.

    Raises:
        InputError: Airflow has no line for it.

    >>> airflow_line("0 6 */1 * 1-5", where="crm"), airflow_line("0 6 1-31 * 1", where="crm")
    ('0 6 * * 1,2,3,4,5', '0 6 * * *')
    """
    line = cron_line(cron)
    minute, hour, day, month, weekday = cron.split()
    is_any_day, is_any_weekday = len(line.days) == _ALL_DAYS, len(line.weekdays) == _ALL_WEEKDAYS
    if line.either and (is_any_day or is_any_weekday):
        day = weekday = "*"
    elif not (line.either or is_any_day or is_any_weekday):
        raise InputError(
            "Airflow would take day of month and day of week of this cron line as alternatives, and not both together",
            where=f"{where}, cron = {cron[:60]!r}",
            next_step="name the days: by the month, as in '0 6 1-31/2 * *', or by the week, as in '0 6 * * 1'",
        )
    else:
        day, weekday = "*" if is_any_day else _field(day, line.days), "*" if is_any_weekday else _list(line.weekdays)
    return f"{_field(minute, line.minutes)} {_field(hour, line.hours)} {day} {_field(month, line.months)} {weekday}"


def _field(text: str, values: AbstractSet[int]) -> str:
    """A field without ranges: Airflow reads 5-5 as every value, and Sunday as two days."""
    return _list(values) if "-" in text else text


def _list(values: AbstractSet[int]) -> str:
    return ",".join(map(str, sorted(values)))
