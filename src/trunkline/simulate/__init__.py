"""Toolkit of the simulators: seeded draws with a known cause structure, and the best score they allow.

Pure: every function takes the random generator it draws from.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

__all__ = ["best_roc_auc", "draw_labels", "logistic", "shifted_to_rate"]


def logistic(log_odds: "Floats") -> "Floats":
    """Turn log-odds into probabilities, elementwise, shape kept."""
    import numpy as np

    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(log_odds, -40.0, 40.0))), dtype=np.float64)


def shifted_to_rate(log_odds: "Floats", *, rate: float) -> "Floats":
    """Shift log-odds by one constant so that the mean probability is ``rate``.

    Args:
        log_odds: Shape (rows,).
        rate: Wanted mean probability, in (0, 1).

    Raises:
        ValueError: ``rate`` is outside (0, 1).
    """
    if not 0 < rate < 1:
        raise ValueError("rate must lie in (0, 1)")
    low, high = -60.0, 60.0
    for _ in range(80):  # bisection of a monotone function: 120 / 2**80 is below one ulp
        middle = (low + high) / 2
        if float(logistic(log_odds + middle).mean()) < rate:
            low = middle
        else:
            high = middle
    return log_odds + (low + high) / 2


def draw_labels(probability: "Floats", rng: "np.random.Generator") -> "npt.NDArray[np.bool_]":
    """Draw independent Bernoulli labels, shape kept."""
    import numpy as np

    return np.asarray(rng.random(probability.shape) < probability)


def best_roc_auc(label: "npt.NDArray[np.bool_]", probability: "Floats") -> float:
    """ROC AUC of the true probabilities on the drawn labels: what a perfect model would reach.

    Args:
        label: Shape (rows,), both classes present.
        probability: True probability of each row, shape (rows,).

    Raises:
        ValueError: One class only.
    """
    from scipy.stats import rankdata

    positives = int(label.sum())
    negatives = label.size - positives
    if not positives or not negatives:
        raise ValueError("both classes must be present")
    ranks = rankdata(probability)
    return float((ranks[label].sum() - positives * (positives + 1) / 2) / (positives * negatives))
