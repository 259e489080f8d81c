"""The detectors: tails against counting, ECOD against PyOD where it is installed, budgets against brute force."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trunkline.tasks.anomaly import Budget, Ecod, Oddness, episodes_of, reason
from trunkline.tasks.anomaly.budget import kept, smoothed, threshold_for
from trunkline.tasks.anomaly.detectors import Tail


def test_rarity_is_the_share_of_rows_as_large() -> None:
    figures = np.arange(1.0, 10_001.0)
    found = Tail.learn(figures).rarity(np.array([1.0, 5_001.0, 9_001.0]))
    assert found == pytest.approx([0.0, -np.log10(0.5), 1.0], abs=1e-3)
    beyond = Tail.learn(figures).rarity(np.array([1e4, 2e4, 3e4]))
    assert np.all(np.diff(beyond) > 0)


def test_ecod_sums_tails_as_they_are_written() -> None:
    rng = np.random.default_rng(0)
    matrix = rng.gamma(2.0, 1.0, (200, 3))
    found = Ecod.learn(matrix).figures(matrix)
    left = np.array([[-np.log(np.mean(matrix[:, at] <= row[at])) for at in range(3)] for row in matrix])
    right = np.array([[-np.log(np.mean(matrix[:, at] >= row[at])) for at in range(3)] for row in matrix])
    wanted = np.maximum(left.sum(axis=1), right.sum(axis=1))  # gamma is skewed to the right in every column
    assert found == pytest.approx(wanted, rel=1e-9)


@pytest.mark.slow
def test_the_tails_of_ecod_are_those_of_pyod() -> None:
    """PyOD sums the larger tail of each column; the paper, and so we, takes the largest of three sums."""
    ecod = pytest.importorskip("pyod.models.ecod", reason="PyOD is not installed")
    matrix = np.random.default_rng(3).normal(size=(300, 4)) ** 3
    theirs = ecod.ECOD().fit(matrix)
    ours = Ecod.learn(matrix)
    led = np.where(ours.skewness < 0, theirs.U_l, theirs.U_r).sum(axis=1)
    wanted = np.maximum(np.maximum(theirs.U_l.sum(axis=1), theirs.U_r.sum(axis=1)), led)
    assert ours.figures(matrix) == pytest.approx(wanted, rel=1e-9)


def test_scores_of_odd_rows_are_above_those_of_usual_ones_and_repeat() -> None:
    rng = np.random.default_rng(0)
    usual, odd = rng.normal(size=(3_000, 5)), rng.normal(size=(20, 5)) + np.array([9, 0, -9, 0, 0])
    rows = np.vstack([usual, odd])
    oddness = Oddness.learn(rows, trees=20, seed=0)
    scores = oddness.scores(rows)
    assert scores[-20:].min() > np.quantile(scores[:-20], 0.99)
    assert np.array_equal(scores, Oddness.learn(rows, trees=20, seed=0).scores(rows))
    assert oddness.scores(np.zeros((0, 5))).shape == (0,)


def test_episodes_end_with_their_thing_and_bridge_short_gaps() -> None:
    scores = np.array([5, 5, 0, 5, 0, 0, 0, 5, 5, 5.0])
    thing = np.array([0, 0, 0, 0, 0, 0, 0, 0, 0, 1])
    found = episodes_of(scores, thing=thing, threshold=4.0, budget=Budget(gap=1, usual_below=1))
    assert found.first.tolist() == [0, 7, 9]
    assert found.last.tolist() == [3, 8, 9]
    assert found.strength.tolist() == [3.0, 2.0, 1.0]


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([0.5, 1.0, 3.0]))
def test_no_more_alerts_than_the_budget(seed: int, per_week: float) -> None:
    rng = np.random.default_rng(seed)
    things, rows = 30, 96
    thing = np.repeat(np.arange(things), rows)
    scores = rng.exponential(1.0, things * rows)
    budget = Budget(per_week=per_week, rows_per_week=96)
    smooth = smoothed(scores, thing=thing, rows=budget.persistence)
    threshold = threshold_for(smooth, thing=thing, budget=budget)
    found = episodes_of(smooth, thing=thing, threshold=threshold, budget=budget)
    assert 1 <= len(found.first) <= per_week * things
    chosen = kept(found, thing=thing, week=np.zeros_like(thing), budget=budget)
    assert np.bincount(thing[found.first[chosen]], minlength=things).max() <= np.ceil(per_week)
    for one in range(things):
        mine = [at for at in range(len(found.first)) if thing[found.first[at]] == one]
        best = sorted(mine, key=lambda at: -found.strength[at])[: int(np.ceil(per_week))]
        assert set(best) == {at for at in chosen.tolist() if thing[found.first[at]] == one}


def test_reasons_say_which_number_and_when() -> None:
    assert reason("PRBUsageDL", deviation=3.14, hour=18) == (
        "PRBUsageDL is 3.1 robust deviations above this cell's usual 18:00"
    )
    assert reason("load", deviation=-50.0, thing="site") == (
        "load is 50 or more robust deviations below this site's usual"
    )
