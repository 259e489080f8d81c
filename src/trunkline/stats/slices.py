"""The same model judged by parts of the population: does it find churners of all kinds, and whom does it select.

Takes labels, scores and the slice of each row, gives a frozen record per slice with intervals and its gap to the whole.
A slice with few rows is reported and marked, and decides nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trunkline.stats.arrays import Floats, Ints, binary_labels, paired, probabilities
from trunkline.stats.bootstrap import bootstrap_interval
from trunkline.stats.delong import delong_interval
from trunkline.stats.intervals import Interval, wilson_interval

__all__ = ["SliceMetrics", "SliceReport", "slice_report"]


@dataclass(frozen=True, slots=True)
class SliceMetrics:
    """A model on one slice.

    Attributes:
        name: Value of the slicing column; null for the rows without one.
        rows: Rows of the slice, at least 1.
        positives: Rows of class 1.
        too_small: Whether the slice has too few rows, or too few of a class, to be judged.
        selection_rate: Share of the rows predicted positive, with Wilson's 95 % interval.
        true_positive_rate: Share of class 1 predicted positive (recall), with Wilson's 95 % interval; null without
            rows of class 1.
        precision: Share of the rows predicted positive that are of class 1, with Wilson's 95 % interval; null when none
            is predicted positive.
        f1: F1 with its 95 % bootstrap interval; null when the slice is too small.
        roc_auc: Area under the ROC curve with DeLong's 95 % interval; null when the slice is too small.
        mean_score_gap: Mean score less share of class 1, in [-1, 1]: above 0 the slice is scored too high.
        selection_rate_ratio: Selection rate over that of the whole; null when nobody at all is selected.
        true_positive_rate_gap: True positive rate less that of the whole, in [-1, 1]; null where either is.
        roc_auc_gap: Area less that of the whole, in [-1, 1]; null where either is.
    """

    name: str | None
    rows: int
    positives: int
    too_small: bool
    selection_rate: Interval
    true_positive_rate: Interval | None
    precision: Interval | None
    f1: Interval | None
    roc_auc: Interval | None
    mean_score_gap: float
    selection_rate_ratio: float | None
    true_positive_rate_gap: float | None
    roc_auc_gap: float | None


@dataclass(frozen=True, slots=True)
class SliceReport:
    """A model on all slices of one column.

    Attributes:
        whole: The model on all rows.
        slices: The slices, by falling number of rows, then by name.
        largest_true_positive_rate_gap: Largest difference of true positive rates between two judged slices, in [0, 1]
            (equal opportunity: 0); null with fewer than two.
        smallest_selection_rate_ratio: Smallest selection rate over the largest among judged slices, in [0, 1] (the
            four-fifths rule asks for 0.8); null with fewer than two, or when nobody is selected.
        smallest_roc_auc: Smallest area among judged slices; null without any.
    """

    whole: SliceMetrics
    slices: tuple[SliceMetrics, ...]
    largest_true_positive_rate_gap: float | None
    smallest_selection_rate_ratio: float | None
    smallest_roc_auc: float | None


def slice_report(
    y: ArrayLike,
    p: ArrayLike,
    groups: Sequence[str | None] | NDArray[np.object_] | NDArray[np.str_],
    *,
    threshold: float,
    seed: int,
    smallest: int = 100,
    smallest_class: int = 10,
) -> SliceReport:
    """Judge a model on each slice of a column.

    Assumes independent rows that the model was not fitted on. A gap between slices may come from their different
    difficulty: it is a question to ask, not a proof of unfairness. Sources: equal opportunity: Hardt, Price and Srebro
    (2016), doi:10.48550/arXiv.1610.02413; selection-rate ratio: Feldman et al. (2015), doi:10.1145/2783258.2783311.

    Args:
        y: Class of each row, 0 or 1, shape (rows,).
        p: Probability of class 1, shape (rows,), in [0, 1].
        groups: Slice of each row, shape (rows,); null rows are a slice of their own.
        threshold: A row is predicted positive when ``p >= threshold``.
        seed: Seed of the bootstrap.
        smallest: Slices with fewer rows are marked too small.
        smallest_class: So are slices with fewer rows of either class; at least 2.

    Returns:
        The report.

    Raises:
        ValueError: Shapes differ, a value is null or outside its range, or ``smallest_class`` is below 2.

    Example:
        >>> report = slice_report([0, 1] * 200, [0.2, 0.8] * 100 + [0.2, 0.4] * 100, ["a"] * 200 + ["b"] * 200,
        ...                       threshold=0.5, seed=0)
        >>> report.largest_true_positive_rate_gap, [s.true_positive_rate_gap for s in report.slices]
        (1.0, [0.5, -0.5])
    """
    if smallest_class < 2:
        raise ValueError(f"smallest_class must be at least 2, not {smallest_class}")
    labels, scores = binary_labels(y), probabilities(p)
    names, numbers = _numbered(groups)
    paired(y=labels, p=scores, groups=numbers)

    def judged(name: str | None, rows: NDArray[np.intp], whole: SliceMetrics | None) -> SliceMetrics:
        of_class_1 = int(labels[rows].sum())
        small = rows.size < smallest or min(of_class_1, rows.size - of_class_1) < smallest_class
        return _judge(name, labels[rows], scores[rows], too_small=small, threshold=threshold, seed=seed, whole=whole)

    whole = judged(None, np.arange(labels.size), None)
    order = np.argsort(numbers, kind="stable")
    parts = np.split(order, np.cumsum(np.bincount(numbers))[:-1])
    slices = [judged(name, rows, whole) for name, rows in zip(names, parts, strict=True)]
    slices.sort(key=lambda part: (-part.rows, part.name is None, part.name or ""))
    counted = [part for part in slices if not part.too_small]
    found = [part.true_positive_rate.value for part in counted if part.true_positive_rate]
    selected = [part.selection_rate.value for part in counted]
    areas = [part.roc_auc.value for part in counted if part.roc_auc]
    return SliceReport(
        whole=whole,
        slices=tuple(slices),
        largest_true_positive_rate_gap=max(found) - min(found) if len(found) > 1 else None,
        smallest_selection_rate_ratio=min(selected) / max(selected) if len(selected) > 1 and max(selected) else None,
        smallest_roc_auc=min(areas, default=None),
    )


def _numbered(groups: Sequence[str | None] | NDArray[np.object_] | NDArray[np.str_]) -> tuple[list[str | None], Ints]:
    """The names that occur, and the number of each row's name among them."""
    numbers: dict[str | None, int] = {}
    of_rows = np.fromiter(
        (numbers.setdefault(None if name is None else str(name), len(numbers)) for name in groups), dtype=np.int64
    )
    return list(numbers), of_rows


