"""The gates that look at decisions by parts, and at scores that are too good."""

from pathlib import Path

import numpy as np
import pytest

from trunkline.plugins import load_usecase
from trunkline.spec import FairDecisions, NoLeakage
from trunkline.stats.fairness import FairnessReport, fairness_report
from trunkline.stats.intervals import Interval
from trunkline.tasks import TrainingReport
from trunkline.train import Evidence, GateResult, judge

PLUGINS = Path(__file__).resolve().parents[1] / "plugins"


@pytest.fixture(scope="module")
def report() -> TrainingReport:
    """The report of a real training, small."""
    usecase = load_usecase("leavers", plugin_dir=PLUGINS)
    assert usecase.simulate is not None
    assert usecase.task is not None
    found = usecase.task.train(usecase.simulate(rows=600, seed=0).tables["subscribers"], seed=0).report
    assert isinstance(found, TrainingReport)
    return found


def unequal() -> FairnessReport:
    rng = np.random.default_rng(0)
    group = rng.integers(0, 2, 4_000)
    score = np.clip(rng.random(4_000) * 0.6 + 0.4 * group, 0, 1)
    return fairness_report(
        (rng.random(4_000) < score).astype(int), score, group.astype(str).tolist(), threshold=0.5, seed=0
    )


def judged(gate: FairDecisions | NoLeakage, report: TrainingReport) -> GateResult:
    (result,) = judge([gate], Evidence(report))
    return result


def test_a_gap_is_refused_by_its_lower_end(report: TrainingReport) -> None:
    found = unequal()
    gap = found.demographic_parity_gap
    assert gap is not None
    unfair = report.model_copy(update={"fairness": {"region": found}})
    refused = judged(FairDecisions(max_odds_gap=1.0, max_selection_gap=gap.low - 0.01), unfair)
    assert (refused.passed, refused.value) == (False, gap.low)
    assert "selection rates by region" in refused.detail
    assert judged(FairDecisions(max_odds_gap=1.0, max_selection_gap=gap.low), unfair).passed
    assert "equalised odds" in judged(FairDecisions(max_odds_gap=0.01, max_selection_gap=1.0), unfair).detail


def test_a_limit_of_zero_asks_for_a_gap_that_is_shown(report: TrainingReport) -> None:
    strict = FairDecisions(max_odds_gap=0.0, max_selection_gap=0.0)
    assert not judged(strict, report.model_copy(update={"fairness": {"region": unequal()}})).passed


def test_an_explained_gap_is_let_through(report: TrainingReport) -> None:
    strict = FairDecisions(
        max_odds_gap=0.01, max_selection_gap=0.01, explained={"region": "the south is a test market"}
    )
    unfair = report.model_copy(update={"fairness": {"region": unequal()}})
    result = judged(strict, unfair)
    assert result.passed
    assert "region is explained: the south is a test market" in result.detail


def test_without_slices_it_has_nothing_to_say(report: TrainingReport) -> None:
    result = judged(FairDecisions(), report.model_copy(update={"fairness": {}}))
    assert (result.passed, result.value) == (True, None)


def test_a_score_that_is_too_good_is_refused_until_it_is_explained(report: TrainingReport) -> None:
    good = report.model_copy(update={"metrics": {**report.metrics, "roc_auc": Interval(0.81, 0.79, 0.83)}})
    gate = NoLeakage(max_single_feature=1.0, too_good=0.80)
    refused = judged(gate, good)
    assert (refused.passed, refused.value, refused.limit) == (False, 0.81, 0.80)
    assert good.leakage.strongest in refused.detail
    passed = judged(gate.model_copy(update={"explained": "labels of a pilot with one handset"}), good)
    assert passed.passed
    assert "explained" in passed.detail
    fair = report.model_copy(update={"metrics": {**report.metrics, "roc_auc": Interval(0.80, 0.79, 0.81)}})
    assert judged(gate, fair).passed
