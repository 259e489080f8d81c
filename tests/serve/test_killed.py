"""A server killed at a named point and started again: everything acknowledged is in the lake, once."""

import runpy
from pathlib import Path

import pytest

from trunkline.brokers.embedded import CRASH_POINTS as LOG_POINTS
from trunkline.serve.flusher import CRASH_POINTS

POINTS = [("serve.before_flush:2", "NORMAL"), ("serve.after_flush:2", "NORMAL"), ("log.after_commit:9", "FULL")]


@pytest.mark.slow
def test_killed_and_started_again(tmp_path: Path, repository: Path) -> None:
    drill = runpy.run_path(str(repository / "drills" / "serve_flusher.py"))
    found = drill["drill"](tmp_path, points=POINTS)
    assert found.pop("acknowledged") > 3 * 4 * 12
    assert found.pop("cut") >= 0
    assert found == {"drill": "serve_flusher", "points": 3, "lost": 0, "duplicated": 0, "passed": True}


def test_the_drill_knows_every_point(repository: Path) -> None:
    points = {
        point.partition(":")[0]
        for point, _ in runpy.run_path(str(repository / "drills" / "serve_flusher.py"))["POINTS"]
    }
    assert {*CRASH_POINTS, *LOG_POINTS} <= points
