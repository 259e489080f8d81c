"""How good a model probably is on rows whose outcomes are not known yet, from its own calibrated scores.

Confidence-based performance estimation (CBPE): a calibrated score of 0.7 is right about class 1 seven times in ten, so
the scores of a batch say how many hits and misses to expect.

What it sees: covariate drift, i.e. that the batch holds more rows that are hard to tell. What it is **blind to**:
concept drift (the same customer now behaves otherwise) and miscalibration; in both the scores no longer mean what they
say, and the estimate goes on as if they did. It never replaces outcomes, it bridges the time until they have matured.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from trunkline.stats.arrays import Floats, probabilities
from trunkline.stats.intervals import Interval

__all__ = ["PerformanceEstimate", "estimate_performance"]

_CELLS_PER_BLOCK = 1_000_000


@dataclass(frozen=True, slots=True)
class PerformanceEstimate:
    """What to expect of a model on a batch without outcomes.

    Attributes:
        rows: Rows of the batch.
        true_negatives: Expected rows of class 0 predicted 0; the four add up to ``rows``.
        false_positives: Expected rows of class 0 predicted 1.
        false_negatives: Expected rows of class 1 predicted 0.
        true_positives: Expected rows of class 1 predicted 1.
        metrics: The estimate of each metric, by scikit-learn's scorer name, with its sampling band: the realised figure
            of these rows lies within the band by the stated level, *if* the scores are calibrated for them. ``roc_auc``
            is absent where both classes are not expected to occur.
    """

    rows: int
    true_negatives: float
    false_positives: float
    false_negatives: float
    true_positives: float
    metrics: dict[str, Interval]


def estimate_performance(
    p: ArrayLike, *, threshold: float, seed: int, draws: int = 500, level: float = 0.95
) -> PerformanceEstimate:
    """Estimate a model's performance from its calibrated scores alone.

    Accuracy, precision, recall and F1 follow from the expected confusion matrix, the Brier score from its expectation,
    and the area under the ROC curve is the expected share of pairs in the right order. The band comes from a parametric
    bootstrap: outcomes are drawn as y ~ Bernoulli(p), independent, and each metric is taken of each draw. It covers
    chance in the outcomes of these rows, and neither miscalibration nor concept drift, to which the method is blind.
    Source: Garg, Balakrishnan, Lipton, Neyshabur and Sedghi (2022), doi:10.48550/arXiv.2201.04234, for what unlabelled
    performance estimation can and cannot do; the estimator: Kivimäki, Białek, Kuberski and Nurminen (2025),
    doi:10.48550/arXiv.2505.05295, as in NannyML.

    Args:
        p: Calibrated probability of class 1, shape (rows,), in [0, 1].
        threshold: A row is predicted positive when ``p >= threshold``.
        seed: Seed of the draws.
        draws: Number of drawn outcomes, at least 2.
        level: Share of draws within the band, in (0, 1).

    Returns:
        The expected confusion matrix, and the metrics with their bands.

    Raises:
        ValueError: A score is null or outside [0, 1], or a number is out of its range.

    Example:
        >>> estimate = estimate_performance([0.1] * 50 + [0.9] * 50, threshold=0.5, seed=0)
        >>> round(estimate.true_positives, 6), round(estimate.metrics["accuracy"].value, 6)
        (45.0, 0.9)
    """
    if draws < 2 or not 0.0 < level < 1.0:
        raise ValueError(f"draws must be at least 2 and level lie in (0, 1), not {draws} and {level}")
    scores = np.sort(probabilities(p))
    predicted = (scores >= threshold).astype(np.float64)
    flagged, rows = float(predicted.sum()), scores.size
    expected = _metrics(scores[np.newaxis, :], scores, predicted)
    drawn: dict[str, list[Floats]] = {name: [] for name in expected}
    rng = np.random.default_rng(seed)
    block = max(1, _CELLS_PER_BLOCK // rows)
    for done in range(0, draws, block):
        outcomes = (rng.random((min(block, draws - done), rows)) < scores).astype(np.float64)
        for name, figures in _metrics(outcomes, scores, predicted).items():
            drawn[name].append(figures)
    metrics = {}
    for name, figures in expected.items():
        several = np.concatenate(drawn[name])
        # A draw of one class has no area under the ROC curve; where many are, neither has the estimate.
        usable = several[~np.isnan(several)]
        if usable.size < level * draws:
            continue
        low, high = np.quantile(usable, [0.5 - level / 2, 0.5 + level / 2])
        metrics[name] = Interval(value=float(figures[0]), low=float(low), high=float(high))
    true_positives = float(predicted @ scores)
    false_negatives = float(scores.sum()) - true_positives
    return PerformanceEstimate(
        rows=rows,
        true_negatives=rows - flagged - false_negatives,
        false_positives=flagged - true_positives,
        false_negatives=false_negatives,
        true_positives=true_positives,
        metrics=metrics,
    )


def _metrics(y: Floats, p: Floats, predicted: Floats) -> dict[str, Floats]:
    """Each metric of each row of ``y``, shape (draws, rows), whose entries are outcomes or their expectations.

    All is linear in ``y`` but for a ratio at the end, so expectations may stand for outcomes. ``p`` ascends.
    """
    # einsum and not the operator @, whose threads would change the last digits with the machine.
    positives, found, flagged = y.sum(axis=1), np.einsum("ij,j->i", y, predicted), float(predicted.sum())
    negatives = p.size - positives
    right = found + (p.size - flagged) - (positives - found)
    brier = (float((p**2).sum()) + np.einsum("ij,j->i", y, 1.0 - 2.0 * p)) / p.size
    return {
        "roc_auc": _area(y, p, positives, negatives),
        "f1": _ratio(2.0 * found, flagged + positives),
        "precision": _ratio(found, np.full_like(found, flagged)),
        "recall": _ratio(found, positives),
        "accuracy": right / p.size,
        "neg_brier_score": -brier,
    }


def _area(y: Floats, p: Floats, positives: Floats, negatives: Floats) -> Floats:
    """Share of pairs (one of class 1, one of class 0) in the right order, ties half; NaN where there are none."""
    first, end = np.searchsorted(p, p, side="left"), np.searchsorted(p, p, side="right")
    against = np.zeros((y.shape[0], p.size + 1))
    np.cumsum(1.0 - y, axis=1, out=against[:, 1:])
    wins = (y * (against[:, first] + against[:, end])).sum(axis=1) / 2.0
    # A row cannot be paired with itself, which an expectation between 0 and 1 would do.
    itself = (y * (1.0 - y)).sum(axis=1)
    pairs = positives * negatives - itself
    return np.asarray(
        np.divide(wins - itself / 2.0, pairs, out=np.full_like(pairs, np.nan), where=pairs > 1e-12), dtype=np.float64
    )


def _ratio(above: Floats, below: Floats) -> Floats:
    return np.asarray(np.divide(above, below, out=np.zeros_like(above), where=below > 0), dtype=np.float64)
