"""The learners of churn, with parameters settled beforehand on other splits than those of the benchmark.

One recipe for narrow tables with services and wide tables with usage: the blend's weights, learned out of fold, decide
between the logistic regression (which wins on the former) and the boosters (which win on the latter).
"""

from trunkline.tasks import Learner, Preprocessing, default_classifiers

_YARDSTICKS = tuple(
    learner for learner in default_classifiers() if learner.name in ("nearest_neighbours", "random_forest")
)

# categories with many values (service areas) are target encoded inside the fold, the others are one-hot or their index
_LINEAR = Preprocessing(impute="median", encode="one_hot", scale="standard", target_above=20)
_TREES = Preprocessing(impute="none", encode="ordinal", scale="none", target_above=20)

LEARNERS: tuple[Learner, ...] = (
    Learner(
        name="logistic_regression",
        kind="logistic_regression",
        parameters={"C": 0.3},
        preprocessing=_LINEAR,
    ),
    *_YARDSTICKS,
    Learner(
        name="xgboost",
        kind="xgboost",
        parameters={
            "n_estimators": 500,
            "learning_rate": 0.03,
            "max_depth": 5,
            "min_child_weight": 20.0,
            "subsample": 0.7,
            "colsample_bynode": 0.3,
            "reg_lambda": 20.0,
        },
        preprocessing=_TREES,
    ),
    Learner(
        name="lightgbm",
        kind="lightgbm",
        parameters={
            "n_estimators": 600,
            "learning_rate": 0.03,
            "max_depth": 6,
            "num_leaves": 24,
            "min_child_samples": 60,
            "subsample": 0.7,
            "subsample_freq": 1,
            "colsample_bytree": 0.3,
            "reg_lambda": 20.0,
        },
        preprocessing=_TREES,
        search=next(learner.search for learner in default_classifiers() if learner.name == "lightgbm"),
    ),
)
