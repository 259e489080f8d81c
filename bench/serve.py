"""One row over HTTP: Trunkline, ``mlflow models serve`` and a bare ASGI application, in one run on this machine.

All three answer for one churn model, trained here on simulated subscribers: an equal blend of logistic regression,
XGBoost and LightGBM, as real tables give it. Trunkline does all its work: routing, the
contract's checks, the features, the model, the durable log before the answer, and moving the log into the lake
meanwhile. MLflow is measured twice. ``mlflow models serve`` has the whole model, wrapped as its documentation advises
for one with preparation of its own (``peers/mlflow_model.py``): it takes the same row by name and computes the same
features. ``mlflow, graph only`` has no more than the ONNX graph, by MLflow's onnx flavor, and is given the numbers the
graph reads: no names, no features, not the service that a client needs, but the fastest MLflow can be. The bare
application (``peers/bare_asgi.py``) is given the same numbers, calls ONNX Runtime and answers.

One client program for all (``clients/http_load.py``), rounds in turn, warm-up in each, medians over the rounds. In the
end the rows in the lake are counted: there must be as many as answers. Prints one JSON line per measure.
"""

import argparse
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

HERE = Path(__file__).resolve().parent
CLIENT = HERE / "clients" / "http_load.py"
WRAPPED = HERE / "peers" / "mlflow_model.py"
BARE = HERE / "peers" / "bare_asgi.py"
USECASE = "churn"
ROWS = 5_000


@dataclass(frozen=True)
class Server:
    """A server under test.

    Attributes:
        name: Its name in the output.
        port: Where it listens.
        path: What is asked.
        body: File with the request.
    """

    name: str
    port: int
    path: str
    body: Path


def train(folder: Path) -> None:
    """Train a churn model, register and promote it, and write down the request of each server."""
    import mlflow.onnx
    import mlflow.pyfunc
    import numpy as np
    import onnx
    import pandas as pd

    from trunkline.checks import edge_validator, table_from_rows
    from trunkline.plugins import load_usecase
    from trunkline.registry import NoTracker, Registry
    from trunkline.settings import RegistrySettings
    from trunkline.tasks import Classification

    usecase = load_usecase(USECASE)
    assert usecase.simulate is not None
    assert isinstance(usecase.task, Classification)
    raw = usecase.simulate(rows=ROWS, seed=0).tables[usecase.main]
    body = json.dumps(raw.to_pylist(), default=str).encode()
    rows = [one.row for one in edge_validator(usecase.contract).rows(body) if not one.reasons]
    table = table_from_rows(usecase.contract, rows)
    # On the simulator's rows a logistic regression alone wins; real tables are answered by a blend with boosters.
    blend = dict.fromkeys(("logistic_regression", "xgboost", "lightgbm"), 1 / 3)
    learners = tuple(learner for learner in usecase.task.learners if learner.name in blend)
    recipe = usecase.task.model_copy(update={"tune": "none", "folds": 3, "learners": learners, "weights": blend})
    model = recipe.present_in(table).train(table, seed=0).model
    model.save(folder / "model")
    registry = Registry(
        folder / "workspace", settings=RegistrySettings(), clock=lambda: datetime.now(UTC), follower=NoTracker()
    )
    version = registry.register(USECASE, folder / "model", run_id="bench", metrics={}, tags={}, evidence=[]).version
    registry.promote(USECASE, version, approver="bench", evidence=None)

    row = {name: value for name, value in rows[0].items() if value is not None and name != usecase.task.label}
    (folder / "row.json").write_text(json.dumps(row))
    numbers = model.base.from_table(table.slice(0, 1))
    plain = [value if np.isfinite(value) else None for value in numbers[0].tolist()]
    (folder / "numbers.json").write_text(json.dumps(plain))
    (folder / "graph.json").write_text(json.dumps({"inputs": [plain]}))
    frame = pd.DataFrame([row])
    split = {"columns": list(row), "data": [list(row.values())]}
    (folder / "mlflow.json").write_text(json.dumps({"dataframe_split": split}))
    mlflow.pyfunc.save_model(
        str(folder / "mlflow"),
        python_model=str(WRAPPED),
        artifacts={"model": str(folder / "model")},
        signature=mlflow.models.infer_signature(frame, np.array([0.5])),
    )
    signature = mlflow.models.infer_signature(numbers, np.array([0.5], dtype=np.float32))
    mlflow.onnx.save_model(onnx.load(folder / "model" / "model.onnx"), str(folder / "graph"), signature=signature)


