"""What is known at the hour of a forecast, as one matrix for all series and hours at once.

Takes a panel and the scales learned in training, gives the inputs of any (series, hour) pairs, shape (pairs, columns).
Nothing after the hour is read but the calendar, and covariates that are known ahead, taken at the hour forecast.
Differences are taken from the newest value, from the usual one of the hour forecast, or from a mean of both, and
divided by the scale of the series, so that one model serves series of any size, and a new level does not leave what
trees have seen.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from trunkline.tasks.forecasting.calendars import Calendar
from trunkline.tasks.forecasting.panel import Floats, Panel, Places
from trunkline.tasks.forecasting.scaling import Scales, capped, seasonal_scale

__all__ = ["LOOKBACK", "Design", "Inputs", "Slot", "Slots", "arrange"]

Inputs = npt.NDArray[np.float32]
"""Inputs of some forecasts, shape (pairs, columns)."""

_DAY: Final = 24
_WEEK: Final = 168
_LAGS: Final = (*range(1, 13), 24, 48, 168)
_WINDOWS: Final = (3, 12, 24, 168)
_WEEKS: Final = 3
LOOKBACK: Final = _WEEKS * _WEEK
"""So many hours before the hour of a forecast its inputs look at."""
_STALE: Final = 6
"""So many hours back the newest value may lie and still stand for the present level."""


@dataclass(frozen=True)
class Slot:
    """Where a covariate stands among the inputs, as training has settled it.

    Attributes:
        slot: Its number among those of its group.
        scale: What its values are divided by.
        ahead: Whether its future is known.
    """

    slot: int
    scale: float
    ahead: bool


Slots = Mapping[tuple[str, str, str], Slot]
"""By group, server and metric."""


def arrange(panel: Panel, *, known_ahead: Sequence[str], most: int, until: int) -> Slots:
    """Settle slots and scales of covariates: the n-th series of every group stand side by side.

    Args:
        panel: The series.
        known_ahead: Metrics whose future is known.
        most: Most covariates of a group.
        until: Newest hour that may be looked at.
    """
    scales = seasonal_scale(panel.covariates.values[:, : until + 1])
    counted: dict[tuple[int, bool], int] = {}
    found: dict[tuple[str, str, str], Slot] = {}
    named = zip(panel.covariates.names, panel.covariates.group.tolist(), scales.tolist(), strict=True)
    for (server, metric), group, scale in named:
        ahead = metric in known_ahead
        slot = counted.get((group, ahead), 0)
        counted[group, ahead] = slot + 1
        if slot < most:
            found[panel.groups[group], server, metric] = Slot(slot, 1.0 if ahead else scale, ahead)
    return found


@dataclass
class Design:
    """Inputs of a panel.

    Attributes:
        panel: The series.
        scales: Of each series, as training learned them.
        calendar: Of the hours of the panel and those to come.
        slots: Where covariates stand; those that have none are not looked at.
        codes: What training called each series, shape (series,), NaN for one it did not know; None where no model
            tells series apart.
        names: Name of each column, once :meth:`matrix` was asked for one.
    """

    panel: Panel
    scales: Scales
    calendar: Calendar
    slots: Slots
    codes: Floats | None = None
    names: tuple[str, ...] = ()
    _own: "_Series" = field(init=False, repr=False)
    _mean: "_Series" = field(init=False, repr=False)
    _beside: "list[_Series]" = field(init=False, repr=False)
    _ahead: "list[Floats]" = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Compute what all horizons share: capped values in scale, running sums, means of groups."""
        grid = self.panel.targets
        values = capped(grid.values, self.scales.whisker) / self.scales.scale[:, None]
        self._own = _Series(values)
        self._mean = _Series(_group_means(values, grid.group, groups=len(self.panel.groups)))
        self._beside = [_Series(one) for one in self._slots(ahead=False)]
        self._ahead = self._slots(ahead=True)

    def anchor(self, series: Places, hour: Places, *, horizon: int, usual: float) -> Floats:
        """What differences are taken from, in scale.

        The newest value of the last hours, else the mean of the last week, else NaN; the usual value, which is the mean
        of the hour forecast over seven days, where any of them is known; or a mean of both.

        Args:
            series: Series of each pair, shape (pairs,).
            hour: The newest known hour of each, as a place of the grid, shape (pairs,).
            horizon: Hours ahead, at least 1.
            usual: Share of the usual value, in [0, 1]; the rest is that of the newest.
        """
        newest = self._newest(series, hour)
        return newest if usual == 0 else _between(newest, _mean(self._days(series, hour, horizon)), usual)

    def _newest(self, series: Places, hour: Places) -> Floats:
        return _else(self._own.newest(series, hour), self._own.mean(series, hour, _WEEK))

    def _days(self, series: Places, hour: Places, horizon: int) -> list[Floats]:
        return [self._own.at(series, hour + horizon - _DAY * day) for day in range(1, 8)]

    def stale(self, series: Places, hour: Places) -> "npt.NDArray[np.bool_]":
        """Whether a series lacks the value of the hour itself."""
        return np.asarray(~np.isfinite(self._own.at(series, hour)))

    def matrix(self, series: Places, hour: Places, *, horizon: int, usual: float) -> Inputs:
        """Give the inputs of forecasts made at an hour.

        Args:
            series: Series of each pair, shape (pairs,).
            hour: The newest known hour of each, as a place of the grid, shape (pairs,).
            horizon: Hours ahead, at least 1.
            usual: Share of the usual value in what differences are taken from.
        """
        columns: dict[str, Floats] = {}
        self._own_columns(columns, series, hour, horizon, usual)
        group = self.panel.targets.group[series]
        self._mean_columns(columns, group, hour, horizon)
        for slot, one in enumerate(self._beside):
            _moves(columns, f"beside_{slot}", one, group, hour, horizon)
        for slot, planned in enumerate(self._ahead):
            columns[f"ahead_{slot}"] = _at(planned, group, hour + horizon)
            columns[f"ahead_{slot}_before"] = _at(planned, group, hour)
        columns |= self.calendar.columns(hour + horizon)
        if self.codes is not None:
            columns["series"] = self.codes[series]
        self.names = tuple(columns)
        made = np.empty((len(series), len(columns)), dtype=np.float32)
        for place, column in enumerate(columns.values()):
            made[:, place] = column
        return made

    def _own_columns(
        self, columns: dict[str, Floats], series: Places, hour: Places, horizon: int, share: float
    ) -> None:
        own, newest, days = self._own, self._newest(series, hour), self._days(series, hour, horizon)
        usual = _mean(days)
        anchor = _between(newest, usual, share)
        for lag in _LAGS:
            columns[f"lag_{lag}"] = own.at(series, hour - lag) - anchor
        for back, name in ((_DAY, "day"), (2 * _DAY, "two_days"), (_WEEK, "week")):
            for aside in (-1, 0, 1):
                columns[f"{name}_before_target_{aside:+d}"] = own.at(series, hour + horizon - back + aside) - anchor
        for window in _WINDOWS:
            columns[f"mean_{window}"] = own.mean(series, hour, window) - anchor
        columns["spread_24"] = own.spread(series, hour, _DAY)
        columns["target_hour_7_days"] = usual - newest
        columns["day_change"] = _mean(
            [one - own.at(series, hour - _DAY * day) for day, one in enumerate(days, start=1)]
        )
        columns["day_change_1"] = days[0] - own.at(series, hour - _DAY)
        weeks = [
            own.at(series, hour + horizon - _WEEK * week) - own.at(series, hour - _WEEK * week)
            for week in range(1, _WEEKS + 1)
        ]
        columns["week_change"] = _mean(weeks)
        columns["week_change_1"] = weeks[0]
        columns["since_known"] = own.age(series, hour)

    def _mean_columns(self, columns: dict[str, Floats], group: Places, hour: Places, horizon: int) -> None:
        _moves(columns, "servers", self._mean, group, hour, horizon)

    def _slots(self, *, ahead: bool) -> list[Floats]:
        """Covariates in scale as grids of (groups, hours), one per slot."""
        grid = self.panel.covariates
        count = 1 + max((one.slot for one in self.slots.values() if one.ahead is ahead), default=-1)
        made = [np.full((len(self.panel.groups), self.panel.hours), np.nan) for _ in range(count)]
        for (server, metric), group, values in zip(grid.names, grid.group.tolist(), grid.values, strict=True):
            slot = self.slots.get((self.panel.groups[group], server, metric))
            if slot is not None and slot.ahead is ahead:
                made[slot.slot][group] = values / slot.scale
        return made


