"""What training keeps of a column, so that drift can be measured later without the training rows.

A profile is a frozen record of plain numbers, texts and tuples; it goes into JSON as it is, and Pydantic reads it back
(``TypeAdapter(NumberProfile)``). It holds a few hundred numbers whatever the rows, and no row of anybody, but for
numbers: quantiles are values that occurred, so a profile of an identifier would hold identifiers. Nulls are counted
apart: NaN in numbers, ``None`` in categories.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from trunkline.stats.arrays import Floats, finite

__all__ = ["CategoryProfile", "NumberProfile", "category_profile", "count_categories", "number_profile", "split_nulls"]

_TAIL = 0.005 * 0.5 ** np.arange(1, 11)
_GRID = np.sort(np.concatenate([np.linspace(0.0, 1.0, 201), _TAIL, 1.0 - _TAIL]))


@dataclass(frozen=True, slots=True)
class NumberProfile:
    """A column of numbers in short.

    The distribution is kept twice. ``edges`` and ``counts`` are bins of about equal mass for the PSI: bin i holds
    ``edges[i-1] < x <= edges[i]``, the outer bins are open. ``points`` are up to 221 quantiles (all distinct values, if
    they are as few), 0.5 % apart and closer in the tails, with the share of values below and up to each, exact at the
    points, for Kolmogorov-Smirnov and Wasserstein.

    Attributes:
        rows: All rows, nulls included, at least 1.
        nulls: Rows without a value.
        mean: Mean of the values, in the unit of the column; null when there are none.
        std: Standard deviation of the values (divided by their number less one); null for fewer than two.
        edges: Inner bin edges, strictly rising, one fewer than ``counts``.
        counts: Values per bin; add up to ``rows - nulls``.
        points: Quantiles of the values, strictly rising, from minimum to maximum; empty when there are no values.
        below: Share of the values < each point, in [0, 1).
        up_to: Share of the values <= each point, in (0, 1].
        kind: Tells this record from a ``CategoryProfile`` in JSON.
    """

    rows: int
    nulls: int
    mean: float | None
    std: float | None
    edges: tuple[float, ...]
    counts: tuple[int, ...]
    points: tuple[float, ...]
    below: tuple[float, ...]
    up_to: tuple[float, ...]
    kind: Literal["number"] = "number"


@dataclass(frozen=True, slots=True)
class CategoryProfile:
    """A column of categories in short.

    Attributes:
        rows: All rows, nulls included, at least 1.
        nulls: Rows without a category.
        categories: The most frequent categories, by falling count, then by name.
        counts: Rows of each of them.
        rare: Names of all other categories that occurred, sorted: known, but too rare for a bin of their own.
        rare_rows: Rows of them together.
        kind: Tells this record from a ``NumberProfile`` in JSON.
    """

    rows: int
    nulls: int
    categories: tuple[str, ...]
    counts: tuple[int, ...]
    rare: tuple[str, ...] = ()
    rare_rows: int = 0
    kind: Literal["category"] = "category"


def number_profile(values: ArrayLike, *, bins: int = 10) -> NumberProfile:
    """Return the profile of a column of numbers.

    Args:
        values: The column, shape (rows,), NaN where there is no value; flags as 0 and 1.
        bins: Bins of equal mass wanted, at least 2; heavy ties give fewer, and a column of at most so many distinct
            values gets a bin for each.

    Returns:
        The profile.

    Raises:
        ValueError: There are no rows, a value is infinite, or ``bins`` is below 2.

    Example:
        >>> profile = number_profile([1.0, 2.0, 3.0, 4.0, float("nan")], bins=2)
        >>> profile.nulls, profile.edges, profile.counts, profile.mean
        (1, (2.5,), (2, 2), 2.5)
    """
    if bins < 2:
        raise ValueError(f"bins must be at least 2, not {bins}")
    present, nulls = split_nulls(values)
    count = present.size
    if count == 0:
        return NumberProfile(nulls, nulls, None, None, (), (0,), (), (), ())
    ordered = np.sort(present)
    distinct = points = np.unique(ordered)
    edges = _edges(ordered, distinct, bins)
    counts = np.bincount(np.searchsorted(edges, ordered, side="left"), minlength=edges.size + 1)
    if points.size > _GRID.size:
        points = np.unique(ordered[(_GRID * (count - 1)).round().astype(np.int64)])
    first = np.searchsorted(ordered, points, side="left")
    end = np.searchsorted(ordered, points, side="right")
    return NumberProfile(
        rows=count + nulls,
        nulls=nulls,
        mean=float(ordered.mean()),
        std=float(ordered.std(ddof=1)) if count > 1 else None,
        edges=tuple(edges.tolist()),
        counts=tuple(counts.tolist()),
        points=tuple(points.tolist()),
        below=tuple((first / count).tolist()),
        up_to=tuple((end / count).tolist()),
    )


def category_profile(
    values: Iterable[str | None] | Mapping[str, int], *, nulls: int = 0, most: int = 50
) -> CategoryProfile:
    """Return the profile of a column of categories.

    Args:
        values: The column, ``None`` where there is no category, or the rows of each category counted elsewhere (in a
            query), each at least 1.
        nulls: Rows without a category, if counts are given; otherwise they are counted here, and it must be 0.
        most: Categories to keep with a bin of their own, at least 1; others are pooled.

    Returns:
        The profile.

    Raises:
        ValueError: There are no rows, or a count is out of its range.

    Example:
        >>> category_profile(["b", "a", None, "b"]).categories
        ('b', 'a')
        >>> category_profile({"a": 5, "b": 1, "c": 1}, most=1).rare
        ('b', 'c')
    """
    counted, nulls = count_categories(values, nulls=nulls)
    rows = sum(counted.values()) + nulls
    if rows == 0 or most < 1:
        raise ValueError(f"at least one row and one category to keep are needed, not {rows} and {most}")
    ranked = sorted(counted.items(), key=lambda item: (-item[1], item[0]))
    return CategoryProfile(
        rows=rows,
        nulls=nulls,
        categories=tuple(name for name, _ in ranked[:most]),
        counts=tuple(count for _, count in ranked[:most]),
        rare=tuple(sorted(name for name, _ in ranked[most:])),
        rare_rows=sum(count for _, count in ranked[most:]),
    )


def split_nulls(values: ArrayLike) -> tuple[Floats, int]:
    """Return the values of a column of numbers, and how many rows have none.

    Args:
        values: The column, shape (rows,), NaN where there is no value.

    Returns:
        The values, shape (rows - nulls,), in their order, and the nulls.

    Raises:
        ValueError: It is not a vector, is empty, or a value is infinite.

    Example:
        >>> split_nulls([1.0, float("nan")])[1]
        1
    """
    column = np.asarray(values, dtype=np.float64)
    if column.ndim != 1 or column.size == 0:
        raise ValueError(f"values must be a vector of at least one row, not of shape {column.shape}")
    present = column[~np.isnan(column)]
    return (finite(present, name="values") if present.size else present), int(column.size - present.size)


def count_categories(values: Iterable[str | None] | Mapping[str, int], *, nulls: int = 0) -> tuple[dict[str, int], int]:
    """Return the rows of each category, and how many rows have none.

    Args:
        values: As ``category_profile``.
        nulls: As ``category_profile``.

    Returns:
        The counts, each at least 1, and the nulls.

    Raises:
        ValueError: A count is below 1, ``nulls`` is negative, or it is given together with a column.

    Example:
        >>> count_categories(["a", None, "a"])
        ({'a': 2}, 1)
    """
    if isinstance(values, Mapping):
        if nulls < 0 or any(count < 1 for count in values.values()):
            raise ValueError("each count of a category must be at least 1, and nulls not negative")
        return dict(values), nulls
    if nulls:
        raise ValueError("nulls are counted in a column; give their number with counts only")
    counted = Counter(values)
    missing = counted.pop(None, 0)
    return {name: count for name, count in counted.items() if name is not None}, missing


def _edges(ordered: Floats, distinct: Floats, bins: int) -> Floats:
    """Inner edges of bins of about equal mass, strictly rising, such that a value with most of the mass is alone."""
    if distinct.size == 1:
        # Whatever differs from a constant must fall outside its bin.
        return np.array([np.nextafter(distinct[0], -np.inf), distinct[0]])
    if distinct.size <= bins:
        return distinct[:-1]
    edges = np.quantile(ordered, np.linspace(0.0, 1.0, bins + 1)[1:-1])
    # An edge at the maximum would close an empty bin above it and hide the mass of the maximum in the bin below.
    return np.unique(np.minimum(edges, distinct[-2]))
