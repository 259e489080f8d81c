"""Two views of one hour ahead, averaged after the fit or before it.

A series may be where it was an hour ago, or where it usually is at that hour of the day. One booster counts from the
newest value, one from the mean of the hour forecast over seven days; what one gets wrong the other often gets right
(Bates and Granger 1969, doi:10.1057/jors.1969.103). Or one booster counts from the average of both. The further ahead,
the less the newest value tells. Shares are fixed: estimated ones are mostly worse (Smith and Wallis 2009,
doi:10.1111/j.1468-0084.2008.00541.x).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from trunkline.tasks.forecasting.boosting import Booster
from trunkline.tasks.forecasting.design import Design
from trunkline.tasks.forecasting.panel import Floats, Places

__all__ = ["Averaged", "Blend", "View", "anchor_share", "shares_of", "usual_share"]

View = Literal["newest", "usual", "both"]
"""What a booster counts from: the newest value, the mean of the hour forecast over the seven days before, or their
average."""

Averaged = Literal["before", "after"]
"""Whether the two views are averaged before the fit, for one booster, or the forecasts of two after it."""

_MOST: Final = 0.5
_HOURS_TO_ONE: Final = 10


def usual_share(horizon: int) -> float:
    """Give the share of the view ``usual``: none at one hour ahead, a tenth more each hour, never more than a half.

    Args:
        horizon: Hours ahead, at least 1.

    >>> [usual_share(horizon) for horizon in (1, 2, 6, 24)]
    [0.0, 0.1, 0.5, 0.5]
    """
    return min((horizon - 1) / _HOURS_TO_ONE, _MOST)


def anchor_share(view: View, usual: float) -> float:
    """Give the share of the usual value in what a view counts from.

    Args:
        view: Which.
        usual: Share of the usual value in the forecast, in [0, 1].

    >>> [anchor_share(view, 0.3) for view in ("newest", "usual", "both")]
    [0.0, 1.0, 0.3]
    """
    return {"newest": 0.0, "usual": 1.0, "both": usual}[view]


@dataclass(frozen=True)
class Blend:
    """The model of one hour ahead.

    Attributes:
        boosters: One per view that counts.
        usual: Share of the usual value, in [0, 1]; the rest is that of the newest.
    """

    boosters: Mapping[View, Booster]
    usual: float

    @property
    def shares(self) -> Mapping[View, float]:
        """Share of each booster; they sum to 1."""
        return shares_of(self.usual, averaged="before" if "both" in self.boosters else "after")

    def forecast(self, design: Design, series: Places, hour: Places, *, horizon: int) -> Floats:
        """Forecast medians in scale, shape (pairs,).

        Args:
            design: Inputs.
            series: Series of each pair, shape (pairs,).
            hour: The newest known hour of each, as a place of the grid, shape (pairs,).
            horizon: Hours ahead, at least 1.
        """
        total: Floats = np.zeros(len(series))
        for view, share in self.shares.items():
            usual = anchor_share(view, self.usual)
            found = self.boosters[view].predict(design.matrix(series, hour, horizon=horizon, usual=usual))
            total += share * (design.anchor(series, hour, horizon=horizon, usual=usual) + found)
        return total

    def gains(self, names: tuple[str, ...]) -> dict[str, float]:
        """Share of the gain of all splits by column, each booster as much as it counts; they sum to 1."""
        total = dict.fromkeys(names, 0.0)
        for view, share in self.shares.items():
            for name, gain in self.boosters[view].gains(names).items():
                total[name] += share * gain
        return total


def shares_of(usual: float, *, averaged: Averaged) -> Mapping[View, float]:
    """Give the share of the booster of each view that counts.

    Args:
        usual: Share of the usual value, in [0, 1].
        averaged: Before the fit or after it.

    >>> dict(shares_of(0.25, averaged="after"))
    {'newest': 0.75, 'usual': 0.25}
    >>> dict(shares_of(0.25, averaged="before")), dict(shares_of(0.0, averaged="before"))
    ({'both': 1.0}, {'newest': 1.0})
    """
    if averaged == "before" and 0 < usual < 1:
        return {"both": 1.0}
    shares: dict[View, float] = {"newest": 1 - usual, "usual": usual}
    return {view: share for view, share in shares.items() if share > 0}
