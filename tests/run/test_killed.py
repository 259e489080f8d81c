"""Some points of the drill ``churn_run``; `make drill ONLY=churn_run` takes them all."""

import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
@pytest.mark.parametrize("point", ["ingest.after_rows", "registry.after_decision", "run.after_promote"])
def test_a_killed_run_is_completed_by_repeating_it(repository: Path, point: str) -> None:
    done = subprocess.run(
        [sys.executable, repository / "drills" / "churn_run.py", point],
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    verdict = json.loads(done.stdout)
    assert (verdict["points"], verdict["lost"], verdict["duplicated"], verdict["passed"]) == (1, 0, 0, True)
