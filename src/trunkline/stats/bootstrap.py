"""Intervals by resampling: of any metric of one model, and of the difference of two models on the same rows.

The classes are resampled apart, so that every resample has rows of both. How many of each is drawn as well
(``class_shares="drawn"``), because in a random sample of customers the share of churners is itself uncertain; resamples
of ``"fixed"`` class shares would make the intervals of accuracy, Brier score, precision and above all ECE too narrow.
Rows of one group (a cell, a house) are alike, and resampled as if
they were independent they make intervals too narrow: with ``groups``, whole groups are drawn instead.
Named metrics are evaluated on blocks of resamples at once; a metric of your own is called once per resample. The same
seed, rows and resamples give the same interval to the last digit.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trunkline.stats.arrays import Floats, Ints, finite, paired
from trunkline.stats.intervals import Interval
from trunkline.stats.metrics import REGRESSION_METRICS, OnResamples, prepare

__all__ = ["ClassShares", "Metric", "PairedDifference", "bootstrap_interval", "bootstrap_intervals", "paired_bootstrap"]

Metric: TypeAlias = Callable[[Floats, Floats], float]
"""A metric of your own: from (y, p), both of shape (rows,), to a figure."""

ClassShares: TypeAlias = Literal["drawn", "fixed"]
"""Whether the number of rows of each class varies between resamples, as in a random sample, or was fixed by design."""

_CELLS_PER_BLOCK = 1_000_000


@dataclass(frozen=True, slots=True)
class PairedDifference:
    """Two models compared on the same rows by one metric.

    Attributes:
        a: The metric of the first model on all rows.
        b: The metric of the second model on all rows.
        difference: ``a - b`` with its percentile interval.
        p_value: Two-sided, in (0, 1], of the hypothesis that the difference is 0: twice the smaller share of resamples
            on one side of 0. Its resolution is ``2 / (resamples + 1)``.
    """

    a: float
    b: float
    difference: Interval
    p_value: float


def bootstrap_interval(  # noqa: PLR0913 - the settings of a bootstrap
    y: ArrayLike,
    p: ArrayLike,
    *,
    metric: str | Metric,
    seed: int,
    threshold: float = 0.5,
    resamples: int = 1000,
    level: float = 0.95,
    class_shares: ClassShares = "drawn",
    groups: ArrayLike | None = None,
) -> Interval:
    """Return a metric with its bootstrap interval, resampled by class.

    The percentile interval, for all metrics but ``ece``: that one is biased upwards (noise in a bin never cancels), the
    more so in a resample, and therefore gets the basic interval, which reflects the percentiles about the figure and so
    takes the bias off; it is cut at 0 and stretched to hold the figure. Assumes independent rows that the model was not
    fitted on, or with ``groups`` independent groups (the cluster bootstrap). Percentiles are too narrow below some 30
    rows of a class, or 30 groups. Source: Efron (1979), doi:10.1214/aos/1176344552; Davison and Hinkley (1997),
    section 5.2, and section 3.8 of groups, doi:10.1017/CBO9780511802843.

    Args:
        y: Class (0 or 1) or true number of each row, shape (rows,).
        p: Probability of class 1, or predicted number, shape (rows,).
        metric: A name of ``metrics.BINARY_METRICS`` or ``metrics.REGRESSION_METRICS``, or a function of (y, p).
        seed: Seed of the resampling.
        threshold: A row is predicted positive when ``p >= threshold``; for named metrics.
        resamples: Number of resamples, at least 2; some 1000 for a 95 % interval.
        level: Coverage, in (0, 1).
        class_shares: ``fixed`` only where the numbers of rows of each class were fixed before the rows were taken;
            without meaning for a ``y`` that holds more than 0 and 1, and with ``groups``.
        groups: Group of each row, shape (rows,), at least two of them: as many groups as there are, are drawn whole,
            and the classes come with them; a draw of one class is drawn again. None takes rows for independent.

    Returns:
        The metric of all rows and its interval.

    Raises:
        ValueError: Shapes differ, a value is null or outside its range, or there is no metric of that name.
        LabelError: The metric needs both classes and there is one.

    Example:
        >>> y, p = [0] * 50 + [1] * 50, [0.2] * 40 + [0.8] * 20 + [0.9] * 40
        >>> interval = bootstrap_interval(y, p, metric="recall", seed=0)
        >>> interval.value, 0.9 < interval.low <= 1.0, interval.high
        (1.0, True, 1.0)
    """
    if isinstance(metric, str):
        name, prepared = metric, prepare(y, p, metric=metric, threshold=threshold)
    else:
        name, prepared = "own", _called(finite(y, name="y"), finite(p, name="p"), metric)
    _refuse_settings(resamples, level)
    return _intervals({name: prepared}, _draws(_strata(y, {name}), seed, resamples, class_shares, groups), level)[name]


def bootstrap_intervals(  # noqa: PLR0913 - the settings of a bootstrap
    y: ArrayLike,
    p: ArrayLike,
    *,
    metrics: Sequence[str],
    seed: int,
    threshold: float = 0.5,
    resamples: int = 1000,
    level: float = 0.95,
    class_shares: ClassShares = "drawn",
    groups: ArrayLike | None = None,
) -> dict[str, Interval]:
    """Return several metrics with their bootstrap intervals, all from the same resamples.

    Args:
        y: As ``bootstrap_interval``.
        p: As ``bootstrap_interval``.
        metrics: Names of metrics of one kind (binary or regression).
        seed: Seed of the resampling.
        threshold: A row is predicted positive when ``p >= threshold``.
        resamples: Number of resamples, at least 2.
        level: Coverage, in (0, 1).
        class_shares: As ``bootstrap_interval``.
        groups: As ``bootstrap_interval``.

    Returns:
        An interval for each metric, in the order of ``metrics``; the same as ``bootstrap_interval`` of each.

    Raises:
        ValueError: As ``bootstrap_interval``.
        LabelError: As ``bootstrap_interval``.

    Example:
        >>> y, p = [0, 0, 1, 1, 0, 1], [0.1, 0.4, 0.35, 0.8, 0.2, 0.7]
        >>> {name: round(i.value, 3) for name, i in bootstrap_intervals(y, p, metrics=["f1", "recall"], seed=0).items()}
        {'f1': 0.8, 'recall': 0.667}
    """
    prepared = {name: prepare(y, p, metric=name, threshold=threshold) for name in metrics}
    _refuse_settings(resamples, level)
    return _intervals(prepared, _draws(_strata(y, set(metrics)), seed, resamples, class_shares, groups), level)


def paired_bootstrap(  # noqa: PLR0913 - the settings of a bootstrap
    y: ArrayLike,
    p_a: ArrayLike,
    p_b: ArrayLike,
    *,
    metric: str | Metric,
    seed: int,
    threshold: float = 0.5,
    resamples: int = 1000,
    level: float = 0.95,
    groups: ArrayLike | None = None,
) -> PairedDifference:
    """Compare two models on the same rows: both are scored on each resample, and the difference is what varies.

    Assumes independent rows that neither model was fitted on. For areas under the ROC curve ``delong_test`` is exact in
    its variance and faster. Source: Efron and Tibshirani (1993), chapter 16, doi:10.1201/9780429246593.

    Args:
        y: Class (0 or 1) or true number of each row, shape (rows,).
        p_a: Probabilities or predictions of the first model, shape (rows,).
        p_b: Probabilities or predictions of the second model, shape (rows,).
        metric: As ``bootstrap_interval``.
        seed: Seed of the resampling.
        threshold: A row is predicted positive when ``p >= threshold``, for both models and named metrics.
        resamples: Number of resamples, at least 2.
        level: Coverage, in (0, 1).
        groups: As ``bootstrap_interval``.

    Returns:
        Both figures, their difference (first minus second) with its percentile interval, and the test.

    Raises:
        ValueError: As ``bootstrap_interval``.
        LabelError: As ``bootstrap_interval``.

    Example:
        >>> y = [0, 1] * 50
        >>> found = paired_bootstrap(y, [0.4, 0.6] * 50, [0.6, 0.6] * 50, metric="accuracy", seed=0)
        >>> found.difference.value, found.p_value < 0.01
        (0.5, True)
    """

    def ready(p: ArrayLike) -> OnResamples:
        if isinstance(metric, str):
            return prepare(y, p, metric=metric, threshold=threshold)
        return _called(finite(y, name="y"), finite(p, name="p"), metric)

    first, second = ready(p_a), ready(p_b)
    _refuse_settings(resamples, level)
    strata = _strata(y, {metric} if isinstance(metric, str) else set())
    once = np.ones((1, strata.size))
    a, b = float(first(once)[0]), float(second(once)[0])
    draws = _draws(strata, seed, resamples, "drawn", groups)
    drawn = np.concatenate([first(counts) - second(counts) for counts in draws])
    low, high = np.quantile(drawn, [0.5 - level / 2, 0.5 + level / 2])
    beyond = min(int((drawn <= 0).sum()), int((drawn >= 0).sum()))
    return PairedDifference(
        a=a,
        b=b,
        difference=Interval(value=a - b, low=float(low), high=float(high)),
        p_value=min(1.0, 2.0 * (beyond + 1) / (resamples + 1)),
    )


def _intervals(prepared: dict[str, OnResamples], draws: Iterator[Floats], level: float) -> dict[str, Interval]:
    drawn: dict[str, list[Floats]] = {name: [] for name in prepared}
    rows = 0
    for counts in draws:
        rows = counts.shape[1]
        for name, on_resamples in prepared.items():
            drawn[name].append(on_resamples(counts))
    intervals = {}
    for name, on_resamples in prepared.items():
        value = float(on_resamples(np.ones((1, rows)))[0])
        low, high = (float(end) for end in np.quantile(np.concatenate(drawn[name]), [0.5 - level / 2, 0.5 + level / 2]))
        if name == "ece":
            low, high = min(value, max(0.0, 2 * value - high)), max(value, 2 * value - low)
        intervals[name] = Interval(value=value, low=low, high=high)
    return intervals


def _called(y: Floats, p: Floats, metric: Metric) -> OnResamples:
    paired(y=y, p=p)

    def each(counts: Floats) -> Floats:
        rows = (np.repeat(np.arange(y.size), drawn.astype(np.int64)) for drawn in counts)
        return np.array([metric(y[chosen], p[chosen]) for chosen in rows], dtype=np.float64)

    return each


def _strata(y: ArrayLike, metrics: set[str]) -> Ints:
    """The stratum of each row: its class where ``y`` holds 0 and 1 only, otherwise all rows are one stratum."""
    values = finite(y, name="y")
    if metrics & set(REGRESSION_METRICS) or not np.isin(values, (0.0, 1.0)).all():
        return np.zeros(values.size, dtype=np.int64)
    return values.astype(np.int64)


def _draws(
    strata: Ints, seed: int, resamples: int, class_shares: ClassShares, groups: ArrayLike | None
) -> Iterator[Floats]:
    """Yield counts of blocks of resamples, each of shape (some resamples, rows); they add up to ``resamples``."""
    rng = np.random.default_rng(seed)
    draw = _rows_drawn(strata, rng, class_shares) if groups is None else _groups_drawn(strata, rng, np.asarray(groups))
    block = max(1, _CELLS_PER_BLOCK // strata.size)
    for start in range(0, resamples, block):
        yield np.stack([draw() for _ in range(min(block, resamples - start))])


def _rows_drawn(strata: Ints, rng: np.random.Generator, class_shares: ClassShares) -> Callable[[], Floats]:
    members, rows = [np.flatnonzero(strata == stratum) for stratum in np.unique(strata)], strata.size

    def draw() -> Floats:
        drawn = np.empty(rows)
        sizes = [member.size for member in members]
        if class_shares == "drawn" and len(members) == 2:
            # With the class sizes drawn first this is the ordinary bootstrap, but for resamples of one class,
            # which no metric could judge.
            first = min(max(int(rng.binomial(rows, sizes[0] / rows)), 1), rows - 1)
            sizes = [first, rows - first]
        for member, size in zip(members, sizes, strict=True):
            drawn[member] = np.bincount(rng.integers(0, member.size, size), minlength=member.size)
        return drawn

    return draw


def _groups_drawn(strata: Ints, rng: np.random.Generator, groups: NDArray[np.generic]) -> Callable[[], Floats]:
    names, group = np.unique(groups, return_inverse=True)
    if group.size != strata.size or names.size < 2:
        raise ValueError(f"groups must name two groups or more and {strata.size} rows, not {names.size}, {group.size}")
    holders = [np.unique(group[strata == stratum]) for stratum in np.unique(strata)]

    def draw() -> Floats:
        while True:
            drawn = np.bincount(rng.integers(0, names.size, names.size), minlength=names.size)
            if all(drawn[holder].any() for holder in holders):
                return np.asarray(drawn[group], dtype=np.float64)

    return draw


def _refuse_settings(resamples: int, level: float) -> None:
    if resamples < 2 or not 0.0 < level < 1.0:
        raise ValueError(f"resamples must be at least 2 and level lie in (0, 1), not {resamples} and {level}")
