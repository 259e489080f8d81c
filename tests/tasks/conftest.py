"""A small table with every kind of column, nulls and a known cause, and learners that fit in a blink."""

import numpy as np
import pyarrow as pa
import pytest

from trunkline.contracts import col
from trunkline.tasks import Classification, Feature, Learner, Preprocessing, TrainedRows

FEATURES = (
    Feature("months"),
    Feature("charge"),
    Feature("noise"),
    Feature("paperless", "flag"),
    Feature("plan", "category"),
    Feature("area", "category", minimum_count=3),
)
ROW_FEATURES = {"charge_per_month": col("charge") / (col("months") + 1), "long": (col("months") > 24).as_number()}


def make_table(*, rows: int = 700, seed: int = 0) -> pa.Table:
    """Subscribers whose churn depends on months, charge and plan."""
    rng = np.random.default_rng(seed)
    months = rng.integers(0, 72, rows)
    charge = np.round(rng.gamma(4.0, 12.0, rows), 2)
    plan = rng.choice(["basic", "plus", "pro"], rows, p=[0.5, 0.3, 0.2])
    area = rng.choice([f"A{number:02d}" for number in range(30)], rows)
    paperless = rng.random(rows) < 0.6
    z = 0.8 - 0.05 * months + 0.02 * charge + np.where(plan == "basic", 0.8, -0.4) + 0.3 * paperless
    churned = rng.random(rows) < 1 / (1 + np.exp(-z))

    def holed(values: np.ndarray, share: float) -> list[object]:
        empty = rng.random(rows) < share
        return [None if gone else value for value, gone in zip(values.tolist(), empty, strict=True)]

    return pa.table(
        {
            "subscriber": [f"s{number}" for number in range(rows)],
            "household": [f"h{number // 2}" for number in range(rows)],
            "months": pa.array(holed(months, 0.03), pa.int64()),
            "charge": pa.array(holed(charge, 0.05), pa.float64()),
            "noise": pa.array(rng.normal(size=rows)),
            "paperless": pa.array(holed(paperless, 0.04), pa.bool_()),
            "plan": pa.array(holed(plan, 0.04), pa.string()),
            "area": pa.array(area, pa.string()),
            "churned": pa.array(churned),
            "bill": pa.array(np.round(20 + 0.8 * charge + 3 * months + rng.normal(0, 5, rows), 2)),
            "day": pa.array(np.arange(rows)),
        }
    )


def small_learners() -> tuple[Learner, ...]:
    """A linear learner, a booster of either library."""
    trees = Preprocessing(impute="none", encode="ordinal", scale="none")
    return (
        Learner(name="logistic", kind="logistic_regression", parameters={"C": 0.3}),
        Learner(
            name="lightgbm",
            kind="lightgbm",
            parameters={"n_estimators": 25, "num_leaves": 5, "min_child_samples": 10, "learning_rate": 0.1},
            preprocessing=trees,
        ),
        Learner(
            name="xgboost",
            kind="xgboost",
            parameters={"n_estimators": 25, "max_depth": 3, "learning_rate": 0.1},
            preprocessing=trees,
        ),
    )


def small_task(**changes: object) -> Classification:
    """A classification that trains in about a second."""
    declared: dict[str, object] = {
        "label": "churned",
        "features": FEATURES,
        "row_features": ROW_FEATURES,
        "learners": small_learners(),
        "folds": 3,
        "repeats": 1,
        "tune": "none",
        **changes,
    }
    return Classification.model_validate(declared)


@pytest.fixture(scope="session")
def table() -> pa.Table:
    return make_table()


@pytest.fixture(scope="session")
def trained(table: pa.Table) -> TrainedRows:
    """The small task, trained once for all tests that only look at it."""
    return small_task(slices=("plan", "months", "paperless")).train(table, seed=3, threads=2)
