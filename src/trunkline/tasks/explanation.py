"""Why a score is what it is: contributions of features, in log-odds or target units.

Takes a model and an encoded matrix, gives numbers that add up: base value + contributions = calibrated log-odds (or
prediction). Boosters give exact TreeSHAP values, linear learners coefficient times distance from the training mean; a
blend is their weighted sum. Columns that a preparation made out of a feature are added up into it. Calibration maps
the margin by a curve; contributions are scaled by its slope between the base value and the row, so that the sum stays
exact. Other learners are explained by permutation of the whole model (extra ``explain``).
"""

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from trunkline.errors import MissingExtraError
from trunkline.stats.calibration import CLIP, Calibration
from trunkline.tasks.base_matrix import Floats, Matrix

if TYPE_CHECKING:
    import pyarrow as pa

    from trunkline.tasks.model import Model

__all__ = ["calibrated_margin", "contributions", "reasons_table", "strongest"]

_CHUNK_ROWS = 20_000


def contributions(model: "Model", base: Matrix) -> tuple[Floats, Floats]:
    """Give each feature's part in each score.

    Args:
        model: The model.
        base: Encoded rows, shape (rows, base columns).

    Returns:
        Contributions, shape (rows, base columns), and base values, shape (rows,). Log-odds for a classification,
        target units for a regression (``log(1 + target)`` where that was learned).

    Raises:
        MissingExtraError: A learner has no exact contributions and shap is not installed.
    """
    if any(not part.members for part in model.parts):
        return _by_permutation(model, base)
    chunks = [_exact(model, base[start : start + _CHUNK_ROWS]) for start in range(0, len(base), _CHUNK_ROWS)]
    if not chunks:
        return np.zeros((0, base.shape[1])), np.zeros(0)
    return np.concatenate([moved for moved, _ in chunks]), np.concatenate([start for _, start in chunks])


def _exact(model: "Model", base: Matrix) -> tuple[Floats, Floats]:
    moved, start = np.zeros(base.shape), np.zeros(len(base))
    for part in model.parts:
        matrix, sources = part.view.apply(base), part.view.sources(base.shape[1])
        for member in part.members:
            found = member.contributions(matrix)
            share = part.weight / len(part.members)
            moved += share * (found[:, :-1] @ sources)
            start += share * found[:, -1]
    if model.info.task == "regression":
        return moved, start
    margin = start + moved.sum(axis=1)
    low, high = calibrated_margin(start, model.info.calibration), calibrated_margin(margin, model.info.calibration)
    distance = margin - start
    steady = np.abs(distance) > 1e-9
    slope = np.divide(high - low, distance, out=np.ones_like(distance), where=steady)
    return moved * slope[:, np.newaxis], low


def calibrated_margin(margin: Floats, calibration: Calibration) -> Floats:
    """Map log-odds by a calibration.

    Args:
        margin: Log-odds, shape (rows,).
        calibration: The map.

    Returns:
        Calibrated log-odds, shape (rows,).

    >>> calibrated_margin(np.array([1.0]), Calibration("logistic", 2.0, 2.0, 0.5)).tolist()
    [2.5]
    """
    edge = float(np.log1p(-CLIP) - np.log(CLIP))
    limited = np.clip(margin, -edge, edge)
    of_1, of_0 = -np.logaddexp(0.0, -limited), np.logaddexp(0.0, limited)
    if calibration.a == calibration.b:
        return np.asarray(calibration.a * limited + calibration.c, dtype=np.float64)
    return np.asarray(calibration.a * of_1 + calibration.b * of_0 + calibration.c, dtype=np.float64)


def _by_permutation(model: "Model", base: Matrix) -> tuple[Floats, Floats]:
    try:
        with warnings.catch_warnings():
            # shap's own plots use what matplotlib is about to retire
            warnings.simplefilter("ignore", PendingDeprecationWarning)
            import shap
    except ImportError as error:
        raise MissingExtraError("shap", extra="explain") from error

    def margin(rows: Floats) -> Floats:
        found = model.scores(rows.astype(np.float32))
        if model.info.task == "classification":
            limited = np.clip(found, CLIP, 1 - CLIP)
            return np.asarray(np.log(limited) - np.log1p(-limited), dtype=np.float64)
        return np.log1p(found) if model.info.log_target else found

    typical = model.typical.astype(np.float64).reshape(1, -1)
    explainer = shap.PermutationExplainer(margin, shap.maskers.Independent(typical), seed=model.info.seed)
    explained = explainer(base.astype(np.float64), max_evals=4 * (2 * base.shape[1] + 1), silent=True)
    start = np.broadcast_to(np.asarray(explained.base_values, dtype=np.float64).reshape(-1), (len(base),))
    return np.asarray(explained.values, dtype=np.float64), np.array(start)


def strongest(names: Sequence[str], moved: Floats, *, top: int) -> list[tuple[str, float]]:
    """Name the largest contributions of one row.

    Args:
        names: Names of the base columns.
        moved: Their contributions, shape (columns,).
        top: How many, at most.

    Returns:
        (feature, contribution), the largest magnitude first.
    """
    order = np.argsort(-np.abs(moved), kind="stable")[:top]
    return [(names[at], float(moved[at])) for at in order]


def reasons_table(model: "Model", base: Matrix, *, top: int) -> "pa.Table":
    """Give the strongest contributions as a table; see ``Model.explain``.

    Raises:
        MissingExtraError: As ``contributions``.
    """
    import pyarrow as pa

    moved, start = contributions(model, base)
    rows, columns = moved.shape
    top = min(top, columns)
    order = np.argsort(-np.abs(moved), axis=1, kind="stable")[:, :top]
    values = np.take_along_axis(moved, order, axis=1)
    features = pa.array(model.base.names, pa.string()).take(pa.array(order.reshape(-1)))
    struct = pa.StructArray.from_arrays([features, pa.array(values.reshape(-1))], ["feature", "contribution"])
    offsets = pa.array(np.arange(rows + 1, dtype=np.int32) * top)
    return pa.table(
        {
            "base_value": pa.array(start),
            "reasons": pa.ListArray.from_arrays(offsets, struct),
            "others": pa.array(moved.sum(axis=1) - values.sum(axis=1)),
        }
    )
