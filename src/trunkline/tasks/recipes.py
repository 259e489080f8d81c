"""The recipe of a model, and how good it is fitted anew in the folds that are asked for."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from pydantic import BaseModel, ConfigDict

from trunkline.stats.calibration import ece
from trunkline.stats.metrics import evaluate
from trunkline.tasks.answering import in_units
from trunkline.tasks.base_matrix import Floats
from trunkline.tasks.blending import cross_fitted_blend
from trunkline.tasks.classification import Classification
from trunkline.tasks.finishing import cross_fitted
from trunkline.tasks.folds import Fold, make_folds
from trunkline.tasks.info import ModelInfo
from trunkline.tasks.learners import Learner
from trunkline.tasks.regression import Regression
from trunkline.tasks.rows import TrainingRows, prepare_rows
from trunkline.tasks.validation import OutOfFold, cross_validate, sigmoid

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["RecipeScores", "recipe_of", "recipe_scores"]


class RecipeScores(BaseModel):
    """A recipe judged on folds.

    Attributes:
        fold_scores: By metric, one score per fold.
        ece: Expected calibration error of the cross-fitted, calibrated scores of each repetition, pooled over its
            folds; empty for a regression.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    fold_scores: dict[str, tuple[float, ...]]
    ece: tuple[float, ...] = ()


def recipe_of(info: ModelInfo) -> Classification | Regression:
    """Give the task that fits this model's learners again, with its parameters and weights settled.

    Args:
        info: A model's record.

    Returns:
        The task: nothing is searched or weighed anew.
    """
    kind = Classification if info.task == "classification" else Regression
    settled: Classification | Regression = kind.model_validate(dict(info.recipe))
    learners = tuple(
        Learner(
            name=one.name,
            kind=one.kind,
            parameters=one.parameters,
            preprocessing=one.preprocessing,
            bags=one.bags,
        )
        for one in info.learners
    )
    weights = {one.name: one.weight for one in info.learners}
    return settled.model_copy(update={"learners": learners, "weights": weights, "tune": "none", "test_share": 0.0})


def recipe_scores(
    task: Classification | Regression,
    table: "pa.Table",
    *,
    metrics: Sequence[str],
    seed: int,
    threads: int = 1,
    folds: Sequence[Fold] | None = None,
) -> RecipeScores:
    """Judge a recipe as it stands: no search, no test set, every fold fitted anew.

    Args:
        task: The recipe. With ``weights`` its blend is those; otherwise several eligible learners are blended with
            weights learned on the other folds.
        table: Labelled rows.
        metrics: Scorer names.
        seed: Seed of folds and fits.
        threads: Fits at a time.
        folds: Rows of each fold among the labelled rows; None cuts ``task.folds`` x ``task.repetitions``.

    Returns:
        One score per fold and metric.

    Raises:
        InputError: There are no rows.
        SchemaError: A column is missing or of the wrong type.
        LabelError: The label cannot be learned from.
        UseCaseError: A declaration does not fit the data.
    """
    rows, margins, used = _refitted(task, table, seed=seed, threads=threads, folds=folds)
    scores = {
        name: tuple(_judge(task, rows.target[fold.judge], margins[fold.repeat, fold.judge], name) for fold in used)
        for name in metrics
    }
    if isinstance(task, Regression):
        return RecipeScores(fold_scores=scores)
    return RecipeScores(fold_scores=scores, ece=tuple(_pooled_ece(task, rows, margins, used)))


def _pooled_ece(task: Classification, rows: TrainingRows, margins: Floats, folds: Sequence[Fold]) -> list[float]:
    found = []
    for repeat, margin in enumerate(margins):
        parts = [fold.judge for fold in folds if fold.repeat == repeat]
        scores, _ = cross_fitted(margin, rows.target, parts=parts, kind=task.calibration)
        judged = np.isfinite(scores)
        found.append(ece(rows.target[judged], scores[judged]))
    return found


def _refitted(
    task: Classification | Regression,
    table: "pa.Table",
    *,
    seed: int,
    threads: int,
    folds: Sequence[Fold] | None,
) -> tuple[TrainingRows, Floats, Sequence[Fold]]:
    """Rows, out-of-fold margins of the recipe, shape (repeats, rows), and the folds."""
    classification = isinstance(task, Classification)
    rows = prepare_rows(task.model_copy(update={"test_share": 0.0}), table, classification=classification, seed=seed)
    used = folds or make_folds(
        rows.target, folds=task.folds, repeats=task.repetitions(len(rows.target)), structure=rows.structure, seed=seed
    )
    learners = [
        learner for learner in task.learners if learner.eligible and (not task.weights or learner.name in task.weights)
    ]
    target = np.log1p(rows.target) if isinstance(task, Regression) and task.log_target else rows.target
    found = cross_validate(
        learners,
        base=rows.matrix,
        target=target,
        folds=used,
        settings=task.fit_settings(rows.base),
        seed=seed,
        threads=threads,
    )
    return rows, _blended(task, learners, found, target, used), used


def _blended(
    task: Classification | Regression,
    learners: Sequence[Learner],
    found: Sequence[OutOfFold],
    target: Floats,
    folds: Sequence[Fold],
) -> Floats:
    margins = np.stack([one.margins for one in found], axis=2)
    if len(learners) == 1:
        return margins[:, :, 0]
    if task.weights:
        weights = np.array([task.weights[learner.name] for learner in learners])
        return np.asarray(margins @ (weights / weights.sum()), dtype=np.float64)
    return np.stack(
        [
            cross_fitted_blend(
                margins[repeat],
                target,
                folds=[fold for fold in folds if fold.repeat == repeat],
                classification=isinstance(task, Classification),
            )
            for repeat in range(len(margins))
        ]
    )


def _judge(task: Classification | Regression, target: Floats, margin: Floats, metric: str) -> float:
    if isinstance(task, Classification):
        return evaluate(target, sigmoid(margin), metric=metric)
    return evaluate(target, in_units(margin, log_target=task.log_target), metric=metric)
