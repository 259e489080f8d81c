"""Killed at a named point and started again: every row once, an exact receipt. The drill goes through all points."""

import runpy
from pathlib import Path

import pytest

from trunkline.ingest import CRASH_POINTS


@pytest.mark.slow
@pytest.mark.parametrize("point", ["ingest.after_quarantine", "lake.after_commit:2", "ingest.after_rows"])
def test_killed_and_started_again(point: str, tmp_path: Path, repository: Path) -> None:
    drill = runpy.run_path(str(repository / "drills" / "ingest_kill.py"))
    assert drill["drill"](tmp_path, points=[point]) == {
        "drill": "ingest_kill", "points": 1, "lost": 0, "duplicated": 0, "passed": True
    }  # fmt: skip


def test_the_drill_knows_every_point(repository: Path) -> None:
    assert set(CRASH_POINTS) <= set(runpy.run_path(str(repository / "drills" / "ingest_kill.py"))["POINTS"])


@pytest.mark.slow
def test_files_a_folder_and_a_database_by_command_and_many_at_once(tmp_path: Path, repository: Path) -> None:
    drill = runpy.run_path(str(repository / "drills" / "ingest.py"))["drill"]
    found = drill(tmp_path, every=13, moments=0, seconds=6.0, changes=False)
    assert (found["lost"], found["duplicated"], found["passed"]) == (0, 0, True)
