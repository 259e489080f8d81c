"""The rendered file: data and a few functions, valid, formatted, the same for the same input, without a secret."""

import ast
import io
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.cli import main
from trunkline.dags import render, write
from trunkline.dags.literals import Value, literal
from trunkline.errors import InputError, UnknownNameError
from trunkline.monitor.schedules import due_after
from trunkline.run import Workspace
from trunkline.run.scheduling import every_job, jobs_of
from trunkline.settings import load_settings

Rendered = Callable[..., str]

VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=60),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=30), inner, max_size=4),
    max_leaves=12,
)


def plan_in(text: str) -> dict[str, Any]:
    """The value of PLAN, read as a literal."""
    (assigned,) = [
        node
        for node in ast.parse(text).body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == "PLAN"
    ]
    found = ast.literal_eval(assigned.value)
    assert isinstance(found, dict)
    return found


def imported(text: str) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(str(node.module))
    return names


def ruff(*arguments: str, text: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            sys.executable,
            "-m",
            "ruff",
            *arguments,
            "--isolated",
            "--line-length",
            "120",
            "--stdin-filename",
            "d.py",
            "-",
        ],
        input=text,
        capture_output=True,
        text=True,
        check=False,
    )


def test_nothing_is_imported_but_the_sdk(rendered: Rendered) -> None:
    text = rendered()
    at_the_top = "".join(
        ast.unparse(node) + "\n" for node in ast.parse(text).body if not isinstance(node, ast.FunctionDef)
    )
    assert imported(at_the_top) == {"airflow.sdk"}
    assert imported(text) == {"airflow.sdk", "subprocess"}, "a missed deadline starts a process, as every task does"
    calls = {
        node.func.id
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert not calls & {"__import__", "exec", "eval", "open", "compile"}


def test_the_plan_is_literal_data_that_says_what_a_run_does(rendered: Rendered) -> None:
    (churn,) = plan_in(rendered("churn"))["usecases"]
    arguments = [task["arguments"] for pipeline in churn["pipelines"] for task in pipeline["tasks"]]
    assert ["train", "churn"] in arguments
    ids = [pipeline["dag_id"] for pipeline in churn["pipelines"]]
    assert ids == [f"churn_{name}" for name in ("ingest", "train", "evaluate", "predict", "report")]
    assert churn["arrivals"] is None


def test_the_file_is_formatted_and_without_a_fault(rendered: Rendered) -> None:
    text = rendered(dags={"dataproc": {"project": "telco-ml", "region": "europe-west8", "main": "gs://lake/step.py"}})
    assert ruff("format", "--check", "--quiet", text=text).returncode == 0
    checked = ruff("check", "--select", "E,F,W,I,B,UP,SIM,RET,PIE", "--ignore", "E501", text=text)
    assert checked.returncode == 0, checked.stdout


def test_the_same_input_gives_the_same_bytes(rendered: Rendered, tmp_path: Path) -> None:
    assert rendered() == rendered()
    assert rendered("churn") != rendered("churn", dags={"owner": "marketing"})


@given(VALUES)
def test_a_literal_is_the_value_and_stays_as_it_is_formatted(value: Value) -> None:
    text = literal(value, before=len("PLAN = "))
    assert ast.literal_eval(text) == value


@pytest.mark.slow
@given(VALUES)
def test_a_literal_is_written_as_the_formatter_would(value: Value) -> None:
    text = f"PLAN = {literal(value, before=len('PLAN = '))}\n"
    assert ruff("format", "--quiet", text=text).stdout == text


def test_no_secret_goes_into_the_file(rendered: Rendered, tmp_path: Path) -> None:
    text = rendered(
        "churn",
        sources={
            "crm": {
                "kind": "sql",
                "usecase": "churn",
                "url": "postgresql+psycopg://me:hunter2@db/crm",
                "table": "subscribers",
                "schedule": {"cron": "5 4 * * *", "zone": "Europe/Rome"},
            }
        },
    )
    assert "hunter2" not in text
    (churn,) = plan_in(text)["usecases"]
    (timed,) = churn["timed"]
    assert timed["schedule"] == {"cron": "5 4 * * *", "zone": "Europe/Rome"}


def source(name: str, **schedule: object) -> dict[str, object]:
    return {
        name: {
            "kind": "objects",
            "usecase": "churn",
            "url": f"file:///in/{name}/*.csv",
            **({"schedule": schedule} if schedule else {}),
        }
    }


PULL_A, PULL_B = "churn_source.a", "churn_source.b"
SIX = {"cron": "0 6 * * *", "zone": "UTC"}


@pytest.mark.parametrize(
    ("given_settings", "plan", "timed"),
    [
        pytest.param({}, None, {}, id="nothing"),
        pytest.param({"sources": source("a")}, None, {}, id="source without"),
        pytest.param(
            {"sources": {**source("a", every="PT15M"), **source("b", cron="0 6 * * *", zone="Europe/Rome")}},
            None,
            {PULL_A: ({"every_s": 900}, True), PULL_B: ({"cron": "0 6 * * *", "zone": "Europe/Rome"}, True)},
            id="each source by its own, and the plan after it",
        ),
        pytest.param(
            {"sources": source("a", every="PT15M"), "scheduler": {"runs": {"churn": {"cron": "0 6 * * *"}}}},
            SIX,
            {PULL_A: ({"every_s": 900}, False)},
            id="the plan by its own",
        ),
        pytest.param(
            {"sources": source("a"), "scheduler": {"sources": {"every": "PT15M"}}},
            None,
            {"churn_sources": ({"every_s": 900}, False)},
            id="the look after sources",
        ),
        pytest.param(
            {"sources": source("a", every="PT1H"), "scheduler": {"skip": ["ingest:a"]}},
            None,
            {PULL_A: ({"every_s": 3600}, True)},
            id="what another scheduler leaves out",
        ),
    ],
)
def test_schedules_are_those_of_the_built_in_scheduler(
    rendered: Rendered,
    given_settings: dict[str, object],
    plan: object,
    timed: dict[str, object],
    tmp_path: Path,
) -> None:
    (churn,) = plan_in(rendered("churn", **given_settings))["usecases"]
    assert churn["schedule"] == plan
    assert {one["dag_id"]: (one["schedule"], one["begins_plan"]) for one in churn["timed"]} == timed
    with Workspace(load_settings(workspace=tmp_path / "workspace", **given_settings)) as workspace:
        jobs = [job for job in every_job(workspace) if job.usecase in ("churn", "")]
    assert len(jobs) == len(timed) + (plan is not None), "a DAG for each job"


def test_the_tasks_of_a_source_are_those_of_ingestion_for_it_alone(rendered: Rendered, tmp_path: Path) -> None:
    inbox = {"kind": "folder", "path": str(tmp_path), "schedule": {"every": "PT1H"}}
    crm = {"kind": "objects", "url": "file:///in/*.csv", "schedule": {"every": "PT1H"}}
    sources = {name: {"usecase": "towers", **said} for name, said in (("in box", inbox), ("crm", crm))}
    (towers,) = plan_in(rendered("towers", sources=sources))["usecases"]
    assert towers["arrivals"] is None, "a folder with a schedule is looked into by that"
    watched, pulled = (one["tasks"] for one in towers["timed"])
    assert [one["dag_id"] for one in towers["timed"]] == ["towers_source.in-box.ba7c36", "towers_source.crm"]
    ingest = towers["pipelines"][0]["tasks"]
    assert [task["name"] for task in pulled] == [task["name"] for task in ingest]
    assert pulled[0]["arguments"] == ["ingest", "towers", "crm", "--refresh", "none"]
    assert pulled[1:] == ingest[1:]
    assert [task["arguments"] for task in watched] == [
        ["watch", "towers", "in box", "--once"],
        ["alarms", "towers", "--if-any"],
    ]
    assert [one["begins_plan"] for one in towers["timed"]] == [False, True], "watch is no part of a run"
    assert not any(task["takes_sources"] for task in (*pulled, *watched))


def test_a_cron_line_that_airflow_has_none_for_is_refused(rendered: Rendered) -> None:
    with pytest.raises(InputError, match="and not both together") as refused:
        rendered("churn", sources=source("a", cron="0 6 */2 * 1"))
    assert "take in a by its own schedule" in str(refused.value.where)


def test_the_hourly_run_of_the_page_is_hourly_to_airflow_and_to_the_built_in_scheduler(
    rendered: Rendered, repository: Path, tmp_path: Path
) -> None:
    page = (repository / "docs" / "forecasting.md").read_text()
    (text,) = (one for one in re.findall(r"^```toml\n(.*?)^```$", page, re.MULTILINE | re.DOTALL) if "scheduler" in one)
    said = tomllib.loads(text)
    (planned,) = plan_in(rendered("response_time", **said))["usecases"]
    assert planned["schedule"] == {"cron": "5 * * * *", "zone": "UTC"}
    with Workspace(load_settings(workspace=tmp_path / "workspace", **said)) as workspace:
        (job,) = jobs_of(workspace)
    assert job.command == ("run", "response_time")
    at = datetime(2026, 3, 29, 0, 30, tzinfo=UTC)  # clocks in Europe change half an hour later
    due = [at := due_after(job.schedule, at) for _ in range(4)]
    assert due == [datetime(2026, 3, 29, hour, 5, tzinfo=UTC) for hour in (1, 2, 3, 4)]


def test_watched_folders_make_a_dag_that_waits_for_files(rendered: Rendered, tmp_path: Path) -> None:
    folder = {"kind": "folder", "usecase": "churn", "path": str(tmp_path), "pattern": "*.csv", "settle_s": 3}
    (churn,) = plan_in(rendered("churn", sources={"inbox": folder}, dags={"poll": "PT20S"}))["usecases"]
    arrivals = churn["arrivals"]
    assert (arrivals["dag_id"], arrivals["poll_s"]) == ("churn_arrivals", 20)
    (watched,) = arrivals["folders"]
    assert (watched["source"], watched["address"], watched["settle_s"]) == ("inbox", str(tmp_path), 3.0)


def test_runs_of_dags_that_are_due_at_one_instant_are_two(rendered: Rendered) -> None:
    (function,) = (node for node in ast.parse(rendered()).body if getattr(node, "name", "") == "run_of")
    names: dict[str, Any] = {}
    exec(compile(ast.Module([function], []), "dags", "exec"), names)
    at = datetime(2026, 3, 1, 6, tzinfo=UTC)
    dags = ("churn_ingest", "towers_ingest", "churn_source.crm")
    found = [names["run_of"](dag, f"scheduled__{at.isoformat()}", at) for dag in dags]
    assert len(set(found)) == 3
    assert all(re.fullmatch(r"20260301T060000-[0-9a-f]{6}", one) for one in found)


def test_settings_reach_every_task(rendered: Rendered) -> None:
    text = rendered(
        "churn",
        dags={
            "prefix": "north_",
            "workspace": "/mnt/lake",
            "longest": timedelta(hours=1),
            "longest_of": {"train": timedelta(minutes=90)},
            "deadline": None,
        },
    )
    plan = plan_in(text)
    (churn,) = plan["usecases"]
    assert (plan["workspace"], plan["deadline_s"]) == ("/mnt/lake", None)
    longest = {task["name"]: task["longest_s"] for pipeline in churn["pipelines"] for task in pipeline["tasks"]}
    assert longest["train"] == 5400
    assert set(longest.values()) == {3600, 5400}
    assert all(pipeline["dag_id"].startswith("north_churn_") for pipeline in churn["pipelines"])
    assert all(pipeline["leaves"].startswith("north_churn.") for pipeline in churn["pipelines"])


KEPT: dict[str, Any] = {
    "scheduler": {"maintain": {"cron": "30 3 * * 5-7", "zone": "Europe/Rome"}},
    "dags": {"prefix": "north_", "longest_of": {"maintain": "PT4H"}},
}


def test_maintenance_is_a_dag_of_the_workspace_in_a_file_of_all_use_cases(rendered: Rendered) -> None:
    *usecases, workspace = plan_in(rendered(**KEPT))["usecases"]
    assert {"churn", "towers"} <= {one["name"] for one in usecases}
    assert (workspace["name"], workspace["schedule"], workspace["pipelines"]) == ("platform", None, [])
    (kept,) = workspace["timed"]
    assert (kept["dag_id"], kept["leaves"]) == ("north_platform_maintain", "")
    assert kept["schedule"] == {"cron": "30 3 * * 0,5,6", "zone": "Europe/Rome"}
    (task,) = kept["tasks"]
    assert (task["arguments"], task["takes_run_id"], task["longest_s"]) == (["maintain"], False, 4 * 3600)
    assert [one["name"] for one in plan_in(rendered("churn", **KEPT))["usecases"]] == ["churn"]
    assert plan_in(rendered())["usecases"][-1]["name"] != "platform", "it has no schedule"


def test_the_command_says_that_a_file_of_some_use_cases_leaves_maintenance_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "trunkline.toml").write_text('[scheduler]\nmaintain = { cron = "30 3 * * *" }\n')
    assert main(["dags", "churn", "--out", "dags.py", "--json"]) == 0
    said = capsys.readouterr()
    assert "left out 'maintain'" in said.err
    assert json.loads(said.out)["left_out"] == ["maintain"]
    assert main(["dags", "--out", "dags.py", "--json"]) == 0
    said = capsys.readouterr()
    assert ("left out" in said.err, json.loads(said.out)["left_out"]) == (False, [])
    assert "platform_maintain" in (tmp_path / "dags.py").read_text(encoding="utf-8")


