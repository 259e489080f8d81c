"""What an upgrade table holds: one row per subscriber at the moment of the extract.

Every field but the key is nullable: a source brings those it has, and the model is trained on those. The aliases are
the column names of the public table Cell2Cell. Fields of the handset and of what may follow an upgrade are taken in to
derive the label and to watch their drift; ``columns.py`` says which of them a model may read.
"""

from typing import ClassVar, Literal

from trunkline.contracts import Contract, Flag, Instant, Integer, Number, Rule, Table, Text, col, field


class Subscriber(Contract):
    """One row per subscriber: service, bill, usage, household, credit, handset, and whether a new handset followed."""

    table: ClassVar[Table] = Table(
        key=("subscriber_id",),
        rules=(
            Rule(
                "active_among_unique",
                col("active_subscriptions") <= col("unique_subscriptions"),
                "no more subscriptions are active than there are",
            ),
            Rule("models_among_handsets", col("handset_models") <= col("handsets"), "each model is a handset"),
        ),
    )

    subscriber_id: Text = field(
        "Identifier of the subscriber", max_length=64, pii="subscriber", aliases=("CustomerID", "customer_id")
    )
    upgraded: Flag | None = field(
        "New handset within 90 days after the observation; where it is absent the proxy of the README is taken"
    )

    observed_at: Instant | None = field("What the row describes was known by then; null where an extract has no time")
    upgraded_at: Instant | None = field("When the next handset was issued; null where none was, or nobody knows")

    # service and bill
    tenure_months: Integer | None = field(
        "Time since activation", unit="months", minimum=0, maximum=1200, aliases=("MonthsInService",)
    )
    service_area: Text | None = field("Communication service area", max_length=40, aliases=("ServiceArea",))
    unique_subscriptions: Integer | None = field(minimum=0, aliases=("UniqueSubs",))
    active_subscriptions: Integer | None = field(minimum=0, aliases=("ActiveSubs",))
    monthly_charges: Number | None = field(
        "Mean monthly revenue; negative after credits", unit="currency", aliases=("MonthlyRevenue",)
    )
    recurring_charge: Number | None = field(
        "Mean recurring charge a month", unit="currency", aliases=("TotalRecurringCharge",)
    )
    credit_rating: Integer | None = field(
        "1 is the highest",
        minimum=1,
        maximum=7,
        aliases=("CreditRating",),
        mapping={
            "1-Highest": "1",
            "2-High": "2",
            "3-Good": "3",
            "4-Medium": "4",
            "5-Low": "5",
            "6-VeryLow": "6",
            "7-Lowest": "7",
        },
    )
    credit_adjustments: Integer | None = field(
        "Adjustments made to the credit rating", minimum=0, aliases=("AdjustmentsToCreditRating",)
    )

    # usage, means a month
    monthly_minutes: Number | None = field(unit="min", minimum=0, aliases=("MonthlyMinutes",))
    overage_minutes: Number | None = field(unit="min", minimum=0, aliases=("OverageMinutes",))
    change_minutes: Number | None = field(
        "Change of the month's minutes against the three months before", unit="min", aliases=("PercChangeMinutes",)
    )
    change_revenue: Number | None = field(
        "Change of the month's revenue against the three months before",
        unit="currency",
        aliases=("PercChangeRevenues",),
    )
    director_assisted_calls: Number | None = field(unit="1/month", minimum=0, aliases=("DirectorAssistedCalls",))
    roaming_calls: Number | None = field(unit="1/month", minimum=0, aliases=("RoamingCalls",))
    dropped_calls: Number | None = field(unit="1/month", minimum=0, aliases=("DroppedCalls",))
    blocked_calls: Number | None = field(unit="1/month", minimum=0, aliases=("BlockedCalls",))
    dropped_blocked_calls: Number | None = field(unit="1/month", minimum=0, aliases=("DroppedBlockedCalls",))
    unanswered_calls: Number | None = field(unit="1/month", minimum=0, aliases=("UnansweredCalls",))
    customer_care_calls: Number | None = field(unit="1/month", minimum=0, aliases=("CustomerCareCalls",))
    threeway_calls: Number | None = field(unit="1/month", minimum=0, aliases=("ThreewayCalls",))
    received_calls: Number | None = field(unit="1/month", minimum=0, aliases=("ReceivedCalls",))
    outbound_calls: Number | None = field(unit="1/month", minimum=0, aliases=("OutboundCalls",))
    inbound_calls: Number | None = field(unit="1/month", minimum=0, aliases=("InboundCalls",))
    peak_calls: Number | None = field(unit="1/month", minimum=0, aliases=("PeakCallsInOut",))
    off_peak_calls: Number | None = field(unit="1/month", minimum=0, aliases=("OffPeakCallsInOut",))
    call_forwarding_calls: Number | None = field(unit="1/month", minimum=0, aliases=("CallForwardingCalls",))
    call_waiting_calls: Number | None = field(unit="1/month", minimum=0, aliases=("CallWaitingCalls",))

    # the handset: known after an upgrade only
    current_equipment_days: Integer | None = field(
        "Age of the current handset; negative while it is on its way", unit="days", aliases=("CurrentEquipmentDays",)
    )
    handsets: Integer | None = field("Handsets issued", minimum=0, aliases=("Handsets",))
    handset_models: Integer | None = field("Models issued", minimum=0, aliases=("HandsetModels",))
    handset_price: Number | None = field(
        unit="currency", minimum=0, aliases=("HandsetPrice",), null_tokens=("Unknown",)
    )
    handset_refurbished: Flag | None = field(aliases=("HandsetRefurbished",))
    handset_web_capable: Flag | None = field(aliases=("HandsetWebCapable",))

    # contacts, and what came of them
    churned: Flag | None = field("Left after the extract", aliases=("Churn",))
    retention_calls: Integer | None = field("Calls to the retention team", minimum=0, aliases=("RetentionCalls",))
    retention_offers_accepted: Integer | None = field(minimum=0, aliases=("RetentionOffersAccepted",))
    called_retention: Flag | None = field(aliases=("MadeCallToRetentionTeam",))
    referrals: Integer | None = field(minimum=0, aliases=("ReferralsMadeBySubscriber",))
    buys_by_mail: Flag | None = field(aliases=("BuysViaMailOrder",))
    responds_to_mail: Flag | None = field(aliases=("RespondsToMailOffers",))
    opted_out_of_mailings: Flag | None = field(aliases=("OptOutMailings",))

    # person and household
    children: Flag | None = field(aliases=("ChildrenInHH",))
    marital_status: Literal["married", "single", "unknown"] | None = field(
        aliases=("MaritalStatus",), mapping={"Yes": "married", "No": "single", "Unknown": "unknown"}
    )
    age_first_years: Number | None = field(
        "Age of the first household member; 0 where unknown", unit="years", minimum=0, maximum=130, aliases=("AgeHH1",)
    )
    age_second_years: Number | None = field(
        "Age of the second household member; 0 where unknown", unit="years", minimum=0, maximum=130, aliases=("AgeHH2",)
    )
    income_group: Integer | None = field("0 where unknown", minimum=0, maximum=9, aliases=("IncomeGroup",))
    home_ownership: Literal["known", "unknown"] | None = field(
        aliases=("Homeownership",), mapping={"Known": "known", "Unknown": "unknown"}
    )
    occupation: Text | None = field(max_length=40, aliases=("Occupation",))
    area_type: Text | None = field("Town, suburb, country", max_length=40, aliases=("PrizmCode",))
    truck_owner: Flag | None = field(aliases=("TruckOwner",))
    rv_owner: Flag | None = field(aliases=("RVOwner",))
    motorcycle_owner: Flag | None = field(aliases=("OwnsMotorcycle",))
    computer_owner: Flag | None = field(aliases=("OwnsComputer",))
    credit_card_owner: Flag | None = field(aliases=("HasCreditCard",))
    travels_abroad: Flag | None = field(aliases=("NonUSTravel",))
    new_phone_user: Flag | None = field(aliases=("NewCellphoneUser",))
    not_new_phone_user: Flag | None = field(aliases=("NotNewCellphoneUser",))


class CampaignResult(Contract):
    """One row per subscriber and campaign: whether they were contacted, what they did, what they brought."""

    table: ClassVar[Table] = Table(key=("subscriber_id", "campaign"), event_at="observed_at")

    subscriber_id: Text = field(
        "Identifier of the subscriber", max_length=64, pii="subscriber", aliases=("CustomerID", "customer_id")
    )
    campaign: Text = field("The run that made the audience", max_length=80)
    contacted: Flag = field("False for whom no channel reached, and for the holdout group")
    responded: Flag = field("Took a new handset, whoever was contacted")
    revenue: Number = field("What the subscriber brought beyond the usual bill", unit="currency")
    observed_at: Instant = field("When the result was known")


class Consent(Contract):
    """One row each time that a subscriber agrees to be contacted through a channel, or takes that back."""

    table: ClassVar[Table] = Table(key=("subscriber_id", "channel", "said_at"), event_at="said_at")

    subscriber_id: Text = field(
        "Identifier of the subscriber", max_length=64, pii="subscriber", aliases=("CustomerID", "customer_id")
    )
    channel: Text = field("push, sms, email ...", pattern="[a-z][a-z0-9_]*")
    given: Flag = field("Agreed, or taken back")
    said_at: Instant = field("When")
