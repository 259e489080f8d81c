"""Watching what is live: readings of drift and performance, and alerts where they cross their limits."""

from trunkline.monitor.readings import (
    Window,
    alerts_of,
    drift_readings,
    estimate_readings,
    performance_readings,
    score_readings,
)

__all__ = ["Window", "alerts_of", "drift_readings", "estimate_readings", "performance_readings", "score_readings"]
