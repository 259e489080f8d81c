"""Pictures of a regression's residuals."""

import math
from collections.abc import Iterator
from typing import Final

from trunkline.report.charts.shapes import HEIGHT, SIDE, axis, diagonal, frame, level
from trunkline.report.drawing import Chart, Spec
from trunkline.tasks.report import Residuals

__all__ = ["residual_charts"]

_MOST_POINTS: Final = 400


def residual_charts(residuals: Residuals) -> Iterator[Chart]:
    """Draw predicted against true, residuals by prediction, and their histogram."""
    step = max(1, math.ceil(len(residuals.predicted) / _MOST_POINTS))
    pairs = list(zip(residuals.predicted, residuals.actual, strict=True))[::step]
    points: list[Spec] = [{"x": p, "y": a, "r": a - p} for p, a in pairs]
    low = min(min(p, a) for p, a in pairs)
    high = max(max(p, a) for p, a in pairs)
    x, y = axis("x", "Predicted", number_format="~s"), axis("y", "True", number_format="~s")
    dots: Spec = {"type": "point", "color": "var(--one)", "opacity": 0.45, "size": 16}
    yield Chart(
        "predicted_true",
        "Predicted and true",
        "Each point is a row of the test set; on the dashed line the prediction is exact.",
        frame(
            [
                diagonal(x, y, low=low, high=high),
                {"data": {"values": points}, "mark": dots, "encoding": {"x": x, "y": y}},
            ]
        ),
    )
    r = axis("r", "Residual (true \N{MINUS SIGN} predicted)", number_format="~s")
    yield Chart(
        "residuals",
        "Residuals by prediction",
        "A shape other than a level cloud around zero says where the model is off: a funnel means that errors grow "
        "with the prediction.",
        frame(
            [
                level(0.0, r),
                {"data": {"values": points}, "mark": dots, "encoding": {"x": x, "y": r}},
            ]
        ),
    )
    edges, counts = residuals.histogram_edges, residuals.histogram_counts
    boxes: list[Spec] = [
        {"low": left, "high": right, "value": found}
        for left, right, found in zip(edges[:-1], edges[1:], counts, strict=True)
    ]
    yield Chart(
        "residual_histogram",
        "Distribution of residuals",
        "How often errors of each size occur on the test set; to the right of zero the model was too low.",
        {
            "width": SIDE,
            "height": HEIGHT,
            "data": {"values": boxes},
            "mark": {"type": "bar", "color": "var(--one)", "binSpacing": 1},
            "encoding": {
                "x": {
                    "field": "low",
                    "type": "quantitative",
                    "bin": {"binned": True},
                    "title": "Residual",
                    "axis": {"format": "~s", "tickCount": 5, "grid": False},
                },
                "x2": {"field": "high"},
                "y": axis("value", "Rows", scale={"zero": True, "nice": True}),
            },
        },
    )