def _moves(columns: dict[str, Floats], name: str, one: "_Series", row: Places, hour: Places, horizon: int) -> None:
    now = one.newest(row, hour)
    columns[f"{name}_change_1"] = now - one.at(row, hour - 1)
    columns[f"{name}_change_3"] = now - one.at(row, hour - 3)
    for window in (3, 12, _DAY):
        columns[f"{name}_mean_{window}"] = one.mean(row, hour, window) - now
    columns[f"{name}_day_before_target"] = one.at(row, hour + horizon - _DAY) - now
    columns[f"{name}_week"] = now - one.at(row, hour - _WEEK)
    columns[f"{name}_week_change"] = one.at(row, hour + horizon - _WEEK) - one.at(row, hour - _WEEK)


class _Series:
    """A grid with running sums, so that any window of any pair is two lookups."""

    def __init__(self, values: Floats) -> None:
        self._values = values
        known = np.isfinite(values)
        filled = np.where(known, values, 0.0)
        edge = np.zeros((len(values), 1))
        self._sums = np.concatenate([edge, np.cumsum(filled, axis=1)], axis=1)
        self._squares = np.concatenate([edge, np.cumsum(filled**2, axis=1)], axis=1)
        self._counts = np.concatenate([edge, np.cumsum(known, axis=1)], axis=1)
        places = np.where(known, np.arange(values.shape[1]), -1)
        self._newest = np.maximum.accumulate(places, axis=1) if values.shape[1] else places

    def at(self, row: Places, hour: Places) -> Floats:
        return _at(self._values, row, hour)

    def age(self, row: Places, hour: Places) -> Floats:
        """Hours since the newest value; NaN where it lies further back than inputs look."""
        found = self._newest[row, np.minimum(hour, self._newest.shape[1] - 1)]
        return np.where((found >= 0) & (hour - found <= LOOKBACK), hour - found, np.nan).astype(np.float64)

    def newest(self, row: Places, hour: Places) -> Floats:
        found = self._newest[row, np.minimum(hour, self._newest.shape[1] - 1)]
        fresh = (found >= 0) & (hour - found <= _STALE)
        return np.where(fresh, self._values[row, np.maximum(found, 0)], np.nan)

    def mean(self, row: Places, hour: Places, window: int) -> Floats:
        total, count = self._window(self._sums, row, hour, window), self._window(self._counts, row, hour, window)
        return np.where(count > 0, total / np.maximum(count, 1), np.nan)

    def spread(self, row: Places, hour: Places, window: int) -> Floats:
        count = self._window(self._counts, row, hour, window)
        mean = self._window(self._sums, row, hour, window) / np.maximum(count, 1)
        square = self._window(self._squares, row, hour, window) / np.maximum(count, 1)
        return np.where(count > 1, np.sqrt(np.maximum(square - mean**2, 0.0)), np.nan)

    @staticmethod
    def _window(sums: Floats, row: Places, hour: Places, window: int) -> Floats:
        end = np.clip(hour + 1, 0, sums.shape[1] - 1)
        return np.asarray(sums[row, end] - sums[row, np.maximum(end - window, 0)])


