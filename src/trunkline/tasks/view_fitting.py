"""Learn a view from the training rows of a fold.

Takes declared preprocessing, a base matrix and the target of the rows a learner may see; gives the fitted view and the
matrix those rows train on. The two differ for target encoding only: a training row's category mean is taken from the
other rows (cross-fitting), otherwise the column would tell the learner its own target.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import numpy as np

from trunkline.errors import UseCaseError
from trunkline.tasks.base_matrix import Floats, Matrix
from trunkline.tasks.features import FeatureKind
from trunkline.tasks.preprocessing import Encoding, Preprocessing, QuantileLimits
from trunkline.tasks.views import (
    Bins,
    Block,
    Indicators,
    Lookup,
    Numbers,
    OneHot,
    Places,
    Products,
    Projection,
    Selection,
    Tail,
    View,
)

__all__ = ["Columns", "fit_view"]

_TARGET_FOLDS = 5
_MOST_PRODUCTS = 5_000


class Columns(Protocol):
    """What is known of the base matrix's columns."""

    @property
    def names(self) -> tuple[str, ...]:
        """Their names."""
        ...

    @property
    def kinds(self) -> tuple[FeatureKind, ...]:
        """Their kinds."""
        ...

    @property
    def sizes(self) -> tuple[int, ...]:
        """Number of codes of each category; 0 for the others."""
        ...


@dataclass(frozen=True)
class _Part:
    """A block, the names of its columns, and where it differs in training its training columns."""

    block: Block
    names: tuple[str, ...]
    training: Matrix | None = None


def fit_view(
    base: Matrix, *, target: Floats, columns: Columns, preprocessing: Preprocessing, seed: int
) -> tuple[View, Matrix]:
    """Learn the preprocessing.

    Args:
        base: Training rows of the fold, shape (rows, base columns), null as NaN.
        target: 0/1 or numbers, shape (rows,).
        columns: Names and kinds of the base columns.
        preprocessing: What is declared.
        seed: Seed of the cross-fitting of target means.

    Returns:
        The view for any row, and the training matrix, shape (rows, columns of the view).

    Raises:
        UseCaseError: No column is left, or there would be too many products.
    """
    parts = list(_parts(base, target, columns, preprocessing, seed))
    if not parts:
        raise UseCaseError("preprocessing leaves no column", where=", ".join(columns.names))
    blocks = [part.block for part in parts]
    matrix = np.concatenate(
        [part.block.apply(base) if part.training is None else part.training for part in parts], axis=1
    )
    names = tuple(name for part in parts for name in part.names)
    tails: list[Tail] = []
    for make in (_products, _projection, _selection):
        made = make(matrix, target, names, preprocessing)
        if made is not None:
            tail, names = made
            matrix = tail.apply(matrix)
            tails.append(tail)
    return View(blocks, tails, names), np.ascontiguousarray(matrix, dtype=np.float32)


def _parts(base: Matrix, target: Floats, columns: Columns, preprocessing: Preprocessing, seed: int) -> Sequence[_Part]:
    used = _used(columns, preprocessing)
    numbers = [at for at in used if columns.kinds[at] != "category"]
    encoded: dict[Encoding, list[int]] = {"one_hot": [], "ordinal": [], "target": []}
    for at in used:
        if columns.kinds[at] == "category":
            how = preprocessing.encode
            if columns.sizes[at] > preprocessing.target_above:
                how = "target"
            encoded[preprocessing.encode_by.get(columns.names[at], how)].append(at)
    parts: list[_Part] = []
    plain = sorted([*numbers, *encoded["ordinal"]])
    if plain:
        parts.append(_numbers(base, plain, columns, preprocessing))
    if preprocessing.bins and (cut := [at for at in numbers if columns.names[at] in preprocessing.bins_of]):
        parts.append(_bins(base, cut, columns, preprocessing.bins))
    if preprocessing.indicators and (holed := [at for at in used if np.isnan(base[:, at]).any()]):
        parts.append(_Part(Indicators(_places(holed)), tuple(f"{columns.names[at]} is null" for at in holed)))
    if encoded["one_hot"] and (one_hot := _one_hot(base, encoded["one_hot"], columns, preprocessing)):
        parts.append(one_hot)
    if encoded["target"]:
        parts.append(_target_means(base, target, encoded["target"], columns, preprocessing, seed))
    return parts


