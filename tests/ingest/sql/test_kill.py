"""Killed while it follows a table, or takes a new snapshot, and started again. The drill goes through all points."""

import runpy
from pathlib import Path

import pytest

from trunkline.ingest import CRASH_POINTS as INGEST_POINTS
from trunkline.ingest.gone import CRASH_POINTS as GONE_POINTS
from trunkline.ingest.landing import CRASH_POINTS as LANDING_POINTS
from trunkline.ingest.pulling import CRASH_POINTS as PULL_POINTS


@pytest.mark.servers
@pytest.mark.parametrize("server", ["postgresql", "mariadb"])
def test_killed_and_started_again(server: str, tmp_path: Path, repository: Path) -> None:
    drill = runpy.run_path(str(repository / "drills" / "change_pull.py"))
    found = drill["drill"](
        tmp_path,
        servers=[server],
        points=["landing.after_record:6"],
        gap_points=["lake.after_commit:5"],
        moments=0,
    )
    assert found == {
        "drill": "change_pull", "points": 2, "moments": 0, "lost": 0, "duplicated": 0, "passed": True
    }  # fmt: skip


def test_the_drill_knows_every_point(repository: Path) -> None:
    drill = runpy.run_path(str(repository / "drills" / "change_pull.py"))
    assert {*INGEST_POINTS, *LANDING_POINTS, *PULL_POINTS} <= {point.partition(":")[0] for point in drill["POINTS"]}
    assert set(GONE_POINTS) <= {point.partition(":")[0] for point in drill["GAP_POINTS"]}