def _judge(
    name: str | None,
    y: Ints,
    p: Floats,
    *,
    too_small: bool,
    threshold: float,
    seed: int,
    whole: SliceMetrics | None,
) -> SliceMetrics:
    predicted = p >= threshold
    positives, selected = int(y.sum()), int(predicted.sum())
    hits = int(y[predicted].sum())
    rate = wilson_interval(selected, y.size)
    found = wilson_interval(hits, positives) if positives else None
    area = None if too_small else delong_interval(y, p)
    base = rate if whole is None else whole.selection_rate
    all_found = found if whole is None else whole.true_positive_rate
    all_area = area if whole is None else whole.roc_auc
    return SliceMetrics(
        name=name,
        rows=y.size,
        positives=positives,
        too_small=too_small,
        selection_rate=rate,
        true_positive_rate=found,
        precision=wilson_interval(hits, selected) if selected else None,
        f1=None if too_small else bootstrap_interval(y, p, metric="f1", seed=seed, threshold=threshold),
        roc_auc=area,
        mean_score_gap=float(p.mean() - y.mean()),
        selection_rate_ratio=rate.value / base.value if base.value else None,
        true_positive_rate_gap=found.value - all_found.value if found and all_found else None,
        roc_auc_gap=area.value - all_area.value if area and all_area else None,
    )
