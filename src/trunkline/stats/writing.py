"""How numbers were written, by class: a label that follows the number of decimals is a way of writing, not a pattern.

Takes values and classes, gives the number of decimals that the rows of one class keep to, and how many of the other
class do not. Rows that were put together or made up later often differ in it from rows that were measured, and a
learner that sees the values finds that out.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trunkline.stats.arrays import Floats, binary_labels, paired

__all__ = ["DecimalGrid", "decimal_grid", "off_grid"]

_ROUNDING: Final = 1e-6
"""Of a step: floats that are nearer than this to a multiple of it are one."""


@dataclass(frozen=True, slots=True)
class DecimalGrid:
    """The decimals of one class, which the other exceeds.

    Attributes:
        decimals: Decimals that the rows of one class have at most, but for a thousandth of them.
        kept_by: That class, 0 or 1.
        off_share: Share of the rows of the other class with more decimals, in [0, 1].
    """

    decimals: int
    kept_by: int
    off_share: float


def off_grid(values: ArrayLike, decimals: int) -> NDArray[np.bool_]:
    """Tell which values have more decimals; null has none.

    Args:
        values: Numbers, shape (rows,).
        decimals: At least 0.

    Returns:
        Whether each has more, shape (rows,); floats count as the shortest text that they stand for.

    Raises:
        ValueError: A value is no number.

    Example:
        >>> off_grid([1.25, 1.2, float("nan")], 1).tolist()
        [True, False, False]
    """
    steps = np.asarray(values, dtype=np.float64) * 10.0**decimals
    return np.asarray(
        np.abs(steps - np.round(steps)) > np.maximum(_ROUNDING, 4 * np.spacing(np.abs(steps))), dtype=np.bool_
    )


def decimal_grid(
    values: ArrayLike, y: ArrayLike, *, most: int = 6, kept: float = 0.999, least_off: float = 0.1
) -> DecimalGrid | None:
    """Find the decimals that one class keeps to and the other does not.

    Args:
        values: Numbers, shape (rows,); null rows are left out.
        y: Class of each row, 0 or 1, shape (rows,).
        most: Decimals that are looked for at most.
        kept: Share of a class that must keep to them.
        least_off: Share of the other class that must not.

    Returns:
        The grid that most rows of the other class leave; None where there is none, or a class has no rows.

    Raises:
        ValueError: Shapes differ, or a class is neither 0 nor 1.

    Example:
        >>> decimal_grid([0.1, 0.2, 0.3, 0.25], [0, 0, 0, 1])
        DecimalGrid(decimals=1, kept_by=0, off_share=1.0)
    """
    numbers, labels = np.asarray(values, dtype=np.float64), binary_labels(y)
    paired(values=numbers, y=labels)
    known = ~np.isnan(numbers)
    classes: Sequence[Floats] = [numbers[known & (labels == one)] for one in (0, 1)]
    if not all(part.size for part in classes):
        return None
    found = []
    for decimals in range(most + 1):
        shares = [float(off_grid(part, decimals).mean()) for part in classes]
        found += [
            DecimalGrid(decimals, one, shares[1 - one])
            for one in (0, 1)
            if shares[one] <= 1.0 - kept and shares[1 - one] >= least_off
        ]
    return max(found, key=lambda one: one.off_share, default=None)
