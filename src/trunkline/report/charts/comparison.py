"""Charts that any task has: learners, slices, importances, what single features know, tuning."""

from collections.abc import Sequence
from typing import Final

from trunkline.report.charts.shapes import MOST_BARS, axis, bars, frame, interval_row, interval_rows, lines
from trunkline.report.drawing import Chart, Spec, colours
from trunkline.report.figures import metric, number, words
from trunkline.tasks import TrainingReport
from trunkline.tasks.report import Importance, Leakage, TuningReport

__all__ = ["importance_chart", "leakage_chart", "learners_chart", "slices_chart", "tuning_chart"]

_MOST_SLICES: Final = 40


def learners_chart(report: TrainingReport) -> Chart:
    """Draw the learners and the champion by the headline metric."""
    known = metric(report.metric)
    compared, champion = "Learner", "Champion"
    rows = [
        interval_row(words(learner.name), known.interval(learner.scores[report.metric]), series=compared)
        for learner in report.learners
        if report.metric in learner.scores
    ]
    rows.sort(key=lambda row: float(str(row["value"])), reverse=not known.lower_is_better)
    if report.metric in report.metrics:
        label = f"{words(report.champion.name)} (champion)"
        rows.insert(0, interval_row(label, known.interval(report.metrics[report.metric]), series=champion))
    return Chart(
        "learners",
        f"Learners compared by {known.label}",
        "Mean over the folds with its 95 % interval (corrected for folds that share rows); the champion as it was put "
        "together, judged on pooled out-of-fold rows.",
        interval_rows(rows, known.label, legend={champion: "two", compared: "one"}),
    )


def slices_chart(report: TrainingReport) -> Chart | None:
    """Draw the champion inside the slices that are large enough to judge; None without any."""
    known = metric("roc_auc")
    rows = [
        interval_row(f"{words(column)}: {part.name or 'no value'} ({part.rows:,})", part.roc_auc)
        for column, found in report.slices.items()
        for part in found.slices
        if part.roc_auc is not None
    ][:_MOST_SLICES]
    if not rows:
        return None
    whole = report.metrics.get(known.name)
    return Chart(
        "slices",
        f"{known.label} in declared slices",
        "The champion inside each part of the rows (number of rows in brackets), with 95 % intervals. The dashed line "
        "is all rows together. Parts too small to judge are in the table only.",
        interval_rows(rows, known.label, reference=None if whole is None else whole.value),
    )


def importance_chart(importances: Sequence[Importance]) -> Chart:
    """Draw the features that move the scores most."""
    rows: list[Spec] = [
        {"label": words(found.feature), "value": found.mean_absolute, "colour": "var(--one)"}
        for found in importances[:MOST_BARS]
    ]
    return Chart(
        "importance",
        "What moves the score",
        f"Mean size of each feature's contribution to a score, over a sample of test rows; the first {len(rows)} of "
        f"{len(importances)}. It says what the model uses, not what causes the outcome.",
        bars(rows, "Mean |contribution|"),
    )


def leakage_chart(leakage: Leakage, *, regression: bool) -> Chart:
    """Draw what each feature alone knows of the label."""
    found = sorted(leakage.scores.items(), key=lambda item: (-item[1], item[0]))[:MOST_BARS]
    suspicious = set(leakage.suspicious)
    rows: list[Spec] = [
        {
            "label": words(name),
            "value": score,
            "limit": leakage.limit,
            "colour": "var(--bad)" if name in suspicious else "var(--one)",
        }
        for name, score in found
    ]
    return Chart(
        "leakage",
        "What single features know",
        f"How well each feature alone predicts the label ({'R²' if regression else 'ROC AUC; 0.5 is nothing'}). "
        f"A feature above the mark at {number(leakage.limit)} probably knows the answer.",
        bars(rows, "R² alone") if regression else bars(rows, "ROC AUC alone", domain=(0.5, 1.0)),
    )


def tuning_chart(tunings: Sequence[TuningReport]) -> Chart:
    """Draw the tries of all searches; at least one search has a try."""
    known = metric(tunings[0].metric)
    palette = ("one", "two", "three", "four")
    legend = {words(tuning.learner): palette[place % len(palette)] for place, tuning in enumerate(tunings)}
    points: list[Spec] = []
    best: list[Spec] = []
    for tuning in tunings:
        reached: float | None = None
        for trial in tuning.trials:
            name = words(tuning.learner)
            points.append(
                {
                    "x": trial.number,
                    "y": known.value(trial.score),
                    "series": name,
                    "opacity": 0.25 if trial.pruned else 0.7,
                }
            )
            if not trial.pruned:
                reached = trial.score if reached is None else max(reached, trial.score)
            if reached is not None:
                best.append({"x": trial.number, "y": known.value(reached), "series": name, "order": trial.number})
    x: Spec = {**axis("x", "Try"), "axis": {"tickMinStep": 1, "tickCount": 6, "format": "d"}}
    y = axis("y", known.label)
    layers: list[Spec] = [
        {
            "data": {"values": points},
            "mark": {"type": "point"},
            "encoding": {
                "x": x,
                "y": y,
                "color": colours(legend),
                "opacity": {"field": "opacity", "type": "quantitative", "scale": None},
            },
        },
        lines(best, x, y, legend, steps={"interpolate": "step-after"}),
    ]
    return Chart(
        "tuning",
        "Tuning history",
        "Each point is one set of parameters (pale: given up early), each line the best so far. Tries are judged in "
        "folds of their own, so these figures are not the model's evaluation.",
        frame(layers),
    )
