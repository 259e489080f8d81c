"""Which subscribers are about to leave?"""

from trunkline.spec import (
    Calibrated,
    FairSlices,
    Latency,
    MinimumMetric,
    NoLeakage,
    NotWorseThanChampion,
    OnnxEqual,
    Publication,
    UseCase,
    Watch,
)
from trunkline.tasks import Classification, Profit, features_of
from trunkline.usecases.churn.contracts import Subscriber
from trunkline.usecases.churn.features import ROW_FEATURES
from trunkline.usecases.churn.learners import LEARNERS
from trunkline.usecases.churn.simulate import simulate

usecase = UseCase(
    name="churn",
    title="Churn",
    question="Which subscribers are likely to leave within the next month or two?",
    datasets={"subscribers": Subscriber},
    main="subscribers",
    task=Classification(
        label="churned",
        features=features_of(Subscriber, without=("churned",), minimum_count=5, most_values=1_000),
        row_features=ROW_FEATURES,
        learners=LEARNERS,
        trials=15,
        slices=("gender", "senior_citizen", "marital_status"),
        # an average contact with an offer costs 15, keeping a leaver for the next months is worth 60
        profit=Profit(value=60.0, cost=15.0),
    ),
    metric="roc_auc",
    gates=(
        MinimumMetric(metric="roc_auc", limit=0.60),
        NotWorseThanChampion(metric="roc_auc"),
        Calibrated(limit=0.02),
        FairSlices(metric="roc_auc", max_gap=0.10),
        NoLeakage(max_single_feature=0.90),
        OnnxEqual(),
        Latency(),
    ),
    watch=Watch(psi=0.2, performance_drop=0.05),
    simulate=simulate,
    simulated_rows=6_000,
    publish=(Publication.of_predictions("churn_predictions", view="latest_predictions"),),
    segments=("contract_term",),
    horizon_days=31,
    label_delay_days=7,
    justified={
        "retention_calls": "calls to the retention team come before the subscriber leaves and are known on the day of "
        "scoring; where they are logged after the notice of termination, leave the column out",
        "retention_offers_accepted": "as retention_calls",
        "called_retention": "as retention_calls",
    },
)
