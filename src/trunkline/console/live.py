"""What comes in right now: rate, refusals, freshness, lag, the last readings and windows of each use case.

Takes an opened lake and the installed use cases, gives one picture of the last two minutes. Devices have no names here:
who may look at the page need not know whose they are.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from trunkline.checks import arrow_schema
from trunkline.console.live_charts import LastReadings, last_readings
from trunkline.contracts.records import RECEIPTS, Receipt
from trunkline.features.windows import START
from trunkline.ingest.receipts import ACCEPTED_AT
from trunkline.run.topic_lags import TopicLag

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from trunkline.lake import Lake
    from trunkline.spec import UseCase
    from trunkline.spec.windows import Windowed

__all__ = ["SPAN_S", "Curve", "Live", "Stream", "live_of"]

SPAN_S: Final = 120
"""Seconds that are looked at."""

_RATE_S: Final = 10
_MOST_WINDOWS: Final = 5_000
_MOST_CURVES: Final = 6
_MOST_MEASURES: Final = 4
_MOST_REASONS: Final = 3


@dataclass(frozen=True)
class Stream:
    """One dataset that rows came into.

    Attributes:
        usecase: The use case.
        dataset: The dataset.
        per_second: Rows taken in a second, over the last ten seconds.
        refused: Rows refused within the span.
        reasons: The most frequent reasons of those, with their rows.
        seconds: Since the last batch was done.
        fresh_s: Longest time from the acceptance of a record to its rows in the lake, over the last ten seconds with
            batches, in seconds; None where no log or broker accepted them.
        rates: Rows taken in during each second of the span, the oldest first.
    """

    usecase: str
    dataset: str
    per_second: float
    refused: int
    reasons: tuple[tuple[str, int], ...]
    seconds: float
    fresh_s: float | None
    rates: tuple[float, ...]


@dataclass(frozen=True)
class Curve:
    """One measure of one device's last windows.

    Attributes:
        table: Use case and windows.
        device: Its number on this page, from 1.
        measure: The field.
        unit: Its unit; empty where it has none.
        values: The oldest first.
    """

    table: str
    device: int
    measure: str
    unit: str
    values: tuple[float | None, ...]

    @property
    def last(self) -> float | None:
        """The newest value that there is."""
        return next((value for value in reversed(self.values) if value is not None), None)


@dataclass(frozen=True)
class Live:
    """What comes in.

    Attributes:
        at: When this was read, UTC.
        streams: Datasets into which rows came within the span.
        curves: The last windows of some devices.
        readings: The last readings of some devices.
        lags: How far the declared topics are ahead of the lake.
    """

    at: datetime
    streams: tuple[Stream, ...]
    curves: tuple[Curve, ...]
    readings: tuple[LastReadings, ...] = ()
    lags: tuple[TopicLag, ...] = ()


def live_of(lake: "Lake", usecases: "Mapping[str, UseCase]", *, now: datetime, lags: Sequence[TopicLag] = ()) -> Live:
    """Read what comes in.

    Args:
        lake: The lake.
        usecases: Those that are installed.
        now: UTC.
        lags: How far the declared topics are ahead of the lake.
    """
    return Live(
        now,
        tuple(_streams(lake, usecases, now)),
        tuple(_curves(lake, usecases, now)),
        tuple(last_readings(lake, usecases, now=now)),
        tuple(lags),
    )


def _streams(lake: "Lake", usecases: "Mapping[str, UseCase]", now: datetime) -> Iterator[Stream]:
    if not lake.exists(RECEIPTS):
        return
    since = now - timedelta(seconds=SPAN_S)
    rows = lake.arrow(
        RECEIPTS,
        columns=["usecase", "dataset", "accepted", "quarantined", "reasons", "notes", "finished_at"],
        schema=arrow_schema(Receipt),
        where=lambda table: table["finished_at"] >= since,
    ).to_pylist()
    for usecase, dataset in sorted({(row["usecase"], row["dataset"]) for row in rows}):
        if usecase not in usecases or dataset not in usecases[usecase].datasets:
            continue
        mine = [row for row in rows if (row["usecase"], row["dataset"]) == (usecase, dataset)]
        rates = [0.0] * SPAN_S
        for row in mine:
            place = int((row["finished_at"] - since).total_seconds())
            rates[min(max(place, 0), SPAN_S - 1)] += row["accepted"]
        yield Stream(
            usecase,
            dataset,
            sum(rates[-_RATE_S:]) / _RATE_S,
            sum(int(row["quarantined"]) for row in mine),
            _reasons(mine),
            max(0.0, (now - max(row["finished_at"] for row in mine)).total_seconds()),
            _fresh_s(mine),
            tuple(rates),
        )


def _reasons(receipts: "Sequence[Mapping[str, Any]]") -> tuple[tuple[str, int], ...]:
    counts: Counter[str] = Counter()
    for receipt in receipts:
        counts.update(json.loads(receipt["reasons"]))
    return tuple(counts.most_common(_MOST_REASONS))


def _fresh_s(receipts: "Sequence[Mapping[str, Any]]") -> float | None:
    """Longest time that a record of the newest chunks waited for the lake, seconds."""
    told = [
        (receipt["finished_at"], datetime.fromisoformat(notes[ACCEPTED_AT]))
        for receipt in receipts
        if ACCEPTED_AT in (notes := json.loads(receipt["notes"] or "{}"))
    ]
    since = max((done for done, _ in told), default=datetime.max.replace(tzinfo=UTC)) - timedelta(seconds=_RATE_S)
    return max(((done - accepted).total_seconds() for done, accepted in told if done >= since), default=None)


def _curves(lake: "Lake", usecases: "Mapping[str, UseCase]", now: datetime) -> Iterator[Curve]:
    for usecase in usecases.values():
        for name, windowed in usecase.windows.items():
            table = usecase.table_name(name)
            if lake.exists(table):
                yield from _of_windows(table, windowed, _newest(lake, table, windowed, now))


def _newest(lake: "Lake", table: str, windowed: "Windowed", now: datetime) -> "list[dict[str, object]]":
    """The windows that were computed last, by device and begin, the newest of each."""
    import ibis

    names = [*windowed.key, *_measures(windowed)]

    def recent(rows: "ir.Table") -> "ir.Table":
        fresh = rows.filter(rows["_ingested_at"] >= ibis.literal(now - timedelta(minutes=10)))
        return fresh.order_by(ibis.desc("_ingested_at")).limit(_MOST_WINDOWS).select(*names, "_ingested_at")

    found: dict[tuple[object, ...], dict[str, object]] = {}
    for row in lake.collect(recent, table).to_pylist():  # the newest come first
        found.setdefault(tuple(row[name] for name in windowed.key), row)
    return list(found.values())


def _measures(windowed: "Windowed") -> dict[str, str]:
    """The numbers that are shown, with their units: scores first."""
    columns = [column for column in windowed.contract.columns if column.kind == "number"]
    columns.sort(key=lambda column: column.name not in windowed.scores)
    return {column.name: column.unit or "" for column in columns[:_MOST_MEASURES]}


def _of_windows(table: str, windowed: "Windowed", rows: "Sequence[dict[str, object]]") -> Iterator[Curve]:
    devices: dict[tuple[object, ...], list[dict[str, object]]] = {}
    for row in rows:
        devices.setdefault(tuple(row[name] for name in windowed.by), []).append(row)
    for number, device in enumerate(sorted(devices, key=repr)[:_MOST_CURVES], 1):
        windows = sorted(devices[device], key=lambda row: str(row[START]))[-60:]
        for measure, unit in _measures(windowed).items():
            values = tuple(None if row[measure] is None else float(str(row[measure])) for row in windows)
            yield Curve(table, number, measure, unit, values)
