"""Charts of what was monitored: drift, and performance measured or estimated."""

from collections.abc import Sequence

from trunkline.contracts.records import Reading
from trunkline.report.charts.shapes import MOST_BARS, bars, interval_row, interval_rows
from trunkline.report.drawing import Chart, Spec
from trunkline.report.figures import metric, words
from trunkline.stats.intervals import Interval

__all__ = ["drift_chart", "performance_chart"]


def drift_chart(readings: Sequence[Reading]) -> Chart | None:
    """Draw the PSI of score and features, largest first; None without any."""
    found = [
        reading
        for reading in readings
        if reading.family in ("drift", "score_drift") and reading.metric == "psi" and reading.value is not None
    ]
    if not found:
        return None
    found.sort(key=lambda reading: (reading.family != "score_drift", -(reading.value or 0.0), reading.subject))
    rows: list[Spec] = [
        {
            "label": "score" if reading.family == "score_drift" else words(reading.subject),
            "value": reading.value,
            "limit": reading.limit,
            "colour": "var(--bad)" if reading.crossed else "var(--one)",
        }
        for reading in found[: MOST_BARS + 1]
    ]
    return Chart(
        "drift",
        "Drift since training",
        "Population stability index of the score and of each feature: 0 is unchanged. The mark is the limit, which "
        "allows for sampling noise; bars beyond it are drawn in the colour of alerts.",
        bars(rows, "PSI"),
    )


def performance_chart(readings: Sequence[Reading], *, metric_name: str) -> Chart | None:
    """Draw the headline metric as measured and as estimated, with bands; None without any."""
    rows = []
    for reading in readings:
        if (
            reading.family in ("performance", "estimate")
            and reading.metric == metric_name
            and reading.value is not None
        ):
            known = metric(reading.metric)
            low = reading.value if reading.low is None else reading.low
            high = reading.value if reading.high is None else reading.high
            measured = reading.family == "performance"
            label = f"{known.label} ({'measured' if measured else 'estimated'})"
            series = "Measured" if measured else "Estimated"
            rows.append(interval_row(label, known.interval(Interval(reading.value, low, high)), series=series))
    if not rows:
        return None
    return Chart(
        "performance",
        "Performance in operation",
        "Measured where outcomes have matured; estimated from the calibrated scores before that. The estimate cannot "
        "see a change in what the features mean for the label (concept drift).",
        interval_rows(rows, "Value with 95 % band", legend={"Measured": "one", "Estimated": "two"}),
    )
