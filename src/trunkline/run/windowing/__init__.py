"""Windows over streams, kept fresh: computed for what came since, scored, announced, each once.

Takes a use case's declarations and the lake; writes one table per declaration and alerts. The rules are in
docs/windows.md.
"""

from trunkline.run.windowing.following import WindowThread, window_thread
from trunkline.run.windowing.refreshing import CRASH_POINTS, Refreshed, refresh_windows

__all__ = ["CRASH_POINTS", "Refreshed", "WindowThread", "refresh_windows", "window_thread"]
