"""An emulator of BigQuery on loopback, in an environment of its own; skipped where it cannot be installed."""

import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[3]
_PROGRAM = _ROOT / ".venv-bigquery" / "bin" / "bqemulator"
_READY_WITHIN_S = 60.0


@dataclass(frozen=True)
class Emulator:
    """Where it listens: HTTP for jobs, gRPC for the Storage Read API."""

    endpoint: str
    storage: str


@pytest.fixture(scope="session")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    uv = Path(sys.executable).with_name("uv")
    made = subprocess.run(
        ["sh", "scripts/bigquery.sh"],
        cwd=_ROOT,
        env={**os.environ, "UV": str(uv)},
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode:
        pytest.skip(f"no emulator of BigQuery can be installed: {made.stderr.strip()[-300:]}")
    log = tmp_path_factory.mktemp("bigquery") / "log"
    home = _PROGRAM.parents[1] / "home"
    with log.open("wb") as stream:
        server = subprocess.Popen(
            [_PROGRAM, "start", "--rest-port", "0", "--grpc-port", "0", "--log-format", "json"],
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
        yield Emulator(f"http://127.0.0.1:{ports['rest']}", f"127.0.0.1:{ports['grpc']}")
    finally:
        server.terminate()
        server.wait(timeout=30)


def _port(log: str, kind: str) -> re.Match[str] | None:
    return re.search(rf'"port": (\d+), "event": "{kind}\.listen"', log)
