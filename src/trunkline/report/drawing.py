"""From a Vega-Lite specification to an SVG that stands in a page: no script, no network, no fixed colour.

Takes plain data, gives markup with the same bytes every time. Colours are CSS variables, so that one drawing serves
light, dark and paper; texts in the data come out escaped. ``vl-convert`` runs Vega itself in this process.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from markupsafe import Markup, escape

__all__ = ["Chart", "Drawing", "Spec", "draw"]

Spec = dict[str, object]
"""A Vega-Lite specification, or a part of one."""

_VEGALITE: Final = "6.1"
"""Fixed, so that an update of vl-convert does not change drawings silently."""

_INK, _PALE, _GRID = "var(--ink)", "var(--pale)", "var(--grid)"

_CONFIG: Final[Spec] = {
    "aria": False,  # the page gives each drawing one name and a sentence instead of a role per tick
    "background": None,
    # The converter brings Liberation Sans; the others have its widths, so that labels end where they were measured.
    "font": "Liberation Sans, Arial, Helvetica, sans-serif",
    "padding": {"left": 2, "right": 6, "top": 4, "bottom": 2},
    "view": {"stroke": None},
    "axis": {
        "domainColor": "var(--line)",
        "gridColor": _GRID,
        "labelColor": _PALE,
        "labelFontSize": 11,
        "labelLimit": 150,
        "tickColor": "var(--line)",
        "titleColor": _PALE,
        "titleFontSize": 11,
        "titleFontWeight": "normal",
        "titlePadding": 6,
    },
    "legend": {
        "labelColor": _INK,
        "labelFontSize": 11,
        "labelLimit": 260,
        "orient": "top",
        "offset": 4,
        "title": None,
        "symbolStrokeWidth": 2,
    },
    "text": {"color": _INK, "fontSize": 11},
    "rule": {"color": _PALE},
    "point": {"filled": True, "size": 42},
}

_LONG_NUMBER: Final = re.compile(r"(\d\.\d{2})\d+")
_TEXT: Final = re.compile(r"(<text\b[^>]*>)([^<]*)(</text>)")
_IDENTIFIER: Final = re.compile(r'id="([^"]+)"')
_ROOT: Final = re.compile(r"<svg\b[^>]*?width=\"([\d.]+)\" height=\"([\d.]+)\"[^>]*>")
_EMPTY: Final = re.compile(r'<path class="(?:background|foreground)" aria-hidden="true" d="[^"]*"[^>]*/>')


@dataclass(frozen=True)
class Chart:
    """A drawing to be made.

    Attributes:
        name: Unique within the page; lower-case letters and ``_``.
        title: A few words.
        reading: One or two sentences on how to read it and what it says; also its text for those who cannot see it.
        spec: The specification, without ``config``.
    """

    name: str
    title: str
    reading: str
    spec: Spec


@dataclass(frozen=True)
class Drawing:
    """A drawing that was made.

    Attributes:
        name: As in :class:`Chart`.
        title: A few words.
        reading: How to read it.
        svg: The inline SVG.
    """

    name: str
    title: str
    reading: str
    svg: Markup


def draw(chart: Chart) -> Drawing:
    """Draw a chart.

    The first call of a process starts the converter (about 0.6 s), each further one takes some 40 ms.
    """
    import vl_convert

    text = vl_convert.vegalite_to_svg(
        {"$schema": "https://vega.github.io/schema/vega-lite/v6.json", **chart.spec, "config": _CONFIG},
        vl_version=_VEGALITE,
    )
    return Drawing(chart.name, chart.title, chart.reading, Markup(_for_page(text, chart)))  # noqa: S704 - Vega escapes


def _for_page(svg: str, chart: Chart) -> str:
    """Make names unique in the page, shorten coordinates, drop what draws nothing, and name the whole."""
    renamed = svg
    for place, name in enumerate(dict.fromkeys(_IDENTIFIER.findall(svg))):
        unique = f"{chart.name}-part-{place}"  # Vega numbers its own from the start of the process
        renamed = renamed.replace(f'id="{name}"', f'id="{unique}"').replace(f"url(#{name})", f"url(#{unique})")
    texts: list[str] = []

    def set_aside(found: re.Match[str]) -> str:
        texts.append(found.group(2))
        return f"{found.group(1)}\0{found.group(3)}"

    marked = _TEXT.sub(set_aside, renamed)  # a number that people read is not a coordinate
    short = _EMPTY.sub("", _LONG_NUMBER.sub(r"\1", marked))
    for text in texts:
        short = short.replace("\0", text, 1)
    return _ROOT.sub(lambda found: _root(found.group(1), found.group(2), chart.title), short, count=1)


def _root(width: str, height: str, title: str) -> str:
    return (
        f'<svg class="chart" viewBox="0 0 {width} {height}" style="max-width:{float(width):.0f}px" role="img" '
        f'aria-label="{escape(title)}">'
    )


def colours(values: Mapping[str, str]) -> Spec:
    """A colour encoding with a legend: label to CSS variable name, e.g. ``{"Test set": "two"}``."""
    return {
        "field": "series",
        "type": "nominal",
        "scale": {"domain": list(values), "range": [f"var(--{name})" for name in values.values()]},
    }
