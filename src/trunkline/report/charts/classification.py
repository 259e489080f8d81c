"""Curves of a classification: ROC, precision and recall, reliability, profit, gains."""

import math
from collections.abc import Iterator, Sequence
from typing import Final

from trunkline.report.charts.shapes import axis, diagonal, frame, level, lines
from trunkline.report.drawing import Chart, Spec
from trunkline.report.figures import number, share
from trunkline.stats.profit import ProfitCurve
from trunkline.tasks import TrainingReport
from trunkline.tasks.report import ClassificationCurves

__all__ = ["classification_charts"]

_OUT_OF_FOLD: Final = "Out of fold"
_TEST: Final = "Test set"
_SHARE: Final[Spec] = {"domain": [0, 1]}
_PERCENT: Final = ".0%"


def classification_charts(report: TrainingReport, curves: ClassificationCurves) -> Iterator[Chart]:
    """Draw the curves of a classification.

    Args:
        report: The training report.
        curves: Its out-of-fold curves; those of the test set stand beside them where they tell something.
    """
    sets = [(_OUT_OF_FOLD, curves)] + ([(_TEST, report.test_curves)] if report.test_curves is not None else [])
    rows, positives = report.rows.train, report.rows.train_positives
    yield _roc(sets)
    yield _precision_recall(sets, prevalence=positives / rows if rows else 0.0)
    yield _reliability(curves)
    if curves.profit is not None:
        yield _profit(curves.profit, threshold=report.champion.threshold)
    yield _gains(sets)


def _legend(sets: Sequence[tuple[str, ClassificationCurves]]) -> dict[str, str]:
    return dict(zip((name for name, _ in sets), ("one", "two"), strict=False))


def _roc(sets: Sequence[tuple[str, ClassificationCurves]]) -> Chart:
    x = axis("x", "False positive rate", scale=_SHARE)
    y = axis("y", "True positive rate", scale=_SHARE)
    points: list[Spec] = [
        {"x": a, "y": b, "series": name, "order": order}
        for name, curves in sets
        for order, (a, b) in enumerate(zip(curves.roc.false_positive_rate, curves.roc.true_positive_rate, strict=True))
    ]
    return Chart(
        "roc",
        "ROC curve",
        "How many of the positive rows are found for each share of the negative rows that is picked with them. "
        "The dashed line is guessing.",
        frame([diagonal(x, y), lines(points, x, y, _legend(sets))]),
    )


def _precision_recall(sets: Sequence[tuple[str, ClassificationCurves]], *, prevalence: float) -> Chart:
    x = axis("x", "Recall", scale=_SHARE)
    y = axis("y", "Precision", scale=_SHARE)
    points: list[Spec] = [
        {"x": a, "y": b, "series": name, "order": order}
        for name, curves in sets
        for order, (a, b) in enumerate(
            zip(curves.precision_recall.recall, curves.precision_recall.precision, strict=True)
        )
    ]
    return Chart(
        "precision_recall",
        "Precision and recall",
        "What share of the picked rows is right, for each share of the positive rows that is found. The dashed line is "
        f"picking at random ({share(prevalence)}).",
        frame([level(prevalence, y), lines(points, x, y, _legend(sets))]),
    )


