"""The page of a run that forecasts: what is ahead, how good each hour ahead is, against simpler ways, server by server.

Takes the gathered records, gives sections, drawings and figures; see ``page`` for how they are put together.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from trunkline.report.charts.series import accuracy_chart, fan_chart, importance_of_inputs
from trunkline.report.content import ReportContent
from trunkline.report.drawing import Chart
from trunkline.report.figures import count, metric, number, share, shown
from trunkline.report.summary import Tile, run_tiles
from trunkline.tasks import ForecastReport

__all__ = ["SECTIONS", "charts_of", "facts_of"]

SECTIONS: Final = (
    ("summary", "Summary"),
    ("ahead", "The next hours"),
    ("accuracy", "Accuracy by hour ahead"),
    ("servers", "Server by server"),
    ("forecast-models", "Models"),
    ("monitoring", "Monitoring"),
    ("data", "Data"),
    ("lineage", "Lineage"),
)
"""Anchor and title of each section."""


def charts_of(content: ReportContent) -> Iterable[Chart]:
    """Give the drawings of forecasts and of the rolling evaluation."""
    return tuple(_charts(content))


def _charts(content: ReportContent) -> Iterator[Chart]:
    if content.predictions is not None:
        unit = _unit(content)
        for place, fan in enumerate(content.predictions.fans):
            yield fan_chart(fan, name=f"fan_{place}", unit=unit)
    if content.of_series is not None:
        yield accuracy_chart(content.of_series)
        if content.of_series.importances:
            yield importance_of_inputs(content.of_series)


def facts_of(content: ReportContent) -> Mapping[str, object]:
    """Give what the sections read beside the content."""
    fans = content.predictions.fans if content.predictions else ()
    return {
        "tiles": tuple(_tiles(content)),
        "series": content.of_series,
        "fan_names": tuple(f"fan_{place}" for place in range(len(fans))),
        "unit": _unit(content),
    }


def _unit(content: ReportContent) -> str:
    target = content.of_series.target if content.of_series else ""
    return "ms" if target.endswith("_ms") else ""


def _tiles(content: ReportContent) -> Iterator[Tile]:
    training = content.of_series
    if training is not None:
        yield from _error_tiles(training)
        spikes = training.spikes
        yield Tile(
            "Warnings that were right",
            share(spikes.precision, digits=0) if spikes.precision is not None else "none given",
            f"{count(spikes.right)} of {count(spikes.warnings)} (precision); {count(spikes.foreseen)} of "
            f"{count(spikes.spikes)} spikes foreseen (recall"
            + (f" {share(spikes.recall, digits=0)})" if spikes.recall is not None else ")"),
            f"Given from a probability of {share(spikes.warn_at, digits=0)} on"
            + (
                f", {number(spikes.mean_lead_hours, digits=1)} hours ahead on average."
                if spikes.mean_lead_hours is not None
                else "."
            ),
        )
    yield from run_tiles(content)


def _error_tiles(training: ForecastReport) -> Iterator[Tile]:
    first, last = "mase_h1", f"mase_h{len(training.horizons)}"
    for name in (first, last, "coverage_80"):
        found = training.metrics.get(name)
        if found is None:
            continue
        value, _, interval = shown(name, found).partition(" [")
        said = interval.removesuffix("]").replace(", ", " to ")
        yield Tile(metric(name).label, value, f"95 %: {said}, out of fold", metric(name).meaning)
