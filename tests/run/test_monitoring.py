"""What the monitor step takes for its window, which outcomes count, and what it stores and announces."""

import gzip
import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pa_csv
import pytest
from sklearn.metrics import roc_auc_score

from trunkline.checks import table_from_rows
from trunkline.contracts.records import Outcome
from trunkline.run import MonitorDocument, Workspace, execute
from trunkline.settings import load_settings
from trunkline.stats.performance import estimate_performance
from trunkline.tasks import Model
from trunkline.train import main_table, unseen_rows

Trunkline = Callable[..., tuple[int, str, str]]
Subscribers = Callable[..., pa.Table]

START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.slow
def test_a_file_like_the_training_raises_no_alert(
    trunkline: Trunkline, workspace: Path, tmp_path: Path, subscribers: Subscribers
) -> None:
    pa_csv.write_csv(subscribers(600, seed=8).drop_columns(["left"]), tmp_path / "calm.csv")
    code, out, err = trunkline(
        "monitor", "leavers", "--source", tmp_path / "calm.csv", "--workspace", workspace, "--json"
    )
    assert code == 0, err
    found = json.loads(out)["monitor"]
    assert found["alerts"] == found["crossed"] == []
    assert (found["rows"], found["outcomes"]) == (600, 0)
    assert "blind to concept drift" in found["note"]