def serve(workspace: Path, port: int, synchronous: str) -> None:
    """Serve with Trunkline until told to stop; the body of a process of its own."""
    from trunkline.engine import open_engine
    from trunkline.lake import Lake
    from trunkline.plugins import load_usecase
    from trunkline.serve import create_app, listen
    from trunkline.settings import BrokerSettings, LakeSettings, ServeSettings

    def now() -> datetime:
        return datetime.now(UTC)

    app = create_app(
        workspace,
        usecases={USECASE: load_usecase(USECASE)},
        lake=lambda: Lake(workspace / "lake", engine=open_engine(), settings=LakeSettings(), clock=now),
        clock=now,
        log=BrokerSettings.model_validate({"synchronous": synchronous}),
    )
    listen(app, settings=ServeSettings(port=port), announce=lambda url: print(url, flush=True))


def logged_rows(workspace: Path) -> int:
    """Count the predictions in the lake."""
    from trunkline.engine import open_engine
    from trunkline.lake import Lake
    from trunkline.settings import LakeSettings

    with open_engine() as engine:
        lake = Lake(workspace / "lake", engine=engine, settings=LakeSettings(), clock=lambda: datetime.now(UTC))
        rows: int = lake.arrow("platform.predictions", columns=["prediction_id"]).num_rows
        return rows


@contextmanager
def running(command: list[str], *, health: str, folder: Path) -> Iterator[None]:
    """Run a server until the block ends; waits until it answers."""
    with (folder / "servers.log").open("ab") as output:
        process = subprocess.Popen(
            command,
            stdout=output,
            stderr=output,
            start_new_session=True,
            env={
                **os.environ,
                "MLFLOW_DISABLE_TELEMETRY": "true",
                "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            },
        )
        try:
            wait_for(health, process)
            yield
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(60)


def wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    """Wait until a URL answers.

    Raises:
        RuntimeError: The process ended, or two minutes passed.
    """
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"the server ended with {process.returncode}: {process.args!r}")
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except urllib.error.HTTPError:
            return  # it answers, if only that it does not know the path
        except OSError:
            time.sleep(0.2)
    raise RuntimeError(f"no answer from {url}")


