"""From margins to answers: how fitted learners are blended, calibrated and brought to the target's units.

The same arithmetic judges a candidate while it is trained and scores large tables later. The ONNX graph repeats it; the
gate ``onnx_equality`` holds the two together.
"""

from collections.abc import Iterable
from typing import Protocol

import numpy as np

from trunkline.stats.calibration import Calibration, calibrate
from trunkline.tasks.base_matrix import Floats, Matrix
from trunkline.tasks.validation import sigmoid

__all__ = ["Marginal", "blended_margin", "calibrated_scores", "in_units"]


class Marginal(Protocol):
    """What gives margins of encoded rows: a fitted learner, or the part of a model that it became."""

    def margin(self, base: Matrix) -> Floats:
        """Give shape (rows,) from shape (rows, base columns)."""
        ...


def blended_margin(parts: Iterable[tuple[Marginal, float]], base: Matrix) -> Floats:
    """Blend the margins of fitted learners.

    Args:
        parts: Learners and their weights.
        base: Shape (rows, base columns).

    Returns:
        Shape (rows,): log-odds, or target units.
    """
    total = np.zeros(len(base))
    for one, weight in parts:
        total += weight * one.margin(base)
    return total


def calibrated_scores(margin: Floats, calibration: Calibration) -> Floats:
    """Turn blended log-odds into calibrated probabilities, shape (rows,)."""
    return calibrate(sigmoid(margin), calibration=calibration) if len(margin) else np.zeros(0)


def in_units(margin: Floats, *, log_target: bool) -> Floats:
    """Turn blended margins of a regression into target units, shape (rows,)."""
    return np.expm1(margin) if log_target else margin
