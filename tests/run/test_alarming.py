"""`trunkline alarms` over a workspace: raised, told once, listed in the shape of TMF642; and what it refuses."""

import json
import threading
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import jsonschema
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from trunkline.cli import main
from trunkline.contracts.records import Alert
from trunkline.features.kpi import column_of
from trunkline.notify import choose, notice_of_alert
from trunkline.plugins import load_usecase
from trunkline.settings.notify import NotifySettings
from trunkline.tasks.anomaly.alarms import alarm_schema
from trunkline.usecases.towers.contracts import COUNTED

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
    rows = DeltaTable(workspace / "lake" / "towers" / "alarms").to_pyarrow_table().to_pylist()
    named = {
        f"{row['severity']} {row['problem']} of cell {row['object_id']}" for row in rows if row["state"] == "raised"
    }
    assert any(alert["title"].startswith(f"towers: {one} since 2026-03-02 ") for one in named)
    more = f", and {first['evaluated']['raised'] - 1} more new alarms"
    assert alert["title"].count(" since ") == 1
    assert alert["title"].endswith(more), "one alert of all, and none when nothing is new"
    assert listed["evaluated"] is None
    assert listed["alarms"] == first["alarms"]
    validator = jsonschema.Draft202012Validator(alarm_schema())
    for alarm in listed["alarms"]:
        validator.validate(alarm)


def as_measurement_file(counters: pa.Table) -> str:
    """The same counters as a vendor's element exports them: two counter sets a period."""
    rows = counters.to_pylist()
    infos = []
    for begin in sorted({row["begin_at"] for row in rows}):
        end = (begin + timedelta(minutes=15)).isoformat()
        for place, names in enumerate((COUNTED[::2], COUNTED[1::2])):
            values = "".join(
                f'<measValue measObjLdn="{row["cell_name"]}"><measResults>'
                f"{' '.join(str(row[column_of(name)]) for name in names)}</measResults></measValue>"
                for row in rows
                if row["begin_at"] == begin
            )
            infos.append(
                f'<measInfo measInfoId="set{place}"><granPeriod duration="PT900S" endTime="{end}"/>'
                f"<measTypes>{' '.join(names)}</measTypes>{values}</measInfo>"
            )
    return (
        '<measCollecFile><fileHeader><measCollec beginTime="2026-03-02T00:00:00Z"/></fileHeader>'
        f"<measData><managedElement/>{''.join(infos)}</measData>"
        '<fileFooter><measCollec endTime="2026-03-03T00:00:00Z"/></fileFooter></measCollecFile>'
    )


