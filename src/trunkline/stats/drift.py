"""How far a batch has moved from what training saw, and how far chance alone would have moved it.

Takes a batch of a column and the profile of the same column at training, gives a frozen record of distances and tests.
A distance says how much, a test only that it is not nothing: with many rows every test rejects, with few rows every
distance is large. So alarm on the PSI above its ``psi_limit`` *and* above a size that matters (0.1 or 0.25 by custom),
and correct p-values of many columns by :mod:`trunkline.stats.false_discoveries`. All tests assume independent rows.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trunkline.stats.arrays import Floats, finite
from trunkline.stats.chi_squared import chi_squared_quantile
from trunkline.stats.profiles import CategoryProfile, NumberProfile, count_categories, split_nulls

__all__ = [
    "CategoryDrift",
    "NullShift",
    "NumberDrift",
    "category_drift",
    "null_shift",
    "number_drift",
    "psi",
    "psi_limit",
]

_LEAST_EXPECTED = 5.0
_ATOMS = 16


@dataclass(frozen=True, slots=True)
class NullShift:
    """The share of nulls in the batch against the reference.

    Attributes:
        reference: Share of nulls at training, in [0, 1].
        batch: Share of nulls in the batch, in [0, 1].
        z: Difference (batch - reference) in pooled standard errors; 0 when there are no nulls at all, or only nulls.
        p_value: Two-sided, in [0, 1].
    """

    reference: float
    batch: float
    z: float
    p_value: float


@dataclass(frozen=True, slots=True)
class NumberDrift:
    """A batch of numbers against the profile of the column.

    Attributes:
        rows: Rows of the batch, nulls included.
        psi: Population stability index over the reference's bins and one of nulls, >= 0.
        psi_limit: The 99 % limit of the PSI without drift, for so many rows.
        ks: Largest distance of the two distribution functions, in [0, 1]; null when either side has no values.
        ks_rows: Effective number of rows of that test; null with ``ks``.
        wasserstein: First Wasserstein distance in reference standard deviations, >= 0; null without values or where the
            reference does not vary.
        mean_shift: Mean of the batch less that of the reference, in reference standard deviations; null likewise.
        nulls: The shift of the share of nulls.
    """

    rows: int
    psi: float
    psi_limit: float
    ks: float | None
    ks_rows: int | None
    wasserstein: float | None
    mean_shift: float | None
    nulls: NullShift

    @property
    def ks_p_value(self) -> float | None:
        """Of the hypothesis of one distribution, in [0, 1]; null with ``ks``.

        Too large (cautious) for columns of few distinct values.
        """
        if self.ks is None or self.ks_rows is None:
            return None
        from scipy.stats import kstwo  # takes a second of processor time to import, and readings have no need of it

        return float(kstwo.sf(self.ks, self.ks_rows))


@dataclass(frozen=True, slots=True)
class CategoryDrift:
    """A batch of categories against the profile of the column.

    Attributes:
        rows: Rows of the batch, nulls included.
        psi: Population stability index over the reference's categories, the pool of rare ones, unseen ones and nulls.
        psi_limit: The 99 % limit of the PSI without drift, for so many rows.
        jensen_shannon: Jensen-Shannon distance (base 2) over the same bins, in [0, 1].
        chi_squared: Chi-squared statistic over the same bins, sparse ones pooled; null when fewer than two are left.
        chi_squared_p_value: Of the hypothesis of one distribution, in [0, 1]; null with ``chi_squared``.
        unseen_share: Share of the rows whose category never occurred at training, in [0, 1].
        unseen: Those categories with most rows first, at most ten.
        nulls: The shift of the share of nulls.
    """

    rows: int
    psi: float
    psi_limit: float
    jensen_shannon: float
    chi_squared: float | None
    chi_squared_p_value: float | None
    unseen_share: float
    unseen: tuple[str, ...]
    nulls: NullShift


def number_drift(values: ArrayLike, *, reference: NumberProfile) -> NumberDrift:
    """Compare a batch of numbers with what training saw.

    Kolmogorov-Smirnov is taken at the profile's points, exact for columns of up to 221 distinct values and otherwise
    at most 0.005 too small (so never a false alarm); its p-value is that of SciPy's ``ks_2samp(method="asymp")``.
    Wasserstein takes the reference as uniform between two points. Sources: Hodges (1958), doi:10.1007/BF02589501, for
    the two-sample test; Ramdas, Trillos and Cuturi (2017), doi:10.3390/e19020047, for the distance; ``psi`` for the
    rest.

    Args:
        values: The batch, shape (rows,), NaN where there is no value.
        reference: The profile of the column at training.

    Returns:
        Distances and tests.

    Raises:
        ValueError: There are no rows, or a value is infinite.

    Example:
        >>> from trunkline.stats.profiles import number_profile
        >>> reference = number_profile(np.arange(1000.0))
        >>> drift = number_drift(np.arange(1000.0) + 500, reference=reference)
        >>> round(drift.ks, 2), round(drift.mean_shift, 2), drift.psi > drift.psi_limit
        (0.5, 1.73, True)
    """
    present, nulls = split_nulls(values)
    rows = present.size + nulls
    inside = np.bincount(np.searchsorted(reference.edges, present, side="left"), minlength=len(reference.counts))
    before, after = np.array([*reference.counts, reference.nulls]), np.append(inside, nulls)
    ks = ks_rows = wasserstein = mean_shift = None
    if present.size and reference.points:
        ks, ks_rows = _kolmogorov_smirnov(present, reference)
        if reference.mean is not None and reference.std:
            mean_shift = (float(present.mean()) - reference.mean) / reference.std
            wasserstein = _wasserstein(present, reference) / reference.std
    return NumberDrift(
        rows=rows,
        psi=psi(before, after),
        psi_limit=psi_limit(_used(before, after), reference.rows, rows),
        ks=ks,
        ks_rows=ks_rows,
        wasserstein=wasserstein,
        mean_shift=mean_shift,
        nulls=null_shift(reference.nulls, reference.rows, nulls, rows),
    )


def category_drift(
    values: Iterable[str | None] | Mapping[str, int], *, reference: CategoryProfile, nulls: int = 0
) -> CategoryDrift:
    """Compare a batch of categories with what training saw.

    Chi-squared pools the bins whose expected count on either side is below 5 (Cochran (1954), doi:10.2307/3001616).
    Source of the distance: Endres and Schindelin (2003), doi:10.1109/TIT.2003.813506; ``psi`` for the rest.

    Args:
        values: The batch, ``None`` where there is no category, or the rows of each category.
        reference: The profile of the column at training.
        nulls: Rows without a category, if counts are given.

    Returns:
        Distances and tests.

    Raises:
        ValueError: There are no rows, or a count is out of its range.

    Example:
        >>> from trunkline.stats.profiles import category_profile
        >>> drift = category_drift({"a": 40, "z": 10}, reference=category_profile({"a": 400, "b": 100}))
        >>> drift.unseen_share, drift.unseen, drift.psi > drift.psi_limit
        (0.2, ('z',), True)
    """
    from scipy.spatial.distance import jensenshannon

    counted, nulls = count_categories(values, nulls=nulls)
    rows = sum(counted.values()) + nulls
    if rows == 0:
        raise ValueError("a batch must have at least one row")
    rare = sum(counted.get(name, 0) for name in reference.rare)
    known = {*reference.categories, *reference.rare}
    unseen = sorted((name for name in counted if name not in known), key=lambda name: (-counted[name], name))
    unseen_rows = sum(counted[name] for name in unseen)
    before = np.array([*reference.counts, reference.rare_rows, 0, reference.nulls])
    after = np.array([*(counted.get(name, 0) for name in reference.categories), rare, unseen_rows, nulls])
    statistic, p_value = _chi_squared(before, after)
    return CategoryDrift(
        rows=rows,
        psi=psi(before, after),
        psi_limit=psi_limit(_used(before, after), reference.rows, rows),
        jensen_shannon=float(jensenshannon(before, after, base=2)),
        chi_squared=statistic,
        chi_squared_p_value=p_value,
        unseen_share=unseen_rows / rows,
        unseen=tuple(unseen[:10]),
        nulls=null_shift(reference.nulls, reference.rows, nulls, rows),
    )


def psi(reference: ArrayLike, batch: ArrayLike) -> float:
    """Return the population stability index of two histograms over the same bins.

    The sum of ``(batch share - reference share) * ln(batch share / reference share)``, a symmetrised Kullback-Leibler
    divergence. Bins empty on both sides are left out. Of the k others the reference share is
    ``(count + 1/2) / (n + k/2)``, and the batch is drawn towards it as if k/2 more rows had come from the reference, so
    that an empty bin of a small batch costs little. Source: Siddiqi (2006), "Credit Risk Scorecards",
    ISBN 978-0-471-75451-0; its distribution: Yurdakul (2018), https://scholarworks.wmich.edu/dissertations/3208.

    Args:
        reference: Rows per bin at training, shape (bins,), >= 0.
        batch: Rows per bin in the batch, shape (bins,), >= 0.

    Returns:
        At least 0; by custom below 0.1 is stable and above 0.25 has moved.

    Raises:
        ValueError: Shapes differ, a count is negative or null, or a side has no rows.

    Example:
        >>> round(psi([5000, 5000], [3000, 7000]), 3)  # 0.2 ln(7/3) from 50:50 to 30:70
        0.169
    """
    before, after = finite(reference, name="reference"), finite(batch, name="batch")
    if before.size != after.size or min(before.min(), after.min()) < 0 or not (before.sum() > 0 and after.sum() > 0):
        raise ValueError("both histograms must have the same bins, no negative count, and at least one row")
    used = (before + after) > 0
    before, after = before[used], after[used]
    extra = before.size / 2.0
    expected = (before + 0.5) / (before.sum() + extra)
    seen = (after + extra * expected) / (after.sum() + extra)
    return float(((seen - expected) * np.log(seen / expected)).sum())


def psi_limit(bins: int, reference_rows: int, batch_rows: int, *, level: float = 0.99) -> float:
    """Return how large the PSI becomes by sampling alone.

    Without drift the PSI of n and m rows is about ``(1/n + 1/m)`` times a chi-squared variable with ``bins - 1``
    degrees of freedom, so its mean is ``(bins - 1) (1/n + 1/m)``. Assumes independent rows; with fewer than about 5
    expected rows in a bin the limit is cautious, because ``psi`` smooths.
    Source: Yurdakul (2018), https://scholarworks.wmich.edu/dissertations/3208; Yurdakul and Naranjo (2020),
    doi:10.21314/JRMV.2020.227.

    Args:
        bins: Bins that can hold rows, at least 1.
        reference_rows: Rows at training (n), at least 1.
        batch_rows: Rows of the batch (m), at least 1.
        level: Share of batches without drift that stay below, in (0, 1).

    Returns:
        The limit, >= 0; 0 for one bin.

    Raises:
        ValueError: A number is below 1, or ``level`` is outside (0, 1).

    Example:
        >>> round(psi_limit(10, 50_000, 5_000), 4), round(psi_limit(10, 50_000, 200), 4)
        (0.0048, 0.1088)
    """
    if min(bins, reference_rows, batch_rows) < 1 or not 0.0 < level < 1.0:
        raise ValueError("bins and rows must be at least 1, and level in (0, 1)")
    if bins == 1:
        return 0.0
    return chi_squared_quantile(level, bins - 1) * (1.0 / reference_rows + 1.0 / batch_rows)


def null_shift(reference_nulls: int, reference_rows: int, batch_nulls: int, batch_rows: int) -> NullShift:
    """Compare two shares of nulls by the pooled two-proportion z test.

    Its square is Pearson's chi-squared of the two-by-two table. Source: Fleiss, Levin and Paik (2003), "Statistical
    Methods for Rates and Proportions", third edition, section 3.1, doi:10.1002/0471445428.

    Args:
        reference_nulls: Nulls at training.
        reference_rows: Rows at training, at least 1.
        batch_nulls: Nulls in the batch.
        batch_rows: Rows of the batch, at least 1.

    Returns:
        Both shares and the test.

    Raises:
        ValueError: The counts contradict each other.

    Example:
        >>> shift = null_shift(10, 1000, 30, 1000)
        >>> round(shift.z, 2), round(shift.p_value, 4)
        (3.19, 0.0014)
    """
    if not (0 <= reference_nulls <= reference_rows >= 1 and 0 <= batch_nulls <= batch_rows >= 1):
        raise ValueError("nulls must lie in [0, rows], and rows be at least 1")
    before, after = reference_nulls / reference_rows, batch_nulls / batch_rows
    pooled = (reference_nulls + batch_nulls) / (reference_rows + batch_rows)
    error = (pooled * (1.0 - pooled) * (1.0 / reference_rows + 1.0 / batch_rows)) ** 0.5
    z = (after - before) / error if error > 0 else 0.0
    return NullShift(reference=before, batch=after, z=z, p_value=math.erfc(abs(z) / math.sqrt(2.0)))


def _used(before: NDArray[np.int64], after: NDArray[np.int64]) -> int:
    """Bins that hold a row on either side."""
    return int(((before + after) > 0).sum())


def _kolmogorov_smirnov(present: Floats, reference: NumberProfile) -> tuple[float, int]:
    """The distance, and the effective number of rows."""
    ordered = np.sort(present)
    values = reference.rows - reference.nulls
    points = np.array(reference.points)
    below = np.searchsorted(ordered, points, side="left") / ordered.size
    up_to = np.searchsorted(ordered, points, side="right") / ordered.size
    distance = max(np.abs(below - reference.below).max(), np.abs(up_to - reference.up_to).max())
    large, small = max(values, ordered.size), min(values, ordered.size)
    # The effective number of rows is rounded as SciPy's ks_2samp does, so that the two agree.
    return float(distance), max(1, round(large * small / (large + small)))


def _wasserstein(present: Floats, reference: NumberProfile) -> float:
    points, below, up_to = np.array(reference.points), np.array(reference.below), np.array(reference.up_to)
    # Between two points the reference is taken as uniform: small equal masses, evenly spread.
    steps = (np.arange(_ATOMS) + 0.5) / _ATOMS
    spread = points[:-1, np.newaxis] + np.diff(points)[:, np.newaxis] * steps
    mass = np.repeat(np.maximum(below[1:] - up_to[:-1], 0.0) / _ATOMS, _ATOMS)
    at, weight = np.concatenate([points, spread.ravel()]), np.concatenate([up_to - below, mass])
    # The area between the two distribution functions.
    order, ordered = np.argsort(at), np.sort(present)
    share = np.concatenate([[0.0], np.cumsum(weight[order])]) / weight.sum()
    every = np.sort(np.concatenate([at, ordered]))
    left = share[np.searchsorted(at[order], every[:-1], side="right")]
    right = np.searchsorted(ordered, every[:-1], side="right") / ordered.size
    return float((np.abs(left - right) * np.diff(every)).sum())


def _chi_squared(before: NDArray[np.int64], after: NDArray[np.int64]) -> tuple[float, float] | tuple[None, None]:
    from scipy.stats import chi2_contingency

    table = np.stack([before, after]).astype(np.float64)
    smaller = min(before.sum(), after.sum()) / table.sum()
    sparse = table.sum(axis=0) * smaller < _LEAST_EXPECTED
    pooled = np.column_stack([table[:, ~sparse], table[:, sparse].sum(axis=1)])
    pooled = pooled[:, pooled.sum(axis=0) > 0]
    if pooled.shape[1] < 2:
        return None, None
    found = chi2_contingency(pooled, correction=False)
    return float(found.statistic), float(found.pvalue)
