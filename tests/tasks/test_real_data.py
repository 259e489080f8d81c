"""Real data: what must be reached, and how fast."""

import sys
from pathlib import Path
from time import perf_counter

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from pyarrow import csv
from tests.memory import peak_mb

from trunkline.ingest import checked_rows
from trunkline.plugins import load_usecase
from trunkline.run import Workspace
from trunkline.settings import Settings
from trunkline.tasks import Classification, Feature, Learner, Preprocessing, Profit, Regression

pytestmark = pytest.mark.slow


def _read(path: Path, *, numbers: tuple[str, ...] = (), nulls: tuple[str, ...] = ("", " ")) -> pa.Table:
    if not path.is_file():
        pytest.skip(f"the real data is not here: no file {path}")
    options = csv.ConvertOptions(
        column_types=dict.fromkeys(numbers, pa.float64()), null_values=list(nulls), strings_can_be_null=True
    )
    table = csv.read_csv(path, convert_options=options)
    for at, name in enumerate(table.column_names):
        if pa.types.is_string(table[name].type) and set(table[name].unique().to_pylist()) <= {"Yes", "No", None}:
            table = table.set_column(at, name, pc.equal(table[name], "Yes"))
    return table


def _features(table: pa.Table, *, without: tuple[str, ...]) -> tuple[Feature, ...]:
    def feature(name: str) -> Feature:
        kind = table[name].type
        if pa.types.is_string(kind):
            return Feature(name, "category")
        return Feature(name, "flag" if pa.types.is_boolean(kind) else "number")

    return tuple(feature(name) for name in table.column_names if name not in without)


def test_a_run_on_ibm_telco_keeps_to_its_memory(data_dir: Path, tmp_path: Path) -> None:
    source = data_dir / "ibm_telco" / "WA_Fn-UseC_-Telco-Customer-Churn.csv"
    command = [sys.executable, "-m", "trunkline", "run", "churn", "--source", str(source), "--workspace", str(tmp_path)]
    assert peak_mb([*command, "--until", "train", "--json"], cwd=tmp_path) < 1400  # MiB: 1.5 GB


def test_ibm_telco(data_dir: Path) -> None:
    """Five learners, 25 tries, blend and report: within the budget of a busy machine."""
    table = _read(data_dir / "ibm_telco" / "WA_Fn-UseC_-Telco-Customer-Churn.csv", numbers=("TotalCharges",))
    task = Classification(
        label="Churn",
        features=_features(table, without=("customerID", "Churn")),
        profit=Profit(value=100, cost=20),
        slices=("gender", "SeniorCitizen"),
    )
    start = perf_counter()
    trained = task.train(table, seed=7, threads=2)
    assert perf_counter() - start < 120  # the budget with room for a busy machine
    report = trained.report
    assert report.metrics["roc_auc"].value > 0.84
    assert report.metrics["ece"].value < 0.02
    assert report.test_metrics["roc_auc"].value > 0.83
    assert report.equality.equal
    assert report.latency.p99_us < 2_000
    single = [trained.model.predict_row(row) for row in table.slice(0, 100).to_pylist()]
    batch = trained.model.predict(table.slice(0, 100))["score"].to_pylist()
    assert max(abs(one - other) for one, other in zip(single, batch, strict=True)) < 1e-6


def test_cell2cell(data_dir: Path) -> None:
    """A booster over 57 columns, a category of 747 values among them; ONNX equal on all hard rows."""
    table = _read(data_dir / "cell2cell" / "train.csv.gz", numbers=("HandsetPrice",), nulls=("", "NA", "Unknown"))
    booster = Learner(
        name="lightgbm",
        kind="lightgbm",
        parameters={"n_estimators": 200, "learning_rate": 0.06, "num_leaves": 24, "min_child_samples": 60},
        preprocessing=Preprocessing(impute="none", encode="ordinal", scale="none"),
    )
    task = Classification(
        label="Churn", features=_features(table, without=("CustomerID", "Churn")), learners=(booster,), tune="none"
    )
    report = task.train(table, seed=0, threads=2).report
    assert 0.66 < report.metrics["roc_auc"].value < 0.70
    assert report.metrics["ece"].value < 0.02
    assert report.equality.equal


def test_king_county(data_dir: Path, tmp_path: Path) -> None:
    """The shipped use case, least squares and its booster: 0.70, and a champion of at least 0.89."""
    path = data_dir / "housing" / "kc_house_data.csv"
    if not path.is_file():
        pytest.skip(f"the real data is not here: no file {path}")
    usecase = load_usecase("house_prices")
    assert isinstance(usecase.task, Regression)
    learners = tuple(one for one in usecase.task.learners if one.name in ("linear_regression", "xgboost"))
    with Workspace(Settings(workspace=tmp_path / "workspace")) as workspace:
        rows, _, refused = checked_rows(path, usecase.contract, lake=workspace.lake)
    assert (rows.num_rows, refused) == (21_613, {})
    report = usecase.task.model_copy(update={"learners": learners}).train(rows, seed=0, threads=2).report
    scores = {one.name: one.scores["r2"].value for one in report.learners}
    assert scores["linear_regression"] == pytest.approx(0.70, abs=0.01)
    assert report.metrics["r2"].value >= 0.89
    assert report.equality.equal
