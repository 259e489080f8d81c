"""The area under the ROC curve: its variance, its interval, and the paired test of two scores on the same rows.

Takes labels and scores (any real numbers, not only probabilities), gives frozen records. Time grows with
``n log n``, so a million rows take about a second.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from trunkline.stats.arrays import Floats, Ints, binary_labels, finite, paired
from trunkline.stats.intervals import Interval

__all__ = ["DeLongTest", "delong_interval", "delong_test"]


@dataclass(frozen=True, slots=True)
class DeLongTest:
    """Two scores of the same rows, compared by area under the ROC curve.

    Attributes:
        auc_a: Area of the first score with its interval, in [0, 1].
        auc_b: Area of the second score with its interval, in [0, 1].
        difference: ``auc_a - auc_b`` with its interval, in [-1, 1].
        z: The difference in standard errors; 0 when the scores rank all rows alike.
        p_value: Two-sided, in [0, 1], of the hypothesis that the areas are equal.
    """

    auc_a: Interval
    auc_b: Interval
    difference: Interval
    z: float
    p_value: float


def delong_interval(y: ArrayLike, score: ArrayLike, *, level: float = 0.95) -> Interval:
    """Return the area under the ROC curve with DeLong's interval.

    The normal interval, cut to [0, 1]. Assumes independent rows and a score fitted on other rows. Where the classes
    are separated without error the variance is 0 and the interval a point: it then says nothing about the uncertainty.
    Source: DeLong, DeLong and Clarke-Pearson (1988), doi:10.2307/2531595, in the O(n log n) form of Sun and Xu (2014),
    doi:10.1109/LSP.2014.2337313.

    Args:
        y: Class of each row, 0 or 1, shape (rows,), at least two rows of each.
        score: Higher means more probably class 1, shape (rows,), finite.
        level: Coverage, in (0, 1).

    Returns:
        The area and its interval, all in [0, 1]; tied pairs count one half.

    Raises:
        ValueError: Shapes differ, a null or a label other than 0 and 1 occurs, or ``level`` is outside (0, 1).
        LabelError: A class has fewer than two rows.

    Example:
        >>> interval = delong_interval([0, 0, 1, 1, 0, 1], [0.1, 0.4, 0.35, 0.8, 0.2, 0.7])
        >>> round(interval.value, 4), round(interval.low, 4), interval.high
        (0.8889, 0.5809, 1.0)
    """
    areas, covariance = _areas(binary_labels(y, both=2), finite(score, name="score")[np.newaxis, :])
    return _clipped(float(areas[0]), float(covariance[0, 0]), level, floor=0.0)


def delong_test(y: ArrayLike, score_a: ArrayLike, score_b: ArrayLike, *, level: float = 0.95) -> DeLongTest:
    """Compare two scores of the same rows by area under the ROC curve.

    Pairing takes the correlation of the two scores into account, so the test is much sharper than looking whether two
    intervals overlap. Assumes independent rows that neither score was fitted on. Source: as ``delong_interval``.

    Args:
        y: Class of each row, 0 or 1, shape (rows,), at least two rows of each.
        score_a: First score, shape (rows,), finite.
        score_b: Second score, shape (rows,), finite.
        level: Coverage of the intervals, in (0, 1).

    Returns:
        Both areas, their difference (first minus second), and the test.

    Raises:
        ValueError: Shapes differ, a null or a label other than 0 and 1 occurs, or ``level`` is outside (0, 1).
        LabelError: A class has fewer than two rows.

    Example:
        >>> y = [0, 0, 0, 0, 1, 1, 1, 1]
        >>> test = delong_test(y, [1, 2, 3, 5, 4, 6, 7, 8], [3, 1, 6, 5, 2, 4, 7, 8])
        >>> round(test.difference.value, 4), round(test.p_value, 3)
        (0.25, 0.157)
    """
    from scipy.stats import norm

    first, second = finite(score_a, name="score_a"), finite(score_b, name="score_b")
    paired(score_a=first, score_b=second)
    areas, covariance = _areas(binary_labels(y, both=2), np.stack([first, second]))
    difference = float(areas[0] - areas[1])
    variance = float(covariance[0, 0] + covariance[1, 1] - 2.0 * covariance[0, 1])
    # Scores that rank alike leave a rounding error of either sign where the variance is exactly 0.
    variance = variance if variance > 1e-15 else 0.0
    if variance > 0.0:
        z = difference / variance**0.5
    else:
        z = 0.0 if abs(difference) < 1e-12 else float(np.sign(difference)) * np.inf
    return DeLongTest(
        auc_a=_clipped(float(areas[0]), float(covariance[0, 0]), level, floor=0.0),
        auc_b=_clipped(float(areas[1]), float(covariance[1, 1]), level, floor=0.0),
        difference=_clipped(difference, variance, level, floor=-1.0),
        z=z,
        p_value=float(2.0 * norm.sf(abs(z))),
    )


def _areas(y: Ints, scores: Floats) -> tuple[Floats, Floats]:
    """Areas of k scores, shape (k,), and their covariance matrix, shape (k, k); ``scores`` has shape (k, rows)."""
    from scipy.stats import rankdata

    paired(y=y, scores=scores.T)
    positive = y == 1
    positives, negatives = int(positive.sum()), int((~positive).sum())
    ranks = rankdata(scores, axis=1)
    # Each row's share of the other class that it is on the right side of: the "placement values" of DeLong.
    of_positives = (ranks[:, positive] - rankdata(scores[:, positive], axis=1)) / negatives
    of_negatives = 1.0 - (ranks[:, ~positive] - rankdata(scores[:, ~positive], axis=1)) / positives
    covariance = np.atleast_2d(np.cov(of_positives)) / positives + np.atleast_2d(np.cov(of_negatives)) / negatives
    return of_positives.mean(axis=1), covariance


def _clipped(value: float, variance: float, level: float, *, floor: float) -> Interval:
    from scipy.stats import norm

    if not 0.0 < level < 1.0:
        raise ValueError(f"level must lie in (0, 1), not {level}")
    half = float(norm.ppf(0.5 + level / 2)) * max(variance, 0.0) ** 0.5
    return Interval(value=value, low=max(floor, value - half), high=min(1.0, value + half))
