"""Gaps against Fairlearn's, and what their intervals promise."""

import numpy as np
import pytest
from fairlearn.metrics import demographic_parity_difference, equalized_odds_difference
from hypothesis import given, settings
from hypothesis import strategies as st

from trunkline.stats.fairness import fairness_report


def drawn(seed: int, *, rows: int = 3_000, groups: int = 4) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    group = rng.integers(0, groups, rows)
    score = np.clip(rng.beta(2, 3, rows) + 0.08 * group, 0, 1)
    return (rng.random(rows) < score).astype(int), score, np.array([f"g{one}" for one in group])


@given(seed=st.integers(0, 10_000), threshold=st.floats(0.2, 0.7), groups=st.integers(2, 6))
@settings(max_examples=12, deadline=None)
def test_the_gaps_are_those_of_fairlearn(seed: int, threshold: float, groups: int) -> None:
    truth, score, group = drawn(seed, groups=groups)
    found = fairness_report(truth, score, group.tolist(), threshold=threshold, seed=0, resamples=20)
    picked = (score >= threshold).astype(int)
    assert found.demographic_parity_gap is not None
    assert found.equalised_odds_gap is not None
    parity = demographic_parity_difference(truth, picked, sensitive_features=group)
    odds = equalized_odds_difference(truth, picked, sensitive_features=group)
    assert found.demographic_parity_gap.value == pytest.approx(parity, abs=1e-12)
    assert found.equalised_odds_gap.value == pytest.approx(odds, abs=1e-12)
    for gap in (found.demographic_parity_gap, found.equalised_odds_gap):
        assert 0 <= gap.low <= gap.value <= gap.high <= 1


def test_chance_alone_seldom_shows_a_gap() -> None:
    excluded = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        score = rng.random(2_000)
        truth, group = (rng.random(2_000) < score).astype(int), rng.integers(0, 8, 2_000).astype(str)
        gap = fairness_report(truth, score, group.tolist(), threshold=0.5, seed=seed).demographic_parity_gap
        assert gap is not None
        assert gap.value > 0.02, "eight groups differ by chance"
        excluded += gap.low > 0.05
    assert excluded <= 4


def test_a_real_gap_is_shown() -> None:
    truth, score, group = drawn(1, rows=8_000)
    gap = fairness_report(truth, score, group.tolist(), threshold=0.5, seed=0).demographic_parity_gap
    assert gap is not None
    assert gap.low > 0.2


def test_small_groups_and_rows_without_one_are_shown_and_decide_nothing() -> None:
    truth, score, group = drawn(2, groups=2)
    names: list[str | None] = [*group.tolist(), *["tiny"] * 20, *[None] * 30]
    truth, score = np.append(truth, [1] * 50), np.append(score, np.full(50, 0.99))
    found = fairness_report(truth, score, names, threshold=0.5, seed=0)
    assert [one.name for one in found.groups if not one.judged] == [None, "tiny"]
    alone = fairness_report(truth[:-50], score[:-50], names[:-50], threshold=0.5, seed=0)
    assert found.demographic_parity_gap == alone.demographic_parity_gap
    tiny = found.groups[-1]
    assert (tiny.rows, tiny.positives, tiny.false_positive_rate) == (20, 20, None)
    assert tiny.calibration_gap.value == pytest.approx(-0.01)


def test_one_group_has_no_gap() -> None:
    truth, score, _ = drawn(3)
    found = fairness_report(truth, score, ["all"] * len(truth), threshold=0.5, seed=0)
    assert found.demographic_parity_gap is None
    assert found.equalised_odds_gap is None
    assert len(found.groups) == 1


def test_shapes_that_differ_are_refused() -> None:
    with pytest.raises(ValueError, match="groups"):
        fairness_report([0, 1], [0.1, 0.9], ["a"], threshold=0.5, seed=0)
