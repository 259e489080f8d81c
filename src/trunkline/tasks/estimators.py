"""Fit a declared learner on the rows of a fold.

Takes a learner, a base matrix and its target; gives the fitted view and members. Everything that is learned from rows
is learned here, from exactly the rows handed in: preprocessing, resampling and the estimators. Each library runs on
one thread, which makes its result independent of the machine; folds run beside each other instead.

A fit that ends at its last pass before it has converged is told by its result: the library's own warning names a line
of the library, and nobody who reads it knows which learner it is about.
"""

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from trunkline.errors import UseCaseError
from trunkline.tasks.base_matrix import Floats, Matrix
from trunkline.tasks.forests import xgboost_of_sklearn
from trunkline.tasks.learners import Learner, LearnerKind, Parameter
from trunkline.tasks.members import Boosted, Grown, Linear, Member, Nearest, mean_margin
from trunkline.tasks.sampling import Resampling, resample
from trunkline.tasks.view_fitting import Columns, fit_view
from trunkline.tasks.views import View

__all__ = ["FitSettings", "FittedLearner", "fit_learner", "without_convergence_warnings"]


@dataclass(frozen=True)
class FitSettings:
    """What all learners of a task share.

    Attributes:
        columns: Names and kinds of the base columns.
        classification: Whether the target is 0/1 and margins are log-odds.
        resampling: How the classes of the training rows are evened out.
        class_weight: ``balanced`` weighs each class to half of the total.
    """

    columns: Columns
    classification: bool
    resampling: Resampling = "none"
    class_weight: Literal["none", "balanced"] = "none"


@dataclass(frozen=True)
class FittedLearner:
    """A learner after fitting.

    Attributes:
        learner: The declaration, with the parameters that were used.
        view: Its fitted preprocessing.
        members: One fit per bag.
        converged: Whether every fit met its tolerance within its passes; true for learners that have none.
    """

    learner: Learner
    view: View
    members: tuple[Member, ...]
    converged: bool = True

    def margin(self, base: Matrix) -> Floats:
        """Give the margin of rows.

        Args:
            base: Shape (rows, base columns).

        Returns:
            Shape (rows,): log-odds, or target units.
        """
        return mean_margin(self.members, self.view.apply(base))


def fit_learner(learner: Learner, *, base: Matrix, target: Floats, settings: FitSettings, seed: int) -> FittedLearner:
    """Fit preprocessing, resampling and estimator on these rows and no others.

    Args:
        learner: What to fit.
        base: Training rows, shape (rows, base columns), null as NaN.
        target: Shape (rows,), 0/1 for a classification.
        settings: What all learners share.
        seed: Seed of everything random.

    Returns:
        The fitted learner.

    Raises:
        UseCaseError: A parameter is unknown to the library, or nulls reach a learner that cannot take them.
    """
    view, matrix = fit_view(
        base, target=target, columns=settings.columns, preprocessing=learner.preprocessing, seed=seed
    )
    if learner.kind not in _NULLS_ALLOWED and np.isnan(matrix).any():
        raise UseCaseError(
            f"learner {learner.name!r} cannot take nulls",
            where="preprocessing.impute",
            allowed=("median", "mean", "most_frequent", "zero"),
        )
    matrix, target = resample(
        matrix, target=target, base=base, view=view, columns=settings.columns, kind=settings.resampling, seed=seed
    )
    weight = _weights(target) if settings.class_weight == "balanced" else None
    fit = _FITS[learner.kind]
    calls = [
        _Call(learner, matrix, target, weight, settings.classification, seed + 7919 * bag)
        for bag in range(learner.bags)
    ]
    members = tuple(map(fit, calls))
    return FittedLearner(learner, view, members, converged=not any(call.unfinished for call in calls))


@contextmanager
def without_convergence_warnings() -> Iterator[None]:
    """Silence what :attr:`FittedLearner.converged` says better, while fits run in threads.

    The filters belong to the process: enter it once around all threads, not in each of them, where one that leaves
    would bring the warnings back for the others.
    """
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield


@dataclass(frozen=True)
class _Call:
    learner: Learner
    matrix: Matrix
    target: Floats
    weight: Floats | None
    classification: bool
    seed: int
    unfinished: list[int] = field(default_factory=list)

    def note_passes(self, passes: object, *, most: int) -> None:
        """Note a fit that ended at its last pass; ``passes`` is what the library counted."""
        done = int(np.max(np.asarray(passes if passes is not None else 0)))
        if done >= most:
            self.unfinished.append(done)

    def parameters(self, **defaults: Parameter) -> dict[str, Parameter]:
        return {**defaults, **self.learner.parameters}


