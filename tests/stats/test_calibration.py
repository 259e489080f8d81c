"""Calibration error, its noise floor, and the fitted maps against scikit-learn and known truths."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.calibration import calibration_curve
from sklearn.linear_model import LogisticRegression

from trunkline.errors import LabelError
from trunkline.stats.calibration import (
    CLIP,
    Calibration,
    calibrate,
    ece,
    ece_noise_floor,
    fit_beta,
    fit_logistic,
    log_odds,
    reliability_curve,
)
from trunkline.stats.metrics import evaluate

Floats = NDArray[np.float64]


def _calibrated(rows: int, *, seed: int) -> tuple[NDArray[np.int64], Floats]:
    rng = np.random.default_rng(seed)
    p = rng.beta(1.5, 4, rows)
    return (rng.random(rows) < p).astype(np.int64), p


def test_reliability_is_sklearns_quantile_curve() -> None:
    y, p = _calibrated(1409, seed=0)
    observed, mean_score = calibration_curve(y, p, n_bins=10, strategy="quantile")
    curve = reliability_curve(y, p)
    assert [b.observed.value for b in curve] == pytest.approx(observed.tolist())
    assert [b.mean_score for b in curve] == pytest.approx(mean_score.tolist())
    assert sum(b.rows for b in curve) == 1409
    by_hand = sum(b.rows * abs(b.observed.value - b.mean_score) for b in curve) / 1409
    assert ece(y, p) == pytest.approx(by_hand) == evaluate(y, p, metric="ece")


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 12)), min_size=1, max_size=60), st.integers(1, 10))
def test_ece_is_bounded_and_blind_to_row_order(rows: list[tuple[int, int]], bins: int) -> None:
    y, p = np.array([row[0] for row in rows]), np.array([row[1] for row in rows]) / 12
    value = ece(y, p, bins=bins)
    assert abs(y.mean() - p.mean()) - 1e-12 <= value <= 1.0
    assert ece(y[::-1], p[::-1], bins=bins) == pytest.approx(value, abs=1e-12)
    # Turning both classes round mirrors the bins but for ties at their cuts; one bin has no cuts.
    assert ece(1 - y, 1 - p, bins=1) == pytest.approx(ece(y, p, bins=1), abs=1e-12)


def test_noise_floor_is_what_calibrated_models_show() -> None:
    # Measured: a perfectly calibrated model on 1,409 rows has a mean ECE of about 0.023.
    y, p = _calibrated(1409, seed=1)
    floor = ece_noise_floor(p, seed=0)
    assert 0.018 < floor.mean < 0.028
    assert floor == ece_noise_floor(p, seed=0)
    rng = np.random.default_rng(2)
    seen = np.array([ece((rng.random(p.size) < p).astype(int), p) for _ in range(400)])
    assert floor.mean == pytest.approx(seen.mean(), rel=0.03)
    assert 0.02 <= (seen > floor.quantile_95).mean() <= 0.085
    assert ece(y, p) < 2 * floor.mean


def test_noise_floor_of_one_bin_is_a_folded_normal() -> None:
    floor = ece_noise_floor(np.full(4000, 0.3), seed=3, bins=1, draws=4000)
    assert floor.mean == pytest.approx(np.sqrt(2 / np.pi * 0.3 * 0.7 / 4000), rel=0.05)


def test_noise_floor_does_not_depend_on_the_block_size() -> None:
    p = np.random.default_rng(4).random(300_000)
    assert ece_noise_floor(p, seed=0, draws=7).mean < 0.003


def _sklearn_map(y: NDArray[np.int64], features: Floats) -> tuple[list[float], float]:
    model = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-12).fit(features, y)
    return model.coef_[0].tolist(), float(model.intercept_[0])


def test_maps_equal_sklearns_logistic_regression() -> None:
    rng = np.random.default_rng(5)
    true = rng.beta(2, 3, 5000)
    y = (rng.random(5000) < true).astype(np.int64)
    p = true**2 / (true**2 + 0.5 * (1 - true) ** 1.5)
    straight = fit_logistic(y, p, smoothed_targets=False)
    slopes, intercept = _sklearn_map(y, np.log(p / (1 - p))[:, np.newaxis])
    assert (straight.a, straight.b, straight.c) == pytest.approx((slopes[0], slopes[0], intercept), abs=1e-4)
    bent = fit_beta(y, p, smoothed_targets=False)
    slopes, intercept = _sklearn_map(y, np.column_stack([np.log(p), -np.log(1 - p)]))
    assert (bent.a, bent.b, bent.c) == pytest.approx((*slopes, intercept), abs=1e-4)


def test_smoothed_targets_equal_weighted_copies() -> None:
    # Platt's soft targets are the same likelihood as each row twice, once per class, weighted by its target.
    y, p = _calibrated(400, seed=6)
    positives = int(y.sum())
    target = np.where(y == 1, (positives + 1) / (positives + 2), 1 / (400 - positives + 2))
    both = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-12).fit(
        np.tile(log_odds(p), 2)[:, np.newaxis], np.repeat([1, 0], 400), np.concatenate([target, 1 - target])
    )
    fitted = fit_logistic(y, p)
    assert (fitted.a, fitted.c) == pytest.approx((both.coef_[0, 0], both.intercept_[0]), abs=1e-4)


def test_beta_map_mends_what_logistic_cannot() -> None:
    y, true = _calibrated(40_000, seed=7)
    skewed = true**3  # log p is tripled, log(1 - p) is not
    assert ece(y, skewed) > 0.1
    mended = calibrate(skewed, calibration=fit_beta(y, skewed))
    assert ece(y, mended) < 2 * ece_noise_floor(mended, seed=0, draws=200).quantile_95


def test_a_calibrated_model_keeps_its_scores() -> None:
    y, p = _calibrated(60_000, seed=8)
    for fitted in (fit_logistic(y, p), fit_beta(y, p)):
        assert (fitted.a, fitted.b, fitted.c) == pytest.approx((1, 1, 0), abs=0.1)
        assert np.abs(calibrate(p, calibration=fitted) - p).max() < 0.03


@given(
    st.lists(st.tuples(st.integers(0, 1), st.floats(0, 1)), min_size=2, max_size=50).filter(
        lambda rows: 0 < sum(row[0] for row in rows) < len(rows)
    )
)
def test_maps_are_finite_rising_and_stable_at_0_and_1(rows: list[tuple[int, float]]) -> None:
    y, p = np.array([row[0] for row in rows]), np.array([row[1] for row in rows])
    grid = np.concatenate([[0.0], np.linspace(1e-9, 1 - 1e-9, 201), [1.0]])
    for fitted in (fit_logistic(y, p), fit_beta(y, p)):
        assert fitted.a >= 0
        assert fitted.b >= 0
        assert np.isfinite([fitted.a, fitted.b, fitted.c]).all()
        there = calibrate(grid, calibration=fitted)
        assert ((there >= 0) & (there <= 1)).all()
        assert (np.diff(there) >= -1e-12).all()


def test_scores_that_rank_the_wrong_way_get_the_class_share() -> None:
    y, p = np.repeat([1, 0], [30, 70]), np.repeat([0.2, 0.8], [30, 70])
    for fitted in (fit_logistic(y, p, smoothed_targets=False), fit_beta(y, p, smoothed_targets=False)):
        assert (fitted.a, fitted.b) == pytest.approx((0, 0), abs=1e-6)
        assert calibrate([0.1, 0.9], calibration=fitted) == pytest.approx(np.array([0.3, 0.3]), abs=1e-4)
    constant = fit_beta(y, np.full(100, 0.5), smoothed_targets=False)
    assert calibrate([0.5], calibration=constant)[0] == pytest.approx(0.3)


def test_log_odds_are_clipped_as_stated() -> None:
    assert log_odds([0.0, 1.0]) == pytest.approx(np.array([-1, 1]) * np.log((1 - CLIP) / CLIP))
    p = np.random.default_rng(9).random(100)
    assert calibrate(p, calibration=Calibration()) == pytest.approx(p)


def test_bad_input_is_refused() -> None:
    with pytest.raises(LabelError, match="each class"):
        fit_beta([1, 1], [0.1, 0.2])
    with pytest.raises(ValueError, match=r"lie in \[0, 1\]"):
        ece([0, 1], [-0.1, 0.2])
    with pytest.raises(ValueError, match="bins"):
        ece([0, 1], [0.1, 0.2], bins=0)
    with pytest.raises(ValueError, match="draws"):
        ece_noise_floor([0.1], seed=0, draws=0)
    with pytest.raises(ValueError, match="same rows"):
        fit_logistic([0, 1, 1], [0.1, 0.2])
