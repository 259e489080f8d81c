"""One watched number over the last day of an object: its values, the band of the usual, and what lies outside.

Takes numbers with their instants, gives inline SVG without script: a scale of values with its unit, a scale of the
hours. Drawn here and not by Vega, because a page has ten of them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from markupsafe import Markup, escape

from trunkline.console.axes import Frame, round_scale

__all__ = ["WatchedValue", "band_chart"]

_WIDTH, _HEIGHT = 640, 190
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 34, 20, 24
_HOURS: Final = (1, 2, 3, 6, 12, 24, 48, 96, 168)
_MOST_HOURS: Final = 9


@dataclass(frozen=True)
class WatchedValue:
    """One watched number of one object over its last rows.

    Attributes:
        title: For people.
        unit: Of the values; empty for pure numbers.
        at: Begin of each row, UTC, oldest first.
        values: The numbers, one per row; None where there is none.
        low: Three robust deviations below the usual.
        high: Three above.
        odd: Places outside of that.
    """

    title: str
    unit: str
    at: tuple[datetime, ...]
    values: tuple[float | None, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    odd: tuple[int, ...]


def band_chart(found: WatchedValue) -> Markup:
    """Draw a number with its usual band and its odd places.

    Args:
        found: At least one row, and at least one value.

    Returns:
        An SVG that says its title, its unit and how many periods are odd to who cannot see it.
    """
    frame = Frame(
        width=_WIDTH,
        height=_HEIGHT,
        left=_LEFT,
        right=_RIGHT,
        top=_TOP,
        bottom=_BOTTOM,
        scale=round_scale([one for one in (*found.values, *found.low, *found.high) if one is not None]),
        first=found.at[0],
        last=found.at[-1],
    )
    parts = [*frame.value_axis(), *_time_axis(found.at, frame)]
    parts.append(f'<text x="{_LEFT}" y="12">{escape(found.unit or "number")}</text>')
    above = [frame.point(at, value) for at, value in zip(found.at, found.high, strict=True)]
    below = [frame.point(at, value) for at, value in zip(found.at, found.low, strict=True)]
    parts.append(f'<polygon class="band" points="{" ".join((*above, *reversed(below)))}"/>')
    parts += frame.lines(found.at, found.values)
    for place in found.odd:
        value = found.values[place]
        if value is not None:
            said = f"{found.at[place]:%H:%M} {value:,.6g} {found.unit}".strip()
            x, y = frame.across(found.at[place]), frame.up(value)
            parts.append(f'<circle cx="{x}" cy="{y}" r="3"><title>{escape(said)}</title></circle>')
    said = f"{found.title}: {len(found.odd)} of {len(found.values)} periods outside of the usual band"
    drawn = "".join(parts)
    return Markup(  # noqa: S704 - made of numbers, and of a title and a unit that are escaped
        f'<svg class="day" role="img" viewBox="0 0 {_WIDTH} {_HEIGHT}" aria-label="{escape(said)}">{drawn}</svg>'
    )


def _time_axis(at: Sequence[datetime], frame: Frame) -> Iterator[str]:
    hours = (at[-1] - at[0]).total_seconds() / 3600
    step = next((one for one in _HOURS if hours / one <= _MOST_HOURS), _HOURS[-1])
    tick = at[0].replace(hour=0, minute=0, second=0, microsecond=0)
    while tick <= at[-1]:
        if tick >= at[0]:
            yield from frame.tick(tick, f"{tick:%d %b}" if tick.hour == 0 else f"{tick:%H:%M}")
        tick += timedelta(hours=step)
    yield f'<text x="{_WIDTH - _RIGHT + 6}" y="{frame.foot + 4}">UTC</text>'
