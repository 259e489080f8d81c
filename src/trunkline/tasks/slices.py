"""Cut rows by the values of a declared column: categories and flags as they are, numbers at their quartiles."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pyarrow as pa
from pyarrow import types

from trunkline.stats.fairness import FairnessReport, fairness_report
from trunkline.stats.slices import SliceReport, slice_report
from trunkline.tasks.base_matrix import Floats, number_column

__all__ = ["fairness_reports", "slice_names", "slice_reports"]

_MOST_VALUES = 8
_MOST_SLICES = 40
_SMALL = "all others"


def slice_names(table: pa.Table, column: str) -> list[str | None]:
    """Name the slice of each row.

    Args:
        table: Any rows.
        column: The column that cuts. Numbers with more than eight values are cut at their quartiles; of texts with more
            than forty values the rarer ones share a slice.

    Returns:
        One name per row; None where the column is null.
    """
    kind = table[column].type
    if types.is_integer(kind) or types.is_floating(kind):
        return _number_slices(number_column(table, column))
    if types.is_boolean(kind):
        return [None if value is None else str(value).lower() for value in table[column].to_pylist()]
    values: list[str | None] = table[column].cast(pa.string()).to_pylist()
    counts: dict[str, int] = {}
    for value in values:
        if value is not None:
            counts[value] = counts.get(value, 0) + 1
    kept = set(sorted(counts, key=lambda value: (-counts[value], value))[:_MOST_SLICES])
    return [value if value is None or value in kept else _SMALL for value in values]


def _number_slices(values: Floats) -> list[str | None]:
    present = values[~np.isnan(values)]
    distinct = np.unique(present)
    if len(distinct) <= _MOST_VALUES:
        return [None if np.isnan(value) else f"{value:g}" for value in values]
    edges = np.unique(np.quantile(present, [0.25, 0.5, 0.75]))
    bounds = [-np.inf, *edges, np.inf]
    names = [f"{low:g} to {high:g}" for low, high in pairwise(bounds)]
    names[0], names[-1] = f"up to {edges[0]:g}", f"above {edges[-1]:g}"
    places = np.searchsorted(edges, values, side="left")
    return [None if np.isnan(value) else names[at] for value, at in zip(values, places, strict=True)]


def slice_reports(
    table: pa.Table, *, columns: Sequence[str], target: Floats, scores: Floats, threshold: float, seed: int
) -> dict[str, SliceReport]:
    """Judge scores by the values of each declared column.

    Args:
        table: The scored rows.
        columns: Columns that cut.
        target: 0/1, shape (rows,).
        scores: Probabilities that were not fitted on the rows, shape (rows,).
        threshold: Scores at or above it decide True.
        seed: Seed of the bootstrap.

    Returns:
        A report by column.
    """
    return {
        column: slice_report(target, scores, slice_names(table, column), threshold=threshold, seed=seed)
        for column in columns
    }


def fairness_reports(
    table: pa.Table, *, columns: Sequence[str], target: Floats, scores: Floats, threshold: float, seed: int
) -> dict[str, FairnessReport]:
    """Judge decisions by the groups of each declared column; arguments as of :func:`slice_reports`."""
    return {
        column: fairness_report(target, scores, slice_names(table, column), threshold=threshold, seed=seed)
        for column in columns
    }
