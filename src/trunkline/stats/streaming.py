"""Anomaly scores that follow a stream: each value moves a small state, and is scored by the state before it.

Takes one value at a time in the order of event time; gives its score and the next state. The state is plain numbers,
so that it can be kept beside the value: whoever goes on after a restart, or has to go back because a value came late,
starts from the state of the value before and gets the same scores.
"""

import math
from dataclasses import dataclass
from typing import Final

__all__ = ["EwmaState", "ewma_step"]

_LEAST_SHARE: Final = 1e-9
"""Spread below this share of the level is rounding, not spread."""


@dataclass(frozen=True, slots=True)
class EwmaState:
    """What is known of a series.

    Attributes:
        count: Values so far.
        mean: Exponentially weighted mean.
        variance: Exponentially weighted variance about it.
    """

    count: int = 0
    mean: float = 0.0
    variance: float = 0.0


def ewma_step(
    state: EwmaState, value: float, *, half_life: float, warmup: int, ceiling: float = 1e6
) -> tuple[float | None, EwmaState]:
    """Score a value against the moving average of those before it, then move the average.

    The first values count by a plain average, until an average of the half-life would move less: so the start is not
    weighted by its first value.

    Args:
        state: After the values before.
        value: Finite.
        half_life: Values after which one counts half; above 0.
        warmup: Values before the first score; 2 or more.
        ceiling: Largest score.

    Returns:
        Distance from the mean in standard deviations, with its sign, within ``ceiling`` either way; None during the
        warm-up. And the next state.

    References:
        Finch (2009), Incremental calculation of weighted mean and variance, University of Cambridge, section 9.
        Roberts (1959), Control chart tests based on geometric moving averages, Technometrics 1(3),
        doi:10.1080/00401706.1959.10489860. Scores assume a level that moves slowly against the half-life.

    Raises:
        Nothing: any finite value can follow any other.

    Example:
        >>> state = EwmaState()
        >>> for value in (10.0, 12.0, 11.0, 9.0, 10.0, 11.0):
        ...     score, state = ewma_step(state, value, half_life=20, warmup=5)
        >>> round(state.mean, 2), round(score, 2)
        (10.5, 0.59)
        >>> round(ewma_step(state, 30.0, half_life=20, warmup=5)[0], 1)
        20.4
    """
    score: float | None = None
    off = value - state.mean
    if state.count >= warmup:
        spread = max(math.sqrt(state.variance), _LEAST_SHARE * max(1.0, abs(state.mean)))
        score = max(-ceiling, min(ceiling, off / spread))
    weight = max(1.0 / (state.count + 1), 1.0 - 0.5 ** (1.0 / half_life))
    moved = weight * off
    return score, EwmaState(state.count + 1, state.mean + moved, (1.0 - weight) * (state.variance + moved * off))
