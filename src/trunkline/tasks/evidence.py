"""What a gate and a reader want to know of a fitted model: is it the same in ONNX, fast, honest, and what moves it.

Takes a model with the learners it came from and the rows of its training, gives records for the report.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import thread_time

import numpy as np
import pyarrow as pa

from trunkline.errors import MissingExtraError
from trunkline.stats.delong import delong_interval
from trunkline.tasks.base_matrix import BaseMatrix, Floats, Matrix
from trunkline.tasks.equality import compare_answers, hard_rows, time_rows
from trunkline.tasks.estimators import FittedLearner
from trunkline.tasks.explanation import contributions
from trunkline.tasks.features import FeatureKind
from trunkline.tasks.folds import Places
from trunkline.tasks.members import Grown
from trunkline.tasks.model import Model
from trunkline.tasks.preprocessing import Preprocessing
from trunkline.tasks.report import Equality, Importance, Latency, Leakage
from trunkline.tasks.rows import TrainingRows
from trunkline.tasks.view_fitting import fit_view

__all__ = ["Evidence", "feature_importances", "gather", "leakage", "time_model"]

_EXPLAINED_ROWS = 1_000
_EXPLAINED_ROWS_DEEP = 300
_PERMUTED_ROWS = 50
_TIMED_ROWS = 200
_MOST_HELD_OUT = 20_000


@dataclass(frozen=True)
class Evidence:
    """What was found of a fitted model; each record is explained in ``report``.

    Attributes:
        equality: ONNX against the fitted learners.
        latency: Of one row.
        leakage: What single features know.
        importances: Features by falling importance.
        warnings: Sentences for people.
    """

    equality: Equality
    latency: Latency
    leakage: Leakage
    importances: tuple[Importance, ...]
    warnings: tuple[str, ...]


def gather(
    model: Model,
    *,
    rows: TrainingRows,
    fitted: Sequence[FittedLearner],
    trainer: Callable[[Matrix], Floats],
    limit: float,
    seed: int,
) -> Evidence:
    """Gather the evidence about a fitted model.

    Args:
        model: The model.
        rows: The rows of its training.
        fitted: The learners it is made of.
        trainer: Scores rows by those learners' own libraries.
        limit: Single features that score above it are suspicious.
        seed: Seed of samples.

    Returns:
        The evidence; test rows are looked at where there are any, or else training rows.
    """
    classification = model.info.task == "classification"
    held_out = rows.matrix[rows.test if len(rows.test) else rows.train][:_MOST_HELD_OUT]
    equality = compare_answers(
        hard_rows(held_out, kinds=rows.base.kinds, fitted=fitted),
        trainer=trainer,
        onnx=model.scores,
        relative=not classification,
    )
    importances, warning = feature_importances(model, matrix=held_out, seed=seed)
    findings = leakage(rows, columns=rows.train, limit=limit, classification=classification, seed=seed)
    warnings: tuple[str, ...] = (warning,) if warning else ()
    if findings.suspicious:
        warnings += (f"single features know the answer: {', '.join(findings.suspicious)}",)
    return Evidence(equality, time_model(model, rows), findings, importances, warnings)


def feature_importances(model: Model, *, matrix: Matrix, seed: int) -> tuple[tuple[Importance, ...], str]:
    """Average the absolute contributions over a sample of rows.

    Args:
        model: The model.
        matrix: Encoded rows to sample from.
        seed: Seed of the sample.

    Returns:
        Features by falling importance, and a warning where they could not be computed (empty otherwise).
    """
    most = _EXPLAINED_ROWS
    if any(isinstance(member, Grown) for part in model.parts for member in part.members):
        most = _EXPLAINED_ROWS_DEEP
    if not all(part.members for part in model.parts):
        most = _PERMUTED_ROWS
    rows = np.arange(len(matrix))
    if len(rows) > most:
        rows = np.sort(np.random.default_rng(seed).choice(rows, most, replace=False))
    try:
        moved, _ = contributions(model, matrix[rows])
    except MissingExtraError as error:
        return (), f"importances were left out: {error.what}; {error.next_step}"
    mean = np.abs(moved).mean(axis=0)
    order = np.argsort(-mean, kind="stable")
    return tuple(Importance(feature=model.base.names[at], mean_absolute=float(mean[at])) for at in order), ""


def time_model(model: Model, rows: TrainingRows) -> Latency:
    """Time single rows of the test set (of the training rows where there is none)."""
    places = rows.test if len(rows.test) else rows.train
    timed = rows.table.select(list(rows.base.columns)).take(pa.array(places[:_TIMED_ROWS])).to_pylist()
    # the thread's own time: a gate must not refuse a model because the machine had other things to do
    return time_rows(model.predict_row, timed, clock=thread_time)


def leakage(rows: TrainingRows, *, columns: Places, limit: float, classification: bool, seed: int) -> Leakage:
    """Judge each input alone, on training rows.

    Args:
        rows: The training rows.
        columns: Rows to use.
        limit: Scores above it are suspicious.
        classification: ROC AUC (folded to at least 0.5), or else squared correlation.
        seed: Seed of the cross-fitting of category means.

    Returns:
        The findings.
    """
    matrix, target = rows.matrix[columns], rows.target[columns]
    scores = {}
    for at, name in enumerate(rows.base.names):
        cells = matrix[:, [at]]
        ways = [one for one in (_alone(cells, target, rows.base, at, seed), *_nullness(cells)) if np.ptp(one) > 0]
        if classification:
            areas = [delong_interval(target, one).value for one in ways]
            scores[name] = max((max(area, 1 - area) for area in areas), default=0.5)
        else:
            scores[name] = max((float(np.corrcoef(one, target)[0, 1] ** 2) for one in ways), default=0.0)
    strongest = max(scores, key=lambda name: scores[name], default="")
    return Leakage(
        scores=scores,
        strongest=strongest,
        score=scores.get(strongest, 0.0),
        limit=limit,
        suspicious=tuple(sorted(name for name, score in scores.items() if score > limit)),
    )


@dataclass(frozen=True)
class _OneColumn:
    names: tuple[str, ...]
    kinds: tuple[FeatureKind, ...]
    sizes: tuple[int, ...]


def _nullness(column: Matrix) -> tuple[Floats, ...]:
    """Whether there is a value at all: a reason that is filled in for leavers only knows the answer by being there."""
    null = np.isnan(column[:, 0])
    return (null.astype(np.float64),) if null.any() and not null.all() else ()


def _alone(column: Matrix, target: Floats, base: BaseMatrix, at: int, seed: int) -> Floats:
    """A category as its cross-fitted mean target, a number with nulls at its median; ``_nullness`` judges the rest."""
    kind = base.kinds[at]
    if kind == "category":
        alone = _OneColumn((base.names[at],), (kind,), (base.sizes[at],))
        _, encoded = fit_view(
            column,
            target=target,
            columns=alone,
            preprocessing=Preprocessing(encode="target", scale="none"),
            seed=seed,
        )
        return encoded[:, 0].astype(np.float64)
    values = column[:, 0].astype(np.float64)
    null = np.isnan(values)
    if null.all():
        return null.astype(np.float64)
    values[null] = np.median(values[~null])
    return values
