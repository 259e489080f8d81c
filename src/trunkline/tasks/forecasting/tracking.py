"""Quantiles that follow the truth: online quantile tracking of scaled errors.

Takes errors in the order in which they become known, gives for each series and horizon the quantiles of the next one.
Each quantile moves up after an error above it and down after one below, by a step that makes its long-run share right
whatever the errors do (Gibbs and Candès 2021, arXiv:2106.00170; the tracking form and its guarantee: Angelopoulos,
Candès and Tibshirani 2023, arXiv:2307.16895). Errors are measured in units of their own running mean size, so after a
shift of level the intervals widen within hours and narrow again. The state is one small array: nothing is refitted.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from trunkline.tasks.forecasting.panel import Floats

__all__ = ["LEVELS", "Tracker", "exceedance", "quantiles_at"]

LEVELS: Final = np.array([0.01, 0.025, 0.05, *np.arange(0.1, 0.91, 0.05).round(2), 0.95, 0.975, 0.99])
"""Quantile levels that are tracked."""

_LEAST: Final = 1e-6


@dataclass
class Tracker:
    """Running quantiles by series and horizon.

    Attributes:
        size: Running mean of |error|, units of the series' scale, shape (series, horizons).
        quantiles: Of error / size, rising along the last axis, shape (series, horizons, levels).
        bias: Running mean of the error / size, shape (series, horizons).
        step: How far a quantile moves after one error.
        memory: Share of the newest |error| in the running mean.
    """

    size: Floats
    quantiles: Floats
    bias: Floats
    step: float = 0.06
    memory: float = 0.04

    @classmethod
    def begin(cls, errors: Floats, *, series: int, step: float = 0.06, memory: float = 0.04) -> "Tracker":
        """Begin with the pooled quantiles of some errors that no model has been fitted to.

        Args:
            errors: Shape (series judged, horizons, hours), in scale; NaN where unknown.
            series: Series that are tracked; where more than were judged, all begin with the pooled size.
            step: See the class.
            memory: See the class.
        """
        horizons = errors.shape[1]
        with np.errstate(invalid="ignore"):
            absolute = np.abs(errors)
            pooled_size = np.array([_mean(absolute[:, h]) for h in range(horizons)])
            own = np.stack([_row_mean(absolute[:, h]) for h in range(horizons)], axis=1)
        pooled_size = np.where(np.isfinite(pooled_size), np.maximum(pooled_size, _LEAST), 1.0)
        own = np.where(np.isfinite(own), np.maximum(own, _LEAST), pooled_size)
        size = own if len(own) == series else np.tile(pooled_size, (series, 1))
        quantiles = np.zeros((series, horizons, len(LEVELS)))
        for h in range(horizons):
            scores = (errors[:, h] / own[:, h, None]).ravel()
            scores = scores[np.isfinite(scores)]
            quantiles[:, h] = np.quantile(scores, LEVELS) if scores.size else np.linspace(-2, 2, len(LEVELS))
        return cls(size.copy(), quantiles, np.zeros((series, horizons)), step, memory)

    def learn(self, errors: Floats) -> None:
        """Learn the errors that have just become known.

        Args:
            errors: Truth minus forecast by series and horizon, in scale, shape (series, horizons); NaN where a truth
                is missing, which changes nothing.
        """
        known = np.isfinite(errors)
        score = np.where(known, errors / self.size, 0.0)
        # bounded: one outage must not make the step forget the rest
        moved = self.step * (LEVELS - (score[..., None] <= self.quantiles))
        self.quantiles = np.where(known[..., None], self.quantiles + moved, self.quantiles)
        absolute = np.where(known, np.abs(errors), 0.0)
        fresh = (1 - self.memory) * self.size + self.memory * np.minimum(absolute, _FARTHEST * self.size)
        self.size = np.where(known, np.maximum(fresh, _LEAST), self.size)
        bias = (1 - self.memory) * self.bias + self.memory * np.clip(score, -_FARTHEST, _FARTHEST)
        self.bias = np.where(known, bias, self.bias)

    def current(self) -> Floats:
        """Quantiles of the next error, in scale, rising along the last axis, shape (series, horizons, levels)."""
        return np.sort(self.quantiles, axis=2) * self.size[..., None]

    def mean_error(self) -> Floats:
        """Expected next error, in scale, shape (series, horizons)."""
        return self.bias * self.size

    def copy(self) -> "Tracker":
        """A tracker with the same state."""
        return Tracker(self.size.copy(), self.quantiles.copy(), self.bias.copy(), self.step, self.memory)


_FARTHEST: Final = 8.0


def quantiles_at(tracked: Floats, level: float) -> Floats:
    """Interpolate one level of tracked quantiles, shape (..., levels) to (...)."""
    place = int(np.clip(np.searchsorted(LEVELS, level), 1, len(LEVELS) - 1))
    low, high = LEVELS[place - 1], LEVELS[place]
    share = (level - low) / (high - low)
    return np.asarray((1 - share) * tracked[..., place - 1] + share * tracked[..., place])


def exceedance(tracked: Floats, limit: Floats) -> Floats:
    """Probability that the next value is above a limit.

    Args:
        tracked: Quantiles of the value, rising, shape (..., levels).
        limit: Shape (...); NaN gives NaN.

    Returns:
        Shape (...), linear between levels; beyond the outermost level it is half of what lies there.
    """
    below = (tracked <= limit[..., None]).sum(axis=-1)
    inner = np.clip(below, 1, len(LEVELS) - 1)
    low = np.take_along_axis(tracked, (inner - 1)[..., None], axis=-1)[..., 0]
    high = np.take_along_axis(tracked, inner[..., None], axis=-1)[..., 0]
    share = np.where(high > low, (limit - low) / np.maximum(high - low, _LEAST), 0.5)
    at = LEVELS[inner - 1] + np.clip(share, 0, 1) * (LEVELS[inner] - LEVELS[inner - 1])
    at = np.where(below == 0, LEVELS[0] / 2, np.where(below == len(LEVELS), 1 - (1 - LEVELS[-1]) / 2, at))
    return np.where(np.isfinite(limit), 1 - at, np.nan)


def _mean(values: Floats) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if known.size else float("nan")


def _row_mean(values: Floats) -> Floats:
    known = np.isfinite(values)
    count = known.sum(axis=1)
    return np.where(count > 0, np.where(known, values, 0.0).sum(axis=1) / np.maximum(count, 1), np.nan)
