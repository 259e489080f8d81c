"""Device upgrade on the real table: drift of the four batches, and what the leakage gate says of the handset."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest

from trunkline.contracts.records import Reading
from trunkline.monitor import Window, alerts_of, drift_readings, score_readings
from trunkline.plugins import load_usecase
from trunkline.run import Workspace
from trunkline.run.looking import fitting_rows
from trunkline.settings import load_settings
from trunkline.spec import UseCase
from trunkline.tasks import Classification, Model, TrainingReport
from trunkline.train import Evidence, judge

DATA = (
    Path(os.environ.get("TRUNKLINE_DATA", Path(__file__).resolve().parents[2] / ".." / "shared" / "data")) / "cell2cell"
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (DATA / "train.csv.gz").is_file(), reason=f"the table is not here: {DATA}"),
]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    with Workspace(load_settings(workspace=tmp_path_factory.mktemp("upgrade") / "workspace")) as made:
        yield made


def rows_of(workspace: Workspace, name: str) -> pa.Table:
    usecase = load_usecase("upgrade")
    return fitting_rows(workspace, usecase, files=[DATA / name], mapping={}, protected=False).rows


@pytest.fixture(scope="module")
def train(workspace: Workspace) -> pa.Table:
    return rows_of(workspace, "train.csv.gz")


def quick(usecase: UseCase, learner: str) -> Classification:
    """The use case's task with one learner, two folds, and few trees."""
    assert isinstance(usecase.task, Classification)
    (one,) = (found for found in usecase.task.learners if found.name == learner)
    if learner == "xgboost":
        one = one.model_copy(update={"parameters": {**one.parameters, "n_estimators": 60, "learning_rate": 0.1}})
    return usecase.task.model_copy(update={"learners": (one,), "folds": 2, "repeats": 1})


@pytest.fixture(scope="module")
def model(train: pa.Table) -> Model:
    task = quick(load_usecase("upgrade"), "logistic_regression")
    found = task.present_in(train).train(train, seed=0).model
    assert isinstance(found, Model)
    return found


def flagged(workspace: Workspace, model: Model, batch: int) -> tuple[list[Reading], int]:
    usecase = load_usecase("upgrade")
    rows = rows_of(workspace, f"holdout_batch_{batch}.csv")
    window = Window("run", "upgrade", "1", datetime(2026, 11, 22, tzinfo=UTC))
    readings = drift_readings(model.info, rows, window=window, watch=usecase.watch)
    scores = model.predict(rows).column("score").to_numpy()
    every = (*readings, *score_readings(model.info, scores, window=window, watch=usecase.watch))
    crossed = [one for one in readings if one.crossed]
    crossed.sort(key=lambda one: -abs(one.value or 0.0))
    return crossed, len(alerts_of(every, window=window))


@pytest.mark.parametrize(("batch", "share"), [(1, 1.246), (3, -0.610), (4, -0.709)])
def test_batches_that_moved_are_flagged_with_the_months_in_service_first(
    workspace: Workspace, model: Model, batch: int, share: float
) -> None:
    crossed, alerts = flagged(workspace, model, batch)
    assert alerts > 0
    names = [one.subject for one in crossed]
    assert names[0] == "tenure_months"
    assert crossed[0].value == pytest.approx(share, abs=0.04), "as the README of the data says"
    assert "current_equipment_days" in names[:2], "nothing reads it, and it is watched"


def test_the_batch_that_hardly_moved_is_not_flagged(workspace: Workspace, model: Model) -> None:
    assert flagged(workspace, model, 2) == ([], 0)


@pytest.mark.parametrize(
    ("also", "refused", "low", "high"),
    [
        (["changes"], False, 0.68, 0.80),
        (["changes", "handset"], True, 0.85, 0.93),
        (["changes", "handset_age"], True, 0.99, 1.0),
    ],
)
def test_the_leakage_gate_refuses_the_handset_s_own_columns(
    train: pa.Table, also: list[str], refused: bool, low: float, high: float
) -> None:
    usecase = load_usecase("upgrade").with_choices({"also": also})
    report = quick(usecase, "xgboost").present_in(train).train(train, seed=0).report
    assert isinstance(report, TrainingReport)
    (result,) = judge([gate for gate in usecase.gates if gate.name == "leakage"], Evidence(report))
    assert low < report.metrics["roc_auc"].value <= high
    assert result.passed != refused
    if refused:
        assert "look first at" in result.detail
        assert ("handset" in result.detail) or ("current_equipment_days" in result.detail)


def test_the_bias_of_the_real_table_is_found(train: pa.Table) -> None:
    usecase = load_usecase("upgrade")
    report = quick(usecase, "xgboost").present_in(train).train(train, seed=0).report
    assert isinstance(report, TrainingReport)
    assert set(report.fairness) == {"age_band", "income_band", "area", "credit_rating"}
    gap = report.fairness["credit_rating"].demographic_parity_gap
    assert gap is not None
    assert gap.low > 0.2
    for found in report.fairness["credit_rating"].groups:
        assert abs(found.calibration_gap.value) < 0.05
    (gate,) = (one for one in usecase.gates if one.name == "fair_decisions")
    assert judge([gate], Evidence(report))[0].passed
    (bare,) = judge([gate.model_copy(update={"explained": {}})], Evidence(report))
    assert not bare.passed
    assert "credit_rating" in bare.detail
