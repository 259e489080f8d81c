"""Every gate: evidence that passes, evidence that is refused, and evidence that it has no say about."""

from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest

from trunkline.plugins import load_usecase
from trunkline.spec import (
    Calibrated,
    FairSlices,
    Gate,
    Latency,
    MinimumMetric,
    NoLeakage,
    NotWorseThanChampion,
    OnnxEqual,
)
from trunkline.stats.calibration import NoiseFloor
from trunkline.stats.intervals import Interval
from trunkline.stats.slices import SliceReport
from trunkline.tasks import TrainingReport
from trunkline.train import Evidence, GateResult, PairedEvidence, judge

PLUGINS = Path(__file__).resolve().parents[1] / "plugins"


@pytest.fixture(scope="session")
def report() -> TrainingReport:
    """The report of a real training, small."""
    usecase = load_usecase("leavers", plugin_dir=PLUGINS)
    assert usecase.simulate is not None
    assert usecase.task is not None
    report = usecase.task.train(usecase.simulate(rows=600, seed=0).tables["subscribers"], seed=0).report
    assert isinstance(report, TrainingReport)
    return report


def judged(gate: Gate, evidence: Evidence) -> GateResult:
    (result,) = judge([gate], evidence)
    assert result.name == gate.name
    assert result.detail
    return result


def with_metric(report: TrainingReport, name: str, value: float, *, spread: float = 0.02) -> TrainingReport:
    return report.model_copy(
        update={"metrics": {**report.metrics, name: Interval(value, value - spread, value + spread)}}
    )


@pytest.mark.parametrize(("value", "passed"), [(0.71, True), (0.70, True), (0.6999, False)])
def test_the_minimum_is_reached_or_not(report: TrainingReport, value: float, passed: bool) -> None:
    result = judged(MinimumMetric(metric="roc_auc", limit=0.70), Evidence(with_metric(report, "roc_auc", value)))
    assert (result.passed, result.value, result.limit) == (passed, value, 0.70)


def test_a_metric_that_was_not_measured_reaches_no_minimum(report: TrainingReport) -> None:
    result = judged(MinimumMetric(metric="r2", limit=0.1), Evidence(report))
    assert (result.passed, result.value) == (False, None)


@pytest.mark.parametrize(
    ("low", "high", "tolerance", "passed"),
    [
        pytest.param(0.001, 0.02, 0.0, True, id="better"),
        pytest.param(-0.02, 0.01, 0.0, True, id="not shown to be worse"),
        pytest.param(-0.02, -0.001, 0.0, False, id="worse"),
        pytest.param(-0.02, -0.001, 0.005, True, id="worse within the tolerance"),
    ],
)
def test_a_candidate_that_is_shown_to_be_worse_is_refused(
    report: TrainingReport, low: float, high: float, tolerance: float, passed: bool
) -> None:
    middle = (low + high) / 2
    paired = PairedEvidence(
        metric="roc_auc", champion="3", difference=middle, low=low, high=high, rows=800, unseen=True, drawn_by="rows"
    )
    gate = NotWorseThanChampion(metric="roc_auc", tolerance=tolerance)
    result = judged(gate, Evidence(report, {"roc_auc": paired}))
    assert (result.passed, result.value, result.limit) == (passed, middle, -tolerance)
    assert "version 3" in result.detail
    assert "rows neither has seen, interval by rows" in result.detail


