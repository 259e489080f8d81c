"""Spark in this process, and a standalone cluster of its own processes: a master, two workers, a history server."""

import gc
import os
import re
import shutil
import subprocess
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import pytest

from trunkline.engine import Engine, open_engine
from trunkline.engine.spark.java import demand_java
from trunkline.errors import TrunklineError

START_S = 120
END_S = 20


@pytest.fixture(scope="session")
def java() -> None:
    """Skip where Spark cannot run, and say why."""
    pytest.importorskip("pyspark", reason="pyspark is not installed: pip install 'trunkline[spark]'")
    try:
        demand_java()
    except TrunklineError as error:
        pytest.skip(f"{error.what}: {error.next_step}")


@pytest.fixture(scope="session")
def spark(java: None) -> Iterator[Engine]:
    """One application for all tests that need no cluster."""
    with open_engine("spark", threads=1) as engine:
        assert engine.connection
        yield engine
    with warnings.catch_warnings(action="ignore", category=ResourceWarning):
        gc.collect()  # py4j leaves the sockets between Python and Java to it


@dataclass(frozen=True)
class Cluster:
    """A running cluster.

    Attributes:
        url: Of its master.
        workers: Folders in which the workers keep what their executors log.
        event_log: Folder of the event log.
        history: Address of the history server over that folder.
    """

    url: str
    workers: tuple[Path, ...]
    event_log: Path
    history: str


@pytest.fixture(scope="module")
def cluster(java: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """One master and two workers of one core each, on loopback and free ports."""
    folder = tmp_path_factory.mktemp("cluster")
    event_log = folder / "events"
    event_log.mkdir()
    with ExitStack() as running:

        def start(name: str, *command: str, says: str, **variables: str) -> str:
            return running.enter_context(Daemon(folder / f"{name}.log", command, variables)).said(says)

        master = start(
            *("master", "org.apache.spark.deploy.master.Master"),
            *("--host", "127.0.0.1", "--port", "0", "--webui-port", "0"),
            says=r"Starting Spark master at (spark://127\.0\.0\.1:\d+)",
            SPARK_MASTER_OPTS="-Dspark.master.rest.enabled=false",
        )
        workers = tuple(folder / f"worker{number}" for number in range(2))
        for place in workers:
            start(
                *(place.name, "org.apache.spark.deploy.worker.Worker", "--host", "127.0.0.1", "--webui-port", "0"),
                *("--cores", "1", "--memory", "1g", "--work-dir", str(place), master),
                says=r"(Successfully registered with master)",
            )
        port = start(
            *("history", "org.apache.spark.deploy.history.HistoryServer"),
            says=r"Bound HistoryServer to 127\.0\.0\.1, and started at http://\S+:(\d+)",
            SPARK_HISTORY_OPTS=f"-Dspark.history.fs.logDirectory={event_log.as_uri()} -Dspark.history.ui.port=0 "
            "-Dspark.history.fs.update.interval=1s",
        )
        yield Cluster(master, workers, event_log, f"http://127.0.0.1:{port}")


class Daemon:
    """A process of Spark's own, ended by its id."""

    def __init__(self, log: Path, command: tuple[str, ...], variables: Mapping[str, str]) -> None:
        import pyspark

        self.log = log
        home = Path(pyspark.__file__).parent
        environment = os.environ | {
            "SPARK_HOME": str(home),
            "SPARK_LOCAL_IP": "127.0.0.1",
            "SPARK_DAEMON_MEMORY": "512m",
            "SPARK_WORKER_DIR": str(log.parent),
        }
        with log.open("w") as output:
            self.process = subprocess.Popen(
                [str(shutil.which("bash")), str(home / "bin" / "spark-class"), *command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=log.parent,
                env=environment | dict(variables),
            )

    def said(self, pattern: str) -> str:
        """Wait until its log has a line, and give the part in parentheses."""

        def look() -> str | None:
            found = re.search(pattern, self.log.read_text(errors="replace"))
            if found is None and self.process.poll() is not None:
                pytest.fail(f"{self.log.stem} ended: {self.log.read_text(errors='replace')[-2000:]}")
            return found and found[1]

        return until(look, what=f"{self.log.stem} to say {pattern}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        try:
            self.process.wait(timeout=END_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def until(look: Callable[[], str | None], *, what: str) -> str:
    """Look again and again until there is something."""
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        found = look()
        if found:
            return found
        time.sleep(0.1)
    pytest.fail(f"waited {START_S} s for {what}")


@pytest.fixture(scope="session")
def until_there() -> Callable[..., str]:
    """Look again and again until there is something."""
    return until


@pytest.fixture(scope="session")
def clean_environment() -> dict[str, str]:
    """The environment without settings of Trunkline."""
    return {name: value for name, value in os.environ.items() if not name.startswith("TRUNKLINE_")}
