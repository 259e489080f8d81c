"""What contacting customers by score earns: profit by threshold, cumulative gains and lift.

A row is contacted when ``p >= threshold``. Amounts are in one currency unit of the caller's choice, as constants or per
row. All customers of one score are contacted together.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from trunkline.stats.arrays import Floats, binary_labels, finite, paired, probabilities

__all__ = ["GainsRow", "ProfitCurve", "ProfitPoint", "cumulative_gains", "profit_at", "profit_curve"]


@dataclass(frozen=True, slots=True)
class ProfitPoint:
    """The outcome of contacting all rows at or above a threshold.

    Attributes:
        threshold: Rows with ``p >= threshold`` are contacted.
        contacts: Number of rows contacted.
        share: Share of rows contacted, in [0, 1].
        profit: Sum over the contacted rows of (value if class 1, otherwise 0) - cost, in currency units.
        profit_per_row: Profit divided by all rows, contacted or not.
    """

    threshold: float
    contacts: int
    share: float
    profit: float
    profit_per_row: float


@dataclass(frozen=True, slots=True)
class ProfitCurve:
    """Profit at every distinct threshold, thinned for a report.

    Attributes:
        points: From nobody contacted to everybody, thinned to at most the number asked for; always holds the two ends
            and the best.
        best: The most profitable point; of equals the one with the fewest contacts.
    """

    points: tuple[ProfitPoint, ...]
    best: ProfitPoint


@dataclass(frozen=True, slots=True)
class GainsRow:
    """The best-scored part of the rows.

    Attributes:
        share_contacted: Share of all rows, best scores first, in (0, 1].
        share_captured: Share of all rows of class 1 that are among them, in [0, 1].
        lift: ``share_captured / share_contacted``: how many times better than contacting at random.
    """

    share_contacted: float
    share_captured: float
    lift: float


def profit_curve(
    y: ArrayLike, p: ArrayLike, *, value: ArrayLike, cost: ArrayLike, most_points: int = 200
) -> ProfitCurve:
    """Return the profit of each threshold and the best one.

    Thresholds lie midway between neighbouring scores, so that the last digit of a score decides nothing; the first lies
    above all scores (nobody contacted), the last is 0. A threshold chosen and judged on the same rows looks better than
    it is: choose it on out-of-fold scores, judge it on others with ``profit_at``. Source: Verbraken, Verbeke and
    Baesens (2013), doi:10.1109/TKDE.2012.50.

    Args:
        y: Class of each row, 0 or 1, shape (rows,).
        p: Probability of class 1, shape (rows,), in [0, 1].
        value: What a contacted row of class 1 brings, in currency units: a constant or shape (rows,).
        cost: What a contact costs, in currency units: a constant or shape (rows,).
        most_points: Largest number of points to return, at least 3.

    Returns:
        The thinned curve and its best point.

    Raises:
        ValueError: Shapes differ, a value is null or outside its range, or ``most_points`` is below 3.

    Example:
        >>> curve = profit_curve([0, 1, 0, 1], [0.1, 0.4, 0.6, 0.9], value=10, cost=4)
        >>> [point.profit for point in curve.points], round(curve.best.threshold, 2)
        ([0.0, 6.0, 2.0, 8.0, 4.0], 0.25)
    """
    if most_points < 3:
        raise ValueError(f"most_points must be at least 3, not {most_points}")
    scores, earned = _earned(y, p, value, cost)
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    ends = np.append(np.flatnonzero(ranked[1:] < ranked[:-1]), ranked.size - 1)
    contacts = np.concatenate([[0], ends + 1])
    profits = np.concatenate([[0.0], np.cumsum(earned[order])[ends]])
    above_all = (1.0 + ranked[0]) / 2.0 if ranked[0] < 1.0 else float(np.nextafter(1.0, 2.0))
    between = [_between(float(ranked[end]), float(ranked[end + 1])) for end in ends[:-1]]
    thresholds = [float(above_all), *between, 0.0]

    def point(at: int) -> ProfitPoint:
        return _point(thresholds[at], int(contacts[at]), float(profits[at]), scores.size)

    # Sums of money in floating point: what differs by less than a rounding error counts as equal.
    tolerance = 1e-9 * max(1.0, float(np.abs(profits).max()))
    best = int(np.flatnonzero(profits >= profits.max() - tolerance)[0])
    kept = np.unique(np.append(np.linspace(0, contacts.size - 1, min(most_points - 1, contacts.size)).round(), best))
    return ProfitCurve(points=tuple(point(int(at)) for at in kept), best=point(best))


def profit_at(y: ArrayLike, p: ArrayLike, *, threshold: float, value: ArrayLike, cost: ArrayLike) -> ProfitPoint:
    """Return the profit of one threshold.

    Give probabilities as ``y`` (calibrated, 0 to 1) to get the expected profit before outcomes are known.

    Args:
        y: Class of each row, 0 or 1, or the probability of class 1, shape (rows,), in [0, 1].
        p: The score that decides about contact, shape (rows,), in [0, 1].
        threshold: A row is contacted when ``p >= threshold``.
        value: What a contacted row of class 1 brings, in currency units: a constant or shape (rows,).
        cost: What a contact costs, in currency units: a constant or shape (rows,).

    Returns:
        Contacts and profit.

    Raises:
        ValueError: Shapes differ, or a value is null or outside its range.

    Example:
        >>> profit_at([0, 1, 0, 1], [0.1, 0.4, 0.6, 0.9], threshold=0.5, value=10, cost=4).profit
        2.0
    """
    scores = probabilities(p)
    share = probabilities(y, name="y")
    paired(y=share, p=scores)
    contacted = scores >= threshold
    earned = share * _per_row(value, scores.size, "value") - _per_row(cost, scores.size, "cost")
    return _point(threshold, int(contacted.sum()), float(earned[contacted].sum()), scores.size)


def cumulative_gains(y: ArrayLike, p: ArrayLike, *, groups: int = 10) -> tuple[GainsRow, ...]:
    """Return which share of class 1 the best-scored tenth, two tenths, ... of the rows hold.

    Where a tie of scores lies across a border, its rows of class 1 are shared out evenly. Source: Berry and Linoff
    (2004), "Data Mining Techniques", second edition, chapter 4.

    Args:
        y: Class of each row, 0 or 1, shape (rows,), at least one of each.
        p: Score, higher means more probably class 1, shape (rows,), finite.
        groups: Number of equal steps, at least 1.

    Returns:
        One record per step, by rising share; the last is the whole.

    Raises:
        ValueError: Shapes differ, a value is null, or ``groups`` is below 1.
        LabelError: There is one class only.

    Example:
        >>> gains = cumulative_gains([0, 1, 0, 1], [1, 3, 2, 4], groups=2)
        >>> [(row.share_contacted, row.share_captured, row.lift) for row in gains]
        [(0.5, 1.0, 2.0), (1.0, 1.0, 1.0)]
    """
    if groups < 1:
        raise ValueError(f"groups must be at least 1, not {groups}")
    labels, scores = binary_labels(y, both=1), finite(p, name="p")
    paired(y=labels, p=scores)
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    ends = np.append(np.flatnonzero(ranked[1:] < ranked[:-1]), ranked.size - 1)
    rows = np.concatenate([[0.0], (ends + 1) / ranked.size])
    hits = np.concatenate([[0.0], np.cumsum(labels[order])[ends] / labels.sum()])
    shares = np.arange(1, groups + 1) / groups
    captured = np.interp(shares, rows, hits)
    return tuple(
        GainsRow(share_contacted=float(share), share_captured=float(part), lift=float(part / share))
        for share, part in zip(shares, captured, strict=True)
    )


def _earned(y: ArrayLike, p: ArrayLike, value: ArrayLike, cost: ArrayLike) -> tuple[Floats, Floats]:
    labels, scores = binary_labels(y), probabilities(p)
    paired(y=labels, p=scores)
    return scores, labels * _per_row(value, scores.size, "value") - _per_row(cost, scores.size, "cost")


def _per_row(amount: ArrayLike, rows: int, name: str) -> Floats:
    if np.ndim(amount) == 0:
        amount = np.full(rows, amount)
    amounts = finite(amount, name=name)
    if amounts.size != rows:
        raise ValueError(f"{name} must be one number or one per row ({rows}), not {amounts.size}")
    return amounts


def _between(high: float, low: float) -> float:
    """A threshold with ``low < threshold <= high``: the middle, unless rounding makes it equal to ``low``."""
    middle = low + (high - low) / 2.0
    return middle if middle > low else high


def _point(threshold: float, contacts: int, profit: float, rows: int) -> ProfitPoint:
    return ProfitPoint(
        threshold=threshold, contacts=contacts, share=contacts / rows, profit=profit, profit_per_row=profit / rows
    )