def _at(values: Floats, row: Places, hour: Places) -> Floats:
    inside = (hour >= 0) & (hour < values.shape[1])
    return np.where(inside, values[row, np.where(inside, hour, 0)], np.nan)


def _else(values: Floats, others: Floats) -> Floats:
    """Values, where they are known, else others."""
    return np.where(np.isfinite(values), values, others)


def _between(newest: Floats, usual: Floats, share: float) -> Floats:
    """A mean of the newest value and the usual one, where it is known."""
    return (1 - share) * newest + share * _else(usual, newest)


def _mean(parts: Sequence[Floats]) -> Floats:
    total, count = np.zeros_like(parts[0]), np.zeros_like(parts[0])
    for part in parts:
        known = np.isfinite(part)
        total += np.where(known, part, 0.0)
        count += known
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _group_means(values: Floats, group: Places, *, groups: int) -> Floats:
    """Means by group, shape (groups, hours); NaN where nothing of a group is known."""
    means = np.full((groups, values.shape[1]), np.nan)
    order = np.argsort(group, kind="stable")
    named, first = np.unique(group[order], return_index=True)
    if len(named):
        known = np.isfinite(values[order])
        total = np.add.reduceat(np.where(known, values[order], 0.0), first, axis=0)
        count = np.add.reduceat(known.astype(np.int64), first, axis=0)
        means[named] = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    return means
