"""An alert is there within the length of its window: real events, a real server, a reader of the lake's files."""

import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_an_alert_is_there_within_its_window(repository: Path, tmp_path: Path) -> None:
    server = subprocess.Popen(
        [sys.executable, "-m", "trunkline", "serve", "--port", "0", "--workspace", str(tmp_path)],
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert server.stderr is not None
        told = next(line for line in server.stderr if line.startswith("trunkline serves http"))
        client = repository / "bench" / "clients" / "alert_delays.py"
        port = told.strip().rpartition(":")[2]
        done = subprocess.run(
            [sys.executable, str(client), str(tmp_path), port, "4", "1"],
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
    finally:
        server.terminate()
        server.communicate(timeout=60)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert {rule: len(delays) for rule, delays in found["delays"].items()} == {"battery_low": 2, "falls_silent": 2}
    for rule, delays in found["delays"].items():
        assert 0 < delays[0] <= delays[-1] <= found["window_s"][rule], found
