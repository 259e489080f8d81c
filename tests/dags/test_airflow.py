"""A real Airflow reads what is rendered, and runs it in one process."""

import json
import sqlite3
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pytest

from trunkline.plugins import load_usecase, usecase_names
from trunkline.run import Workspace, simulate_files
from trunkline.settings import load_settings

pytestmark = pytest.mark.airflow

Asked = Callable[..., Mapping[str, Any]]

_BAG = """
import json, sys
from airflow.dag_processing.dagbag import DagBag
bag = DagBag(sys.argv[1])
print(json.dumps({"errors": bag.import_errors, "dags": {
    dag.dag_id: {
        "tasks": {task.task_id: sorted(task.upstream_task_ids) for task in dag.tasks},
        "outlets": sorted(asset.name for task in dag.tasks for asset in task.outlets),
        "retries": sorted({task.retries for task in dag.tasks}),
        "longest": sorted({task.execution_timeout.total_seconds() for task in dag.tasks if task.execution_timeout}),
        "pushes": sorted({task.do_xcom_push for task in dag.tasks}),
        "owner": dag.owner, "tags": sorted(dag.tags), "documented": bool(dag.doc_md),
        "deadline": dag.deadline[0].interval.total_seconds() if dag.deadline else None,
        "timetable": type(dag.timetable).__name__,
    } for dag in bag.dags.values()}}))
"""

_TEST = """
import json, sys
from airflow.dag_processing.dagbag import DagBag
bag = DagBag(sys.argv[1])
assert not bag.import_errors, bag.import_errors
conf, found = json.loads(sys.argv[2]), {}
for name in sys.argv[3:]:
    run = bag.dags[name].test(run_conf=conf)
    found[name] = {"state": str(run.state), "tasks": {one.task_id: str(one.state) for one in run.get_task_instances()}}
print()
print(json.dumps(found))
"""

PIPELINES = ("ingest", "train", "evaluate", "predict", "report")


def test_a_dag_bag_takes_the_dags_of_all_use_cases(
    rendered: Callable[..., str], ask_airflow: Asked, tmp_path: Path
) -> None:
    file = tmp_path / "trunkline_dags.py"
    folder = {"kind": "folder", "usecase": "churn", "path": str(tmp_path)}
    file.write_text(
        rendered(
            sources={"inbox": folder},
            scheduler={"runs": {"churn": {"cron": "0 6 * * 1-5", "zone": "Europe/Rome"}, "towers": {"every": "PT1H"}}},
            dags={"owner": "marketing", "tags": ["north"], "deadline": "PT6H", "longest": "PT2H", "retries": 3},
        ),
        encoding="utf-8",
    )
    found = ask_airflow(_BAG, file, home=tmp_path)
    assert found["errors"] == {}
    dags = found["dags"]
    assert {f"{name}_{one}" for name in usecase_names() for one in ("ingest", "report")} <= set(dags)
    assert {f"{name}_{one}" for name in ("churn", "house_prices") for one in PIPELINES} <= set(dags)
    for name, dag in dags.items():
        deadline = None if name.endswith("_arrivals") else 21600  # it waits for as long as there is no file
        assert (dag["owner"], dag["documented"], dag["pushes"]) == ("marketing", True, [False])
        assert dag["deadline"] == deadline
        assert {"trunkline", "north"} <= set(dag["tags"])
        assert 3 in dag["retries"]
        assert len(dag["outlets"]) == 1, f"{name} announces one asset"
    assert dags["churn_evaluate"]["tasks"]["promote.rollout"] == ["promote.register"]
    assert dags["churn_train"]["longest"] == [600, 7200]
    assert {name: dags[name]["timetable"] for name in ("churn_ingest", "towers_ingest", "churn_train")} == {
        "churn_ingest": "AssetOrTimeSchedule",
        "towers_ingest": "DeltaTriggerTimetable",
        "churn_train": "AssetTriggeredTimetable",
    }
    towers = dags["towers_ingest"]["tasks"]
    assert towers["transform.customers_thresholds"] == ["validate.ingest"]
    for table in ("customer_service_metrics", "cell_tower_performance"):
        assert towers[f"transform.{table}"] == ["transform.customers_services"], "side by side"
    assert towers["watch.alarms"] == ["validate.ingest"]


