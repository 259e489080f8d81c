"""Declared learners: what is fitted, on which preparation of the columns, and what a search may change.

Takes nothing, gives frozen declarations; ``estimators`` fits them. Parameters carry the names of the library that does
the work (scikit-learn, XGBoost, LightGBM), so its documentation applies.
"""

from collections.abc import Mapping
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from trunkline.tasks.preprocessing import Preprocessing, QuantileLimits

__all__ = [
    "BOOSTERS",
    "Learner",
    "LearnerKind",
    "Parameter",
    "SearchRange",
    "default_classifiers",
    "default_regressors",
]

Parameter = str | int | float | bool | None
"""A value of an estimator's parameter."""

LearnerKind = Literal[
    "logistic_regression",
    "linear_regression",
    "ridge",
    "lasso",
    "elastic_net",
    "nearest_neighbours",
    "random_forest",
    "extra_trees",
    "xgboost",
    "lightgbm",
]
"""The algorithms there are."""

BOOSTERS: Final[tuple[LearnerKind, ...]] = ("xgboost", "lightgbm")
"""Kinds with exact TreeSHAP and a native file of their own."""


class SearchRange(BaseModel):
    """What a seeded search may choose for one parameter.

    Attributes:
        low: Smallest number, inclusive.
        high: Largest number, inclusive.
        log: Draw evenly on the logarithm.
        whole: Only whole numbers.
        choices: A closed set instead of a range; ``low`` and ``high`` are then ignored.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    low: float = 0.0
    high: float = 1.0
    log: bool = False
    whole: bool = False
    choices: tuple[Parameter, ...] = ()


class Learner(BaseModel):
    """One way to learn.

    Attributes:
        name: Its name in reports and file names; unique within a task.
        kind: The algorithm.
        parameters: Parameters of the library's estimator, beyond its defaults.
        preprocessing: How the columns are prepared for it, learned inside each fold.
        search: What a search may change; empty leaves the parameters alone.
        grid: Values to try one by one, every combination (scikit-learn's ``ParameterGrid``), instead of a search.
        bags: Fits with different seeds, averaged on the scale of the margin.
        eligible: Whether it may be, or be part of, the champion. A learner that is not is compared only.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    kind: LearnerKind
    parameters: Mapping[str, Parameter] = {}
    preprocessing: Preprocessing = Preprocessing()
    search: Mapping[str, SearchRange] = {}
    grid: Mapping[str, tuple[Parameter, ...]] = {}
    bags: int = Field(default=1, ge=1, le=50)
    eligible: bool = True


_TREES = Preprocessing(impute="none", encode="ordinal", scale="none")
_BOOSTER_VIEW = Preprocessing(impute="none", encode="one_hot", scale="none")

_LIGHTGBM_SEARCH = {
    "num_leaves": SearchRange(low=4, high=48, log=True, whole=True),
    "n_estimators": SearchRange(low=100, high=600, log=True, whole=True),
    "learning_rate": SearchRange(low=0.015, high=0.1, log=True),
    "min_child_samples": SearchRange(low=10, high=120, log=True, whole=True),
    "subsample": SearchRange(low=0.5, high=1.0),
    "colsample_bytree": SearchRange(low=0.2, high=1.0),
    "reg_lambda": SearchRange(low=0.1, high=50.0, log=True),
}
_XGBOOST_SEARCH = {
    "max_depth": SearchRange(low=2, high=7, whole=True),
    "n_estimators": SearchRange(low=100, high=600, log=True, whole=True),
    "learning_rate": SearchRange(low=0.015, high=0.1, log=True),
    "min_child_weight": SearchRange(low=1, high=60, log=True),
    "subsample": SearchRange(low=0.5, high=1.0),
    "colsample_bynode": SearchRange(low=0.2, high=1.0),
    "reg_lambda": SearchRange(low=0.1, high=50.0, log=True),
}
_LIGHTGBM = {
    "n_estimators": 300,
    "learning_rate": 0.03,
    "num_leaves": 8,
    "max_depth": -1,
    "min_child_samples": 30,
    "subsample": 0.7,
    "subsample_freq": 1,
    "colsample_bytree": 0.5,
    "reg_lambda": 10.0,
}
_XGBOOST = {
    "n_estimators": 300,
    "learning_rate": 0.03,
    "max_depth": 3,
    "min_child_weight": 5.0,
    "subsample": 0.7,
    "colsample_bynode": 0.5,
    "reg_lambda": 10.0,
}


def default_classifiers() -> tuple[Learner, ...]:
    """The five learners a classification compares unless it names others.

    Nearest neighbours are compared only: they show whether scaling works, but carry the training rows with them and
    have no exact contributions.
    """
    return (
        Learner(
            name="logistic_regression",
            kind="logistic_regression",
            parameters={"C": 0.1},
            preprocessing=Preprocessing(outliers=QuantileLimits(), indicators=True),
        ),
        Learner(
            name="nearest_neighbours",
            kind="nearest_neighbours",
            parameters={"n_neighbors": 75},
            preprocessing=Preprocessing(outliers=QuantileLimits()),
            eligible=False,
        ),
        Learner(
            name="random_forest",
            kind="random_forest",
            parameters={"n_estimators": 150, "max_depth": 9, "min_samples_leaf": 12, "max_features": "sqrt"},
            preprocessing=_TREES.model_copy(update={"impute": "median"}),
        ),
        Learner(
            name="xgboost",
            kind="xgboost",
            parameters=_XGBOOST,
            preprocessing=_BOOSTER_VIEW,
            search=_XGBOOST_SEARCH,
        ),
        Learner(
            name="lightgbm",
            kind="lightgbm",
            parameters=_LIGHTGBM,
            preprocessing=_BOOSTER_VIEW,
            search=_LIGHTGBM_SEARCH,
        ),
    )


def default_regressors() -> tuple[Learner, ...]:
    """The five learners a regression compares unless it names others; ``alpha`` from 0.01 to 10,000 by tens."""
    alphas = {"alpha": tuple(10.0**power for power in range(-2, 5))}
    linear = Preprocessing(indicators=True)
    return (
        Learner(name="linear_regression", kind="linear_regression", preprocessing=linear),
        Learner(name="ridge", kind="ridge", preprocessing=linear, grid=alphas),
        Learner(name="lasso", kind="lasso", preprocessing=linear, grid=alphas),
        Learner(name="elastic_net", kind="elastic_net", preprocessing=linear, grid=alphas),
        Learner(
            name="xgboost",
            kind="xgboost",
            parameters={**_XGBOOST, "n_estimators": 600, "learning_rate": 0.05, "max_depth": 6},
            preprocessing=_TREES,
        ),
    )
