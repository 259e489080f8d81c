"""The record of a figure with its uncertainty, and the intervals that have a formula.

Takes counts or fold scores, gives an ``Interval``. Intervals by resampling live in ``bootstrap``, that of an area under
the ROC curve in ``delong``.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from trunkline.stats.arrays import finite

__all__ = ["CorrectedTest", "Interval", "corrected_resampled_test", "wilson_interval"]


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure and the interval that its uncertainty leaves open.

    Attributes:
        value: The point estimate, in the unit of the metric.
        low: Lower end; 95 % two-sided unless the maker says otherwise.
        high: Upper end, not below ``low``.
    """

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class CorrectedTest:
    """A mean over resampled folds, judged by the corrected resampled *t*.

    Attributes:
        mean: Mean of the fold scores (or fold differences) with its interval.
        t: Corrected *t* statistic of the mean against 0; 0 when all scores are 0, infinite when they are equal but
            not 0.
        p_value: Two-sided, in [0, 1], of the hypothesis that the mean is 0; means something for differences only.
        folds: Number of fold scores.
    """

    mean: Interval
    t: float
    p_value: float
    folds: int


def wilson_interval(successes: int, trials: int, *, level: float = 0.95) -> Interval:
    """Return a proportion with Wilson's score interval.

    It stays inside [0, 1] and keeps its coverage for small counts and shares near 0 or 1, where the textbook interval
    collapses. Assumes independent trials of one probability. Source: Wilson (1927), doi:10.1080/01621459.1927.10502953;
    recommended by Brown, Cai and DasGupta (2001), doi:10.1214/ss/1009213286.

    Args:
        successes: Number of successes, 0 <= successes <= trials.
        trials: Number of trials, at least 1.
        level: Coverage, in (0, 1).

    Returns:
        The share of successes and its interval, all in [0, 1].

    Raises:
        ValueError: There are no trials, the counts contradict each other, or ``level`` is outside (0, 1).

    Example:
        >>> interval = wilson_interval(0, 10)
        >>> interval.value, interval.low, round(interval.high, 4)
        (0.0, 0.0, 0.2775)
    """
    from scipy.stats import binomtest

    _refuse_level(level)
    if trials < 1 or not 0 <= successes <= trials:
        raise ValueError(f"successes must lie in [0, trials] and trials be at least 1, not {successes} of {trials}")
    ends = binomtest(int(successes), int(trials)).proportion_ci(confidence_level=level, method="wilson")
    return Interval(value=successes / trials, low=float(ends.low), high=float(ends.high))


def corrected_resampled_test(
    scores: ArrayLike, *, train_rows: float, test_rows: float, level: float = 0.95, shares: bool = False
) -> CorrectedTest:
    """Return the mean of (repeated) cross-validation scores with an interval that allows for shared training rows.

    Fold scores are not independent: their training sets overlap, so the plain standard error is far too small. The
    correction replaces ``1/J`` by ``1/J + test_rows/train_rows`` in the variance of the mean of ``J`` scores. Give the
    fold by fold differences of two learners to compare them. Assumes roughly normal scores, folds of about equal size,
    and judges the *learner* on this amount of data, not one fitted model. Source: Nadeau and Bengio (2003),
    doi:10.1023/A:1024068626366; for repeated cross-validation Bouckaert and Frank (2004),
    doi:10.1007/978-3-540-24775-3_3.

    The mean of shares is told with an interval made on the log-odds, by the delta method, so that it ends within
    [0, 1] and is longer on the side that has room; Brown, Cai and DasGupta (2001), doi:10.1214/ss/1009213286, section
    4.1. The test is that of the scores as they are.

    Args:
        scores: One score per fold of each repeat, shape (folds,), at least two, any unit.
        train_rows: Rows that each fold was fitted on, > 0.
        test_rows: Rows that each fold was scored on, > 0.
        level: Coverage, in (0, 1).
        shares: Whether scores lie in [0, 1] by what they are, e.g. areas under a curve; differences of them do not.

    Returns:
        The mean with its interval, and the test of the mean against 0.

    Raises:
        ValueError: Fewer than two scores, a null among them, or a number outside its range.

    Example:
        >>> test = corrected_resampled_test([0.80, 0.82, 0.81, 0.83, 0.79], train_rows=80, test_rows=20)
        >>> round(test.mean.value, 3), round(test.mean.low, 3), round(test.mean.high, 3)
        (0.81, 0.781, 0.839)
        >>> near = corrected_resampled_test([0.99, 1.0, 1.0, 0.98, 1.0], train_rows=80, test_rows=20, shares=True)
        >>> round(near.mean.value, 3), round(near.mean.low, 3), round(near.mean.high, 4)
        (0.994, 0.91, 0.9996)
    """
    from scipy.stats import t as student

    _refuse_level(level)
    values = finite(scores, name="scores")
    if values.size < 2 or train_rows <= 0 or test_rows <= 0:
        raise ValueError("at least two scores, and train_rows and test_rows above 0, are needed")
    if shares and not ((values > -1e-9) & (values < 1.0 + 1e-9)).all():
        raise ValueError("shares must lie in [0, 1]")
    mean = float(values.mean())
    # Equal scores have no spread, but their mean in floating point may differ from them by a rounding error.
    spread = 0.0 if np.ptp(values) == 0 else float(values.std(ddof=1))
    error = spread * float(np.sqrt(1.0 / values.size + test_rows / train_rows))
    half = float(student.ppf(0.5 + level / 2, values.size - 1)) * error
    t = mean / error if error > 0.0 else float(np.sign(mean)) * np.inf if mean else 0.0
    return CorrectedTest(
        mean=_on_log_odds(mean, half) if shares else Interval(value=mean, low=mean - half, high=mean + half),
        t=t,
        p_value=float(2.0 * student.sf(abs(t), values.size - 1)),
        folds=values.size,
    )


def _on_log_odds(share: float, half: float) -> Interval:
    """Bring a symmetric interval of a share to the log-odds and back; shares all 0, or all 1, have no spread."""
    from scipy.special import expit, logit

    if half == 0.0 or not 0.0 < share < 1.0:
        return Interval(value=share, low=share, high=share)
    reach = half / (share * (1.0 - share))
    return Interval(value=share, low=float(expit(logit(share) - reach)), high=float(expit(logit(share) + reach)))


def _refuse_level(level: float) -> None:
    if not 0.0 < level < 1.0:
        raise ValueError(f"level must lie in (0, 1), not {level}")
