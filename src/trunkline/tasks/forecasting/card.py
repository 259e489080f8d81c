"""What a forecasting model says of itself: a frozen record that travels in ``model.json``."""

from collections.abc import Mapping
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict

from trunkline.tasks.info import ModelCard
from trunkline.tasks.learners import Parameter

__all__ = ["ForecastCard", "HorizonFacts", "SeriesFacts"]


class HorizonFacts(BaseModel):
    """The model of one hour ahead.

    Attributes:
        horizon: Hours ahead.
        booster: Library of the learner.
        parameters: As found by the search.
        usual: Share of the booster that counts from the usual value of the hour; the rest is that of the one that
            counts from the newest value.
        mase: Mean absolute error of the rolling evaluation by the mean absolute difference of a day, mean over series.
        rmse: Root mean squared error of the rolling evaluation, unit of the metric, over all series.
        r2: Share of each series' variance that is explained in the rolling evaluation, mean over series.
        coverage: Share of truths between the 10 and 90 % quantiles, in [0, 1].
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    horizon: int
    booster: str
    parameters: Mapping[str, Parameter]
    usual: float = 0.0
    mase: float
    rmse: float
    r2: float
    coverage: float


class SeriesFacts(BaseModel):
    """What was learned of one series alone.

    Attributes:
        server: Its server.
        group: Its group.
        scale: What its values are divided by: the mean absolute difference of a day, unit of the metric.
        outlier_limit: Upper whisker: inputs above it are capped; null where there is none.
        limit: What a warning is given for, unit of the metric.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    server: str
    group: str
    scale: float
    outlier_limit: float | None
    limit: float | None


class ForecastCard(ModelCard):
    """What a forecasting model is and how it came about.

    Attributes:
        task: The kind of task.
        target: The metric it forecasts.
        horizons: The model of each hour ahead.
        series: The series it has learned.
        inputs: Name of each input.
        scaler: How series are made alike, in words.
        trained_from: First hour of training, UTC.
        trained_until: Newest hour that training has seen, UTC.
    """

    task: Literal["forecasting"] = "forecasting"
    target: str
    horizons: tuple[HorizonFacts, ...]
    series: tuple[SeriesFacts, ...]
    inputs: tuple[str, ...]
    scaler: str = (
        "differences from the newest value and from the usual one of the hour, "
        "divided by the mean absolute difference of a day"
    )
    trained_from: datetime
    trained_until: datetime

    @property
    def seen_until(self) -> datetime:
        """Newest hour that training has seen."""
        return self.trained_until

    def told(self) -> tuple[tuple[str, str], ...]:
        """What a person reads first, as (name, text)."""
        models = tuple(
            (
                f"{one.horizon} h ahead",
                f"{one.booster}, MASE {one.mase:.3f}, RMSE {one.rmse:.2f}, R2 {one.r2:.3f}, "
                f"coverage {one.coverage:.3f}; usual {one.usual:.1f}, "
                + ", ".join(f"{name} {_short(value)}" for name, value in one.parameters.items()),
            )
            for one in self.horizons
        )
        limits = tuple(
            (
                one.server,
                f"scale {one.scale:.4g}, outliers above {_or_none(one.outlier_limit)}, limit {_or_none(one.limit)}",
            )
            for one in self.series[:_SHOWN]
        )
        more = ((f"{len(self.series) - _SHOWN} more", "see --json"),) if len(self.series) > _SHOWN else ()
        return (
            ("forecasts", f"{self.target} of {len(self.series)} series, {len(self.horizons)} hours ahead"),
            ("scaler", self.scaler),
            ("window", f"{self.trained_from:%Y-%m-%d %H:%M} to {self.trained_until:%Y-%m-%d %H:%M} UTC"),
            ("trained on", f"{self.trained_rows} values, {len(self.inputs)} inputs, seed {self.seed}"),
            *models,
            *limits,
            *more,
        )


_SHOWN = 12


def _or_none(value: float | None) -> str:
    return "none" if value is None else f"{value:.4g}"


def _short(value: Parameter) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
