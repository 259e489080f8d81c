"""The label where it is not known, the bands that bias is looked for in, and arithmetic on one subscriber's row.

Where a row has the instant of its observation, an upgrade is one of the 90 days after it. An extract has none, and the
proxy is taken: among subscribers with more than six months of service, an upgrade is a handset of at most 90 days that
is at least their second one. Both halves are needed: the first handset of a subscriber is new without being an upgrade.
Everybody else of the cohort has not upgraded; who is outside of the cohort, or whose handset is unknown, has no label:
no model learns from the row, and it is scored like any other.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from trunkline.contracts import Expr, col, larger

if TYPE_CHECKING:
    import ibis.expr.types as ir

__all__ = ["BANDS", "COHORT_MONTHS", "HORIZON_DAYS", "ROW_FEATURES", "labelled"]

COHORT_MONTHS: Final = 6
"""Months of service that a subscriber must have more of."""

HORIZON_DAYS: Final = 90
"""Age of a handset, in days, up to which it is new."""

BANDS: Final = ("age_band", "income_band", "area", "credit_rating")
"""Columns by whose values the model is judged apart."""

_AREA_LETTERS: Final = 3


def labelled(tables: "Mapping[str, ir.Table]") -> "ir.Table":
    """Give the subscribers with ``upgraded`` where it can be derived, and with the bands of age, income and area.

    Args:
        tables: The lake's tables by name; ``subscribers`` is read.

    Returns:
        One row per subscriber. A label that came with the row stays.
    """
    import ibis

    rows = tables["subscribers"]
    cohort = rows["tenure_months"] > COHORT_MONTHS
    known = rows["current_equipment_days"].notnull() & rows["handsets"].notnull()
    new = (rows["current_equipment_days"] <= HORIZON_DAYS) & (rows["handsets"] >= 2)
    ends = rows["observed_at"] + ibis.interval(days=HORIZON_DAYS)
    followed = (rows["upgraded_at"] > rows["observed_at"]) & (rows["upgraded_at"] <= ends)
    proxy = ibis.cases(
        (rows["observed_at"].notnull(), followed.fill_null(False)),
        (cohort & known, new),
        else_=ibis.null("boolean"),
    )
    age, income = rows["age_first_years"], rows["income_group"]
    return rows.mutate(
        upgraded=ibis.coalesce(rows["upgraded"], proxy),
        age_band=ibis.cases(
            (age.isnull() | (age == 0), "unknown"),
            (age < 30, "18 to 29"),
            (age < 40, "30 to 39"),
            (age < 50, "40 to 49"),
            (age < 60, "50 to 59"),
            else_="60 and more",
        ),
        income_band=ibis.cases(
            (income.isnull() | (income == 0), "unknown"),
            (income <= 3, "1 to 3"),
            (income <= 6, "4 to 6"),
            else_="7 to 9",
        ),
        area=rows["service_area"].left(_AREA_LETTERS),
    )


_minutes = col("monthly_minutes")
_revenue = col("monthly_charges")
_plan = col("recurring_charge")
_calls = col("peak_calls") + col("off_peak_calls")
_paid_plan = larger(_plan, 0) + 1
_active = larger(col("active_subscriptions"), 1)
_unique = larger(col("unique_subscriptions"), 1)
_recent_minutes = _minutes + col("change_minutes")
_recent_revenue = _revenue + col("change_revenue")

ROW_FEATURES: Final[dict[str, Expr]] = {
    "over_plan": _revenue - _plan,
    "revenue_per_plan": _revenue / _paid_plan,
    "revenue_per_minute": _revenue / (_minutes + 1),
    "plan_per_minute": _plan / (_minutes + 1),
    "overage_share": col("overage_minutes") / (_minutes + 1),
    "calls": _calls,
    "minutes_per_call": _minutes / (_calls + 1),
    "dropped_rate": col("dropped_calls") / (_calls + 1),
    "care_rate": col("customer_care_calls") / (_calls + 1),
    "care_per_minute": col("customer_care_calls") / (_minutes + 1),
    "peak_share": col("peak_calls") / (_calls + 1),
    "inactive_subscriptions": col("unique_subscriptions") - col("active_subscriptions"),
    "minutes_per_subscription": _minutes / _active,
    "revenue_per_subscription": _revenue / _unique,
    "plan_per_subscription": _plan / _active,
    # the newest month, where its change is read at all
    "recent_minutes": _recent_minutes,
    "recent_revenue": _recent_revenue,
    "minutes_trend": col("change_minutes") / (_minutes + 1),
    "revenue_trend": col("change_revenue") / (larger(_revenue, 0) + 1),
    "recent_over_plan": _recent_revenue - _plan,
    "recent_revenue_per_minute": _recent_revenue / (_recent_minutes + 1),
}
"""Null where an operand is null; those of columns that are left out are left out with them."""
