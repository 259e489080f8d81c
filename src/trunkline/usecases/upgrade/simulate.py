"""Simulated upgrades in true time order: what is known on a day, and whether a new handset followed within 90 days.

Each subscriber is observed at an instant of two years; every other column describes the time before it. Causes, in
log-odds: minutes beyond the plan, dropped calls and calls to customer care (an old handset), age, income, a good credit
rating, several subscriptions, an answer to earlier mailings; young contracts hold people. ``truck_owner`` and
``marital_status`` are decoys. The label is drawn from the true probability, and the instant of an upgrade from the 90
days after the observation: the best possible score is known, and nothing of the handset is read to reach it.
"""

from typing import TYPE_CHECKING, Final

from trunkline.simulate import best_roc_auc, draw_labels, logistic, shifted_to_rate
from trunkline.spec import Simulation
from trunkline.usecases.upgrade.features import COHORT_MONTHS, HORIZON_DAYS

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

UPGRADE_RATE: Final = 0.12
_FIRST_DAY: Final = "2024-01-01T00:00:00"
_DAYS: Final = 730
_SECONDS: Final = 86_400
_AREAS: Final = tuple(f"{city}{number}" for city in ("NYC", "CHI", "SEA") for number in range(4))


def simulate(*, rows: int, seed: int) -> Simulation:
    """Make ``rows`` subscribers.

    Args:
        rows: At least 1.
        seed: The same seed gives the same rows.

    Returns:
        Table ``subscribers`` under the contract's names; ``observed_at`` comes before ``upgraded_at``.
    """
    import numpy as np
    import pyarrow as pa

    rng = np.random.default_rng(seed)
    observed = np.datetime64(_FIRST_DAY, "us") + rng.integers(0, _DAYS * _SECONDS, rows).astype("timedelta64[s]")
    tenure = COHORT_MONTHS + 1 + rng.gamma(1.6, 10.0, rows).astype(np.int64)
    plan = rng.choice([30.0, 45.0, 60.0, 85.0], rows, p=[0.3, 0.35, 0.25, 0.1])
    minutes = np.round(rng.gamma(2.0, 4.5 * plan, rows), 1)
    overage = np.round(rng.gamma(0.7, 45.0, rows), 1)
    dropped = np.round(rng.gamma(1.1, 4.0, rows), 1)
    care = np.round(rng.gamma(0.6, 2.5, rows), 1)
    age = rng.integers(18, 85, rows)
    told = rng.random(rows) < 0.8
    income = rng.integers(0, 10, rows)
    credit = rng.choice(np.arange(1, 8), rows, p=[0.2, 0.3, 0.2, 0.1, 0.12, 0.05, 0.03])
    unique = 1 + rng.poisson(0.6, rows)
    mailed = rng.random(rows) < 0.35
    log_odds = (
        0.010 * overage
        + 0.11 * dropped
        + 0.17 * care
        - 0.008 * np.where(told, age - 51.0, 0.0)
        + 0.03 * income
        - 0.08 * credit
        + 0.40 * (unique - 1)
        + 0.65 * mailed
        + 0.012 * tenure
    )
    probability = logistic(shifted_to_rate(log_odds, rate=UPGRADE_RATE))
    upgraded = draw_labels(probability, rng)
    after = rng.integers(1, HORIZON_DAYS * _SECONDS, rows).astype("timedelta64[s]")
    instant = pa.timestamp("us", tz="UTC")
    table = pa.table(
        {
            "subscriber_id": pa.array([f"U{number:08d}" for number in range(rows)]),
            "observed_at": pa.array(observed, pa.timestamp("us")).cast(instant),
            "upgraded_at": pa.array(observed + after, pa.timestamp("us"), mask=~upgraded).cast(instant),
            "upgraded": pa.array(upgraded),
            "tenure_months": pa.array(tenure),
            "service_area": pa.array(rng.choice(_AREAS, rows)),
            "monthly_charges": pa.array(np.round(plan + 0.3 * overage + rng.normal(0.0, 3.0, rows), 2)),
            "recurring_charge": pa.array(plan),
            "monthly_minutes": pa.array(minutes, mask=rng.random(rows) < 0.01),
            "overage_minutes": pa.array(overage),
            "dropped_calls": pa.array(dropped),
            "customer_care_calls": pa.array(care),
            "unique_subscriptions": pa.array(unique),
            "active_subscriptions": pa.array(1 + rng.binomial(unique - 1, 0.7)),
            "credit_rating": pa.array(credit),
            "age_first_years": pa.array(age, mask=~told),
            "income_group": pa.array(income),
            "responds_to_mail": pa.array(mailed),
            "marital_status": pa.array(rng.choice(["married", "single", "unknown"], rows)),
            "truck_owner": pa.array(rng.random(rows) < 0.2),
        }
    )
    return Simulation({"subscribers": table}, best_score=_best(upgraded, probability), metric="roc_auc")


def _best(label: "npt.NDArray[np.bool_]", probability: "npt.NDArray[np.float64]") -> float:
    return best_roc_auc(label, probability) if 0 < int(label.sum()) < label.size else 1.0
