"""What Prometheus may read of a server.

The event loop counts in plain integers of its own; they become samples when somebody asks. The locks and look-ups of
``prometheus_client``'s counters cost more than the rest of the bookkeeping of an answer.
"""

import time
from bisect import bisect_left
from collections.abc import Callable, Iterator
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from trunkline.serve.metrics_sources import SourceMetrics

__all__ = ["Metrics", "Predictions", "RouteCounts"]

_SECONDS: Final = (0.0005, 0.001, 0.002, 0.003, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)


class RouteCounts:
    """What the requests of one route came to; used by the event loop only.

    Attributes:
        statuses: Requests by HTTP status.
        seconds: Sum of their times, seconds.
        buckets: Requests by the smallest limit of ``_SECONDS`` that their time does not exceed; the last one is beyond.
    """

    def __init__(self) -> None:
        self.statuses = {200: 0, 422: 0}
        self.seconds = 0.0
        self.buckets = [0] * (len(_SECONDS) + 1)
        self.created = time.time()

    def add(self, status: int, *, seconds: float) -> None:
        """Count a request.

        Args:
            status: Its HTTP status.
            seconds: What it took.
        """
        self.statuses[status] = self.statuses.get(status, 0) + 1
        self.seconds += seconds
        self.buckets[bisect_left(_SECONDS, seconds)] += 1


class Predictions:
    """Rows answered by one version of a use case's model; used by the event loop only."""

    def __init__(self) -> None:
        self.rows = 0
        self.created = time.time()


class Metrics:
    """The counters of one server; each has a registry of its own, so that two in one process do not clash.

    Args:
        waiting: Gives the records that the lake does not hold yet.
        sources: Gives samples of sources, process and disk; None gives none.
    """

    def __init__(self, *, waiting: Callable[[], int], sources: SourceMetrics | None = None) -> None:
        self._registry = CollectorRegistry()
        self._sources = sources
        if sources is not None:
            self._registry.register(sources)
        self.routes: dict[str, RouteCounts] = {}
        self.predictions: dict[tuple[str, str], Predictions] = {}
        self._registry.register(_OnTheLoop(self))
        self.refused_rows = Counter(
            "trunkline_refused_rows", "Rows that broke their contract", ["usecase"], registry=self._registry
        )
        self.outcomes = Counter("trunkline_outcomes", "Outcomes received", ["usecase"], registry=self._registry)
        self.taken = Counter(
            "trunkline_edge_records",
            "Records that came over the HTTP edge",
            ["table", "verdict"],
            registry=self._registry,
        )
        self.swaps = Counter(
            "trunkline_model_swaps", "New champions taken over without a restart", ["usecase"], registry=self._registry
        )
        Gauge(
            "trunkline_log_waiting_records", "Records in the durable log, not in the lake", registry=self._registry
        ).set_function(waiting)

    def route(self, name: str) -> RouteCounts:
        """Give the counts of a route; several endpoints may share them."""
        return self.routes.setdefault(name, RouteCounts())

    def count_predictions(self, usecase: str, *, version: str, rows: int) -> None:
        """Count answered rows."""
        counts = self.predictions.get((usecase, version))
        if counts is None:
            counts = self.predictions[usecase, version] = Predictions()
        counts.rows += rows

    def count_taken(self, table: str, *, accepted: int, refused: int) -> None:
        """Count records of the HTTP edge."""
        self.taken.labels(table, "accepted").inc(accepted)
        self.taken.labels(table, "refused").inc(refused)

    def refresh(self) -> None:
        """Read what lies in the lake, if that is due; to be called in a thread before :meth:`text`."""
        if self._sources is not None:
            self._sources.refresh()

    def text(self) -> bytes:
        """Give all of them in Prometheus' text format."""
        return generate_latest(self._registry)


class _OnTheLoop(Collector):
    """Turns what the event loop counted into samples."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        """Give the samples of now."""
        requests = CounterMetricFamily("trunkline_requests", "Requests by route and status", labels=("route", "status"))
        seconds = HistogramMetricFamily(
            "trunkline_request_seconds",
            "Time from the first byte handed over to the last one sent, seconds",
            labels=("route",),
        )
        for route, counts in self._metrics.routes.items():
            for status, count in counts.statuses.items():
                requests.add_metric((route, str(status)), count, created=counts.created)
            buckets, total = [], 0
            for limit, count in zip((*map(str, _SECONDS), "+Inf"), counts.buckets, strict=True):
                total += count
                buckets.append((limit, float(total)))
            seconds.add_metric((route,), buckets, counts.seconds)
        predictions = CounterMetricFamily("trunkline_predictions", "Rows answered", labels=("usecase", "model_version"))
        for labels, answered in self._metrics.predictions.items():
            predictions.add_metric(labels, answered.rows, created=answered.created)
        yield from (requests, seconds, predictions)
