"""Train a classification: split, compare, tune, blend, calibrate, decide, fit, judge.

Takes a declaration and typed rows, gives a model and a report. The test set is looked at once, at the end.
"""

from collections.abc import Callable

import numpy as np
import pyarrow as pa

from trunkline.stats.calibration import (
    ece_noise_floor,
    reliability_curve,
)
from trunkline.stats.classification import (
    class_report,
    confusion_matrix,
    headline,
    precision_recall_curve,
    roc_curve,
)
from trunkline.stats.profit import cumulative_gains, profit_curve
from trunkline.tasks.answering import blended_margin, calibrated_scores
from trunkline.tasks.base_matrix import Floats
from trunkline.tasks.choice import Trials, choose, metrics_of, trials_of
from trunkline.tasks.classification import Classification
from trunkline.tasks.evidence import gather
from trunkline.tasks.finishing import (
    Phases,
    build_model,
    cross_fitted,
    describe,
    fit_parts,
)
from trunkline.tasks.hardest import decimal_grids, hardest_slices
from trunkline.tasks.report import ClassificationCurves
from trunkline.tasks.reporting import report_of
from trunkline.tasks.rows import TrainingRows, prepare_rows
from trunkline.tasks.slices import fairness_reports, slice_reports
from trunkline.tasks.task import Progress, TrainedRows
from trunkline.tasks.validation import probability_score

__all__ = ["best_f1_threshold", "classification_trials", "train"]


def classification_trials(
    task: Classification, rows: TrainingRows, *, seed: int, threads: int, clock: Callable[[], float]
) -> Trials:
    """Set the ground on which candidates are judged: the training rows and the evaluation's folds."""
    return trials_of(
        task,
        rows,
        learned=rows.target,
        settings=task.fit_settings(rows.base),
        scores={
            name: probability_score(name) for name in dict.fromkeys((task.metric, *metrics_of(classification=True)))
        },
        seed=seed,
        threads=threads,
        clock=clock,
    )


