"""A small use case and real trained models of it."""

from collections.abc import Callable
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import pyarrow as pa
import pytest

from trunkline.contracts import Contract, Flag, Integer, Number, Rule, Table, Text, col, field
from trunkline.spec import UseCase
from trunkline.tasks import Classification, Learner, features_of


class Line(Contract):
    """One row per access line."""

    table: ClassVar[Table] = Table(
        key=("line_id",), rules=(Rule("used_below_sold", col("used_mbps") <= col("sold_mbps")),)
    )

    line_id: Text = field(max_length=40)
    sold_mbps: Number = field(unit="Mbit/s", minimum=0, aliases=("Sold",))
    used_mbps: Number | None = field(unit="Mbit/s", minimum=0)
    age_months: Integer | None = field(unit="months", minimum=0, maximum=600)
    medium: Literal["copper", "fibre", "radio"] | None = field()
    leased: Flag | None = field()
    fails: Flag | None = field("Fails within a month")


FEATURES = features_of(Line, without=("fails",))
CLASSIFICATION = UseCase(
    name="lines",
    title="Lines",
    question="Which lines fail?",
    datasets={"lines": Line},
    main="lines",
    task=Classification(
        label="fails",
        features=FEATURES,
        row_features={"load": col("used_mbps") / (col("sold_mbps") + 1)},
        learners=(
            Learner(name="boosted", kind="lightgbm", parameters={"n_estimators": 20, "num_leaves": 7}),
            Learner(name="logistic", kind="logistic_regression"),
        ),
        folds=2,
        tune="none",
    ),
    metric="roc_auc",
)


def simulated(*, rows: int, seed: int) -> pa.Table:
    """Lines whose failure depends on load, age and medium."""
    random = np.random.default_rng(seed)
    sold = random.choice([16.0, 50.0, 100.0], rows)
    used = sold * random.beta(2, 3, rows)
    age = random.integers(0, 240, rows)
    medium = random.choice(["copper", "fibre", "radio"], rows)
    logit = 3 * used / (sold + 1) + age / 120 - 2.5 + np.where(medium == "copper", 1.0, 0.0)
    fails = random.random(rows) < 1 / (1 + np.exp(-logit))
    return pa.table(
        {
            "line_id": pa.array([f"L{number}" for number in range(rows)]),
            "sold_mbps": pa.array(sold),
            "used_mbps": pa.array(used, mask=random.random(rows) < 0.05),
            "age_months": pa.array(age, pa.int64()),
            "medium": pa.array(medium, mask=random.random(rows) < 0.05),
            "leased": pa.array(random.random(rows) < 0.5),
            "fails": pa.array(fails),
        }
    )


@pytest.fixture(scope="session")
def usecase() -> UseCase:
    return CLASSIFICATION


@pytest.fixture(scope="session")
def trained_folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two models of the use case, trained on different rows."""
    folders = []
    for seed in (1, 2):
        assert CLASSIFICATION.task is not None
        model = CLASSIFICATION.task.train(simulated(rows=400, seed=seed), seed=seed).model
        folders.append(tmp_path_factory.mktemp("trained") / str(seed))
        model.save(folders[-1])
    return folders[0], folders[1]


@pytest.fixture(scope="session")
def lines() -> Callable[[int, int], pa.Table]:
    """Makes a table of the use case from a number of rows and a seed."""
    return lambda rows, seed: simulated(rows=rows, seed=seed)
