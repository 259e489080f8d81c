"""The publishing process is killed at every point that a sink names: after one more publish all is there, and once."""

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from tests.publish.conftest import Hook

from trunkline.publish.delivering import CRASH_POINTS as DELIVERING
from trunkline.settings.drills import VARIABLE

pytestmark = pytest.mark.slow

Trunkline = Callable[..., tuple[int, str, str]]
Put = Callable[[str, Sequence[str]], None]

FILES = ("publish.files.written", "publish.files.placed", "publish.files.noted")
WEBHOOK = ("publish.webhook.before_post", "publish.webhook.after_post", "publish.webhook.noted")


def killed_at_each(
    points: Sequence[str], to: Sequence[str], found: Callable[[], Counter[object]], put: Put, trunkline: Trunkline
) -> None:
    """Add two calls, publish them in a process that dies at a point, publish again, and count; for each point."""
    arguments = ("publish", "lines", *to)
    command = [sys.executable, "-m", "trunkline", *arguments]
    there: Counter[object] = Counter()
    for number, point in enumerate(points):
        new = [f"c{number}a", f"c{number}b"]
        put("calls", ("call_id,caller,minutes,called_on", *(f"{name},0170 1,3,2026-01-01" for name in new)))
        there.update(new)
        died = subprocess.run(command, env={**os.environ, VARIABLE: point}, capture_output=True, check=False)
        assert died.returncode == -signal.SIGKILL, f"nobody was killed at {point}: {died.stderr!r}"
        code, _, err = trunkline(*arguments)
        assert code == 0, f"after a kill at {point}: {err}"
        assert found() == there, f"after a kill at {point}"


def test_files_hold_every_row_once(put: Put, trunkline: Trunkline, tmp_path: Path) -> None:
    target = tmp_path / "out"
    target.mkdir()

    def found() -> Counter[object]:
        return Counter(
            name for file in target.glob("call_log/*.parquet") for name in pq.read_table(file)["call_id"].to_pylist()
        )

    killed_at_each((*FILES, *DELIVERING), ("--to", f"file://{target}", "--only", "call_log"), found, put, trunkline)


def test_a_receiver_that_looks_at_the_keys_gets_every_row_once(put: Put, trunkline: Trunkline, hook: Hook) -> None:
    pytest.importorskip("httpx2", reason="the extra rest is not installed")
    points = (*WEBHOOK, *DELIVERING)

    def found() -> Counter[object]:
        return Counter(row["call_id"] for body in hook.kept() for row in body["rows"])

    killed_at_each(points, ("--to", hook.url, "--only", "call_log"), found, put, trunkline)
    assert len(hook.taken) > len(points), "what was posted and not noted is posted again, under its key"
