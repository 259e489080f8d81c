"""The predict step of forecasts: each hour once, those that were missed too.

A forecast is known by the hour it was made at, its server and the hours ahead; one that stands in the lake is never
made again, so a run that is repeated changes nothing. After a pause the hours in between are made up for, each with
what was known then.
"""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

import numpy as np

from trunkline.checks import arrow_schema
from trunkline.contracts.forecasts import Forecast
from trunkline.run.kinds.series.reading import (
    forecasting_of,
    forecasts_table,
    live_series,
    newest_hours,
    unreachable_sources,
)
from trunkline.run.predicting import Fan, PredictDocument
from trunkline.run.steps.context import StepContext

if TYPE_CHECKING:
    import numpy.typing as npt
    import pyarrow as pa

    from trunkline.tasks.forecasting import Forecasts, Panel

__all__ = ["CATCH_UP", "predict_series", "stored_forecasts"]

CATCH_UP: Final = timedelta(days=14)
"""Hours missed longer ago are not made up for."""

_FANS: Final = 12
_PAST_HOURS: Final = 72
_ROWS_OF_A_COMMIT: Final = 2_000_000


def predict_series(context: StepContext) -> PredictDocument:
    """Forecast the hours after the newest one, and after those that were missed since the last forecast."""
    import pyarrow as pa

    from trunkline.lake import Transaction

    workspace, usecase = context.workspace, context.usecase
    task = forecasting_of(usecase)
    version, model = live_series(workspace, usecase)
    context.progress("forecast", 0.0)
    panel = newest_hours(context)
    newest = _newest_place(panel)
    table = forecasts_table(usecase)
    stored = stored_forecasts(context, since=panel.start_at)
    last = stored.column("made_at").to_pylist() if stored.num_rows else []
    first = (
        newest
        if not last
        else max(min(panel.place_of(max(last)) + 1, newest), newest - int(CATCH_UP.total_seconds() // 3600))
    )
    made = (
        {(row["made_at"], row["server"]) for row in stored.select(["made_at", "server"]).to_pylist()} if last else set()
    )
    past = _medians(panel, stored, version=version, horizons=task.horizons)
    out_of_reach = bool(unreachable_sources(context))
    parts: list[pa.Table] = []
    forecasts: Forecasts | None = None
    degraded: set[str] = set()
    for place in range(first, newest + 1):
        forecasts = model.forecast(panel, place, past=past, threads=workspace.threads)
        past[:, :, place] = forecasts.median
        rows = _rows(forecasts, version=version, run_id=context.run_id, out_of_reach=out_of_reach)
        if made:
            at = panel.hour_at(place)
            fresh = [(at, server) not in made for server in rows.column("server").to_pylist()]
            rows = rows.filter(pa.array(fresh))
        parts.append(rows)
        context.progress("forecast", (place - first + 1) / (newest - first + 1))
    assert forecasts is not None
    rows = pa.concat_tables(parts).cast(arrow_schema(Forecast))
    if rows.num_rows or not workspace.lake.exists(table):
        table_version = workspace.lake.append(table, rows, transaction=Transaction(f"forecasts:{context.run_id}", 1))
    else:
        table_version = workspace.lake.version(table) or 0
    names = [server for server, lacks in zip(panel.servers, forecasts.degraded, strict=True) if lacks]
    degraded.update(names if not out_of_reach else panel.servers)
    means = forecasts.mean[np.isfinite(forecasts.mean)]
    return PredictDocument(
        rows=rows.num_rows,
        model_version=version,
        table_version=table_version,
        mean_score=float(means.mean()) if means.size else 0.0,
        decided=None,
        made_at=panel.hour_at(newest),
        hours=newest - first + 1 if rows.num_rows else 0,
        degraded=tuple(sorted(degraded)[:_FANS]),
        fans=_fans(forecasts),
    )


def stored_forecasts(context: StepContext, *, since: datetime) -> "pa.Table":
    """Read the forecasts that were made since an hour."""
    lake, table = context.workspace.lake, forecasts_table(context.usecase)
    schema = arrow_schema(Forecast)
    if not lake.exists(table):
        return schema.empty_table()
    return lake.arrow(table, schema=schema, where=lambda rows: rows["made_at"] >= since)


def _newest_place(panel: "Panel") -> int:
    """The newest hour with a value of any server."""
    known = np.flatnonzero(np.isfinite(panel.targets.values).any(axis=0))
    return int(known[-1])


def _medians(panel: "Panel", stored: "pa.Table", *, version: str, horizons: int) -> "npt.NDArray[np.float64]":
    """Medians that this version has given, on the grid, shape (series, horizons, hours)."""
    import pyarrow as pa
    import pyarrow.compute as pc

    grid = np.full((len(panel.targets.names), horizons, panel.hours), np.nan)
    own = stored.filter(pc.equal(stored.column("model_version"), version))
    if own.num_rows == 0:
        return grid
    named = pa.array(panel.servers)
    series = (
        pc.index_in(own.column("server"), value_set=named).combine_chunks().fill_null(-1).to_numpy(zero_copy_only=False)
    )
    hours = own.column("made_at").cast(pa.timestamp("us", tz="UTC")).cast(pa.int64()).to_numpy() // 3_600_000_000
    place = hours - int(panel.start_at.timestamp()) // 3600
    ahead = own.column("horizon_hours").to_numpy() - 1
    fits = (series >= 0) & (place >= 0) & (place < panel.hours) & (ahead < horizons)
    grid[series[fits], ahead[fits], place[fits]] = own.column("q50").to_numpy()[fits]
    return grid


def _rows(forecasts: "Forecasts", *, version: str, run_id: str, out_of_reach: bool) -> "pa.Table":
    import pyarrow as pa

    panel = forecasts.panel
    count, ahead = forecasts.median.shape
    made_at = panel.hour_at(forecasts.origin)
    horizon = np.tile(np.arange(1, ahead + 1), count)
    known = np.isfinite(forecasts.median).ravel()
    servers = np.repeat(np.array(panel.servers, dtype=object), ahead)
    groups = np.repeat(np.array([panel.groups[group] for group in panel.targets.group], dtype=object), ahead)
    instant = pa.timestamp("us", tz="UTC")
    base = int(made_at.timestamp()) * 1_000_000
    limit = np.repeat(forecasts.limit, ahead)
    rows = pa.table(
        {
            "made_at": pa.array(np.full(count * ahead, base), pa.int64()).cast(instant),
            "target_at": pa.array(base + horizon * 3_600_000_000, pa.int64()).cast(instant),
            "horizon_hours": pa.array(horizon, pa.int64()),
            "server": pa.array(servers, pa.string()),
            "application": pa.array(groups, pa.string()),
            "mean": pa.array(forecasts.mean.ravel()),
            "q10": pa.array(forecasts.quantile(0.1).ravel()),
            "q50": pa.array(forecasts.median.ravel()),
            "q90": pa.array(forecasts.quantile(0.9).ravel()),
            "limit": pa.array(limit, mask=~np.isfinite(limit)),
            "exceeds": pa.array(forecasts.exceeds.ravel(), mask=~np.isfinite(forecasts.exceeds.ravel())),
            "degraded": pa.array(np.repeat(forecasts.degraded | out_of_reach, ahead)),
            "model_version": pa.array([version] * (count * ahead), pa.string()),
            "run_id": pa.array([run_id] * (count * ahead), pa.string()),
        }
    )
    return rows.filter(pa.array(known)).select(arrow_schema(Forecast).names)


def _fans(forecasts: "Forecasts") -> tuple[Fan, ...]:
    panel, low, high = forecasts.panel, forecasts.quantile(0.1), forecasts.quantile(0.9)
    first = max(forecasts.origin + 1 - _PAST_HOURS, 0)
    fans: list[Fan] = []
    for row, server in enumerate(panel.servers):
        if len(fans) == _FANS:
            break
        if not np.isfinite(forecasts.median[row]).all():
            continue
        fans.append(
            Fan(
                server=server,
                limit=_maybe(forecasts.limit[row]),
                past=tuple(_maybe(value) for value in panel.targets.values[row, first : forecasts.origin + 1]),
                q10=tuple(low[row].tolist()),
                q50=tuple(forecasts.median[row].tolist()),
                q90=tuple(high[row].tolist()),
                exceeds=tuple(_maybe(value) for value in forecasts.exceeds[row]),
            )
        )
    return tuple(fans)


def _maybe(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
