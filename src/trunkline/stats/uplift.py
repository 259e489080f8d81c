"""What a campaign brought: members who were contacted against a random group of members who never are.

Takes responses and revenues of both groups, gives their differences with intervals. The groups must have been drawn at
random before the campaign, and everybody of them counts, whoever was reached: then the difference is what the campaign
did, and not what kind of people it chose.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from trunkline.stats.arrays import Floats, finite
from trunkline.stats.intervals import Interval, wilson_interval

__all__ = ["CampaignEffect", "campaign_effect"]

_LEAST_ROWS = 2


@dataclass(frozen=True, slots=True)
class CampaignEffect:
    """A campaign against its holdout group.

    Attributes:
        contacted: Members to be contacted.
        held_out: Members never contacted.
        response: Share of the contacted who responded, with Wilson's 95 % interval.
        holdout_response: The same of those held out; null without any.
        uplift: Response less that of the holdout, with Newcombe's 95 % interval; null likewise.
        incremental_revenue: Mean revenue of the contacted less that of the held out, times the contacted, in currency
            units, with Welch's 95 % interval; null with fewer than two members on either side.
        spend: What the contacts cost, in currency units.
        incremental_profit: Incremental revenue less the spend, likewise.
    """

    contacted: int
    held_out: int
    response: Interval
    holdout_response: Interval | None
    uplift: Interval | None
    incremental_revenue: Interval | None
    spend: float
    incremental_profit: Interval | None


def campaign_effect(
    responded: ArrayLike,
    revenue: ArrayLike,
    *,
    holdout_responded: ArrayLike,
    holdout_revenue: ArrayLike,
    spend: float,
) -> CampaignEffect:
    """Compare a campaign with its holdout group.

    Newcombe (1998), doi:10.1002/(SICI)1097-0258(19980430)17:8<873::AID-SIM779>3.0.CO;2-I, method 10, for the difference
    of shares; Welch (1947), doi:10.1093/biomet/34.1-2.28, for that of means, which assumes groups large enough for
    their means to be about normal: revenues of a few large sales want some hundred members.

    Args:
        responded: 0 or 1 of each contacted member, shape (contacted,), at least one.
        revenue: Of each, in currency units.
        holdout_responded: 0 or 1 of each member held out, shape (held out,).
        holdout_revenue: Of each.
        spend: What the contacts cost.

    Returns:
        The comparison.

    Raises:
        ValueError: Nobody was contacted, shapes differ, or a value is null, infinite or out of range.

    Example:
        >>> effect = campaign_effect([1, 1, 0, 0], [40, 40, 0, 0], holdout_responded=[1, 0, 0, 0],
        ...                          holdout_revenue=[40, 0, 0, 0], spend=8.0)
        >>> effect.uplift.value, effect.incremental_revenue.value, effect.incremental_profit.value
        (0.25, 40.0, 32.0)
    """
    took, brought = _group(responded, revenue)
    held_took, held_brought = _group(holdout_responded, holdout_revenue)
    if not took.size:
        raise ValueError("nobody was contacted")
    response = wilson_interval(int(took.sum()), took.size)
    held = wilson_interval(int(held_took.sum()), held_took.size) if held_took.size else None
    uplift = None
    if held is not None:
        difference = response.value - held.value
        below = np.hypot(response.value - response.low, held.high - held.value)
        above = np.hypot(response.high - response.value, held.value - held.low)
        uplift = Interval(difference, difference - float(below), difference + float(above))
    extra = _welch(brought, held_brought)
    return CampaignEffect(
        contacted=took.size,
        held_out=held_took.size,
        response=response,
        holdout_response=held,
        uplift=uplift,
        incremental_revenue=extra,
        spend=spend,
        incremental_profit=Interval(extra.value - spend, extra.low - spend, extra.high - spend) if extra else None,
    )


def _group(responded: ArrayLike, revenue: ArrayLike) -> tuple[Floats, Floats]:
    took, brought = np.asarray(responded, dtype=np.float64), np.asarray(revenue, dtype=np.float64)
    if took.shape != brought.shape:
        raise ValueError(f"responses and revenues differ in shape: {took.shape} and {brought.shape}")
    if took.size:
        finite(brought, name="revenue")
        if not np.isin(took, (0.0, 1.0)).all():
            raise ValueError("responses must be 0 or 1")
    return took, brought


def _welch(contacted: Floats, held_out: Floats) -> Interval | None:
    if min(contacted.size, held_out.size) < _LEAST_ROWS:
        return None
    from scipy.stats import t

    shares = np.array([contacted.var(ddof=1) / contacted.size, held_out.var(ddof=1) / held_out.size])
    total = float(shares.sum())
    value = float(contacted.mean() - held_out.mean())
    half = 0.0
    if total > 0:
        freedom = total**2 / float((shares**2 / np.array([contacted.size - 1, held_out.size - 1])).sum())
        half = float(t.ppf(0.975, freedom)) * float(np.sqrt(total))
    count = contacted.size
    return Interval(count * value, count * (value - half), count * (value + half))
