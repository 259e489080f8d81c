"""What training of forecasts reports: everything a page or a gate needs. JSON goes there and back without loss."""

from collections.abc import Mapping
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict

from trunkline.stats.intervals import Interval
from trunkline.tasks.forecasting.card import HorizonFacts
from trunkline.tasks.report import LearningReport, Trial

__all__ = ["BaselineReport", "ForecastReport", "HorizonTuning", "SeriesReport", "SpikeReport"]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class HorizonTuning(_Record):
    """The search of one hour ahead.

    Attributes:
        horizon: Hours ahead.
        trials: All tries in order; scores are negative mean absolute errors in scale.
        best: Number of the best.
    """

    horizon: int
    trials: tuple[Trial, ...]
    best: int


class BaselineReport(_Record):
    """What a simpler way reaches on the same hours.

    Attributes:
        name: Its name.
        mase: By hour ahead, mean over series.
        ours: The champion on exactly those hours.
        origins: Hours at which forecasts were made.
    """

    name: str
    mase: tuple[float, ...]
    ours: tuple[float, ...]
    origins: int


class SeriesReport(_Record):
    """One series in the rolling evaluation.

    Attributes:
        server: Its server.
        mase: By hour ahead.
        coverage: Share of truths inside the interval, all hours ahead together.
        missing: Share of its hours without a value.
    """

    server: str
    mase: tuple[float | None, ...]
    coverage: float | None
    missing: float


class SpikeReport(_Record):
    """How good the warnings of limits are, in the rolling evaluation.

    Attributes:
        warn_at: Probability from which on a warning is given.
        warnings: Warnings given, one per server and hour, where the limit was not exceeded already.
        right: Of which the limit was exceeded within the hours ahead.
        spikes: Times at which a series rose above its limit.
        foreseen: Of which a warning had named the hour.
        mean_lead_hours: Mean hours between the first such warning and the spike; null where none was foreseen.
    """

    warn_at: float
    warnings: int
    right: int
    spikes: int
    foreseen: int
    mean_lead_hours: float | None

    @property
    def precision(self) -> float | None:
        """Share of warnings that were right; None without warnings."""
        return self.right / self.warnings if self.warnings else None

    @property
    def recall(self) -> float | None:
        """Share of spikes that were foreseen; None without spikes."""
        return self.foreseen / self.spikes if self.spikes else None


class ForecastReport(LearningReport):
    """One training run over series.

    Attributes:
        task: The kind of task.
        target: The metric that is forecast.
        series: Series learned.
        judged: Series of the rolling evaluation.
        values: Values learned from.
        from_at: First hour, UTC.
        until_at: Newest hour, UTC.
        evaluated_from: First hour at which the rolling evaluation made a forecast.
        origins: Hours at which it made one.
        horizons: The model of each hour ahead.
        tuning: Each search.
        baselines: Simpler ways on the same hours.
        servers: Series by series, at most 64.
        spikes: Warnings of limits.
        importances: Inputs by falling share of gain, the first 20; mean over the hours ahead.
    """

    task: Literal["forecasting"] = "forecasting"
    target: str
    series: int
    judged: int
    values: int
    from_at: datetime
    until_at: datetime
    evaluated_from: datetime
    origins: int
    horizons: tuple[HorizonFacts, ...]
    tuning: tuple[HorizonTuning, ...]
    baselines: tuple[BaselineReport, ...]
    servers: tuple[SeriesReport, ...]
    spikes: SpikeReport
    importances: Mapping[str, float]

    def mase(self, horizon: int) -> Interval | None:
        """The champion's MASE so many hours ahead, with its interval."""
        return self.metrics.get(f"mase_h{horizon}")
