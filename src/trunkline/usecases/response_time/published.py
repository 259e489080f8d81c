"""What dashboards read: the newest forecasts, how past ones came out, and how good they were. Ibis, lazy.

Time windows count from the newest row, not from a clock, so that the same tables give the same dashboards.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Final

from trunkline.contracts import Contract, Instant, Integer, Number, Table, Text, field
from trunkline.contracts.forecasts import Forecast
from trunkline.spec import Publication

if TYPE_CHECKING:
    import ibis.expr.types as ir

__all__ = ["PUBLISHED", "AccuracyShown", "HistoryShown"]

FORECASTS: Final = "response_time.forecasts"
ACCURACY: Final = "response_time.accuracy"
HISTORY_DAYS: Final = 14
"""Days of the history that is shown."""

ACCURACY_DAYS: Final = 28
"""Days over which accuracy is shown."""


class HistoryShown(Contract):
    """One row per server, hour and hours ahead of the last 14 days: what was forecast, and what came."""

    table: ClassVar[Table] = Table(key=("server", "target_at", "horizon_hours"))

    server: Text = field(max_length=200)
    application: Text = field(max_length=200)
    target_at: Instant = field("The hour that was forecast")
    horizon_hours: Integer = field(unit="h")
    made_at: Instant = field()
    mean: Number = field(unit="ms")
    q10: Number = field(unit="ms")
    q50: Number = field(unit="ms")
    q90: Number = field(unit="ms")
    actual: Number | None = field("What became true; null while it is to come", unit="ms")
    model_version: Text = field()


class AccuracyShown(Contract):
    """One row per server and hours ahead, over the last 28 days whose truth is known."""

    table: ClassVar[Table] = Table(key=("server", "horizon_hours"))

    server: Text = field(max_length=200)
    application: Text = field(max_length=200)
    horizon_hours: Integer = field(unit="h")
    forecasts: Integer = field("Forecasts that were judged")
    mean_absolute_error: Number = field(unit="ms")
    bias: Number = field("Mean of actual - forecast", unit="ms")
    mase: Number = field("Mean absolute error by the mean absolute difference of a day")
    coverage: Number = field("Share of truths between q10 and q90; 0.8 is right", minimum=0, maximum=1)
    naive_mean_absolute_error: Number | None = field("Of the value a day before, where it is known", unit="ms")
    newest_at: Instant = field("The newest hour that was judged")


def current(tables: "Mapping[str, ir.Table]") -> "ir.Table":
    """Give the newest forecasts of each server."""
    rows = tables[FORECASTS]
    newest = rows.group_by("server").aggregate(made_at=rows["made_at"].max())
    return rows.semi_join(newest, ["server", "made_at"])


def history(tables: "Mapping[str, ir.Table]") -> "ir.Table":
    """Put what came beside what was forecast."""
    import ibis

    rows, truth = tables[FORECASTS], tables[ACCURACY]
    newest = rows.aggregate(newest_at=rows["target_at"].max())
    rows = rows.cross_join(newest)
    rows = rows.filter(rows["target_at"] > rows["newest_at"] - ibis.interval(days=HISTORY_DAYS))
    known = truth.select("made_at", "server", "horizon_hours", "actual")
    return rows.left_join(known, ["made_at", "server", "horizon_hours"])


def accuracy(tables: "Mapping[str, ir.Table]") -> "ir.Table":
    """Average the errors of each server, hour ahead by hour ahead."""
    import ibis

    rows = tables[ACCURACY]
    newest = rows.aggregate(last_at=rows["target_at"].max())
    rows = rows.cross_join(newest)
    rows = rows.filter(rows["target_at"] > rows["last_at"] - ibis.interval(days=ACCURACY_DAYS))
    return rows.group_by("server", "application", "horizon_hours").aggregate(
        forecasts=rows.count(),
        mean_absolute_error=rows["error"].abs().mean(),
        bias=rows["error"].mean(),
        mase=rows["scaled_error"].mean(),
        coverage=rows["inside"].cast("float64").mean(),
        naive_mean_absolute_error=rows["naive_error"].mean(),
        newest_at=rows["target_at"].max(),
    )


PUBLISHED: Final = (
    Publication(name="server_metrics", table="metrics", mode="upsert"),
    Publication(name="server_hours", table="hours", mode="upsert"),
    Publication(name="server_forecasts", table=FORECASTS, mode="upsert"),
    Publication(name="server_accuracy", table=ACCURACY, mode="upsert"),
    Publication(
        name="dashboard_current",
        contract=Forecast,
        key=("server", "horizon_hours"),
        rows=current,
        inputs=(FORECASTS,),
    ),
    Publication(name="dashboard_history", contract=HistoryShown, rows=history, inputs=(FORECASTS, ACCURACY)),
    Publication(name="dashboard_accuracy", contract=AccuracyShown, rows=accuracy, inputs=(ACCURACY,)),
    Publication(name="dashboard_percentiles", table="percentiles"),
)
"""Raw metrics, forecasts and their accuracy by key; dashboards as a whole."""
