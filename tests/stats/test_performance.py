"""CBPE against the enumeration of all outcomes, and its band against simulated ones."""

import itertools
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sk

from trunkline.stats.metrics import evaluate
from trunkline.stats.performance import estimate_performance


@given(st.lists(st.integers(1, 19), min_size=2, max_size=7), st.integers(0, 20))
def test_estimates_are_expectations_over_all_outcomes(twentieths: list[int], cut: int) -> None:
    p, threshold = np.array(twentieths) / 20, cut / 20
    predicted = p >= threshold
    cells, brier, wins, pairs = np.zeros((2, 2)), 0.0, 0.0, 0.0
    for outcome in itertools.product([0, 1], repeat=p.size):
        y = np.array(outcome)
        chance = float(np.prod(np.where(y == 1, p, 1 - p)))
        cells += chance * sk.confusion_matrix(y, predicted, labels=[0, 1])
        brier += chance * float(((y - p) ** 2).mean())
        for one, other in itertools.product(p[y == 1], p[y == 0]):
            wins += chance * (1.0 if one > other else 0.5 if one == other else 0.0)
            pairs += chance
    found = estimate_performance(p, threshold=threshold, seed=0, draws=200)
    assert [
        [found.true_negatives, found.false_positives],
        [found.false_negatives, found.true_positives],
    ] == [pytest.approx(row.tolist(), abs=1e-9) for row in cells]
    values = {name: interval.value for name, interval in found.metrics.items()}
    (_, false_alarms), (missed, hits) = cells
    assert values["accuracy"] == pytest.approx((cells[0, 0] + hits) / p.size)
    assert values["neg_brier_score"] == pytest.approx(-brier)
    assert values["recall"] == pytest.approx(hits / (hits + missed))
    assert values["precision"] == pytest.approx(hits / (hits + false_alarms) if predicted.any() else 0.0)
    assert values["f1"] == pytest.approx(2 * hits / (2 * hits + missed + false_alarms))
    if "roc_auc" in values:
        assert values["roc_auc"] == pytest.approx(wins / pairs)


def test_area_is_the_weighted_one_of_nannyml_but_for_pairs_with_oneself() -> None:
    p = np.random.default_rng(0).beta(2, 4, 4000)
    weighted = sk.roc_auc_score(np.repeat([1, 0], 4000), np.tile(p, 2), sample_weight=np.concatenate([p, 1 - p]))
    found = estimate_performance(p, threshold=0.4, seed=0, draws=50)
    assert found.metrics["roc_auc"].value == pytest.approx(weighted, abs=1e-3)


@pytest.mark.parametrize("rows", [150, pytest.param(1000, marks=pytest.mark.slow)])
def test_band_holds_the_realised_performance_of_calibrated_scores(rows: int) -> None:
    rng = np.random.default_rng(rows)
    inside = dict.fromkeys(["roc_auc", "f1", "precision", "recall", "accuracy", "neg_brier_score"], 0)
    for trial in range(200):
        p = rng.beta(1.5, 3, rows)
        y = (rng.random(rows) < p).astype(np.int64)
        found = estimate_performance(p, threshold=0.4, seed=trial, draws=200)
        for name in inside:
            band = found.metrics[name]
            assert band.low <= band.value <= band.high
            inside[name] += band.low <= evaluate(y, p, metric=name, threshold=0.4) <= band.high
    # 95 % of 200 within four standard errors; percentiles of 200 draws are a little short.
    assert {name: held for name, held in inside.items() if not 176 <= held <= 200} == {}


def test_covariate_drift_is_seen_and_concept_drift_is_not() -> None:
    rng = np.random.default_rng(1)
    easy, hard = rng.beta(0.4, 0.4, 5000), rng.beta(8, 8, 5000)
    sure = estimate_performance(easy, threshold=0.5, seed=0)
    unsure = estimate_performance(hard, threshold=0.5, seed=0)
    assert sure.metrics["accuracy"].low > unsure.metrics["accuracy"].high
    # The customers now do the opposite, which no score can tell: the estimate stays, the truth leaves the band.
    opposite = (rng.random(5000) >= easy).astype(np.int64)
    realised = evaluate(opposite, easy, metric="accuracy", threshold=0.5)
    assert realised < 0.3
    assert sure.metrics["accuracy"].low > 0.8


def test_certain_scores_leave_no_band_and_one_class_no_area() -> None:
    certain = estimate_performance([0.0, 1.0, 1.0], threshold=0.5, seed=0)
    assert certain.metrics["roc_auc"].low == certain.metrics["roc_auc"].high == 1.0
    assert certain.metrics["neg_brier_score"].value == 0.0
    assert "roc_auc" not in estimate_performance([1.0, 1.0], threshold=0.5, seed=0).metrics


def test_it_is_repeatable_and_quick() -> None:
    p = np.random.default_rng(2).random(50_000)
    began = time.process_time()
    first = estimate_performance(p, threshold=0.5, seed=3, draws=100)
    assert time.process_time() - began < 5  # about 0.2 s
    assert first == estimate_performance(p[::-1], threshold=0.5, seed=3, draws=100)
    assert first != estimate_performance(p, threshold=0.5, seed=4, draws=100)


def test_bad_input_is_refused() -> None:
    with pytest.raises(ValueError, match="draws"):
        estimate_performance([0.1], threshold=0.5, seed=0, draws=1)
    with pytest.raises(ValueError, match=r"lie in \[0, 1\]"):
        estimate_performance([1.1], threshold=0.5, seed=0)
