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
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    per_week: float = Field(default=1.0, gt=0, le=1_000)
    rows_per_week: int = Field(default=672, ge=1)
    persistence: int = Field(default=3, ge=1, le=96)
    gap: int = Field(default=2, ge=0, le=96)


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


def episodes_of(scores: Floats, *, thing: Ints, threshold: float, gap: int) -> Episodes:
    """Find the runs of rows at or above a threshold.

    Args:
        scores: Shape (rows,), in order, thing after thing.
        thing: Number of the thing of each row, rising.
        threshold: Rows at or above it are odd.
        gap: Rows below it that do not end a run.
    """
    odd = np.flatnonzero(scores >= threshold)
    if not len(odd):
        return Episodes(odd, odd, np.zeros(0))
    begins = np.append(True, (np.diff(odd) > gap + 1) | (np.diff(thing[odd]) != 0))
    firsts = np.flatnonzero(begins)
    lasts = np.append(firsts[1:], len(odd)) - 1
    strength = np.add.reduceat(scores[odd] - threshold, firsts)
    return Episodes(odd[firsts], odd[lasts], np.asarray(strength, dtype=np.float64))


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
        if len(episodes_of(scores, thing=thing, threshold=float(threshold), gap=budget.gap).first) > allowed:
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
