"""Forecasts through the real command: each hour once, caught up after a pause, judged when the truth comes."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pa_csv
import pytest

from trunkline.plugins import load_usecase
from trunkline.run import Workspace
from trunkline.settings import load_settings

Trunkline = Callable[..., tuple[int, str, str]]

pytestmark = pytest.mark.slow

HOURS = 620
QUICK = {"response_time": {"trials": 1, "evaluation_days": 7, "limits_ms": {"main": 1.0}}}


@pytest.fixture(scope="module")
def hours() -> pa.Table:
    simulate = load_usecase("response_time").simulate
    assert simulate is not None
    return simulate(rows=HOURS + 30, seed=5).tables["hours"]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory, trunkline: Trunkline, hours: pa.Table) -> dict[str, Any]:
    """A workspace that learned from the first hours, and what its runs printed."""
    place = tmp_path_factory.mktemp("forecasts")
    runs: dict[str, Any] = {"workspace": place / "workspace"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRUNKLINE_USECASES", json.dumps(QUICK))
        for name, first, count in (("first", 0, HOURS), ("hour", HOURS, 1), ("pause", HOURS + 1, 9), ("again", 0, 0)):
            source = place / f"{name}.csv"
            pa_csv.write_csv(hours.slice(first, count), source)
            asked = () if name == "again" else ("--source", source)
            code, out, err = trunkline("run", "response_time", *asked, "--workspace", runs["workspace"], "--json")
            assert code == 0, err
            runs[name] = json.loads(out)
        late = hours.slice(HOURS + 5, 1).set_column(1, "main_ms", pa.array([123_456.0]))
        pa_csv.write_csv(late, place / "late.csv")
        code, out, err = trunkline(
            "run", "response_time", "--source", place / "late.csv", "--workspace", runs["workspace"], "--json"
        )
        assert code == 0, err
        runs["late"] = json.loads(out)
        code, out, err = trunkline("models", "show", "response_time", "--workspace", runs["workspace"], "--json")
        assert code == 0, err
        runs["shown"] = json.loads(out)
        code, out, err = trunkline(
            "predict",
            "response_time",
            "--source",
            place / "late.csv",
            "--out",
            place / "out.csv",
            "--workspace",
            runs["workspace"],
        )
        runs["refused"] = (code, err)
        pa_csv.write_csv(hours, place / "all.csv")
        code, out, err = trunkline(
            "evaluate", "response_time", "--source", place / "all.csv", "--workspace", runs["workspace"], "--json"
        )
        assert code == 0, err
        runs["evaluated"] = json.loads(out)
        anew = ("response_time", "--run-id", "anew", "--workspace", runs["workspace"])
        assert trunkline("train", *anew)[0] == 0
        _, out, _ = trunkline("evaluate", *anew, "--json")
        runs["anew"] = json.loads(out)
    return runs


def table(told: dict[str, Any], name: str) -> list[dict[str, Any]]:
    with Workspace(load_settings(workspace=told["workspace"])) as workspace:
        return list(workspace.lake.arrow(name).to_pylist())


def test_the_first_run_learns_and_says_how_well(told: dict[str, Any]) -> None:
    first = told["first"]
    assert first["ingest"]["read"] == HOURS
    assert first["model"] == {"name": "xgboost", "version": "1", "alias": "champion"}
    assert {*(f"mase_h{ahead}" for ahead in range(1, 7)), "mase", "coverage_80"} <= set(first["metrics"])
    assert all(gate["passed"] for gate in first["gates"])
    assert first["predictions"]["rows"] == 8 * 6


def test_the_next_hour_is_forecast_by_the_kept_champion(told: dict[str, Any]) -> None:
    assert told["hour"]["model"]["unchanged"] is True
    assert told["hour"]["model"]["kept"] is True
    assert told["hour"]["metrics"] == told["first"]["metrics"]
    assert (told["hour"]["predictions"]["rows"], told["hour"]["predictions"]["hours"]) == (48, 1)
    assert told["hour"]["monitor"]["outcomes"] == 8, "the hour ahead has come"


def test_hours_that_were_missed_are_made_up_for_and_none_is_made_twice(told: dict[str, Any]) -> None:
    assert told["pause"]["predictions"]["hours"] == 9
    assert told["again"]["predictions"]["rows"] == 0
    rows = table(told, "response_time.forecasts")
    keys = [(row["made_at"], row["server"], row["horizon_hours"]) for row in rows]
    assert len(keys) == len(set(keys)) == 48 * 11
    assert all(row["q10"] <= row["q50"] <= row["q90"] for row in rows)
    assert all((row["target_at"] - row["made_at"]).total_seconds() == 3600 * row["horizon_hours"] for row in rows)


def test_a_truth_that_is_corrected_is_judged_again(told: dict[str, Any]) -> None:
    judged = [row for row in table(told, "response_time.accuracy") if row["server"] == "main"]
    again = [row["actual"] for row in judged if row["actual"] == 123_456.0]
    assert len(again) == 6, "six forecasts had been made of that hour"
    assert told["late"]["predictions"]["rows"] == 0


def test_a_server_above_its_limit_already_is_not_warned_of_as_if_it_were_news(told: dict[str, Any]) -> None:
    titles = [alert["title"] for alert in told["hour"]["monitor"]["alerts"]]
    assert not [title for title in titles if "main may exceed" in title]


def test_percentiles_stand_in_the_lake(told: dict[str, Any]) -> None:
    rows = table(told, "response_time.percentiles")
    newest = {(row["server"], row["hour_of_day"]): row for row in rows}
    assert len(newest) == 8 * 24
    assert all(row["p50_ms"] <= row["p90_ms"] <= row["p99_ms"] for row in newest.values())


def test_a_version_shows_its_horizons_and_series(told: dict[str, Any]) -> None:
    model = told["shown"]["model"]
    assert [one["horizon"] for one in model["horizons"]] == [1, 2, 3, 4, 5, 6]
    assert set(model["horizons"][0]) == {"horizon", "booster", "parameters", "usual", "mase", "rmse", "r2", "coverage"}
    assert {"scale", "outlier_limit", "limit"} <= set(model["series"][0])


def test_a_model_of_series_scores_no_rows_and_says_what_to_do(told: dict[str, Any]) -> None:
    code, err = told["refused"]
    assert code == 2
    assert "forecasting" in err


def test_later_hours_judge_the_champion(told: dict[str, Any]) -> None:
    found = told["evaluated"]
    assert found["seen"] == HOURS * 8
    assert found["rows"] == 30 * 8
    assert 0 < found["metrics"]["mase_h1"]["value"] < found["metrics"]["mase_h6"]["value"] * 1.5


def test_the_last_week_is_compared_with_the_training_of_the_champion(told: dict[str, Any]) -> None:
    drift = told["anew"]["data_drift"]
    assert (drift["since"], drift["columns"]) == ("1", 8)
    watched = [reading for reading in told["late"]["monitor"]["crossed"] if reading["family"] == "drift"]
    assert {reading["subject"]: reading["value"] for reading in drift["moved"]} == pytest.approx(
        {reading["subject"]: reading["value"] for reading in watched}
    ), "the hours that were watched are those that are learned from"


def test_the_page_shows_the_hours_ahead(told: dict[str, Any]) -> None:
    page = Path(told["hour"]["report"]["path"]).read_text()
    for part in (
        "The next hours",
        'id="chart-fan_0"',
        "Accuracy by hour ahead",
        "sub_7",
        "Warnings that were right",
        "(precision)",
        "(recall",
    ):
        assert part in page