@pytest.mark.parametrize(
    ("low", "high", "thin"),
    [
        pytest.param(-0.019, 0.03, False, id="no loss that matters"),
        pytest.param(-0.021, 0.03, True, id="wide"),
        pytest.param(-0.30, -0.01, False, id="worse, whatever its width"),
    ],
)
@pytest.mark.parametrize("policy", ["pass", "refuse"])
def test_evidence_that_excludes_no_loss_is_inconclusive(
    report: TrainingReport, low: float, high: float, thin: bool, policy: Literal["pass", "refuse"]
) -> None:
    paired = PairedEvidence(
        metric="roc_auc", champion="3", difference=(low + high) / 2, low=low, high=high, rows=80, unseen=False
    )
    gate = NotWorseThanChampion(metric="roc_auc", margin=0.02, on_thin_evidence=policy)
    result = judged(gate, Evidence(report, {"roc_auc": paired}))
    assert ("inconclusive: a loss of more than 0.02 cannot be excluded" in result.detail) is thin
    assert result.passed is (high >= 0 and not (thin and policy == "refuse"))
    assert NotWorseThanChampion(metric="roc_auc").on_thin_evidence == "pass"


@pytest.mark.parametrize("policy", ["pass", "refuse"])
def test_one_recipe_refitted_twice_is_no_evidence(report: TrainingReport, policy: Literal["pass", "refuse"]) -> None:
    paired = PairedEvidence(
        metric="roc_auc", champion="3", difference=0, low=0, high=0, rows=80, unseen=False, same_recipe=True
    )
    gate = NotWorseThanChampion(metric="roc_auc", on_thin_evidence=policy)
    result = judged(gate, Evidence(report, {"roc_auc": paired}))
    assert (result.passed, result.value) == (policy == "pass", None)
    assert (
        "roc_auc, inconclusive: same recipe refitted on 80 rows, which says nothing of the two models" in result.detail
    )


def test_the_first_candidate_has_nobody_to_be_worse_than(report: TrainingReport) -> None:
    result = judged(NotWorseThanChampion(metric="roc_auc"), Evidence(report))
    assert (result.passed, result.value) == (True, None)
    assert result.detail == "roc_auc: there is no champion yet", "several gates of one name are told apart"


def with_noise(report: TrainingReport, quantile_95: float) -> TrainingReport:
    assert report.curves is not None
    floor = report.curves.ece_noise
    noise = NoiseFloor(**{**{name: getattr(floor, name) for name in floor.__slots__}, "quantile_95": quantile_95})
    return report.model_copy(update={"curves": report.curves.model_copy(update={"ece_noise": noise})})


@pytest.mark.parametrize(
    ("error", "noise", "passed", "limit"),
    [
        pytest.param(0.015, 0.010, True, 0.02, id="below the limit"),
        pytest.param(0.025, 0.010, False, 0.02, id="above it"),
        pytest.param(0.025, 0.030, True, 0.03, id="within what chance does on so few rows"),
        pytest.param(0.035, 0.030, False, 0.03, id="above that too"),
    ],
)
def test_calibration_is_held_against_the_limit_or_the_noise_floor(
    report: TrainingReport, error: float, noise: float, passed: bool, limit: float
) -> None:
    evidence = Evidence(with_noise(with_metric(report, "ece", error), noise))
    result = judged(Calibrated(limit=0.02), evidence)
    assert (result.passed, result.value, result.limit) == (passed, error, limit)


def test_a_task_without_probabilities_has_no_calibration(report: TrainingReport) -> None:
    bare = report.model_copy(update={"metrics": {"r2": Interval(0.8, 0.7, 0.9)}, "curves": None})
    result = judged(Calibrated(), Evidence(bare))
    assert (result.passed, result.value) == (True, None)


def with_slices(report: TrainingReport, *highs: float, too_small: bool = False) -> TrainingReport:
    (column,) = report.slices
    whole = report.slices[column].whole
    parts = tuple(
        replace(whole, name=f"part {number}", too_small=too_small, roc_auc=Interval(high - 0.05, high - 0.1, high))
        for number, high in enumerate(highs)
    )
    return report.model_copy(update={"slices": {column: SliceReport(whole, parts, None, None, None)}})


@pytest.mark.parametrize(("worst", "passed"), [(0.71, True), (0.69, False)])
def test_the_worst_slice_decides_by_its_upper_bound(report: TrainingReport, worst: float, passed: bool) -> None:
    evidence = Evidence(with_slices(with_metric(report, "roc_auc", 0.80), 0.82, worst, 0.79))
    result = judged(FairSlices(metric="roc_auc", max_gap=0.10), evidence)
    assert result.passed is passed
    assert result.value == pytest.approx(0.80 - worst)
    assert "region = part 1" in result.detail


