"""Metrics on resamples against scikit-learn, and bootstrap intervals against exact distributions."""

import time
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats
from sklearn import metrics as sk

from trunkline.errors import LabelError
from trunkline.stats.bootstrap import bootstrap_interval, bootstrap_intervals, paired_bootstrap
from trunkline.stats.delong import delong_test
from trunkline.stats.metrics import BINARY_METRICS, REGRESSION_METRICS, equal_mass_bins, evaluate, prepare

Floats = NDArray[np.float64]
Oracle = Callable[[NDArray[np.generic], Floats, Floats], float]

_THRESHOLD = 0.45

_BINARY: dict[str, Oracle] = {
    "roc_auc": lambda y, p, w: sk.roc_auc_score(y, p, sample_weight=w),
    "average_precision": lambda y, p, w: sk.average_precision_score(y, p, sample_weight=w),
    "f1": lambda y, p, w: sk.f1_score(y, p >= _THRESHOLD, sample_weight=w, zero_division=0),
    "precision": lambda y, p, w: sk.precision_score(y, p >= _THRESHOLD, sample_weight=w, zero_division=0),
    "recall": lambda y, p, w: sk.recall_score(y, p >= _THRESHOLD, sample_weight=w, zero_division=0),
    "accuracy": lambda y, p, w: sk.accuracy_score(y, p >= _THRESHOLD, sample_weight=w),
    "neg_log_loss": lambda y, p, w: -sk.log_loss(y, p, sample_weight=w, labels=[0, 1]),
    "neg_brier_score": lambda y, p, w: -sk.brier_score_loss(y, p, sample_weight=w),
}
_REGRESSION: dict[str, Oracle] = {
    "r2": lambda y, p, w: sk.r2_score(y, p, sample_weight=w),
    "neg_root_mean_squared_error": lambda y, p, w: -sk.root_mean_squared_error(y, p, sample_weight=w),
    "neg_mean_absolute_error": lambda y, p, w: -sk.mean_absolute_error(y, p, sample_weight=w),
}


def _sample(rows: int, *, seed: int = 0) -> tuple[NDArray[np.int64], Floats]:
    rng = np.random.default_rng(seed)
    p = np.round(rng.beta(2, 4, rows), 2)
    return (rng.random(rows) < p).astype(np.int64), p


def test_every_name_has_an_oracle() -> None:
    assert {*_BINARY, "ece"} == set(BINARY_METRICS)
    assert set(_REGRESSION) == set(REGRESSION_METRICS)


@pytest.mark.parametrize("metric", sorted(_BINARY))
@given(
    rows=st.lists(st.tuples(st.integers(0, 1), st.integers(0, 20), st.integers(0, 3)), min_size=4, max_size=60).filter(
        lambda rows: {0, 1} <= {y for y, _, drawn in rows if drawn}
    )
)
def test_binary_metric_on_a_resample_is_sklearns_with_weights(metric: str, rows: list[tuple[int, int, int]]) -> None:
    y, twentieths, drawn = (np.array(column) for column in zip(*rows, strict=True))
    p, weights = twentieths / 20, drawn.astype(float)
    counts = np.stack([weights, np.ones(y.size)])
    found = prepare(y, p, metric=metric, threshold=_THRESHOLD)(counts)
    kept = weights > 0  # scikit-learn's curves count a threshold whose rows all have weight 0
    assert found[0] == pytest.approx(_BINARY[metric](y[kept], p[kept], weights[kept]), abs=1e-9)
    assert found[1] == pytest.approx(_BINARY[metric](y, p, np.ones(y.size)), abs=1e-9)


@pytest.mark.parametrize("metric", sorted(_REGRESSION))
@given(
    rows=st.lists(st.tuples(st.integers(-9, 9), st.integers(-9, 9), st.integers(0, 3)), min_size=3, max_size=40).filter(
        lambda rows: len({y for y, _, drawn in rows if drawn}) > 1
    )
)
def test_regression_metric_on_a_resample_is_sklearns_with_weights(
    metric: str, rows: list[tuple[int, int, int]]
) -> None:
    y, predicted, weights = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    found = prepare(y + 1000, predicted + 1000, metric=metric)(weights[np.newaxis, :])
    assert found[0] == pytest.approx(_REGRESSION[metric](y, predicted, weights), rel=1e-6, abs=1e-9)


