"""Three ways to see that a row is odd, over robust deviations, and one figure of them.

Learned from are the nine tenths of the rows whose largest deviation is smallest, so that faults do not become usual.

- *largest*: the largest deviation of any number (robust z);
- *ecod*: the sum of what each number's tails weigh (Li et al. 2022, doi:10.1109/TKDE.2022.3159580);
- *forest*: how quickly random cuts set the row apart (isolation forest, Liu, Ting and Zhou 2008,
  doi:10.1109/ICDM.2008.17), by scikit-learn.

Each figure becomes the share of learned rows that are as odd, as ``-log10``, with an exponential tail beyond the last
hundredth; the mean of the three is the score: 3 says one row in a thousand. Averaging standardised detectors is the
usual ensemble (Aggarwal and Sathe 2015, doi:10.1145/2830544.2830549).
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from trunkline.tasks.anomaly.grouped import Floats

if TYPE_CHECKING:
    from sklearn.ensemble import IsolationForest

__all__ = ["DETECTORS", "SURE", "Ecod", "Oddness", "Tail"]

DETECTORS: Final = ("largest", "ecod", "forest")
"""In the order of the columns of :meth:`Oddness.figures`."""

SURE: Final = 6.0
"""Score from which on it grows slowly: beyond one in a million, what lasts counts for more than what is larger."""

_TAIL_SHARE: Final = 0.01
_USUAL_SHARE: Final = 0.9
_GRID: Final = 2_000
_FOREST_SAMPLE: Final = 256
_FITTED_ROWS: Final = 50_000


@dataclass(frozen=True)
class Tail:
    """How often a figure is as large, among the rows that were learned from.

    Attributes:
        figures: Learned figures, rising.
        begin: Where the tail begins.
        mean_excess: Mean distance beyond it, above 0.
    """

    figures: Floats
    begin: float
    mean_excess: float

    @classmethod
    def learn(cls, figures: Floats) -> "Tail":
        """Learn from figures, shape (rows,)."""
        ordered = np.sort(figures)
        begin = float(np.quantile(ordered, 1 - _TAIL_SHARE))
        excess = ordered[ordered > begin] - begin
        return cls(ordered, begin, float(max(excess.mean(), 1e-9)) if excess.size else 1e-9)

    def rarity(self, figures: Floats) -> Floats:
        """Give ``-log10`` of the share of rows with such a figure or a larger one.

        >>> tail = Tail.learn(np.arange(1000.0))
        >>> [round(float(found), 2) for found in tail.rarity(np.array([1.0, 900.0, 2000.0]))]
        [0.0, 1.0, 81.98]
        """
        count = len(self.figures)
        above = count - np.searchsorted(self.figures, figures, side="left")
        share = np.clip(above / count, _TAIL_SHARE, 1.0)
        beyond = -np.log10(_TAIL_SHARE) + np.maximum(figures - self.begin, 0) / self.mean_excess / np.log(10)
        return np.where(figures > self.begin, beyond, -np.log10(share))


@dataclass(frozen=True)
class Ecod:
    """Empirical cumulative distributions as tails, with the learned rows as reference.

    Attributes:
        values: Learned values of each column, rising, shape (columns, rows learned).
        skewness: Of each column, shape (columns,).
    """

    values: Floats
    skewness: Floats

    @classmethod
    def learn(cls, matrix: Floats) -> "Ecod":
        """Learn from rows, shape (rows, columns), without NaN."""
        centred = matrix - matrix.mean(axis=0)
        deviation = matrix.std(axis=0)
        skewness = (centred**3).mean(axis=0) / np.where(deviation > 0, deviation, 1.0) ** 3
        return cls(np.sort(matrix, axis=0).T.copy(), skewness)

    def figures(self, matrix: Floats) -> Floats:
        """Give the outlier score of each row: the largest of left, right and skewness-led sums of ``-log`` tails."""
        count = self.values.shape[1]
        left, right, led = (np.zeros(len(matrix)) for _ in range(3))
        for at in range(matrix.shape[1]):
            below = np.searchsorted(self.values[at], matrix[:, at], side="right") / count
            above = 1 - np.searchsorted(self.values[at], matrix[:, at], side="left") / count
            lower = -np.log(np.maximum(below, 1 / (count + 1)))
            upper = -np.log(np.maximum(above, 1 / (count + 1)))
            left += lower
            right += upper
            led += lower if self.skewness[at] < 0 else upper
        return np.maximum(np.maximum(left, right), led)

    def thinned(self) -> "Ecod":
        """Keep at most some thousand quantiles of each column, so that it travels lightly."""
        count = self.values.shape[1]
        if count <= _GRID:
            return self
        places = np.round(np.linspace(0, count - 1, _GRID)).astype(np.int64)
        return Ecod(self.values[:, places], self.skewness)


@dataclass(frozen=True)
class Oddness:
    """The three detectors, learned.

    Attributes:
        ecod: Tails of each number.
        forest: The isolation forest.
        tails: Of the figure of each detector, in the order of ``DETECTORS``.
    """

    ecod: Ecod
    forest: "IsolationForest"
    tails: tuple[Tail, ...]

    @classmethod
    def learn(cls, deviations: Floats, *, trees: int, seed: int) -> "Oddness":
        """Learn from deviations, shape (rows, values); NaN counts as usual."""
        from sklearn.ensemble import IsolationForest

        matrix = np.nan_to_num(deviations)
        largest = np.abs(matrix).max(axis=1)
        matrix = matrix[largest <= np.quantile(largest, _USUAL_SHARE)]
        if len(matrix) > _FITTED_ROWS:
            places = np.sort(np.random.default_rng(seed).choice(len(matrix), _FITTED_ROWS, replace=False))
            matrix = matrix[places]
        forest = IsolationForest(
            n_estimators=trees, max_samples=min(_FOREST_SAMPLE, len(matrix)), random_state=seed, n_jobs=1
        ).fit(matrix.astype(np.float32))
        ecod = Ecod.learn(matrix).thinned()
        untailed = cls(ecod, forest, ())
        return cls(ecod, forest, tuple(Tail.learn(column) for column in untailed.figures(matrix).T))

    def figures(self, deviations: Floats) -> Floats:
        """Give the figure of each detector, shape (rows, 3); larger is odder."""
        matrix = np.nan_to_num(deviations)
        forest = -self.forest.score_samples(matrix.astype(np.float32))
        return np.column_stack([np.abs(matrix).max(axis=1), self.ecod.figures(matrix), forest])

    def scores(self, deviations: Floats) -> Floats:
        """Give the mean rarity of each row, shape (rows,)."""
        if not len(deviations):
            return np.zeros(0)
        figures = self.figures(deviations)
        rarities = [tail.rarity(figures[:, at]) for at, tail in enumerate(self.tails)]
        found = np.mean(rarities, axis=0)
        found = np.where(found > SURE, SURE + np.log1p(np.maximum(found - SURE, 0.0)), found)
        return np.asarray(found, dtype=np.float64)
