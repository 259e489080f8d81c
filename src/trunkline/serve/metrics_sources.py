"""What Prometheus may read of the sources of data, of this process, of the disk, and of tables where they are measured.

Takes a function that reads the state of all sources, which asks the lake and is called in a thread, at most every so
often; between two calls the figures stand still, and only the lag goes on. A read that fails leaves the figures of the
one before, and the instant of the last good one says so.
"""

import logging
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final, NamedTuple

from prometheus_client import ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from trunkline.errors import TrunklineError
from trunkline.serve.metrics_tables import TableMetrics

__all__ = ["PROBLEMS", "SourceMetrics", "SourceSample"]

PROBLEMS: Final = ("late", "empty", "small", "over_budget", "failed")
"""What may be wrong with a source; each has a gauge of 0 or 1."""

_LABELS: Final = ("usecase", "dataset", "source")
_logger = logging.getLogger(__name__)


class SourceSample(NamedTuple):
    """A source at one look.

    Attributes:
        usecase: The use case its rows belong to.
        dataset: The dataset.
        source: Its name.
        batches: Batches ever.
        accepted: Rows ever written to the lake.
        quarantined: Rows ever refused.
        duplicates: Rows ever left out as repetitions.
        seconds: Time that all batches took.
        size_bytes: Bytes of all batches as they came.
        errors: Files, pieces and pulls of it that were ever refused.
        last_at: Its last batch, UTC; None before the first.
        last_rows: Rows of the last batch by what became of them.
        last_seconds: Time that the last batch took.
        problems: Which of ``PROBLEMS`` it has.
    """

    usecase: str
    dataset: str
    source: str
    batches: int
    accepted: int
    quarantined: int
    duplicates: int
    seconds: float
    size_bytes: int
    errors: int
    last_at: datetime | None
    last_rows: dict[str, int]
    last_seconds: float
    problems: frozenset[str]


class SourceMetrics(Collector):
    """Sources, process and disk as samples.

    Args:
        read: Reads the state of all sources; called in any thread.
        workspace: Its disk is looked at.
        clock: Gives the current instant, UTC.
        every_s: Least time between two reads, in seconds.
        tables: Measures the lake's tables; None for nothing of them.
    """

    def __init__(
        self,
        read: Callable[[], Sequence[SourceSample]],
        *,
        workspace: Path,
        clock: Callable[[], datetime],
        every_s: float = 15.0,
        tables: TableMetrics | None = None,
    ) -> None:
        self._tables = tables
        self._read = read
        self._workspace = workspace
        self._clock = clock
        self._every_s = every_s
        self._next_s = 0.0
        self._lock = threading.Lock()
        self._samples: tuple[SourceSample, ...] = ()
        self._read_at: datetime | None = None
        self._process = ProcessCollector(registry=None)

    def refresh(self) -> None:
        """Read sources and tables, unless they were read a moment ago; takes as long as the lake does."""
        if self._tables is not None:
            self._tables.refresh()
        with self._lock:
            if time.monotonic() < self._next_s:
                return
            try:
                self._samples, self._read_at = tuple(self._read()), self._clock()
            except TrunklineError as error:
                # no traceback: it is a fault of the world, and the next read may go well
                _logger.error("the state of the sources cannot be read: %s", error.what)  # noqa: TRY400
            self._next_s = time.monotonic() + self._every_s

    def collect(self) -> Iterator[Metric]:
        """Give the samples of now."""
        yield from self._process.collect()
        disk = shutil.disk_usage(self._workspace)
        yield GaugeMetricFamily("trunkline_disk_free_bytes", "Bytes left on the disk of the workspace", disk.free)
        yield GaugeMetricFamily("trunkline_disk_bytes", "Bytes of the disk of the workspace", disk.total)
        if self._read_at is not None:
            yield GaugeMetricFamily(
                "trunkline_sources_read_timestamp_seconds",
                "When the state of the sources was last read, Unix time",
                self._read_at.timestamp(),
            )
        yield from self._sums()
        yield from self._last()
        if self._tables is not None:
            yield from self._tables.collect()

    def _sums(self) -> Iterator[Metric]:
        batches = CounterMetricFamily("trunkline_source_batches", "Batches taken in", labels=_LABELS)
        rows = CounterMetricFamily(
            "trunkline_source_rows", "Rows read, by what became of them", labels=(*_LABELS, "outcome")
        )
        seconds = CounterMetricFamily("trunkline_source_seconds", "Time that batches took, seconds", labels=_LABELS)
        size = CounterMetricFamily("trunkline_source_bytes", "Bytes read, as they came", labels=_LABELS)
        errors = CounterMetricFamily(
            "trunkline_source_errors", "Files, pieces and pulls that were refused or failed", labels=_LABELS
        )
        for one in self._samples:
            size.add_metric(one[:3], one.size_bytes)
            errors.add_metric(one[:3], one.errors)
            batches.add_metric(one[:3], one.batches)
            seconds.add_metric(one[:3], one.seconds)
            for outcome, count in (
                ("accepted", one.accepted),
                ("quarantined", one.quarantined),
                ("duplicate", one.duplicates),
            ):
                rows.add_metric((*one[:3], outcome), count)
        yield from (batches, rows, seconds, size, errors)

    def _last(self) -> Iterator[Metric]:
        rows = GaugeMetricFamily(
            "trunkline_source_last_rows", "Rows of the last batch, by what became of them", labels=(*_LABELS, "outcome")
        )
        seconds = GaugeMetricFamily(
            "trunkline_source_last_seconds", "Time the last batch took, seconds", labels=_LABELS
        )
        at = GaugeMetricFamily(
            "trunkline_source_last_batch_timestamp_seconds", "When the last batch was done, Unix time", labels=_LABELS
        )
        lag = GaugeMetricFamily("trunkline_source_lag_seconds", "Time since the last batch, seconds", labels=_LABELS)
        problem = GaugeMetricFamily(
            "trunkline_source_problem",
            "1 where the source is late, empty, unusually small, over its reject budget or failing",
            labels=(*_LABELS, "problem"),
        )
        now = self._clock()
        for one in self._samples:
            for name in PROBLEMS:
                problem.add_metric((*one[:3], name), float(name in one.problems))
            if one.last_at is None:
                continue
            for outcome, count in one.last_rows.items():
                rows.add_metric((*one[:3], outcome), count)
            seconds.add_metric(one[:3], one.last_seconds)
            at.add_metric(one[:3], one.last_at.timestamp())
            lag.add_metric(one[:3], (now - one.last_at).total_seconds())
        yield from (rows, seconds, at, lag, problem)