def test_r2_of_a_constant_truth_is_zero() -> None:
    assert evaluate([2.0, 2.0], [1.0, 3.0], metric="r2") == 0.0


@given(st.lists(st.integers(0, 30), min_size=1, max_size=80), st.integers(1, 12))
def test_bins_keep_ties_together_and_rise(scores: list[int], bins: int) -> None:
    p = np.array(scores) / 30
    number = equal_mass_bins(p, bins=bins)
    order = np.argsort(p, kind="stable")
    assert (np.diff(number[order]) >= 0).all()
    assert set(number.tolist()) == set(range(int(number.max()) + 1))
    assert number.max() < bins
    assert all(len(set(number[p == value].tolist())) == 1 for value in p)


def test_bins_of_distinct_scores_have_equal_mass() -> None:
    sizes = np.bincount(equal_mass_bins(np.random.default_rng(0).random(1003), bins=10))
    assert sizes.size == 10
    assert np.ptp(sizes) <= 1


@pytest.mark.parametrize("metric", BINARY_METRICS)
def test_interval_is_repeatable_and_holds_its_figure(metric: str) -> None:
    y, p = _sample(600)
    first = bootstrap_interval(y, p, metric=metric, seed=3, threshold=0.4, resamples=300)
    assert first == bootstrap_interval(y, p, metric=metric, seed=3, threshold=0.4, resamples=300)
    other = bootstrap_interval(y, p, metric=metric, seed=4, threshold=0.4, resamples=300)
    # The interval of so small an ECE is cut at 0 and at the figure, whatever the seed.
    assert first != other or (metric == "ece" and (first.low, first.high) == (0.0, first.value))
    assert first.low <= first.value <= first.high
    assert first.value == pytest.approx(evaluate(y, p, metric=metric, threshold=0.4))


def test_intervals_together_are_those_alone() -> None:
    y, p = _sample(400)
    together = bootstrap_intervals(y, p, metrics=BINARY_METRICS, seed=5, resamples=100)
    assert list(together) == list(BINARY_METRICS)
    for metric in BINARY_METRICS:
        assert together[metric] == bootstrap_interval(y, p, metric=metric, seed=5, resamples=100)


def test_a_metric_of_ones_own_sees_the_same_resamples() -> None:
    y, p = _sample(300)
    named = bootstrap_interval(y, p, metric="neg_brier_score", seed=6, resamples=200)
    own = bootstrap_interval(y, p, metric=lambda y, p: -float(((p - y) ** 2).mean()), seed=6, resamples=200)
    assert (own.value, own.low, own.high) == pytest.approx((named.value, named.low, named.high))


def test_recall_interval_is_the_binomial_one() -> None:
    # Within the stratum of class 1 the resampled recall is exactly Binomial(n1, recall) / n1.
    y, p = np.repeat([1, 0], [200, 300]), np.concatenate([np.repeat([0.9, 0.1], [150, 50]), np.full(300, 0.1)])
    interval = bootstrap_interval(y, p, metric="recall", seed=7, resamples=20000, class_shares="fixed")
    low, high = stats.binom(200, 0.75).ppf([0.025, 0.975]) / 200
    assert (interval.low, interval.high) == pytest.approx((low, high), abs=0.0051)


@pytest.mark.slow
def test_brier_interval_covers_the_truth() -> None:
    # Class 1 scores U(0.4, 1), class 0 U(0, 0.5): mean squared errors 0.6^2 / 3 and 0.5^2 / 3.
    rng = np.random.default_rng(8)
    y = np.repeat([0, 1], [240, 60])
    truth = -(0.8 * 0.25 / 3 + 0.2 * 0.36 / 3)
    inside = 0
    for trial in range(300):
        p = np.where(y == 1, rng.uniform(0.4, 1.0, 300), rng.uniform(0.0, 0.5, 300))
        interval = bootstrap_interval(y, p, metric="neg_brier_score", seed=trial, resamples=200, class_shares="fixed")
        inside += interval.low <= truth <= interval.high
    assert 0.90 <= inside / 300 <= 0.985


