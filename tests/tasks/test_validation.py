"""Nothing is learned outside its fold."""

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.tasks import Classification, Feature, Learner, Preprocessing, QuantileLimits
from trunkline.tasks import estimators as fitting
from trunkline.tasks.base_matrix import BaseMatrix, Floats
from trunkline.tasks.estimators import FitSettings
from trunkline.tasks.folds import Fold, Structure, make_folds, split_off
from trunkline.tasks.learners import default_classifiers
from trunkline.tasks.sampling import resample
from trunkline.tasks.validation import cross_validate, probability_score
from trunkline.tasks.view_fitting import fit_view

ROWS = 240


class _Spy:
    """Stands in for a step of fitting and notes which rows it was shown; the first column is the row's number."""

    def __init__(self, real: Callable[..., object], which: str) -> None:
        self.real, self.which, self.seen = real, which, list[frozenset[int]]()

    def __call__(self, *args: object, **kwargs: object) -> object:
        base = kwargs[self.which] if self.which in kwargs else args[0]
        assert isinstance(base, np.ndarray)
        self.seen.append(frozenset(base[:, 0].astype(int).tolist()))
        return self.real(*args, **kwargs)


def _numbered() -> tuple[pa.Table, Floats]:
    rng = np.random.default_rng(0)
    target = (rng.random(ROWS) < 0.4).astype(float)
    table = pa.table(
        {
            "row": np.arange(float(ROWS)),
            "x": rng.normal(size=ROWS) + target,
            "word": rng.choice(["a", "b", "c"], ROWS),
        }
    )
    return table, target


@pytest.mark.parametrize("learner", [one.name for one in default_classifiers()])
def test_preparation_resampling_and_fit_see_their_fold_only(learner: str, monkeypatch: pytest.MonkeyPatch) -> None:
    table, target = _numbered()
    base = BaseMatrix.learn(table, features=[Feature("row"), Feature("x"), Feature("word", "category")])
    declared = next(one for one in default_classifiers() if one.name == learner)
    # everything that can be learned is declared, so that everything would leak
    everything = Preprocessing(
        outliers=QuantileLimits(), encode_by={"word": "target"}, indicators=True, pca_share=0.99, select=2
    )
    declared = declared.model_copy(update={"preprocessing": everything})
    views, samplers = _Spy(fit_view, "base"), _Spy(resample, "base")
    monkeypatch.setattr(fitting, "fit_view", views)
    monkeypatch.setattr(fitting, "resample", samplers)
    folds = make_folds(target, folds=4, repeats=1, structure=Structure(stratified=True), seed=1)
    cross_validate(
        [declared],
        base=base.from_table(table),
        target=target,
        folds=folds,
        settings=FitSettings(columns=base, classification=True, resampling="smote"),
        seed=0,
        threads=1,
    )
    expected = [frozenset(fold.train.tolist()) for fold in folds]
    assert views.seen == expected
    assert samplers.seen == expected
    assert all(not shown & frozenset(fold.judge.tolist()) for shown, fold in zip(views.seen, folds, strict=True))


def test_rows_that_are_judged_do_not_change_what_is_learned() -> None:
    """Scrambling the judged rows' labels leaves their margins as they were."""
    table, target = _numbered()
    base = BaseMatrix.learn(table, features=[Feature("x"), Feature("word", "category")])
    matrix = base.from_table(table)
    (fold, *_) = make_folds(target, folds=3, repeats=1, structure=Structure(stratified=True), seed=1)
    scrambled = target.copy()
    scrambled[fold.judge] = 1 - scrambled[fold.judge]
    learner = Learner(name="it", kind="logistic_regression", preprocessing=Preprocessing(encode="target", select=1))

    def judged(labels: Floats) -> Floats:
        settings = FitSettings(columns=base, classification=True, resampling="adasyn")
        (found,) = cross_validate(
            [learner], base=matrix, target=labels, folds=[fold], settings=settings, seed=0, threads=1
        )
        return np.asarray(found.margins[0, fold.judge], dtype=np.float64)

    np.testing.assert_array_equal(judged(target), judged(scrambled))