def test_a_failed_maintenance_is_an_alert_of_the_platform(tmp_path: Path) -> None:
    told = ("dags", "failed", "platform", "--run-id", "r1", "--dag", "platform_maintain", "--dag-run", "scheduled__1")
    code, said = trunkline(*told, "--task", "keep.maintain", "--workspace", tmp_path / "w", "--json")
    assert code == 0
    alert = json.loads(said)
    assert (alert["usecase"], alert["title"]) == ("platform", "the pipeline platform_maintain failed")


def test_a_longest_time_of_a_step_that_does_not_exist_is_refused(rendered: Rendered) -> None:
    with pytest.raises(InputError, match="there is no step 'fly'"):
        rendered("churn", dags={"longest_of": {"fly": "PT1H"}})


def test_an_unknown_use_case_is_refused(tmp_path: Path) -> None:
    with Workspace(load_settings(workspace=tmp_path / "w")) as workspace, pytest.raises(UnknownNameError):
        render(workspace, ("nothing",))
    assert not (tmp_path / "w").exists(), "rendering makes no workspace"


@pytest.mark.parametrize(
    ("out", "said"),
    [
        ("dags.txt", "Python files"),
        ("nowhere/dags.py", "does not exist"),
        ("folder.py", "a folder stands"),
    ],
)
def test_a_place_that_takes_no_file_is_refused(tmp_path: Path, out: str, said: str) -> None:
    (tmp_path / "folder.py").mkdir()
    with pytest.raises(InputError, match=said):
        write("PLAN = {}\n", tmp_path / out)
    assert [path.name for path in tmp_path.iterdir()] == ["folder.py"]


