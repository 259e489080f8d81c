"""The last readings of some devices, read from the lake as they are and drawn as inline SVG.

Takes an opened lake and what the use cases declare to be drawn; gives one picture per device and kind of reading.
Devices have numbers, and no names: who may look at the page need not know whose they are.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from markupsafe import Markup, escape

from trunkline.console.axes import Frame, round_scale

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from trunkline.lake import Lake
    from trunkline.spec import LiveChart, UseCase

__all__ = ["LastReadings", "last_readings", "reading_chart"]

_FRESH: Final = timedelta(seconds=60)
_MOST_DEVICES: Final = 3
_MOST_READINGS: Final = 240
_WIDTH, _HEIGHT, _LEFT = 420, 150, 58
_SECONDS: Final = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600)
_MOST_TICKS: Final = 4
_RANK: Final = "_rank"


@dataclass(frozen=True)
class LastReadings:
    """The last readings of one kind of one device.

    Attributes:
        dataset: Use case and dataset.
        device: Its number on this page, from 1.
        kind: What was read; empty where all rows are of one kind.
        at: Instants of the readings by the device's clock, the oldest first.
        lines: The values by field, one per instant; only fields that the kind has.
    """

    dataset: str
    device: int
    kind: str
    at: tuple[datetime, ...]
    lines: Mapping[str, tuple[float | None, ...]]


def last_readings(lake: "Lake", usecases: "Mapping[str, UseCase]", *, now: datetime) -> Iterator[LastReadings]:
    """Read what was taken in within the last minute.

    Args:
        lake: The lake.
        usecases: Those that are installed.
        now: UTC.
    """
    for usecase in usecases.values():
        for chart in usecase.live:
            table = usecase.table_name(chart.dataset)
            if lake.exists(table):
                event_at = str(usecase.datasets[chart.dataset].table.event_at)
                yield from _pictures(table, chart, event_at, _newest(lake, table, chart, event_at, now))


def _newest(
    lake: "Lake", table: str, chart: "LiveChart", event_at: str, now: datetime
) -> "Sequence[Mapping[str, object]]":
    """The newest readings of each kind of a few devices, the oldest first."""
    import ibis

    kinds = [chart.kind] if chart.kind else []
    names = list(dict.fromkeys((*chart.by, *kinds, event_at, *chart.values)))

    def newest(rows: "ir.Table") -> "ir.Table":
        fresh = rows.filter(rows["_ingested_at"] >= ibis.literal(now - _FRESH)).select(*names)
        devices = fresh.select(*chart.by).distinct().order_by(*chart.by).limit(_MOST_DEVICES)
        mine = fresh.semi_join(devices, list(chart.by))
        newest_first = ibis.window(group_by=[*chart.by, *kinds], order_by=ibis.desc(event_at))
        ranked = mine.mutate(**{_RANK: ibis.row_number().over(newest_first)})
        return ranked.filter(ranked[_RANK] < _MOST_READINGS).order_by(*chart.by, *kinds, event_at).drop(_RANK)

    found: list[dict[str, object]] = lake.collect(newest, table).to_pylist()
    return found


def _pictures(
    table: str, chart: "LiveChart", event_at: str, rows: "Sequence[Mapping[str, object]]"
) -> Iterator[LastReadings]:
    found: dict[tuple[object, ...], dict[str, list[Mapping[str, object]]]] = {}
    for row in rows:
        kind = str(row[chart.kind]) if chart.kind else ""
        found.setdefault(tuple(row[name] for name in chart.by), {}).setdefault(kind, []).append(row)
    for number, kinds in enumerate(found.values(), 1):
        for kind, readings in kinds.items():
            lines = {
                name: tuple(None if row[name] is None else float(str(row[name])) for row in readings)
                for name in chart.values
            }
            drawn = {name: line for name, line in lines.items() if any(value is not None for value in line)}
            if drawn:
                at = tuple(row[event_at] for row in readings)
                yield LastReadings(table, number, kind, at, drawn)  # type: ignore[arg-type]  # instants


def reading_chart(found: LastReadings) -> Markup:
    """Draw the last readings of one kind of one device.

    Args:
        found: At least one reading.

    Returns:
        An SVG with a line for each field, which says what it shows to who cannot see it.
    """
    frame = Frame(
        width=_WIDTH,
        height=_HEIGHT,
        left=_LEFT,
        right=30,
        top=24,
        bottom=22,
        scale=round_scale([value for line in found.lines.values() for value in line if value is not None]),
        first=found.at[0],
        last=found.at[-1],
    )
    parts = [*frame.value_axis(), *_time_axis(frame)]
    told, x = [], float(_LEFT)
    for place, (name, line) in enumerate(found.lines.items(), 1):
        last = next(value for value in reversed(line) if value is not None)
        said = f"{name} {last:,.3g}"
        told.append(said)
        parts += frame.lines(found.at, line, attributes=f' class="line-{place}"')
        if len(found.at) == 1:
            parts.append(f'<circle class="line-{place}" cx="{frame.across(found.at[0])}" cy="{frame.up(last)}" r="3"/>')
        parts.append(f'<text class="name-{place}" x="{x:.0f}" y="13">{escape(said)}</text>')
        x += 7.0 * len(said) + 16
    what = f"device {found.device}, {found.kind or found.dataset}: last {', '.join(told)}"
    drawn = "".join(parts)
    return Markup(  # noqa: S704 - made of numbers, and of names that are escaped
        f'<svg class="readings" role="img" viewBox="0 0 {_WIDTH} {_HEIGHT}" aria-label="{escape(what)}">{drawn}</svg>'
    )


def _time_axis(frame: Frame) -> Iterator[str]:
    span_s = (frame.last - frame.first).total_seconds()
    step = next((one for one in _SECONDS if span_s / one <= _MOST_TICKS), max(_SECONDS[-1], span_s / _MOST_TICKS))
    begin_s = frame.first.timestamp()
    for place in range(int(begin_s / step) + (begin_s % step > 0), int(frame.last.timestamp() / step) + 1):
        at = datetime.fromtimestamp(round(place * step, 3), UTC)
        yield from frame.tick(at, f"{at:%H:%M:%S}" if step >= 1 else f"{at:%H:%M:%S}.{at.microsecond // 100_000}")
