"""Many tests judged together, so that few of those that are rejected are false."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from trunkline.stats.arrays import finite

__all__ = ["FalseDiscoveries", "benjamini_hochberg"]


@dataclass(frozen=True, slots=True)
class FalseDiscoveries:
    """Many tests judged together.

    Attributes:
        adjusted: Adjusted p-value of each test, in the order given, in [0, 1].
        rejected: Whether its hypothesis is rejected at the rate.
    """

    adjusted: tuple[float, ...]
    rejected: tuple[bool, ...]


def benjamini_hochberg(p_values: ArrayLike, *, rate: float = 0.05) -> FalseDiscoveries:
    """Judge many tests so that of those rejected about ``rate`` are false at most.

    Assumes independent or positively dependent tests. Source: Benjamini and Hochberg (1995),
    doi:10.1111/j.2517-6161.1995.tb02031.x; computed by SciPy's ``false_discovery_control``.

    Args:
        p_values: One per test, shape (tests,), each in [0, 1].
        rate: False discovery rate allowed, in (0, 1).

    Returns:
        Adjusted p-values and verdicts.

    Raises:
        ValueError: There are no tests, a p-value is null or outside [0, 1], or ``rate`` is outside (0, 1).

    Example:
        >>> benjamini_hochberg([0.01, 0.02, 0.5]).rejected
        (True, True, False)
    """
    from scipy.stats import false_discovery_control

    values = finite(p_values, name="p_values")
    if values.min() < 0.0 or values.max() > 1.0 or not 0.0 < rate < 1.0:
        raise ValueError("p-values must lie in [0, 1] and rate in (0, 1)")
    adjusted = np.asarray(false_discovery_control(values, method="bh"), dtype=np.float64)
    return FalseDiscoveries(adjusted=tuple(adjusted.tolist()), rejected=tuple((adjusted <= rate).tolist()))