@pytest.mark.parametrize("kind", ["logistic_regression", "lightgbm"])
def test_random_ids_encoded_by_target_score_as_chance(kind: str) -> None:
    """The leakage canary: a mean that knew the judged rows, or the row's own label, would score far above 0.5."""
    rng = np.random.default_rng(3)
    rows = 3_000
    table = pa.table({"id": [f"id{number}" for number in rng.integers(0, 900, rows)]})
    target = (rng.random(rows) < 0.3).astype(float)
    base = BaseMatrix.learn(table, features=[Feature("id", "category", most_values=2_000)])
    parameters = {"n_estimators": 20} if kind == "lightgbm" else {}
    learner = Learner.model_validate(
        {"name": "it", "kind": kind, "parameters": parameters, "preprocessing": {"encode": "target"}}
    )
    folds = make_folds(target, folds=5, repeats=1, structure=Structure(stratified=True), seed=1)
    (found,) = cross_validate(
        [learner],
        base=base.from_table(table),
        target=target,
        folds=folds,
        settings=FitSettings(columns=base, classification=True),
        seed=0,
        threads=1,
    )
    scores = found.scores(target, folds=folds, score=probability_score("roc_auc"))
    assert np.mean(scores) == pytest.approx(0.5, abs=0.04)


def test_threads_change_nothing() -> None:
    table, target = _numbered()
    base = BaseMatrix.learn(table, features=[Feature("x"), Feature("word", "category")])
    matrix, folds = (
        base.from_table(table),
        make_folds(target, folds=3, repeats=2, structure=Structure(stratified=True), seed=1),
    )
    learners = [one for one in default_classifiers() if one.name != "random_forest"]

    def margins(threads: int) -> list[Floats]:
        settings = FitSettings(columns=base, classification=True)
        found = cross_validate(
            learners, base=matrix, target=target, folds=folds, settings=settings, seed=0, threads=threads
        )
        return [one.margins for one in found]

    for one, other in zip(margins(1), margins(3), strict=True):
        np.testing.assert_array_equal(one, other)


@given(st.integers(0, 10_000), st.integers(2, 5))
def test_groups_stay_on_one_side(seed: int, folds: int) -> None:
    rng = np.random.default_rng(seed)
    groups = rng.integers(0, 30, 200)
    target = (rng.random(200) < 0.5).astype(float)
    structure = Structure(stratified=True, groups=groups)
    train, test = split_off(target, share=0.2, structure=structure, seed=seed)
    assert not set(groups[train]) & set(groups[test])
    assert sorted([*train, *test]) == list(range(200))
    cut = make_folds(target, folds=folds, repeats=2, structure=structure, seed=seed)
    for fold in cut:
        assert not set(groups[fold.train]) & set(groups[fold.judge])
    assert sorted(np.concatenate([fold.judge for fold in cut if fold.repeat == 0])) == list(range(200))


@given(st.integers(0, 10_000))
def test_time_goes_one_way(seed: int) -> None:
    rng = np.random.default_rng(seed)
    order = rng.permutation(120).astype(float)
    target = (rng.random(120) < 0.5).astype(float)
    structure = Structure(stratified=True, order=order)
    train, test = split_off(target, share=0.25, structure=structure, seed=seed)
    assert order[train].max() < order[test].min()
    for fold in make_folds(target, folds=3, repeats=1, structure=structure, seed=seed):
        assert order[fold.train].max() < order[fold.judge].min()


def test_stratified_folds_keep_the_share() -> None:
    target = np.tile([1.0, 0.0, 0.0, 0.0, 0.0], 60)
    cut = make_folds(target, folds=5, repeats=1, structure=Structure(stratified=True), seed=0)
    assert [target[fold.judge].mean() for fold in cut] == [0.2] * 5
    assert all(isinstance(fold, Fold) for fold in cut)


def test_a_task_over_time_leaves_the_earliest_rows_unjudged() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=400)
    table = pa.table({"x": x, "day": np.arange(400), "y": rng.random(400) < 1 / (1 + np.exp(-2 * x))})
    task = Classification(
        label="y",
        features=(Feature("x"),),
        learners=(Learner(name="it", kind="logistic_regression"),),
        folds=3,
        order="day",
        tune="none",
    )
    report = task.train(table, seed=0).report
    assert report.split == "ordered by day"
    assert report.rows.test == 80
    assert report.metrics["roc_auc"].value > 0.75
