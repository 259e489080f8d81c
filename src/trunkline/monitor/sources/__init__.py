"""Health of sources, told from the receipts of their batches: late, empty, unusually small, over the reject budget.

Takes receipts, the declared sources and an instant; gives one record per source with what is wrong, and the readings
and alerts that follow. Pure. A source that never delivered has no receipts: it is found by its declaration alone.

Read downwards: ``health`` says what is known of a source, ``belonging`` which source a receipt belongs to, ``judging``
what is wrong with it, and ``announcing`` makes readings and alerts of that.
"""

from trunkline.monitor.sources.announcing import source_alerts, source_readings
from trunkline.monitor.sources.belonging import source_of
from trunkline.monitor.sources.health import Arrival, Finding, Problem, SourceHealth, SourceKey
from trunkline.monitor.sources.judging import health_of

__all__ = [
    "Arrival",
    "Finding",
    "Problem",
    "SourceHealth",
    "SourceKey",
    "health_of",
    "source_alerts",
    "source_of",
    "source_readings",
]
