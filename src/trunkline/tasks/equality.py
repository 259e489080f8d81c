"""Evidence that the ONNX graph answers as the fitted learners do, and how long one row takes.

The rows compared are the hard ones: held-out rows, nulls, categories never seen, extremes, and values exactly at the
thresholds where trees split.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np

from trunkline.contracts.expressions import RowValue
from trunkline.tasks.base_matrix import LIMIT, TINY, Floats, Matrix
from trunkline.tasks.estimators import FittedLearner
from trunkline.tasks.features import FeatureKind
from trunkline.tasks.members import Boosted, Grown
from trunkline.tasks.report import Equality, Latency
from trunkline.tasks.views import Numbers

__all__ = ["EQUALITY_LIMIT", "compare_answers", "hard_rows", "time_rows"]

EQUALITY_LIMIT: Final = 1e-5
"""Largest accepted difference between ONNX Runtime and the trainers."""
_MOST_THRESHOLDS = 2_000


def hard_rows(held_out: Matrix, *, kinds: Sequence[FeatureKind], fitted: Sequence[FittedLearner]) -> dict[str, Matrix]:
    """Make rows on which a conversion would go wrong.

    Args:
        held_out: Encoded rows, shape (rows, base columns), at least one.
        kinds: Kinds of the base columns.
        fitted: The learners, for their thresholds.

    Returns:
        Matrices by case.
    """
    columns = held_out.shape[1]
    donor = held_out[: max(columns, 1)]

    def each_column(value: float, chosen: Sequence[int]) -> Matrix:
        rows = np.repeat(donor, int(np.ceil(len(chosen) / len(donor))), axis=0)[: len(chosen)].copy()
        rows[np.arange(len(chosen)), chosen] = value
        return rows

    numbers = [at for at, kind in enumerate(kinds) if kind == "number"]
    categories = [at for at, kind in enumerate(kinds) if kind == "category"]
    span = np.nan_to_num(np.nanmax(np.abs(np.where(np.isnan(held_out), 0, held_out)), axis=0))
    extremes = [each_column(sign * LIMIT, numbers) for sign in (1, -1)]
    for sign in (10, -10):
        rows = each_column(0.0, numbers)
        rows[np.arange(len(numbers)), numbers] = sign * (span[numbers] + 1)
        extremes.append(rows)
    all_null = np.full((1, columns), np.nan, dtype=np.float32)
    return {
        "held out": held_out,
        "nulls": np.concatenate([each_column(np.nan, range(columns)), all_null]),
        "unknown categories": each_column(-1.0, categories),
        "extremes": np.concatenate(extremes),
        "split thresholds": _at_thresholds(donor, fitted),
    }


def _at_thresholds(donor: Matrix, fitted: Sequence[FittedLearner]) -> Matrix:
    """Rows that hold a split's threshold exactly, and the next float32 on either side."""
    points: set[tuple[int, float]] = set()
    for learner in fitted:
        plain = _unscaled(learner)
        for member in learner.members:
            if isinstance(member, Boosted | Grown):
                points.update((plain[column], value) for column, value in member.forest.thresholds() if column in plain)
    ordered = sorted(point for point in points if abs(point[1]) < LIMIT)
    step = max(1, len(ordered) // _MOST_THRESHOLDS)
    ordered = ordered[::step]
    rows = np.repeat(donor, int(np.ceil(3 * len(ordered) / len(donor))), axis=0)[: 3 * len(ordered)].copy()
    for at, (column, value) in enumerate(ordered):
        near = np.float32(value)
        rows[3 * at : 3 * at + 3, column] = (
            np.nextafter(near, np.float32(-np.inf)),
            near,
            np.nextafter(near, np.float32(np.inf)),
        )
    rows[np.abs(rows) < TINY] = 0.0  # as the base matrix has it
    return rows


def _unscaled(learner: FittedLearner) -> dict[int, int]:
    """From view column to base column, for the columns that reach the trees as they are."""
    if learner.view.tails:
        return {}
    found, at = {}, 0
    for block in learner.view.blocks:
        if isinstance(block, Numbers):
            for place, column in enumerate(block.columns):
                if block.scale[place] == 1 and block.offset[place] == 0:
                    found[at + place] = int(column)
        at += len(block.columns)
    return found


def compare_answers(
    rows: Mapping[str, Matrix],
    *,
    trainer: Callable[[Matrix], Floats],
    onnx: Callable[[Matrix], Floats],
    relative: bool,
) -> Equality:
    """Compare two ways of scoring.

    Args:
        rows: Matrices by case.
        trainer: Scores by the fitted learners.
        onnx: Scores by ONNX Runtime.
        relative: Divide differences by 1 + |prediction|.

    Returns:
        The evidence; a score that is not a number counts as an infinite difference.
    """
    largest = 0.0
    for matrix in rows.values():
        if not len(matrix):
            continue
        expected, found = trainer(matrix), onnx(matrix)
        difference = np.abs(expected - found) / (1 + np.abs(expected) if relative else 1.0)
        worst = float(np.max(np.where(np.isfinite(difference), difference, np.finfo(np.float64).max)))
        largest = max(largest, worst)
    return Equality(
        rows={case: len(matrix) for case, matrix in rows.items()},
        largest_difference=largest,
        limit=EQUALITY_LIMIT,
        equal=largest < EQUALITY_LIMIT,
    )


def time_rows(
    answer: Callable[[Mapping[str, RowValue]], float],
    rows: Sequence[Mapping[str, RowValue]],
    *,
    clock: Callable[[], float],
    repeats: int = 5,
) -> Latency:
    """Time one row after another.

    Args:
        answer: Scores one row.
        rows: Typed rows, at least one.
        clock: Seconds from any start.
        repeats: How often each row is asked.

    Returns:
        Median and 99th percentile in microseconds, the first round left out.
    """
    taken = []
    for number in range(repeats + 1):
        for row in rows:
            start = clock()
            answer(row)
            if number:
                taken.append(clock() - start)
    p50, p99 = np.quantile(np.array(taken) * 1e6, [0.5, 0.99])
    return Latency(p50_us=float(p50), p99_us=float(p99), rows=len(taken))
