"""Write a fitted champion as one ONNX graph: base matrix in, probability (or prediction) out.

Takes views, members, blend weights and calibration; gives the model's bytes, the same for the same input. The
preparation repeats ``views`` operation by operation, trees become ``TreeEnsembleRegressor`` nodes that give margins,
and the blend, the calibration and the sigmoid are the last nodes.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from trunkline.errors import UseCaseError
from trunkline.stats.calibration import CLIP, Calibration
from trunkline.tasks.estimators import FittedLearner
from trunkline.tasks.forests import Forest
from trunkline.tasks.members import DISTANCE_STEPS, SHARE_LIMIT, Boosted, Grown, Linear, Member, Nearest
from trunkline.tasks.views import (
    Bins,
    Block,
    Indicators,
    Lookup,
    Numbers,
    OneHot,
    Products,
    Projection,
    Selection,
    Tail,
    View,
)

if TYPE_CHECKING:
    import onnx

__all__ = ["INPUT", "classifier_graph", "regressor_graph"]

INPUT: Final = "base"
"""Name of the input: float32, shape (rows, base columns)."""

_OPSET: Final = 15
_ML_OPSET: Final = 3
_IR_VERSION: Final = 8


Attribute = str | int | float | list[str] | list[int] | list[float]


@dataclass
class _Graph:
    nodes: "list[onnx.NodeProto]" = field(default_factory=list)
    constants: "list[onnx.TensorProto]" = field(default_factory=list)

    def add(self, op: str, *inputs: str, domain: str = "", **attributes: Attribute) -> str:
        from onnx import helper

        name = f"n{len(self.nodes)}"
        node = helper.make_node(op, list(inputs), [name], name=name, domain=domain or None)
        node.attribute.extend(helper.make_attribute(key, value) for key, value in sorted(attributes.items()))
        self.nodes.append(node)
        return name

    def constant(self, array: npt.NDArray[np.generic]) -> str:
        from onnx import numpy_helper

        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def number(self, value: float) -> str:
        return self.constant(np.array(value, dtype=np.float32))

    def floats(self, name: str) -> str:
        return self.add("Cast", name, to=1)

    def taken(self, name: str, columns: npt.NDArray[np.int64]) -> str:
        return self.add("Gather", name, self.constant(columns), axis=1)

    def model(self, output: str, *, columns: int, name: str) -> bytes:
        import onnx
        from onnx import TensorProto, helper

        self.nodes.append(helper.make_node("Identity", [output], [name], name=name))
        graph = helper.make_graph(
            self.nodes,
            "trunkline",
            [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, [None, columns])],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None])],
            initializer=self.constants,
        )
        opsets = [helper.make_opsetid("", _OPSET), helper.make_opsetid("ai.onnx.ml", _ML_OPSET)]
        made = helper.make_model(graph, producer_name="trunkline", opset_imports=opsets, ir_version=_IR_VERSION)
        onnx.checker.check_model(made)
        return bytes(made.SerializeToString(deterministic=True))


def classifier_graph(parts: Sequence[tuple[FittedLearner, float]], *, calibration: Calibration, columns: int) -> bytes:
    """Write a classification as ONNX.

    Args:
        parts: Fitted learners and their weights in the blend.
        calibration: Applied to the blended log-odds.
        columns: Columns of the base matrix.

    Returns:
        The model; output ``probability``, shape (rows,), float32.

    Raises:
        UseCaseError: A member has no exact form in ONNX.
    """
    graph = _Graph()
    margin = _blended(graph, parts)
    edge = float(np.log(CLIP) - np.log1p(-CLIP))
    margin = graph.add("Clip", margin, graph.number(edge), graph.number(-edge))
    margin = _calibrated(graph, margin, calibration)
    probability = graph.add("Sigmoid", margin)
    return graph.model(_flat(graph, probability), columns=columns, name="probability")


def regressor_graph(parts: Sequence[tuple[FittedLearner, float]], *, log_target: bool, columns: int) -> bytes:
    """Write a regression as ONNX.

    Args:
        parts: Fitted learners and their weights in the blend.
        log_target: Whether margins are ``log(1 + target)``.
        columns: Columns of the base matrix.

    Returns:
        The model; output ``prediction``, shape (rows,), float32, target units.

    Raises:
        UseCaseError: A member has no exact form in ONNX.
    """
    graph = _Graph()
    margin = _blended(graph, parts)
    if log_target:
        margin = graph.add("Sub", graph.add("Exp", margin), graph.number(1.0))
    return graph.model(_flat(graph, margin), columns=columns, name="prediction")


def _flat(graph: _Graph, name: str) -> str:
    return graph.add("Reshape", name, graph.constant(np.array([-1], dtype=np.int64)))


def _blended(graph: _Graph, parts: Sequence[tuple[FittedLearner, float]]) -> str:
    margins = []
    for fitted, weight in parts:
        matrix = _view(graph, fitted.view)
        for member in fitted.members:
            margin = _member(graph, member, matrix)
            share = weight / len(fitted.members)
            margins.append(margin if share == 1 else graph.add("Mul", margin, graph.number(share)))
    return margins[0] if len(margins) == 1 else graph.add("Sum", *margins)


def _calibrated(graph: _Graph, margin: str, calibration: Calibration) -> str:
    if calibration.kind == "identity":
        return margin
    if calibration.a == calibration.b:
        sloped = graph.add("Mul", margin, graph.number(calibration.a))
    else:
        # log p = -softplus(-z) and log(1 - p) = -softplus(z)
        low = graph.add("Mul", graph.add("Softplus", graph.add("Neg", margin)), graph.number(-calibration.a))
        high = graph.add("Mul", graph.add("Softplus", margin), graph.number(calibration.b))
        sloped = graph.add("Add", low, high)
    return graph.add("Add", sloped, graph.number(calibration.c))


def _view(graph: _Graph, view: View) -> str:
    blocks = [_block(graph, block) for block in view.blocks]
    matrix = blocks[0] if len(blocks) == 1 else graph.add("Concat", *blocks, axis=1)
    for tail in view.tails:
        matrix = _tail(graph, tail, matrix)
    return matrix


def _filled(graph: _Graph, cells: str, fill: npt.NDArray[np.float32]) -> str:
    if np.isnan(fill).all():
        return cells
    return graph.add("Where", graph.add("IsNaN", cells), graph.constant(fill), cells)


def _block(graph: _Graph, block: Block) -> str:
    cells = graph.taken(INPUT, block.columns)
    if isinstance(block, Numbers):
        return _numbers(graph, cells, block)
    if isinstance(block, Indicators):
        return graph.floats(graph.add("IsNaN", cells))
    if isinstance(block, OneHot):
        return graph.floats(graph.add("Equal", _filled(graph, cells, block.fill), graph.constant(block.codes)))
    if isinstance(block, Bins):
        above = graph.add("GreaterOrEqual", cells, graph.constant(block.low))
        return graph.floats(graph.add("And", above, graph.add("Less", cells, graph.constant(block.high))))
    if isinstance(block, Lookup):
        codes = graph.add("Where", graph.add("IsNaN", cells), graph.number(-2.0), cells)
        places = graph.add("Add", graph.add("Cast", codes, to=7), graph.constant(block.starts + 2))
        return graph.add("Gather", graph.constant(block.table), places)
    raise UseCaseError(f"{block.op!r} has no form in ONNX")


def _numbers(graph: _Graph, cells: str, block: Numbers) -> str:
    cells = _filled(graph, cells, block.fill)
    if (block.low > -np.inf).any():
        low = graph.constant(block.low)
        cells = graph.add("Where", graph.add("Less", cells, low), low, cells)
    if (block.high < np.inf).any():
        high = graph.constant(block.high)
        cells = graph.add("Where", graph.add("Greater", cells, high), high, cells)
    if block.offset.any():
        cells = graph.add("Sub", cells, graph.constant(block.offset))
    if (block.scale != 1).any():
        cells = graph.add("Div", cells, graph.constant(block.scale))
    return cells


def _tail(graph: _Graph, tail: Tail, matrix: str) -> str:
    if isinstance(tail, Products):
        products = graph.add("Mul", graph.taken(matrix, tail.left), graph.taken(matrix, tail.right))
        return graph.add("Concat", matrix, products, axis=1)
    if isinstance(tail, Projection):
        centred = graph.add("Sub", matrix, graph.constant(tail.mean))
        return graph.add("MatMul", centred, graph.constant(tail.components))
    if isinstance(tail, Selection):
        return graph.taken(matrix, tail.kept)
    raise UseCaseError(f"{tail.op!r} has no form in ONNX")


def _member(graph: _Graph, member: Member, matrix: str) -> str:
    """Give the name of the margin, shape (rows, 1)."""
    if isinstance(member, Linear):
        weights = graph.constant(member.coefficients.astype(np.float32).reshape(-1, 1))
        return graph.add("Add", graph.add("MatMul", matrix, weights), graph.number(member.intercept))
    if isinstance(member, Boosted):
        return _trees(graph, member.forest, matrix)
    if isinstance(member, Grown):
        mean = _trees(graph, member.forest, matrix)
        return _share_log_odds(graph, mean) if member.classification else mean
    if isinstance(member, Nearest):
        return _nearest(graph, member, matrix)
    raise UseCaseError(f"{type(member).__name__} has no form in ONNX")


def _share_log_odds(graph: _Graph, share: str) -> str:
    share = graph.add("Clip", share, graph.number(SHARE_LIMIT), graph.number(1 - SHARE_LIMIT))
    return graph.add("Sub", graph.add("Log", share), graph.add("Log", graph.add("Sub", graph.number(1.0), share)))


def _nearest(graph: _Graph, member: Nearest, matrix: str) -> str:
    """Rank by squared distance less the row's own norm, in double as the trainer does."""
    rows = member.rows.astype(np.float64)
    dots = graph.add("MatMul", graph.add("Cast", matrix, to=11), graph.constant(-2.0 * rows.T))
    distances = graph.add("Add", dots, graph.constant((rows**2).sum(axis=1)))
    distances = graph.add("Round", graph.add("Mul", distances, graph.constant(np.array(DISTANCE_STEPS))))
    count = graph.constant(np.array([member.neighbours], dtype=np.int64))
    graph.add("TopK", distances, count, axis=1, largest=0, sorted=0)
    ranked = graph.nodes[-1]
    ranked.output.append(f"{ranked.name}_places")
    labels = graph.add("Gather", graph.constant(member.target.astype(np.float32)), f"{ranked.name}_places")
    mean = graph.add("ReduceMean", labels, axes=[1], keepdims=1)
    return _share_log_odds(graph, mean) if member.classification else mean


