"""Whom to offer a new handset: who will upgrade and stay, by segments, with the offers of the shop.

Prices and values are examples that an operator replaces by their own; they are in the currency of the charges.
"""

from typing import Final

from trunkline.contracts import col
from trunkline.spec import Audience, Offer, Segment
from trunkline.usecases.upgrade.features import COHORT_MONTHS

AUDIENCE: Final = Audience(
    # the model has learned from subscribers of more than six months; nobody who opted out is contacted
    eligible=(col("tenure_months") > COHORT_MONTHS) & ~col("opted_out_of_mailings").fill_null(False),
    segments=(
        Segment(
            name="heavy_users",
            title="Heavy users",
            where=(col("monthly_minutes") >= 800) | (col("overage_minutes") >= 100),
        ),
        Segment(
            name="families",
            title="Families and second lines",
            where=(col("active_subscriptions") >= 2) | col("children").fill_null(False),
        ),
        Segment(name="poor_reception", title="Poor reception", where=col("dropped_blocked_calls") >= 12),
        Segment(name="others", title="All others"),
    ),
    offers=(
        Offer(name="flagship", title="Flagship handset", segments=("heavy_users",), value=90.0, cost=6.0),
        Offer(name="family_bundle", title="Family bundle", segments=("families",), value=70.0, cost=5.0),
        Offer(
            name="better_radio", title="Handset with a better radio", segments=("poor_reception",), value=60.0, cost=5.0
        ),
        Offer(name="trade_in", title="Trade-in discount", segments=("others",), value=40.0, cost=5.0),
    ),
    holdout_share=0.05,
    companion="churn",
    least_stays=0.6,
    consents="consents",
    results="campaign_results",
)
"""``stays`` is one less the probability that the champion of ``churn`` gives."""