def test_a_drifted_file_raises_alerts_that_are_stored(
    trunkline: Trunkline, workspace: Path, tmp_path: Path, subscribers: Subscribers
) -> None:
    rows = subscribers(600, seed=8)
    young = pa.array([value // 6 for value in rows["tenure_months"].to_pylist()])
    rows = rows.set_column(rows.column_names.index("tenure_months"), "tenure_months", young)
    pa_csv.write_csv(rows, tmp_path / "young.csv")
    asked = ("monitor", "leavers", "--source", tmp_path / "young.csv", "--run-id", "look", "--workspace", workspace)
    code, out, err = trunkline(*asked, "--json")
    assert code == 0, err
    found = json.loads(out)["monitor"]
    assert {(reading["family"], reading["subject"]) for reading in found["crossed"]} >= {
        ("drift", "tenure_months"),
        ("score_drift", "score"),
    }
    assert [alert["severity"] for alert in found["alerts"]] == ["major", "major"], "tenure is far beyond its limit"
    with Workspace(load_settings(workspace=workspace)) as opened:
        stored = opened.lake.arrow("platform.alerts", where=lambda table: table["run_id"] == "look")
        rows_taken = opened.lake.arrow("leavers.subscribers")
    assert sorted(stored.column("alert_id").to_pylist()) == sorted(alert["alert_id"] for alert in found["alerts"])
    assert rows_taken.num_rows == 500, "a look takes nothing in"
    code, out, _ = trunkline(*asked, "--json")
    assert code == 2, "its readings are there: another look is another run"
    code, out, _ = trunkline("monitor", "leavers", "--source", tmp_path / "young.csv", "--workspace", workspace)
    assert "ALERT major" in out


def test_performance_is_estimated_from_rows_that_the_model_was_not_fitted_to(
    trunkline: Trunkline, trained: Path
) -> None:
    with Workspace(load_settings(workspace=trained)) as opened:
        usecase = opened.usecase("leavers")
        folder = opened.registry.folder("leavers", "1")
        rows, _ = main_table(usecase, opened.lake)
        unseen = unseen_rows(usecase, rows, [folder])
        readings = opened.lake.arrow("platform.readings", where=lambda table: table["family"] == "estimate").to_pylist()
        (auc,) = (reading for reading in readings if reading["metric"] == "roc_auc")
        model = Model.load(folder)
        scores, threshold = model.predict(unseen).column("score").to_numpy(), model.info.threshold
    assert threshold is not None
    assert 0 < unseen.num_rows < rows.num_rows
    assert {reading["rows"] for reading in readings} == {unseen.num_rows}
    assert auc["value"] == estimate_performance(scores, threshold=threshold, seed=0).metrics["roc_auc"].value


@pytest.mark.slow
def test_rows_that_made_a_new_champion_are_compared_with_the_training_before(
    trunkline: Trunkline, workspace: Path, tmp_path: Path, subscribers: Subscribers
) -> None:
    rows = subscribers(600, seed=8)
    young = pa.array([value // 6 for value in rows["tenure_months"].to_pylist()])
    rows = rows.set_column(rows.column_names.index("tenure_months"), "tenure_months", young)
    pa_csv.write_csv(rows, tmp_path / "young.csv")
    code, out, err = trunkline(
        "run", "leavers", "--source", tmp_path / "young.csv", "--run-id", "second", "--workspace", workspace, "--json"
    )
    assert code == 0, err
    told = json.loads(out)
    assert told["model"]["version"] == "2"
    assert told["data_drift"]["since"] == "1"
    assert [reading["subject"] for reading in told["data_drift"]["moved"]] == ["tenure_months"]
    with Workspace(load_settings(workspace=workspace)) as opened:
        stored = opened.lake.arrow("platform.readings", where=lambda table: table["run_id"] == "second").to_pylist()
        (step,) = opened.lake.arrow(
            "platform.steps", where=lambda table: (table["run_id"] == "second") & (table["step"] == "monitor")
        ).to_pylist()
    drift = {row["subject"]: row for row in stored if (row["family"], row["metric"]) == ("drift", "psi")}
    assert {row["model_version"] for row in drift.values()} == {"1"}
    assert [name for name, row in drift.items() if row["crossed"]] == ["tenure_months"]
    document = json.loads(step["document"])
    assert (document["model_version"], document["drift_from"]) == ("2", "1")


def look(workspace: Path, at: datetime) -> MonitorDocument:
    """Monitor the logged answers as of an instant."""
    with Workspace(load_settings(workspace=workspace), clock=lambda: at) as opened:
        result = execute(opened, "leavers", only="monitor", progress=lambda _what, _share: None)
    return MonitorDocument.model_validate_json(result.documents["monitor"])


@pytest.fixture(scope="module")
def answered_once(environment: None, tmp_path_factory: pytest.TempPathFactory, source: Path) -> Path:
    """A workspace whose run scored 500 subscribers on the 1st of January; ``leavers`` are known 38 days later."""
    workspace = tmp_path_factory.mktemp("answered") / "w"
    with Workspace(load_settings(workspace=workspace), clock=lambda: START) as opened:
        execute(opened, "leavers", sources=(str(source),), progress=lambda _what, _share: None)
    return workspace


@pytest.fixture
def answered(answered_once: Path, tmp_path: Path) -> Path:
    """A copy of ``answered_once`` that a test may change."""
    return Path(shutil.copytree(answered_once, tmp_path / "w"))


def tell(workspace: Path, values: dict[str, float], *, days: float, recorded: float | None = None) -> None:
    """Hand in what became of subscribers, observed some days after the answers."""
    recorded = days if recorded is None else recorded
    rows = [
        {
            "outcome_id": f"{key}-{days}-{recorded}",
            "usecase": "leavers",
            "entity_key": key,
            "prediction_id": None,
            "value": value,
            "observed_at": START + timedelta(days=days),
            "recorded_at": START + timedelta(days=recorded),
        }
        for key, value in values.items()
    ]
    with Workspace(load_settings(workspace=workspace)) as opened:
        opened.lake.append("platform.outcomes", table_from_rows(Outcome, rows))


@pytest.mark.slow
def test_outcomes_count_when_answers_have_matured(answered: Path, subscribers: Subscribers) -> None:
    rows = subscribers(500)
    truth = dict(zip(rows["subscriber_id"].to_pylist(), map(float, rows["left"].to_pylist()), strict=True))
    tell(answered, truth, days=20)
    assert look(answered, START + timedelta(days=37)).outcomes == 0, "horizon 31 and delay 7 have not passed"
    found = look(answered, START + timedelta(days=39))
    assert found.outcomes == 500
    (auc,) = [reading for reading in found.readings if (reading.family, reading.metric) == ("performance", "roc_auc")]
    with Workspace(load_settings(workspace=answered)) as opened:
        logged = opened.lake.arrow("platform.predictions")
    scores = dict(zip(logged["entity_key"].to_pylist(), logged["score"].to_pylist(), strict=True))
    expected = roc_auc_score([truth[key] for key in scores], list(scores.values()))
    assert auc.value == pytest.approx(expected)
    assert look(answered, START + timedelta(days=90)).outcomes == 0, "long past"


@pytest.mark.slow
def test_outcomes_of_another_time_do_not_count(answered: Path, subscribers: Subscribers) -> None:
    keys = subscribers(500)["subscriber_id"].to_pylist()
    tell(answered, dict.fromkeys(keys[:200], 1.0), days=-5)
    tell(answered, dict.fromkeys(keys[200:400], 1.0), days=60)
    tell(answered, {"a stranger": 1.0}, days=10)
    assert look(answered, START + timedelta(days=45)).outcomes == 0


@pytest.mark.slow
def test_an_outcome_that_names_its_answer_counts_whenever_it_was_observed(answered: Path) -> None:
    with Workspace(load_settings(workspace=answered)) as opened:
        logged = opened.lake.arrow("platform.predictions").slice(0, 40).to_pylist()
        rows = [
            {
                "outcome_id": row["prediction_id"],
                "usecase": "leavers",
                "entity_key": "another name",
                "prediction_id": row["prediction_id"],
                "value": 1.0,
                "observed_at": START + timedelta(days=60),
                "recorded_at": START + timedelta(days=60),
            }
            for row in logged
        ]
        opened.lake.append("platform.outcomes", table_from_rows(Outcome, rows))
    assert look(answered, START + timedelta(days=45)).outcomes == 40


@pytest.mark.slow
def test_a_corrected_outcome_takes_the_place_of_the_first(answered: Path, subscribers: Subscribers) -> None:
    rows = subscribers(500)
    truth = dict(zip(rows["subscriber_id"].to_pylist(), map(float, rows["left"].to_pylist()), strict=True))
    tell(answered, {key: 1.0 - value for key, value in truth.items()}, days=20)
    tell(answered, truth, days=20, recorded=25)
    found = look(answered, START + timedelta(days=45))
    assert found.outcomes == 500
    (auc,) = [reading for reading in found.readings if (reading.family, reading.metric) == ("performance", "roc_auc")]
    assert auc.value is not None
    assert auc.value > 0.6


@pytest.mark.slow
def test_shifted_batches_of_real_customers_raise_alerts_and_customers_of_the_same_kind_do_not(
    trunkline: Trunkline, data_dir: Path, tmp_path: Path
) -> None:
    """The holdout batches of Cell2Cell each hold another range of tenures than the training sample."""
    folder = data_dir / "cell2cell"
    if not folder.is_dir():
        pytest.skip(f"no Cell2Cell in {data_dir}")
    with gzip.open(folder / "train.csv.gz", "rt") as stream:
        header, *lines = stream  # sorted by customer, and so by tenure: every 12th stands for all
    (tmp_path / "train.csv").write_text("".join([header, *lines[::12]]))
    (tmp_path / "same.csv").write_text("".join([header, *lines[6::12]]))
    common = ("--workspace", tmp_path / "w", "--json")
    code, _, err = trunkline("run", "churn", "--source", tmp_path / "train.csv", "--until", "rollout", *common)
    assert code == 0, err

    def crossed(path: Path) -> set[str]:
        code, out, err = trunkline("monitor", "churn", "--source", path, *common)
        assert code == 0, err
        found = json.loads(out)["monitor"]
        subjects = {reading["subject"] for reading in found["crossed"]}
        assert bool(subjects) == bool(found["alerts"])
        return subjects

    # of some 750 service areas each sample meets some that the other has not: unseen values, by chance alone
    assert crossed(tmp_path / "same.csv") <= {"service_area"}
    for number in (1, 2, 3, 4):
        assert {"tenure_months", "current_equipment_days"} <= crossed(folder / f"holdout_batch_{number}.csv")
