"""The part of a training's report that every kind of task has."""

from collections.abc import Mapping

from trunkline.stats.intervals import Interval
from trunkline.tasks.choice import Choice
from trunkline.tasks.evidence import Evidence
from trunkline.tasks.finishing import split_text
from trunkline.tasks.info import RowTaskKind
from trunkline.tasks.report import Rows, TrainingReport
from trunkline.tasks.rows import TrainingRows
from trunkline.tasks.supervised import Supervised

__all__ = ["report_of"]


def report_of(  # noqa: PLR0913 - what a report is made of
    task: Supervised,
    kind: RowTaskKind,
    *,
    rows: TrainingRows,
    choice: Choice,
    evidence: Evidence,
    metrics: Mapping[str, Interval],
    test_metrics: Mapping[str, Interval],
    seconds: Mapping[str, float],
    seed: int,
) -> TrainingReport:
    """Write down a training; curves, residuals and slices are the kind's own and not in it yet.

    Args:
        task: The declaration.
        kind: Its kind.
        rows: The rows of the training; positives are counted where the label is a class.
        choice: How the champion was found.
        evidence: What was found of the fitted model.
        metrics: Headline metrics of the champion, out of fold.
        test_metrics: The same on the test set; empty without one.
        seconds: Time of each phase.
        seed: Seed of everything random.
    """
    positives = [int(rows.target[part].sum()) if kind == "classification" else 0 for part in (rows.train, rows.test)]
    return TrainingReport(
        task=kind,
        label=task.label,
        seed=seed,
        folds=task.folds,
        repeats=task.repetitions(len(rows.train)),
        split=split_text(task.group, task.order),
        metric=task.metric,
        rows=Rows(
            given=rows.given,
            unlabelled=rows.given - len(rows.target),
            train=len(rows.train),
            test=len(rows.test),
            train_positives=positives[0],
            test_positives=positives[1],
        ),
        learners=choice.learners,
        tuning=choice.tuning,
        champion=choice.champion,
        metrics=metrics,
        test_metrics=test_metrics,
        importances=evidence.importances,
        leakage=evidence.leakage,
        equality=evidence.equality,
        latency=evidence.latency,
        seconds=seconds,
        warnings=(*choice.warnings, *evidence.warnings),
    )
