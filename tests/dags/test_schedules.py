"""Airflow is due when the built-in scheduler is, and pulls and judges sources by their own schedules."""

import json
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from trunkline.dags.cron_lines import airflow_line
from trunkline.errors import InputError
from trunkline.monitor.schedules import due_after
from trunkline.run import Workspace
from trunkline.settings import load_settings
from trunkline.spec import Schedule
from trunkline.spec.cron import cron_line

pytestmark = pytest.mark.airflow

Asked = Callable[..., Mapping[str, Any]]

_DUE = """
import json, sys
from datetime import datetime
from airflow.sdk import CronTriggerTimetable as Said
from airflow.timetables.base import DataInterval, TimeRestriction
from airflow.timetables.trigger import CronTriggerTimetable
import pendulum
for line in sys.stdin:
    cron, zone, at = json.loads(line)
    timetable = CronTriggerTimetable(cron, timezone=Said(cron, timezone=zone).timezone)
    found, last = [], pendulum.instance(datetime.fromisoformat(at))
    for _ in range(3):
        info = timetable.next_dagrun_info(
            last_automated_data_interval=DataInterval.exact(last),
            restriction=TimeRestriction(earliest=None, latest=None, catchup=True),
        )
        last = info.run_after
        found.append(last.in_timezone("UTC").isoformat())
    print(json.dumps(found), flush=True)
"""

_BAG = """
import json, sys
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk import Asset
bag = DagBag(sys.argv[1])
print(json.dumps({"errors": bag.import_errors, "dags": {
    dag.dag_id: {
        "tasks": {task.task_id: sorted(task.upstream_task_ids) for task in dag.tasks},
        "outlets": sorted(asset.name for task in dag.tasks for asset in task.outlets),
        "timetable": type(dag.timetable).__name__,
        "triggers": sorted(asset.name for asset in dag.timetable.asset_condition.objects)
        if getattr(dag.timetable, "asset_condition", None) else [],
        "at_once": dag.max_active_runs, "catchup": dag.catchup,
    } for dag in bag.dags.values()}}))
"""

_TEST = """
import json, sys
from airflow.dag_processing.dagbag import DagBag
bag = DagBag(sys.argv[1])
assert not bag.import_errors, bag.import_errors
found = {}
for name in sys.argv[2:]:
    run = bag.dags[name].test()
    found[name] = {"state": str(run.state), "tasks": {one.task_id: str(one.state) for one in run.get_task_instances()}}
print()
print(json.dumps(found))
"""


def field(low: int, high: int) -> st.SearchStrategy[str]:
    """One field of a cron line: a star, a number, a list, a range or steps."""
    number = st.integers(low, high)
    span = st.tuples(number, number).map(sorted)
    return st.one_of(
        st.just("*"),
        number.map(str),
        st.lists(number, min_size=2, max_size=3).map(lambda some: ",".join(map(str, some))),
        span.map(lambda ends: f"{ends[0]}-{ends[1]}"),
        st.integers(1, high).map(lambda step: f"*/{step}"),
        st.tuples(span, st.integers(1, 9)).map(lambda said: f"{said[0][0]}-{said[0][1]}/{said[1]}"),
    )


