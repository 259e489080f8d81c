"""Whether series can be learned from and judged, told before any time is spent on it.

Takes a panel, gives the hours that count, with what has to be said of them, or refuses with what is lacking. Hours
before a long gap tell of another time, often of another system: they are left out.
"""

from collections.abc import Collection
from datetime import timedelta
from typing import Final

import numpy as np

from trunkline.errors import LabelError
from trunkline.tasks.forecasting.panel import HOUR, Panel

__all__ = ["LEAST_HOURS", "LEAST_VALUES", "LONGEST_GAP", "fit_to_learn", "refuse_unjudged"]

LEAST_HOURS: Final = 24 * 14
"""Hours below which nothing can be learned and judged."""

LEAST_VALUES: Final = 24 * 5
"""Values that a series needs to be judged."""

LONGEST_GAP: Final = timedelta(days=28)
"""A time without any value of any series after which learning begins anew."""

_LEAST_JUDGED: Final = 48


def fit_to_learn(panel: Panel, *, known_ahead: Collection[str]) -> tuple[Panel, tuple[str, ...]]:
    """Give the hours after the last long gap, and a sentence where that left some out.

    Args:
        panel: The series.
        known_ahead: Metrics that are told before their time: hours that have nothing else are still to come.

    Raises:
        LabelError: There are too few hours, or too few values.
    """
    measured = [metric not in known_ahead for _, metric in panel.covariates.names]
    told = np.isfinite(np.concatenate([panel.targets.values, panel.covariates.values[measured]])).any(axis=0)
    panel = panel.until(int(np.flatnonzero(told)[-1]))
    known = np.flatnonzero(np.isfinite(panel.targets.values).any(axis=0))
    long = np.flatnonzero(np.diff(known) > LONGEST_GAP / HOUR)
    said: tuple[str, ...] = ()
    after = ""
    if len(long):
        last, first = int(known[long[-1]]), int(known[long[-1] + 1])
        after = (
            f" after a gap of {(first - last - 1) // 24} days that ends at {panel.hour_at(first):%Y-%m-%d %H:%M} UTC"
        )
        said = (f"{long[-1] + 1} hours with values are left out: learned is from those{after}",)
        panel = panel.since(first)
    counts = np.isfinite(panel.targets.values).sum(axis=1)
    if panel.hours < LEAST_HOURS or counts.max(initial=0) < LEAST_VALUES:
        raise LabelError(
            f"the series are too short: {panel.hours} hours with at most {int(counts.max(initial=0))} values{after}",
            allowed=(f"{LEAST_HOURS} hours or more, with {LEAST_VALUES} values of one series",),
            next_step="take in the hours of the gap, or wait for more" if after else "take in more hours first",
        )
    return panel, said


def refuse_unjudged(panel: Panel, *, judge: int) -> None:
    """Refuse series that have too few values among the hours that would be judged.

    Args:
        panel: The series.
        judge: First hour that would be judged.

    Raises:
        LabelError: No series has two days of values there.
    """
    counts = np.isfinite(panel.targets.values[:, judge:]).sum(axis=1)
    if counts.max(initial=0) < _LEAST_JUDGED:
        known = np.flatnonzero(np.isfinite(panel.targets.values).any(axis=0))
        raise LabelError(
            f"no series has more than {int(counts.max(initial=0))} values since "
            f"{panel.hour_at(judge):%Y-%m-%d %H:%M} UTC, the hours that would be judged; "
            f"the newest is of {panel.hour_at(int(known[-1])):%Y-%m-%d %H:%M} UTC",
            allowed=(f"{_LEAST_JUDGED} values of one series among them",),
            next_step="take in the newest hours first, or judge more days (evaluation_days)",
        )