def _used(columns: Columns, preprocessing: Preprocessing) -> list[int]:
    return [
        at
        for at, name in enumerate(columns.names)
        if (not preprocessing.only or name in preprocessing.only) and name not in preprocessing.without
    ]


def _places(columns: Sequence[int]) -> Places:
    return np.array(columns, dtype=np.int64)


def _f32(values: object) -> Matrix:
    return np.asarray(values, dtype=np.float32)


def _finite(column: Matrix) -> Floats:
    return column[~np.isnan(column)].astype(np.float64)


def _most_frequent(values: Floats) -> float:
    distinct, counts = np.unique(values, return_counts=True)
    return float(distinct[np.argmax(counts)])


def _fill(values: Floats, preprocessing: Preprocessing, *, category: bool) -> float:
    how = preprocessing.impute
    if how == "none" or not values.size:
        return np.nan if how == "none" else 0.0
    if how == "most_frequent":
        return _most_frequent(values)
    if category:
        return -1.0
    return {"median": float(np.median(values)), "mean": float(values.mean()), "zero": 0.0}[how]


def _limits(values: Floats, preprocessing: Preprocessing) -> tuple[float, float]:
    declared = preprocessing.outliers
    if declared is None or not values.size:
        return -np.inf, np.inf
    if isinstance(declared, QuantileLimits):
        low, high = np.quantile(values, [declared.low, declared.high])
        return float(low), float(high)
    first, third = np.quantile(values, [0.25, 0.75])
    reach = declared.reach * (third - first)
    return (float(first - reach), float(third + reach)) if reach > 0 else (-np.inf, np.inf)


def _scaling(cells: Floats, preprocessing: Preprocessing) -> tuple[float, float]:
    """Offset and scale of one column after filling and limiting; a column without spread is only shifted."""
    values = cells[~np.isnan(cells)]
    if preprocessing.scale == "none" or not values.size:
        return 0.0, 1.0
    if preprocessing.scale == "standard":
        offset, scale = float(values.mean()), float(values.std())
    elif preprocessing.scale == "min_max":
        offset, scale = float(values.min()), float(np.ptp(values))
    else:
        first, offset, third = (float(q) for q in np.quantile(values, [0.25, 0.5, 0.75]))
        scale = third - first
    # relative to the size of the values: the spread of a constant column is rounding error
    return offset, scale if scale > 1e-6 * max(1.0, abs(offset)) else 1.0


def _numbers(base: Matrix, at: list[int], columns: Columns, preprocessing: Preprocessing) -> _Part:
    learned: list[tuple[float, float, float, float, float]] = []
    for column in at:
        values = _finite(base[:, column])
        fill = _fill(values, preprocessing, category=columns.kinds[column] == "category")
        limits = _limits(values, preprocessing) if columns.kinds[column] == "number" else (-np.inf, np.inf)
        cells = base[:, column].astype(np.float64)
        cells = np.clip(np.where(np.isnan(cells), fill, cells), *limits)
        learned.append((fill, *limits, *_scaling(cells, preprocessing)))
    fills, low, high, offset, scale = _f32(learned).T
    block = Numbers(_places(at), fills, low, high, offset, scale)
    return _Part(block, tuple(columns.names[column] for column in at))


def _bins(base: Matrix, at: list[int], columns: Columns, bins: int) -> _Part:
    places, low, high, names = [], [], [], []
    for column in at:
        values = _finite(base[:, column])
        inner = np.unique(np.quantile(values, np.linspace(0, 1, bins + 1)[1:-1])) if values.size else np.array([0.0])
        edges = [-np.inf, *inner.astype(np.float32), np.inf]
        for start, end in pairwise(edges):
            places.append(column)
            low.append(start)
            high.append(end)
            names.append(f"{columns.names[column]} in [{start:g}, {end:g})")
    return _Part(Bins(_places(places), _f32(low), _f32(high)), tuple(names))


def _one_hot(base: Matrix, at: list[int], columns: Columns, preprocessing: Preprocessing) -> _Part | None:
    places, codes, fill, names = [], [], [], []
    for column in at:
        values = _finite(base[:, column])
        filled = _most_frequent(values) if preprocessing.impute == "most_frequent" and values.size else np.nan
        for code in np.unique(values):
            places.append(column)
            codes.append(code)
            fill.append(filled)
            names.append(f"{columns.names[column]}={int(code)}")
    if not places:
        return None
    return _Part(OneHot(_places(places), _f32(codes), _f32(fill)), tuple(names))


