"""A chart of one line of text: values over time with their limit, as inline SVG.

Takes numbers, gives markup. Drawn here and not by Vega, because a page has a hundred of them.
"""

from collections.abc import Sequence
from typing import Final

from markupsafe import Markup

__all__ = ["sparkline"]

_WIDTH: Final = 160
_HEIGHT: Final = 34
_EDGE: Final = 3


def sparkline(values: Sequence[float | None], *, limit: float | None = None) -> Markup:
    """Draw values, oldest first.

    Args:
        values: One per reading, evenly spaced; None leaves a gap.
        limit: Drawn as a dashed line; None draws none.

    Returns:
        An SVG without text; hidden from screen readers, as the numbers stand beside it. Empty without any value.
    """
    known = [value for value in values if value is not None]
    if not known:
        return Markup("")
    low, high = min([*known, *([] if limit is None else [limit])]), max([*known, *([] if limit is None else [limit])])
    reach = high - low

    def y(value: float) -> str:
        share = 0.5 if reach == 0 else (value - low) / reach
        return f"{_HEIGHT - _EDGE - share * (_HEIGHT - 2 * _EDGE):.1f}"

    def x(place: int) -> str:
        share = 1.0 if len(values) == 1 else place / (len(values) - 1)
        return f"{_EDGE + share * (_WIDTH - 2 * _EDGE):.1f}"

    parts = []
    if limit is not None:
        parts.append(f'<line class="limit" x1="0" x2="{_WIDTH}" y1="{y(limit)}" y2="{y(limit)}"/>')
    line: list[str] = []
    for place, value in enumerate(values):
        if value is not None:
            line.append(f"{x(place)},{y(value)}")
        if (value is None or place == len(values) - 1) and line:
            parts.append(f'<polyline points="{" ".join(line)}"/>')
            line = []
    last = next(place for place in reversed(range(len(values))) if values[place] is not None)
    parts.append(f'<circle cx="{x(last)}" cy="{y(known[-1])}" r="2.5"/>')
    drawn = "".join(parts)
    return Markup(  # noqa: S704 - made of numbers only
        f'<svg class="spark" viewBox="0 0 {_WIDTH} {_HEIGHT}" aria-hidden="true" focusable="false">{drawn}</svg>'
    )
