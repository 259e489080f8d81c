"""Find a learner's parameters on the training part, on folds of their own.

Takes a learner with a search space or a grid, gives the learner with the best parameters and the history. A search
makes a fixed number of tries with a seeded sampler, the first with the declared parameters; a try that falls behind the
median of the earlier ones after a fold is given up. A time ceiling is a ceiling: hitting it is recorded.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from trunkline.tasks.base_matrix import Floats, Matrix
from trunkline.tasks.estimators import FitSettings
from trunkline.tasks.folds import Fold
from trunkline.tasks.learners import Learner, Parameter
from trunkline.tasks.report import Trial, TuningReport
from trunkline.tasks.validation import Score, cross_validate

if TYPE_CHECKING:
    import optuna

__all__ = ["Ground", "search", "try_grid"]

_STARTUP_TRIALS = 8


@dataclass(frozen=True)
class Ground:
    """What tries are judged on.

    Attributes:
        base: Encoded training rows.
        target: Their target.
        folds: Cut with another seed than those of the evaluation.
        settings: What all learners share.
        score: Judges margins, greater is better.
        metric: Its name.
        seed: Seed of the fits and of the sampler.
        threads: Fits at a time.
    """

    base: Matrix
    target: Floats
    folds: Sequence[Fold]
    settings: FitSettings
    score: Score
    metric: str
    seed: int
    threads: int

    def judge(self, learner: Learner, folds: Sequence[Fold] | None = None) -> list[float]:
        """Give one score per fold."""
        chosen = self.folds if folds is None else folds
        (found,) = cross_validate(
            [learner],
            base=self.base,
            target=self.target,
            folds=chosen,
            settings=self.settings,
            seed=self.seed,
            threads=self.threads,
        )
        return list(found.scores(self.target, folds=chosen, score=self.score))


def with_parameters(learner: Learner, parameters: Mapping[str, Parameter]) -> Learner:
    """Give the learner with some parameters replaced."""
    return learner.model_copy(update={"parameters": {**learner.parameters, **parameters}})


def try_grid(learner: Learner, *, ground: Ground, progress: Callable[[float], None]) -> tuple[Learner, TuningReport]:
    """Judge every combination of the learner's grid.

    Args:
        learner: With a grid.
        ground: What tries are judged on.
        progress: Told the share done.

    Returns:
        The learner with the best parameters (of equals the first), and the history.
    """
    from sklearn.model_selection import ParameterGrid

    combinations = list(ParameterGrid({name: list(values) for name, values in learner.grid.items()}))
    trials = []
    for number, chosen in enumerate(combinations):
        score = float(np.mean(ground.judge(with_parameters(learner, chosen))))
        trials.append(Trial(number=number, parameters=chosen, score=score))
        progress((number + 1) / len(combinations))
    best = int(np.argmax([trial.score for trial in trials]))
    report = TuningReport(learner=learner.name, method="grid", metric=ground.metric, trials=tuple(trials), best=best)
    return with_parameters(learner, trials[best].parameters), report


def search(
    learner: Learner,
    *,
    trials: int,
    ground: Ground,
    ceiling_seconds: float,
    clock: Callable[[], float],
    progress: Callable[[float], None],
) -> tuple[Learner, TuningReport]:
    """Search the learner's space by a tree-structured Parzen estimator (Optuna).

    Source: Bergstra et al. (2011), "Algorithms for hyper-parameter optimization", NeurIPS 24.

    Args:
        learner: With a search space.
        trials: Number of tries, the declared parameters included.
        ground: What tries are judged on.
        ceiling_seconds: No try begins after that time.
        clock: Seconds from any start.
        progress: Told the share done.

    Returns:
        The learner with the best parameters, and the history.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(
        direction="maximize",
        sampler=optuna.samplers.TPESampler(seed=ground.seed, n_startup_trials=_STARTUP_TRIALS),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=_STARTUP_TRIALS),
    )
    known = {name: learner.parameters[name] for name in learner.search if name in learner.parameters}
    if known:
        study.enqueue_trial(known)
    history: list[Trial] = []
    started, hit = clock(), False
    # one fold decides whether a try goes on, whatever the number of threads: the same inputs give the same search
    first, rest = ground.folds[:1], ground.folds[1:]
    for number in range(trials):
        if number and clock() - started > ceiling_seconds:
            hit = True
            break
        trial = study.ask()
        chosen = _chosen(trial, learner)
        candidate = with_parameters(learner, chosen)
        scores = ground.judge(candidate, first)
        trial.report(float(np.mean(scores)), step=0)
        pruned = bool(rest) and trial.should_prune()
        if not pruned and rest:
            scores += ground.judge(candidate, rest)
        score = float(np.mean(scores))
        if pruned:
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
        else:
            study.tell(trial, score)
        history.append(Trial(number=number, parameters=chosen, score=score, pruned=pruned))
        progress((number + 1) / trials)
    finished = [trial for trial in history if not trial.pruned]
    best = max(finished, key=lambda trial: (trial.score, -trial.number))
    report = TuningReport(
        learner=learner.name,
        method="search",
        metric=ground.metric,
        trials=tuple(history),
        best=best.number,
        ceiling_hit=hit,
    )
    return with_parameters(learner, best.parameters), report


def _chosen(trial: "optuna.trial.Trial", learner: Learner) -> dict[str, Parameter]:
    chosen: dict[str, Parameter] = {}
    for name, space in learner.search.items():
        if space.choices:
            chosen[name] = trial.suggest_categorical(name, list(space.choices))
        elif space.whole:
            chosen[name] = trial.suggest_int(name, int(space.low), int(space.high), log=space.log)
        else:
            chosen[name] = trial.suggest_float(name, space.low, space.high, log=space.log)
    return chosen
