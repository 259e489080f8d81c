"""Airflow as it runs at a user's: a file is dropped, and five DAGs follow one another, each triggered by an asset."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from trunkline.run import Workspace
from trunkline.settings import load_settings

pytestmark = pytest.mark.airflow

PIPELINES = ("ingest", "train", "evaluate", "predict", "report")
LINKED = """deadline = "PT5S"
console_url = "https://console.example"
mlflow_url = "https://mlflow.example"
"""
LATE = "the pipeline upgrade_train missed its deadline"
LISTENS = "0A"
LOOPBACK = ("0100007F", "00000000000000000000000001000000", "0000000000000000FFFF00000100007F")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Airflow:
    """A running Airflow, asked over its API."""

    def __init__(self, port: int, processes: list["subprocess.Popen[bytes]"], home: Path) -> None:
        self._base = f"http://127.0.0.1:{port}"
        self._processes = processes
        self._home = home
        self._token = ""

    def ask(self, path: str) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        with urllib.request.urlopen(urllib.request.Request(self._base + path, headers=headers), timeout=20) as answer:
            found = json.load(answer)
        assert isinstance(found, dict)
        return found

    def wait_until_healthy(self, longest_s: float) -> None:
        until = time.monotonic() + longest_s
        while True:
            self.refuse_dead()
            try:
                health = self.ask("/api/v2/monitor/health")
                if all(health[one]["status"] == "healthy" for one in ("scheduler", "dag_processor", "metadatabase")):
                    self._token = self.ask("/auth/token")["access_token"]
                    return
            except OSError:
                pass
            assert time.monotonic() < until, "Airflow did not become healthy"
            time.sleep(0.5)

    def runs(self) -> dict[str, list[dict[str, Any]]]:
        found: dict[str, list[dict[str, Any]]] = {}
        for run in self.ask("/api/v2/dags/~/dagRuns?limit=100&order_by=id")["dag_runs"]:
            found.setdefault(run["dag_id"], []).append(run)
        return found

    def successes(self, names: Sequence[str], longest_s: float) -> dict[str, list[dict[str, Any]]]:
        """Wait until each of these DAGs has one run, and that a good one."""
        until = time.monotonic() + longest_s
        while True:
            self.refuse_dead()
            runs = self.runs()
            states = {name: [run["state"] for run in runs.get(name, [])] for name in names}
            assert not any("failed" in some for some in states.values()), self.said()
            if all(some == ["success"] for some in states.values()):
                return runs
            assert time.monotonic() < until, f"{states}\n{self.said()}"
            time.sleep(1)

    def events(self) -> dict[str, list[dict[str, Any]]]:
        found: dict[str, list[dict[str, Any]]] = {}
        for event in self.ask("/api/v2/assets/events?limit=100&order_by=timestamp")["asset_events"]:
            found.setdefault(event["name"], []).append(event["extra"])
        return found

    def refuse_dead(self) -> None:
        for process in self._processes:
            assert process.poll() is None, f"{process.args!r} ended: {self.said()}"

    def said(self) -> str:
        logs = [*self._home.glob("*.log"), *self._home.glob("logs/dag_id=*/**/*.log")]
        return "\n".join(f"== {log}\n{log.read_text(errors='replace')[-1500:]}" for log in logs)

    def listening(self) -> set[str]:
        """Addresses beyond loopback on which its processes listen, in the kernel's hexadecimal form."""
        sessions = {process.pid for process in self._processes}
        sockets = set()
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if os.getsid(int(folder.name)) in sessions:
                    sockets |= {str(one.readlink()) for one in (folder / "fd").iterdir()}
            except OSError:
                continue
        found = set()
        for table in ("/proc/net/tcp", "/proc/net/tcp6"):
            for line in Path(table).read_text().splitlines()[1:]:
                fields = line.split()
                address = fields[1].partition(":")[0]
                if fields[3] == LISTENS and f"socket:[{fields[9]}]" in sockets and address not in LOOPBACK:
                    found.add(fields[1])
        return found


@contextmanager
def running(python: Path, home: Path, environment: Mapping[str, str]) -> Iterator[Airflow]:
    """Start the three processes that asset-triggered runs need, without the servers of logs, which bind wider."""
    port = free_port()
    variables = {
        **environment,
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__API_AUTH__JWT_SECRET": "only-for-this-test-" + "x" * 48,
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{port}/execution/",
        "AIRFLOW__CORE__PARALLELISM": "3",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
        "AIRFLOW__DAG_PROCESSOR__PARSING_PROCESSES": "1",
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "INFO",
        "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT": "60",
    }
    processes = []
    try:
        for command in (("api-server",), ("scheduler", "--skip-serve-logs"), ("dag-processor",)):
            with (home / f"{command[0]}.log").open("wb") as log:
                processes.append(
                    subprocess.Popen(
                        [python, "-m", "airflow", *command],
                        cwd=home,
                        env=variables,
                        stdin=subprocess.DEVNULL,
                        stdout=log,
                        stderr=subprocess.STDOUT,
                        start_new_session=True,
                    )
                )
        yield Airflow(port, processes, home)
    finally:
        for number, patience_s in ((signal.SIGTERM, 10.0), (signal.SIGKILL, 10.0)):
            for process in processes:
                try:
                    os.killpg(process.pid, number)
                except ProcessLookupError:
                    continue
            for process in processes:
                try:
                    process.wait(patience_s)
                except subprocess.TimeoutExpired:
                    continue


