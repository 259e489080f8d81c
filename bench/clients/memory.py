"""Peak memory of processes, as the tests measure it."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from tests.memory import own_peak_mb, peak_mb

__all__ = ["own_peak_mb", "peak_mb"]
