"""How odd each point of one series is, from the points before it alone.

For a KPI of which there is one series and no fleet. Three causal views: the point, the mean of the last points, and the
step from the point before, each in standard deviations of what came before, added up. Standard deviations and not
robust ones: a machine that idles most of the time and works now and then has a median absolute deviation of nearly 0.
"""

from typing import Final

import numpy as np

from trunkline.tasks.anomaly.grouped import Floats, Ints

__all__ = ["first_told", "series_scores"]

_SHORT: Final = 24
_STEP_WEIGHT: Final = 0.5
_MOST: Final = 50.0


def series_scores(values: Floats, *, window: int = 6_400, warm_up: int = 100) -> Floats:
    """Score the points of a series.

    Args:
        values: In order, shape (points,); NaN takes the point before.
        window: Points of the past that say what is usual, at most.
        warm_up: First points, which are not judged: their score is 0.

    Returns:
        Scores of at least 0, shape (points,). No score changes when later points come.

    Raises:
        ValueError: ``window`` or ``warm_up`` is below 2.

    >>> scores = series_scores(np.where(np.arange(400) == 300, 9.0, np.sin(np.arange(400.0))))
    >>> int(scores.argmax())
    300
    """
    if min(window, warm_up) < 2:
        raise ValueError("window and warm_up are at least 2")
    if not len(values):
        return np.zeros(0)
    known = np.maximum.accumulate(np.where(np.isfinite(values), np.arange(len(values)), 0))
    filled = np.nan_to_num(values[known])
    steps = np.diff(filled, prepend=filled[0])
    recent = _trailing_mean(filled, _SHORT)
    parts = [np.abs(_deviations(one, window, warm_up)) for one in (filled, recent, steps)]
    return np.asarray(parts[0] + parts[1] + _STEP_WEIGHT * parts[2], dtype=np.float64)


def first_told(scores: Floats, *, back: int = 500) -> Floats:
    """Damp scores that are no larger than others shortly before, so that one trouble is told once.

    Args:
        scores: Of :func:`series_scores`.
        back: Points before that count.

    Returns:
        ``s * s / (s + m)`` with the largest score ``m`` of the points before; shape (points,).
    """
    from numpy.lib.stride_tricks import sliding_window_view

    padded = np.concatenate((np.zeros(back), scores))[: len(scores) + back - 1]
    largest = sliding_window_view(padded, back).max(axis=1)
    return np.asarray(scores * scores / (scores + largest + 1e-9), dtype=np.float64)


def _deviations(values: Floats, window: int, warm_up: int) -> Floats:
    """Standard deviations of each point from the mean of at most ``window`` points before it."""
    places: Ints = np.arange(len(values))
    begins = np.maximum(places - window, 0)
    count = np.maximum(places - begins, 1)
    centred = values - values[0]  # squares of large levels lose digits
    sums = np.cumsum(np.concatenate(([0.0], centred)))
    squares = np.cumsum(np.concatenate(([0.0], centred * centred)))
    mean = (sums[places] - sums[begins]) / count
    spread = np.sqrt(np.maximum((squares[places] - squares[begins]) / count - mean * mean, 0.0))
    found = (centred - mean) / (spread + 1e-9 * np.maximum(np.abs(values), 1.0))
    found[:warm_up] = 0.0
    return np.asarray(np.clip(found, -_MOST, _MOST), dtype=np.float64)


def _trailing_mean(values: Floats, window: int) -> Floats:
    total = np.cumsum(np.concatenate(([0.0], values)))
    ends = np.arange(1, len(values) + 1)
    begins = np.maximum(ends - window, 0)
    return np.asarray((total[ends] - total[begins]) / (ends - begins), dtype=np.float64)
