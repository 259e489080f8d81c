"""How many alerts people can look at decides what an alert is: so many per thing and week, and no guess of a share.

Rows of a thing that are odd one after the other are one episode. The threshold is the lowest at which the fleet has no
more episodes than the budget allows; of one thing's week only the strongest are kept, up to the budget.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from trunkline.tasks.anomaly.grouped import Floats, Ints, runs

__all__ = ["Budget", "Episodes", "episodes_of", "kept", "smoothed", "threshold_for"]

_STEPS: Final = 400


class Budget(BaseModel):
    """What people can look at.

    Attributes:
        per_week: Alerts per thing and week, on the mean of the fleet; rounded up it bounds each thing's own week.
        rows_per_week: Rows of a thing in a week: 672 quarters of an hour.
        persistence: Rows that are averaged before they are judged, the row itself the last of them.
        gap: Usual rows inside an episode that do not end it.
        usual_below: Share of the threshold below which a row is usual again: between it and the threshold an episode
            goes on and none begins (hysteresis), so that a fault whose score wavers is one episode.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    per_week: float = Field(default=1.0, gt=0, le=1_000)
    rows_per_week: int = Field(default=672, ge=1)
    persistence: int = Field(default=3, ge=1, le=96)
    gap: int = Field(default=2, ge=0, le=96)
    usual_below: float = Field(default=0.5, gt=0, le=1)


@dataclass(frozen=True)
class Episodes:
    """Runs of odd rows.

    Attributes:
        first: Place of the first row of each.
        last: Place of the last row.
        strength: Sum of what its rows have above the threshold.
    """

    first: Ints
    last: Ints
    strength: Floats


def smoothed(scores: Floats, *, thing: Ints, rows: int) -> Floats:
    """Average each row with up to ``rows - 1`` rows of its thing before it.

    >>> smoothed(np.array([0.0, 4.0, 4.0, 6.0]), thing=np.array([0, 0, 0, 1]), rows=2).tolist()
    [0.0, 2.0, 4.0, 6.0]
    """
    total, count = scores.copy(), np.ones(len(scores))
    for back in range(1, rows):
        same = np.zeros(len(scores), bool)
        same[back:] = thing[back:] == thing[:-back]
        total[same] += scores[np.flatnonzero(same) - back]
        count += same
    return np.asarray(total / count, dtype=np.float64)


def episodes_of(scores: Floats, *, thing: Ints, threshold: float, budget: Budget) -> Episodes:
    """Find the runs that begin with a row at or above a threshold, and end when rows are usual again.

    Args:
        scores: Shape (rows,), in order, thing after thing.
        thing: Number of the thing of each row, rising.
        threshold: A row at or above it is odd.
        budget: Says which rows are usual, and how many of them do not end a run.

    >>> wavering = np.array([9.0, 5.0, 5.0, 5.0, 9.0, 5.0, 0.0, 0.0, 0.0, 9.0])
    >>> found = episodes_of(wavering, thing=np.zeros(10, int), threshold=8.0, budget=Budget(gap=2))
    >>> found.first.tolist(), found.last.tolist()
    ([0, 9], [5, 9])
    """
    lively = np.flatnonzero(scores >= threshold * budget.usual_below)
    if not len(lively):
        return Episodes(lively, lively, np.zeros(0))
    begins = np.append(True, (np.diff(lively) > budget.gap + 1) | (np.diff(thing[lively]) != 0))
    firsts = np.flatnonzero(begins)
    lasts = np.append(firsts[1:], len(lively)) - 1
    above = scores[lively] - threshold
    odd = np.minimum.reduceat(np.where(above >= 0, lively, len(scores)), firsts)
    strength = np.add.reduceat(np.maximum(above, 0.0), firsts)
    is_one = odd < len(scores)
    return Episodes(odd[is_one], lively[lasts][is_one], np.asarray(strength[is_one], dtype=np.float64))


def threshold_for(scores: Floats, *, thing: Ints, budget: Budget) -> float:
    """Find the lowest threshold at which the rows have no more episodes than the budget allows.

    Args:
        scores: Smoothed, shape (rows,), in order, thing after thing.
        thing: Number of the thing of each row, rising.
        budget: What is allowed.

    Returns:
        The threshold; below the smallest score never, so that a fleet without oddness has few alerts.
    """
    if not len(scores):
        return 0.0
    allowed = budget.per_week * len(scores) / budget.rows_per_week
    # from the top: episodes merge when a threshold falls far, so the first that is too low ends the search
    found = float(scores.max())
    for threshold in np.linspace(found, float(np.median(scores)), _STEPS):
        if len(episodes_of(scores, thing=thing, threshold=float(threshold), budget=budget).first) > allowed:
            break
        found = float(threshold)
    return found


def kept(episodes: Episodes, *, thing: Ints, week: Ints, budget: Budget) -> npt.NDArray[np.intp]:
    """Number the episodes that the budget keeps: of each thing and week the strongest, the earlier of equals.

    Args:
        episodes: All episodes.
        thing: Number of the thing of each row.
        week: Number of the week of each row.
        budget: What is allowed.
    """
    if not len(episodes.first):
        return np.zeros(0, np.intp)
    things, weeks = thing[episodes.first], week[episodes.first]
    order = np.lexsort((episodes.first, -episodes.strength, weeks, things))
    changed = (np.diff(things[order]) != 0) | (np.diff(weeks[order]) != 0)
    number, lengths = runs(np.append(0, np.cumsum(changed)))
    place = np.arange(len(order)) - (np.cumsum(lengths) - lengths)[number]
    return np.sort(order[place < int(np.ceil(budget.per_week))])
