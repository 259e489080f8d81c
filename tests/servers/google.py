"""Emulators of Google's services: BigQuery's, which can be killed, and Pub/Sub's."""

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.servers.bigquery_front import Jobs, front_of
from tests.servers.processes import ROOT, Server, free_port

_BIGQUERY = ROOT / ".venv-bigquery" / "bin" / "bqemulator"
_READY_WITHIN_S = 90.0


@dataclass(frozen=True)
class BigQueryEmulator:
    """Where it listens: HTTP for jobs, gRPC for the Storage Read API."""

    endpoint: str
    storage: str


@pytest.fixture(scope="session")
def bigquery_emulator(bigquery_program: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BigQueryEmulator]:
    """An emulator of BigQuery, in an environment of its own."""
    assert bigquery_program.exists()
    with _bigquery(tmp_path_factory.mktemp("bigquery"), {}) as emulator:
        yield emulator


@pytest.fixture
def kept_bigquery(bigquery_program: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """An emulator of BigQuery that outlives ``kill -9`` with its rows, started."""
    assert bigquery_program.exists()
    folder, port = tmp_path_factory.mktemp("kept-bigquery"), free_port()
    jobs: Jobs = {}
    said = ("--persistent", "--data-dir", folder)
    server = Server(f"http://127.0.0.1:{port}", lambda: _bigquery(folder, jobs, *said, port=port, end=signal.SIGKILL))
    server.start()
    try:
        yield server
    finally:
        server.kill()


@pytest.fixture(scope="session")
def bigquery_program() -> Path:
    """The emulator's program; made where it is not there."""
    pytest.importorskip("google.cloud.bigquery", reason="the extra bigquery is not installed")
    uv = Path(sys.executable).with_name("uv")
    made = subprocess.run(
        ["sh", "scripts/bigquery.sh"],
        cwd=ROOT,
        env={**os.environ, "UV": str(uv)},
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode:
        pytest.skip(f"no emulator of BigQuery can be installed: {made.stderr.strip()[-300:]}")
    return _BIGQUERY


@contextmanager
def _bigquery(
    folder: Path, jobs: Jobs, *said: str | Path, port: int = 0, end: signal.Signals = signal.SIGTERM
) -> Iterator[BigQueryEmulator]:
    """Run the emulator for a ``with`` block that begins when it listens."""
    log = folder / "log"
    home = _BIGQUERY.parents[1] / "home"
    with log.open("wb") as stream:
        server = subprocess.Popen(
            [_BIGQUERY, "start", *said, "--rest-port", "0", "--grpc-port", "0", "--log-format", "json"],
            cwd=log.parent,
            env={**os.environ, "HOME": str(home)},
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
        )
    try:
        until = time.monotonic() + _READY_WITHIN_S
        while True:
            text = log.read_text(errors="replace")
            ports = {kind: found[1] for kind in ("rest", "grpc") if (found := _port(text, kind))}
            if len(ports) == 2:
                break
            assert server.poll() is None, text[-2000:]
            assert time.monotonic() < until, text[-2000:]
            threading.Event().wait(0.1)
        with front_of(int(ports["rest"]), port=port, jobs=jobs) as endpoint:
            yield BigQueryEmulator(endpoint, f"127.0.0.1:{ports['grpc']}")
    finally:
        server.send_signal(end)
        server.wait(timeout=30)


def _port(log: str, kind: str) -> re.Match[str] | None:
    return re.search(rf'"port": (\d+), "event": "{kind}\.listen"', log)


@pytest.fixture(scope="session")
def pubsub_emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """``host:port`` of Google's own emulator, or of what ``PUBSUB_EMULATOR_HOST`` names."""
    pytest.importorskip("google.cloud.pubsub_v1", reason="the extra pubsub is not installed")
    if named := os.environ.get("PUBSUB_EMULATOR_HOST"):
        yield named
        return
    gcloud = shutil.which("gcloud")
    homes = [Path("/usr/lib/google-cloud-sdk"), *([Path(gcloud).resolve().parents[1]] if gcloud else [])]
    jars = [jar for home in homes for jar in home.glob("platform/pubsub-emulator/lib/*-all.jar")]
    java = shutil.which("java")
    if not jars or java is None:
        pytest.skip("Pub/Sub's emulator is not installed: gcloud components install pubsub-emulator, and java")
    port = free_port()
    log = tmp_path_factory.mktemp("pubsub") / "log"
    with log.open("wb") as stream:
        server = subprocess.Popen(
            [java, "-Xmx256m", "-jar", jars[0], "--host=127.0.0.1", f"--port={port}"],
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
        )
    try:
        until = time.monotonic() + _READY_WITHIN_S
        while "Server started" not in log.read_text(errors="replace"):
            assert server.poll() is None, log.read_text(errors="replace")[-2000:]
            assert time.monotonic() < until, log.read_text(errors="replace")[-2000:]
            threading.Event().wait(0.1)
        yield f"127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(timeout=30)
