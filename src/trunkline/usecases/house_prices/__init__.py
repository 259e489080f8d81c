"""What will a house sell for?

Everything that the platform needs to know is below, in ``contracts.py`` and in ``features.py``: edit these three files.
"""

from trunkline.spec import MinimumMetric, NoLeakage, NotWorseThanChampion, OnnxEqual, UseCase
from trunkline.tasks import Learner, Preprocessing, Regression, default_regressors, features_of
from trunkline.usecases.house_prices.contracts import Sale
from trunkline.usecases.house_prices.features import ROW_FEATURES

# The four linear learners of the platform, with a grid of alpha, and a booster of our own making.
LINEAR = tuple(learner for learner in default_regressors() if learner.name != "xgboost")
BOOSTER = Learner(
    name="xgboost",
    kind="xgboost",
    parameters={
        "n_estimators": 700,
        "learning_rate": 0.05,
        "max_depth": 6,
        "min_child_weight": 4.0,
        "subsample": 0.8,
        "colsample_bynode": 0.5,
        "reg_lambda": 2.0,
    },
    # trees need neither filling nor scaling
    preprocessing=Preprocessing(impute="none", encode="ordinal", scale="none"),
)

usecase = UseCase(
    name="house_prices",
    title="House prices",
    question="What will a house sell for?",
    # one contract per table that comes in; `main` is the one learned from
    datasets={"sales": Sale},
    main="sales",
    task=Regression(
        label="price_usd",
        # every column but the label; the key is left out by itself, the identity of a house is no feature
        features=features_of(Sale, without=("price_usd", "zip_code")),
        row_features=ROW_FEATURES,
        learners=(*LINEAR, BOOSTER),
        # a house that was sold twice must not stand on both sides of a split
        group="house_id",
        folds=10,
        repeats=1,
        tune="none",
    ),
    metric="r2",
    # a candidate that fails one of these is refused (exit code 3), and the champion stays
    gates=(
        MinimumMetric(metric="r2", limit=0.65),
        NotWorseThanChampion(metric="r2"),
        NoLeakage(max_single_feature=0.95, metric="r2"),
        OnnxEqual(),
    ),
)