def _reliability(curves: ClassificationCurves) -> Chart:
    bins = [found for found in curves.reliability if found.rows]
    top = max((max(found.mean_score, found.observed.high) for found in bins), default=1.0)
    high = min(1.0, math.ceil(top * 10) / 10)
    x = axis("x", "Stated probability (mean of the bin)", scale={"domain": [0, high]})
    y = axis("y", "Observed share", scale={"domain": [0, high]})
    points: list[Spec] = [
        {"x": found.mean_score, "y": found.observed.value, "low": found.observed.low, "high": found.observed.high}
        for found in bins
    ]
    band: list[Spec] = []
    for found in bins:
        reach = 1.96 * math.sqrt(max(found.mean_score * (1 - found.mean_score), 0.0) / found.rows)
        band.append(
            {
                "x": found.mean_score,
                "low": max(0.0, found.mean_score - reach),
                "high": min(high, found.mean_score + reach),
            }
        )
    layers: list[Spec] = [
        {
            "data": {"values": band},
            "mark": {"type": "area", "color": "var(--one)", "opacity": 0.15},
            "encoding": {"x": x, "y": {**y, "field": "low"}, "y2": {"field": "high"}},
        },
        diagonal(x, y, high=high),
        {
            "data": {"values": points},
            "mark": {"type": "rule", "color": "var(--one)"},
            "encoding": {"x": x, "y": {**y, "field": "low"}, "y2": {"field": "high"}},
        },
        {
            "data": {"values": points},
            "mark": {"type": "point", "color": "var(--one)", "opacity": 1},
            "encoding": {"x": x, "y": y},
        },
    ]
    return Chart(
        "reliability",
        "Reliability",
        "Points on the dashed line mean that a stated 30 % comes true in 30 of 100 cases; bars are 95 % intervals. The "
        "shaded band is where chance alone would put a perfectly calibrated model: points inside it are no evidence "
        "against the calibration.",
        frame(layers),
    )


def _profit(profit: ProfitCurve, *, threshold: float | None) -> Chart:
    x = axis("x", "Share of rows contacted", scale=_SHARE, number_format=_PERCENT)
    y = axis("y", "Profit per row", scale={"zero": True, "nice": True})
    points: list[Spec] = [
        {"x": point.share, "y": point.profit_per_row, "order": order} for order, point in enumerate(profit.points)
    ]
    chosen = profit.best
    if threshold is not None:
        chosen = min(profit.points, key=lambda point: (abs(point.threshold - threshold), point.share))
    values: list[Spec] = [{"x": chosen.share, "y": chosen.profit_per_row}]
    layers: list[Spec] = [
        level(0.0, y),
        {
            "data": {"values": points},
            "mark": {"type": "line", "color": "var(--one)", "strokeWidth": 2},
            "encoding": {"x": x, "y": y, "order": {"field": "order", "type": "quantitative"}},
        },
        {
            "data": {"values": values},
            "mark": {"type": "rule", "color": "var(--two)", "strokeDash": [2, 2]},
            "encoding": {"x": x},
        },
        {
            "data": {"values": values},
            "mark": {"type": "point", "color": "var(--two)", "size": 80, "opacity": 1},
            "encoding": {"x": x, "y": y},
        },
    ]
    return Chart(
        "profit",
        "Profit by share contacted",
        f"The chosen threshold {number(threshold if threshold is not None else chosen.threshold)} contacts "
        f"{share(chosen.share)} of the rows and earns {number(chosen.profit_per_row)} per row, contacted or not; "
        f"contacting everybody would earn {number(profit.points[-1].profit_per_row)}.",
        frame(layers),
    )


def _gains(sets: Sequence[tuple[str, ClassificationCurves]]) -> Chart:
    x = axis("x", "Share of rows, best scores first", scale=_SHARE, number_format=_PERCENT)
    y = axis("y", "Share of positive rows found", scale=_SHARE, number_format=_PERCENT)
    points: list[Spec] = []
    for name, curves in sets:
        points.append({"x": 0.0, "y": 0.0, "series": name, "order": -1})
        points += [
            {"x": row.share_contacted, "y": row.share_captured, "series": name, "order": order}
            for order, row in enumerate(curves.gains)
        ]
    first = sets[0][1].gains
    said = (
        f" The best-scored {share(first[0].share_contacted, digits=0)} hold {share(first[0].share_captured)}."
        if first
        else ""
    )
    return Chart(
        "gains",
        "Gains",
        f"Working through the list from the highest score down, how many of the positive rows have been met.{said}",
        frame([diagonal(x, y), lines(points, x, y, _legend(sets))]),
    )