def _target_means(
    base: Matrix, target: Floats, at: list[int], columns: Columns, preprocessing: Preprocessing, seed: int
) -> _Part:
    """Encode by ``sklearn.preprocessing.TargetEncoder``; source: Micci-Barreca (2001), doi:10.1145/507533.507538.

    A code, unknown and null alike, that a fold's training rows lack gets the overall mean.
    """
    from sklearn.model_selection import KFold, StratifiedKFold
    from sklearn.preprocessing import TargetEncoder

    binary = bool(np.isin(target, (0.0, 1.0)).all())
    codes = np.where(np.isnan(base[:, at]), -2.0, base[:, at]).astype(np.int64)
    encoder = TargetEncoder(
        target_type="binary" if binary else "continuous",
        smooth=preprocessing.target_smoothing or "auto",
        cv=(StratifiedKFold if binary else KFold)(_TARGET_FOLDS, shuffle=True, random_state=seed),
    )
    training = encoder.fit_transform(codes, target).astype(np.float32)
    starts: list[int] = []
    table: list[float] = []
    for column, categories, means in zip(at, encoder.categories_, encoder.encodings_, strict=True):
        part = np.full(columns.sizes[column] + 2, encoder.target_mean_)
        part[categories.astype(np.int64) + 2] = means
        starts.append(len(table))
        table.extend(part.tolist())
    offsets, scales = [], []
    for column in range(len(at)):
        offset, scale = _scaling(training[:, column].astype(np.float64), preprocessing)
        offsets.append(np.float32(offset))
        scales.append(np.float32(scale))
    sizes = np.diff([*starts, len(table)])
    scaled = (_f32(table) - np.repeat(_f32(offsets), sizes)) / np.repeat(_f32(scales), sizes)
    return _Part(
        Lookup(_places(at), _places(starts), _f32(scaled)),
        tuple(f"mean target of {columns.names[column]}" for column in at),
        training=_f32((training - _f32(offsets)) / _f32(scales)),
    )


def _products(
    matrix: Matrix, _target: Floats, names: tuple[str, ...], preprocessing: Preprocessing
) -> tuple[Tail, tuple[str, ...]] | None:
    if not preprocessing.interactions:
        return None
    left, right = np.triu_indices(matrix.shape[1], k=1)
    # the product of two one-hot columns of one feature is always 0
    alive = np.array([matrix[:, a].dot(matrix[:, b]) != 0 for a, b in zip(left, right, strict=True)], dtype=bool)
    left, right = left[alive].astype(np.int64), right[alive].astype(np.int64)
    if len(left) > _MOST_PRODUCTS:
        raise UseCaseError(
            f"interactions would add {len(left)} columns", next_step="name fewer columns in `only`, or fewer bins"
        )
    added = tuple(f"{names[a]} x {names[b]}" for a, b in zip(left, right, strict=True))
    return Products(left, right), (*names, *added)


def _projection(
    matrix: Matrix, _target: Floats, _names: tuple[str, ...], preprocessing: Preprocessing
) -> tuple[Tail, tuple[str, ...]] | None:
    if preprocessing.pca_share is None:
        return None
    from sklearn.decomposition import PCA

    fitted = PCA(n_components=preprocessing.pca_share, svd_solver="full").fit(matrix.astype(np.float64))
    tail = Projection(_f32(fitted.mean_), _f32(fitted.components_.T))
    return tail, tuple(f"component {at + 1}" for at in range(fitted.n_components_))


def _selection(
    matrix: Matrix, target: Floats, names: tuple[str, ...], preprocessing: Preprocessing
) -> tuple[Tail, tuple[str, ...]] | None:
    if preprocessing.select is None:
        return None
    from sklearn.feature_selection import f_classif, f_regression

    varies = np.ptp(matrix, axis=0) > 0
    p_values = np.ones(matrix.shape[1])
    judge = f_classif if np.isin(target, (0.0, 1.0)).all() else f_regression
    p_values[varies] = judge(matrix[:, varies].astype(np.float64), target)[1]
    order = np.argsort(p_values, kind="stable")
    if preprocessing.select >= 1:
        kept = order[: int(preprocessing.select)]
    else:
        kept = order[p_values[order] < preprocessing.select]
        kept = kept if kept.size else order[:1]
    kept = np.sort(kept).astype(np.int64)
    return Selection(kept), tuple(names[at] for at in kept)
