"""Questions to the platform's tables: one page of one table, documents of steps, monitored numbers over time.

Takes a lake, gives plain rows. A table that does not exist yet has no rows. Only the newest state of a row counts.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from trunkline.checks import arrow_schema
from trunkline.console.listing import Page, Series
from trunkline.contracts.records import READINGS, RECORDS, STEPS, Reading
from trunkline.lake.versions import newest
from trunkline.stats.intervals import Interval

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from trunkline.lake import Lake

__all__ = ["Stored", "instant", "interval", "mapping", "page_of", "parsed", "series_of", "training_metrics", "whole"]

Stored = dict[str, object]
"""A row of a platform table by column."""

_SERIES_LENGTH: Final = 60
_FAMILIES: Final = ("performance", "estimate", "score_drift", "drift", "freshness", "volume")


def page_of(
    lake: "Lake",
    table: str,
    *,
    page: Page,
    equal: Mapping[str, str | None],
    newest_first: Sequence[str],
    then: Sequence[str] = (),
) -> tuple[list[Stored], int]:
    """Read one page of a platform table.

    Args:
        lake: The lake.
        table: One of ``contracts.records.RECORDS``.
        page: Which page.
        equal: Column to the value it must have; None does not filter.
        newest_first: Columns to order by, falling.
        then: Columns to order by after those, rising.

    Returns:
        The rows of the page, and the number of rows of all pages.
    """
    if not lake.exists(table):
        return [], 0
    wanted = {name: value for name, value in equal.items() if value is not None}

    def current(rows: "ir.Table") -> "ir.Table":
        contract = RECORDS[table]
        event_at = contract.table.event_at
        kept = newest(rows, key=contract.table.key, newest_by=[event_at] if event_at else [], table=table)
        for name, value in wanted.items():
            kept = kept.filter(kept[name] == value)
        return kept

    def counted(rows: "ir.Table") -> "ir.Table":
        kept = current(rows)
        return kept.aggregate(total=kept.count())

    def paged(rows: "ir.Table") -> "ir.Table":
        kept = current(rows)
        order = [*(kept[name].desc() for name in newest_first), *(kept[name].asc() for name in then)]
        return kept.order_by(order).limit(page.rows, offset=page.offset)

    schemas = {table: arrow_schema(RECORDS[table])}
    total = int(lake.collect(counted, table, schemas=schemas).column("total")[0].as_py())
    rows: list[Stored] = lake.collect(paged, table, schemas=schemas).to_pylist() if total else []
    return rows, total


def training_metrics(lake: "Lake", run_ids: Sequence[str]) -> dict[str, Stored]:
    """Read the metrics of the candidates that runs trained, as stored; runs that trained nothing are left out."""
    if not run_ids or not lake.exists(STEPS):
        return {}

    def metrics(rows: "ir.Table") -> "ir.Table":
        trained = rows.filter((rows["step"] == "train") & rows["run_id"].isin(list(run_ids)))
        # taken out in the engine: a whole document holds curves and weighs a hundred times as much
        found = trained["document"].cast("json")["report"]["metrics"].cast("string")
        return trained.select("run_id", metrics=found)

    rows = lake.collect(metrics, STEPS, schemas={STEPS: arrow_schema(RECORDS[STEPS])}).to_pylist()
    return {str(row["run_id"]): parsed(str(row["metrics"] or "{}")) for row in rows}


def series_of(lake: "Lake", *, usecase: str | None, family: str | None) -> tuple[Series, ...]:
    """Read monitored numbers over time, those whose newest reading is beyond its limit first.

    Args:
        lake: The lake.
        usecase: Only of this use case.
        family: Only of this family.

    Returns:
        One series per use case, family, metric and subject, each with its newest few dozen readings.
    """
    if not lake.exists(READINGS):
        return ()

    def recent(rows: "ir.Table") -> "ir.Table":
        import ibis

        kept = newest(rows, key=("reading_id",), newest_by=("read_at",), table=READINGS)
        for name, value in (("usecase", usecase), ("family", family)):
            if value is not None:
                kept = kept.filter(kept[name] == value)
        of_series = ibis.window(
            group_by=["usecase", "family", "metric", "subject"],
            order_by=[ibis.desc("read_at"), ibis.desc("reading_id")],
        )
        place = ibis.row_number().over(of_series)
        return kept.filter(place < _SERIES_LENGTH).order_by(["read_at", "reading_id"])

    rows = lake.collect(recent, READINGS, schemas={READINGS: arrow_schema(Reading)}).to_pylist()
    groups: dict[tuple[str, str, str, str], list[Reading]] = {}
    for row in rows:
        reading = Reading.model_validate(row)
        key = (reading.usecase, reading.family, reading.metric, reading.subject)
        groups.setdefault(key, []).append(reading)
    series = [Series(*key, tuple(readings)) for key, readings in groups.items()]
    series.sort(key=_importance)
    return tuple(series)


def _importance(series: Series) -> tuple[bool, str, int, str, bool, str]:
    return (
        not series.newest.crossed,
        series.usecase,
        _FAMILIES.index(series.family),
        series.subject,
        series.metric != "psi",
        series.metric,
    )


def parsed(text: str) -> Stored:
    """Read a JSON object; anything else is an empty one, so that one odd document does not take a page down."""
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def mapping(document: Mapping[str, object], name: str) -> Stored:
    """Give an object inside a document; an empty one where there is none."""
    found = document.get(name)
    return found if isinstance(found, dict) else {}


def interval(found: object) -> Interval | None:
    """Read an interval from a document; None where there is none."""
    if not isinstance(found, dict):
        return None
    ends = [found.get(name) for name in ("value", "low", "high")]
    numbers = [float(end) for end in ends if isinstance(end, int | float)]
    return Interval(*numbers) if len(numbers) == 3 else None


def whole(value: object) -> int:
    """Read a whole number of a row."""
    assert isinstance(value, int)
    return value


def instant(value: object) -> datetime:
    """Read an instant of a row, UTC."""
    assert isinstance(value, datetime)
    return value.astimezone(UTC)
