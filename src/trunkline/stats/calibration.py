"""Do probabilities mean what they say, and how to make them do so.

Measures: expected calibration error (ECE) over bins of equal mass, the ECE that chance alone leaves (noise floor), and
the reliability curve. Cures: logistic and beta calibration, both of the form
``log-odds = a * log(p) - b * log(1 - p) + c`` with a, b >= 0, so three plain numbers hold a calibration, it never turns
a ranking over, and it needs nothing but two logarithms where it is applied.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from trunkline.stats.arrays import Floats, Ints, binary_labels, paired, probabilities
from trunkline.stats.intervals import Interval, wilson_interval
from trunkline.stats.metrics import ECE_BINS, equal_mass_bins

__all__ = [
    "CLIP",
    "Calibration",
    "NoiseFloor",
    "ReliabilityBin",
    "calibrate",
    "ece",
    "ece_noise_floor",
    "fit_beta",
    "fit_logistic",
    "log_odds",
    "reliability_curve",
]

CLIP = 1e-7
"""Probabilities are limited to [CLIP, 1 - CLIP] before a logarithm is taken."""

_DRAWN_CELLS = 1_000_000


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """Rows of about equal score.

    Attributes:
        rows: Number of rows, at least 1.
        mean_score: Mean probability of the rows, in [0, 1].
        observed: Share of class 1 with Wilson's 95 % interval.
    """

    rows: int
    mean_score: float
    observed: Interval


@dataclass(frozen=True, slots=True)
class NoiseFloor:
    """The ECE that a perfectly calibrated model with the same scores shows by chance.

    Attributes:
        mean: Mean of the simulated ECE, in [0, 1].
        quantile_95: Its 95 % quantile: an ECE above it is miscalibration and not chance (5 % one-sided test).
        draws: Number of simulated outcomes.
    """

    mean: float
    quantile_95: float
    draws: int


@dataclass(frozen=True, slots=True)
class Calibration:
    """A calibration map: log-odds = ``a * log(p) - b * log(1 - p) + c``.

    Attributes:
        kind: ``logistic`` has a = b; ``beta`` is free; ``identity`` is (1, 1, 0) and changes nothing but the clipping.
        a: Slope in log p, >= 0.
        b: Slope in -log(1 - p), >= 0.
        c: Intercept, in log-odds.
    """

    kind: Literal["identity", "logistic", "beta"] = "identity"
    a: float = 1.0
    b: float = 1.0
    c: float = 0.0


def ece(y: ArrayLike, p: ArrayLike, *, bins: int = ECE_BINS) -> float:
    """Return the expected calibration error over bins of equal mass.

    The mean over rows of |observed share - mean score| of the row's bin (the binned L1 calibration error). It is
    biased upwards by chance, the more so with few rows: compare it with ``ece_noise_floor``. Rows of one score share a
    bin. Source: Naeini, Cooper and Hauskrecht (2015), doi:10.1609/aaai.v29i1.9602; bins of equal mass after Nixon et
    al. (2019), doi:10.48550/arXiv.1904.01685.

    Args:
        y: Class of each row, 0 or 1, shape (rows,).
        p: Probability of class 1, shape (rows,), in [0, 1].
        bins: Bins wanted, at least 1; heavy ties give fewer.

    Returns:
        In [0, 1]; 0 is perfect.

    Raises:
        ValueError: Shapes differ, a value is null or outside its range, or ``bins`` is below 1.

    Example:
        >>> round(ece([0, 0, 1, 1], [0.1, 0.1, 0.8, 0.8], bins=2), 3)
        0.15
    """
    labels, scores = _checked(y, p)
    number = equal_mass_bins(scores, bins=bins)
    return float(np.abs(np.bincount(number, weights=labels - scores)).sum() / scores.size)


def ece_noise_floor(p: ArrayLike, *, seed: int, bins: int = ECE_BINS, draws: int = 1000) -> NoiseFloor:
    """Return the ECE that these scores would show if they were perfectly calibrated.

    Outcomes are drawn from the scores themselves (y ~ Bernoulli(p), independent), and the ECE of each draw is taken in
    the same bins. Source: the consistency resampling of Bröcker and Smith (2007), doi:10.1175/WAF993.1, as a test of
    ECE in Vaicenavicius et al. (2019), https://proceedings.mlr.press/v89/vaicenavicius19a.html.

    Args:
        p: Probability of class 1, shape (rows,), in [0, 1].
        seed: Seed of the draws.
        bins: Bins wanted, at least 1.
        draws: Number of simulated outcomes, at least 1.

    Returns:
        Mean and 95 % quantile of the simulated ECE.

    Raises:
        ValueError: A score is null or outside [0, 1], or a number is below 1.

    Example:
        >>> floor = ece_noise_floor(np.full(1000, 0.5), seed=0, bins=1)
        >>> round(floor.mean, 3)  # mean of |N(0, 0.5 / sqrt(1000))|
        0.013
    """
    if draws < 1:
        raise ValueError(f"draws must be at least 1, not {draws}")
    scores = probabilities(p)
    number = equal_mass_bins(scores, bins=bins)
    order = np.argsort(number, kind="stable")
    starts = np.searchsorted(number[order], np.arange(int(number.max()) + 1))
    ordered = scores[order]
    expected = np.add.reduceat(ordered, starts)
    rng = np.random.default_rng(seed)
    block = max(1, _DRAWN_CELLS // scores.size)
    simulated = [
        np.abs(
            np.add.reduceat(
                rng.random((min(block, draws - done), scores.size)) < ordered, starts, axis=1, dtype=np.int64
            )
            - expected
        ).sum(axis=1)
        for done in range(0, draws, block)
    ]
    errors = np.concatenate(simulated) / scores.size
    return NoiseFloor(mean=float(errors.mean()), quantile_95=float(np.quantile(errors, 0.95)), draws=draws)


def reliability_curve(y: ArrayLike, p: ArrayLike, *, bins: int = ECE_BINS) -> tuple[ReliabilityBin, ...]:
    """Return observed share against mean score in bins of equal mass.

    Source: as ``ece``; intervals as ``wilson_interval``.

    Args:
        y: Class of each row, 0 or 1, shape (rows,).
        p: Probability of class 1, shape (rows,), in [0, 1].
        bins: Bins wanted, at least 1; heavy ties give fewer.

    Returns:
        The bins by rising score; none is empty.

    Raises:
        ValueError: Shapes differ, a value is null or outside its range, or ``bins`` is below 1.

    Example:
        >>> curve = reliability_curve([0, 0, 1, 0], [0, 0, 1, 0.8], bins=2)
        >>> [(b.rows, round(b.mean_score, 2), b.observed.value) for b in curve]
        [(2, 0.0, 0.0), (2, 0.9, 0.5)]
    """
    labels, scores = _checked(y, p)
    number = equal_mass_bins(scores, bins=bins)
    rows = np.bincount(number)
    means = np.bincount(number, weights=scores) / rows
    positives = np.bincount(number, weights=labels).astype(np.int64)
    return tuple(
        ReliabilityBin(rows=int(n), mean_score=float(mean), observed=wilson_interval(int(hits), int(n)))
        for n, mean, hits in zip(rows, means, positives, strict=True)
    )


def log_odds(p: ArrayLike) -> Floats:
    """Return ``log(p / (1 - p))`` with ``p`` limited to [1e-7, 1 - 1e-7].

    Args:
        p: Probabilities, shape (rows,), in [0, 1].

    Returns:
        Shape (rows,), in about [-16.12, 16.12].

    Raises:
        ValueError: A value is null or outside [0, 1].

    Example:
        >>> log_odds([0.5, 0.0]).round(3).tolist()
        [0.0, -16.118]
    """
    of_1, of_0 = _log_sides(probabilities(p))
    return of_1 + of_0


def fit_logistic(y: ArrayLike, p: ArrayLike, *, smoothed_targets: bool = True) -> Calibration:
    """Fit logistic calibration: log-odds = a * log-odds(p) + c, by maximum likelihood with a >= 0.

    With smoothed targets the classes count as (n1 + 1) / (n1 + 2) and 1 / (n0 + 2), which keeps the map finite where
    the classes are separated. Assumes rows that the model was not fitted on, and a map that is straight in log-odds.
    Source: Platt (1999), "Probabilistic outputs for support vector machines", Advances in Large Margin Classifiers,
    61-74; in log-odds after Kull, Silva Filho and Flach (2017), doi:10.1214/17-EJS1338SI.

    Args:
        y: Class of each row, 0 or 1, shape (rows,), at least one row of each.
        p: Probability of class 1 of the model, out of fold, shape (rows,), in [0, 1].
        smoothed_targets: Whether to use Platt's smoothed targets.

    Returns:
        The map. Where the scores say nothing, or rank the wrong way round, a = b = 0 and all rows get the class share.

    Raises:
        ValueError: Shapes differ, or a value is null or outside its range.
        LabelError: There is one class only.

    Example:
        >>> p = [0.1] * 10 + [0.9] * 10
        >>> y = [1] * 2 + [0] * 8 + [0] * 2 + [1] * 8  # 10 % and 90 % were said, 20 % and 80 % are seen
        >>> calibrate([0.1, 0.9], calibration=fit_logistic(y, p, smoothed_targets=False)).round(3).tolist()
        [0.2, 0.8]
    """
    labels, scores = _checked(y, p, both=1)
    of_1, of_0 = _log_sides(scores)
    slope, c = _maximum_likelihood(labels, (of_1 + of_0)[:, np.newaxis], smoothed=smoothed_targets)
    return Calibration(kind="logistic", a=float(slope[0]), b=float(slope[0]), c=c)


def fit_beta(y: ArrayLike, p: ArrayLike, *, smoothed_targets: bool = True) -> Calibration:
    """Fit beta calibration: log-odds = a * log(p) - b * log(1 - p) + c, by maximum likelihood with a, b >= 0.

    It bends where logistic calibration is straight, and contains the identity. Exact if the scores of each class follow
    beta distributions. The likelihood is maximised under the two limits at once, where the source drops a negative
    slope and fits again. Assumes rows that the model was not fitted on. Source: Kull, Silva Filho and Flach (2017),
    doi:10.1214/17-EJS1338SI; smoothed targets: Platt (1999), see ``fit_logistic``.

    Args:
        y: Class of each row, 0 or 1, shape (rows,), at least one row of each.
        p: Probability of class 1 of the model, out of fold, shape (rows,), in [0, 1].
        smoothed_targets: Whether to use Platt's smoothed targets.

    Returns:
        The map.

    Raises:
        ValueError: Shapes differ, or a value is null or outside its range.
        LabelError: There is one class only.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> true = rng.beta(2, 5, 20000)
        >>> fitted = fit_beta(rng.random(20000) < true, true**2 / (true**2 + (1 - true) ** 2))  # log-odds doubled
        >>> round(fitted.a, 1), round(fitted.b, 1), abs(fitted.c) < 0.1
        (0.5, 0.5, True)
    """
    labels, scores = _checked(y, p, both=1)
    slopes, c = _maximum_likelihood(labels, np.column_stack(_log_sides(scores)), smoothed=smoothed_targets)
    return Calibration(kind="beta", a=float(slopes[0]), b=float(slopes[1]), c=c)


def calibrate(p: ArrayLike, *, calibration: Calibration) -> Floats:
    """Return calibrated probabilities.

    Args:
        p: Probability of class 1 of the model, shape (rows,), in [0, 1]; limited to [1e-7, 1 - 1e-7] first.
        calibration: The map.

    Returns:
        Shape (rows,), in [0, 1], never falling where ``p`` rises.

    Raises:
        ValueError: A value is null or outside [0, 1].

    Example:
        >>> calibrate([0.25, 1.0], calibration=Calibration()).round(6).tolist()
        [0.25, 1.0]
    """
    from scipy.special import expit

    of_1, of_0 = _log_sides(probabilities(p))
    return np.asarray(expit(calibration.a * of_1 + calibration.b * of_0 + calibration.c), dtype=np.float64)


def _checked(y: ArrayLike, p: ArrayLike, *, both: int = 0) -> tuple[Ints, Floats]:
    labels, scores = binary_labels(y, both=both), probabilities(p)
    paired(y=labels, p=scores)
    return labels, scores


def _log_sides(p: Floats) -> tuple[Floats, Floats]:
    """``log(p)`` and ``-log(1 - p)`` of limited probabilities."""
    limited = np.clip(p, CLIP, 1.0 - CLIP)
    return np.log(limited), -np.log1p(-limited)


def _maximum_likelihood(y: Ints, features: Floats, *, smoothed: bool) -> tuple[Floats, float]:
    """Slopes >= 0, shape (k,), and intercept of a logistic regression on ``features``, shape (rows, k)."""
    from scipy.optimize import minimize
    from scipy.special import expit

    positives = int(y.sum())
    negatives = y.size - positives
    high, low = ((positives + 1) / (positives + 2), 1 / (negatives + 2)) if smoothed else (1.0, 0.0)
    targets = np.where(y == 1, high, low)
    base = float(np.log(targets.mean() / (1.0 - targets.mean())))
    # Standardised features make the surface round, so that a quasi-Newton method needs a dozen steps; only the
    # scale of each is undone afterwards, and a feature without spread keeps slope 0.
    centre, scale = features.mean(axis=0), features.std(axis=0)
    used = scale > 1e-12
    if not used.any():
        return np.zeros(features.shape[1]), base
    design = np.column_stack([(features[:, used] - centre[used]) / scale[used], np.ones(y.size)])

    def loss(weights: Floats) -> tuple[float, Floats]:
        z = design @ weights
        return float((np.logaddexp(0.0, z) - targets * z).mean()), design.T @ (expit(z) - targets) / y.size

    start = np.zeros(design.shape[1])
    start[-1] = base
    bounds = [(0.0, None)] * int(used.sum()) + [(None, None)]
    found = minimize(
        loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"ftol": 1e-15, "gtol": 1e-9, "maxiter": 1000}
    )
    slopes = np.zeros(features.shape[1])
    slopes[used] = found.x[:-1] / scale[used]
    return slopes, float(found.x[-1] - slopes @ centre)
