"""What Prometheus reads of sources, process and disk; that a page is not waited for, and a fault is survived."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from trunkline.errors import UnavailableError
from trunkline.serve.metrics import Metrics
from trunkline.serve.metrics_sources import SourceMetrics, SourceSample

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
SAMPLE = SourceSample(
    usecase="leaving",
    dataset="customers",
    source='/in/"a"-*.csv',
    batches=3,
    accepted=300,
    quarantined=4,
    duplicates=2,
    seconds=9.5,
    size_bytes=123_456,
    errors=5,
    last_at=AT - timedelta(hours=2),
    last_rows={"accepted": 90, "quarantined": 3, "duplicate": 0},
    last_seconds=3.5,
    problems=frozenset({"late"}),
)
NEVER = SAMPLE._replace(source="api", last_at=None, last_rows={}, problems=frozenset())


def metrics(read: Callable[[], list[SourceSample]], tmp_path: Path, *, every_s: float = 15.0) -> Metrics:
    return Metrics(
        waiting=lambda: 0, sources=SourceMetrics(read, workspace=tmp_path, clock=lambda: AT, every_s=every_s)
    )


def values(made: Metrics) -> dict[tuple[str, ...], float]:
    made.refresh()
    return {
        (sample.name, *(sample.labels[name] for name in ("source", "outcome", "problem") if name in sample.labels)): (
            sample.value
        )
        for family in text_string_to_metric_families(made.text().decode())
        for sample in family.samples
    }


def test_sources_process_and_disk_are_there(tmp_path: Path) -> None:
    found = values(metrics(lambda: [SAMPLE, NEVER], tmp_path))
    source = SAMPLE.source
    assert found["trunkline_source_rows_total", source, "accepted"] == 300
    assert found["trunkline_source_rows_total", source, "quarantined"] == 4
    assert found["trunkline_source_rows_total", source, "duplicate"] == 2
    assert found["trunkline_source_batches_total", source] == 3
    assert found["trunkline_source_seconds_total", source] == 9.5
    assert found["trunkline_source_bytes_total", source] == 123_456
    assert found["trunkline_source_errors_total", source] == 5
    assert found["trunkline_source_last_rows", source, "accepted"] == 90
    assert found["trunkline_source_last_seconds", source] == 3.5
    assert found["trunkline_source_last_batch_timestamp_seconds", source] == (AT - timedelta(hours=2)).timestamp()
    assert found["trunkline_source_lag_seconds", source] == 7200
    assert [found["trunkline_source_problem", source, name] for name in ("late", "empty", "small", "over_budget")] == [
        1, 0, 0, 0,
    ]  # fmt: skip
    assert ("trunkline_source_lag_seconds", "api") not in found, "what never came has no lag"
    assert found["trunkline_disk_free_bytes",] > 0
    assert found["process_resident_memory_bytes",] > 1e6
    assert found["process_cpu_seconds_total",] > 0


def test_the_lake_is_asked_once_in_a_while(tmp_path: Path) -> None:
    asked: list[int] = []

    def read() -> list[SourceSample]:
        asked.append(1)
        return [SAMPLE]

    made = metrics(read, tmp_path)
    for _ in range(5):
        values(made)
    assert len(asked) == 1
    often = metrics(read, tmp_path, every_s=0.0)
    for _ in range(5):
        values(often)
    assert len(asked) == 6


def test_a_lake_that_does_not_answer_leaves_the_figures(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    answers: list[list[SourceSample] | None] = [[SAMPLE], None]

    def read() -> list[SourceSample]:
        found = answers.pop(0)
        if found is None:
            raise UnavailableError("the store refused", where="s3://secret")
        return found

    made = metrics(read, tmp_path, every_s=0.0)
    first, second = values(made), values(made)
    name = ("trunkline_source_rows_total", SAMPLE.source, "accepted")
    assert first[name] == second[name] == 300
    assert "the state of the sources cannot be read: the store refused" in caplog.text
    assert "s3://secret" not in caplog.text
