"""Profit and gains against a brute-force search."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.errors import LabelError
from trunkline.stats.profit import cumulative_gains, profit_at, profit_curve

_ROWS = st.lists(
    st.tuples(st.integers(0, 1), st.integers(0, 8), st.integers(0, 50), st.integers(0, 20)), min_size=1, max_size=40
)


@given(_ROWS)
def test_best_threshold_is_the_best_of_all_subsets_by_score(rows: list[tuple[int, int, int, int]]) -> None:
    y, eighths, value, cost = (np.array(column) for column in zip(*rows, strict=True))
    p = eighths / 8
    curve = profit_curve(y, p, value=value, cost=cost)
    # Brute force: contact nobody, or everybody from one of the scores up.
    outcomes = [(0.0, 0)] + [
        (float((y * value - cost)[p >= score].sum()), int((p >= score).sum())) for score in np.unique(p)
    ]
    most = max(profit for profit, _ in outcomes)
    assert curve.best.profit == pytest.approx(most)
    assert curve.best.contacts == min(contacts for profit, contacts in outcomes if profit == most)
    assert sorted((point.profit, point.contacts) for point in curve.points) == sorted(outcomes)
    for point in curve.points:
        again = profit_at(y, p, threshold=point.threshold, value=value, cost=cost)
        assert again.contacts == point.contacts
        assert again.profit == pytest.approx(point.profit)


def test_thinning_keeps_ends_and_best() -> None:
    rng = np.random.default_rng(0)
    p = rng.random(5000)
    y = (rng.random(5000) < p).astype(int)
    curve = profit_curve(y, p, value=100.0, cost=30.0, most_points=50)
    assert len(curve.points) <= 50
    assert curve.best in curve.points
    assert (curve.points[0].contacts, curve.points[-1].contacts) == (0, 5000)
    assert [point.contacts for point in curve.points] == sorted(point.contacts for point in curve.points)
    # A calibrated score pays from p = cost / value on (Elkan 2001).
    assert curve.best.threshold == pytest.approx(0.3, abs=0.05)


def test_a_threshold_lies_between_neighbouring_scores_even_when_they_touch() -> None:
    low = 0.5
    high = float(np.nextafter(low, 1.0))
    curve = profit_curve([0, 1], [low, high], value=10, cost=4)
    assert (curve.best.contacts, curve.best.profit) == (1, 6.0)
    assert low < curve.best.threshold <= high


def test_nobody_is_contacted_when_nothing_pays() -> None:
    curve = profit_curve([0, 1], [1.0, 1.0], value=1, cost=5)
    assert (curve.best.contacts, curve.best.profit) == (0, 0.0)
    assert curve.best.threshold > 1.0


def test_expected_profit_takes_probabilities_for_outcomes() -> None:
    point = profit_at([0.25, 0.5], [0.25, 0.5], threshold=0.4, value=[10, 20], cost=3)
    assert (point.contacts, point.profit, point.profit_per_row) == (1, 7.0, 3.5)


@given(
    st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1000)), min_size=4, max_size=60, unique_by=lambda r: r[1])
    .filter(lambda rows: 0 < sum(row[0] for row in rows) < len(rows))
    .map(lambda rows: rows[: len(rows) // 4 * 4])
    .filter(lambda rows: 0 < sum(row[0] for row in rows) < len(rows))
)
def test_gains_of_distinct_scores_are_counts(rows: list[tuple[int, int]]) -> None:
    y, p = np.array([row[0] for row in rows]), np.array([row[1] for row in rows])
    gains = cumulative_gains(y, p, groups=4)
    ranked = y[np.argsort(-p)]
    for quarter, row in enumerate(gains, start=1):
        assert row.share_captured == pytest.approx(ranked[: quarter * len(rows) // 4].sum() / y.sum())
        assert row.lift == pytest.approx(row.share_captured / row.share_contacted)
    assert gains[-1].share_captured == gains[-1].lift == 1.0


def test_gains_of_one_score_are_the_diagonal() -> None:
    assert [row.lift for row in cumulative_gains([0, 1] * 20, [0.5] * 40)] == pytest.approx([1.0] * 10)


def test_bad_input_is_refused() -> None:
    with pytest.raises(ValueError, match="one number or one per row"):
        profit_curve([0, 1], [0.1, 0.2], value=[1, 2, 3], cost=1)
    with pytest.raises(ValueError, match="cost holds NaN"):
        profit_curve([0, 1], [0.1, 0.2], value=1, cost=np.nan)
    with pytest.raises(ValueError, match="most_points"):
        profit_curve([0, 1], [0.1, 0.2], value=1, cost=1, most_points=2)
    with pytest.raises(ValueError, match="groups"):
        cumulative_gains([0, 1], [0.1, 0.2], groups=0)
    with pytest.raises(LabelError, match="each class"):
        cumulative_gains([1, 1], [0.1, 0.2])
