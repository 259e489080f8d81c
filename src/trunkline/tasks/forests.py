"""Decision trees as arrays: one form for LightGBM, XGBoost and scikit-learn.

Takes each library's own model text, gives the nodes an ONNX ``TreeEnsembleRegressor`` needs. Reading the models here,
rather than through onnxmltools, keeps three things that its conversion does not: the margin instead of a probability
(a blend adds log-odds), thresholds that split float32 inputs exactly as the library splits doubles, and LightGBM's
reading of a null as 0 in columns that had none in training.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from trunkline.errors import UseCaseError
from trunkline.tasks.base_matrix import Floats, Matrix

if TYPE_CHECKING:
    from sklearn.ensemble import (
        ExtraTreesClassifier,
        ExtraTreesRegressor,
        RandomForestClassifier,
        RandomForestRegressor,
    )

    SklearnForest = RandomForestClassifier | ExtraTreesClassifier | RandomForestRegressor | ExtraTreesRegressor

__all__ = ["Forest", "Tree", "forest_of_lightgbm", "forest_of_sklearn", "forest_of_xgboost", "rounded_down"]

Places = npt.NDArray[np.int64]


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
        factor: What every leaf is multiplied with: 1, or 1 / number of averaged trees.
    """

    trees: Sequence[Tree]
    mode: str
    start: float = 0.0
    factor: float = 1.0

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


def forest_of_sklearn(fitted: "SklearnForest") -> Forest:
    """Read a fitted scikit-learn forest; a leaf's value is the share of the last class, or the mean."""
    return Forest(
        [_sklearn_tree(member) for member in fitted.estimators_], "BRANCH_LEQ", factor=1.0 / len(fitted.estimators_)
    )


def _sklearn_tree(member: object) -> Tree:
    tree = member.tree_  # type: ignore[attr-defined]  # scikit-learn's trees have no typed interface
    left = np.asarray(tree.children_left, dtype=np.int64)
    leaf = left < 0
    return Tree(
        left=left,
        right=np.asarray(tree.children_right, dtype=np.int64),
        column=np.where(leaf, 0, np.asarray(tree.feature, dtype=np.int64)),
        threshold=np.where(leaf, np.float32(0), rounded_down(np.asarray(tree.threshold, dtype=np.float64))),
        null_left=np.asarray(tree.missing_go_to_left, dtype=bool) & ~leaf,
        value=np.where(leaf, np.asarray(tree.value, dtype=np.float64)[:, 0, -1], 0.0),
    )
