"""Effects of campaigns against SciPy, and the coverage of their intervals."""

import numpy as np
import pytest
from scipy.stats import ttest_ind

from trunkline.stats.uplift import campaign_effect


def group(rng: np.random.Generator, rows: int, share: float) -> tuple[np.ndarray, np.ndarray]:
    took = (rng.random(rows) < share).astype(int)
    return took, took * rng.gamma(2.0, 40.0, rows)


def test_revenue_is_welch_s_times_the_contacted() -> None:
    rng = np.random.default_rng(0)
    (took, brought), (held, held_brought) = group(rng, 4_000, 0.12), group(rng, 300, 0.08)
    effect = campaign_effect(took, brought, holdout_responded=held, holdout_revenue=held_brought, spend=1_000.0)
    oracle = ttest_ind(brought, held_brought, equal_var=False).confidence_interval(0.95)
    assert effect.incremental_revenue is not None
    assert effect.incremental_profit is not None
    assert effect.incremental_revenue.low == pytest.approx(4_000 * oracle.low)
    assert effect.incremental_revenue.high == pytest.approx(4_000 * oracle.high)
    assert effect.incremental_profit.value == pytest.approx(effect.incremental_revenue.value - 1_000.0)


def test_newcombe_s_own_example() -> None:
    """56 of 70 against 48 of 80: 0.2000, 95 % from 0.0524 to 0.3339 (Newcombe 1998, table II, row a, method 10)."""
    effect = campaign_effect(
        [1] * 56 + [0] * 14,
        np.zeros(70),
        holdout_responded=[1] * 48 + [0] * 32,
        holdout_revenue=np.zeros(80),
        spend=0.0,
    )
    assert effect.uplift is not None
    assert effect.uplift.value == pytest.approx(0.2)
    assert effect.uplift.low == pytest.approx(0.0524, abs=1e-4)
    assert effect.uplift.high == pytest.approx(0.3339, abs=1e-4)


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    inside = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        (took, brought), (held, held_brought) = group(rng, 1_500, 0.12), group(rng, 400, 0.08)
        effect = campaign_effect(took, brought, holdout_responded=held, holdout_revenue=held_brought, spend=0.0)
        assert effect.uplift is not None
        inside += effect.uplift.low <= 0.04 <= effect.uplift.high
    assert inside >= 180


def test_without_a_holdout_group_nothing_is_said_of_the_effect() -> None:
    effect = campaign_effect([1, 0], [10.0, 0.0], holdout_responded=[], holdout_revenue=[], spend=2.0)
    assert (effect.held_out, effect.holdout_response, effect.uplift) == (0, None, None)
    assert effect.incremental_revenue is None
    assert effect.response.value == 0.5


@pytest.mark.parametrize(
    ("responded", "revenue"), [([], []), ([1, 0], [1.0]), ([2], [1.0]), ([1], [float("nan")]), ([1], [float("inf")])]
)
def test_what_cannot_be_compared_is_refused(responded: list[int], revenue: list[float]) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        campaign_effect(responded, revenue, holdout_responded=[0, 1], holdout_revenue=[0.0, 1.0], spend=0.0)
