"""`trunkline alarms` over a workspace: raised, told once, listed in the shape of TMF642; and what it refuses."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import jsonschema
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from trunkline.cli import main
from trunkline.tasks.anomaly.alarms import alarm_schema

pytestmark = pytest.mark.slow


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Path:
    monkeypatch.setenv("TRUNKLINE_THREADS", "1")
    monkeypatch.chdir(tmp_path)
    assert main(["simulate", "towers", "--rows", "40", "--out", "made", "--workspace", "w"]) == 0
    (counters,) = Path("made").glob("*-counters-*")
    assert main(["ingest", "towers", str(counters), "--dataset", "counters", "--workspace", "w"]) == 0
    capsys.readouterr()
    return tmp_path / "w"


def test_alarms_are_raised_once_and_have_the_shape_of_tmf642(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def said(*more: str) -> dict[str, Any]:
        assert main(["alarms", "towers", "--workspace", str(workspace), "--json", *more]) == 0
        found: dict[str, Any] = json.loads(capsys.readouterr().out)
        return found

    first, again, listed = said("--budget", "2"), said("--budget", "2"), said("--list")
    assert first["evaluated"]["objects"] == 40
    assert 1 <= first["evaluated"]["alerts"] <= 2 * 40 * 96 / 672
    assert first["evaluated"]["raised"] >= 1
    assert [again["evaluated"][name] for name in ("raised", "updated", "cleared")] == [0, 0, 0]
    (alert,) = DeltaTable(workspace / "lake" / "platform" / "alerts").to_pyarrow_table().to_pylist()
    assert alert["title"].startswith("towers: ")
    assert "new alarm" in alert["title"], "one alert of all, and none when nothing is new"
    assert listed["evaluated"] is None
    assert listed["alarms"] == first["alarms"]
    validator = jsonschema.Draft202012Validator(alarm_schema())
    for alarm in listed["alarms"]:
        validator.validate(alarm)


def test_alerts_are_held_against_known_faults(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (faults,) = Path("made").glob("*-faults-*")
    assert main(["ingest", "towers", str(faults), "--dataset", "faults", "--workspace", "w"]) == 0
    capsys.readouterr()
    assert main(["alarms", "towers", "--workspace", "w", "--json", "--budget", "3"]) == 0
    found = json.loads(capsys.readouterr().out)["evaluated"]
    judged, truth = found["judged"], pq.read_table(faults).to_pylist()
    kinds = Counter(row["kind"] for row in truth)
    assert {kind: one["known"] for kind, one in judged["kinds"].items() if one["known"]} == kinds
    assert judged["alerts"] == found["alerts"]
    assert 0.5 < judged["precision"]["value"] == judged["hits"] / judged["alerts"]
    hardware = judged["kinds"]["hardware"]
    assert hardware["recall"]["value"] == hardware["found"] / hardware["known"] > 0.5
    assert main(["alarms", "towers", "--workspace", "w", "--budget", "3"]) == 0
    said = capsys.readouterr().out
    assert f"against {len(truth)} known faults" in said
    assert "hardware" in said


def test_what_cannot_be_watched_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for arguments, words in (
        (["churn"], "watches no series"),
        (["towers"], "no rows of towers.counters"),
        (["towers", "--budget", "0"], "--budget"),
    ):
        assert main(["alarms", *arguments, "--workspace", "w"]) == 2
        told = capsys.readouterr().err
        assert words in told
        assert "Traceback" not in told
