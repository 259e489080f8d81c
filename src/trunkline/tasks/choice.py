"""Compare, tune and choose: from declared learners to the champion's parts and its out-of-fold margins.

Takes training rows and a declaration; every figure that leads to the choice is out of fold, and parameters are searched
on folds that were cut with another seed.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from trunkline.stats.calibration import Calibration
from trunkline.stats.metrics import BINARY_METRICS, REGRESSION_METRICS
from trunkline.tasks.base_matrix import Floats, Matrix
from trunkline.tasks.blending import blend_weights, cross_fitted_blend
from trunkline.tasks.estimators import FitSettings
from trunkline.tasks.folds import Fold, Structure, make_folds
from trunkline.tasks.learners import BOOSTERS, Learner
from trunkline.tasks.report import ChampionReport, LearnerReport, TuningReport
from trunkline.tasks.rows import TrainingRows
from trunkline.tasks.supervised import Supervised
from trunkline.tasks.task import Progress
from trunkline.tasks.tuning import Ground, search, try_grid
from trunkline.tasks.validation import OutOfFold, Score, cross_validate, summary

__all__ = ["Choice", "Trials", "choose", "metrics_of", "trials_of"]

_TUNING_SEED = 50_021
"""Added to the seed, so that tries are judged on other cuts than the evaluation."""


@dataclass(frozen=True)
class Trials:
    """What candidates are judged on.

    Attributes:
        matrix: Encoded training rows.
        target: Their target on the scale that is learned.
        structure: Their groups and order.
        folds: The evaluation's folds.
        settings: What all learners share.
        scores: Judges margins, by metric; greater is better.
        seed: Seed of everything random.
        threads: Fits at a time.
        clock: Seconds from any start.
    """

    matrix: Matrix
    target: Floats
    structure: Structure
    folds: Sequence[Fold]
    settings: FitSettings
    scores: Mapping[str, Score]
    seed: int
    threads: int
    clock: Callable[[], float]


@dataclass(frozen=True)
class Choice:
    """The champion before its final fit.

    Attributes:
        parts: Learners with the parameters found, and their weights; weights sum to 1.
        margins: Out-of-fold margins of the champion, shape (repeats, rows); a blend's with cross-fitted weights.
        learners: Each learner's report.
        tuning: Each search's report.
        champion: What was chosen and why; its calibration and threshold are not known yet.
        warnings: Sentences for people.
    """

    parts: tuple[tuple[Learner, float], ...]
    margins: Floats
    learners: tuple[LearnerReport, ...]
    tuning: tuple[TuningReport, ...]
    champion: ChampionReport
    warnings: tuple[str, ...]


def trials_of(
    task: Supervised,
    rows: TrainingRows,
    *,
    learned: Floats,
    settings: FitSettings,
    scores: Mapping[str, Score],
    seed: int,
    threads: int,
    clock: Callable[[], float],
) -> Trials:
    """Set the ground on which candidates are judged: the training rows and the evaluation's folds.

    Args:
        task: The declaration.
        rows: All rows, those of the test set included.
        learned: Target of all rows on the scale that is learned, shape (rows,).
        settings: What all learners share.
        scores: Judges margins, by metric; greater is better.
        seed: Seed of everything random.
        threads: Fits at a time.
        clock: Seconds from any start.

    Raises:
        LabelError: There are too few rows, or too few of a class, for the folds.
    """
    structure, target = rows.structure.of(rows.train), learned[rows.train]
    folds = make_folds(
        target, folds=task.folds, repeats=task.repetitions(len(rows.train)), structure=structure, seed=seed
    )
    return Trials(
        matrix=rows.matrix[rows.train],
        target=target,
        structure=structure,
        folds=folds,
        settings=settings,
        scores=scores,
        seed=seed,
        threads=threads,
        clock=clock,
    )


def choose(task: Supervised, *, trials: Trials, progress: Progress) -> Choice:
    """Compare learners, tune, blend.

    Args:
        task: The declaration.
        trials: What candidates are judged on.
        progress: Told (phase, share done).

    Returns:
        The choice.

    Raises:
        UseCaseError: A declaration does not fit the data.
        LabelError: Resampling lacks rows.
    """
    learners, tuning = _with_grids(task, trials, progress)
    found = _judge(learners, trials, lambda share: progress("compare", share))
    names = _to_search(task, learners, found, trials)
    for number, name in enumerate(names):
        at = [learner.name for learner in learners].index(name)
        tuned, report = search(
            learners[at],
            trials=task.trials,
            ground=_ground(task, trials),
            ceiling_seconds=task.ceiling_seconds / len(names),
            clock=trials.clock,
            progress=lambda share, done=number: progress("tune", (done + share) / len(names)),  # type: ignore[misc]  # binds the loop's number
        )
        tuning.append(report)
        if tuned != learners[at]:
            (again,) = _judge([tuned], trials, lambda _share: None)
            found[at] = replace(again, seconds=found[at].seconds + again.seconds)
            learners[at] = tuned
    searched = {report.learner for report in tuning}
    reports = tuple(
        _learner_report(learner, result, trials, tuned=learner.name in searched)
        for learner, result in zip(learners, found, strict=True)
    )
    return _champion(task, learners, found, trials, reports, tuning)


def _judge(learners: Sequence[Learner], trials: Trials, progress: Callable[[float], None]) -> list[OutOfFold]:
    return cross_validate(
        learners,
        base=trials.matrix,
        target=trials.target,
        folds=trials.folds,
        settings=trials.settings,
        seed=trials.seed,
        threads=trials.threads,
        progress=progress,
    )


def _ground(task: Supervised, trials: Trials) -> Ground:
    rows = np.arange(len(trials.target))
    seed = trials.seed + _TUNING_SEED
    if len(rows) > task.tuning_rows:
        rows = np.sort(np.random.default_rng(seed).choice(rows, task.tuning_rows, replace=False))
    structure = trials.structure.of(rows)
    folds = make_folds(trials.target[rows], folds=task.tuning_folds, repeats=1, structure=structure, seed=seed)
    return Ground(
        base=trials.matrix[rows],
        target=trials.target[rows],
        folds=folds,
        settings=trials.settings,
        score=trials.scores[task.metric],
        metric=task.metric,
        seed=seed,
        threads=trials.threads,
    )


def _with_grids(task: Supervised, trials: Trials, progress: Progress) -> tuple[list[Learner], list[TuningReport]]:
    learners, tuning = list(task.learners), []
    grids = [at for at, learner in enumerate(learners) if learner.grid]
    for number, at in enumerate(grids):
        learners[at], report = try_grid(
            learners[at],
            ground=_ground(task, trials),
            progress=lambda share, done=number: progress("grid", (done + share) / len(grids)),  # type: ignore[misc]  # binds the loop's number
        )
        tuning.append(report)
    return learners, tuning


def _to_search(task: Supervised, learners: Sequence[Learner], found: Sequence[OutOfFold], trials: Trials) -> list[str]:
    open_to = [
        (float(np.mean(result.scores(trials.target, folds=trials.folds, score=trials.scores[task.metric]))), learner)
        for learner, result in zip(learners, found, strict=True)
        if learner.search and learner.eligible
    ]
    if task.tune == "none" or not open_to or task.trials < 2:
        return []
    if task.tune == "all":
        return [learner.name for _, learner in open_to]
    boosters = [entry for entry in open_to if entry[1].kind in BOOSTERS] or open_to
    return [max(boosters, key=lambda entry: entry[0])[1].name]


def _learner_report(learner: Learner, result: OutOfFold, trials: Trials, *, tuned: bool) -> LearnerReport:
    scores = {
        metric: result.scores(trials.target, folds=trials.folds, score=score) for metric, score in trials.scores.items()
    }
    return LearnerReport(
        name=learner.name,
        kind=learner.kind,
        eligible=learner.eligible,
        tuned=tuned,
        parameters=learner.parameters,
        fold_scores=scores,
        scores={metric: summary(metric, values, folds=trials.folds) for metric, values in scores.items()},
        seconds=result.seconds,
    )


def _champion(
    task: Supervised,
    learners: Sequence[Learner],
    found: Sequence[OutOfFold],
    trials: Trials,
    reports: tuple[LearnerReport, ...],
    tuning: Sequence[TuningReport],
) -> Choice:
    scores = {report.name: report.scores[task.metric].value for report in reports}
    eligible = [at for at, learner in enumerate(learners) if learner.eligible]
    best = max(eligible, key=lambda at: scores[learners[at].name])
    name, weights, margins = learners[best].name, {learners[best].name: 1.0}, found[best].margins
    why = f"{name} has the best {task.metric} of the learners that may become champion"
    blended = _blend(task, [learners[at] for at in eligible], [found[at] for at in eligible], trials)
    if blended is not None:
        score = float(np.mean(blended[1].scores(trials.target, folds=trials.folds, score=trials.scores[task.metric])))
        scores["blend"] = score
        if task.weights or (score > scores[name] and len(blended[0]) > 1):
            reason = "weights were declared" if task.weights else f"its {task.metric} out of fold"
            why = f"the blend was chosen: {reason}, {score:.4f} against {scores[name]:.4f} of {name} alone"
            name, weights, margins = "blend", blended[0], blended[1].margins
        else:
            why += f"; a blend gives {score:.4f} against {scores[name]:.4f}"
    warnings = [
        f"{report.name} is compared only, and is better than the champion in {task.metric}: "
        f"{scores[report.name]:.4f} against {scores[name]:.4f}"
        for report in reports
        if not report.eligible and scores[report.name] > scores[name]
    ]
    warnings += [
        f"{learner.name} had not converged in {result.unfinished} of {len(trials.folds)} fits: what it found is near "
        "its best; more passes (max_iter) or a larger penalty end it"
        for learner, result in zip(learners, found, strict=True)
        if result.unfinished
    ]
    warnings += [f"the search of {one.learner} ended at its time ceiling" for one in tuning if one.ceiling_hit]
    parts = tuple((learner, weights[learner.name]) for learner in learners if weights.get(learner.name, 0.0) > 0)
    champion = ChampionReport(
        name=name, weights=weights, scores=scores, metric=task.metric, why=why, calibration=Calibration()
    )
    return Choice(parts, margins, reports, tuple(tuning), champion, tuple(warnings))


def _blend(
    task: Supervised, learners: Sequence[Learner], found: Sequence[OutOfFold], trials: Trials
) -> tuple[dict[str, float], OutOfFold] | None:
    if task.weights:
        total = sum(task.weights.values())
        fixed = {name: weight / total for name, weight in task.weights.items() if weight > 0}
        stacked = sum(
            (
                fixed.get(learner.name, 0.0) * result.margins
                for learner, result in zip(learners, found, strict=True)
                if learner.name in fixed
            ),
            start=np.zeros_like(found[0].margins),
        )
        return fixed, OutOfFold(stacked, 0.0)
    if not task.blend or len(learners) < 2:
        return None
    classification = trials.settings.classification
    margins = np.stack([result.margins for result in found], axis=2)
    blended = np.stack(
        [
            cross_fitted_blend(
                margins[repeat],
                trials.target,
                folds=[fold for fold in trials.folds if fold.repeat == repeat],
                classification=classification,
            )
            for repeat in range(len(margins))
        ]
    )
    average = margins.mean(axis=0)
    judged = np.isfinite(average).all(axis=1)
    weights = blend_weights(average[judged], trials.target[judged], classification=classification)
    named = {learner.name: float(weight) for learner, weight in zip(learners, weights, strict=True) if weight > 0}
    return named, OutOfFold(blended, 0.0)


def metrics_of(*, classification: bool) -> tuple[str, ...]:
    """Name the metrics that judge folds."""
    if classification:
        return tuple(name for name in BINARY_METRICS if name in ("roc_auc", "average_precision", "neg_log_loss"))
    return REGRESSION_METRICS
