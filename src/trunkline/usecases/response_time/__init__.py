"""How slow will each server be in the next six hours? Forecasts with intervals, made every hour.

``Choices`` is what an operator may set under ``[usecases.response_time]``; the use case is made from it.
"""

from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, Field

from trunkline.spec import (
    BeatsBaselines,
    CoverageWithin,
    Derived,
    NotWorseThanChampion,
    Retrain,
    UseCase,
    Watch,
)
from trunkline.tasks import Forecasting
from trunkline.usecases.response_time.contracts import (
    RESPONSE_TIME,
    ResponsePercentiles,
    ServerHour,
    ServerMetric,
)
from trunkline.usecases.response_time.features import long_form, percentiles
from trunkline.usecases.response_time.published import PUBLISHED
from trunkline.usecases.response_time.simulate import simulate
from trunkline.usecases.response_time.unwrapping import metric_data

__all__ = ["Choices", "response_time", "usecase"]

_HORIZONS = 6


class Choices(BaseModel, frozen=True, extra="forbid"):
    """What may be set of this use case."""

    limits_ms: Mapping[str, float] = Field(
        {}, description="Limit by server that warnings are given for, ms; others: the upper whisker of training."
    )
    warn_at: float = Field(0.4, gt=0, lt=1, description="Probability of exceeding a limit from which on to warn.")
    zone: str = Field("UTC", description="Time zone that people work by, an IANA name.")
    country: str = Field("", description="Country whose holidays count, two letters; empty for none.")
    booster: Literal["xgboost", "lightgbm"] = Field("xgboost", description="The learner of each hour ahead.")
    trials: int = Field(5, ge=1, le=200, description="Tries of the search for each hour ahead.")
    evaluation_days: int = Field(28, ge=7, le=90, description="Days that the rolling evaluation judges.")
    retrain_days: float = Field(7.0, gt=0, description="Days of data after which a run learns a new champion.")
    retrain_on_drift: bool = Field(False, description="Learn as soon as measured errors are beyond their limit.")


def response_time(choices: Choices) -> UseCase:
    """Make the use case.

    Args:
        choices: What was set.
    """
    return UseCase(
        name="response_time",
        title="Response time",
        question="How slow will each server be in each of the next six hours?",
        datasets={"hours": ServerHour, "metrics": ServerMetric},
        derived={
            "percentiles": Derived(contract=ResponsePercentiles, inputs=("hours", "metrics"), expression=percentiles)
        },
        main="hours",
        task=Forecasting(
            target=RESPONSE_TIME,
            group="application",
            horizons=_HORIZONS,
            known_ahead=("planned_deployment",),
            zone=choices.zone,
            country=choices.country,
            booster=choices.booster,
            trials=choices.trials,
            evaluation_days=choices.evaluation_days,
            warn_at=choices.warn_at,
            limits=choices.limits_ms,
        ),
        metric="mase",
        gates=(
            *(BeatsBaselines(horizon=hours) for hours in range(1, _HORIZONS + 1)),
            *(NotWorseThanChampion(metric=f"mase_h{hours}") for hours in range(1, _HORIZONS + 1)),
            CoverageWithin(low=0.72, high=0.88),
        ),
        watch=Watch(mean_shift=1.5, performance_drop=0.5, minimum_outcomes=48),
        table_features=long_form,
        simulate=simulate,
        simulated_rows=1_800,
        envelopes={"metrics": metric_data},
        publish=PUBLISHED,
        retrain=Retrain(after_days=choices.retrain_days, on_drift=choices.retrain_on_drift),
        choices=Choices,
        chosen=response_time,
    )


usecase = response_time(Choices())
"""The use case as it is where nothing is set."""
