"""What Prometheus may read of the lake's tables: bytes, files, versions, and what they cost.

Takes a function that measures every table, which lists files and is called in a thread, at most every so often; between
two calls the figures stand still. A measurement that fails leaves the figures of the one before.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from trunkline.errors import TrunklineError
from trunkline.lake import Stock

__all__ = ["TableMetrics"]

_logger = logging.getLogger(__name__)
_LABELS: Final = ("table",)


class TableMetrics(Collector):
    """Tables as samples.

    Args:
        read: Measures every table, and says what it costs a month; called in any thread.
        every_s: Least time between two measurements, in seconds.
    """

    def __init__(self, read: Callable[[], Mapping[str, tuple[Stock, float]]], *, every_s: float = 60.0) -> None:
        self._read = read
        self._every_s = every_s
        self._next_s = 0.0
        self._lock = threading.Lock()
        self._samples: Mapping[str, tuple[Stock, float]] = {}

    def refresh(self) -> None:
        """Measure the tables, unless they were measured a moment ago."""
        with self._lock:
            if time.monotonic() < self._next_s:
                return
            try:
                self._samples = dict(self._read())
            except TrunklineError as error:
                # no traceback: it is a fault of the world, and the next one may go well
                _logger.error("the tables cannot be measured: %s", error.what)  # noqa: TRY400
            self._next_s = time.monotonic() + self._every_s

    def collect(self) -> Iterator[Metric]:
        """Give the samples of the last measurement."""
        size = GaugeMetricFamily(
            "trunkline_table_bytes",
            "Bytes of a table: live of its newest version, superseded of older ones, log",
            labels=(*_LABELS, "part"),
        )
        files = GaugeMetricFamily("trunkline_table_files", "Data files of its newest version", labels=_LABELS)
        versions = GaugeMetricFamily("trunkline_table_versions", "Versions that can be opened", labels=_LABELS)
        cost = GaugeMetricFamily(
            "trunkline_table_cost_per_month",
            "What all its bytes cost a month, by lake.price_per_gb_month",
            labels=_LABELS,
        )
        for table, (stock, price) in self._samples.items():
            for part, value in (
                ("live", stock.live_bytes),
                ("superseded", stock.superseded_bytes),
                ("log", stock.log_bytes),
            ):
                size.add_metric((table, part), value)
            files.add_metric((table,), stock.files)
            versions.add_metric((table,), stock.versions)
            cost.add_metric((table,), price)
        yield from (size, files, versions, cost)
