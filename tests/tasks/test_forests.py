"""Trees of three libraries, read from their own text."""

import numpy as np
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.errors import UseCaseError
from trunkline.stats.calibration import Calibration
from trunkline.tasks.base_matrix import Matrix
from trunkline.tasks.equality import hard_rows
from trunkline.tasks.estimators import FitSettings, fit_learner
from trunkline.tasks.features import FeatureKind
from trunkline.tasks.forests import rounded_down
from trunkline.tasks.graph import classifier_graph
from trunkline.tasks.learners import Learner, LearnerKind
from trunkline.tasks.members import Boosted, Grown, Linear, Nearest, log_odds
from trunkline.tasks.preprocessing import Preprocessing
from trunkline.tasks.validation import sigmoid


class Columns:
    names: tuple[str, ...] = ("a", "b", "c")
    kinds: tuple[FeatureKind, ...] = ("number", "number", "number")
    sizes: tuple[int, ...] = (0, 0, 0)


SETTINGS = FitSettings(columns=Columns(), classification=True)
TREES = Preprocessing(impute="none", scale="none")
PARAMETERS: dict[str, dict[str, float]] = {
    "lightgbm": {"n_estimators": 30, "num_leaves": 15, "min_child_samples": 5},
    "xgboost": {"n_estimators": 30, "max_depth": 5},
    "random_forest": {"n_estimators": 20, "max_depth": 9},
    "extra_trees": {"n_estimators": 20, "max_depth": 9},
    "nearest_neighbours": {"n_neighbors": 7},
    "logistic_regression": {},
}


def make_rows(*, nulls: bool, seed: int = 0) -> tuple[Matrix, np.ndarray]:
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(500, 3)).astype(np.float32)
    rows[:, 2] = np.round(rows[:, 2], 1)
    target = (rows[:, 0] * rows[:, 1] + 0.3 * rng.normal(size=500) > 0).astype(float)
    if nulls:
        rows[rng.random(rows.shape) < 0.1] = np.nan
    return rows, target


@given(st.floats(-1e30, 1e30), st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_a_threshold_rounded_down_splits_float32_as_the_double_does(threshold: float, x: float) -> None:
    lower = float(rounded_down(np.array([threshold]))[0])
    assert (x <= threshold) == (x <= lower)


@pytest.mark.parametrize("kind", sorted(PARAMETERS))
@pytest.mark.parametrize("nulls", [True, False], ids=["nulls", "complete"])
def test_onnx_answers_as_the_library_on_hard_rows(kind: LearnerKind, *, nulls: bool) -> None:
    """TrainedRows on complete rows, LightGBM reads a later null as 0; the graph has to do the same."""
    rows, target = make_rows(nulls=nulls)
    native = kind in ("lightgbm", "xgboost", "random_forest")
    learner = Learner(
        name="it", kind=kind, parameters=PARAMETERS[kind], preprocessing=TREES if native else Preprocessing(), bags=2
    )
    fitted = fit_learner(learner, base=rows, target=target, settings=SETTINGS, seed=1)
    graph = classifier_graph([(fitted, 1.0)], calibration=Calibration(), columns=3)
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    for case, hard in hard_rows(rows, kinds=Columns.kinds, fitted=[fitted]).items():
        if len(hard):
            np.testing.assert_allclose(
                session.run(None, {"base": hard})[0], sigmoid(fitted.margin(hard)), atol=1e-5, err_msg=case
            )


@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")  # shap's plots, on import
@pytest.mark.slow
@pytest.mark.parametrize("kind", ["random_forest", "extra_trees"])
def test_a_forest_kept_as_xgboost_is_the_same_forest(kind: LearnerKind) -> None:
    shap = pytest.importorskip("shap", reason="the oracle is the extra `explain`")
    rows, target = make_rows(nulls=False)
    learner = Learner(name="it", kind=kind, parameters=PARAMETERS[kind])
    fitted = fit_learner(learner, base=rows, target=target, settings=SETTINGS, seed=1)
    (member,) = fitted.members
    assert isinstance(member, Grown)
    assert member.fitted is not None
    matrix = fitted.view.apply(rows)
    kept = Grown(member.mean, classification=True)
    np.testing.assert_allclose(sigmoid(kept.margin(matrix)), sigmoid(member.margin(matrix)), atol=1e-6)
    oracle = shap.TreeExplainer(member.fitted).shap_values(matrix[:20].astype(float))[..., 1]
    np.testing.assert_allclose(member.mean.contributions(matrix[:20])[:, :-1], oracle, atol=1e-5)
    found = kept.contributions(matrix)
    np.testing.assert_allclose(found.sum(axis=1), kept.margin(matrix), atol=1e-3)  # steep near a share of 0 or 1


@pytest.mark.parametrize("kind", ["lightgbm", "xgboost", "logistic_regression"])
def test_contributions_sum_to_the_margin(kind: LearnerKind) -> None:
    rows, target = make_rows(nulls=False)
    learner = Learner(name="it", kind=kind, parameters=PARAMETERS[kind])
    fitted = fit_learner(learner, base=rows, target=target, settings=SETTINGS, seed=1)
    (member,) = fitted.members
    assert isinstance(member, Boosted | Linear)
    matrix = fitted.view.apply(rows)
    np.testing.assert_allclose(member.contributions(matrix).sum(axis=1), member.margin(matrix), atol=1e-5)


def test_nearest_neighbours_are_scikit_learns() -> None:
    from sklearn.neighbors import KNeighborsClassifier

    rows, target = make_rows(nulls=False)
    rows[:, 2] = np.random.default_rng(5).normal(size=500)  # no ties, whose order is nobody's promise
    member = Nearest(rows[:400], target[:400], 9, classification=True)
    oracle = KNeighborsClassifier(9).fit(rows[:400], target[:400]).predict_proba(rows[400:])[:, 1]
    np.testing.assert_allclose(member.margin(rows[400:]), log_odds(oracle))


@pytest.mark.parametrize(
    ("kind", "parameters"),
    [("lightgbm", {"linear_tree": True}), ("xgboost", {"booster": "dart"}), ("lightgbm", {"zero_as_missing": True})],
    ids=["linear leaves", "dart", "zero as missing"],
)
def test_what_onnx_cannot_say_is_refused(kind: LearnerKind, parameters: dict[str, bool | str]) -> None:
    rows, target = make_rows(nulls=False)
    learner = Learner(name="it", kind=kind, parameters={"n_estimators": 5, **parameters}, preprocessing=TREES)
    fitted = fit_learner(learner, base=rows, target=target, settings=SETTINGS, seed=1)
    with pytest.raises(UseCaseError, match="ONNX"):
        classifier_graph([(fitted, 1.0)], calibration=Calibration(), columns=3)


def test_an_unknown_parameter_is_the_authors_fault() -> None:
    rows, target = make_rows(nulls=False)
    learner = Learner(name="it", kind="logistic_regression", parameters={"depth": 3})
    with pytest.raises(UseCaseError, match="depth"):
        fit_learner(learner, base=rows, target=target, settings=SETTINGS, seed=1)
