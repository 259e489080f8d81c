"""What Prometheus reads of tables, and that a fault is survived."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from trunkline.errors import UnavailableError
from trunkline.lake import Stock
from trunkline.serve.metrics import Metrics
from trunkline.serve.metrics_sources import SourceMetrics
from trunkline.serve.metrics_tables import TableMetrics

CALLS = Stock(
    files=3,
    live_bytes=1_000,
    superseded_files=2,
    superseded_bytes=500,
    versions=7,
    log_files=9,
    log_bytes=90,
)

Read = Callable[[], Mapping[str, tuple[Stock, float]]]


def values(read: Read, folder: Path, *, times: int = 1) -> dict[tuple[str, ...], float]:
    clock = datetime(2026, 3, 1, tzinfo=UTC)
    tables = TableMetrics(read, every_s=0.0)
    made = Metrics(waiting=lambda: 0, sources=SourceMetrics(list, workspace=folder, clock=lambda: clock, tables=tables))
    for _ in range(times):
        made.refresh()
    return {
        (sample.name, *(sample.labels[name] for name in ("table", "part") if name in sample.labels)): sample.value
        for family in text_string_to_metric_families(made.text().decode())
        for sample in family.samples
    }


def test_tables_are_there(tmp_path: Path) -> None:
    found = values(lambda: {"phone.calls": (CALLS, 0.25)}, tmp_path)
    assert {part: found["trunkline_table_bytes", "phone.calls", part] for part in ("live", "superseded", "log")} == {
        "live": 1_000,
        "superseded": 500,
        "log": 90,
    }
    assert found["trunkline_table_files", "phone.calls"] == 3
    assert found["trunkline_table_versions", "phone.calls"] == 7
    assert found["trunkline_table_cost_per_month", "phone.calls"] == 0.25


def test_a_lake_that_does_not_answer_leaves_the_figures_of_before(tmp_path: Path) -> None:
    looks: list[int] = []

    def read() -> Mapping[str, tuple[Stock, float]]:
        looks.append(1)
        if len(looks) > 1:
            raise UnavailableError("no answer")
        return {"phone.calls": (CALLS, 0.25)}

    assert values(read, tmp_path, times=3)["trunkline_table_files", "phone.calls"] == 3
    assert len(looks) == 3
