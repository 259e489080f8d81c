"""A use case that learns in a second: churn in miniature, for tests of runs and for the drill.

It is a plug-in like any other; its folder is named by ``TRUNKLINE_PLUGIN_DIR``.
"""

from typing import ClassVar, Literal

from trunkline.contracts import Contract, Flag, Integer, Number, Rule, Table, Text, col, field
from trunkline.simulate import best_roc_auc, draw_labels, logistic
from trunkline.spec import (
    Calibrated,
    FairSlices,
    Latency,
    MinimumMetric,
    NoLeakage,
    NotWorseThanChampion,
    OnnxEqual,
    Simulation,
    UseCase,
    Watch,
)
from trunkline.tasks import Classification, Learner, Preprocessing, Profit, features_of


class Leaver(Contract):
    """One row per subscriber."""

    table: ClassVar[Table] = Table(
        key=("subscriber_id",),
        rules=(Rule("bill_covers_plan", col("plan_charge") <= col("monthly_charges"), "a bill holds the plan"),),
    )

    subscriber_id: Text = field("Identifier", max_length=32, pii="subscriber", aliases=("customerID",))
    left: Flag | None = field("Left within the horizon", aliases=("Churn",))
    tenure_months: Integer = field("Time since activation", unit="months", minimum=0, maximum=1200)
    contract_term: Literal["month", "year"] | None = field("Commitment", mapping={"Monthly": "month"})
    monthly_charges: Number | None = field("Bill", unit="currency", minimum=0)
    plan_charge: Number | None = field("Plan", unit="currency", minimum=0)
    dropped_calls: Number | None = field("Dropped calls a month", minimum=0)
    region: Literal["north", "south"] | None = field("Where the subscriber lives")


def simulate(*, rows: int, seed: int) -> Simulation:
    """Make subscribers whose reasons to leave are known."""
    import numpy as np
    import pyarrow as pa

    rng = np.random.default_rng(seed)
    tenure = rng.integers(0, 72, rows)
    term = rng.choice(["month", "year"], rows, p=[0.6, 0.4])
    plan = np.round(rng.uniform(10.0, 60.0, rows), 2)
    dropped = np.round(rng.gamma(1.2, 2.0, rows), 1)
    probability = logistic(-0.4 - 0.05 * tenure - 1.5 * (term == "year") + 0.02 * plan + 0.25 * dropped)
    left = draw_labels(probability, rng)
    table = pa.table(
        {
            "subscriber_id": pa.array([f"L{seed}-{number:06d}" for number in range(rows)]),
            "left": pa.array(left),
            "tenure_months": pa.array(tenure),
            "contract_term": pa.array(term),
            "monthly_charges": pa.array(np.round(plan + rng.gamma(1.0, 5.0, rows), 2)),
            "plan_charge": pa.array(plan),
            "dropped_calls": pa.array(dropped, mask=rng.random(rows) < 0.05),
            "region": pa.array(rng.choice(["north", "south"], rows)),
        }
    )
    return Simulation({"subscribers": table}, best_score=best_roc_auc(left, probability), metric="roc_auc")


usecase = UseCase(
    name="leavers",
    title="Leavers",
    question="Who is about to leave?",
    datasets={"subscribers": Leaver},
    main="subscribers",
    task=Classification(
        label="left",
        features=features_of(Leaver, without=("left",)),
        row_features={"overage": col("monthly_charges") - col("plan_charge")},
        learners=(
            Learner(
                name="logistic_regression",
                kind="logistic_regression",
                parameters={"C": 0.3},
                preprocessing=Preprocessing(impute="median", encode="one_hot", scale="standard"),
            ),
            Learner(
                name="lightgbm",
                kind="lightgbm",
                parameters={"n_estimators": 20, "learning_rate": 0.1, "num_leaves": 4, "min_child_samples": 20},
                preprocessing=Preprocessing(impute="none", encode="ordinal", scale="none"),
            ),
        ),
        folds=2,
        repeats=1,
        tune="none",
        # a blend whatever the rows: its model folder then has every kind of file
        weights={"logistic_regression": 0.5, "lightgbm": 0.5},
        slices=("region",),
        profit=Profit(value=50.0, cost=10.0),
    ),
    metric="roc_auc",
    gates=(
        MinimumMetric(metric="roc_auc", limit=0.60),
        NotWorseThanChampion(metric="roc_auc"),
        Calibrated(limit=0.15),  # so few rows say little
        FairSlices(metric="roc_auc", max_gap=0.25),
        NoLeakage(max_single_feature=0.95),
        OnnxEqual(),
        Latency(),
    ),
    watch=Watch(psi=0.2, performance_drop=0.05, minimum_outcomes=100),
    simulate=simulate,
    simulated_rows=600,
    horizon_days=31,
    label_delay_days=7,
)
