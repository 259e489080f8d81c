"""One watched number over the last day of an object: its values, the band of the usual, and what lies outside.

Takes numbers with their instants, gives inline SVG without script: a scale of values with its unit, a scale of the
hours. Drawn here and not by Vega, because a page has ten of them.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from markupsafe import Markup, escape

__all__ = ["WatchedValue", "band_chart"]

_WIDTH, _HEIGHT = 640, 190
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 34, 20, 24
_STEPS: Final = (1.0, 2.0, 2.5, 5.0, 10.0)
_TICKS: Final = 4
_LARGE: Final = ((1e9, " G"), (1e6, " M"))
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
    scale = _scale([one for one in (*found.values, *found.low, *found.high) if one is not None])
    first, whole = found.at[0], max((found.at[-1] - found.at[0]).total_seconds(), 1.0)

    def across(at: datetime) -> str:
        return f"{_LEFT + (at - first).total_seconds() / whole * (_WIDTH - _LEFT - _RIGHT):.1f}"

    def up(value: float) -> str:
        share = (value - scale[0]) / (scale[-1] - scale[0])
        return f"{_HEIGHT - _BOTTOM - share * (_HEIGHT - _TOP - _BOTTOM):.1f}"

    def point(place: int, value: float) -> str:
        return f"{across(found.at[place])},{up(value)}"

    parts = [*_value_axis(scale, up), *_time_axis(found.at, across)]
    parts.append(f'<text x="{_LEFT}" y="12">{escape(found.unit or "number")}</text>')
    above = [point(place, value) for place, value in enumerate(found.high)]
    below = [point(place, value) for place, value in enumerate(found.low)]
    parts.append(f'<polygon class="band" points="{" ".join((*above, *reversed(below)))}"/>')
    line: list[str] = []
    for place, value in enumerate((*found.values, None)):
        if value is not None:
            line.append(point(place, value))
        elif line:
            parts.append(f'<polyline points="{" ".join(line)}"/>')
            line = []
    for place in found.odd:
        value = found.values[place]
        if value is not None:
            said = f"{found.at[place]:%H:%M} {value:,.6g} {found.unit}".strip()
            parts.append(
                f'<circle cx="{across(found.at[place])}" cy="{up(value)}" r="3"><title>{escape(said)}</title></circle>'
            )
    said = f"{found.title}: {len(found.odd)} of {len(found.values)} periods outside of the usual band"
    drawn = "".join(parts)
    return Markup(  # noqa: S704 - made of numbers, and of a title and a unit that are escaped
        f'<svg class="day" role="img" viewBox="0 0 {_WIDTH} {_HEIGHT}" aria-label="{escape(said)}">{drawn}</svg>'
    )


def _scale(values: Sequence[float]) -> list[float]:
    """Round values from the least or below to the most or above, evenly spaced, two at least."""
    least, most = min(values), max(values)
    if least == most:
        least, most = least - (abs(least) or 1.0) / 2, most + (abs(most) or 1.0) / 2
    rough = (most - least) / _TICKS
    size = 10.0 ** math.floor(math.log10(rough))
    step = next(one * size for one in _STEPS if one * size >= rough * 0.999)
    begin, end = math.floor(least / step + 1e-9), math.ceil(most / step - 1e-9)
    return [place * step for place in range(begin, max(end, begin + 1) + 1)]


def _value_axis(scale: Sequence[float], up: Callable[[float], str]) -> Iterator[str]:
    large = max(abs(scale[0]), abs(scale[-1]))
    size, sign = next((one for one in _LARGE if large >= one[0]), (1.0, ""))
    step = (scale[1] - scale[0]) / size
    digits = max(0, math.ceil(-math.log10(step) - 1e-9) + (f"{step:.1e}"[2] == "5" and f"{step:.1e}"[0] == "2"))
    for value in scale:
        said = f"{value / size + 0.0:,.{digits}f}{sign}"
        yield f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{up(value)}" y2="{up(value)}"/>'
        yield f'<text class="of-value" x="{_LEFT - 6}" y="{float(up(value)) + 4:.1f}">{said}</text>'


def _time_axis(at: Sequence[datetime], across: Callable[[datetime], str]) -> Iterator[str]:
    hours = (at[-1] - at[0]).total_seconds() / 3600
    step = next((one for one in _HOURS if hours / one <= _MOST_HOURS), _HOURS[-1])
    midnight = at[0].replace(hour=0, minute=0, second=0, microsecond=0)
    tick, foot = midnight, _HEIGHT - _BOTTOM
    while tick <= at[-1]:
        if tick >= at[0]:
            said = f"{tick:%d %b}" if tick.hour == 0 else f"{tick:%H:%M}"
            yield f'<line class="grid" x1="{across(tick)}" x2="{across(tick)}" y1="{foot}" y2="{foot + 4}"/>'
            yield f'<text class="of-time" x="{across(tick)}" y="{foot + 17}">{said}</text>'
        tick += timedelta(hours=step)
    yield f'<text x="{_WIDTH - _RIGHT + 6}" y="{foot + 4}">UTC</text>'
