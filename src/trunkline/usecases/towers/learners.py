"""The learners of towers: a linear yardstick, and a booster with parameters settled beforehand."""

from trunkline.tasks import Learner, Preprocessing

_LINEAR = Preprocessing(impute="median", encode="one_hot", scale="standard")
_TREES = Preprocessing(impute="none", encode="ordinal", scale="none")

LEARNERS: tuple[Learner, ...] = (
    Learner(
        name="logistic_regression",
        kind="logistic_regression",
        parameters={"C": 0.3},
        preprocessing=_LINEAR,
        eligible=False,
    ),
    Learner(
        name="lightgbm",
        kind="lightgbm",
        parameters={
            "n_estimators": 500,
            "learning_rate": 0.06,
            "max_depth": -1,
            "num_leaves": 31,
            "min_child_samples": 20,
            "subsample": 0.8,
            "subsample_freq": 1,
            "colsample_bytree": 0.6,
            "reg_lambda": 1.0,
        },
        preprocessing=_TREES,
    ),
)