def test_counters_in_two_sets_raise_the_alarms_of_counters_in_one(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (counters,) = Path("made").glob("*-counters-*")
    Path("A20260302.xml").write_text(as_measurement_file(pq.read_table(counters)))
    assert main(["ingest", "towers", "A20260302.xml", "--dataset", "counters", "--workspace", "sets"]) == 0
    capsys.readouterr()
    found = []
    for one in ("w", "sets"):
        assert main(["alarms", "towers", "--workspace", one, "--json"]) == 0
        told = json.loads(capsys.readouterr().out)
        named = {(alarm["alarmedObject"]["id"], alarm["specificProblem"]) for alarm in told["alarms"]}
        found.append((told["evaluated"], named))
    assert found[0] == found[1]
    assert found[0][0]["raised"] >= 1
    assert DeltaTable("sets/lake/towers/counters").to_pyarrow_table().num_rows == 2 * 40 * 96


def test_a_run_has_alarms_evaluated_and_where_no_counters_came_there_is_nothing_to_judge(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def said(root: Path, *more: str, code: int = 0) -> str:
        assert main(["alarms", "towers", "--workspace", str(root), "--run-id", "r7", *more]) == code
        return capsys.readouterr().out

    empty = workspace.parent / "empty"
    (sites,) = Path("made").glob("*-cells-*")
    assert main(["ingest", "towers", str(sites), "--dataset", "cells", "--workspace", str(empty)]) == 0
    capsys.readouterr()
    assert "nothing to judge: no row came yet of what is watched" in said(empty, "--if-any")
    assert json.loads(said(empty, "--if-any", "--json")) == {"usecase": "towers", "evaluated": None, "alarms": []}
    said(empty, code=2)
    assert json.loads(said(workspace, "--if-any", "--json"))["evaluated"]["raised"] >= 1
    (alert,) = DeltaTable(workspace / "lake" / "platform" / "alerts").to_pyarrow_table().to_pylist()
    assert alert["run_id"] == "r7"


class Receiver(ThreadingHTTPServer):
    """A fault manager on loopback that keeps what it is sent."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                receiver.sent.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
                self.send_response(204)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the signature of the library
                pass

        super().__init__(("127.0.0.1", 0), Handler)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    thread = threading.Thread(target=made.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield made
    made.shutdown()
    made.server_close()
    thread.join()


def test_a_webhook_gets_every_change_as_an_alarm_of_tmf642(
    workspace: Path, receiver: Receiver, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["alarms", "towers", "--workspace", "w", "--budget", "3"]) == 0
    to = f"http://127.0.0.1:{receiver.server_address[1]}/alarms"
    for _ in range(2):
        assert main(["publish", "towers", "--to", to, "--only", "alarms", "--workspace", "w"]) == 0
    told = capsys.readouterr().out
    assert "alarms" in told
    rows = [row for piece in receiver.sent for row in piece["rows"]]
    stored = DeltaTable(workspace / "lake" / "towers" / "alarms").to_pyarrow_table().to_pylist()
    assert len(rows) == len(stored) > 1, "each change once"
    assert {piece["target"] for piece in receiver.sent} == {"alarms"}
    checker = jsonschema.Draft202012Validator.FORMAT_CHECKER
    validator = jsonschema.Draft202012Validator(alarm_schema(), format_checker=checker)
    for row in rows:
        alarm = json.loads(row["tmf642"])
        validator.validate(alarm)
        assert (alarm["id"], alarm["state"]) == (row["alarm_id"], row["state"])
    assert {row["state"] for row in rows} >= {"raised"}


def day_of(counters: pa.Table, day: int, *, cell: str) -> pa.Table:
    """The same counters on a later day, on which nobody comes to a cell for longer than on the day before."""
    begin = pc.add(counters["begin_at"], pa.scalar(timedelta(days=day)))
    hour = pc.hour(counters["begin_at"])
    asleep = pc.and_(
        pc.equal(counters["cell_name"], cell),
        pc.and_(pc.greater_equal(hour, 10 - day), pc.less(hour, 13 + day)),
    )
    columns = {
        name: pc.if_else(asleep, 0.0, counters[name])
        for name in counters.column_names
        if name not in ("cell_name", "begin_at", "counter_set", "granularity_s", "rru_cell_unavailable_time")
    }
    for name, column in {"begin_at": begin, **columns}.items():
        counters = counters.set_column(counters.column_names.index(name), name, column)
    return counters


def test_a_week_of_evaluations_keeps_to_the_budget_and_every_new_alarm_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Five evaluations, one a day, each with one episode of a cell that is stronger than all before."""
    monkeypatch.setenv("TRUNKLINE_THREADS", "1")
    monkeypatch.chdir(tmp_path)
    made = load_usecase("towers").simulate
    assert made is not None
    tables = made(rows=40, seed=0).tables
    faulty = set(tables["faults"]["cell_name"].to_pylist())
    cell = next(name for name in tables["cells"]["cell_name"].to_pylist() if name not in faulty)
    found, workspace = [], tmp_path / "w"
    for day in range(5):
        pq.write_table(day_of(tables["counters"], day, cell=cell), f"day-{day}.parquet")
        asked = ("towers", "--workspace", "w")
        assert main(["ingest", *asked, f"day-{day}.parquet", "--dataset", "counters"]) == 0
        capsys.readouterr()
        assert main(["alarms", *asked, "--json", "--budget", "1"]) == 0
        found.append(json.loads(capsys.readouterr().out)["evaluated"])
    rows = DeltaTable(workspace / "lake" / "towers" / "alarms").to_pyarrow_table().to_pylist()
    raised = Counter(row["object_id"] for row in rows if row["state"] == "raised")
    assert raised[cell] == 1
    assert set(raised.values()) == {1}, "one alarm per cell and week, whichever evaluation raised it"
    assert sum(one["left_out"] for one in found) >= 4, "the later episodes of the cell were found"
    alerts = DeltaTable(workspace / "lake" / "platform" / "alerts").to_pyarrow_table().to_pylist()
    assert len(alerts) == sum(one["raised"] > 0 for one in found) >= 2
    notices = [notice_of_alert(Alert.model_construct(**alert)) for alert in alerts]
    team = NotifySettings.model_validate({"targets": {"team": {"url": "json://127.0.0.1"}}})
    now = max(notice.at for notice in notices)
    assert [one.verdict for one in choose(notices, [], settings=team, now=now)] == ["send"] * len(alerts)


def test_alerts_are_held_against_known_faults(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (faults,) = Path("made").glob("*-faults-*")
    assert main(["ingest", "towers", str(faults), "--dataset", "faults", "--workspace", "w"]) == 0
    capsys.readouterr()
    asked = ["alarms", "towers", "--workspace", "w", "--json", "--budget", "3", "--scores", "out/scores.parquet"]
    assert main(asked) == 2
    assert "the folder of the file does not exist" in capsys.readouterr().err
    assert not Path("out").exists()
    Path("out").mkdir()
    assert main(asked) == 0
    scores = pq.read_table("out/scores.parquet").to_pandas()
    assert len(scores) == 40 * 96
    asleep = scores[scores["cell_name"].isin(pq.read_table(faults)["cell_name"].to_pylist())]
    assert asleep["is_odd"].mean() > 5 * scores.drop(asleep.index)["is_odd"].mean()
    assert {"farthest", "deviation", "usual"} <= set(scores.columns)
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
        (["towers", "--scores", "out.parquet", "--list"], "--scores"),
    ):
        assert main(["alarms", *arguments, "--workspace", "w"]) == 2
        told = capsys.readouterr().err
        assert words in told
        assert "Traceback" not in told
