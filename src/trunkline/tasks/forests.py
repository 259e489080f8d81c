"""Decision trees as arrays: one form for LightGBM, XGBoost and scikit-learn.

Takes each library's own model text, gives the nodes an ONNX ``TreeEnsembleRegressor`` needs. Reading the models here,
rather than through onnxmltools, keeps three things that its conversion does not: the margin instead of a probability
(a blend adds log-odds), thresholds that split float32 inputs exactly as the library splits doubles, and LightGBM's
reading of a null as 0 in columns that had none in training.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from trunkline.errors import UseCaseError
from trunkline.tasks.base_matrix import Floats, Matrix

__all__ = [
    "Forest",
    "SklearnForest",
    "Tree",
    "forest_of_lightgbm",
    "forest_of_xgboost",
    "rounded_down",
]

Places = npt.NDArray[np.int64]


class SklearnForest(Protocol):
    """A fitted forest of scikit-learn, which ships no types."""

    estimators_: Sequence[object]

    def predict(self, X: Matrix) -> Floats:  # noqa: N803 - scikit-learn's name
        """Predict numbers."""
        ...

    def predict_proba(self, X: Matrix) -> Floats:  # noqa: N803 - scikit-learn's name
        """Predict the share of each class; classifiers only."""
        ...


@dataclass(frozen=True)
class Tree:
    """One tree; arrays of shape (nodes,), node 0 is the root.

    Attributes:
        left: Node for rows below the threshold; -1 in a leaf.
        right: Node for the others; -1 in a leaf.
        column: Column that is compared; 0 in a leaf.
        threshold: What it is compared with, float32.
        null_left: Whether null goes left.
        value: The leaf's value; 0 in other nodes.
    """

    left: Places
    right: Places
    column: Places
    threshold: Matrix
    null_left: npt.NDArray[np.bool_]
    value: Floats


@dataclass(frozen=True)
class Forest:
    """Trees whose values add up.

    Attributes:
        trees: At least one.
        mode: ``BRANCH_LEQ`` when ``x <= threshold`` goes left, ``BRANCH_LT`` when ``x < threshold`` does.
        start: What the sum begins with.
    """

    trees: Sequence[Tree]
    mode: str
    start: float = 0.0

    def thresholds(self) -> list[tuple[int, float]]:
        """List (column, threshold) of all splits, each once, sorted."""
        found: set[tuple[int, float]] = set()
        for tree in self.trees:
            inner = tree.left >= 0
            found.update(zip(tree.column[inner].tolist(), tree.threshold[inner].tolist(), strict=True))
        return sorted(found)


def rounded_down(thresholds: Floats) -> Matrix:
    """Round to the float32 at or below.

    For every float32 ``x``, ``x <= t`` in double is the same as ``x <= rounded_down(t)`` in single precision.

    >>> float(rounded_down(np.array([0.1]))[0]) <= 0.1
    True
    """
    nearest = thresholds.astype(np.float32)
    above = nearest.astype(np.float64) > thresholds
    return np.where(above, np.nextafter(nearest, np.float32(-np.inf)), nearest).astype(np.float32)


_LIGHTGBM_MISSING_ZERO, _LIGHTGBM_MISSING_NAN = 1, 2


def forest_of_lightgbm(text: str) -> Forest:
    """Read a LightGBM model file (``Booster.model_to_string``).

    Raises:
        UseCaseError: The model uses categorical splits, linear leaves or zero-as-missing, which ONNX cannot say.
    """
    if "\naverage_output" in text:
        raise UseCaseError("LightGBM's boosting=rf has no exact form in ONNX", allowed=("boosting=gbdt",))
    body = text.split("\nend of trees", 1)[0]
    return Forest([_lightgbm_tree(part) for part in body.split("\nTree=")[1:]], "BRANCH_LEQ")


def _lightgbm_tree(part: str) -> Tree:
    lines = dict(line.split("=", 1) for line in part.splitlines()[1:] if "=" in line)
    if lines.get("is_linear", "0") != "0" or lines.get("num_cat", "0") != "0":
        raise UseCaseError("LightGBM's linear leaves and categorical splits have no form in ONNX")

    def whole(name: str) -> Places:
        return np.array(lines.get(name, "").split(), dtype=np.int64)

    def real(name: str) -> Floats:
        return np.array(lines.get(name, "").split(), dtype=np.float64)

    leaves, inner = int(lines["num_leaves"]), int(lines["num_leaves"]) - 1
    threshold, decision = real("threshold"), whole("decision_type")
    missing = (decision >> 2) & 3
    if (missing == _LIGHTGBM_MISSING_ZERO).any():
        raise UseCaseError("LightGBM's zero_as_missing has no form in ONNX")
    # A column without nulls in training has missing type "none", and LightGBM then reads a null as 0.
    null_left = np.where(missing == _LIGHTGBM_MISSING_NAN, (decision & 2) > 0, threshold >= 0.0)
    none = np.full(leaves, -1, dtype=np.int64)
    children = {
        side: np.concatenate([np.where(at < 0, inner + ~at, at), none])
        for side in ("left", "right")
        for at in [whole(f"{side}_child")]
    }
    pad = np.zeros(leaves)
    return Tree(
        left=children["left"],
        right=children["right"],
        column=np.concatenate([whole("split_feature"), pad.astype(np.int64)]),
        threshold=np.concatenate([rounded_down(threshold), pad.astype(np.float32)]),
        null_left=np.concatenate([null_left, pad.astype(bool)]),
        value=np.concatenate([np.zeros(inner), real("leaf_value")]),
    )


def forest_of_xgboost(raw: bytes) -> Forest:
    """Read an XGBoost JSON model (``Booster.save_raw("json")``) with one output.

    Raises:
        UseCaseError: The model is not made of plain trees (dart, linear) or uses categorical splits.
    """
    learner = json.loads(raw)["learner"]
    booster = learner["gradient_booster"]
    if booster.get("name") != "gbtree":
        raise UseCaseError(f"XGBoost's booster={booster.get('name')} has no form in ONNX", allowed=("gbtree",))
    base = float(str(learner["learner_model_param"]["base_score"]).strip("[]"))
    if learner["objective"]["name"] == "binary:logistic":
        base = float(np.log(base) - np.log1p(-base))
    return Forest([_xgboost_tree(tree) for tree in booster["model"]["trees"]], "BRANCH_LT", start=base)


def _xgboost_tree(tree: dict[str, list[float]]) -> Tree:
    if tree.get("categories"):
        raise UseCaseError("XGBoost's categorical splits have no form in ONNX")
    left = np.array(tree["left_children"], dtype=np.int64)
    leaf = left < 0
    condition = np.array(tree["split_conditions"], dtype=np.float32)
    return Tree(
        left=left,
        right=np.array(tree["right_children"], dtype=np.int64),
        column=np.where(leaf, 0, np.array(tree["split_indices"], dtype=np.int64)),
        threshold=np.where(leaf, np.float32(0), condition),
        null_left=np.array(tree["default_left"], dtype=bool) & ~leaf,
        value=np.where(leaf, condition, np.float32(0)).astype(np.float64),
    )


def xgboost_of_sklearn(fitted: SklearnForest, *, columns: int) -> str:
    """Write a fitted scikit-learn forest as an XGBoost model (JSON) of its mean.

    A leaf holds the share of the last class, or the mean, divided by the number of trees. Both libraries split float32
    inputs: ``x <= t`` there is ``x <`` the next float32 above ``t`` here. Node sizes are kept, TreeSHAP needs them.

    Args:
        fitted: The forest.
        columns: Columns it was fitted on.

    Returns:
        The model's JSON.
    """
    import xgboost

    # an untrained model of this version is the frame, so that the format is the library's own
    rows = xgboost.DMatrix(np.zeros((2, columns), dtype=np.float32), label=np.array([0.0, 1.0]), nthread=1)
    frame = xgboost.train({"base_score": 0.0, "objective": "reg:squarederror", "max_depth": 1, "nthread": 1}, rows, 1)
    document = json.loads(bytes(frame.save_raw("json")))
    model = document["learner"]["gradient_booster"]["model"]
    blank = model["trees"][0]
    count = len(fitted.estimators_)
    model["trees"] = [_as_xgboost(member, blank, at, count, columns) for at, member in enumerate(fitted.estimators_)]
    model["tree_info"] = [0] * count
    model["iteration_indptr"] = list(range(count + 1))
    model["gbtree_model_param"]["num_trees"] = str(count)
    return json.dumps(document, separators=(",", ":"))


def _as_xgboost(
    member: object, blank: Mapping[str, object], number: int, count: int, columns: int
) -> dict[str, object]:
    tree = member.tree_  # type: ignore[attr-defined]  # scikit-learn's trees have no typed interface
    order, left, right = _siblings_adjacent(
        np.asarray(tree.children_left, dtype=np.int64), np.asarray(tree.children_right, dtype=np.int64)
    )
    leaf = left < 0
    nodes = len(left)
    parents = np.full(nodes, 2**31 - 1, dtype=np.int64)
    for children in (left, right):
        parents[children[~leaf]] = np.flatnonzero(~leaf)
    value = np.asarray(tree.value, dtype=np.float64)[order, 0, -1] / count
    # scikit-learn parts null from all numbers at a threshold of infinity, which JSON cannot say
    thresholds = np.minimum(np.asarray(tree.threshold, dtype=np.float64)[order], np.finfo(np.float32).max / 2)
    edge = np.nextafter(rounded_down(thresholds), np.float32(np.inf))
    return {
        **blank,
        "id": number,
        "left_children": left.tolist(),
        "right_children": right.tolist(),
        "parents": parents.tolist(),
        "split_indices": np.where(leaf, 0, np.asarray(tree.feature)[order]).tolist(),
        "split_conditions": np.where(leaf, value, edge.astype(np.float64)).tolist(),
        "split_type": [0] * nodes,
        "default_left": (np.asarray(tree.missing_go_to_left, dtype=bool)[order] & ~leaf).astype(int).tolist(),
        "base_weights": value.tolist(),
        "loss_changes": [0.0] * nodes,
        "sum_hessian": np.asarray(tree.weighted_n_node_samples, dtype=np.float64)[order].tolist(),
        "categories": [],
        "categories_nodes": [],
        "categories_segments": [],
        "categories_sizes": [],
        "tree_param": {
            "num_deleted": "0",
            "num_feature": str(columns),
            "num_nodes": str(nodes),
            "size_leaf_vector": "1",
        },
    }


def _siblings_adjacent(left: Places, right: Places) -> tuple[Places, Places, Places]:
    """Number nodes level by level: XGBoost steps from a left child to its sibling by adding one.

    Returns:
        The old number of each new node, and the children by new numbers (-1 in a leaf).
    """
    order, at = [0], 0
    new_left = np.full(len(left), -1, dtype=np.int64)
    while at < len(order):
        old = order[at]
        if left[old] >= 0:
            new_left[at] = len(order)
            order += [int(left[old]), int(right[old])]
        at += 1
    return np.array(order, dtype=np.int64), new_left, np.where(new_left < 0, -1, new_left + 1)