def train(
    task: Classification,
    table: pa.Table,
    *,
    seed: int,
    threads: int,
    progress: Progress,
    clock: Callable[[], float],
) -> TrainedRows:
    """Train; see ``Classification.train``."""
    phases = Phases(clock)
    phases.begin("encode")
    progress("encode", 0.0)
    rows = prepare_rows(task, table, classification=True, seed=seed)
    trials = classification_trials(task, rows, seed=seed, threads=threads, clock=clock)
    phases.begin("compare and tune")
    choice = choose(task, trials=trials, progress=progress)
    phases.begin("calibrate")
    first = [fold.judge for fold in trials.folds if fold.repeat == 0]
    probabilities, calibration = cross_fitted(choice.margins[0], trials.target, parts=first, kind=task.calibration)
    judged = np.isfinite(probabilities)
    out_of_fold, truth = probabilities[judged], trials.target[judged]
    threshold = _threshold(task, truth, out_of_fold)
    phases.begin("fit")
    progress("fit", 0.0)
    fitted = fit_parts(choice.parts, trials=trials, matrix=trials.matrix, target=trials.target)
    phases.begin("judge")
    progress("judge", 0.0)
    metrics = headline(
        truth, out_of_fold, threshold=threshold, seed=seed, groups=rows.structure.of(rows.train[judged]).groups
    )
    test = rows.matrix[rows.test]
    test_scores = calibrated_scores(blended_margin(fitted, test), calibration)
    test_metrics = (
        headline(
            rows.target[rows.test],
            test_scores,
            threshold=threshold,
            seed=seed,
            groups=rows.structure.of(rows.test).groups,
        )
        if len(rows.test)
        else {}
    )
    used, final = rows.train, fitted
    if task.refit_on_all and len(rows.test):
        used = np.arange(len(rows.target))
        final = fit_parts(choice.parts, trials=trials, matrix=rows.matrix, target=rows.target)
    info = describe(
        task,
        rows=rows,
        used=used,
        parts=choice.parts,
        metrics=metrics,
        test_metrics=test_metrics,
        scores=out_of_fold,
        seed=seed,
    ).model_copy(
        update={
            "task": "classification",
            "classes": task.classes,
            "calibration": calibration,
            "threshold": threshold,
            "positives": int(rows.target[used].sum()),
        }
    )
    model = build_model(info, rows=rows, used=used, fitted=final)
    phases.begin("evidence")
    progress("evidence", 0.0)
    evidence = gather(
        model,
        rows=rows,
        fitted=[one for one, _ in final],
        trainer=lambda matrix: calibrated_scores(blended_margin(final, matrix), calibration),
        limit=task.leakage_limit,
        seed=seed,
    )
    scored = rows.table.take(pa.array(rows.train[judged]))
    slices = slice_reports(
        scored, columns=task.slices, target=truth, scores=out_of_fold, threshold=threshold, seed=seed
    )
    fairness = fairness_reports(
        scored, columns=task.slices, target=truth, scores=out_of_fold, threshold=threshold, seed=seed
    )
    read = [feature.name for feature in task.features]
    grids = decimal_grids(scored, columns=read, target=truth)
    hardest = hardest_slices(scored, columns=read, reports=slices, grids=grids, target=truth)
    phases.end()
    report = report_of(
        task,
        "classification",
        rows=rows,
        choice=choice,
        evidence=evidence,
        metrics=metrics,
        test_metrics=test_metrics,
        seconds=phases.seconds,
        seed=seed,
    ).model_copy(
        update={
            "champion": choice.champion.model_copy(update={"calibration": calibration, "threshold": threshold}),
            "curves": _curves(task, truth, out_of_fold, threshold, seed),
            "test_curves": _curves(task, rows.target[rows.test], test_scores, threshold, seed) if len(test) else None,
            "slices": slices,
            "fairness": fairness,
            "hardest": hardest,
            "grids": grids,
        }
    )
    progress("evidence", 1.0)
    return TrainedRows(model, report, rows.places[used])


def _threshold(task: Classification, truth: Floats, scores: Floats) -> float:
    if task.profit is None:
        return best_f1_threshold(truth, scores)
    return profit_curve(truth, scores, value=task.profit.value, cost=task.profit.cost).best.threshold


def best_f1_threshold(truth: Floats, scores: Floats) -> float:
    """Find the threshold with the highest F1, midway between neighbouring scores.

    >>> best_f1_threshold(np.array([0.0, 1.0, 1.0]), np.array([0.2, 0.6, 0.8]))
    0.4
    """
    order = np.argsort(-scores, kind="stable")
    ranked, hits = scores[order], np.cumsum(truth[order])
    ends = np.append(np.flatnonzero(ranked[1:] < ranked[:-1]), len(ranked) - 1)
    f1 = 2 * hits[ends] / (ends + 1 + truth.sum())
    best = int(ends[int(np.argmax(f1))])
    below = float(ranked[best + 1]) if best + 1 < len(ranked) else 0.0
    return (float(ranked[best]) + below) / 2


def _curves(task: Classification, truth: Floats, scores: Floats, threshold: float, seed: int) -> ClassificationCurves:
    profit = None
    if task.profit is not None:
        profit = profit_curve(truth, scores, value=task.profit.value, cost=task.profit.cost)
    return ClassificationCurves(
        roc=roc_curve(truth, scores),
        precision_recall=precision_recall_curve(truth, scores),
        reliability=tuple(reliability_curve(truth, scores)),
        gains=cumulative_gains(truth, scores),
        profit=profit,
        confusion=confusion_matrix(truth, scores, threshold=threshold),
        classes=class_report(truth, scores, threshold=threshold, names=task.classes),
        ece_noise=ece_noise_floor(scores, seed=seed),
    )
