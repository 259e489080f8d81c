"""Whom a model's decisions favour: rates of the groups of a column, and how far apart they are.

Takes labels, scores, the group of each row and a threshold; gives a frozen record per group and the two gaps that are
asked about most: of the selection rates (demographic parity) and of the error rates (equalised odds). Small groups are
reported and marked, and decide nothing. The same quantities as Fairlearn's, which the tests hold them against; the
intervals are ours.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trunkline.stats.arrays import Floats, Ints, binary_labels, paired, probabilities
from trunkline.stats.intervals import Interval, wilson_interval

__all__ = ["FairnessReport", "GroupRates", "fairness_report"]

_NORMAL_95 = 1.959963984540054


@dataclass(frozen=True, slots=True)
class GroupRates:
    """What a model decides about one group.

    Attributes:
        name: Value of the column; null for the rows without one.
        rows: Rows of the group, at least 1.
        positives: Rows of class 1.
        judged: Whether the group has rows enough, of either class, to take part in the gaps.
        selection_rate: Share predicted positive, with Wilson's 95 % interval.
        true_positive_rate: Share of class 1 predicted positive, likewise; null without rows of class 1.
        false_positive_rate: Share of class 0 predicted positive, likewise; null without rows of class 0.
        calibration_gap: Mean score less the share of class 1, in [-1, 1], with its 95 % interval of the normal
            approximation; above 0 the group is scored too high.
    """

    name: str | None
    rows: int
    positives: int
    judged: bool
    selection_rate: Interval
    true_positive_rate: Interval | None
    false_positive_rate: Interval | None
    calibration_gap: Interval


@dataclass(frozen=True, slots=True)
class FairnessReport:
    """What a model decides about the groups of one column.

    Attributes:
        groups: By falling number of rows, then by name.
        demographic_parity_gap: Largest difference of selection rates between two judged groups, in [0, 1], with its
            95 % interval; null with fewer than two.
        equalised_odds_gap: The larger of the largest differences of true and of false positive rates, likewise.
    """

    groups: tuple[GroupRates, ...]
    demographic_parity_gap: Interval | None
    equalised_odds_gap: Interval | None


def fairness_report(
    y: ArrayLike,
    p: ArrayLike,
    groups: Sequence[str | None] | NDArray[np.object_],
    *,
    threshold: float,
    seed: int,
    smallest: int = 100,
    smallest_class: int = 10,
    resamples: int = 1000,
) -> FairnessReport:
    """Judge decisions by the groups of a column.

    Assumes independent rows that the model was not fitted on. A largest difference among groups is too large by chance
    alone, and the more so the more groups there are; its interval is therefore the basic bootstrap's, which takes the
    resampled excess off again (Davison and Hinkley (1997), doi:10.1017/CBO9780511802843, section 5.2). Resampled are
    the four cells of class and decision inside each group, its number of rows fixed. Sources: equalised odds: Hardt,
    Price and Srebro (2016), doi:10.48550/arXiv.1610.02413; demographic parity: Dwork et al. (2012),
    doi:10.1145/2090236.2090255; the definitions are those of Fairlearn: Bird et al. (2020).

    Args:
        y: Class of each row, 0 or 1, shape (rows,).
        p: Probability of class 1, shape (rows,), in [0, 1].
        groups: Group of each row, shape (rows,); null rows are a group of their own.
        threshold: A row is predicted positive when ``p >= threshold``.
        seed: Seed of the bootstrap.
        smallest: Groups with fewer rows are not judged.
        smallest_class: Nor are groups with fewer rows of either class.
        resamples: Of the bootstrap, at least 1.

    Returns:
        The report.

    Raises:
        ValueError: Shapes differ, or a value is null or outside its range.

    Example:
        >>> found = fairness_report([0, 1] * 200, [0.2, 0.8] * 100 + [0.2, 0.4] * 100, ["a"] * 200 + ["b"] * 200,
        ...                         threshold=0.5, seed=0)
        >>> found.demographic_parity_gap.value, found.equalised_odds_gap.value
        (0.5, 1.0)
    """
    labels, scores = binary_labels(y), probabilities(p)
    names = sorted(
        {None if name is None else str(name) for name in groups}, key=lambda name: (name is None, name or "")
    )
    number = {name: at for at, name in enumerate(names)}
    of_rows = np.fromiter((number[None if name is None else str(name)] for name in groups), dtype=np.int64)
    paired(y=labels, p=scores, groups=of_rows)
    # class and decision read as a two-digit number: 00, 01, 10, 11
    cells = np.zeros((len(names), 4), dtype=np.int64)
    np.add.at(cells, (of_rows, 2 * labels + (scores >= threshold)), 1)
    found = tuple(
        _rates(name, cells[at], labels[of_rows == at], scores[of_rows == at], smallest, smallest_class)
        for at, name in enumerate(names)
    )
    judged = cells[[group.judged for group in found]]
    parity = odds = None
    if len(judged) > 1:
        drawn = _resampled(judged, resamples=resamples, seed=seed)
        parity, odds = _basic(_parity(judged[None]), _parity(drawn)), _basic(_odds(judged[None]), _odds(drawn))
    ordered = sorted(found, key=lambda group: (-group.rows, group.name is None, group.name or ""))
    return FairnessReport(tuple(ordered), parity, odds)


def _rates(
    name: str | None, cells: Ints, labels: Ints, scores: Floats, smallest: int, smallest_class: int
) -> GroupRates:
    _, wrongly, missed, hits = (int(cell) for cell in cells)
    rows, positives = int(cells.sum()), missed + hits
    error = scores - labels
    half = _NORMAL_95 * float(error.std(ddof=1)) / np.sqrt(rows) if rows > 1 else 1.0
    gap = float(error.mean())
    return GroupRates(
        name=name,
        rows=rows,
        positives=positives,
        judged=rows >= smallest and min(positives, rows - positives) >= smallest_class,
        selection_rate=wilson_interval(wrongly + hits, rows),
        true_positive_rate=wilson_interval(hits, positives) if positives else None,
        false_positive_rate=wilson_interval(wrongly, rows - positives) if rows > positives else None,
        calibration_gap=Interval(gap, max(-1.0, gap - half), min(1.0, gap + half)),
    )


def _resampled(cells: Ints, *, resamples: int, seed: int) -> Ints:
    """Draw the cells of each group anew, shape (resamples, groups, 4)."""
    rng = np.random.default_rng(seed)
    drawn = [rng.multinomial(int(group.sum()), group / group.sum(), size=resamples) for group in cells]
    return np.stack(drawn, axis=1).astype(np.int64)


def _parity(cells: Ints) -> Floats:
    """Largest difference of selection rates; cells of shape (resamples, groups, 4)."""
    return _spread((cells[..., 1] + cells[..., 3]) / cells.sum(axis=-1))


def _odds(cells: Ints) -> Floats:
    """The larger of the largest differences of true and of false positive rates."""
    positives = np.maximum(cells[..., 2] + cells[..., 3], 1)
    negatives = np.maximum(cells[..., 0] + cells[..., 1], 1)
    return np.maximum(_spread(cells[..., 3] / positives), _spread(cells[..., 1] / negatives))


def _spread(rates: Floats) -> Floats:
    return np.asarray(rates.max(axis=1) - rates.min(axis=1), dtype=np.float64)


def _basic(value: Floats, drawn: Floats) -> Interval:
    """The basic bootstrap interval around the gap found, cut at 0 and 1; the gap itself stays inside."""
    found = float(value[0])
    upper, lower = np.quantile(drawn, [0.975, 0.025])
    low, high = 2 * found - float(upper), 2 * found - float(lower)
    return Interval(found, min(found, max(0.0, low)), max(found, min(1.0, high)))
