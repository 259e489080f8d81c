"""Train a regression: split, compare, try grids, tune, blend, fit, judge.

Takes a declaration and typed rows, gives a model and a report. The test set is looked at once, at the end.
"""

from collections.abc import Callable

import numpy as np
import pyarrow as pa

from trunkline.errors import LabelError
from trunkline.stats.classification import regression_headline
from trunkline.stats.metrics import REGRESSION_METRICS, evaluate
from trunkline.tasks.answering import blended_margin, in_units
from trunkline.tasks.base_matrix import Floats, Matrix
from trunkline.tasks.choice import choose, trials_of
from trunkline.tasks.evidence import gather
from trunkline.tasks.finishing import Phases, build_model, describe, fit_parts
from trunkline.tasks.regression import Regression
from trunkline.tasks.report import Residuals
from trunkline.tasks.reporting import report_of
from trunkline.tasks.rows import prepare_rows
from trunkline.tasks.task import Progress, TrainedRows
from trunkline.tasks.validation import Score

__all__ = ["residuals", "train"]

_MOST_POINTS = 400
_QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)


def train(
    task: Regression,
    table: pa.Table,
    *,
    seed: int,
    threads: int,
    progress: Progress,
    clock: Callable[[], float],
) -> TrainedRows:
    """Train; see ``Regression.train``."""
    phases = Phases(clock)
    phases.begin("encode")
    progress("encode", 0.0)
    rows = prepare_rows(task, table, classification=False, seed=seed)
    if task.log_target and rows.target.min() < 0:
        raise LabelError(f"label {task.label!r} has negative values", next_step="declare log_target=False")
    learned = np.log1p(rows.target) if task.log_target else rows.target
    trials = trials_of(
        task,
        rows,
        learned=learned,
        settings=task.fit_settings(rows.base),
        scores={name: _score(name, log_target=task.log_target) for name in REGRESSION_METRICS},
        seed=seed,
        threads=threads,
        clock=clock,
    )
    phases.begin("compare and tune")
    choice = choose(task, trials=trials, progress=progress)
    judged = np.isfinite(choice.margins[0])
    out_of_fold = in_units(choice.margins[0][judged], log_target=task.log_target)
    truth = rows.target[rows.train][judged]
    phases.begin("fit")
    progress("fit", 0.0)

    def answers(matrix: Matrix) -> Floats:
        return in_units(blended_margin(final, matrix), log_target=task.log_target)

    final = fit_parts(choice.parts, trials=trials, matrix=trials.matrix, target=trials.target)
    phases.begin("judge")
    progress("judge", 0.0)
    test = rows.matrix[rows.test]
    test_answers = answers(test) if len(test) else np.zeros(0)
    groups, of_test = (rows.structure.of(places).groups for places in (rows.train[judged], rows.test))
    metrics = regression_headline(truth, out_of_fold, seed=seed, groups=groups)
    test_metrics = (
        regression_headline(rows.target[rows.test], test_answers, seed=seed, groups=of_test) if len(test) else {}
    )
    used = rows.train
    if task.refit_on_all and len(rows.test):
        used = np.arange(len(rows.target))
        final = fit_parts(choice.parts, trials=trials, matrix=rows.matrix, target=learned)
    info = describe(
        task,
        rows=rows,
        used=used,
        parts=choice.parts,
        metrics=metrics,
        test_metrics=test_metrics,
        scores=out_of_fold,
        seed=seed,
    ).model_copy(update={"log_target": task.log_target})
    model = build_model(info, rows=rows, used=used, fitted=final)
    phases.begin("evidence")
    progress("evidence", 0.0)
    evidence = gather(
        model,
        rows=rows,
        fitted=[one for one, _ in final],
        trainer=answers,
        limit=task.leakage_limit,
        seed=seed,
    )
    phases.end()
    pictured = (rows.target[rows.test], test_answers) if len(test) else (truth, out_of_fold)
    report = report_of(
        task,
        "regression",
        rows=rows,
        choice=choice,
        evidence=evidence,
        metrics=metrics,
        test_metrics=test_metrics,
        seconds=phases.seconds,
        seed=seed,
    ).model_copy(update={"residuals": residuals(*pictured)})
    progress("evidence", 1.0)
    return TrainedRows(model, report, rows.places[used])


def _score(metric: str, *, log_target: bool) -> Score:
    def judge(target: Floats, margin: Floats) -> float:
        return evaluate(in_units(target, log_target=log_target), in_units(margin, log_target=log_target), metric=metric)

    return judge


def residuals(actual: Floats, predicted: Floats) -> Residuals:
    """Thin predictions for residual pictures.

    Args:
        actual: True values, shape (rows,).
        predicted: Predictions of the same rows.

    Returns:
        Points evenly over the sorted predictions, quantiles and a histogram of the residuals (the outermost percent
        on either side is counted in the outer bins).
    """
    order = np.argsort(predicted, kind="stable")
    kept = order[np.unique(np.linspace(0, len(order) - 1, min(_MOST_POINTS, len(order))).round().astype(np.int64))]
    left = actual - predicted
    low, high = np.quantile(left, [0.01, 0.99])
    edges = np.linspace(low, high if high > low else low + 1.0, 41)
    counts, _ = np.histogram(np.clip(left, edges[0], edges[-1]), bins=edges)
    return Residuals(
        predicted=tuple(predicted[kept].tolist()),
        actual=tuple(actual[kept].tolist()),
        quantiles=tuple(np.quantile(left, _QUANTILES).tolist()),
        histogram_edges=tuple(edges.tolist()),
        histogram_counts=tuple(int(count) for count in counts),
    )