def trunkline(*arguments: object) -> tuple[int, str]:
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = main([str(argument) for argument in arguments])
    return code, out.getvalue()


def test_the_command_writes_the_file_and_says_what_is_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TRUNKLINE_PLUGIN_DIR", raising=False)
    code, said = trunkline("dags", "churn", "towers", "churn", "--out", "dags.py", "--json")
    assert code == 0
    document = json.loads(said)
    assert document["usecases"] == ["churn", "towers"]
    text = (tmp_path / "dags.py").read_text(encoding="utf-8")
    assert document["bytes"] == len(text.encode())
    assert plan_in(text)["folder"] is None
    (tmp_path / "trunkline.toml").write_text("[dags]\nowner = 'marketing'\n")
    assert trunkline("dags", "churn", "--out", "dags.py")[0] == 0
    plan = plan_in((tmp_path / "dags.py").read_text(encoding="utf-8"))
    assert (plan["folder"], plan["owner"]) == (str(tmp_path), "marketing"), "tasks find the settings where they are"


@pytest.mark.parametrize(
    ("arguments", "kind"),
    [
        pytest.param(("nothing", "--out", "dags.py"), "UnknownNameError", id="unknown use case"),
        pytest.param(("churn", "--out", "/proc/dags.py"), "InputError", id="a folder that takes no file"),
        pytest.param(("churn",), "InputError", id="no file named"),
        pytest.param(("failed", "churn", "--run-id", "r 1", "--dag", "d", "--dag-run", "m"), "InputError", id="run id"),
        pytest.param(
            ("late", "churn", "--dag", "d", "--dag-run", "m", "--deadline-s", "-1"), "InputError", id="deadline"
        ),
    ],
)
def test_bad_input_ends_with_two(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], kind: str
) -> None:
    monkeypatch.chdir(tmp_path)
    code, said = trunkline("dags", *arguments, "--json")
    assert (code, json.loads(said)["error"]["kind"]) == (2, kind)
    assert not list(tmp_path.rglob("dags.py"))