def _weights(target: Floats) -> Floats:
    share = target.mean()
    return np.asarray(np.where(target == 1, 0.5 / share, 0.5 / (1 - share)), dtype=np.float64)


def _linear(call: _Call, coefficients: Floats, intercept: float) -> Linear:
    return Linear(
        np.asarray(coefficients, dtype=np.float64).reshape(-1),
        float(intercept),
        call.matrix.astype(np.float64).mean(axis=0),
    )


def _fit_logistic(call: _Call) -> Member:
    from sklearn.linear_model import LogisticRegression

    model = _made(LogisticRegression, call, max_iter=2_000, random_state=call.seed)
    model.fit(call.matrix.astype(np.float64), call.target, sample_weight=call.weight)
    call.note_passes(model.n_iter_, most=model.max_iter)
    return _linear(call, model.coef_, float(model.intercept_[0]))


def _fit_linear(call: _Call) -> Member:
    from sklearn.linear_model import ElasticNet, Lasso, LinearRegression, Ridge

    matrix = call.matrix.astype(np.float64)
    kind = call.learner.kind
    if kind == "linear_regression":
        model = _made(LinearRegression, call)
    elif kind == "ridge":
        model = _made(Ridge, call)
    else:
        # the Gram matrix makes a pass cost columns^2 instead of rows x columns: collinear columns need many passes
        model = _made(
            Lasso if kind == "lasso" else ElasticNet,
            call,
            max_iter=5_000,
            random_state=call.seed,
            tol=1e-4,
            precompute=True,
        )
    model.fit(matrix, call.target)
    if kind in ("lasso", "elastic_net"):
        # at a tiny alpha coordinate descent nears least squares without ever meeting its tolerance
        call.note_passes(model.n_iter_, most=model.max_iter)
    return _linear(call, model.coef_, float(np.ravel(model.intercept_)[0]))


def _fit_nearest(call: _Call) -> Member:
    allowed = {"n_neighbors"}
    if unknown := sorted(set(call.learner.parameters) - allowed):
        raise UseCaseError(f"nearest neighbours has no parameter {', '.join(unknown)}", allowed=allowed)
    neighbours = int(call.learner.parameters.get("n_neighbors", 25) or 25)
    return Nearest(call.matrix, call.target, min(neighbours, len(call.target)), call.classification)


def _fit_forest(call: _Call) -> Member:
    from sklearn import ensemble

    name = {"random_forest": "RandomForest", "extra_trees": "ExtraTrees"}[call.learner.kind]
    kind = getattr(ensemble, f"{name}{'Classifier' if call.classification else 'Regressor'}")
    model = _made(kind, call, n_jobs=1, random_state=call.seed)
    model.fit(call.matrix, call.target, sample_weight=call.weight)
    text = xgboost_of_sklearn(model, columns=call.matrix.shape[1])
    return Grown(Boosted("xgboost", text), call.classification, model)


def _fit_xgboost(call: _Call) -> Member:
    import xgboost

    kind = xgboost.XGBClassifier if call.classification else xgboost.XGBRegressor
    model = _made(kind, call, n_jobs=1, random_state=call.seed, tree_method="hist", verbosity=0)
    model.fit(call.matrix, call.target, sample_weight=call.weight)
    return Boosted("xgboost", bytes(model.get_booster().save_raw("json")).decode())


def _fit_lightgbm(call: _Call) -> Member:
    import lightgbm

    kind = lightgbm.LGBMClassifier if call.classification else lightgbm.LGBMRegressor
    fixed = {"deterministic": True, "force_row_wise": True, "verbose": -1}
    model = _made(kind, call, n_jobs=1, random_state=call.seed, **fixed)
    model.fit(call.matrix, call.target, sample_weight=call.weight)
    return Boosted("lightgbm", model.booster_.model_to_string(num_iteration=-1))


def _made(kind: Callable[..., object], call: _Call, **defaults: Parameter):  # type: ignore[no-untyped-def]  # noqa: ANN202 - an estimator of an untyped library
    try:
        return kind(**call.parameters(**defaults))
    except TypeError as error:
        raise UseCaseError(f"learner {call.learner.name!r}: {error}", where="parameters") from error


_NULLS_ALLOWED: frozenset[LearnerKind] = frozenset({"xgboost", "lightgbm", "random_forest"})

_FITS: Mapping[LearnerKind, Callable[[_Call], Member]] = {
    "logistic_regression": _fit_logistic,
    "linear_regression": _fit_linear,
    "ridge": _fit_linear,
    "lasso": _fit_linear,
    "elastic_net": _fit_linear,
    "nearest_neighbours": _fit_nearest,
    "random_forest": _fit_forest,
    "extra_trees": _fit_forest,
    "xgboost": _fit_xgboost,
    "lightgbm": _fit_lightgbm,
}