def test_the_towers_make_both_tables_and_judge_nothing_while_no_counters_came(
    deployed: Callable[..., None], fresh_home: Callable[[Path], Path], ask_airflow: Asked, tmp_path: Path
) -> None:
    simulate_files(load_usecase("towers"), rows=20, seed=0, out=tmp_path / "made")
    sources = [str(path) for path in sorted((tmp_path / "made").iterdir()) if "-counters-" not in path.name]
    home = fresh_home(tmp_path / "airflow")
    file = home / "dags" / "trunkline_dags.py"
    deployed("towers", folder=tmp_path, out=file)
    conf = json.dumps({"run_id": "tested", "sources": sources})
    found = ask_airflow(_TEST, file, conf, "towers_ingest", home=home)["towers_ingest"]
    assert found["state"] == "success"
    assert {name: state for name, state in found["tasks"].items() if state != "success"} == {"alert": "skipped"}
    with Workspace(load_settings(workspace=tmp_path / "workspace")) as workspace:
        for table in ("customer_service_metrics", "cell_tower_performance"):
            assert workspace.lake.arrow(f"towers.{table}", columns=["_run_id"])["_run_id"].unique().to_pylist() == [
                "tested"
            ]
        assert not workspace.lake.exists("towers.alarms")


def test_the_five_run_the_device_upgrade_on_real_data(
    deployed: Callable[..., None],
    fresh_home: Callable[[Path], Path],
    ask_airflow: Asked,
    few_rows: Callable[[Path, int, Path], Path],
    data_dir: Path,
    tmp_path: Path,
) -> None:
    source = few_rows(data_dir / "cell2cell" / "train.csv.gz", 3_000, tmp_path / "subscribers.csv")
    home = fresh_home(tmp_path / "airflow")
    file = home / "dags" / "trunkline_dags.py"
    warehouse = f'[publish.sinks.warehouse]\nurl = "sqlite:///{tmp_path / "warehouse.db"}"\n'
    deployed("upgrade", folder=tmp_path, out=file, settings=warehouse)
    names = [f"upgrade_{one}" for one in PIPELINES]
    conf = json.dumps({"run_id": "tested", "sources": [str(source)]})
    found = ask_airflow(_TEST, file, conf, *names, home=home)
    assert {name: found[name]["state"] for name in names} == dict.fromkeys(names, "success")
    states = {task: state for name in names for task, state in found[name]["tasks"].items()}
    assert states.pop("alert") == "skipped"
    passed = documents(tmp_path / "workspace")["evaluate"]["passed"]
    skipped = (
        set() if passed else {"promote.register", "promote.rollout", "score.predict", "score.deliver", "watch.monitor"}
    )
    assert {task for task, state in states.items() if state == "skipped"} == skipped
    assert set(states.values()) <= {"success", "skipped"}
    assert (tmp_path / "workspace" / "runs" / "tested" / "report.html").is_file()

    # what is done is not done twice: a step that is repeated finds it done
    again = ask_airflow(_TEST, file, conf, "upgrade_train", home=home)
    assert again["upgrade_train"]["state"] == "success"

    if not passed:  # there is no champion, so there are no scores
        return
    scores = "SELECT count(*) FROM latest_upgrade_predictions"
    with sqlite3.connect(tmp_path / "warehouse.db") as database:
        assert database.execute(scores).fetchone() == (3_000,)
    # a sink that is down fails its task, and is told; what follows goes on
    down = warehouse.replace("warehouse", "other").replace(f"{tmp_path}/other.db", f"{tmp_path}/nowhere/other.db")
    deployed("upgrade", folder=tmp_path, out=file, settings=warehouse + down)
    (tmp_path / "nowhere").write_text("no folder")
    late = ask_airflow(_TEST, file, conf, "upgrade_predict", home=home)["upgrade_predict"]
    assert {name: late["tasks"][name] for name in ("score.deliver", "announce", "alert")} == {
        "score.deliver": "failed",
        "announce": "success",
        "alert": "success",
    }
    (tmp_path / "nowhere").unlink()
    (tmp_path / "nowhere").mkdir()
    ask_airflow(_TEST, file, conf, "upgrade_report", home=home)
    with sqlite3.connect(tmp_path / "nowhere" / "other.db") as database:
        assert database.execute(scores).fetchone() == (3_000,), "what was owed goes out with the report"


