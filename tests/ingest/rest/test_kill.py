"""Killed while it pulls, and started again: every row once. The drill goes through all points and more moments."""

import runpy
from pathlib import Path

import pytest

from trunkline.ingest import CRASH_POINTS as INGEST_POINTS
from trunkline.ingest.landing import CRASH_POINTS as LANDING_POINTS
from trunkline.ingest.pulling import CRASH_POINTS as PULL_POINTS


@pytest.mark.slow
def test_killed_and_started_again(tmp_path: Path, repository: Path) -> None:
    drill = runpy.run_path(str(repository / "drills" / "rest_pull.py"))
    assert drill["drill"](tmp_path, points=["landing.after_file:4", "pull.after_piece:1"], moments=1) == {
        "drill": "rest_pull", "points": 2, "moments": 1, "lost": 0, "duplicated": 0, "passed": True
    }  # fmt: skip


def test_the_drill_knows_every_point(repository: Path) -> None:
    points = runpy.run_path(str(repository / "drills" / "rest_pull.py"))["POINTS"]
    assert {*INGEST_POINTS, *LANDING_POINTS, *PULL_POINTS} <= {point.partition(":")[0] for point in points}
