"""Row features of churn: arithmetic on one subscriber's row, null where an operand is null.

Two families, for the two kinds of tables that operators have: bills with services, and bills with usage. A family whose
columns a source lacks is left out of the model.
"""

from trunkline.contracts import Expr, col, larger

_tenure = col("tenure_months")
_revenue = col("monthly_charges")
_minutes = col("monthly_minutes")
_plan = col("recurring_charge")
_calls = col("peak_calls") + col("off_peak_calls")
_fiber = (col("internet_service") == "fiber").as_number()
_no_term = (col("contract_term") == "month").as_number()

# bills with services: without a commitment everything weighs more, and most of all early on
_SERVICES: dict[str, Expr] = {
    "mean_charge": col("total_charges") / larger(_tenure, 1),
    "log_tenure": _tenure.log1p(),
    "fiber_without_term": _fiber * _no_term,
    "without_term_early": _no_term / (_tenure + 1),
    "without_term_charge": _no_term * _revenue,
    "fiber_streaming": _fiber * (col("streaming_tv") == "yes").as_number(),
    "fiber_senior": _fiber * col("senior_citizen").as_number(),
    "check_log_tenure": (col("payment_method") == "electronic_check").as_number() * _tenure.log1p(),
}

# bills with usage: the changes are differences to the months before, so mean + change is the newest month
_recent_minutes = _minutes + col("change_minutes")
_recent_revenue = _revenue + col("change_revenue")
_minutes_trend = col("change_minutes") / (_minutes + 1)
_revenue_trend = col("change_revenue") / (larger(_revenue, 0) + 1)
_paid_plan = larger(_plan, 0) + 1
_active = larger(col("active_subscriptions"), 1)
_unique = larger(col("unique_subscriptions"), 1)
_handsets = larger(col("handsets"), 1)
_days_per_handset = _tenure * 30.4 / _handsets

_USAGE: dict[str, Expr] = {
    "recent_minutes": _recent_minutes,
    "recent_revenue": _recent_revenue,
    "minutes_trend": _minutes_trend,
    "revenue_trend": _revenue_trend,
    "minutes_trend_size": abs(_minutes_trend),
    "revenue_trend_size": abs(_revenue_trend),
    "over_plan": _revenue - _plan,
    "revenue_per_plan": _revenue / _paid_plan,
    "revenue_per_minute": _revenue / (_minutes + 1),
    "plan_per_minute": _plan / (_minutes + 1),
    "overage_share": col("overage_minutes") / (_minutes + 1),
    "recent_over_plan": _recent_revenue - _plan,
    "recent_revenue_per_minute": _recent_revenue / (_recent_minutes + 1),
    "recent_revenue_per_plan": _recent_revenue / _paid_plan,
    "plan_per_recent_minute": _plan / (_recent_minutes + 1),
    "calls": _calls,
    "minutes_per_call": _minutes / (_calls + 1),
    "dropped_rate": col("dropped_calls") / (_calls + 1),
    "blocked_rate": col("blocked_calls") / (_calls + 1),
    "dropped_blocked_rate": col("dropped_blocked_calls") / (_calls + 1),
    "care_rate": col("customer_care_calls") / (_calls + 1),
    "care_per_minute": col("customer_care_calls") / (_minutes + 1),
    "unanswered_rate": col("unanswered_calls") / (col("outbound_calls") + 1),
    "peak_share": col("peak_calls") / (_calls + 1),
    "inbound_share": col("inbound_calls") / (col("inbound_calls") + col("outbound_calls") + 1),
    "calls_gap": _calls - col("outbound_calls") - col("inbound_calls"),
    "inactive_subscriptions": col("unique_subscriptions") - col("active_subscriptions"),
    "minutes_per_subscription": _minutes / _active,
    "revenue_per_subscription": _revenue / _unique,
    "plan_per_subscription": _plan / _active,
    "recent_minutes_per_subscription": _recent_minutes / _active,
    "models_per_handset": col("handset_models") / _handsets,
    "subscriptions_per_handset": col("unique_subscriptions") / _handsets,
    "days_per_handset": _days_per_handset,
    "handset_age_ratio": col("current_equipment_days") / (_days_per_handset + 1),
    "recent_minutes_per_month": _recent_minutes / larger(_tenure, 1),
    "received_per_minute": col("received_calls") / (_minutes + 1),
    "outbound_per_minute": col("outbound_calls") / (_minutes + 1),
    "inbound_per_minute": col("inbound_calls") / (_minutes + 1),
    "unanswered_per_minute": col("unanswered_calls") / (_minutes + 1),
    "off_peak_per_minute": col("off_peak_calls") / (_minutes + 1),
    "peak_per_minute": col("peak_calls") / (_minutes + 1),
}

ROW_FEATURES: dict[str, Expr] = {**_SERVICES, **_USAGE}
