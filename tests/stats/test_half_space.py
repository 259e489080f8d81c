"""Half-space trees against an independent count of boxes, and against points that are known to be rare."""

import json
import math
import random

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.stats.half_space import HalfSpaceState, HalfSpaceTrees

POINTS = st.lists(st.tuples(st.floats(-1, 2), st.floats(-1, 2)), min_size=10, max_size=10)


def boxes_score(trees: HalfSpaceTrees, reference: npt.NDArray[np.float64], point: npt.NDArray[np.float64]) -> float:
    """The score by the paper's words: regions as boxes, masses by looking which points are inside."""
    drawn = random.Random(trees.seed)
    count, dimensions = reference.shape
    total = 0.0
    for _ in range(trees.trees):
        centres = np.array([drawn.random() for _ in range(dimensions)])
        reach = 2 * np.maximum(centres, 1 - centres)
        low, high = centres - reach, centres + reach
        halves = [int(drawn.random() * dimensions) for _ in range(2**trees.height - 1)]
        node = level = 0
        inside = np.ones(count, dtype=bool)
        while level < trees.height and inside.sum() > 0.1 * count:
            at = halves[node]
            middle = (low[at] + high[at]) / 2
            if point[at] < middle:
                high[at], node = middle, 2 * node + 1
                inside &= reference[:, at] < middle
            else:
                low[at], node = middle, 2 * node + 2
                inside &= reference[:, at] >= middle
            level += 1
        total += float(inside.sum()) * 2**level
    return float(1 - total / (trees.trees * count * 2**trees.height))


@given(POINTS, st.tuples(st.floats(-1, 2), st.floats(-1, 2)), st.integers(0, 5))
def test_the_score_is_that_of_counting_in_boxes(
    points: list[tuple[float, float]], point: tuple[float, float], seed: int
) -> None:
    trees = HalfSpaceTrees(limits=((0.0, 1.0), (0.0, 1.0)), trees=5, height=4, span=10, seed=seed)
    state = HalfSpaceState()
    for one in points:
        score, state = trees.step(state, one)
        assert score is None
    found, _ = trees.step(state, point)
    scaled = np.round(np.clip(np.array([*points, point]), 0, 1), 6)
    assert found == pytest.approx(boxes_score(trees, scaled[:-1], scaled[-1]))


def test_rare_points_have_the_highest_scores_and_a_new_usual_becomes_usual() -> None:
    drawn = random.Random(7)
    trees, state = HalfSpaceTrees(limits=((0, 10), (0, 10)), span=100), HalfSpaceState()
    usual, rare = list[float](), list[float]()
    for number in range(1_000):
        is_rare = number > 100 and number % 50 == 0
        point = (8.5, 1.0) if is_rare else (drawn.gauss(3, 0.4), drawn.gauss(6, 0.4))
        score, state = trees.step(state, point)
        if score is not None:
            (rare if is_rare else usual).append(score)
    above = (
        sum(one > other for one in rare for other in usual) + sum(one == other for one in rare for other in usual) / 2
    )
    assert above / (len(rare) * len(usual)) > 0.97
    moved = None
    for _ in range(200):
        moved, state = trees.step(state, (8.5 + drawn.gauss(0, 0.1), 1 + drawn.gauss(0, 0.1)))
    assert moved is not None
    assert moved < min(rare)


def test_whoever_goes_on_from_a_written_state_has_the_same_scores() -> None:
    drawn = random.Random(3)
    trees = HalfSpaceTrees(limits=((-5.0, 5.0),), span=15)
    state = written = HalfSpaceState()
    for _ in range(60):
        value = (drawn.gauss(0, 1),)
        score, state = trees.step(state, value)
        text = json.dumps([written.reference, written.latest])
        again = HalfSpaceState(*(tuple(map(tuple, part)) for part in json.loads(text)))
        other, written = trees.step(again, value)
        assert score == other
        assert score is None or 0 <= score <= 1
        assert all(math.isfinite(part) for point in state.latest for part in point)
