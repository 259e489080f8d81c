"""Intervals hold their share, after a shift of level too; probabilities of limits agree with the quantiles."""

import numpy as np
import pytest

from trunkline.tasks.forecasting.intervals import advance, replay
from trunkline.tasks.forecasting.panel import Floats
from trunkline.tasks.forecasting.scoring import day_interval, warnings_of
from trunkline.tasks.forecasting.tracking import LEVELS, Tracker, exceedance, quantiles_at


def shifted_errors(*, seed: int, hours: int = 2_000) -> Floats:
    """Errors of 8 series and 6 hours ahead whose size triples, and whose mean moves, in the middle."""
    drawn = np.random.default_rng(seed)
    errors: Floats = drawn.normal(0, 1, (8, 6, hours)) * np.array([1, 1.3, 1.6, 1.8, 2, 2.1])[None, :, None]
    errors[:, :, hours // 2 :] = errors[:, :, hours // 2 :] * 3 + 1
    return errors


@pytest.mark.parametrize("seed", [1, 2])
def test_coverage_is_kept_in_the_weeks_after_a_shift(seed: int) -> None:
    errors = shifted_errors(seed=seed)
    tracked = np.moveaxis(replay(Tracker.begin(errors[:, :, :336], series=8), errors, keep_from=336), 2, 3)
    low, high = quantiles_at(tracked, 0.1), quantiles_at(tracked, 0.9)
    inside = (errors[:, :, 336:] >= low) & (errors[:, :, 336:] <= high)
    after = inside[:, :, 1_000 - 336 : 1_000 - 336 + 336]
    assert 0.77 <= inside.mean() <= 0.83
    assert 0.75 <= after.mean() <= 0.83, "two weeks after the shift, its first hours included"


def test_a_fixed_interval_would_not_have_kept_it() -> None:
    errors = shifted_errors(seed=1)
    low, high = np.quantile(errors[:, :, :336], [0.1, 0.9], axis=(0, 2))
    inside = (errors >= low[None, :, None]) & (errors <= high[None, :, None])
    assert inside[:, :, 1_000:].mean() < 0.6


def test_an_error_is_learned_when_its_hour_has_come_and_not_before() -> None:
    errors = np.zeros((1, 3, 10))
    errors[0, 2, 4] = 50.0  # made at hour 4 for hour 7
    before, after = (Tracker.begin(np.random.default_rng(1).normal(0, 1, (1, 3, 100)), series=1) for _ in range(2))
    advance(before, errors[:, :, :7])
    calm = np.zeros((1, 3, 7))
    advance(after, calm)
    np.testing.assert_array_equal(before.size, after.size)
    last = errors[:, :, :8]
    advance(other := after.copy(), last)
    assert other.size[0, 2] > after.size[0, 2]


def test_an_absent_truth_teaches_nothing() -> None:
    tracker = Tracker.begin(np.random.default_rng(1).normal(0, 1, (2, 3, 100)), series=2)
    before = tracker.copy()
    tracker.learn(np.full((2, 3), np.nan))
    np.testing.assert_array_equal(tracker.quantiles, before.quantiles)
    np.testing.assert_array_equal(tracker.size, before.size)


def test_probabilities_and_quantiles_agree() -> None:
    tracked = np.sort(np.random.default_rng(2).normal(0, 1, (4, len(LEVELS))), axis=1)
    for place in (1, 5, 12, len(LEVELS) - 2):
        found = exceedance(tracked, tracked[:, place])
        np.testing.assert_allclose(found, 1 - LEVELS[place], atol=1e-6)
    assert exceedance(tracked, np.full(4, 99.0)).max() < 0.01
    assert np.isnan(exceedance(tracked, np.full(4, np.nan))).all()


def test_warnings_are_counted_by_hand() -> None:
    values = np.array([[1.0, 1, 1, 1, 9, 1, 1, 1, 1, 1]])
    quantiles = np.zeros((1, 2, len(LEVELS), 6))
    quantiles[0, 1, :, 0] = 20.0  # at hour 2, hour 4 is said to be above 5
    quantiles[0, 0, :, 4] = 20.0  # at hour 6, hour 7 is said to be: it was not
    found = warnings_of(values, quantiles, np.array([5.0]), first=2, warn_at=0.4)
    assert (found.warnings, found.right, found.spikes, found.foreseen) == (2, 1, 1, 1)
    assert found.mean_lead_hours == 2.0
    assert found.precision == 0.5
    assert found.recall == 1.0


def test_the_interval_over_days_holds_the_mean() -> None:
    values = np.random.default_rng(5).normal(3, 1, (4, 24 * 20))
    found = day_interval(values, seed=1)
    assert found.low < found.value < found.high
    assert found.value == pytest.approx(3, abs=0.1)
