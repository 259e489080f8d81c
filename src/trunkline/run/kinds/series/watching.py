"""The monitor step of forecasts: what became of them, how far the series have drifted, and who is about to be slow.

Accuracy is joined when the truth arrives; a truth that is corrected later is judged again.
"""

import hashlib
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

import numpy as np

from trunkline.checks import arrow_schema
from trunkline.contracts.forecasts import Forecast, ForecastAccuracy
from trunkline.contracts.records import Alert, Reading
from trunkline.monitor import SourceHealth, Window, alerts_of, drift_readings, source_alerts, source_readings
from trunkline.run.kinds.series.reading import (
    JUDGED,
    accuracy_table,
    forecasting_of,
    forecasts_table,
    live_series,
    newest_hours,
    unreachable_sources,
)
from trunkline.run.steps.context import StepContext
from trunkline.run.watching import MonitorDocument, store_readings
from trunkline.train import TrainDocument, main_table

if TYPE_CHECKING:
    import pyarrow as pa

    from trunkline.tasks.forecasting import ForecastModel, Panel

__all__ = ["drifted_series", "monitor_series"]

_WINDOW: Final = timedelta(days=7)


def monitor_series(context: StepContext, health: Sequence[SourceHealth]) -> MonitorDocument:
    """Judge forecasts whose hours have come, read errors and drift of the last week, warn of limits."""
    workspace, usecase = context.workspace, context.usecase
    version, model = live_series(workspace, usecase)
    now = workspace.clock()
    panel = newest_hours(context)
    _judge(context, panel, model, now=now)
    newest = _newest(panel)
    window = Window(context.run_id, usecase.name, version, now, newest - _WINDOW, newest)
    judged = _accuracy(context, version=version, since=newest - _WINDOW)
    readings = (
        *_error_readings(
            model, judged, window=window, drop=usecase.watch.performance_drop, least=usecase.watch.minimum_outcomes
        ),
        *drift_readings(model.info, _wide(panel, since=newest - _WINDOW), window=window, watch=usecase.watch),
        *source_readings(health, window=window),
    )
    alerts = (
        *_offered(alerts_of(readings, window=window), usecase.name),
        *_warnings(context, panel, made_at=newest, now=now),
        *_out_of_reach(context, newest=newest, now=now),
    )
    store_readings(context, readings, alerts)
    return MonitorDocument(
        model_version=version,
        rows=int(np.isfinite(panel.targets.values[:, panel.place_of(newest - _WINDOW) :]).sum()),
        outcomes=judged.num_rows,
        readings=readings,
        alerts=(*alerts, *source_alerts(health, run_id=context.run_id, raised_at=now)),
        note="errors are those of forecasts whose hours have come within the last week of data",
    )


def _judge(context: StepContext, panel: "Panel", model: "ForecastModel", *, now: datetime) -> None:
    """Write the accuracy of forecasts whose truth is known and is not judged, or was another when it was."""
    import pyarrow as pa

    from trunkline.lake import Transaction

    lake, table = context.workspace.lake, accuracy_table(context.usecase)
    since = panel.hour_at(panel.hours - 1) - JUDGED
    if not lake.exists(forecasts_table(context.usecase)):
        return
    made = lake.arrow(
        forecasts_table(context.usecase), schema=arrow_schema(Forecast), where=lambda rows: rows["made_at"] >= since
    )
    rows = _joined(panel, model, made, now=now)
    if lake.exists(table):
        known = lake.arrow(
            table,
            schema=arrow_schema(ForecastAccuracy),
            where=lambda rows: rows["made_at"] >= since,
            columns=["made_at", "server", "horizon_hours", "actual", "judged_at"],
        ).sort_by("judged_at")
        names = ("made_at", "server", "horizon_hours")
        judged = {
            key: actual
            for *key_parts, actual in zip(*(known.column(name).to_pylist() for name in (*names, "actual")), strict=True)
            for key in [tuple(key_parts)]
        }
        keys = zip(*(rows.column(name).to_pylist() for name in names), strict=True)
        fresh = [judged.get(key) != actual for key, actual in zip(keys, rows.column("actual").to_pylist(), strict=True)]
        rows = rows.filter(pa.array(fresh, pa.bool_()))
    if rows.num_rows:
        lake.append(table, rows, transaction=Transaction(f"accuracy:{context.run_id}", 1))


