"""Readings against oracles computed here by other means, and what they say where they cannot say anything."""

import math
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from sklearn.metrics import roc_auc_score

from trunkline.contracts.records import Reading
from trunkline.monitor import (
    Window,
    alerts_of,
    drift_readings,
    estimate_readings,
    performance_readings,
    score_readings,
)
from trunkline.plugins import load_usecase
from trunkline.spec import Watch
from trunkline.stats.intervals import Interval
from trunkline.stats.profiles import CategoryProfile, NumberProfile, number_profile
from trunkline.tasks import Model, ModelInfo

PLUGINS = Path(__file__).resolve().parents[1] / "plugins"
WINDOW = Window("run", "leavers", "4", datetime(2026, 3, 1, tzinfo=UTC))
WATCH = Watch(psi=0.2, performance_drop=0.05, minimum_outcomes=100)


@pytest.fixture(scope="session")
def model() -> Model:
    """A small real model."""
    usecase = load_usecase("leavers", plugin_dir=PLUGINS)
    assert usecase.simulate is not None
    assert usecase.task is not None
    model = usecase.task.train(simulated(3000, 0), seed=0).model
    assert isinstance(model, Model)
    return model


@pytest.fixture
def info(model: Model) -> ModelInfo:
    return model.info


def simulated(rows: int, seed: int) -> pa.Table:
    simulate = load_usecase("leavers", plugin_dir=PLUGINS).simulate
    assert simulate is not None
    return simulate(rows=rows, seed=seed).tables["subscribers"]


def replaced(rows: pa.Table, name: str, values: pa.Array) -> pa.Table:
    return rows.set_column(rows.column_names.index(name), name, values)


def named(readings: tuple[Reading, ...], metric: str, subject: str) -> Reading:
    (found,) = [reading for reading in readings if (reading.metric, reading.subject) == (metric, subject)]
    return found


def psi(before: np.ndarray, after: np.ndarray) -> float:
    p, q = (np.maximum(part / part.sum(), 1e-6) for part in (before, after))
    return float(((q - p) * np.log(q / p)).sum())


def test_the_same_population_does_not_drift(info: ModelInfo) -> None:
    readings = drift_readings(info, simulated(2000, seed=8), window=WINDOW, watch=WATCH)
    assert {reading.subject for reading in readings} == set(info.profiles)
    assert not [reading.subject for reading in readings if reading.crossed]
    assert all(reading.rows == 2000 and reading.family == "drift" for reading in readings)


