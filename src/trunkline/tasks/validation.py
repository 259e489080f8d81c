"""Cross-validate learners: every fold fits its own preparation, resampling and estimator.

Takes learners, an encoded matrix and folds; gives out-of-fold margins. Fits run beside each other in threads (the
libraries leave Python while they work), each on one thread of its own, so the result does not depend on how many.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from time import perf_counter

import numpy as np

from trunkline.stats.intervals import Interval, corrected_resampled_test
from trunkline.stats.metrics import SHARES, evaluate
from trunkline.tasks.base_matrix import Floats, Matrix
from trunkline.tasks.estimators import FitSettings, fit_learner, without_convergence_warnings
from trunkline.tasks.folds import Fold
from trunkline.tasks.learners import Learner

__all__ = ["OutOfFold", "Score", "cross_validate", "probability_score", "sigmoid", "summary"]

Score = Callable[[Floats, Floats], float]
"""From (target, margin) of the judged rows to a figure, greater is better."""


@dataclass(frozen=True)
class OutOfFold:
    """What a learner said of rows it had not seen.

    Attributes:
        margins: Shape (repeats, rows); NaN where a row was never judged (the earliest rows of a split by time).
        seconds: Time of fits and predictions, all folds together.
        unfinished: Fits that ended before they had converged.
    """

    margins: Floats
    seconds: float
    unfinished: int = 0

    def scores(self, target: Floats, *, folds: Sequence[Fold], score: Score) -> tuple[float, ...]:
        """Give one score per fold."""
        return tuple(score(target[fold.judge], self.margins[fold.repeat, fold.judge]) for fold in folds)


def sigmoid(margin: Floats) -> Floats:
    """Turn log-odds into probabilities.

    >>> float(sigmoid(np.array([0.0]))[0])
    0.5
    """
    from scipy.special import expit

    return np.asarray(expit(margin), dtype=np.float64)


def cross_validate(
    learners: Sequence[Learner],
    *,
    base: Matrix,
    target: Floats,
    folds: Sequence[Fold],
    settings: FitSettings,
    seed: int,
    threads: int,
    progress: Callable[[float], None] = lambda _share: None,
) -> list[OutOfFold]:
    """Judge learners on folds.

    Args:
        learners: What to fit.
        base: Encoded rows, shape (rows, base columns).
        target: Shape (rows,).
        folds: Row numbers of each fit.
        settings: What all learners share.
        seed: Seed of everything random.
        threads: Fits at a time.
        progress: Told the share of fits done, in (0, 1].

    Returns:
        One result per learner, in order.

    Raises:
        UseCaseError: A declaration does not fit the data.
        LabelError: Resampling lacks rows.
    """
    shape = (1 + max(fold.repeat for fold in folds), len(target))
    margins = [np.full(shape, np.nan) for _ in learners]
    seconds = [0.0] * len(learners)
    unfinished = [0] * len(learners)
    jobs = [(at, fold) for at in range(len(learners)) for fold in folds]

    def judge(job: tuple[int, Fold]) -> tuple[int, Fold, Floats, float, bool]:
        at, fold = job
        start = perf_counter()
        fitted = fit_learner(
            learners[at],
            base=base[fold.train],
            target=target[fold.train],
            settings=settings,
            seed=seed + 101 * fold.repeat + fold.number,
        )
        return at, fold, fitted.margin(base[fold.judge]), perf_counter() - start, fitted.converged

    with without_convergence_warnings(), ThreadPoolExecutor(max_workers=max(1, threads)) as pool:
        for done, (at, fold, margin, took, converged) in enumerate(pool.map(judge, jobs), start=1):
            margins[at][fold.repeat, fold.judge] = margin
            seconds[at] += took
            unfinished[at] += not converged
            progress(done / len(jobs))
    return [OutOfFold(*found) for found in zip(margins, seconds, unfinished, strict=True)]


def probability_score(metric: str) -> Score:
    """Score margins as probabilities by a scorer's name."""
    return lambda target, margin: evaluate(target, sigmoid(margin), metric=metric)


def summary(metric: str, scores: Sequence[float], *, folds: Sequence[Fold]) -> Interval:
    """Give the mean of a metric's fold scores with the corrected interval (Nadeau and Bengio)."""
    train = float(np.mean([len(fold.train) for fold in folds]))
    judge = float(np.mean([len(fold.judge) for fold in folds]))
    return corrected_resampled_test(scores, train_rows=train, test_rows=judge, shares=metric in SHARES).mean
