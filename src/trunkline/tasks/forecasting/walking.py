"""Answers of a few rows without the library that fitted the trees.

Loading XGBoost takes longer than an hourly run of a few servers: its trees, side by side in arrays, are walked by all
rows at once.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from trunkline.tasks.forecasting.design import Inputs
from trunkline.tasks.forecasting.panel import Floats, Places
from trunkline.tasks.forests import Forest

__all__ = ["StackedTrees"]


@dataclass(frozen=True)
class StackedTrees:
    """Trees side by side; arrays of shape (trees, most nodes), node 0 is the root.

    Attributes:
        left: Node for rows below the threshold; -1 in a leaf.
        right: Node for the others; -1 in a leaf.
        column: Column that is compared.
        threshold: What it is compared with.
        null_left: Whether null goes left.
        value: The leaf's value.
        start: What the sum begins with.
        depth: Steps from the roots to the deepest leaf.
    """

    left: Places
    right: Places
    column: Places
    threshold: Inputs
    null_left: npt.NDArray[np.bool_]
    value: Floats
    start: float
    depth: int

    @classmethod
    def of(cls, forest: Forest) -> "StackedTrees":
        """Stack the trees of XGBoost, whose rows go left below the threshold."""
        most = max(len(tree.left) for tree in forest.trees)

        def stacked(name: str, fill: float, kind: type) -> npt.NDArray[Any]:
            made: npt.NDArray[Any] = np.full((len(forest.trees), most), fill, dtype=kind)
            for place, tree in enumerate(forest.trees):
                values = getattr(tree, name)
                made[place, : len(values)] = values
            return made

        left, right = stacked("left", -1, np.int64), stacked("right", -1, np.int64)
        return cls(
            left=left,
            right=right,
            column=stacked("column", 0, np.int64),
            threshold=stacked("threshold", 0.0, np.float32),
            null_left=stacked("null_left", 0, np.bool_),
            value=stacked("value", 0.0, np.float64),
            start=forest.start,
            depth=_depth(left, right),
        )

    def predict(self, matrix: Inputs) -> Floats:
        """Give the sum of the leaves by row, shape (rows,)."""
        node = np.zeros((len(matrix), len(self.left)), dtype=np.int64)
        tree, row = np.arange(len(self.left))[None, :], np.arange(len(matrix))[:, None]
        for _ in range(self.depth):
            value = matrix[row, self.column[tree, node]]
            goes_left = np.where(np.isnan(value), self.null_left[tree, node], value < self.threshold[tree, node])
            child = np.where(goes_left, self.left[tree, node], self.right[tree, node])
            node = np.where(child >= 0, child, node)
        return np.asarray(self.start + self.value[tree, node].sum(axis=1), dtype=np.float64)


def _depth(left: Places, right: Places) -> int:
    level, steps = np.zeros_like(left, dtype=bool), 0
    level[:, 0] = True
    while True:
        trees, nodes = np.nonzero(level & (left >= 0))
        if not len(trees):
            return steps
        steps += 1
        level = np.zeros_like(level)
        level[trees, left[trees, nodes]] = True
        level[trees, right[trees, nodes]] = True