def test_the_index_of_a_number_is_that_of_its_bins(info: ModelInfo) -> None:
    rows = simulated(2000, seed=8)
    tenure = np.asarray(rows["tenure_months"])
    young = np.random.default_rng(0).random(tenure.size) < 0.7
    moved = replaced(rows, "tenure_months", pa.array(np.where(young, tenure // 2, tenure)))  # no bin is left empty
    readings = drift_readings(info, moved, window=WINDOW, watch=WATCH)
    profile = info.profiles["tenure_months"]
    assert isinstance(profile, NumberProfile)
    bins = [-math.inf, *(np.nextafter(edge, math.inf) for edge in profile.edges), math.inf]
    after, _ = np.histogram(np.asarray(moved["tenure_months"]), bins)
    found = named(readings, "psi", "tenure_months")
    assert found.value == pytest.approx(psi(np.array(profile.counts), after), rel=0.05)
    assert found.crossed
    assert found.limit is not None
    assert found.limit >= 0.2
    assert profile.mean is not None
    assert profile.std is not None
    shift = (np.asarray(moved["tenure_months"]).mean() - profile.mean) / profile.std
    assert named(readings, "mean_shift", "tenure_months").value == pytest.approx(shift)
    assert [reading.subject for reading in readings if reading.crossed] == ["tenure_months"]


def test_decimals_fall_into_the_bins_that_training_put_them_in() -> None:
    """Training profiles single precision, in which 0.7 is a little less; tied decimals must not move for that."""
    usecase = load_usecase("leavers", plugin_dir=PLUGINS)
    assert usecase.task is not None
    rows = simulated(2000, seed=8)
    tied = pa.array(np.random.default_rng(0).choice([0.0, 0.3, 0.7, 1.0, 1.7], 2000))
    rows = replaced(rows, "dropped_calls", tied)
    trained = usecase.task.train(rows, seed=0)
    readings = drift_readings(trained.model.info, rows, window=WINDOW, watch=WATCH)
    assert named(readings, "psi", "dropped_calls").value == pytest.approx(0, abs=0.005)


def test_values_that_training_never_met_are_counted(info: ModelInfo) -> None:
    rows = simulated(1000, seed=8)
    regions = ["west"] * 300 + rows["region"].to_pylist()[300:]
    readings = drift_readings(info, replaced(rows, "region", pa.array(regions)), window=WINDOW, watch=WATCH)
    assert isinstance(info.profiles["region"], CategoryProfile)
    assert named(readings, "unseen_share", "region").value == pytest.approx(0.3)
    assert named(readings, "psi", "region").crossed


def test_a_column_that_is_gone_counts_as_null_throughout(info: ModelInfo) -> None:
    rows = simulated(1000, seed=8)
    gone = drift_readings(info, rows.drop_columns(["plan_charge", "region"]), window=WINDOW, watch=WATCH)
    for name in ("plan_charge", "region"):
        assert named(gone, "psi", name).crossed
    null = replaced(rows, "plan_charge", pa.nulls(1000, pa.float64()))
    nulls = drift_readings(info, replaced(null, "region", pa.nulls(1000, pa.string())), window=WINDOW, watch=WATCH)
    assert named(gone, "psi", "region").value == named(nulls, "psi", "region").value
    assert named(gone, "psi", "plan_charge").value == named(nulls, "psi", "plan_charge").value


def test_few_rows_say_nothing(info: ModelInfo) -> None:
    assert drift_readings(info, simulated(29, seed=8), window=WINDOW, watch=WATCH) == ()
    assert drift_readings(info, simulated(30, seed=8), window=WINDOW, watch=WATCH) != ()
    few = np.full(29, 0.3)
    assert score_readings(info, few, window=WINDOW, watch=WATCH) == ()
    assert estimate_readings(info, few, window=WINDOW, watch=WATCH, metric="roc_auc", seed=0) == ()


def test_the_limit_is_wider_for_few_rows(info: ModelInfo) -> None:
    strict = Watch(psi=0.0)
    few = named(drift_readings(info, simulated(50, seed=8), window=WINDOW, watch=strict), "psi", "tenure_months")
    many = named(drift_readings(info, simulated(5000, seed=8), window=WINDOW, watch=strict), "psi", "tenure_months")
    assert few.limit is not None
    assert many.limit is not None
    assert few.limit > many.limit > 0


def test_scores_that_move_are_read(info: ModelInfo) -> None:
    draw = np.random.default_rng(0)
    calm = info.model_copy(update={"score_profile": number_profile(draw.beta(2, 5, 4000))})
    same = score_readings(calm, draw.beta(2, 5, 2000), window=WINDOW, watch=WATCH)
    moved = score_readings(calm, draw.beta(5, 2, 2000), window=WINDOW, watch=WATCH)
    assert not named(same, "psi", "score").crossed
    assert named(moved, "psi", "score").crossed
    assert {reading.family for reading in moved} == {"score_drift"}


def test_the_estimate_trusts_calibrated_scores_and_finds_their_performance(info: ModelInfo) -> None:
    draw = np.random.default_rng(0)
    scores = draw.beta(1, 2, 20_000)
    truth = draw.random(scores.size) < scores
    readings = estimate_readings(info, scores, window=WINDOW, watch=WATCH, metric="roc_auc", seed=1)
    found = named(readings, "roc_auc", "score")
    assert found.value == pytest.approx(roc_auc_score(truth, scores), abs=0.01)
    assert found.low is not None
    assert found.high is not None
    assert found.value is not None
    assert found.low < found.value < found.high
    assert found.limit == pytest.approx(info.metrics["roc_auc"].value - 0.05)
    assert [reading.limit for reading in readings if reading.metric != "roc_auc"] == [None] * (len(readings) - 1)


def test_scores_that_no_longer_tell_apart_cross_the_limit(info: ModelInfo) -> None:
    flat = np.random.default_rng(0).uniform(0.29, 0.31, 5000)
    found = named(
        estimate_readings(info, flat, window=WINDOW, watch=WATCH, metric="roc_auc", seed=1), "roc_auc", "score"
    )
    assert found.crossed


def outcomes(rows: int, *, honest: bool) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(2)
    scores = draw.beta(1, 2, rows)
    truth = draw.random(rows) < (scores if honest else 0.3)
    return truth.astype(float), scores


def test_the_performance_is_that_of_the_outcomes(info: ModelInfo) -> None:
    truth, scores = outcomes(3000, honest=True)
    readings = performance_readings(info, truth, scores, window=WINDOW, watch=WATCH, metric="roc_auc", seed=1)
    found = named(readings, "roc_auc", "score")
    assert found.value == pytest.approx(roc_auc_score(truth, scores))
    assert found.rows == 3000
    assert info.threshold is not None
    recall = truth[scores >= info.threshold].sum() / truth.sum()
    assert named(readings, "recall", "score").value == pytest.approx(recall)


def test_a_model_that_fails_its_outcomes_crosses_the_limit(info: ModelInfo) -> None:
    truth, scores = outcomes(3000, honest=False)
    readings = performance_readings(info, truth, scores, window=WINDOW, watch=WATCH, metric="roc_auc", seed=1)
    assert [reading.metric for reading in readings if reading.crossed] == ["roc_auc"]
    (alert,) = alerts_of(readings, window=WINDOW)
    assert alert.severity == "critical"
    assert "score roc_auc 0." in alert.text


def test_too_few_outcomes_or_one_class_are_no_performance(info: ModelInfo) -> None:
    truth, scores = outcomes(99, honest=True)
    assert performance_readings(info, truth, scores, window=WINDOW, watch=WATCH, metric="roc_auc", seed=1) == ()
    one = performance_readings(
        info, np.ones(200), np.full(200, 0.4), window=WINDOW, watch=WATCH, metric="roc_auc", seed=1
    )
    assert [(reading.value, reading.rows) for reading in one] == [(None, 200)]
    assert alerts_of(one, window=WINDOW) == ()


def test_a_regression_is_measured_by_its_own_metrics_and_has_no_estimate(info: ModelInfo) -> None:
    metrics = {"r2": Interval(0.9, 0.88, 0.92)}
    regression = info.model_copy(update={"task": "regression", "threshold": None, "metrics": metrics})
    draw = np.random.default_rng(3)
    truth = draw.normal(100, 10, 500)
    guesses = truth + draw.normal(0, 3, 500)
    assert estimate_readings(regression, guesses, window=WINDOW, watch=WATCH, metric="r2", seed=1) == ()
    readings = performance_readings(regression, truth, guesses, window=WINDOW, watch=WATCH, metric="r2", seed=1)
    expected = 1 - ((truth - guesses) ** 2).sum() / ((truth - truth.mean()) ** 2).sum()
    assert named(readings, "r2", "score").value == pytest.approx(expected)
    assert named(readings, "r2", "score").limit == pytest.approx(0.85)


def test_one_alert_per_family_names_the_worst_first() -> None:
    crossed = [
        WINDOW.reading("drift", "psi", f"feature {n:02}", value=0.2 + n / 10, rows=900, limit=0.2, crossed=True)
        for n in range(1, 11)
    ]
    readings = (*crossed, WINDOW.reading("drift", "psi", "calm", value=0.1, rows=900, limit=0.2))
    (alert,) = alerts_of(readings, window=WINDOW)
    assert alert.severity == "major", "the worst is six times its limit"
    assert alert.text.startswith("feature 10 psi 1.200 (limit 0.200), feature 09")
    assert alert.text.endswith("and 2 more")
    (mild,) = alerts_of((crossed[0],), window=WINDOW)
    assert mild.severity == "minor"
    assert "calm" not in alert.text
    assert "10 crossed" in alert.title


def test_identifiers_are_those_of_the_run_and_the_number() -> None:
    one = WINDOW.reading("drift", "psi", "tenure", value=0.1, rows=50)
    again = WINDOW.reading("drift", "psi", "tenure", value=0.7, rows=90)
    other = Window("other run", "leavers", "4", WINDOW.read_at).reading("drift", "psi", "tenure", value=0.1, rows=50)
    assert one.reading_id == again.reading_id != other.reading_id
