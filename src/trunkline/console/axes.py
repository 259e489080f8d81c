"""Axes of a chart as inline SVG: round values up the left side, the frame that lines are drawn in."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

__all__ = ["Frame", "round_scale"]

_STEPS: Final = (1.0, 2.0, 2.5, 5.0, 10.0)
_TICKS: Final = 4
_LARGE: Final = ((1e9, " G"), (1e6, " M"))


def round_scale(values: Sequence[float]) -> list[float]:
    """Round values from the least or below to the most or above, evenly spaced, two at least.

    >>> round_scale([0.2, 8.9])
    [0.0, 2.5, 5.0, 7.5, 10.0]
    """
    least, most = min(values), max(values)
    if least == most:
        least, most = least - (abs(least) or 1.0) / 2, most + (abs(most) or 1.0) / 2
    rough = (most - least) / _TICKS
    size = 10.0 ** math.floor(math.log10(rough))
    step = next(one * size for one in _STEPS if one * size >= rough * 0.999)
    begin, end = math.floor(least / step + 1e-9), math.ceil(most / step - 1e-9)
    return [place * step for place in range(begin, max(end, begin + 1) + 1)]


@dataclass(frozen=True)
class Frame:
    """Where lines are drawn.

    Attributes:
        width: Of the whole chart, in units of its view box.
        height: Of the whole chart.
        left: Room for the values.
        right: Room beside the lines.
        top: Room above them.
        bottom: Room for the times.
        scale: The values of the axis, from :func:`round_scale`.
        first: The instant at the left edge.
        last: The instant at the right edge.
    """

    width: int
    height: int
    left: int
    right: int
    top: int
    bottom: int
    scale: Sequence[float]
    first: datetime
    last: datetime

    @property
    def foot(self) -> int:
        """Where the time axis is."""
        return self.height - self.bottom

    def across(self, at: datetime) -> str:
        """Place of an instant."""
        whole = max((self.last - self.first).total_seconds(), 1e-6)
        share = (at - self.first).total_seconds() / whole
        return f"{self.left + share * (self.width - self.left - self.right):.1f}"

    def up(self, value: float) -> str:
        """Place of a value."""
        share = (value - self.scale[0]) / (self.scale[-1] - self.scale[0])
        return f"{self.foot - share * (self.foot - self.top):.1f}"

    def point(self, at: datetime, value: float) -> str:
        """Place of a value at an instant."""
        return f"{self.across(at)},{self.up(value)}"

    def lines(self, at: Sequence[datetime], values: Sequence[float | None], *, attributes: str = "") -> Iterator[str]:
        """Draw values over time, as one line where none is missing.

        Args:
            at: Their instants, ascending.
            values: One for each; None leaves a gap.
            attributes: Of the lines, as markup.
        """
        line: list[str] = []
        for place, value in enumerate((*values, None)):
            if value is not None:
                line.append(self.point(at[place], value))
            elif line:
                yield f'<polyline{attributes} points="{" ".join(line)}"/>'
                line = []

    def value_axis(self) -> Iterator[str]:
        """Draw the values with a thin line each."""
        large = max(abs(self.scale[0]), abs(self.scale[-1]))
        size, sign = next((one for one in _LARGE if large >= one[0]), (1.0, ""))
        step = (self.scale[1] - self.scale[0]) / size
        digits = max(0, math.ceil(-math.log10(step) - 1e-9) + (f"{step:.1e}"[2] == "5" and f"{step:.1e}"[0] == "2"))
        for value in self.scale:
            said, y = f"{value / size + 0.0:,.{digits}f}{sign}", self.up(value)
            yield f'<line class="grid" x1="{self.left}" x2="{self.width - self.right}" y1="{y}" y2="{y}"/>'
            yield f'<text class="of-value" x="{self.left - 6}" y="{float(y) + 4:.1f}">{said}</text>'

    def tick(self, at: datetime, said: str) -> Iterator[str]:
        """Draw one instant of the time axis."""
        x = self.across(at)
        yield f'<line class="grid" x1="{x}" x2="{x}" y1="{self.foot}" y2="{self.foot + 4}"/>'
        yield f'<text class="of-time" x="{x}" y="{self.foot + 17}">{said}</text>'
