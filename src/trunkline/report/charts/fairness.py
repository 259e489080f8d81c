"""Charts of whom the decisions favour: shares that are picked, errors and calibration by part, and the gaps."""

from collections.abc import Callable, Iterator
from typing import Final

from trunkline.report.charts.shapes import interval_row, interval_rows
from trunkline.report.drawing import Chart, Spec
from trunkline.report.figures import words
from trunkline.stats.fairness import GroupRates
from trunkline.stats.intervals import Interval
from trunkline.tasks import TrainingReport

__all__ = ["fairness_charts"]

_MOST_PARTS: Final = 8
"""Parts drawn of one column, the largest; the table has all of them."""

_PARTS: Final[tuple[tuple[str, str, str, Callable[[GroupRates], Interval | None]], ...]] = (
    ("picked", "Share that is picked", "at or above the decision threshold", lambda part: part.selection_rate),
    (
        "found",
        "Share of the positive that is picked (recall)",
        "of those who are",
        lambda part: part.true_positive_rate,
    ),
    (
        "wrongly_picked",
        "Share of the negative that is picked",
        "of those who are not",
        lambda part: part.false_positive_rate,
    ),
    (
        "calibration_gap",
        "Mean score less observed share",
        "0 is a part whose scores are right on average",
        lambda part: part.calibration_gap,
    ),
)


def fairness_charts(report: TrainingReport) -> tuple[Chart, ...]:
    """Draw decisions by part and the gaps of each column; none without parts that are large enough.

    Args:
        report: Of a classification with slices.
    """
    return tuple(_charts(report))


def _charts(report: TrainingReport) -> Iterator[Chart]:
    gaps: list[Spec] = []
    legend = {"Equalised odds": "two", "Demographic parity": "one"}
    for column, found in report.fairness.items():
        for said, gap in (
            ("Demographic parity", found.demographic_parity_gap),
            ("Equalised odds", found.equalised_odds_gap),
        ):
            if gap is not None:
                gaps.append(interval_row(f"{words(column)}: {said.split()[-1].lower()}", gap, series=said))
    if not gaps:
        return
    yield Chart(
        "fairness_gaps",
        "Largest gap between two parts of a column",
        "Of the shares that are picked (demographic parity), and of the error rates (equalised odds), with 95 % "
        "intervals. The gate judges the lower end. A gap is a question to ask, not a proof: parts differ in what they "
        "want as well.",
        interval_rows(gaps, "Gap", legend=legend),
    )
    for name, title, reading, take in _PARTS:
        rows = [
            interval_row(f"{words(column)}: {part.name or 'no value'}", rate)
            for column, found in report.fairness.items()
            for part in [one for one in found.groups if one.judged][:_MOST_PARTS]
            if (rate := take(part)) is not None
        ]
        if rows:
            yield Chart(
                f"fairness_{name}",
                f"{title}, by part",
                f"{reading[0].upper()}{reading[1:]}; with 95 % intervals, the largest parts of each column.",
                interval_rows(rows, title, reference=0.0 if name == "calibration_gap" else None),
            )
