"""Charts of forecasts: fans of the hours ahead, and errors by hour ahead beside those of simpler ways."""

from typing import Final

from trunkline.report.charts.shapes import HEIGHT, SIDE, axis, bars
from trunkline.report.content import FanSummary
from trunkline.report.drawing import Chart, Spec, colours
from trunkline.report.figures import number, share, words
from trunkline.tasks import ForecastReport

__all__ = ["accuracy_chart", "fan_chart", "importance_of_inputs"]

_COLOURS: Final = ("two", "three", "four", "pale", "ink")
_OURS: Final = "Champion"


def fan_chart(fan: FanSummary, *, name: str, unit: str) -> Chart:
    """Draw the last days of a server and the hours ahead.

    Args:
        fan: The hours.
        name: Name of the drawing.
        unit: Unit of the values.
    """
    before = len(fan.past)
    past = [{"hour": place - before + 1, "value": value} for place, value in enumerate(fan.past) if value is not None]
    ahead = [
        {"hour": place + 1, "low": low, "value": middle, "high": high}
        for place, (low, middle, high) in enumerate(zip(fan.q10, fan.q50, fan.q90, strict=True))
    ]
    newest = past[-1]["value"] if past else fan.q50[0]
    start = [{"hour": 0, "low": newest, "value": newest, "high": newest}] if past and past[-1]["hour"] == 0 else []
    x, y = axis("hour", "Hours from the newest value"), axis("value", unit)
    layers: list[Spec] = [
        {
            "data": {"values": [*start, *ahead]},
            "mark": {"type": "area", "opacity": 0.25, "color": "var(--one)"},
            "encoding": {"x": x, "y": {**y, "field": "low"}, "y2": {"field": "high"}},
        },
        {
            "data": {"values": past},
            "mark": {"type": "line", "strokeWidth": 1.5, "color": "var(--pale)"},
            "encoding": {"x": x, "y": y},
        },
        {
            "data": {"values": [*start, *ahead]},
            "mark": {"type": "line", "strokeWidth": 2, "color": "var(--one)"},
            "encoding": {"x": x, "y": y},
        },
        {
            "data": {"values": ahead},
            "mark": {"type": "point", "size": 26, "opacity": 1, "color": "var(--one)"},
            "encoding": {"x": x, "y": y},
        },
    ]
    highest = max([*(float(point["value"]) for point in past), *fan.q90])
    if fan.limit is not None and fan.limit <= 1.5 * highest:
        layers.append(
            {
                "data": {"values": [{"limit": fan.limit}]},
                "mark": {"type": "rule", "strokeDash": [4, 4], "color": "var(--bad)"},
                "encoding": {"y": {**y, "field": "limit"}},
            }
        )
    likely = [value for value in fan.exceeds if value is not None]
    limit = f"limit {number(fan.limit)} {unit}" if fan.limit is not None else "no limit"
    risk = f"; probability of more than that in the hours ahead at most {share(max(likely))}" if likely else ""
    return Chart(
        name,
        fan.server,
        f"Median and 10 to 90 % of the next {len(ahead)} hours after the last {before // 24} days; {limit}{risk}.",
        {"width": SIDE, "height": HEIGHT, "layer": layers},
    )


def accuracy_chart(report: ForecastReport) -> Chart:
    """Draw the error by hour ahead, the champion's and that of simpler ways."""
    legend = {_OURS: "one"}
    points: list[Spec] = [{"hour": one.horizon, "value": one.mase, "series": _OURS} for one in report.horizons]
    for baseline, colour in zip(report.baselines, _COLOURS, strict=False):
        label = words(baseline.name)
        legend[label] = colour
        points += [{"hour": place + 1, "value": value, "series": label} for place, value in enumerate(baseline.mase)]
    x = axis("hour", "Hours ahead", number_format="d")
    y = axis("value", "MASE", scale={"zero": True})
    layer: Spec = {
        "data": {"values": points},
        "mark": {"type": "line", "strokeWidth": 2, "point": {"size": 30}},
        "encoding": {"x": x, "y": y, "color": colours(legend)},
    }
    return Chart(
        "accuracy",
        "Error by hour ahead",
        "Mean absolute error by the mean absolute difference of a day, mean over servers, lower is better. Ways that "
        "are fitted are judged at every fifth hour, the others at every hour.",
        {"width": SIDE, "height": HEIGHT, "layer": [layer]},
    )


def importance_of_inputs(report: ForecastReport) -> Chart:
    """Draw what the models read most."""
    rows: list[Spec] = [
        {"label": words(name), "value": value, "colour": "var(--one)"} for name, value in report.importances.items()
    ]
    return Chart(
        "inputs",
        "Inputs",
        "Share of the gain of all splits, mean over the hours ahead. It says what the models use, not what causes it.",
        bars(rows, "Share of gain"),
    )