@pytest.mark.slow
def test_accuracy_interval_covers_the_truth_when_class_shares_vary() -> None:
    # Class 1 (30 %) is found in 40 % of its rows, class 0 in 95 %: most of what varies is the share of class 1.
    rng = np.random.default_rng(11)
    truth = 0.3 * 0.4 + 0.7 * 0.95
    inside = {"drawn": 0, "fixed": 0}
    for trial in range(300):
        y = (rng.random(400) < 0.3).astype(np.int64)
        p = (rng.random(400) < np.where(y == 1, 0.4, 0.05)).astype(float)
        drawn = bootstrap_interval(y, p, metric="accuracy", seed=trial, resamples=200)
        fixed = bootstrap_interval(y, p, metric="accuracy", seed=trial, resamples=200, class_shares="fixed")
        inside["drawn"] += drawn.low <= truth <= drawn.high
        inside["fixed"] += fixed.low <= truth <= fixed.high
    # 95 % of 300 within three standard errors; percentiles of 200 resamples are a little short.
    assert 0.91 <= inside["drawn"] / 300 <= 0.985
    assert inside["fixed"] / 300 < 0.89


def test_ece_interval_is_basic_and_reaches_the_truth_where_percentiles_do_not() -> None:
    inside = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        p = rng.uniform(0.05, 0.6, 3000)
        y = (rng.random(3000) < p + 0.08).astype(int)  # everywhere 0.08 too low: the true ECE is 0.08
        interval = bootstrap_interval(y, p, metric="ece", seed=seed, resamples=200)
        assert interval.low <= interval.value <= interval.high
        inside += interval.low <= 0.08 <= interval.high
    assert inside >= 50


def test_paired_difference_agrees_with_delong() -> None:
    rng = np.random.default_rng(9)
    y, p = _sample(2000, seed=9)
    other = np.clip(p + rng.normal(0, 0.1, 2000), 0, 1)
    boot = paired_bootstrap(y, p, other, metric="roc_auc", seed=0, resamples=2000)
    exact = delong_test(y, p, other)
    assert boot.difference.value == pytest.approx(exact.difference.value)
    assert (boot.difference.low, boot.difference.high) == pytest.approx(
        (exact.difference.low, exact.difference.high), abs=0.003
    )
    assert boot.p_value < 0.01 > exact.p_value


def test_paired_difference_turns_with_its_arguments_and_vanishes_with_itself() -> None:
    y, p = _sample(500)
    q = np.roll(p, 1)
    there = paired_bootstrap(y, p, q, metric="f1", seed=1, resamples=200)
    back = paired_bootstrap(y, q, p, metric="f1", seed=1, resamples=200)
    assert there.difference.value == pytest.approx(-back.difference.value)
    assert there.p_value == pytest.approx(back.p_value)
    same = paired_bootstrap(y, p, p, metric="neg_log_loss", seed=1, resamples=200)
    assert (same.difference.low, same.difference.value, same.difference.high, same.p_value) == (0.0, 0.0, 0.0, 1.0)


def test_paired_difference_of_regressions_and_of_a_metric_of_ones_own() -> None:
    rng = np.random.default_rng(10)
    y = rng.normal(100, 10, 400)
    good, bad = y + rng.normal(0, 1, 400), y + rng.normal(0, 5, 400)
    found = paired_bootstrap(y, good, bad, metric="neg_root_mean_squared_error", seed=0)
    assert found.difference.low > 3
    own = paired_bootstrap(y, good, bad, metric=lambda y, p: -float(np.sqrt(((p - y) ** 2).mean())), seed=0)
    assert own.difference.low == pytest.approx(found.difference.low)


