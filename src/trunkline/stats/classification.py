"""What a report says about a model: headline metrics with intervals, confusion matrix, report per class, curves.

Takes labels and probabilities (or numbers and predictions), gives frozen records of plain numbers that go into JSON as
they are.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from trunkline.stats.arrays import Floats, Ints, binary_labels, paired, probabilities
from trunkline.stats.bootstrap import bootstrap_intervals
from trunkline.stats.delong import delong_interval
from trunkline.stats.intervals import Interval
from trunkline.stats.metrics import BINARY_METRICS, REGRESSION_METRICS

__all__ = [
    "ClassReport",
    "ConfusionMatrix",
    "PrecisionRecallCurve",
    "RocCurve",
    "class_report",
    "confusion_matrix",
    "headline",
    "precision_recall_curve",
    "regression_headline",
    "roc_curve",
]


@dataclass(frozen=True, slots=True)
class ConfusionMatrix:
    """Rows by true and predicted class.

    Attributes:
        true_negatives: Class 0, predicted 0.
        false_positives: Class 0, predicted 1.
        false_negatives: Class 1, predicted 0.
        true_positives: Class 1, predicted 1.
    """

    true_negatives: int
    false_positives: int
    false_negatives: int
    true_positives: int


@dataclass(frozen=True, slots=True)
class ClassReport:
    """How well one class is found.

    Attributes:
        name: Name of the class.
        precision: Share of the rows predicted so that are so, in [0, 1]; 0 when none is predicted so.
        recall: Share of the rows that are so that are predicted so, in [0, 1]; 0 when there is none.
        f1: Harmonic mean of the two, in [0, 1].
        rows: Rows that are of the class.
    """

    name: str
    precision: float
    recall: float
    f1: float
    rows: int


@dataclass(frozen=True, slots=True)
class RocCurve:
    """Points of the ROC curve from (0, 0) to (1, 1); the three have the same length.

    Attributes:
        false_positive_rate: Rising, in [0, 1].
        true_positive_rate: Rising, in [0, 1].
        thresholds: Rows with ``p >= threshold`` are predicted positive; null at (0, 0), where none is.
    """

    false_positive_rate: tuple[float, ...]
    true_positive_rate: tuple[float, ...]
    thresholds: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class PrecisionRecallCurve:
    """Points of the precision-recall curve by falling recall, from 1 to 0; the three have the same length.

    Attributes:
        recall: Falling, in [0, 1].
        precision: In [0, 1].
        thresholds: Rows with ``p >= threshold`` are predicted positive; null at recall 0, where none is.
    """

    recall: tuple[float, ...]
    precision: tuple[float, ...]
    thresholds: tuple[float | None, ...]


def headline(
    y: ArrayLike,
    p: ArrayLike,
    *,
    threshold: float,
    seed: int,
    resamples: int = 1000,
    groups: ArrayLike | None = None,
) -> dict[str, Interval]:
    """Return all headline metrics of a binary classifier with 95 % intervals.

    ROC AUC has DeLong's interval (``delong_interval``), ECE the basic, all others the percentile interval of a
    bootstrap by class (``bootstrap_interval``; sources and assumptions stand there). With groups all intervals are of
    whole groups drawn, that of ROC AUC among them. 50,000 rows take a second or two.

    Args:
        y: Class of each row, 0 or 1, shape (rows,), at least two rows of each.
        p: Probability of class 1 from a model that was not fitted on the row, shape (rows,), in [0, 1].
        threshold: A row is predicted positive when ``p >= threshold``.
        seed: Seed of the resampling.
        resamples: Number of resamples.
        groups: Group of each row, shape (rows,), where rows of one are alike; one group only is taken for none.

    Returns:
        An interval for each of ``BINARY_METRICS``, by scikit-learn's scorer name, and ``ece``.

    Raises:
        ValueError: Shapes differ, or a value is null or outside its range.
        LabelError: A class has fewer than two rows.

    Example:
        >>> metrics = headline([0, 0, 1, 1, 0, 1], [0.1, 0.4, 0.35, 0.8, 0.2, 0.7], threshold=0.5, seed=0)
        >>> round(metrics["roc_auc"].value, 4), metrics["precision"].value
        (0.8889, 1.0)
    """
    area = delong_interval(y, probabilities(p))
    clusters = _clusters(groups)
    drawn = [name for name in BINARY_METRICS if name != "roc_auc" or clusters is not None]
    rest = bootstrap_intervals(
        y, p, metrics=drawn, seed=seed, threshold=threshold, resamples=resamples, groups=clusters
    )
    return {"roc_auc": area, **rest}


def regression_headline(
    y: ArrayLike, yhat: ArrayLike, *, seed: int, resamples: int = 1000, groups: ArrayLike | None = None
) -> dict[str, Interval]:
    """Return all headline metrics of a regressor with 95 % percentile bootstrap intervals.

    Sources and assumptions as ``bootstrap_interval``; rows are resampled without strata.

    Args:
        y: True number of each row, shape (rows,), finite.
        yhat: Prediction from a model that was not fitted on the row, shape (rows,), same unit as ``y``.
        seed: Seed of the resampling.
        resamples: Number of resamples.
        groups: As of :func:`headline`.

    Returns:
        An interval for each of ``REGRESSION_METRICS``; r2 without unit, the other two in the unit of ``y``, negated.

    Raises:
        ValueError: Shapes differ, or a value is null.

    Example:
        >>> round(regression_headline([1.0, 2.0, 3.0, 4.0], [1.0, 2.0, 3.0, 5.0], seed=0)["r2"].value, 2)
        0.8
    """
    return bootstrap_intervals(
        y, yhat, metrics=REGRESSION_METRICS, seed=seed, resamples=resamples, groups=_clusters(groups)
    )


def confusion_matrix(y: ArrayLike, p: ArrayLike, *, threshold: float) -> ConfusionMatrix:
    """Count rows by true and predicted class.

    Args:
        y: Class of each row, 0 or 1, shape (rows,).
        p: Probability of class 1, shape (rows,), in [0, 1].
        threshold: A row is predicted positive when ``p >= threshold``.

    Returns:
        The four counts; they add up to the rows.

    Raises:
        ValueError: Shapes differ, or a value is null or outside its range.

    Example:
        >>> confusion_matrix([0, 1, 1], [0.2, 0.9, 0.4], threshold=0.5).false_negatives
        1
    """
    labels, scores = _checked(y, p)
    # Class and prediction read as a two-digit number: 00, 01, 10, 11.
    cells = np.bincount(2 * labels + (scores >= threshold), minlength=4)
    return ConfusionMatrix(*(int(cell) for cell in cells))


def class_report(
    y: ArrayLike, p: ArrayLike, *, threshold: float, names: Sequence[str] = ("0", "1")
) -> tuple[ClassReport, ClassReport]:
    """Return precision, recall and F1 of each class.

    Args:
        y: Class of each row, 0 or 1, shape (rows,).
        p: Probability of class 1, shape (rows,), in [0, 1].
        threshold: A row is predicted positive when ``p >= threshold``.
        names: Names of class 0 and class 1.

    Returns:
        The report of class 0 and that of class 1.

    Raises:
        ValueError: Shapes differ, a value is null or outside its range, or there are not two names.

    Example:
        >>> class_report([0, 1, 1], [0.2, 0.9, 0.4], threshold=0.5, names=("stays", "churns"))[1]
        ClassReport(name='churns', precision=1.0, recall=0.5, f1=0.6666666666666666, rows=2)
    """
    if len(names) != 2:
        raise ValueError(f"names must name class 0 and class 1, not {len(names)} classes")
    cells = confusion_matrix(y, p, threshold=threshold)
    errors = cells.false_positives + cells.false_negatives

    def report(name: str, right: int, predicted: int, rows: int) -> ClassReport:
        return ClassReport(
            name=name,
            precision=right / predicted if predicted else 0.0,
            recall=right / rows if rows else 0.0,
            f1=2 * right / (2 * right + errors) if right or errors else 0.0,
            rows=rows,
        )

    negatives, positives = cells.true_negatives, cells.true_positives
    return (
        report(names[0], negatives, negatives + cells.false_negatives, negatives + cells.false_positives),
        report(names[1], positives, positives + cells.false_positives, positives + cells.false_negatives),
    )


def roc_curve(y: ArrayLike, p: ArrayLike, *, most_points: int = 200) -> RocCurve:
    """Return the ROC curve, thinned evenly along its length.

    Args:
        y: Class of each row, 0 or 1, shape (rows,), at least one of each.
        p: Probability of class 1, shape (rows,), in [0, 1].
        most_points: Largest number of points, at least 2.

    Returns:
        The points, ends included.

    Raises:
        ValueError: Shapes differ, a value is null or outside its range, or ``most_points`` is below 2.
        LabelError: There is one class only.

    Example:
        >>> roc_curve([0, 1], [0.2, 0.9])
        RocCurve(false_positive_rate=(0.0, 0.0, 1.0), true_positive_rate=(0.0, 1.0, 1.0), thresholds=(None, 0.9, 0.2))
    """
    from sklearn import metrics

    labels, scores = _checked(y, p, both=1)
    false_rate, true_rate, thresholds = metrics.roc_curve(labels, scores)
    kept = _thinned(false_rate, true_rate, most_points)
    return RocCurve(
        false_positive_rate=tuple(false_rate[kept].tolist()),
        true_positive_rate=tuple(true_rate[kept].tolist()),
        thresholds=(None, *thresholds[kept][1:].tolist()),
    )


def precision_recall_curve(y: ArrayLike, p: ArrayLike, *, most_points: int = 200) -> PrecisionRecallCurve:
    """Return the precision-recall curve, thinned evenly along its length.

    Args:
        y: Class of each row, 0 or 1, shape (rows,), at least one of each.
        p: Probability of class 1, shape (rows,), in [0, 1].
        most_points: Largest number of points, at least 2.

    Returns:
        The points, ends included.

    Raises:
        ValueError: Shapes differ, a value is null or outside its range, or ``most_points`` is below 2.
        LabelError: There is one class only.

    Example:
        >>> precision_recall_curve([0, 1], [0.2, 0.9])
        PrecisionRecallCurve(recall=(1.0, 1.0, 0.0), precision=(0.5, 1.0, 1.0), thresholds=(0.2, 0.9, None))
    """
    from sklearn import metrics

    labels, scores = _checked(y, p, both=1)
    precision, recall, thresholds = metrics.precision_recall_curve(labels, scores, drop_intermediate=True)
    kept = _thinned(recall, precision, most_points)
    return PrecisionRecallCurve(
        recall=tuple(recall[kept].tolist()),
        precision=tuple(precision[kept].tolist()),
        thresholds=(*thresholds[kept[:-1]].tolist(), None),
    )


def _clusters(groups: ArrayLike | None) -> ArrayLike | None:
    return groups if groups is not None and np.unique(groups).size > 1 else None


def _checked(y: ArrayLike, p: ArrayLike, *, both: int = 0) -> tuple[Ints, Floats]:
    labels, scores = binary_labels(y, both=both), probabilities(p)
    paired(y=labels, p=scores)
    return labels, scores


def _thinned(x: Floats, y: Floats, most: int) -> Ints:
    """Numbers of at most ``most`` points, evenly spread along the curve's length, first and last included."""
    if most < 2:
        raise ValueError(f"most_points must be at least 2, not {most}")
    if x.size <= most:
        return np.arange(x.size)
    length = np.concatenate([[0.0], np.cumsum(np.abs(np.diff(x)) + np.abs(np.diff(y)))])
    wanted = np.searchsorted(length, np.linspace(0.0, length[-1], most))
    return np.unique(np.concatenate([[0], wanted[1:-1], [x.size - 1]]))