def _joined(panel: "Panel", model: "ForecastModel", made: "pa.Table", *, now: datetime) -> "pa.Table":
    """Forecasts with the truth of their hours."""
    import pyarrow as pa
    import pyarrow.compute as pc

    schema = arrow_schema(ForecastAccuracy)
    if made.num_rows == 0:
        return schema.empty_table()
    series = pc.index_in(made.column("server"), value_set=pa.array(panel.servers)).combine_chunks()
    row = series.fill_null(-1).to_numpy(zero_copy_only=False)
    target = made.column("target_at").cast(pa.timestamp("us", tz="UTC")).cast(pa.int64()).to_numpy() // 3_600_000_000
    hour = target - int(panel.start_at.timestamp()) // 3600
    values = panel.targets.values
    inside = (row >= 0) & (hour >= 0) & (hour < panel.hours)
    actual = np.where(inside, values[np.maximum(row, 0), np.clip(hour, 0, panel.hours - 1)], np.nan)
    before = hour - 24
    naive = np.where(inside & (before >= 0), values[np.maximum(row, 0), np.clip(before, 0, panel.hours - 1)], np.nan)
    scale = model.design(panel).scales.scale[np.maximum(row, 0)]
    median, low, high = (made.column(name).to_numpy() for name in ("q50", "q10", "q90"))
    error = actual - median
    known = np.isfinite(actual)
    naive_error = np.abs(actual - naive)
    columns = {
        **{
            name: made.column(name)
            for name in ("made_at", "target_at", "horizon_hours", "server", "application", "model_version")
        },
        "actual": pa.array(actual),
        "forecast": pa.array(median),
        "error": pa.array(error),
        "scaled_error": pa.array(np.abs(error) / scale),
        "inside": pa.array((actual >= low) & (actual <= high)),
        "naive_error": pa.array(naive_error, mask=~np.isfinite(naive_error)),
        "judged_at": pa.array([now] * made.num_rows, pa.timestamp("us", tz="UTC")),
    }
    return pa.table(columns).select(schema.names).filter(pa.array(known)).cast(schema)


def _accuracy(context: StepContext, *, version: str, since: datetime) -> "pa.Table":
    """The newest verdict on each forecast of a version whose hour lies within the window."""
    lake, table = context.workspace.lake, accuracy_table(context.usecase)
    schema = arrow_schema(ForecastAccuracy)
    if not lake.exists(table):
        return schema.empty_table()
    rows = lake.current(table, key=("made_at", "server", "horizon_hours"), newest_by=["judged_at"])
    return lake.engine.arrow(
        rows.filter((rows["model_version"] == version) & (rows["target_at"] > since)).select(schema.names)
    ).cast(schema)


def _error_readings(
    model: "ForecastModel", judged: "pa.Table", *, window: Window, drop: float, least: int
) -> tuple[Reading, ...]:
    """Errors by hour ahead, with a limit: what training measured, and ``drop`` of it more."""
    from trunkline.tasks.forecasting.scoring import day_interval

    readings = []
    ahead = judged.column("horizon_hours").to_numpy()
    errors, inside = judged.column("scaled_error").to_numpy(), judged.column("inside").to_numpy(zero_copy_only=False)
    for facts in model.info.horizons:
        own = errors[ahead == facts.horizon]
        if len(own) < least:
            continue
        found = day_interval(own[None, :], seed=facts.horizon)
        limit = facts.mase * (1 + drop)
        readings.append(
            window.reading(
                "performance",
                f"mase_h{facts.horizon}",
                "forecast",
                value=found.value,
                low=found.low,
                high=found.high,
                rows=len(own),
                limit=limit,
                crossed=found.low > limit,
            )
        )
    if len(inside) >= least:
        held = inside.astype(float)
        readings.append(
            window.reading("performance", "coverage_80", "forecast", value=float(held.mean()), rows=len(held))
        )
    return tuple(readings)


