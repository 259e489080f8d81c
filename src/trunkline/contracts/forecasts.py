"""The tables of forecasts that every use case of series has, as ``USECASE.forecasts`` and ``USECASE.accuracy``."""

from typing import ClassVar

from trunkline.contracts.contract import Contract, Table, field
from trunkline.contracts.kinds import Flag, Instant, Integer, Number, Text

__all__ = ["Forecast", "ForecastAccuracy"]


class Forecast(Contract):
    """One row per hour of making, server and hour ahead. A forecast that was made is never changed."""

    table: ClassVar[Table] = Table(key=("made_at", "server", "horizon_hours"))

    made_at: Instant = field("Hour of the newest values that it rests on")
    target_at: Instant = field("The hour that is forecast: made_at and horizon_hours")
    horizon_hours: Integer = field("Hours ahead", unit="h", minimum=1, maximum=24)
    server: Text = field(max_length=200)
    application: Text = field("Which servers belong together", max_length=200)
    mean: Number = field("Expected value, unit of the metric")
    q10: Number = field("One in ten hours lies below, unit of the metric")
    q50: Number = field("Median, unit of the metric")
    q90: Number = field("One in ten hours lies above, unit of the metric")
    limit: Number | None = field("What warnings are given for, unit of the metric; null where there is none")
    exceeds: Number | None = field("Probability of a value above the limit", minimum=0, maximum=1)
    degraded: Flag = field("Whether the server lacked the value of made_at, or a source was out of reach")
    model_version: Text = field()
    run_id: Text = field("The run that made it")


class ForecastAccuracy(Contract):
    """One row per forecast whose hour has come; of a truth that was corrected later, the newest row counts."""

    table: ClassVar[Table] = Table(key=("made_at", "server", "horizon_hours"), event_at="judged_at")

    made_at: Instant = field()
    target_at: Instant = field()
    horizon_hours: Integer = field(unit="h", minimum=1, maximum=24)
    server: Text = field(max_length=200)
    application: Text = field(max_length=200)
    actual: Number = field("What became true, unit of the metric")
    forecast: Number = field("The median that was forecast")
    error: Number = field("actual - forecast")
    scaled_error: Number = field("Absolute error by the server's mean absolute difference of a day", minimum=0)
    inside: Flag = field("Whether the truth lay between q10 and q90")
    naive_error: Number | None = field("Absolute error of the value a day before; null where that is not known")
    model_version: Text = field()
    judged_at: Instant = field("When the truth was known to Trunkline")
