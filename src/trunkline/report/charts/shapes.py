"""Parts that charts are put together from: axes, lines, rules, rows of dots with intervals, bars."""

from collections.abc import Mapping, Sequence
from typing import Final

from trunkline.report.drawing import Spec, colours
from trunkline.stats.intervals import Interval

__all__ = [
    "HEIGHT",
    "MOST_BARS",
    "SIDE",
    "axis",
    "bars",
    "diagonal",
    "frame",
    "interval_row",
    "interval_rows",
    "level",
    "lines",
]

SIDE: Final = 300
"""Plot width of a chart, pixels; two stand side by side on a laptop and one fits a phone."""

HEIGHT: Final = 240
"""Plot height of a chart, pixels."""

MOST_BARS: Final = 20
"""Bars of a chart; more are not read."""

_BAR_STEP: Final = 19
_DOT_STEP: Final = 24
_BESIDE_LABELS: Final = SIDE - 40


def frame(layers: Sequence[Spec]) -> Spec:
    """Lay layers over each other in a plot of the usual size."""
    return {"width": SIDE, "height": HEIGHT, "layer": list(layers)}


def axis(field: str, title: str, *, scale: Spec | None = None, number_format: str = "") -> Spec:
    """Make a position encoding.

    Args:
        field: The field.
        title: What stands at the axis.
        scale: Its scale; None fits the data.
        number_format: A d3 format of its labels.
    """
    shown: Spec = {"tickCount": 5, **({"format": number_format} if number_format else {})}
    return {
        "field": field,
        "type": "quantitative",
        "title": title,
        "scale": {"zero": False, "nice": True} if scale is None else scale,
        "axis": shown,
    }


def lines(points: Sequence[Spec], x: Spec, y: Spec, legend: Mapping[str, str], *, steps: Spec | None = None) -> Spec:
    """Join points by their ``order``, one line per ``series``; ``steps`` is added to the mark."""
    return {
        "data": {"values": list(points)},
        "mark": {"type": "line", "strokeWidth": 2, "clip": True, **(steps or {})},
        "encoding": {"x": x, "y": y, "color": colours(legend), "order": {"field": "order", "type": "quantitative"}},
    }


def diagonal(x: Spec, y: Spec, *, low: float = 0.0, high: float = 1.0) -> Spec:
    """Draw the line on which both axes say the same."""
    return {
        "data": {"values": [{"x": low, "y": low}, {"x": high, "y": high}]},
        "mark": {"type": "line", "color": "var(--pale)", "strokeDash": [4, 4], "strokeWidth": 1},
        "encoding": {"x": {**x, "field": "x"}, "y": {**y, "field": "y"}},
    }


def level(value: float, y: Spec) -> Spec:
    """Draw a level line."""
    return {
        "data": {"values": [{"y": value}]},
        "mark": {"type": "rule", "strokeDash": [4, 4], "color": "var(--pale)"},
        "encoding": {"y": {**y, "field": "y"}},
    }


def interval_row(label: str, found: Interval, *, series: str = "") -> Spec:
    """Make a row of :func:`interval_rows`."""
    return {"label": label, "value": found.value, "low": found.low, "high": found.high, "series": series}


def interval_rows(
    rows: Sequence[Spec], title: str, *, reference: float | None = None, legend: Mapping[str, str] | None = None
) -> Spec:
    """Draw dots with intervals, one row per label, in the order given.

    Args:
        rows: From :func:`interval_row`.
        title: What stands at the axis.
        reference: Where a dashed line marks what the rows are compared with.
        legend: Series to CSS variable; None draws all alike.
    """
    y = _labels(rows)
    x = axis("low", title)
    colour: Spec = {"value": "var(--one)"} if legend is None else colours(legend)
    mark: list[Spec] = []
    if reference is not None:
        mark.append(
            {
                "data": {"values": [{"at": reference}]},
                "mark": {"type": "rule", "strokeDash": [4, 4], "color": "var(--pale)"},
                "encoding": {"x": {**x, "field": "at"}},
            }
        )
    drawn: list[Spec] = [
        {
            "mark": {"type": "rule", "strokeWidth": 2},
            "encoding": {"y": y, "x": x, "x2": {"field": "high"}, "color": colour},
        },
        {
            "mark": {"type": "point", "opacity": 1, "size": 60},
            "encoding": {"y": y, "x": {**x, "field": "value"}, "color": colour},
        },
    ]
    layers = [*mark, *({"data": {"values": list(rows)}, **layer} for layer in drawn)]
    return {"width": _BESIDE_LABELS, "height": {"step": _DOT_STEP}, "layer": layers}


def bars(rows: Sequence[Spec], title: str, *, domain: tuple[float, float] | None = None) -> Spec:
    """Draw level bars in the order given.

    Args:
        rows: Each with ``label``, ``value``, ``colour``, and perhaps a ``limit`` that gets a mark.
        title: What stands at the axis.
        domain: Where the axis begins and ends; None begins at 0 and fits the data.
    """
    y = _labels(rows)
    x = axis("value", title, scale={"zero": True} if domain is None else {"domain": list(domain)})
    layers: list[Spec] = [
        {
            "data": {"values": list(rows)},
            "mark": {"type": "bar", "height": {"band": 0.66}, "clip": True},
            "encoding": {"y": y, "x": x, "color": {"field": "colour", "type": "nominal", "scale": None}},
        }
    ]
    limited = [row for row in rows if row.get("limit") is not None]
    if limited:
        layers.append(
            {
                "data": {"values": limited},
                "mark": {"type": "tick", "color": "var(--ink)", "thickness": 2},
                "encoding": {"y": y, "x": {**x, "field": "limit"}},
            }
        )
    return {"width": _BESIDE_LABELS, "height": {"step": _BAR_STEP}, "layer": layers}


def _labels(rows: Sequence[Spec]) -> Spec:
    return {
        "field": "label",
        "type": "nominal",
        "sort": [row["label"] for row in rows],
        "title": None,
        "axis": {"grid": False, "ticks": False},
    }
