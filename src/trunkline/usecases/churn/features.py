"""Row features of churn: arithmetic on one subscriber's row, null where an operand is null."""

from trunkline.contracts import Expr, col, count_true, larger

_OPTIONS = (
    "online_security",
    "online_backup",
    "device_protection",
    "tech_support",
    "streaming_tv",
    "streaming_movies",
)

ROW_FEATURES: dict[str, Expr] = {
    # the bill against its own history and against the tenure
    "charges_per_tenure_month": col("total_charges") / larger(col("tenure_months"), 1),
    "charge_above_mean": col("monthly_charges") - col("total_charges") / larger(col("tenure_months"), 1),
    "log_tenure": col("tenure_months").log1p(),
    "services": count_true(*(col(name) == "yes" for name in _OPTIONS)),
    # usage against the bundle
    "overage_share": col("overage_minutes") / (col("monthly_minutes") + 1),
    "change_share": col("change_minutes") / (col("monthly_minutes") + 1),
    "charge_per_minute": col("monthly_charges") / (col("monthly_minutes") + 1),
    "dropped_share": col("dropped_blocked_calls") / (col("outbound_calls") + col("received_calls") + 1),
    # the handset against the tenure: the commitment that came with it has run out
    "equipment_share": col("current_equipment_days") / (col("tenure_months") * 30.4 + 1),
    "days_per_handset": col("tenure_months") * 30.4 / larger(col("handsets"), 1),
    "active_share": col("active_subscriptions") / larger(col("unique_subscriptions"), 1),
}