@pytest.mark.slow
def test_an_alert_about_a_run_of_a_dag_is_raised_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    told = ("dags", "failed", "churn", "--run-id", "r1", "--dag", "churn_train", "--dag-run", "asset_triggered__1")
    (code, said), (again, _) = (trunkline(*told, "--task", "learn.train", "--json") for _ in range(2))
    assert (code, again) == (0, 0)
    with Workspace(load_settings(workspace=tmp_path / "workspace")) as workspace:
        (alert,) = workspace.lake.arrow("platform.alerts").to_pylist()
    assert alert["alert_id"] == json.loads(said)["alert_id"]
    assert "learn.train" in alert["text"]


@pytest.mark.slow
def test_an_alert_about_a_missed_deadline_is_raised_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    told = ("dags", "late", "churn", "--dag", "churn_train", "--dag-run", "asset_triggered__1", "--deadline-s", "28800")
    code, said = trunkline(*told, "--json")
    assert (code, json.loads(said)["error"]["kind"]) == (2, "UnknownNameError"), "no run that it could be about"
    (code, said), (again, _) = (trunkline(*told, "--run-id", "r1", "--json") for _ in range(2))
    assert (code, again) == (0, 0)
    with Workspace(load_settings(workspace=tmp_path / "workspace")) as workspace:
        (alert,) = workspace.lake.arrow("platform.alerts").to_pylist()
    assert (alert["run_id"], alert["severity"]) == ("r1", "minor")
    assert alert["title"] == "the pipeline churn_train missed its deadline"
    assert "8:00:00" in alert["text"]
