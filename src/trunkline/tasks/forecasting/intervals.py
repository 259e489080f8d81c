"""Runs a tracker over hours in the order in which truths become known.

A forecast of ``h`` hours ahead is judged ``h`` hours later: at each hour the tracker learns what that hour has shown,
and only then says the quantiles of the hours ahead.
"""

import numpy as np

from trunkline.tasks.forecasting.panel import Floats
from trunkline.tasks.forecasting.tracking import LEVELS, Tracker

__all__ = ["advance", "replay"]


def replay(tracker: Tracker, errors: Floats, *, keep_from: int = 0) -> Floats:
    """Give the quantiles that would have been given at each hour; the tracker goes on to the last.

    Args:
        tracker: The state before the first hour.
        errors: Truth minus median in scale, by the hour of making, shape (series, horizons, hours).
        keep_from: Hours before it are learned from and not given.

    Returns:
        Shape (series, horizons, levels, hours - keep_from), in scale.
    """
    series, horizons, hours = errors.shape
    given = np.empty((series, horizons, len(LEVELS), hours - keep_from))
    for hour in range(hours):
        tracker.learn(_known_at(errors, hour))
        if hour >= keep_from:
            given[..., hour - keep_from] = tracker.current()
    return given


def advance(tracker: Tracker, errors: Floats) -> None:
    """Learn hour by hour, without keeping the quantiles.

    Args:
        tracker: Goes on to the last hour.
        errors: As in :func:`replay`.
    """
    for hour in range(errors.shape[2]):
        tracker.learn(_known_at(errors, hour))


def _known_at(errors: Floats, hour: int) -> Floats:
    """The errors that an hour has shown: of the forecast made one hour before for one hour ahead, and so on."""
    series, horizons, _ = errors.shape
    shown = np.full((series, horizons), np.nan)
    for place in range(horizons):
        made = hour - (place + 1)
        if made >= 0:
            shown[:, place] = errors[:, place, made]
    return shown
