"""The quantile of the chi-squared distribution, without the third of a second in which SciPy's functions are loaded.

Takes whole degrees of freedom, for which the survival function is a finite sum.
"""

import math

__all__ = ["chi_squared_quantile"]

_STEPS = 200


def chi_squared_quantile(level: float, degrees: int) -> float:
    """Give the value below which a chi-squared variable lies with a probability.

    The survival function is a finite sum (Abramowitz and Stegun 1964, "Handbook of Mathematical Functions", 26.4.4 and
    26.4.5); its inverse is found by bisection, to the last digits.

    Args:
        level: The probability, in (0, 1).
        degrees: Degrees of freedom, at least 1.

    Returns:
        The value, above 0.

    Raises:
        ValueError: An argument is out of range.

    Example:
        >>> round(chi_squared_quantile(0.99, 9), 3), round(chi_squared_quantile(0.95, 2), 3)
        (21.666, 5.991)
    """
    if degrees < 1 or not 0.0 < level < 1.0:
        raise ValueError("level must be in (0, 1), and degrees of freedom be at least 1")
    low, high = 0.0, float(degrees)
    while _survival(high, degrees) > 1.0 - level:
        low, high = high, 2.0 * high
    for _ in range(_STEPS):
        middle = (low + high) / 2.0
        if middle in (low, high):
            break
        low, high = (middle, high) if _survival(middle, degrees) > 1.0 - level else (low, middle)
    return (low + high) / 2.0


def _survival(value: float, degrees: int) -> float:
    """Probability of more than a positive value."""
    half, odd = value / 2.0, degrees % 2
    first = 0.5 if odd else 0.0
    logs = [
        (first + step) * math.log(half) - half - math.lgamma(first + step + 1.0) for step in range((degrees - odd) // 2)
    ]
    return math.fsum(map(math.exp, logs)) + (math.erfc(math.sqrt(half)) if odd else 0.0)
