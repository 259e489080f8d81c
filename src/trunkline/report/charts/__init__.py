"""The charts of a report, as specifications over a few hundred numbers each.

Takes the records of training and monitoring, gives :class:`~trunkline.report.drawing.Chart` values. Names from data
appear only as values of the fields ``label`` and ``series``, never as field names or expressions.
"""

from collections.abc import Iterator, Sequence

from trunkline.contracts.records import Reading
from trunkline.report.charts.classification import classification_charts
from trunkline.report.charts.comparison import (
    importance_chart,
    leakage_chart,
    learners_chart,
    slices_chart,
    tuning_chart,
)
from trunkline.report.charts.fairness import fairness_charts
from trunkline.report.charts.intake import (
    DayRows,
    Freshness,
    durations_chart,
    freshness_chart,
    refused_chart,
    rejects_chart,
    rows_chart,
)
from trunkline.report.charts.monitoring import drift_chart, performance_chart
from trunkline.report.charts.regression import residual_charts
from trunkline.report.drawing import Chart
from trunkline.tasks import TrainingReport

__all__ = [
    "DayRows",
    "Freshness",
    "durations_chart",
    "freshness_chart",
    "monitoring_charts",
    "refused_chart",
    "rejects_chart",
    "rows_chart",
    "training_charts",
]


def training_charts(report: TrainingReport) -> tuple[Chart, ...]:
    """Give every chart that a training report has the figures for."""
    return tuple(_training_charts(report))


def monitoring_charts(readings: Sequence[Reading], *, metric_name: str) -> tuple[Chart, ...]:
    """Give the charts of a run's readings; none without readings.

    Args:
        readings: All readings of the run.
        metric_name: Scorer name of the headline metric.
    """
    found = (drift_chart(readings), performance_chart(readings, metric_name=metric_name))
    return tuple(chart for chart in found if chart is not None)


def _training_charts(report: TrainingReport) -> Iterator[Chart]:
    if report.learners:
        yield learners_chart(report)
    if report.curves is not None:
        yield from classification_charts(report, report.curves)
    if report.residuals is not None and report.residuals.predicted:
        yield from residual_charts(report.residuals)
    slices = slices_chart(report)
    if slices is not None:
        yield slices
    yield from fairness_charts(report)
    if report.importances:
        yield importance_chart(report.importances)
    if report.leakage.scores:
        yield leakage_chart(report.leakage, regression=report.task == "regression")
    if any(tuning.trials for tuning in report.tuning):
        yield tuning_chart(report.tuning)
