"""What is learned of each series alone: its scale, and above which value it is an outlier.

Takes the grid of values, gives frozen arrays. Series of 30 ms and of 30 s become alike, so that one model learns from
all of them.
"""

from dataclasses import dataclass

import numpy as np

from trunkline.tasks.forecasting.panel import Floats

__all__ = ["Scales", "capped", "learn_scales", "seasonal_scale"]

_DAY = 24
_PERSISTS = 3
_TINY = 1e-9


@dataclass(frozen=True)
class Scales:
    """Scale and outlier limit by series.

    Attributes:
        scale: Mean absolute difference of a day, in the unit of the series, positive, shape (series,).
        whisker: Upper whisker (Tukey 1977): third quartile plus 1.5 interquartile ranges, shape (series,).
    """

    scale: Floats
    whisker: Floats


def seasonal_scale(values: Floats, *, lag: int = _DAY) -> Floats:
    """Mean absolute difference over ``lag`` hours by series, positive.

    It is what MASE divides by (Hyndman and Koehler 2006, doi:10.1016/j.ijforecast.2006.03.001).
    A series without two values so far apart is measured by its standard deviation, a constant one by 1.

    >>> seasonal_scale(np.array([[1.0, 2.0, 3.0, 5.0]]), lag=2).tolist()
    [2.5]
    """
    far = np.abs(values[:, lag:] - values[:, :-lag]) if values.shape[1] > lag else np.full((len(values), 1), np.nan)
    found = _mean(far)
    spread = np.sqrt(np.maximum(_mean(values**2) - _mean(values) ** 2, 0.0))
    found = np.where(np.isfinite(found) & (found > _TINY), found, spread)
    return np.where(np.isfinite(found) & (found > _TINY), found, 1.0)


def learn_scales(values: Floats) -> Scales:
    """Learn scale and whisker of each series.

    Args:
        values: Training hours, shape (series, hours), NaN where unknown.
    """
    quartiles = np.full((len(values), 2), np.nan)
    known = np.isfinite(values).any(axis=1)
    if known.any():
        quartiles[known] = np.nanquantile(values[known], [0.25, 0.75], axis=1).T
    whisker = quartiles[:, 1] + 1.5 * (quartiles[:, 1] - quartiles[:, 0])
    return Scales(seasonal_scale(values), np.where(np.isfinite(whisker), whisker, np.inf))


def capped(values: Floats, whisker: Floats) -> Floats:
    """Cap outliers at the whisker, but for a level that has lasted.

    A value above the whisker that stood there for three hours is no outlier but a new level, and is kept up to the
    lowest of those hours.

    >>> capped(np.array([[1.0, 9.0, 1.0, 9.0, 9.0, 9.0]]), np.array([2.0])).tolist()
    [[1.0, 2.0, 1.0, 2.0, 2.0, 9.0]]
    """
    lasting = values.copy()
    for back in range(1, _PERSISTS):
        lasting[:, back:] = np.fmin(lasting[:, back:], values[:, :-back])
        lasting[:, :back] = np.fmin(lasting[:, :back], -np.inf)
    return np.minimum(values, np.maximum(whisker[:, None], np.where(np.isfinite(lasting), lasting, -np.inf)))


def _mean(values: Floats) -> Floats:
    known = np.isfinite(values)
    total = np.where(known, values, 0.0).sum(axis=1)
    counts = known.sum(axis=1)
    return np.where(counts > 0, total / np.maximum(counts, 1), np.nan)
