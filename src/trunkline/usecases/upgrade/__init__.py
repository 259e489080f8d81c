"""Which subscribers will take a new handset soon?"""

from typing import Final

from pydantic import BaseModel, ConfigDict, Field, field_validator

from trunkline.contracts.records import CustomerMessage
from trunkline.spec import (
    Calibrated,
    FairDecisions,
    FairSlices,
    Latency,
    MinimumMetric,
    NoLeakage,
    NotWorseThanChampion,
    OnnxEqual,
    Publication,
    UseCase,
    Watch,
)
from trunkline.tasks import Classification, Profit, features_of
from trunkline.usecases.upgrade.audience import AUDIENCE
from trunkline.usecases.upgrade.columns import GROUPS, JUSTIFIED, PostDated, left_out
from trunkline.usecases.upgrade.contracts import CampaignResult, Consent, Subscriber
from trunkline.usecases.upgrade.features import BANDS, HORIZON_DAYS, ROW_FEATURES, labelled
from trunkline.usecases.upgrade.learners import LEARNERS
from trunkline.usecases.upgrade.simulate import simulate

EXPLAINED_GAPS: Final = {
    "credit_rating": "of subscribers with a low rating twice as many upgrade as of those with a high one (17 % against "
    "8 %), and the scores say so: each rating's mean score is within 0.03 of its share; to be picked is to be sent an "
    "offer, and no credit is granted or refused by this model",
}
"""Columns whose parts are picked so differently that the gate would refuse, and why that is accepted."""


class Choices(BaseModel):
    """What an operator may set under ``[usecases.upgrade]``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    also: tuple[PostDated, ...] = Field(
        ("changes",),
        description="Groups of columns that may be later than the upgrade and are read nevertheless, joined by commas.",
    )

    @field_validator("also", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        """Settings hold one text."""
        return tuple(name.strip() for name in value.split(",") if name.strip()) if isinstance(value, str) else value


def chosen(choices: Choices) -> UseCase:
    """Make the use case with the columns that were chosen."""
    without = left_out(choices.also)
    read = {name: expr for name, expr in ROW_FEATURES.items() if not expr.columns() & set(without)}
    return UseCase(
        name="upgrade",
        title="Device upgrade",
        question="Which subscribers will take a new handset within the next 90 days?",
        datasets={"subscribers": Subscriber, "campaign_results": CampaignResult, "consents": Consent},
        main="subscribers",
        table_features=labelled,
        task=Classification(
            label="upgraded",
            features=features_of(Subscriber, without=("upgraded", *without), minimum_count=5),
            row_features=read,
            learners=LEARNERS,
            tune="none",
            slices=BANDS,
            # a contact with an offer costs 5, a handset sold to somebody contacted brings 40
            profit=Profit(value=40.0, cost=5.0),
            watched=tuple(name for name in ("current_equipment_days", "handsets") if name in without),
            leakage_limit=0.70,
        ),
        metric="roc_auc",
        gates=(
            MinimumMetric(metric="roc_auc", limit=0.65),
            NotWorseThanChampion(metric="roc_auc"),
            Calibrated(limit=0.02),
            FairSlices(metric="roc_auc", max_gap=0.10),
            FairDecisions(max_odds_gap=0.20, max_selection_gap=0.20, explained=EXPLAINED_GAPS),
            NoLeakage(max_single_feature=0.70, too_good=0.80),
            OnnxEqual(),
            Latency(),
        ),
        watch=Watch(psi=0.2, mean_shift=0.25, performance_drop=0.05),
        simulate=simulate,
        simulated_rows=20_000,
        horizon_days=HORIZON_DAYS,
        audience=AUDIENCE,
        publish=(
            Publication.of_predictions("upgrade_predictions", view="latest_upgrade_predictions"),
            Publication(name="upgrade_audience", table="platform.audiences"),
            Publication(
                name="messages", table="upgrade.messages", contract=CustomerMessage, mode="append", by_name=True
            ),
        ),
        label_delay_days=7,
        segments=("area_type",),
        justified={name: JUSTIFIED[group] for group in choices.also for name in GROUPS[group]},
        choices=Choices,
        chosen=chosen,
    )


usecase = chosen(Choices())
