"""Fitted estimators: what a learner became on some rows.

A member maps a prepared matrix to margins: log-odds for a classification, target units (or their logarithm) for a
regression. Members hold arrays or the booster's own text, never a pickle.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final, Literal, Protocol

import numpy as np

from trunkline.tasks.base_matrix import Floats, Matrix
from trunkline.tasks.forests import Forest, SklearnForest, forest_of_lightgbm, forest_of_xgboost

if TYPE_CHECKING:
    import lightgbm
    import xgboost


__all__ = [
    "DISTANCE_STEPS",
    "SHARE_LIMIT",
    "Boosted",
    "Grown",
    "Linear",
    "Member",
    "Nearest",
    "log_odds",
    "mean_margin",
]

SHARE_LIMIT: Final = 1e-3
"""Shares counted in leaves or among neighbours are kept this far from 0 and 1 before they become log-odds."""

DISTANCE_STEPS: Final = 1e6
"""Squared distances are compared in steps of one part in this many, so that rounding decides no neighbour."""

_CELLS: Final = 4_000_000


class Member(Protocol):
    """One fitted estimator."""

    def margin(self, matrix: Matrix) -> Floats:
        """Give shape (rows,) from the prepared matrix, shape (rows, columns)."""
        ...


def log_odds(share: Floats) -> Floats:
    """Turn shares into log-odds, within ``SHARE_LIMIT``.

    >>> float(log_odds(np.array([0.5]))[0])
    0.0
    """
    limited = np.clip(share, SHARE_LIMIT, 1 - SHARE_LIMIT)
    return np.asarray(np.log(limited) - np.log1p(-limited), dtype=np.float64)


@dataclass(frozen=True)
class Linear:
    """``matrix @ coefficients + intercept``.

    Attributes:
        coefficients: Shape (columns,).
        intercept: The margin of a row of zeros.
        centre: Mean of each column over the training rows: contributions are measured from there.
    """

    coefficients: Floats
    intercept: float
    centre: Floats

    def margin(self, matrix: Matrix) -> Floats:
        """See :class:`Member`."""
        return matrix.astype(np.float64) @ self.coefficients + self.intercept

    def contributions(self, matrix: Matrix) -> Floats:
        """Give shape (rows, columns + 1); the last column is the base value. Rows sum to the margin."""
        parts = (matrix.astype(np.float64) - self.centre) * self.coefficients
        base = self.intercept + float(self.centre @ self.coefficients)
        return np.column_stack([parts, np.full(len(matrix), base)])

    def to_data(self) -> dict[str, object]:
        """Give JSON."""
        return {
            "coefficients": self.coefficients.tolist(),
            "intercept": self.intercept,
            "centre": self.centre.tolist(),
        }


@dataclass(frozen=True)
class Boosted:
    """A gradient booster as its library's own text.

    Attributes:
        library: Which library wrote it.
        text: LightGBM's model file, or XGBoost's JSON.
    """

    library: Literal["lightgbm", "xgboost"]
    text: str

    @cached_property
    def forest(self) -> Forest:
        """The trees."""
        return forest_of_lightgbm(self.text) if self.library == "lightgbm" else forest_of_xgboost(self.text.encode())

    @cached_property
    def _lightgbm(self) -> "lightgbm.Booster":
        import lightgbm

        return lightgbm.Booster(model_str=self.text)

    @cached_property
    def _xgboost(self) -> "xgboost.Booster":
        import xgboost

        return xgboost.Booster({"nthread": 1}, model_file=bytearray(self.text.encode()))

    def margin(self, matrix: Matrix, *, threads: int = 1) -> Floats:
        """See :class:`Member`."""
        if self.library == "lightgbm":
            found = self._lightgbm.predict(matrix, raw_score=True, num_threads=threads)
        else:
            found = self._xgboost.inplace_predict(matrix, predict_type="margin")
        return np.asarray(found, dtype=np.float64).reshape(-1)

    def contributions(self, matrix: Matrix) -> Floats:
        """Give exact TreeSHAP values, shape (rows, columns + 1); the last column is the base value.

        Source: Lundberg et al. (2020), doi:10.1038/s42256-019-0138-9. Rows sum to the margin.
        """
        if self.library == "lightgbm":
            found = self._lightgbm.predict(matrix, pred_contrib=True, num_threads=1)
        else:
            import xgboost

            found = self._xgboost.predict(xgboost.DMatrix(matrix, nthread=1), pred_contribs=True)
        return np.asarray(found, dtype=np.float64)


@dataclass(frozen=True)
class Grown:
    """A forest of independent trees, kept as an XGBoost model of its mean so that it needs no pickle.

    Attributes:
        mean: The mean over the trees: a share for a classification, or target units.
        classification: Whether that share becomes log-odds.
        fitted: The scikit-learn forest it was grown as; None after loading.
    """

    mean: Boosted
    classification: bool
    fitted: SklearnForest | None = None

    @property
    def forest(self) -> Forest:
        """The trees."""
        return self.mean.forest

    def margin(self, matrix: Matrix) -> Floats:
        """See :class:`Member`."""
        if self.fitted is None:
            mean = self.mean.margin(matrix)
        elif self.classification:
            mean = np.asarray(self.fitted.predict_proba(matrix)[:, -1], dtype=np.float64)
        else:
            mean = np.asarray(self.fitted.predict(matrix), dtype=np.float64)
        return log_odds(mean) if self.classification else mean

    def contributions(self, matrix: Matrix) -> Floats:
        """Give exact TreeSHAP values of the mean, shape (rows, columns + 1).

        For a classification they are stretched to log-odds by the slope between the base value and the row, so rows
        sum to the margin.
        """
        found = self.mean.contributions(matrix)
        if not self.classification:
            return found
        base, share = found[:, -1], found.sum(axis=1)
        low, high = log_odds(base), log_odds(share)
        slope = np.divide(high - low, share - base, out=np.zeros_like(share), where=np.abs(share - base) > 1e-9)
        return np.column_stack([found[:, :-1] * slope[:, np.newaxis], low])


@dataclass(frozen=True)
class Nearest:
    """The k nearest training rows (Euclidean, equal weights); lives on as ONNX only.

    Attributes:
        rows: Prepared training rows, shape (training rows, columns).
        target: Their target, shape (training rows,).
        neighbours: k, at most the training rows.
        classification: Whether the mean target is a share that becomes log-odds.
    """

    rows: Matrix
    target: Floats
    neighbours: int
    classification: bool

    def margin(self, matrix: Matrix) -> Floats:
        """See :class:`Member`."""
        rows = self.rows.astype(np.float64)
        norms, turned = (rows**2).sum(axis=1), -2.0 * rows.T
        step = max(1, _CELLS // len(rows))
        parts = [
            self._mean_target(matrix[start : start + step].astype(np.float64) @ turned + norms)
            for start in range(0, len(matrix), step)
        ]
        mean = np.concatenate(parts) if parts else np.zeros(0)
        return log_odds(mean) if self.classification else mean

    def _mean_target(self, distances: Floats) -> Floats:
        """Of distances equal to ``DISTANCE_STEPS`` the earlier training row is nearer, as in ONNX's TopK."""
        ranked = np.rint(distances * DISTANCE_STEPS) * len(self.rows) + np.arange(len(self.rows))
        places = np.argpartition(ranked, self.neighbours - 1, axis=1)[:, : self.neighbours]
        return np.asarray(self.target[places].mean(axis=1), dtype=np.float64)


def mean_margin(members: Sequence[Member], matrix: Matrix) -> Floats:
    """Average the margins of several fits of one learner."""
    return np.asarray(np.mean([member.margin(matrix) for member in members], axis=0), dtype=np.float64)
