"""Two views of one hour ahead, averaged.

A series may be where it was an hour ago, or where it usually is at that hour of the day. One booster counts from the
newest value, one from the mean of the hour forecast over seven days; what one gets wrong the other often gets right
(Bates and Granger 1969, doi:10.1057/jors.1969.103). The further ahead, the less the newest value tells. Shares are
fixed: estimated ones are mostly worse (Smith and Wallis 2009, doi:10.1111/j.1468-0084.2008.00541.x).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from trunkline.tasks.forecasting.boosting import Booster
from trunkline.tasks.forecasting.design import VIEWS, View
from trunkline.tasks.forecasting.panel import Floats

__all__ = ["Blend", "blended", "shares_of", "usual_share"]

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


@dataclass(frozen=True)
class Blend:
    """The model of one hour ahead.

    Attributes:
        boosters: One per view that counts.
        usual: Share of the view ``usual``, in [0, 1]; the rest is that of ``newest``.
    """

    boosters: Mapping[View, Booster]
    usual: float

    def gains(self, names: tuple[str, ...]) -> dict[str, float]:
        """Share of the gain of all splits by column, each view as much as it counts; they sum to 1."""
        total = dict.fromkeys(names, 0.0)
        shares = shares_of(self.usual)
        for view, booster in self.boosters.items():
            for name, gain in booster.gains(names).items():
                total[name] += shares[view] * gain
        return total


def shares_of(usual: float) -> Mapping[View, float]:
    """Give the share of each view that counts.

    Args:
        usual: Share of the view ``usual``, in [0, 1].
    """
    shares: dict[View, float] = {"newest": 1 - usual, "usual": usual}
    return {view: share for view, share in shares.items() if share > 0}


def blended(views: Floats, usual: Sequence[float]) -> Floats:
    """Average the forecasts of both views.

    Args:
        views: Shape (views, series, horizons, origins); what has no share is not looked at.
        usual: Share of the view ``usual`` by hour ahead.

    Returns:
        Shape (series, horizons, origins).
    """
    share = np.asarray(usual, dtype=np.float64)[None, :, None]
    newest, own = views[VIEWS.index("newest")], views[VIEWS.index("usual")]
    return np.where(share < 1, (1 - share) * newest, 0.0) + np.where(share > 0, share * own, 0.0)
