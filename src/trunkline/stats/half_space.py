"""Half-space trees: how rare a point of a stream is, among the points of the last full reference span before it.

Takes one point at a time in the order of event time; gives its score and the next state. The trees are a pure function
of their parameters and seed, and the state is the points that they count: so it can be kept beside the value as plain
numbers, whoever goes on from it gets the same scores, and no tree has to be stored.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from random import Random
from typing import Final

__all__ = ["HalfSpaceState", "HalfSpaceTrees"]

Point = tuple[float, ...]

_LEAST_SHARE: Final = 0.1
"""A node with a smaller share of the span than this is not looked into: section 4 of the paper."""

_MOST_PROFILES: Final = 512
_DECIMALS: Final = 6


@dataclass(frozen=True, slots=True)
class HalfSpaceState:
    """What is known of a series.

    Attributes:
        reference: Points of the last full span, scaled; empty until there was one.
        latest: Points of the span that fills, scaled.
    """

    reference: tuple[Point, ...] = ()
    latest: tuple[Point, ...] = ()


@dataclass(frozen=True)
class HalfSpaceTrees:
    """An ensemble of half-space trees.

    Each tree halves the space again and again, along a dimension drawn for each node, without looking at the data. A
    point scores by the mass of reference points in the smallest region around it that still has enough of them: a
    point in a region that is empty is rare. One comparison per level and tree, whatever the length of the stream.

    Attributes:
        limits: Least and greatest usual value of each dimension; values beyond count as the nearest limit.
        trees: How many trees.
        height: Levels of a tree.
        span: Points that a reference has; the latest become the reference when they are so many.
        seed: Of the trees.

    References:
        Tan, Ting, Liu (2011), Fast anomaly detection for streaming data, IJCAI-11, pp. 1511-1516,
        doi:10.5591/978-1-57735-516-8/IJCAI11-254. The score is the paper's mass, turned round and brought to [0, 1].
        Assumes that anomalies are few and apart from the mass of a span.

    Example:
        >>> trees, state = HalfSpaceTrees(limits=((0.0, 10.0),), span=20), HalfSpaceState()
        >>> for number in range(40):
        ...     score, state = trees.step(state, (4.0 + number % 3 / 10,))
        >>> round(score, 2), round(trees.step(state, (9.0,))[0], 2)
        (0.2, 1.0)
    """

    limits: tuple[tuple[float, float], ...]
    trees: int = 25
    height: int = 6
    span: int = 60
    seed: int = 0

    def step(self, state: HalfSpaceState, values: Sequence[float]) -> tuple[float | None, HalfSpaceState]:
        """Score a point against the reference, then count it.

        Args:
            state: After the points before.
            values: Finite, one per dimension.

        Returns:
            In [0, 1]: 1 where no reference point is near; None until there is a reference. And the next state.
        """
        point = tuple(
            round(min(1.0, max(0.0, (value - low) / (high - low))), _DECIMALS)
            for value, (low, high) in zip(values, self.limits, strict=True)
        )
        score = self._score(state.reference, point) if state.reference else None
        latest = (*state.latest, point)
        if len(latest) >= self.span:
            return score, HalfSpaceState(latest, ())
        return score, HalfSpaceState(state.reference, latest)

    def _score(self, reference: tuple[Point, ...], point: Point) -> float:
        enough = _LEAST_SHARE * len(reference)
        mass = 0.0
        for tree, counts in zip(_grown(self), _counted(self, reference), strict=True):
            path = tree.path(point)
            level = next((at for at, node in enumerate(path) if counts.get(node, 0) <= enough), self.height)
            mass += counts.get(path[level], 0) * 2.0**level
        return 1.0 - mass / (self.trees * len(reference) * 2.0**self.height)


@dataclass(frozen=True)
class _Tree:
    """One tree: which dimension each node halves, nodes as of a heap, and the region that the root has."""

    dimensions: tuple[int, ...]
    low: Point
    high: Point
    height: int

    def path(self, point: Point) -> list[int]:
        """The nodes that a point lies in, from the root to the leaf."""
        low, high = list(self.low), list(self.high)
        node, path = 0, [0]
        for _ in range(self.height):
            dimension = self.dimensions[node]
            middle = (low[dimension] + high[dimension]) / 2
            if point[dimension] < middle:
                high[dimension] = middle
                node = 2 * node + 1
            else:
                low[dimension] = middle
                node = 2 * node + 2
            path.append(node)
        return path


@lru_cache(maxsize=64)
def _grown(forest: HalfSpaceTrees) -> tuple[_Tree, ...]:
    random = Random(forest.seed)  # noqa: S311 - chance, not secrecy; the same numbers on every machine
    dimensions = len(forest.limits)
    trees = []
    for _ in range(forest.trees):
        # a region around a drawn point that has all of [0, 1], so that trees halve it at different places
        centres = [random.random() for _ in range(dimensions)]
        reach = [2 * max(centre, 1 - centre) for centre in centres]
        low = tuple(centre - far for centre, far in zip(centres, reach, strict=True))
        high = tuple(centre + far for centre, far in zip(centres, reach, strict=True))
        nodes = tuple(int(random.random() * dimensions) for _ in range(2**forest.height - 1))
        trees.append(_Tree(nodes, low, high, forest.height))
    return tuple(trees)


@lru_cache(maxsize=_MOST_PROFILES)
def _counted(forest: HalfSpaceTrees, reference: tuple[Point, ...]) -> tuple[dict[int, int], ...]:
    """How many reference points each node of each tree has; nodes without any are left out."""
    counted = []
    for tree in _grown(forest):
        counts: dict[int, int] = {}
        for point in reference:
            for node in tree.path(point):
                counts[node] = counts.get(node, 0) + 1
        counted.append(counts)
    return tuple(counted)