def drifted_series(context: StepContext, trained: TrainDocument, champion: str) -> tuple[Reading, ...]:
    """Compare the last week of a training, series by series, with the hours that the champion was fitted to."""
    from trunkline.tasks.forecasting import ForecastModel

    workspace, usecase = context.workspace, context.usecase
    model = ForecastModel.load(workspace.registry.folder(usecase.name, champion))
    rows, _ = main_table(usecase, workspace.lake, batches=trained.batches, without=trained.left_out)
    panel = forecasting_of(usecase).panel(rows)
    newest = _newest(panel)
    window = Window(context.run_id, usecase.name, champion, workspace.clock(), newest - _WINDOW, newest)
    return drift_readings(model.info, _wide(panel, since=newest - _WINDOW), window=window, watch=usecase.watch)


def _newest(panel: "Panel") -> datetime:
    """The last hour that any series has."""
    return panel.hour_at(int(np.flatnonzero(np.isfinite(panel.targets.values).any(axis=0))[-1]))


def _wide(panel: "Panel", *, since: datetime) -> "pa.Table":
    """The last hours, one column per server, as drift is read."""
    import pyarrow as pa

    first = max(panel.place_of(since), 0)
    return pa.table(
        {
            server: pa.array(panel.targets.values[row, first:], mask=~np.isfinite(panel.targets.values[row, first:]))
            for row, server in enumerate(panel.servers)
        }
    )


def _offered(alerts: tuple[Alert, ...], usecase: str) -> tuple[Alert, ...]:
    """Say with an alert what may be done: learning anew is offered, not forced."""
    offer = (
        f"; learn anew by `trunkline train {usecase}` and the steps after it, or by `retrain_on_drift` of its settings"
    )
    return tuple(one.model_copy(update={"text": one.text + offer}) for one in alerts)


def _out_of_reach(context: StepContext, *, newest: datetime, now: datetime) -> tuple[Alert, ...]:
    """Sources that this run could not reach; one alert for as long as no newer hour has come."""
    name = context.usecase.name
    return tuple(
        Alert(
            alert_id=hashlib.sha256(f"{name}|{source}|out of reach|{newest}".encode()).hexdigest()[:24],
            run_id=context.run_id,
            usecase=name,
            severity="major",
            title=f"{name}: source {source} is out of reach",
            text=f"the newest hour is {newest:%Y-%m-%d %H:%M} UTC; forecasts go on from there and are flagged as "
            "degraded. The next run asks the source again, from where it stood",
            raised_at=now,
        )
        for source in sorted(set(unreachable_sources(context)))
    )


def _warnings(context: StepContext, panel: "Panel", *, made_at: datetime, now: datetime) -> tuple[Alert, ...]:
    """Servers that are not above their limit, and probably will be within the hours ahead."""
    task, lake = forecasting_of(context.usecase), context.workspace.lake
    table = forecasts_table(context.usecase)
    if not lake.exists(table):
        return ()
    rows = lake.arrow(
        table,
        schema=arrow_schema(Forecast),
        where=lambda rows: (
            (rows["made_at"] == made_at) & (rows["exceeds"] >= task.warn_at) & (rows["run_id"] == context.run_id)
        ),
    ).sort_by([("server", "ascending"), ("horizon_hours", "ascending")])
    limits = dict(zip(rows.column("server").to_pylist(), rows.column("limit").to_pylist(), strict=True))
    present = dict(zip(panel.servers, panel.targets.values[:, panel.place_of(made_at)].tolist(), strict=True))
    above = {server: limit is not None and present.get(server, 0.0) > limit for server, limit in limits.items()}
    first: dict[str, dict[str, object]] = {}
    for row in rows.to_pylist():
        if not above.get(str(row["server"]), False):
            first.setdefault(str(row["server"]), row)
    alerts = []
    for server, row in first.items():
        text = (
            f"{row['exceeds']:.0%} that it exceeds {row['limit']:.4g} at {row['target_at']:%Y-%m-%d %H:%M} UTC, "
            f"{row['horizon_hours']} h ahead; median {row['q50']:.4g}, 10 to 90 % {row['q10']:.4g} to {row['q90']:.4g}"
        )
        alerts.append(
            Alert(
                alert_id=hashlib.sha256(f"{context.usecase.name}|{made_at}|{server}".encode()).hexdigest()[:24],
                run_id=context.run_id,
                usecase=context.usecase.name,
                severity="warning",
                title=f"{context.usecase.name}: {server} may exceed its limit in {row['horizon_hours']} h",
                text=text,
                raised_at=now,
            )
        )
    return tuple(alerts)
