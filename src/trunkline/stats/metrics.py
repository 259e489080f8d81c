"""Metrics by scikit-learn's scorer names, evaluated on many resamples of the same rows at once.

A resample is a vector of counts: how often each row was drawn. ``prepare`` does the work that all resamples share
(thresholds, losses, the order of the scores) once and gives a function from a matrix of counts to one figure per
resample; the plain metric is the case where each count is 1. Higher is better for all names but ``ece``.
"""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trunkline.stats.arrays import Floats, Ints, binary_labels, finite, paired, probabilities

__all__ = ["BINARY_METRICS", "REGRESSION_METRICS", "SHARES", "OnResamples", "equal_mass_bins", "evaluate", "prepare"]

BINARY_METRICS = (
    "roc_auc",
    "average_precision",
    "f1",
    "precision",
    "recall",
    "accuracy",
    "neg_log_loss",
    "neg_brier_score",
    "ece",
)
"""Metrics of (y in {0, 1}, probability of class 1)."""

REGRESSION_METRICS = ("r2", "neg_root_mean_squared_error", "neg_mean_absolute_error")
"""Metrics of (true number, predicted number)."""

SHARES = frozenset({"roc_auc", "average_precision", "f1", "precision", "recall", "accuracy", "ece"})
"""Metrics that lie in [0, 1] by what they are."""

ECE_BINS = 10

OnResamples: TypeAlias = Callable[[Floats], Floats]
"""From counts, shape (resamples, rows), to one figure per resample, shape (resamples,)."""


def evaluate(y: ArrayLike, p: ArrayLike, *, metric: str, threshold: float = 0.5) -> float:
    """Return one metric.

    Precision and F1 are 0 where nothing is predicted positive, as is R2 where the true values do not vary. Log loss
    limits probabilities to [eps, 1 - eps] with eps = 2.2e-16, as scikit-learn does.

    Args:
        y: Class (0 or 1) or true number of each row, shape (rows,).
        p: Probability of class 1, or predicted number, shape (rows,).
        metric: One of ``BINARY_METRICS`` or ``REGRESSION_METRICS``.
        threshold: A row is predicted positive when ``p >= threshold``; used by F1, precision, recall and accuracy.

    Returns:
        The figure, with scikit-learn's sign.

    Raises:
        ValueError: Shapes differ, a value is null or outside its range, or the metric has no such name.
        LabelError: The metric needs both classes and there is one.

    Example:
        >>> evaluate([0, 1, 1, 0], [0.2, 0.9, 0.4, 0.6], metric="f1")
        0.5
    """
    on_resamples = prepare(y, p, metric=metric, threshold=threshold)
    return float(on_resamples(np.ones((1, np.shape(p)[0])))[0])


def prepare(y: ArrayLike, p: ArrayLike, *, metric: str, threshold: float = 0.5) -> OnResamples:
    """Return a metric as a function of how often each row was drawn.

    Args:
        y: As ``evaluate``.
        p: As ``evaluate``.
        metric: As ``evaluate``.
        threshold: As ``evaluate``.

    Returns:
        A function from counts, shape (resamples, rows), float64 and >= 0, to figures, shape (resamples,). For
        ``roc_auc`` and ``average_precision`` each resample must have rows of both classes.

    Raises:
        ValueError: As ``evaluate``.
        LabelError: As ``evaluate``.

    Example:
        >>> accuracy = prepare([0, 1], [0.2, 0.3], metric="accuracy")
        >>> accuracy(np.array([[1.0, 1.0], [2.0, 0.0]])).tolist()
        [0.5, 1.0]
    """
    if metric in REGRESSION_METRICS:
        return _regression(finite(y, name="y"), finite(p, name="p"), metric=metric)
    if metric not in BINARY_METRICS:
        raise ValueError(f"no metric {metric!r}; there are {', '.join(BINARY_METRICS + REGRESSION_METRICS)}")
    labels, scores = binary_labels(y, both=1 if metric in ("roc_auc", "average_precision") else 0), probabilities(p)
    paired(y=labels, p=scores)
    if metric == "roc_auc":
        return _roc_auc(labels, scores)
    if metric == "average_precision":
        return _average_precision(labels, scores)
    if metric == "ece":
        return _ece(labels, scores)
    if metric in ("neg_log_loss", "neg_brier_score"):
        return _mean(_gain(labels, scores, metric=metric))
    return _at_threshold(labels, scores >= threshold, metric=metric)


def equal_mass_bins(p: ArrayLike, *, bins: int = ECE_BINS) -> Ints:
    """Return the bin of each row when scores are cut at their quantiles into bins of about equal numbers of rows.

    Rows of one score share a bin, whatever their order, so heavy ties give fewer and uneven bins. The cuts are those
    of scikit-learn's ``calibration_curve(strategy="quantile")``.

    Args:
        p: Score of each row, shape (rows,), finite.
        bins: Bins wanted, at least 1.

    Returns:
        Bin number of each row, shape (rows,), from 0 without gaps, rising with the score.

    Raises:
        ValueError: A score is null, or ``bins`` is below 1.

    Example:
        >>> equal_mass_bins([0.1, 0.9, 0.2, 0.8], bins=2).tolist()
        [0, 1, 0, 1]
    """
    scores = finite(p, name="p")
    if bins < 1:
        raise ValueError(f"bins must be at least 1, not {bins}")
    cuts = np.quantile(scores, np.linspace(0.0, 1.0, bins + 1)[1:-1])
    return np.unique(np.searchsorted(cuts, scores, side="left"), return_inverse=True)[1].astype(np.int64)