def documents(folder: Path) -> dict[str, dict[str, Any]]:
    """What each step of the only run of a workspace has left."""
    with Workspace(load_settings(workspace=folder)) as workspace:
        rows = workspace.lake.arrow("platform.steps").to_pylist()
    return {row["step"]: json.loads(row["document"]) for row in rows}


def rows_of(folder: Path, table: str, *columns: str) -> list[tuple[Any, ...]]:
    """Columns of a table of a workspace, in the order of the first; nothing that hangs on the hour."""
    with Workspace(load_settings(workspace=folder)) as workspace:
        found = workspace.lake.arrow(
            f"platform.{table}",
            columns=list(columns),
            where=(lambda rows: rows["family"] != "freshness") if table == "readings" else None,
        )
    return sorted(zip(*(found.column(name).to_pylist() for name in columns), strict=True), key=repr)


def alerts(folder: Path) -> list[dict[str, Any]]:
    """The alerts of a workspace."""
    with Workspace(load_settings(workspace=folder)) as workspace:
        found: list[dict[str, Any]] = workspace.lake.arrow("platform.alerts").to_pylist()
    return found


def judged(folder: Path) -> dict[str, Any]:
    """Metrics, findings by parts, gates and version of the only run; of a latency only whether it passed."""
    steps = documents(folder)
    told_of = ("metrics", "test_metrics", "slices", "fairness", "importances", "equality")
    told = {name: steps["train"]["report"][name] for name in told_of}
    gates = [
        (gate["name"], gate["passed"], None if gate["name"] == "latency" else gate["value"])
        for gate in steps["evaluate"]["gates"]
    ]
    return {**told, "gates": gates, "rollout": steps["rollout"]}


def test_a_dropped_file_of_subscribers_is_followed_to_the_report_by_assets_alone(
    airflow_python: Path,
    deployed: Callable[..., None],
    fresh_home: Callable[[Path], Path],
    quiet_environment: Callable[[Path], dict[str, str]],
    data_dir: Path,
    tmp_path: Path,
) -> None:
    source = data_dir / "cell2cell" / "train.csv.gz"
    if not source.is_file():
        pytest.skip(f"the real data is not here: no file {source}")
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    home = fresh_home(tmp_path / "airflow")
    declared = f'[sources.inbox]\nkind = "folder"\nusecase = "upgrade"\npath = "{inbox}"\nsettle_s = 0.5\n'
    file = home / "dags" / "trunkline_dags.py"
    deployed("upgrade", folder=tmp_path, out=file, settings=declared, dags=LINKED)
    names = [f"upgrade_{one}" for one in PIPELINES]

    together, alone = tmp_path / "workspace", tmp_path / "alone"
    command = (sys.executable, "-m", "trunkline", "run", "upgrade", "--source", "inbox", "--workspace", alone, "--json")

    with running(airflow_python, home, quiet_environment(home)) as airflow:
        airflow.wait_until_healthy(120)
        assert airflow.listening() == set(), "nothing listens beyond loopback"
        assert not any(name in airflow.runs() for name in names), "nothing runs before there is a file"
        shutil.copy(source, inbox / "subscribers.csv.gz")
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, cwd=tmp_path, env=quiet_environment(home)) as whole:
            runs = airflow.successes(names, longest_s=450)
        assert whole.returncode == 0
        assert airflow.listening() == set(), "nothing listens beyond loopback"
        events = airflow.events()

    for name in names:
        (run,) = runs[name]
        assert run["run_type"] == "asset_triggered", "nobody triggered it by hand, and no clock"
        assert run["dag_run_id"].startswith("asset_triggered__")
    (arrived,) = events["upgrade.arrivals"]
    assert arrived["sources"] == ["inbox"]
    leaves = [events[f"upgrade.{one}"] for one in ("data", "candidate", "verdict", "predictions", "report")]
    run_ids = {tuple(event["run_ids"]) for (event,) in leaves}
    assert len(run_ids) == 1, "one run of Trunkline goes through all five"
    ((run_id,),) = run_ids
    page, versions = f"https://console.example/console/runs/{run_id}/report", "https://mlflow.example/#/models/upgrade"
    for (event,) in leaves:
        assert event["links"] == {run_id: {"report": page, "mlflow": versions}}
    late = {alert["title"]: alert for alert in alerts(together)}[LATE]
    assert runs["upgrade_train"][0]["dag_run_id"] in late["text"], "no five seconds are enough to learn"
    assert (late["run_id"], late["severity"]) == (run_id, "minor")
    assert (together / "runs" / run_id / "report.html").is_file()

    scored = rows_of(together, "predictions", "entity_key", "score", "decision")
    assert len(scored) == 51_047, "every subscriber of the table"
    assert scored == rows_of(alone, "predictions", "entity_key", "score", "decision")
    assert judged(together) == judged(alone)
    assert judged(together)["metrics"]["roc_auc"]["value"] >= 0.74
    # who of them is held out hangs on the key of a workspace
    for table, columns in (
        ("audiences", ("entity_key", "segment", "offer", "score", "expected_value")),
        ("readings", ("metric", "subject", "value", "crossed")),
    ):
        found = rows_of(together, table, *columns)
        assert found
        assert found == rows_of(alone, table, *columns)