def _trees(graph: _Graph, forest: Forest, matrix: str) -> str:
    sizes = [len(tree.left) for tree in forest.trees]
    tree_ids = np.repeat(np.arange(len(sizes)), sizes)
    node_ids = np.concatenate([np.arange(size) for size in sizes])

    def joined(name: str) -> npt.NDArray[np.generic]:
        return np.concatenate([getattr(tree, name) for tree in forest.trees])

    left, right = joined("left"), joined("right")
    leaf = left < 0  # type: ignore[operator]  # whole numbers
    return graph.add(
        "TreeEnsembleRegressor",
        matrix,
        domain="ai.onnx.ml",
        n_targets=1,
        aggregate_function="SUM",
        post_transform="NONE",
        base_values=[float(forest.start)],
        nodes_treeids=tree_ids.tolist(),
        nodes_nodeids=node_ids.tolist(),
        nodes_featureids=joined("column").tolist(),
        nodes_modes=np.where(leaf, "LEAF", forest.mode).tolist(),
        nodes_values=joined("threshold").tolist(),
        nodes_truenodeids=np.where(leaf, 0, left).tolist(),
        nodes_falsenodeids=np.where(leaf, 0, right).tolist(),
        nodes_hitrates=[1.0] * len(tree_ids),
        nodes_missing_value_tracks_true=joined("null_left").astype(np.int64).tolist(),
        target_treeids=tree_ids[leaf].tolist(),
        target_nodeids=node_ids[leaf].tolist(),
        target_ids=[0] * int(leaf.sum()),
        target_weights=joined("value")[leaf].tolist(),
    )