LINES = st.tuples(field(0, 59), field(0, 23), field(1, 31), field(1, 12), field(0, 7)).map(" ".join)
ZONES = st.sampled_from(["UTC", "Europe/Rome", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe"])
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def airflow_due(airflow_python: Path) -> Iterator[Callable[[str, str, datetime], list[datetime]]]:
    """Ask Airflow for the next three times of a cron line."""
    with subprocess.Popen(
        [airflow_python, "-c", _DUE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as asked:
        assert asked.stdin is not None
        assert asked.stdout is not None
        lines, answers = asked.stdin, asked.stdout

        def due(cron: str, zone: str, at: datetime) -> list[datetime]:
            lines.write(json.dumps([cron, zone, at.isoformat()]) + "\n")
            lines.flush()
            return [datetime.fromisoformat(one) for one in json.loads(answers.readline())]

        yield due
        lines.close()


@given(cron=LINES, zone=ZONES, minutes=st.integers(0, 2 * 365 * 1440))
@example(cron="30 2 * * *", zone="Europe/Rome", minutes=86 * 1440)  # the night in which 02:30 is left out
@example(cron="30 2 * * *", zone="Europe/Rome", minutes=296 * 1440)  # and that in which it comes twice
@example(cron="*/30 * * * *", zone="Europe/Rome", minutes=87 * 1440)
@example(cron="*/30 * * * *", zone="Europe/Rome", minutes=297 * 1440)
@example(cron="0 6 1-31 * 1", zone="UTC", minutes=0)
@example(cron="0 6 13 * 5-7", zone="UTC", minutes=0)
@example(cron="0 6 31 2 1", zone="UTC", minutes=0)
@example(cron="0 6 31 */3 *", zone="UTC", minutes=0)
def test_airflow_is_due_when_the_built_in_scheduler_is(
    airflow_due: Callable[[str, str, datetime], list[datetime]], cron: str, zone: str, minutes: int
) -> None:
    try:
        schedule = Schedule(cron=cron, zone=zone)
        line = airflow_line(cron, where="here")
    except (ValueError, InputError):  # of a day that never comes, or that Airflow has no line for
        return
    at = BEGIN + timedelta(minutes=minutes)
    expected: list[datetime] = []
    for _ in range(3):
        expected.append(due_after(schedule, expected[-1] if expected else at))
    # the first of such a line's days after a change of the clock begins an hour off in Airflow
    assume(zone in ("UTC", "Asia/Kolkata") or not cron_line(cron).is_hourly or line.split()[2:] == ["*"] * 3)
    assert airflow_due(line, zone, at) == expected


def test_a_source_is_pulled_by_its_own_schedule_and_the_plan_follows_where_it_has_none(
    rendered: Callable[..., str], ask_airflow: Asked, tmp_path: Path
) -> None:
    sources = {
        f"{usecase}_{name}": {"kind": "objects", "usecase": usecase, "url": "file:///in/*.csv", "schedule": schedule}
        for usecase in ("churn", "towers", "sensors")
        for name, schedule in (("a", {"every": "PT15M"}), ("b", {"cron": "5 4 * * *", "zone": "Europe/Rome"}))
    }
    file = tmp_path / "trunkline_dags.py"
    scheduler = {"runs": {"churn": {"cron": "0 6 * * 1-5"}}, "sources": {"every": "PT15M"}}
    file.write_text(rendered("churn", "towers", "sensors", sources=sources, scheduler=scheduler), encoding="utf-8")
    found = ask_airflow(_BAG, file, home=tmp_path)
    assert found["errors"] == {}
    dags = found["dags"]
    assert {name: dags[f"churn_source.{name}"]["timetable"] for name in ("churn_a", "churn_b")} == {
        "churn_a": "DeltaTriggerTimetable",
        "churn_b": "CronTriggerTimetable",
    }
    assert dags["churn_ingest"]["timetable"] == "CronTriggerTimetable"
    assert dags["towers_ingest"]["timetable"] == "NullTimetable"
    assert dags["churn_train"]["triggers"] == ["churn.data"], "the plan has a schedule of its own"
    own = ["towers.data", "towers.source.towers_a", "towers.source.towers_b"]
    assert dags["towers_train"]["triggers"] == own
    assert dags["sensors_report"]["triggers"] == [one.replace("towers", "sensors") for one in own]
    assert dags["towers_source.towers_a"]["tasks"] == dags["towers_ingest"]["tasks"]
    assert dags["towers_source.towers_a"]["outlets"] == ["towers.source.towers_a"]
    for usecase in ("churn", "towers", "sensors"):
        assert dags[f"{usecase}_sources"]["tasks"] == {"watch.check": [], "alert": ["watch.check"]}
        assert dags[f"{usecase}_sources"]["outlets"] == []
    assert {(dag["at_once"], dag["catchup"]) for dag in dags.values()} == {(1, False)}


def test_maintenance_runs_by_its_own_schedule(
    rendered: Callable[..., str], fresh_home: Callable[[Path], Path], ask_airflow: Asked, tmp_path: Path
) -> None:
    home = fresh_home(tmp_path / "airflow")
    file = home / "dags" / "trunkline_dags.py"
    scheduler = {"maintain": {"cron": "30 3 * * *", "zone": "Europe/Rome"}}
    dags = {"command": [sys.executable, "-m", "trunkline"], "deadline": "PT2H"}
    file.write_text(rendered(scheduler=scheduler, dags=dags), encoding="utf-8")
    found = ask_airflow(_BAG, file, home=tmp_path)
    assert found["errors"] == {}
    assert found["dags"]["platform_maintain"] == {
        "tasks": {"keep.maintain": [], "alert": ["keep.maintain"]},
        "outlets": [],
        "timetable": "CronTriggerTimetable",
        "triggers": [],
        "at_once": 1,
        "catchup": False,
    }
    ended = ask_airflow(_TEST, file, "platform_maintain", home=home)["platform_maintain"]
    assert ended["tasks"] == {"keep.maintain": "success", "alert": "skipped"}


DECLARED = """
[sources.crm]
kind = "sql"
usecase = "churn"
url = "sqlite:///{path}"
table = "customers"
mode = "incremental"
cursor = "changed"
schedule = {{ every = "PT1H" }}

[sources.late]
kind = "folder"
usecase = "churn"
path = "{inbox}"
settle_s = 0
schedule = {{ cron = "0 6 * * *" }}

[scheduler]
sources = {{ every = "PT15M" }}
"""


def test_a_pull_a_look_into_a_folder_and_a_check_of_sources_run_by_airflow(
    deployed: Callable[..., None], fresh_home: Callable[[Path], Path], ask_airflow: Asked, tmp_path: Path
) -> None:
    home = fresh_home(tmp_path / "airflow")
    file = home / "dags" / "trunkline_dags.py"
    inbox, path = tmp_path / "inbox", tmp_path / "crm.db"
    inbox.mkdir()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE customers (customerID TEXT, tenure INT, MonthlyCharges REAL, changed INT)")
        connection.executemany("INSERT INTO customers VALUES (?, 3, 29.5, ?)", [(f"C{one}", one) for one in range(20)])
    (inbox / "more.csv").write_text("customerID,tenure,MonthlyCharges\nD1,3,29.5\nD2,3,29.5\n")
    deployed("churn", folder=tmp_path, out=file, settings=DECLARED.format(path=path, inbox=inbox))
    names = ("churn_source.crm", "churn_source.late", "churn_sources")
    found = ask_airflow(_TEST, file, *names, home=home)
    taken = {"validate.ingest": "success", "announce": "success", "alert": "skipped"}
    assert {name: found[name]["tasks"] for name in names} == {
        "churn_source.crm": taken,
        "churn_source.late": taken,
        "churn_sources": {"watch.check": "success", "alert": "skipped"},
    }
    with Workspace(load_settings(workspace=tmp_path / "workspace")) as workspace:
        assert workspace.lake.arrow("churn.subscribers").num_rows == 22
        (run_id,) = workspace.lake.arrow("platform.runs")["run_id"].unique().to_pylist()
        rows = workspace.lake.arrow("platform.attempts").sort_by("attempted_at").to_pylist()
        assert not workspace.lake.exists("platform.alerts")
    assert [(row["source"], row["outcome"]) for row in rows] == [
        ("crm", "taken"),
        ("late", "declared"),
        ("late", "taken"),
    ]
    assert run_id.startswith("20"), "the pull is a run, the look into the folder is none"

    (tmp_path / "inbox" / "odd.csv").write_text("what,is,this\n1,2,3\n")
    failed = ask_airflow(_TEST, file, "churn_source.late", home=home)["churn_source.late"]
    assert failed["tasks"] == {"validate.ingest": "failed", "announce": "upstream_failed", "alert": "success"}
    with Workspace(load_settings(workspace=tmp_path / "workspace")) as workspace:
        titles = {row["title"] for row in workspace.lake.arrow("platform.alerts").to_pylist()}
    assert "the pipeline churn_source.late failed" in titles
    assert "churn.subscribers: source late is failing" in titles
