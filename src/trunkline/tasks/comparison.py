"""Judge models for the gates: on new labelled rows, against each other, or refitted beside each other.

A comparison is honest on rows that neither model has seen (``compare``). Where there are none, both recipes are fitted
anew in the same folds (``compare_refitted``), which judges the recipes.
"""

from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from trunkline.errors import InputError
from trunkline.stats.bootstrap import paired_bootstrap
from trunkline.stats.classification import headline, regression_headline
from trunkline.stats.delong import delong_test
from trunkline.stats.intervals import Interval, corrected_resampled_test
from trunkline.stats.metrics import evaluate
from trunkline.tasks.classification import Classification
from trunkline.tasks.folds import Places, make_folds
from trunkline.tasks.info import ModelInfo
from trunkline.tasks.model import Model
from trunkline.tasks.recipes import recipe_of, recipe_scores
from trunkline.tasks.rows import groups_of, labelled, prepare_rows

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "PairedComparison",
    "compare",
    "compare_refitted",
    "drawn_by",
    "score",
]


class PairedComparison(BaseModel):
    """Candidate against champion on the same rows.

    Attributes:
        metric: Scorer name; greater is better.
        method: ``delong``, ``bootstrap`` (both on unseen rows; the latter also of ROC AUC where the task has groups,
            which are drawn whole) or ``refitted`` (corrected resampled t over folds).
        rows: Rows both were judged on.
        candidate: The candidate's figure.
        champion: The champion's figure.
        difference: Candidate minus champion; ``low`` is the one-sided lower bound at ``confidence``.
        p_value: Two-sided, of no difference.
        confidence: Confidence of each of the two bounds taken alone.
        drawn_by: By what the interval was drawn, in words: ``rows``, ``whole GROUP``, ``folds``; and why by rows where
            the task has groups.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    metric: str
    method: Literal["delong", "bootstrap", "refitted"]
    rows: int
    candidate: float
    champion: float
    difference: Interval
    p_value: float
    confidence: float
    drawn_by: str


def score(model: Model, table: "pa.Table", *, seed: int) -> dict[str, Interval]:
    """Judge a model on labelled rows it has never seen.

    Args:
        model: The model.
        table: Rows with the model's columns and its label; rows without a label are left out.
        seed: Seed of the bootstrap.

    Returns:
        Headline metrics with 95 % intervals.

    Raises:
        InputError: There are no rows.
        SchemaError: A column is missing or of another type.
        LabelError: The label is null in every row, or has one class.
    """
    classification = model.info.task == "classification"
    rows, target = labelled(table, label=model.info.label, classification=classification)
    answers = model.scores(model.base.from_table(rows))
    groups, _ = _groups_of(rows, model.info)
    if classification:
        return headline(target, answers, threshold=model.info.threshold or 0.0, seed=seed, groups=groups)
    return regression_headline(target, answers, seed=seed, groups=groups)


def drawn_by(rows: "pa.Table", info: ModelInfo) -> str:
    """Say in words by what the intervals of :func:`score` and :func:`compare` are drawn.

    Args:
        rows: The labelled rows.
        info: The model's record; of two models the candidate's.

    Returns:
        ``whole GROUP`` or ``rows``, and why by rows where the task has groups.
    """
    return _groups_of(rows, info)[1]


def compare(
    candidate: Model, champion: Model, unseen: "pa.Table", *, metric: str, seed: int, confidence: float = 0.95
) -> PairedComparison:
    """Compare two models on rows that neither has seen.

    Args:
        candidate: The new model.
        champion: The one that is live.
        unseen: Labelled rows with the columns of both.
        metric: Scorer name; greater is better.
        seed: Seed of the bootstrap; DeLong's test for ROC AUC needs none, and is taken where rows are
            independent.
        confidence: Of each bound of the difference taken alone, in (0.5, 1).

    Returns:
        The comparison.

    Raises:
        InputError: There are no rows, or the two predict different labels.
        SchemaError: A column is missing or of another type.
        LabelError: The label is null in every row, or has one class.
    """
    _refuse_different(candidate.info, champion.info)
    classification = candidate.info.task == "classification"
    rows, target = labelled(unseen, label=candidate.info.label, classification=classification)
    a = candidate.scores(candidate.base.from_table(rows))
    b = champion.scores(champion.base.from_table(rows))
    level = 2 * confidence - 1
    groups, words = _groups_of(rows, candidate.info)
    if metric == "roc_auc" and groups is None:
        exact = delong_test(target, a, b, level=level)
        return PairedComparison(
            metric=metric,
            method="delong",
            rows=len(target),
            candidate=evaluate(target, a, metric=metric),
            champion=evaluate(target, b, metric=metric),
            difference=exact.difference,
            p_value=exact.p_value,
            confidence=confidence,
            drawn_by=words,
        )
    drawn = paired_bootstrap(
        target,
        a,
        b,
        metric=metric,
        seed=seed,
        threshold=candidate.info.threshold or 0.5,
        level=level,
        groups=groups,
    )
    return PairedComparison(
        metric=metric,
        method="bootstrap",
        rows=len(target),
        candidate=drawn.a,
        champion=drawn.b,
        difference=drawn.difference,
        p_value=drawn.p_value,
        confidence=confidence,
        drawn_by=words,
    )


def _groups_of(rows: "pa.Table", info: ModelInfo) -> tuple[Places | None, str]:
    """The groups that are drawn whole, None where rows are; and in words by what is drawn."""
    name = info.recipe.get("group")
    if name is None:
        return None, "rows"
    if name not in rows.column_names:
        return None, f"rows, for they lack the column {name}"
    found = groups_of(rows, str(name))
    if found is None or len(np.unique(found)) < 2:
        return None, f"rows, for all are of one {name}"
    return found, f"whole {name}"


def _refuse_different(candidate: ModelInfo, champion: ModelInfo) -> None:
    if (candidate.task, candidate.label) != (champion.task, champion.label):
        raise InputError(
            f"candidate predicts {candidate.label!r}, the champion {champion.label!r}",
            next_step="retire the champion first",
        )


def compare_refitted(
    candidate: ModelInfo,
    champion: ModelInfo,
    table: "pa.Table",
    *,
    metric: str,
    seed: int,
    threads: int = 1,
    repeats: int = 1,
    confidence: float = 0.95,
) -> PairedComparison:
    """Fit both models' recipes anew in the same folds and compare them fold by fold.

    Args:
        candidate: The new model's record.
        champion: The live model's record.
        table: Labelled rows with the columns of both.
        metric: Scorer name; greater is better.
        seed: Seed of folds and fits.
        threads: Fits at a time.
        repeats: Repetitions of the candidate's folds.
        confidence: Of each bound of the difference taken alone, in (0.5, 1).

    Returns:
        The comparison; the test is the corrected resampled t of Nadeau and Bengio.

    Raises:
        InputError: There are no rows, or the two predict different labels.
        SchemaError: A column is missing or of the wrong type.
        LabelError: The label cannot be learned from.
    """
    _refuse_different(candidate, champion)
    new, old = recipe_of(candidate), recipe_of(champion)
    classification = isinstance(new, Classification)
    rows = prepare_rows(new, table, classification=classification, seed=seed)
    folds = make_folds(rows.target, folds=new.folds, repeats=repeats, structure=rows.structure, seed=seed)
    a, b = (
        np.array(
            recipe_scores(one, table, metrics=[metric], seed=seed, threads=threads, folds=folds).fold_scores[metric]
        )
        for one in (new, old)
    )
    test = corrected_resampled_test(
        a - b,
        train_rows=float(np.mean([len(fold.train) for fold in folds])),
        test_rows=float(np.mean([len(fold.judge) for fold in folds])),
        level=2 * confidence - 1,
    )
    return PairedComparison(
        metric=metric,
        method="refitted",
        rows=len(rows.target),
        candidate=float(a.mean()),
        champion=float(b.mean()),
        difference=test.mean,
        p_value=test.p_value,
        confidence=confidence,
        drawn_by="folds" if new.group is None else f"folds of whole {new.group}",
    )