def _weighted(counts: Floats, per_row: Floats) -> Floats:
    # Not the operator @: its threads would change the last digits with the machine, and on busy cores they wait for
    # each other many times longer than the sums take.
    return np.asarray(np.einsum("ij,j->i", counts, per_row), dtype=np.float64)


def _mean(per_row: Floats) -> OnResamples:
    def mean(counts: Floats) -> Floats:
        return np.asarray(_weighted(counts, per_row) / counts.sum(axis=1), dtype=np.float64)

    return mean


def _gain(y: Ints, p: Floats, *, metric: str) -> Floats:
    if metric == "neg_brier_score":
        return np.asarray(-((p - y) ** 2), dtype=np.float64)
    eps = np.finfo(np.float64).eps
    limited = np.clip(p, eps, 1.0 - eps)
    return np.asarray(np.where(y == 1, np.log(limited), np.log1p(-limited)), dtype=np.float64)


def _at_threshold(y: Ints, predicted: NDArray[np.bool_], *, metric: str) -> OnResamples:
    if metric == "accuracy":
        return _mean((predicted == (y == 1)).astype(np.float64))
    hits = (predicted & (y == 1)).astype(np.float64)
    # F1 = 2 TP / (predicted positive + positive), which needs no special case for one empty side.
    flagged, positive = predicted.astype(np.float64), y.astype(np.float64)
    below = {"precision": flagged, "recall": positive, "f1": (flagged + positive) / 2.0}[metric]

    def ratio(counts: Floats) -> Floats:
        found, base = _weighted(counts, hits), _weighted(counts, below)
        return np.asarray(np.divide(found, base, out=np.zeros_like(found), where=base > 0), dtype=np.float64)

    return ratio


def _ece(y: Ints, p: Floats) -> OnResamples:
    number = equal_mass_bins(p)
    order = np.argsort(number, kind="stable")
    starts = np.searchsorted(number[order], np.arange(int(number.max()) + 1))
    residuals = (y - p)[order]

    def ece(counts: Floats) -> Floats:
        of_bins = np.add.reduceat(counts[:, order] * residuals, starts, axis=1)
        return np.asarray(np.abs(of_bins).sum(axis=1) / counts.sum(axis=1), dtype=np.float64)

    return ece


def _cumulated(counts: Floats) -> Floats:
    """Running totals along the rows with a leading 0, shape (resamples, rows + 1)."""
    totals = np.zeros((counts.shape[0], counts.shape[1] + 1))
    np.cumsum(counts, axis=1, out=totals[:, 1:])
    return totals


def _falling(y: Ints, p: Floats) -> tuple[Ints, Ints, Floats, Floats]:
    """Row numbers of the positives and of the negatives by falling score, and those scores negated (so ascending)."""
    order = np.argsort(-p, kind="stable")
    positives, negatives = order[y[order] == 1], order[y[order] == 0]
    return positives, negatives, -p[positives], -p[negatives]


def _roc_auc(y: Ints, p: Floats) -> OnResamples:
    positives, negatives, of_positives, of_negatives = _falling(y, p)
    above = np.searchsorted(of_negatives, of_positives, side="left")
    not_below = np.searchsorted(of_negatives, of_positives, side="right")

    def roc_auc(counts: Floats) -> Floats:
        of_class_1, against = counts[:, positives], _cumulated(counts[:, negatives])
        total = against[:, -1]
        wins = (of_class_1 * (total[:, np.newaxis] - (against[:, above] + against[:, not_below]) / 2.0)).sum(axis=1)
        return np.asarray(wins / (of_class_1.sum(axis=1) * total), dtype=np.float64)

    return roc_auc


def _average_precision(y: Ints, p: Floats) -> OnResamples:
    positives, negatives, of_positives, of_negatives = _falling(y, p)
    # Rows of one score enter together, so each positive is counted at the precision of the end of its tie.
    hits = np.searchsorted(of_positives, of_positives, side="right")
    alarms = np.searchsorted(of_negatives, of_positives, side="right")

    def average_precision(counts: Floats) -> Floats:
        of_class_1 = counts[:, positives]
        found = _cumulated(of_class_1)
        true = found[:, hits]
        contacted = true + _cumulated(counts[:, negatives])[:, alarms]
        precision = np.divide(true, contacted, out=true, where=contacted > 0)
        return np.asarray((of_class_1 * precision).sum(axis=1) / found[:, -1], dtype=np.float64)

    return average_precision


def _regression(y: Floats, predicted: Floats, *, metric: str) -> OnResamples:
    paired(y=y, p=predicted)
    error = predicted - y
    if metric == "neg_mean_absolute_error":
        return _mean(-np.abs(error))
    squared = _mean(error**2)
    if metric == "neg_root_mean_squared_error":
        return lambda counts: -np.sqrt(squared(counts))
    # Centred first, so that the difference of the two moments does not lose its digits to a large mean.
    centred = y - y.mean()
    first, second = _mean(centred), _mean(centred**2)

    def r2(counts: Floats) -> Floats:
        variance = second(counts) - first(counts) ** 2
        lost = squared(counts)
        return np.where(variance > 0, 1.0 - np.divide(lost, variance, out=np.ones_like(lost), where=variance > 0), 0.0)

    return r2
