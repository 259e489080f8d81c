"""Simulated churn: subscribers whose reasons to leave are known.

Causes, in log-odds: short tenure, month-to-month contract, a fibre line without tech support, a bill above what the
services are worth, dropped calls, calls to customer care, falling minutes, an old handset; commitment and bundles hold
people. ``gender`` and ``paperless_billing`` are decoys. The label is drawn from the true probability, so the best
possible score is known.
"""

from typing import TYPE_CHECKING

from trunkline.simulate import best_roc_auc, draw_labels, logistic, shifted_to_rate
from trunkline.spec import Simulation

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

CHURN_RATE = 0.24


def simulate(*, rows: int, seed: int) -> Simulation:
    """Make ``rows`` subscribers.

    Args:
        rows: At least 1.
        seed: The same seed gives the same rows.

    Returns:
        Table ``subscribers`` under the contract's names; some values missing, as in real tables.
    """
    import numpy as np
    import pyarrow as pa

    rng = np.random.default_rng(seed)
    term = rng.choice(["month", "one_year", "two_year"], rows, p=[0.55, 0.22, 0.23])
    held = np.select([term == "one_year", term == "two_year"], [14.0, 26.0], 0.0)
    tenure = np.minimum(held + rng.gamma(1.3, 18.0, rows), 96).astype(np.int64)
    internet = rng.choice(["fiber", "dsl", "none"], rows, p=[0.44, 0.35, 0.21])
    online = internet != "none"
    support = online & (rng.random(rows) < 0.35)
    streaming = online & (rng.random(rows) < 0.5)
    lines = rng.random(rows) < 0.42
    worth = 20.0 + 25.0 * (internet == "dsl") + 48.0 * (internet == "fiber") + 9.0 * streaming + 6.0 * support
    charges = np.maximum(worth + 7.0 * lines + rng.normal(0.0, 6.0, rows), 15.0)
    quality = rng.gamma(1.2, 2.5, rows)
    dropped = np.round(quality * rng.uniform(0.4, 1.6, rows), 1)
    care = rng.poisson(0.4 + 0.25 * quality).astype(np.float64)
    minutes = np.round(rng.gamma(2.2, 210.0, rows), 1)
    change = np.round(rng.normal(-5.0, 0.35 * minutes + 20.0), 1)
    handset_days = rng.integers(5, 1200, rows)
    handset_days = np.minimum(handset_days, tenure * 30 + 30)

    log_odds = (
        -0.045 * tenure
        - 1.1 * (term == "one_year")
        - 2.2 * (term == "two_year")
        + 0.9 * ((internet == "fiber") & ~support)
        + 0.035 * (charges - worth)
        + 0.11 * dropped
        + 0.22 * care
        - 0.7 * np.tanh(change / (minutes + 50.0) * 2.0)
        + 0.0011 * handset_days
        - 0.35 * (support & streaming)
    )
    probability = logistic(shifted_to_rate(log_odds, rate=CHURN_RATE))
    churned = draw_labels(probability, rng)
    table = pa.table(
        {
            "subscriber_id": pa.array([f"S{number:08d}" for number in range(rows)]),
            "tenure_months": pa.array(tenure),
            "contract_term": pa.array(term),
            "internet_service": pa.array(internet),
            "tech_support": _option(support, online),
            "streaming_tv": _option(streaming, online),
            "multiple_lines": pa.array(np.where(lines, "yes", "no")),
            "monthly_charges": _with_nulls(np.round(charges, 2), rng, share=0.01),
            "monthly_minutes": _with_nulls(minutes, rng, share=0.02),
            "change_minutes": _with_nulls(change, rng, share=0.02),
            "dropped_calls": pa.array(dropped),
            "customer_care_calls": pa.array(care),
            "current_equipment_days": pa.array(handset_days),
            "gender": pa.array(rng.choice(["female", "male"], rows)),
            "paperless_billing": pa.array(rng.random(rows) < 0.6),
            "churned": pa.array(churned),
        }
    )
    best = best_roc_auc(churned, probability) if 0 < int(churned.sum()) < rows else 1.0
    return Simulation({"subscribers": table}, best_score=best, metric="roc_auc")


def _option(chosen: "npt.NDArray[np.bool_]", online: "npt.NDArray[np.bool_]") -> object:
    import numpy as np
    import pyarrow as pa

    return pa.array(np.where(~online, "no_internet", np.where(chosen, "yes", "no")))


def _with_nulls(values: "npt.NDArray[np.float64]", rng: "np.random.Generator", *, share: float) -> object:
    import pyarrow as pa

    return pa.array(values, mask=rng.random(values.shape) < share)
