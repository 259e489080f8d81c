"""Simpler ways to forecast, on the same hours: what a model has to beat to be worth its keep.

Takes a panel, gives medians by series, horizon and hour of making. The naive ones are lookups; exponential smoothing
comes from statsforecast, the recursive booster from mlforecast, both fitted once to the hours before the evaluation and
brought up to date at each origin (extra ``forecast``).
"""

import warnings
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Final

import numpy as np

from trunkline.errors import MissingExtraError
from trunkline.tasks.forecasting.declaration import Baseline, Forecasting
from trunkline.tasks.forecasting.panel import Floats, Panel, Places
from trunkline.tasks.forecasting.rolling import Span
from trunkline.tasks.learners import Parameter

if TYPE_CHECKING:
    import pandas as pd
    from mlforecast import MLForecast

__all__ = ["STRIDE", "baseline_forecasts", "recursive_engine", "recursive_learner", "series_frame"]

STRIDE: Final = 5
"""Baselines that are fitted forecast at every so many hours, so that all hours of the day have their turn; the champion
is compared on exactly those."""

_BACK: Final[Mapping[str, int]] = {"naive_day": 24, "naive_week": 168}
_MOST_SERIES: Final = 8
_SEASON: Final = 24


def baseline_forecasts(
    name: Baseline,
    task: Forecasting,
    panel: Panel,
    *,
    span: Span,
    parameters: Mapping[str, Parameter],
    seed: int,
    threads: int,
) -> tuple[Places, Places, Floats]:
    """Forecast by a simpler way.

    Args:
        name: Which.
        task: The declaration.
        panel: The judged series.
        span: The hours that are judged.
        parameters: Of the booster, for the recursive one.
        seed: Seed of everything random.
        threads: Threads of the learner.

    Returns:
        Series (places of the panel), origins, and medians, shape (series, horizons, origins).

    Raises:
        MissingExtraError: The baseline needs a library that is not installed.
    """
    everywhere = np.arange(len(panel.targets.names))
    if name == "last_value":
        origins = np.arange(span.judge, span.end)
        values = np.repeat(panel.targets.values[:, None, origins], task.horizons, axis=1)
        return everywhere, origins, values
    if name in _BACK:
        origins = np.arange(span.judge, span.end)
        ahead = np.arange(1, task.horizons + 1)
        place = origins[None, :] + ahead[:, None] - _BACK[name]
        values = np.where(place >= 0, panel.targets.values[:, np.maximum(place, 0)], np.nan)
        return everywhere, origins, values
    chosen = everywhere[:_MOST_SERIES]
    origins = np.arange(span.judge, span.end - task.horizons, STRIDE)
    if len(origins) < 2 or span.judge < 3 * _SEASON:
        return chosen, origins[:0], np.zeros((len(chosen), task.horizons, 0))
    frame = series_frame(panel, chosen, until=int(origins[-1]) + task.horizons)
    made = _ets(frame, task, origins) if name == "ets" else _recursive(frame, task, origins, parameters, seed, threads)
    return chosen, origins, _back_on_grid(made, panel, chosen, origins, task.horizons)


def series_frame(panel: Panel, series: Places, *, until: int) -> "pd.DataFrame":
    """Series in the form of Nixtla's libraries, gaps filled linearly: they take none.

    Args:
        panel: The series.
        series: Which of them.
        until: Last hour, included.
    """
    import pandas as pd

    hours = pd.date_range(panel.start_at.replace(tzinfo=None), periods=until + 1, freq="h")
    frames = []
    for place in series:
        values = pd.Series(panel.targets.values[place, : until + 1]).interpolate(limit_direction="both").fillna(0.0)
        frames.append(pd.DataFrame({"unique_id": f"{place:06d}", "ds": hours, "y": values.to_numpy()}))
    return pd.concat(frames, ignore_index=True)


