"""Forecasts of servers: who is about to be slow, and one server's history, hours ahead and accuracy.

Takes the lake and a use case that forecasts series, gives frozen records for two pages.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from trunkline.checks import arrow_schema
from trunkline.contracts.forecasts import Forecast, ForecastAccuracy
from trunkline.errors import SourceError, UnknownNameError
from trunkline.report.charts.series import fan_chart
from trunkline.report.charts.shapes import HEIGHT, SIDE, axis
from trunkline.report.content import FanSummary
from trunkline.report.drawing import Chart, Spec, colours
from trunkline.run.kinds.series.reading import accuracy_table, forecasts_table
from trunkline.spec import UseCase
from trunkline.tasks import Forecasting

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from trunkline.lake import Lake

__all__ = [
    "Accuracy",
    "ForecastList",
    "ServerForecast",
    "ServerRow",
    "forecast_list",
    "server_charts",
    "server_forecast",
]

WEEKS: Final = 4
"""Weeks of data over which accuracy is shown."""

_MOST_SERVERS: Final = 200
_HISTORY: Final = timedelta(days=7)
_HOUR: Final = timedelta(hours=1)
_LEAST_JUDGED: Final = 24


@dataclass(frozen=True)
class ServerRow:
    """One server in the list.

    Attributes:
        server: The server.
        made_at: Hour of the newest values that its newest forecast rests on, UTC.
        q50: Median of each hour ahead, unit of the metric.
        limit: What warnings are given for; None where there is none.
        exceeds: Highest probability of a value above the limit in the hours ahead; None without a limit.
        degraded: Whether its newest value was lacking, or a source out of reach.
    """

    server: str
    made_at: datetime
    q50: tuple[float, ...]
    limit: float | None
    exceeds: float | None
    degraded: bool


@dataclass(frozen=True)
class ForecastList:
    """The newest forecasts of a use case, those most at risk first; 200 servers at most.

    Attributes:
        usecase: The use case.
        servers: How many servers there are.
        rows: The servers.
    """

    usecase: str
    servers: int
    rows: tuple[ServerRow, ...]


@dataclass(frozen=True)
class Accuracy:
    """What became of forecasts of one server, so many hours ahead, over the last weeks.

    Attributes:
        horizon: Hours ahead.
        hours: Forecasts whose hour has come.
        mase: Mean absolute error by the server's mean absolute difference of a day.
        inside: Share of truths between the 10 and 90 % quantiles, in [0, 1].
        skill: Share of the error of the value a day before that the forecast saves; None where that is not known.
        by_week: ``mase`` of each of the last weeks, the oldest first; None for a week without any.
    """

    horizon: int
    hours: int
    mase: float
    inside: float
    skill: float | None
    by_week: tuple[float | None, ...]

    @property
    def is_good(self) -> bool | None:
        """Whether it is better than the value a day before; None as long as too few hours tell."""
        return None if self.hours < _LEAST_JUDGED or self.skill is None else self.skill > 0


@dataclass(frozen=True)
class ServerForecast:
    """One server.

    Attributes:
        usecase: The use case.
        metric: What is forecast.
        row: Its newest forecast.
        fan: Its last week and the hours ahead.
        accuracy: By hour ahead.
    """

    usecase: str
    metric: str
    row: ServerRow
    fan: FanSummary
    accuracy: tuple[Accuracy, ...]


def forecast_list(lake: "Lake", usecase: UseCase) -> ForecastList:
    """List the newest forecast of each server.

    Args:
        lake: The lake.
        usecase: One that forecasts series.
    """
    table = forecasts_table(usecase)
    if not lake.exists(table):
        return ForecastList(usecase.name, 0, ())
    found = [_row(rows) for rows in _newest(lake, table).values()]
    found.sort(key=lambda one: (-(one.exceeds or 0.0), one.server))
    return ForecastList(usecase.name, len(found), tuple(found[:_MOST_SERVERS]))


def server_forecast(lake: "Lake", usecase: UseCase, server: str) -> ServerForecast:
    """Show one server.

    Args:
        lake: The lake.
        usecase: One that forecasts series.
        server: The server.

    Raises:
        UnknownNameError: The use case forecasts nothing, or not this server.
    """
    task = usecase.task
    if not isinstance(task, Forecasting):
        raise UnknownNameError(f"the use case {usecase.name!r} forecasts nothing")
    table = forecasts_table(usecase)
    newest = _newest(lake, table, server=server).get(server) if lake.exists(table) else None
    if newest is None:
        raise UnknownNameError(f"there is no forecast of {server[:80]!r} in {table}")
    row = _row(newest)
    fan = FanSummary(
        server=server,
        limit=row.limit,
        past=_past(lake, usecase, task, server, until=row.made_at),
        q10=tuple(_number(one["q10"]) for one in newest),
        q50=row.q50,
        q90=tuple(_number(one["q90"]) for one in newest),
        exceeds=tuple(None if one["exceeds"] is None else _number(one["exceeds"]) for one in newest),
    )
    return ServerForecast(usecase.name, task.target, row, fan, _accuracy(lake, usecase, server, until=row.made_at))


def server_charts(found: ServerForecast) -> tuple[Chart, ...]:
    """Draw a server's last week with the hours ahead, and its accuracy by hour ahead."""
    if not found.accuracy:
        return (fan_chart(found.fan, name="fan", unit=found.metric),)
    legend = {"Forecast": "one", "Value a day before": "pale"}
    points: list[Spec] = []
    for one in found.accuracy:
        points.append({"hour": one.horizon, "value": one.mase, "series": "Forecast"})
        if one.skill is not None and one.skill < 1:
            points.append({"hour": one.horizon, "value": one.mase / (1 - one.skill), "series": "Value a day before"})
    layer: Spec = {
        "data": {"values": points},
        "mark": {"type": "line", "strokeWidth": 2, "point": {"size": 30}},
        "encoding": {
            "x": _hours_ahead([one.horizon for one in found.accuracy]),
            "y": axis("value", "Error", scale={"zero": True}),
            "color": colours(legend),
        },
    }
    reading = f"Mean absolute error of the last {WEEKS} weeks by the server's mean absolute difference of a day."
    chart = Chart("accuracy", "Error by hour ahead", reading, {"width": SIDE, "height": HEIGHT, "layer": [layer]})
    return (fan_chart(found.fan, name="fan", unit=found.metric), chart)


