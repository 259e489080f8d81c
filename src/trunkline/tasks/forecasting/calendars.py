"""Hours of the clock on the wall, days of the week and holidays: all that is known of any hour to come.

Takes the first hour of a grid and a time zone; local hours follow its clock changes.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np

from trunkline.errors import InputError, MissingExtraError
from trunkline.tasks.forecasting.panel import HOUR, Floats, Places

__all__ = ["Calendar"]

_AHEAD: Final = 48


@dataclass(frozen=True)
class Calendar:
    """The calendar of a grid.

    Attributes:
        start_at: First hour, UTC.
        hours: Hours of the grid; two days more are known.
        zone: IANA name of the zone people live by.
        country: Two letters (ISO 3166) whose public holidays count; empty for none.
    """

    start_at: datetime
    hours: int
    zone: str = "UTC"
    country: str = ""

    def columns(self, hour: Places) -> dict[str, Floats]:
        """Give the columns of some hours, by name.

        Args:
            hour: Places of the grid, or up to 48 beyond it.

        Raises:
            MissingExtraError: Holidays are asked for and the extra ``forecast`` is not installed.
        """
        return {name: values[hour] for name, values in self._columns.items()}

    @cached_property
    def _columns(self) -> dict[str, Floats]:
        zone = ZoneInfo(self.zone)
        local = [(self.start_at + place * HOUR).astimezone(zone) for place in range(self.hours + _AHEAD)]
        hour, day = np.array([at.hour for at in local]), np.array([at.weekday() for at in local])
        made = {
            "hour": hour.astype(np.float64),
            "weekday": day.astype(np.float64),
            "hour_of_week": (day * 24 + hour).astype(np.float64),
            "weekend": (day >= 5).astype(np.float64),
        }
        if self.country:
            dates = [at.date() for at in local]
            known = _holidays(self.country, years=range(dates[0].year, dates[-1].year + 2))
            ahead = timedelta(days=1)
            made["holiday"] = np.array([date in known for date in dates], dtype=np.float64)
            made["before_holiday"] = np.array([date + ahead in known for date in dates], dtype=np.float64)
        return made


def _holidays(country: str, *, years: range) -> frozenset[object]:
    try:
        import holidays
    except ImportError:
        raise MissingExtraError("holidays", extra="forecast") from None
    try:
        return frozenset(holidays.country_holidays(country, years=years))
    except NotImplementedError:
        raise InputError(
            f"there are no holidays of {country!r}", allowed=("two letters of ISO 3166, e.g. DE",)
        ) from None
