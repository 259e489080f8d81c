"""Candidate against champion."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from tests.tasks.conftest import FEATURES, make_table, small_learners, small_task

from trunkline.errors import InputError
from trunkline.tasks import Regression, TrainedRows
from trunkline.tasks.comparison import compare, compare_refitted, score
from trunkline.tasks.folds import Fold
from trunkline.tasks.recipes import recipe_of, recipe_scores


@pytest.fixture(scope="module")
def blind(table: pa.Table) -> TrainedRows:
    """A model that sees noise only."""
    return small_task(learners=small_learners()[:1], features=FEATURES[2:3], row_features={}).train(table, seed=1)


@pytest.fixture(scope="module")
def unseen() -> pa.Table:
    return make_table(rows=800, seed=77)


@pytest.mark.parametrize(("metric", "method"), [("roc_auc", "delong"), ("neg_log_loss", "bootstrap")])
def test_a_better_model_is_better(
    trained: TrainedRows, blind: TrainedRows, unseen: pa.Table, metric: str, method: str
) -> None:
    found = compare(trained.model, blind.model, unseen, metric=metric, seed=0)
    assert (found.method, found.drawn_by) == (method, "rows")
    assert found.rows == 800
    assert found.difference.value == pytest.approx(found.candidate - found.champion)
    assert found.difference.low > 0
    back = compare(blind.model, trained.model, unseen, metric=metric, seed=0)
    assert back.difference.high < 0
    assert back.candidate == found.champion


def test_rows_of_a_group_are_drawn_together(trained: TrainedRows, blind: TrainedRows, unseen: pa.Table) -> None:
    """Forty times the same rows say no more than once."""
    few = unseen.slice(0, 200)
    names = pa.array(np.arange(200).astype(str))
    often = pa.concat_tables([few.append_column("survey", names)] * 40)
    info = trained.model.info
    grouped = replace(trained.model, info=info.model_copy(update={"recipe": {**info.recipe, "group": "survey"}}))
    once = compare(trained.model, blind.model, few, metric="roc_auc", seed=0).difference
    found = compare(grouped, blind.model, often, metric="roc_auc", seed=0)
    assert (found.method, found.drawn_by) == ("bootstrap", "whole survey")
    assert (
        compare(grouped, blind.model, few, metric="roc_auc", seed=0).drawn_by == "rows, for they lack the column survey"
    )
    alone = few.append_column("survey", pa.array(["one"] * 200))
    assert compare(grouped, blind.model, alone, metric="roc_auc", seed=0).drawn_by == "rows, for all are of one survey"
    assert found.difference.value == pytest.approx(once.value)
    assert found.difference.high - found.difference.low == pytest.approx(once.high - once.low, rel=0.2)
    widths = [
        one["f1"].high - one["f1"].low for one in (score(model, often, seed=0) for model in (grouped, trained.model))
    ]
    assert widths[0] > 3 * widths[1]


def test_a_model_is_as_good_as_itself(trained: TrainedRows, unseen: pa.Table) -> None:
    found = compare(trained.model, trained.model, unseen, metric="roc_auc", seed=0)
    assert found.difference.value == 0
    assert found.difference.low <= 0 <= found.difference.high


def test_refitted_recipes_are_compared_in_the_same_folds(
    trained: TrainedRows, blind: TrainedRows, table: pa.Table
) -> None:
    found = compare_refitted(trained.model.info, blind.model.info, table, metric="roc_auc", seed=0, threads=2)
    assert (found.method, found.drawn_by) == ("refitted", "folds")
    assert found.difference.low > 0
    assert found.champion == pytest.approx(0.5, abs=0.1)
    same = compare_refitted(trained.model.info, trained.model.info, table, metric="roc_auc", seed=0)
    assert same.difference.value == 0


def test_the_recipe_of_a_model_searches_nothing(trained: TrainedRows) -> None:
    recipe = recipe_of(trained.model.info)
    assert recipe.tune == "none"
    assert recipe.weights == pytest.approx(trained.report.champion.weights)
    assert {learner.name for learner in recipe.learners} == set(trained.report.champion.weights)


def test_recipe_scores_on_folds_of_ones_own(table: pa.Table) -> None:
    from sklearn.model_selection import RepeatedStratifiedKFold

    target = table["churned"].to_numpy(zero_copy_only=False)
    cut = RepeatedStratifiedKFold(n_splits=4, n_repeats=2, random_state=0).split(target, target)
    folds = [Fold(number // 4, number % 4, train, judge) for number, (train, judge) in enumerate(cut)]
    found = recipe_scores(small_task(), table, metrics=["roc_auc", "neg_log_loss"], seed=0, threads=2, folds=folds)
    assert len(found.fold_scores["roc_auc"]) == 8
    assert np.mean(found.fold_scores["roc_auc"]) > 0.7
    assert len(found.ece) == 2
    assert max(found.ece) < 0.1


def test_different_labels_are_not_compared(trained: TrainedRows, table: pa.Table, unseen: pa.Table) -> None:
    other = Regression(
        label="bill", features=FEATURES, learners=(small_learners()[2],), folds=2, repeats=1, tune="none"
    )
    model = other.train(table, seed=0).model
    with pytest.raises(InputError, match="'churned', the champion 'bill'"):
        compare(trained.model, model, unseen, metric="roc_auc", seed=0)
    assert score(model, unseen, seed=0)["r2"].value > 0.5
    assert recipe_scores(other, table, metrics=["r2"], seed=0).ece == ()
