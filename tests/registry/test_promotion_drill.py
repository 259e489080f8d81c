"""A process killed at any point of registering, promoting or rolling back leaves a whole registry."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

DRILL = Path(__file__).parents[2] / "drills" / "registry_promotion.py"


@pytest.mark.slow
def test_killed_at_any_point_nothing_is_lost_doubled_or_half_promoted() -> None:
    done = subprocess.run([sys.executable, str(DRILL)], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "drill": "registry_promotion",
        "points": 38,
        "lost": 0,
        "duplicated": 0,
        "passed": True,
    }