def documents(folder: Path) -> dict[str, Any]:
    """What each step of the only run of a workspace has left."""
    with Workspace(load_settings(workspace=folder)) as workspace:
        rows = workspace.lake.arrow("platform.steps").to_pylist()
    return {row["step"]: json.loads(row["document"]) for row in rows}


def test_a_refused_candidate_is_not_promoted_and_the_run_goes_on_to_its_report(
    deployed: Callable[..., None],
    fresh_home: Callable[[Path], Path],
    ask_airflow: Asked,
    repository: Path,
    tmp_path: Path,
) -> None:
    plugins = repository / "tests" / "plugins"
    simulate = load_usecase("leavers", plugin_dir=plugins).simulate
    assert simulate is not None
    rows = simulate(rows=300, seed=5).tables["subscribers"]
    noise = pa.array(np.random.default_rng(1).random(rows.num_rows) < 0.4)
    source = tmp_path / "rows.csv"
    pa_csv.write_csv(rows.set_column(rows.column_names.index("left"), "left", noise), source)
    home = fresh_home(tmp_path / "airflow")
    file = home / "dags" / "trunkline_dags.py"
    deployed("leavers", folder=tmp_path, out=file, settings=f'plugin_dir = "{plugins}"')
    names = [f"leavers_{one}" for one in PIPELINES]
    conf = json.dumps({"run_id": "refused", "sources": [str(source)]})
    found = ask_airflow(_TEST, file, conf, *names, home=home)
    assert {name: found[name]["state"] for name in names} == dict.fromkeys(names, "success")
    assert found["leavers_evaluate"]["tasks"] == {
        "judge.evaluate": "success",
        "promote.register": "skipped",
        "promote.rollout": "skipped",
        "announce": "success",
        "alert": "skipped",
    }
    skipped = {"score.predict": "skipped", "watch.monitor": "skipped", "announce": "success", "alert": "skipped"}
    assert found["leavers_predict"]["tasks"] == skipped, "there is no champion yet"
    assert "refused" in (tmp_path / "workspace" / "runs" / "refused" / "report.html").read_text()


def test_a_task_that_fails_raises_an_alert_and_bad_input_is_not_tried_again(
    deployed: Callable[..., None], fresh_home: Callable[[Path], Path], ask_airflow: Asked, tmp_path: Path
) -> None:
    home = fresh_home(tmp_path / "airflow")
    file = home / "dags" / "trunkline_dags.py"
    deployed("house_prices", folder=tmp_path, out=file)
    conf = json.dumps({"run_id": "broken", "sources": [str(tmp_path / "{{ nowhere }}'; touch bad; '.csv")]})
    found = ask_airflow(_TEST, file, conf, "house_prices_ingest", home=home)["house_prices_ingest"]
    assert found["state"] == "failed"
    assert found["tasks"] == {"validate.ingest": "failed", "announce": "upstream_failed", "alert": "success"}
    assert not list(tmp_path.rglob("bad")), "what a source is called is no command"

    with Workspace(load_settings(workspace=tmp_path / "workspace")) as workspace:
        (alert,) = workspace.lake.arrow("platform.alerts").to_pylist()
    assert (alert["usecase"], alert["run_id"], alert["severity"]) == ("house_prices", "broken", "major")
    assert "validate.ingest" in alert["text"]


def test_a_folder_that_cannot_be_looked_into_raises_an_alert(
    deployed: Callable[..., None], fresh_home: Callable[[Path], Path], ask_airflow: Asked, tmp_path: Path
) -> None:
    home = fresh_home(tmp_path / "airflow")
    file = home / "dags" / "trunkline_dags.py"
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    declared = f'[sources.inbox]\nkind = "folder"\nusecase = "house_prices"\npath = "{inbox}"\n'
    deployed("house_prices", folder=tmp_path, out=file, settings=declared)
    inbox.rmdir()
    found = ask_airflow(_TEST, file, json.dumps({}), "house_prices_arrivals", home=home)["house_prices_arrivals"]
    assert (found["state"], found["tasks"]) == (
        "failed",
        {"wait": "failed", "arrived": "upstream_failed", "alert": "success"},
    )
    with Workspace(load_settings(workspace=tmp_path / "workspace")) as workspace:
        (alert,) = workspace.lake.arrow("platform.alerts").to_pylist()
    assert (alert["title"], "wait" in alert["text"]) == ("the pipeline house_prices_arrivals failed", True)
