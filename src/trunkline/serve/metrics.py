"""What Prometheus may read of a server."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

__all__ = ["Metrics"]

_SECONDS = (0.0005, 0.001, 0.002, 0.003, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)


class Metrics:
    """The counters of one server; each has a registry of its own, so that two in one process do not clash.

    Args:
        waiting: Gives the records that the lake does not hold yet.
    """

    def __init__(self, *, waiting: Callable[[], int]) -> None:
        self._registry = CollectorRegistry()
        self.requests = Counter(
            "trunkline_requests", "Requests by route and status", ["route", "status"], registry=self._registry
        )
        self.seconds = Histogram(
            "trunkline_request_seconds",
            "Time from the first byte handed over to the last one sent, seconds",
            ["route"],
            buckets=_SECONDS,
            registry=self._registry,
        )
        self.predictions = Counter(
            "trunkline_predictions", "Rows answered", ["usecase", "model_version"], registry=self._registry
        )
        self.refused_rows = Counter(
            "trunkline_refused_rows", "Rows that broke their contract", ["usecase"], registry=self._registry
        )
        self.outcomes = Counter("trunkline_outcomes", "Outcomes received", ["usecase"], registry=self._registry)
        self.swaps = Counter(
            "trunkline_model_swaps", "New champions taken over without a restart", ["usecase"], registry=self._registry
        )
        Gauge(
            "trunkline_log_waiting_records", "Records in the durable log, not in the lake", registry=self._registry
        ).set_function(waiting)

        self._predictions: dict[tuple[str, str], Counter] = {}

    def count_predictions(self, usecase: str, *, version: str, rows: int) -> None:
        """Count answered rows; the counter of a version is looked up once."""
        counter = self._predictions.get((usecase, version))
        if counter is None:
            counter = self._predictions[usecase, version] = self.predictions.labels(usecase, version)
        counter.inc(rows)

    def text(self) -> bytes:
        """Give all of them in Prometheus' text format."""
        return generate_latest(self._registry)
