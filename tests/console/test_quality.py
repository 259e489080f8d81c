"""The page of data quality: what receipts say, by day, rule, source, column and contract."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from tests.console.conftest import USECASE

from trunkline.console.intake import Intake
from trunkline.console.quality import dataset_quality, quality_charts
from trunkline.contracts.records import Receipt
from trunkline.lake import Lake
from trunkline.monitor import health_of
from trunkline.report.charts import Freshness, freshness_chart
from trunkline.report.drawing import draw

if TYPE_CHECKING:
    from tests.console.conftest import Console

Append = Callable[[Lake, str, Sequence[Mapping[str, object]]], None]
AT = datetime(2026, 3, 1, 12, tzinfo=UTC)  # the clock of the console


def receipt(days_ago: int, *, rows: int = 100, refused: int = 0, **more: object) -> dict[str, object]:
    at = AT - timedelta(days=days_ago)
    return {
        "batch_id": f"b-{days_ago}-{more.get('source', '')}",
        "run_id": f"run-{days_ago}",
        "usecase": "leaving",
        "dataset": "customers",
        "source": f"/in/customers-{at:%Y%m%d}.csv",
        "piece": None,
        "content_sha256": "ab",
        "contract_fingerprint": "older" if days_ago > 10 else "newer",
        "read": rows,
        "accepted": rows - refused,
        "quarantined": refused,
        "duplicates": 0,
        "reasons": json.dumps({"tenure_months.type": refused, "<b>rule</b>": 1} if refused else {}),
        "absent_columns": json.dumps(["remark"]),
        "extra_columns": json.dumps(["Loyalty <i>"] if days_ago < 3 else []),
        "mapping": None,
        "table_version": 0,
        "started_at": at - timedelta(seconds=3.25),
        "finished_at": at,
        **more,
    }


def test_an_empty_workspace_says_that_nothing_came(empty: "Console") -> None:
    assert "nothing yet" in empty.text("/console/quality")
    said = empty.text("/console/quality/leaving/customers")
    assert "Nothing came in during the last 30 days" in said
    assert "No source has delivered" in said


@pytest.mark.slow
def test_days_rules_sources_columns_and_contracts_are_shown(empty: "Console", append: Append) -> None:
    rows = [receipt(days) for days in range(4, 20)] + [receipt(0, rows=40, refused=10), receipt(2, rows=200)]
    append(empty.lake, "platform.receipts", rows)
    page, said = empty.page("/console/quality/leaving/customers"), empty.text("/console/quality/leaving/customers")
    for part in (
        "18 batches of the last 30 days",
        "1,840",  # read
        "10 rows in quarantine",
        "customers-*.csv",
        "unusually small",
        "30 rows were taken in, usually about 100",
        "Loyalty &lt;i&gt; unknown to the contract",
        "remark lacking, taken as null",
        "older",
        "newer",
        "tenure_months.type 10 0.54 %",
    ):
        assert part in said, part
    assert "&lt;b&gt;rule" in page
    for chart in ("rows", "refused", "rejects", "freshness", "durations"):
        assert f'id="chart-{chart}"' in page
    assert "<script" not in page
    week = empty.text("/console/quality/leaving/customers?days=7")
    assert "5 batches of the last 7 days" in week
    listed = empty.text("/console/quality")
    assert "leaving.customers 2026-03-01 12:00 0 s ago 18 1,840" in listed
    assert "unusually small" in listed


def test_what_needs_a_look_is_listed_first(empty: "Console", append: Append) -> None:
    def said(name: str, days: int) -> dict[str, object]:
        return receipt(days, usecase=name, batch_id=f"{name}-{days}", run_id=f"{name}-{days}")

    append(empty.lake, "platform.receipts", [said("fine", 20), *(said("late", days) for days in range(9, 4, -1))])
    usecases = {name: replace(USECASE, name=name) for name in ("empty", "fine", "late")}
    found = Intake(usecases, declared={}, reject_budget=None).quality(empty.lake, days=30, now=AT)
    assert [one.usecase for one in found] == ["late", "fine", "empty"]
    assert [finding.problem for finding in found[0].sources[0].findings] == ["late"]


def test_the_sum_of_the_days_is_the_sum_of_the_receipts() -> None:
    receipts = [Receipt.model_validate(receipt(days, rows=days + 1, refused=days % 3)) for days in range(40)]
    health = health_of(receipts, attempts=[], declared={}, mains={}, budgets={}, now=AT)
    found = dataset_quality(
        "leaving", "customers", receipts=receipts, health=health, declared={}, fingerprint="newer", budget=0.1,
        newest_event_at=None, days=30, now=AT,
    )  # fmt: skip
    assert len(found.days) == 30
    assert found.days[-1].day == AT.date()
    assert found.read == sum(one.read for one in receipts[:30])
    assert found.quarantined == sum(one.quarantined for one in receipts[:30])
    assert found.accepted + found.quarantined + found.duplicates == found.read
    assert dict(found.reasons)["tenure_months.type"] == found.quarantined
    assert [(one.fingerprint, one.batches, one.is_current) for one in found.contracts] == [
        ("newer", 11, True),
        ("older", 29, False),
    ]
    for chart in quality_charts(found):
        assert draw(chart).svg == draw(chart).svg
        assert "NaN" not in draw(chart).svg


@pytest.mark.parametrize("days", ["0", "367", "x"])
def test_a_span_that_cannot_be_is_refused(empty: "Console", days: str) -> None:
    assert empty.client.get(f"/console/quality?days={days}").status_code == 422


def attempt(source: str, *, refused: int, dataset: str | None) -> dict[str, object]:
    return {
        "attempt_id": f"{source} {refused} {dataset}",
        "run_id": "r",
        "usecase": "leaving",
        "dataset": dataset,
        "source": source,
        "outcome": "refused" if refused else "taken",
        "taken": 1,
        "read": 1,
        "refused": refused,
        "error": "SchemaError" if refused else None,
        "said": None,
        "refused_rows": None,
        "refused_read": None,
        "budget": None,
        "attempted_at": AT,
    }


def test_states_of_sources_count_bytes_and_refusals(empty: "Console", append: Append) -> None:
    source = "/in/customers-20260301.csv"
    receipts = [receipt(0, source=source, bytes=1_000), receipt(1, bytes=500), receipt(2)]
    append(empty.lake, "platform.receipts", receipts)
    attempts = [
        attempt("/in/customers-*.csv", refused=1, dataset="customers"),
        attempt("/in/customers-*.csv", refused=0, dataset="customers"),
        attempt("/in/customers-*.csv", refused=1, dataset=None),
        attempt("/in/customers-*.csv", refused=7, dataset="payments"),
    ]
    append(empty.lake, "platform.attempts", attempts)
    found, other = empty.reader.sources()
    assert (other.health.key.dataset, other.batches, other.errors) == ("payments", 0, 7)
    assert (found.size_bytes, found.errors) == (1_500, 2)


def test_states_of_sources_count_everything(empty: "Console", append: Append) -> None:
    append(empty.lake, "platform.receipts", [receipt(days, refused=1) for days in (0, 1, 500)])
    (found,) = empty.reader.sources()
    assert (found.batches, found.accepted, found.quarantined, found.seconds) == (3, 297, 3, 9.75)
    assert len(found.health.arrivals) == 2, "health looks at the history alone"


@pytest.mark.parametrize(
    ("hours", "limit", "unit", "drawn"),
    [(0.5, 1.0, "Minutes", (30.0, 60.0)), (5.0, None, "Hours", (5.0, None)), (12.0, 96.0, "Days", (0.5, 4.0))],
)
def test_freshness_is_drawn_in_a_unit_that_fits(
    hours: float, limit: float | None, unit: str, drawn: tuple[float, float | None]
) -> None:
    chart = freshness_chart([Freshness("drop", hours, limit, is_late=False)])
    assert chart.reading.startswith(f"{unit} since the last batch")
    values = json.dumps([{"label": "drop", "value": drawn[0], "limit": drawn[1], "colour": "var(--one)"}])
    assert values in json.dumps(chart.spec)