def test_slices_that_are_too_small_decide_nothing(report: TrainingReport) -> None:
    result = judged(FairSlices(metric="roc_auc", max_gap=0.1), Evidence(with_slices(report, 0.2, too_small=True)))
    assert (result.passed, result.value) == (True, None)
    none = report.model_copy(update={"slices": {}})
    assert judged(FairSlices(metric="roc_auc", max_gap=0.1), Evidence(none)).value is None


def with_leakage(report: TrainingReport, feature: str, score: float) -> TrainingReport:
    return report.model_copy(
        update={"leakage": report.leakage.model_copy(update={"strongest": feature, "score": score})}
    )


@pytest.mark.parametrize(("score", "passed"), [(0.90, True), (0.96, False)])
def test_one_feature_that_knows_the_answer(report: TrainingReport, score: float, passed: bool) -> None:
    result = judged(NoLeakage(max_single_feature=0.95), Evidence(with_leakage(report, "closed_at", score)))
    assert (result.passed, result.value, result.limit) == (passed, score, 0.95)
    assert "closed_at" in result.detail


@pytest.mark.parametrize(
    ("value", "declared", "simulated", "passed"),
    [
        pytest.param(0.90, None, 0.85, False, id="above the simulator's ceiling, interval and all"),
        pytest.param(0.86, None, 0.85, True, id="above it by chance"),
        pytest.param(0.90, 0.85, None, False, id="above the declared ceiling"),
        pytest.param(0.90, 0.95, 0.85, True, id="what is declared wins"),
    ],
)
def test_a_model_better_than_possible_leaks(
    report: TrainingReport, value: float, declared: float | None, simulated: float | None, passed: bool
) -> None:
    evidence = Evidence(with_leakage(with_metric(report, "roc_auc", value), "tenure", 0.7), ceiling=simulated)
    assert judged(NoLeakage(ceiling=declared), evidence).passed is passed


def test_without_a_feature_to_judge_there_is_no_leak(report: TrainingReport) -> None:
    result = judged(NoLeakage(), Evidence(with_leakage(report, "", 0.0)))
    assert (result.passed, result.value) == (True, None)


@pytest.mark.parametrize(("difference", "passed"), [(9e-6, True), (2e-5, False)])
def test_onnx_that_answers_otherwise_is_refused(report: TrainingReport, difference: float, passed: bool) -> None:
    other = report.model_copy(
        update={"equality": report.equality.model_copy(update={"largest_difference": difference})}
    )
    result = judged(OnnxEqual(limit=1e-5), Evidence(other))
    assert (result.passed, result.value) == (passed, difference)
    assert str(sum(report.equality.rows.values())) in result.detail


@pytest.mark.parametrize(("p99_us", "passed"), [(1_999.0, True), (2_001.0, False)])
def test_a_slow_answer_is_refused(report: TrainingReport, p99_us: float, passed: bool) -> None:
    slow = report.model_copy(update={"latency": report.latency.model_copy(update={"p99_us": p99_us})})
    assert judged(Latency(p99_us=2_000.0), Evidence(slow)).passed is passed


def test_results_come_in_the_order_of_the_gates(report: TrainingReport) -> None:
    gates: list[Gate] = [Latency(), OnnxEqual(), MinimumMetric(metric="roc_auc", limit=0.5)]
    assert [result.name for result in judge(gates, Evidence(report))] == ["latency", "onnx_equality", "minimum_metric"]


@pytest.mark.parametrize("metric", ["f1", "precision", "recall", "accuracy"])
def test_a_metric_of_the_threshold_compares_no_two_models(metric: str) -> None:
    with pytest.raises(ValueError, match="depends on the threshold"):
        NotWorseThanChampion(metric=metric)
