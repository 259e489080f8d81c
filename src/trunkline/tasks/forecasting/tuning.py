"""The search of each hour ahead: seeded, a fixed number of tries, judged by rolling origins before the evaluation."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from trunkline.tasks.forecasting.boosting import Examples, fit
from trunkline.tasks.forecasting.declaration import Forecasting
from trunkline.tasks.forecasting.effort import Effort
from trunkline.tasks.forecasting.panel import Panel
from trunkline.tasks.forecasting.report import HorizonTuning
from trunkline.tasks.forecasting.rolling import Span, in_threads, learned_design, learned_from
from trunkline.tasks.learners import Parameter, SearchRange
from trunkline.tasks.report import Trial

if TYPE_CHECKING:
    import optuna

__all__ = ["tune"]

_FOLDS = 2
_BETTER = 0.05
_FOLD_HOURS = 168


def tune(
    task: Forecasting,
    panel: Panel,
    *,
    span: Span,
    effort: Effort,
    seed: int,
    threads: int,
    told: Callable[[float], None],
) -> tuple[tuple[dict[str, Parameter], ...], tuple[HorizonTuning, ...]]:
    """Search the parameters of each hour ahead, beginning with those that are declared.

    Args:
        task: The declaration.
        panel: The series.
        span: Hours of the evaluation, which are not looked at.
        effort: Whether the series are told apart.
        seed: Seed of the search.
        threads: Searches at a time.
        told: Told which share is done.

    Returns:
        Parameters and history by hour ahead.
    """
    declared = dict(task.parameters)
    length = min(_FOLD_HOURS, max((span.warm - 48) // (_FOLDS + 2), 0))
    if task.trials == 1 or not task.search or length < 24:
        return tuple(dict(declared) for _ in range(task.horizons)), ()
    designs = [
        (until, learned_design(task, panel, until=until, effort=effort))
        for until in (span.warm - length * fold for fold in range(_FOLDS, 0, -1))
    ]
    done: list[int] = []

    def one(place: int) -> tuple[dict[str, Parameter], HorizonTuning]:
        folds = []
        for until, design in designs:
            drawn = partial(learned_from, design, horizon=place + 1, most=task.tuning_rows, seed=seed, usual=0.0)
            learn = drawn(half_life_days=task.half_life_days, until=until)
            judge = drawn(half_life_days=None, since=until, until=until + length)
            folds.append((learn, judge))
        trials = _search(task, folds, seed=seed + place)
        best = max(trials, key=lambda trial: (trial.score, -trial.number))
        if best.score < trials[0].score * (1 - _BETTER):  # within chance: scores are negative errors of two weeks
            best = trials[0]
        done.append(place)
        told(len(done) / task.horizons)
        return {**declared, **best.parameters}, HorizonTuning(horizon=place + 1, trials=trials, best=best.number)

    found = in_threads(one, range(task.horizons), threads=threads)
    return tuple(parameters for parameters, _ in found), tuple(history for _, history in found)


_Fold = tuple[Examples, Examples]
"""What is learned from, and what judges."""


def _search(task: Forecasting, folds: list[_Fold], *, seed: int) -> tuple[Trial, ...]:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    declared = dict(task.parameters)
    done: list[Trial] = []

    def judge(changed: Mapping[str, Parameter]) -> float:
        errors = []
        for learn, unseen in folds:
            if not len(learn) or not len(unseen):
                continue
            booster = fit(learn, library=task.booster, parameters={**declared, **changed}, seed=seed)
            errors.append(float(np.abs(booster.predict(unseen.matrix) - unseen.target).mean()))
        return -float(np.mean(errors)) if errors else 0.0

    def attempt(trial: "optuna.Trial") -> float:
        changed = {name: _suggested(trial, name, task.search[name]) for name in sorted(task.search)}
        score = judge(changed)
        done.append(Trial(number=trial.number, parameters=changed, score=score))
        return score

    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed, n_startup_trials=3))
    study.enqueue_trial({name: declared[name] for name in task.search})
    study.optimize(attempt, n_trials=task.trials)
    return tuple(done)


def _suggested(trial: "optuna.Trial", name: str, said: SearchRange) -> Parameter:
    if said.choices:
        chosen: Parameter = trial.suggest_categorical(name, list(said.choices))
        return chosen
    if said.whole:
        return trial.suggest_int(name, int(said.low), int(said.high), log=said.log)
    return trial.suggest_float(name, said.low, said.high, log=said.log)
