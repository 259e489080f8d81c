"""How much each learner counts: non-negative weights on log-odds (or predictions), learned out of fold.

Few degrees of freedom (one weight per learner), and the blend's own score comes from weights that were learned on the
other folds, so that it may be compared with the learners' scores.
"""

from collections.abc import Sequence

import numpy as np

from trunkline.tasks.base_matrix import Floats
from trunkline.tasks.folds import Fold

__all__ = ["blend_weights", "cross_fitted_blend"]

_SMALLEST_WEIGHT = 0.03


def blend_weights(margins: Floats, target: Floats, *, classification: bool) -> Floats:
    """Find the weights that predict best.

    For a classification a logistic regression on the log-odds with non-negative slopes, for a regression non-negative
    least squares; weights are then scaled to sum 1 (calibration takes care of the scale), and those below 0.03 dropped.
    Source: Breiman (1996), "Stacked regressions", doi:10.1007/BF00117832.

    Args:
        margins: Out-of-fold margins, shape (rows, learners), finite.
        target: 0/1 or numbers, shape (rows,).
        classification: Which of the two.

    Returns:
        Shape (learners,), non-negative, sum 1.
    """
    found = _logistic(margins, target) if classification else _least_squares(margins, target)
    if found.sum() <= 0:
        return np.full(margins.shape[1], 1.0 / margins.shape[1])
    found = found / found.sum()
    found[found < _SMALLEST_WEIGHT] = 0.0
    return np.asarray(found / found.sum(), dtype=np.float64)


def cross_fitted_blend(margins: Floats, target: Floats, *, folds: Sequence[Fold], classification: bool) -> Floats:
    """Blend each fold's judged rows with weights learned on the others.

    Args:
        margins: Of one repetition, shape (rows, learners); NaN rows were never judged.
        target: Shape (rows,).
        folds: Folds of that repetition.
        classification: As ``blend_weights``.

    Returns:
        Blended margins, shape (rows,), NaN where there were none.
    """
    judged = np.asarray(np.isfinite(margins).all(axis=1), dtype=np.bool_)
    blended = np.full(len(target), np.nan)
    for fold in folds:
        others = judged.copy()
        others[fold.judge] = False
        learned_on = others if others.any() else judged
        weights = blend_weights(margins[learned_on], target[learned_on], classification=classification)
        blended[fold.judge] = margins[fold.judge] @ weights
    return blended


def _logistic(margins: Floats, target: Floats) -> Floats:
    from scipy.optimize import minimize
    from scipy.special import expit

    count = margins.shape[1]

    def loss(parameters: Floats) -> tuple[float, Floats]:
        z = margins @ parameters[:count] + parameters[count]
        slope = (expit(z) - target) / len(target)
        value = float((np.logaddexp(0.0, z) - target * z).mean())
        return value, np.append(margins.T @ slope, slope.sum())

    start = np.append(np.full(count, 1.0 / count), 0.0)
    bounds = [(0.0, None)] * count + [(None, None)]
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"ftol": 1e-12, "gtol": 1e-9})
    return np.asarray(found.x[:count], dtype=np.float64)


def _least_squares(margins: Floats, target: Floats) -> Floats:
    from scipy.optimize import nnls

    return np.asarray(nnls(margins, target)[0], dtype=np.float64)