def recursive_learner(parameters: Mapping[str, Parameter], *, booster: str, seed: int, threads: int) -> object:
    """The booster with the interface of scikit-learn, the same parameters and the same loss.

    Args:
        parameters: As in ``Forecasting.parameters``.
        booster: ``xgboost`` or ``lightgbm``.
        seed: Seed of sampling.
        threads: Threads to use.
    """
    given = {name: value for name, value in parameters.items() if name != "rounds"}
    rounds = int(parameters.get("rounds") or 150)
    if booster == "lightgbm":
        import lightgbm

        return lightgbm.LGBMRegressor(
            objective="l1",
            n_estimators=rounds,
            learning_rate=float(given.get("eta") or 0.08),
            num_leaves=2 ** int(given.get("max_depth") or 6) - 1,
            min_child_samples=round(float(given.get("min_child_weight") or 20)),
            subsample=float(given.get("subsample") or 1.0),
            subsample_freq=1,
            colsample_bytree=float(given.get("colsample_bytree") or 1.0),
            random_state=seed,
            n_jobs=threads,
            verbose=-1,
        )
    import xgboost

    return xgboost.XGBRegressor(
        objective="reg:absoluteerror",
        tree_method="hist",
        max_bin=64,
        n_estimators=rounds,
        random_state=seed,
        n_jobs=threads,
        **given,
    )


def recursive_engine(
    parameters: Mapping[str, Parameter],
    *,
    booster: str,
    seed: int,
    threads: int,
    calendar: Sequence[str] = ("hour", "dayofweek"),
) -> "MLForecast":
    """Mlforecast with the booster, on lags and rolling means like ours; recursive, or direct by ``max_horizon``.

    Args:
        parameters: As in ``Forecasting.parameters``.
        booster: ``xgboost`` or ``lightgbm``.
        seed: Seed of sampling.
        threads: Threads to use.
        calendar: What it derives from the hour. Direct forecasts want these as columns of the frame instead: mlforecast
            1.1 learns each hour ahead with the calendar of the first, and forecasts with that of its own.

    Raises:
        MissingExtraError: mlforecast is not installed.
    """
    try:
        from mlforecast import MLForecast
        from mlforecast.lag_transforms import RollingMean
        from mlforecast.target_transforms import LocalStandardScaler
    except ImportError:
        raise MissingExtraError("mlforecast", extra="forecast") from None
    return MLForecast(
        models={"made": recursive_learner(parameters, booster=booster, seed=seed, threads=threads)},
        freq="h",
        lags=[*range(1, 13), 24, 48, 168],
        lag_transforms={1: [RollingMean(3), RollingMean(12), RollingMean(24), RollingMean(168)]},
        date_features=list(calendar),
        target_transforms=[LocalStandardScaler()],
        num_threads=threads,
    )


def _ets(frame: "pd.DataFrame", task: Forecasting, origins: Places) -> "pd.DataFrame":
    try:
        from statsforecast import StatsForecast
        from statsforecast.models import AutoETS
    except ImportError:
        raise MissingExtraError("statsforecast", extra="forecast") from None
    engine = StatsForecast(models=[AutoETS(season_length=_SEASON, alias="made")], freq="h", n_jobs=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = engine.cross_validation(
            df=frame, h=task.horizons, step_size=STRIDE, n_windows=len(origins), refit=False, input_size=None
        )
    return _pandas(found)


def _recursive(
    frame: "pd.DataFrame",
    task: Forecasting,
    origins: Places,
    parameters: Mapping[str, Parameter],
    seed: int,
    threads: int,
) -> "pd.DataFrame":
    engine = recursive_engine(parameters, booster=task.booster, seed=seed, threads=threads)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return _pandas(
            engine.cross_validation(df=frame, h=task.horizons, step_size=STRIDE, n_windows=len(origins), refit=False)
        )


def _pandas(found: object) -> "pd.DataFrame":
    import pandas as pd

    assert isinstance(found, pd.DataFrame)
    return found if "unique_id" in found.columns else found.reset_index()


def _back_on_grid(made: "pd.DataFrame", panel: Panel, series: Places, origins: Places, horizons: int) -> Floats:
    start: datetime = panel.start_at.replace(tzinfo=None)
    row = {f"{place:06d}": number for number, place in enumerate(series)}
    origin = ((made["cutoff"] - start).dt.total_seconds() // 3600).to_numpy(dtype=np.int64)
    target = ((made["ds"] - start).dt.total_seconds() // 3600).to_numpy(dtype=np.int64)
    number = np.searchsorted(origins, origin)
    values = np.full((len(series), horizons, len(origins)), np.nan)
    rows = made["unique_id"].astype(str).map(row).to_numpy(dtype=np.int64)
    fits = (number < len(origins)) & (target - origin >= 1) & (target - origin <= horizons)
    fits &= origins[np.minimum(number, len(origins) - 1)] == origin
    values[rows[fits], (target - origin)[fits] - 1, number[fits]] = made["made"].to_numpy(dtype=np.float64)[fits]
    return values