def free_port() -> int:
    """Find a free port on loopback."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def load(server: Server, *, connections: int, seconds: float) -> dict[str, float]:
    """Load a server from a process of its own."""
    command = [sys.executable, str(CLIENT), str(server.port), server.path, str(server.body), str(connections)]
    done = subprocess.run([*command, str(seconds), "1"], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{server.name}: {done.stderr[-500:]}")
    found: dict[str, float] = json.loads(done.stdout)
    return found


def measured(servers: list[Server], *, connections: int, rounds: int, seconds: float) -> dict[str, dict[str, float]]:
    """Load all servers in turn, several times; gives medians by server, and all requests that were answered."""
    runs: dict[str, list[dict[str, float]]] = {server.name: [] for server in servers}
    for _ in range(rounds):
        for server in servers:
            runs[server.name].append(load(server, connections=connections, seconds=seconds))
    return {
        name: {
            **{measure: median(run[measure] for run in found) for measure in found[0]},
            "requests": sum(run["requests"] for run in found),
        }
        for name, found in runs.items()
    }


def show(case: str, found: Mapping[str, Mapping[str, float]], *, targets: Mapping[str, float] | None = None) -> None:
    """Print one line: ours, the peers beside it, and what has to be reached."""
    ours = found["trunkline"]
    line: dict[str, object] = {
        "bench": "serve",
        "case": case,
        "per_second": round(ours["per_second"], 1),
        "p50_ms": round(ours["p50_ms"], 3),
        "p99_ms": round(ours["p99_ms"], 3),
        "ratio": {
            name: round(ours["per_second"] / peer["per_second"], 3)
            for name, peer in found.items()
            if name != "trunkline"
        },
        "peers": {
            name: {measure: round(peer[measure], 3) for measure in ("per_second", "p50_ms", "p99_ms")}
            for name, peer in found.items()
            if name != "trunkline"
        },
    }
    if targets:
        line["targets"] = dict(targets)
    print(json.dumps(line), flush=True)


def main() -> None:
    """Train, start all servers, measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="rounds per measure; the median counts")
    parser.add_argument("--seconds", type=float, default=5.0, help="seconds of load per round, after 1 s of warm-up")
    parser.add_argument("--serve", nargs=3, metavar=("WORKSPACE", "PORT", "SYNCHRONOUS"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve(Path(arguments.serve[0]), int(arguments.serve[1]), arguments.serve[2])
        return
    with tempfile.TemporaryDirectory(prefix="trunkline-bench-") as name:
        folder = Path(name)
        train(folder)
        shutil.copytree(folder / "workspace", folder / "full")
        answered = 0
        with ExitStack() as stack:

            def start(command: list[str], health: str) -> None:
                stack.enter_context(running(command, health=health, folder=folder))

            ports = [free_port() for _ in range(5)]
            ours = [sys.executable, __file__, "--serve"]
            start([*ours, str(folder / "workspace"), str(ports[0]), "NORMAL"], f"http://127.0.0.1:{ports[0]}/v2")
            start(
                [sys.executable, str(BARE), str(folder / "model/model.onnx"), str(ports[1])],
                f"http://127.0.0.1:{ports[1]}/",
            )
            for port, model in ((ports[2], "mlflow"), (ports[4], "graph")):
                mlflow = [str(Path(sys.executable).parent / "mlflow"), "models", "serve", "-m", str(folder / model)]
                start([*mlflow, "--env-manager", "local", "-p", str(port)], f"http://127.0.0.1:{port}/ping")
            servers = [
                Server("trunkline", ports[0], f"/v1/{USECASE}/predict", folder / "row.json"),
                Server("bare ASGI", ports[1], "/", folder / "numbers.json"),
                Server("mlflow models serve", ports[2], "/invocations", folder / "mlflow.json"),
                Server("mlflow, graph only", ports[4], "/invocations", folder / "graph.json"),
            ]
            for connections in (1, 16):
                found = measured(servers, connections=connections, rounds=arguments.rounds, seconds=arguments.seconds)
                targets = {"mlflow models serve": 10.0, "bare ASGI": 0.5}
                show(
                    f"one row, {connections} connection{'s' if connections > 1 else ''}",
                    found,
                    targets={"p99_ms": 3.0, **targets} if connections == 1 else targets,
                )
                answered += int(found["trunkline"]["requests"])
            start([*ours, str(folder / "full"), str(ports[3]), "FULL"], f"http://127.0.0.1:{ports[3]}/v2")
            full = [Server("trunkline", ports[3], f"/v1/{USECASE}/predict", folder / "row.json"), servers[1]]
            for connections in (1, 16):
                found = measured(full, connections=connections, rounds=arguments.rounds, seconds=arguments.seconds)
                show(f"one row, {connections} connection(s), surviving a power cut (FULL)", found)
        logged = logged_rows(folder / "workspace")
        print(json.dumps({"bench": "serve", "case": "answers in the lake", "answers": answered, "rows": logged}))
        if logged != answered:
            sys.exit("the lake does not hold exactly the answers")


if __name__ == "__main__":
    main()