def test_errors_name_what_is_wrong() -> None:
    y, p = _sample(50)
    with pytest.raises(ValueError, match="no metric 'auc'; there are roc_auc"):
        bootstrap_interval(y, p, metric="auc", seed=0)
    with pytest.raises(LabelError, match="each class"):
        bootstrap_interval([1, 1], [0.5, 0.6], metric="average_precision", seed=0)
    with pytest.raises(ValueError, match=r"lie in \[0, 1\]"):
        bootstrap_interval([0, 1], [0.5, 1.5], metric="f1", seed=0)
    with pytest.raises(ValueError, match="resamples"):
        bootstrap_interval(y, p, metric="f1", seed=0, resamples=1)
    with pytest.raises(ValueError, match="same rows"):
        paired_bootstrap(y, p, p[:-1], metric="f1", seed=0)
    with pytest.raises(ValueError, match="at least one row"):
        bootstrap_interval([], [], metric="f1", seed=0)


@pytest.mark.slow
def test_all_metrics_of_fifty_thousand_rows_take_seconds() -> None:
    y, p = _sample(50_000)
    began = time.process_time()
    bootstrap_intervals(y, p, metrics=BINARY_METRICS, seed=0, resamples=1000)
    # About 2 s; the margin is for a busy machine. A loop over resamples with scikit-learn takes minutes.
    assert time.process_time() - began < 15


def _alike(groups: int, rows_each: int, *, seed: int) -> tuple[Floats, Floats, NDArray[np.int64]]:
    """Predictions of 0 whose errors are mostly those of their group."""
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(groups), rows_each)
    y = rng.normal(size=groups)[group] + 0.3 * rng.normal(size=group.size)
    return y, np.zeros(group.size), group


def test_with_groups_the_interval_covers_the_truth_and_without_it_is_too_narrow() -> None:
    truth = -np.sqrt(1.09 * 2 / np.pi)  # the mean absolute error of a normal of that variance
    covered = {"groups": 0, "rows": 0}
    for trial in range(60):
        y, p, group = _alike(60, 15, seed=trial)
        for name, groups in (("groups", group), ("rows", None)):
            found = bootstrap_interval(y, p, metric="neg_mean_absolute_error", seed=trial, resamples=200, groups=groups)
            covered[name] += found.low <= truth <= found.high
    assert covered["groups"] >= 52
    assert covered["rows"] <= 35


def test_groups_of_one_row_are_rows_and_names_do_not_matter() -> None:
    y, p = _sample(300)
    alone = bootstrap_interval(y, p, metric="f1", seed=1, threshold=0.4, groups=np.arange(300))
    rows = bootstrap_interval(y, p, metric="f1", seed=1, threshold=0.4)
    assert alone.high - alone.low == pytest.approx(rows.high - rows.low, rel=0.15)
    group = np.arange(300) % 30
    named = np.array([f"cell {99 - number}" for number in group])
    widths = [
        one.high - one.low
        for one in (
            bootstrap_interval(y, p, metric="f1", seed=1, threshold=0.4, groups=groups) for groups in (group, named)
        )
    ]
    assert widths[0] == pytest.approx(widths[1], rel=0.15)


def test_a_draw_of_groups_always_has_both_classes() -> None:
    y, group = np.repeat([0, 1], 10), np.repeat([0, 1], 10)
    p = np.linspace(0.1, 0.9, 20)
    found = bootstrap_interval(y, p, metric="roc_auc", seed=0, resamples=50, groups=group)
    assert found == paired_bootstrap(y, p, 1 - p, metric="roc_auc", seed=0, resamples=50, groups=group).difference
    assert (found.low, found.value, found.high) == (1.0, 1.0, 1.0)


@pytest.mark.parametrize("groups", [np.zeros(20), np.arange(19)])
def test_groups_that_are_none_are_refused(groups: Floats) -> None:
    y = np.tile([0, 1], 10)
    with pytest.raises(ValueError, match="groups must name"):
        bootstrap_interval(y, np.full(20, 0.5), metric="f1", seed=0, groups=groups)
