"""Watching what is live: drift, performance and the health of sources, and alerts where limits are crossed."""

from trunkline.monitor.readings import (
    Window,
    alerts_of,
    drift_readings,
    estimate_readings,
    performance_readings,
    score_readings,
)
from trunkline.monitor.sources import SourceHealth, SourceKey, health_of, source_alerts, source_of, source_readings

__all__ = [
    "SourceHealth",
    "SourceKey",
    "Window",
    "alerts_of",
    "drift_readings",
    "estimate_readings",
    "health_of",
    "performance_readings",
    "score_readings",
    "source_alerts",
    "source_of",
    "source_readings",
]