def _hours_ahead(hours: list[int]) -> Spec:
    return {**axis("hour", "Hours ahead"), "axis": {"format": "d", "values": hours}}


def _newest(lake: "Lake", table: str, *, server: str | None = None) -> dict[str, list[Mapping[str, object]]]:
    """The rows of the newest forecast of each server, by hour ahead."""

    def newest(rows: "ir.Table") -> "ir.Table":
        kept = rows if server is None else rows.filter(rows["server"] == server)
        latest = kept.group_by("server").aggregate(made_at=kept["made_at"].max())
        return kept.semi_join(latest, ["server", "made_at"]).order_by("server", "horizon_hours")

    found: dict[str, list[Mapping[str, object]]] = {}
    for row in lake.collect(newest, table, schemas={table: arrow_schema(Forecast)}).to_pylist():
        found.setdefault(str(row["server"]), []).append(row)
    return found


def _row(rows: list[Mapping[str, object]]) -> ServerRow:
    first = rows[0]
    made_at, limit = first["made_at"], first["limit"]
    assert isinstance(made_at, datetime)
    likely = [_number(one["exceeds"]) for one in rows if one["exceeds"] is not None]
    return ServerRow(
        server=str(first["server"]),
        made_at=made_at,
        q50=tuple(_number(one["q50"]) for one in rows),
        limit=None if limit is None else _number(limit),
        exceeds=max(likely, default=None),
        degraded=any(bool(one["degraded"]) for one in rows),
    )


def _past(
    lake: "Lake", usecase: UseCase, task: Forecasting, server: str, *, until: datetime
) -> tuple[float | None, ...]:
    """Values of the hours of the last week, the newest last."""
    from trunkline.train.trainer import feature_table

    first = until - _HISTORY + _HOUR
    try:
        rows, _ = feature_table(usecase, lake)
    except SourceError:
        return ()
    kept = rows.filter(
        (rows[task.metric_column] == task.target)
        & (rows[task.server] == server)
        & (rows[task.at] >= first)
        & (rows[task.at] < until + _HOUR)
    )
    begin = int(first.timestamp())
    hour = ((kept[task.at].epoch_seconds() - begin) / 3600).floor().cast("int64")
    hourly = kept.group_by(hour=hour).aggregate(value=kept[task.label].mean())
    told = {row["hour"]: row["value"] for row in lake.engine.arrow(hourly).to_pylist()}
    return tuple(told.get(place) for place in range(int(_HISTORY / _HOUR)))


def _accuracy(lake: "Lake", usecase: UseCase, server: str, *, until: datetime) -> tuple[Accuracy, ...]:
    from trunkline.lake.versions import newest

    table, since = accuracy_table(usecase), until - timedelta(weeks=WEEKS)
    if not lake.exists(table):
        return ()
    said = ForecastAccuracy.table

    def weekly(rows: "ir.Table") -> "ir.Table":
        kept = rows.filter((rows["server"] == server) & (rows["target_at"] > since) & (rows["target_at"] <= until))
        kept = newest(kept, key=said.key, newest_by=("judged_at",), table=table)
        week = ((kept["target_at"].epoch_seconds() - int(since.timestamp()) - 1) / (7 * 86_400)).floor().cast("int64")
        known = kept["naive_error"].notnull()
        return kept.group_by("horizon_hours", week=week).aggregate(
            hours=kept.count(),
            scaled=kept["scaled_error"].sum(),
            inside=kept["inside"].cast("int64").sum(),
            error=kept["error"].abs().sum(where=known),
            naive=kept["naive_error"].sum(where=known),
        )

    rows = lake.collect(weekly, table, schemas={table: arrow_schema(ForecastAccuracy)}).to_pylist()
    return tuple(
        _of_horizon(horizon, {row["week"]: row for row in rows if row["horizon_hours"] == horizon})
        for horizon in sorted({row["horizon_hours"] for row in rows})
    )


def _of_horizon(horizon: int, weeks: Mapping[int, Mapping[str, object]]) -> Accuracy:
    def total(name: str) -> float:
        return sum(_number(week[name] or 0.0) for week in weeks.values())

    hours, naive = int(total("hours")), total("naive")
    return Accuracy(
        horizon=horizon,
        hours=hours,
        mase=total("scaled") / hours,
        inside=total("inside") / hours,
        skill=1 - total("error") / naive if naive > 0 else None,
        by_week=tuple(
            _number(weeks[week]["scaled"]) / _number(weeks[week]["hours"]) if week in weeks else None
            for week in range(WEEKS)
        ),
    )


def _number(value: object) -> float:
    assert isinstance(value, int | float)
    return float(value)
