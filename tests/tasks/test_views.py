"""Preparation: what is learned, and that ONNX repeats it to the bit."""

import json

import numpy as np
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.stats.calibration import Calibration
from trunkline.tasks.base_matrix import Matrix
from trunkline.tasks.estimators import FittedLearner
from trunkline.tasks.features import FeatureKind
from trunkline.tasks.graph import classifier_graph
from trunkline.tasks.learners import Learner
from trunkline.tasks.members import Linear
from trunkline.tasks.preprocessing import Preprocessing, QuantileLimits, TukeyFences
from trunkline.tasks.view_fitting import fit_view
from trunkline.tasks.views import View


class Columns:
    names: tuple[str, ...] = ("x", "skewed", "flag", "plan", "area")
    kinds: tuple[FeatureKind, ...] = ("number", "number", "flag", "category", "category")
    sizes: tuple[int, ...] = (0, 0, 0, 3, 40)


def make_base(rows: int = 400, seed: int = 0) -> tuple[Matrix, np.ndarray]:
    rng = np.random.default_rng(seed)
    base = np.column_stack(
        [
            rng.normal(5, 2, rows),
            rng.lognormal(2, 1, rows),
            rng.random(rows) < 0.4,
            rng.integers(0, 3, rows),
            rng.integers(-1, 40, rows),
        ]
    ).astype(np.float32)
    target = (rng.random(rows) < 1 / (1 + np.exp(5 - base[:, 0]))).astype(float)
    base[rng.random(base.shape) < 0.05] = np.nan
    return base, target


DECLARED = {
    "defaults": Preprocessing(),
    "most frequent": Preprocessing(impute="most_frequent", indicators=True, scale="min_max"),
    "mean, robust, quantiles": Preprocessing(
        impute="mean", scale="robust", outliers=QuantileLimits(low=0.05, high=0.95)
    ),
    "zero, tukey": Preprocessing(impute="zero", outliers=TukeyFences(reach=1.5), scale="none"),
    "trees": Preprocessing(impute="none", encode="ordinal", scale="none"),
    "target": Preprocessing(encode="target", encode_by={"plan": "ordinal"}, target_smoothing=10.0),
    "bins": Preprocessing(bins=6, bins_of=("x", "skewed")),
    "products": Preprocessing(interactions=True, only=("x", "flag", "plan")),
    "selection": Preprocessing(select=4),
    "p-values": Preprocessing(select=0.01, without=("area",)),
}


@pytest.mark.parametrize("name", sorted(DECLARED))
def test_onnx_repeats_the_view_to_the_bit(name: str) -> None:
    base, target = make_base()
    view, _ = fit_view(base, target=target, columns=Columns(), preprocessing=DECLARED[name], seed=1)
    hard = np.concatenate([base, np.full((1, 5), np.nan), np.full((1, 5), -1.0), np.full((1, 5), 1e15)])
    hard[-1, 3:] = 2.0
    hard = hard.astype(np.float32)
    np.testing.assert_array_equal(_through_onnx(view, hard), view.apply(hard))


def _through_onnx(view: View, base: Matrix) -> Matrix:
    """The matrix column by column: a linear member with one coefficient picks it out of the graph."""
    import onnx

    width = len(view.names)
    member = Linear(np.zeros(width), 0.0, np.zeros(width))
    part = FittedLearner(Learner(name="probe", kind="logistic_regression"), view, (member,))
    model = onnx.load_from_string(classifier_graph([(part, 1.0)], calibration=Calibration(), columns=base.shape[1]))
    product = [node for node in model.graph.node if node.op_type == "MatMul"][-1]
    model.graph.output.append(onnx.helper.make_tensor_value_info(product.input[0], onnx.TensorProto.FLOAT, None))
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    found: Matrix = session.run([product.input[0]], {"base": base})[0]
    return found


def test_principal_components_keep_the_share_and_agree_with_onnx() -> None:
    base, target = make_base()
    declared = Preprocessing(pca_share=0.9, without=("area",))
    view, matrix = fit_view(base, target=target, columns=Columns(), preprocessing=declared, seed=1)
    assert 1 <= matrix.shape[1] < 6
    np.testing.assert_allclose(_through_onnx(view, base), view.apply(base), atol=1e-5)


@pytest.mark.parametrize("name", sorted(DECLARED))
def test_json_round_trip(name: str) -> None:
    base, target = make_base()
    view, _ = fit_view(base, target=target, columns=Columns(), preprocessing=DECLARED[name], seed=1)
    again = View.from_data(json.loads(json.dumps(view.to_data(), allow_nan=False)))
    np.testing.assert_array_equal(again.apply(base), view.apply(base))
    np.testing.assert_allclose(view.sources(5).sum(axis=1), 1.0)


@given(st.sampled_from(["standard", "min_max", "robust"]), st.integers(0, 1000))
def test_scaling_is_scikit_learns(how: str, seed: int) -> None:
    from sklearn import preprocessing as sk

    values = np.random.default_rng(seed).normal(3, 2, (60, 1)).astype(np.float32)
    base = np.column_stack([values[:, 0], *[np.zeros(60)] * 4]).astype(np.float32)
    declared = Preprocessing.model_validate({"scale": how, "only": ("x",)})
    _, matrix = fit_view(base, target=np.tile([0.0, 1.0], 30), columns=Columns(), preprocessing=declared, seed=0)
    oracle = {"standard": sk.StandardScaler, "min_max": sk.MinMaxScaler, "robust": sk.RobustScaler}[how]()
    np.testing.assert_allclose(matrix, oracle.fit_transform(values), atol=1e-5)


def test_outlier_limits_are_the_training_rows_own() -> None:
    base, target = make_base()
    declared = Preprocessing(only=("skewed",), scale="none", outliers=QuantileLimits(low=0.1, high=0.9))
    view, matrix = fit_view(base, target=target, columns=Columns(), preprocessing=declared, seed=0)
    seen = base[~np.isnan(base[:, 1]), 1]
    assert matrix.max() == pytest.approx(np.quantile(seen, 0.9))
    extreme = np.full((1, 5), 1e9, dtype=np.float32)
    assert view.apply(extreme)[0, 0] == matrix.max()


def test_training_rows_see_target_means_of_other_rows_only() -> None:
    """With an id as category, a mean that held the row's own target would give the target away."""
    rng = np.random.default_rng(0)
    base = np.zeros((200, 5), dtype=np.float32)
    base[:, 4] = np.arange(200) % 40
    target = (rng.random(200) < 0.5).astype(float)
    declared = Preprocessing(only=("area",), encode="target", scale="none")
    view, matrix = fit_view(base, target=target, columns=Columns(), preprocessing=declared, seed=0)
    assert abs(np.corrcoef(matrix[:, 0], target)[0, 1]) < 0.25
    assert not np.array_equal(view.apply(base), matrix)


def test_a_category_that_the_fold_lacks_is_unknown_there() -> None:
    base, target = make_base()
    base = base[base[:, 3] != 2]
    view, _ = fit_view(base, target=target[: len(base)], columns=Columns(), preprocessing=Preprocessing(), seed=0)
    assert "plan=2" not in view.names
    later = np.array([[5, 7, 0, 2, 39]], dtype=np.float32)
    assert np.isfinite(view.apply(later)).all()
