"""Checked conversion of arguments to arrays, so that every statistic refuses the same bad input in the same words."""

from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trunkline.errors import LabelError

__all__ = ["Floats", "Ints", "binary_labels", "finite", "paired", "probabilities"]

Floats: TypeAlias = NDArray[np.float64]
"""Array of 64-bit floats, any shape."""
Ints: TypeAlias = NDArray[np.int64]
"""Array of 64-bit integers, any shape."""


def finite(values: ArrayLike, *, name: str) -> Floats:
    """Return ``values`` as a float64 vector without nulls.

    Args:
        values: One number per row, shape (rows,), rows >= 1.
        name: What to call it in an error.

    Returns:
        Shape (rows,), float64; may share memory with ``values``.

    Raises:
        ValueError: It is not a vector, is empty, or holds NaN or infinity.
    """
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or array.size == 0:
        raise ValueError(f"{name} must be a vector of at least one row, not of shape {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} holds NaN or infinity in {int((~np.isfinite(array)).sum())} of {array.size} rows")
    return array


def probabilities(values: ArrayLike, *, name: str = "p") -> Floats:
    """Return ``values`` as a float64 vector of probabilities.

    Args:
        values: Probability of class 1, shape (rows,), each in [0, 1].
        name: What to call it in an error.

    Returns:
        Shape (rows,), float64.

    Raises:
        ValueError: It is not a vector, is empty, or holds a value outside [0, 1] or a null.
    """
    array = finite(values, name=name)
    if array.min() < 0.0 or array.max() > 1.0:
        raise ValueError(f"{name} must lie in [0, 1], not in [{array.min():g}, {array.max():g}]")
    return array


def binary_labels(values: ArrayLike, *, both: int = 0, name: str = "y") -> Ints:
    """Return ``values`` as an int64 vector of 0 and 1.

    Args:
        values: Class of each row, shape (rows,), each 0 or 1 (or a boolean).
        both: The number of rows that each of the two classes must have at least.
        name: What to call it in an error.

    Returns:
        Shape (rows,), int64.

    Raises:
        ValueError: It is not a vector, is empty, or holds something else than 0 and 1.
        LabelError: A class has fewer than ``both`` rows.
    """
    array = finite(values, name=name)
    if not np.isin(array, (0.0, 1.0)).all():
        raise ValueError(f"{name} must hold only 0 and 1")
    positives = int(array.sum())
    fewest = min(positives, array.size - positives)
    if fewest < both:
        raise LabelError(
            f"the statistic needs at least {both} rows of each class, and {name} has {positives} rows of class 1 "
            f"and {array.size - positives} of class 0",
            next_step="give more rows, or rows of both classes",
        )
    return array.astype(np.int64)


def paired(**arrays: NDArray[np.generic]) -> None:
    """Refuse arrays that do not describe the same rows.

    Args:
        arrays: Arrays of shape (rows, ...) by their name.

    Raises:
        ValueError: The numbers of rows differ.
    """
    if len({array.shape[0] for array in arrays.values()}) > 1:
        sizes = ", ".join(f"{name} has {array.shape[0]}" for name, array in arrays.items())
        raise ValueError(f"arrays must describe the same rows: {sizes}")
