"""Even out the classes of a fold's training rows; never of the rows a learner is judged on.

Takes prepared training rows, gives more or fewer of them (imbalanced-learn). Scores learned on resampled rows are
shifted, which is why calibration comes afterwards, on rows that were not.
"""

from typing import TYPE_CHECKING, Literal

import numpy as np

from trunkline.errors import LabelError, UseCaseError
from trunkline.tasks.base_matrix import Floats, Matrix

if TYPE_CHECKING:
    from trunkline.tasks.view_fitting import Columns
    from trunkline.tasks.views import View

__all__ = ["Resampling", "resample"]

Resampling = Literal["none", "smote", "smotenc", "adasyn", "borderline", "random_over", "random_under"]
"""How classes are balanced inside a fold."""

_NEIGHBOURS = 5


def resample(
    matrix: Matrix,
    *,
    target: Floats,
    base: Matrix,
    view: "View",
    columns: "Columns",
    kind: Resampling,
    seed: int,
) -> tuple[Matrix, Floats]:
    """Resample training rows.

    Args:
        matrix: Prepared training rows, shape (rows, columns of the view).
        target: 0/1, shape (rows,).
        base: The same rows before preparation: SMOTENC mixes numbers and copies categories there.
        view: The fitted preparation, which SMOTENC's new rows pass through.
        columns: Kinds of the base columns.
        kind: The method; ``none`` gives the rows back. SMOTE: Chawla et al. (2002), doi:10.1613/jair.953; borderline:
            Han et al. (2005), doi:10.1007/11538059_91; ADASYN: He et al. (2008), doi:10.1109/IJCNN.2008.4633969.
        seed: Seed of the method.

    Returns:
        Prepared rows and their target, original rows first where rows are added.

    Raises:
        UseCaseError: Nulls reach a method that interpolates.
        LabelError: The rarer class has too few rows for the method's neighbours.
    """
    if kind == "none":
        return matrix, target
    from imblearn import over_sampling, under_sampling

    labels = target.astype(np.int64)
    if kind in ("random_over", "random_under"):
        places = np.arange(len(labels)).reshape(-1, 1)
        sampler = (
            over_sampling.RandomOverSampler(random_state=seed)
            if kind == "random_over"
            else under_sampling.RandomUnderSampler(random_state=seed)
        )
        kept = sampler.fit_resample(places, labels)[0].reshape(-1)
        return matrix[kept], target[kept]
    if int(np.bincount(labels, minlength=2).min()) <= _NEIGHBOURS:
        raise LabelError(
            f"resampling by {kind} needs more than {_NEIGHBOURS} training rows of each class in every fold",
            next_step="add rows, or declare resample='random_over'",
        )
    if kind == "smotenc":
        return _smotenc(matrix, target, base, view, columns, seed)
    if np.isnan(matrix).any():
        raise UseCaseError(
            f"resampling by {kind} cannot take nulls",
            where="preprocessing.impute",
            allowed=("median", "mean", "most_frequent", "zero"),
            next_step="impute, or declare resample='smotenc'",
        )
    methods = {
        "smote": over_sampling.SMOTE,
        "adasyn": over_sampling.ADASYN,
        "borderline": over_sampling.BorderlineSMOTE,
    }
    rows, found = methods[kind](random_state=seed).fit_resample(matrix, labels)
    return np.asarray(rows, dtype=np.float32), np.asarray(found, dtype=np.float64)


def _smotenc(
    matrix: Matrix, target: Floats, base: Matrix, view: "View", columns: "Columns", seed: int
) -> tuple[Matrix, Floats]:
    from imblearn.over_sampling import SMOTENC

    categorical = [at for at, kind in enumerate(columns.kinds) if kind != "number"]
    if not categorical or len(categorical) == base.shape[1]:
        raise UseCaseError("SMOTENC needs numbers and categories", where="resample", allowed=("smote", "random_over"))
    filled = base.copy()
    for at in range(base.shape[1]):
        null = np.isnan(base[:, at])
        if null.any():
            seen = base[~null, at]
            # a null category stays one of its own (-2 is restored below), a null number is filled for the distances
            filled[null, at] = -2.0 if at in categorical else (np.median(seen) if seen.size else 0.0)
    rows, found = SMOTENC(categorical_features=categorical, random_state=seed).fit_resample(
        filled, target.astype(np.int64)
    )
    made = np.asarray(rows[len(base) :], dtype=np.float32)
    for at in categorical:
        made[made[:, at] == -2.0, at] = np.nan
    return np.concatenate([matrix, view.apply(made)]), np.asarray(found, dtype=np.float64)
