"""Mlforecast does the retraining and the forecast of the case ``many`` of `response_time.py`, which runs it.

Takes a file of Arrow rows (``at, server, metric, value, application``) without gaps, and what the other side did, as
JSON; prints seconds and processor seconds by part as JSON: ``arrange`` (rows to a frame, inputs of all series), ``fit``
(a model per hour ahead, to as many rows as the other side; left to itself it takes all, 250 times as many),
``forecast`` (from the rows alone), ``roll`` (the judged series, forecast at each hour of the evaluation, models fitted
as often to all of their rows). ``mase`` are its errors by hour ahead over the judged weeks, from rolling once more, not
timed, with the calendar as columns: one that it derives is learned as that of the first hour ahead.
"""

import gc
import json
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from trunkline.tasks.forecasting.baselines import recursive_engine
from trunkline.tasks.forecasting.panel import Floats


def main() -> int:
    """Do the work and print the seconds."""
    with pa.memory_map(sys.argv[1]) as source:
        rows = pa.ipc.open_file(source).read_all()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            print(json.dumps(worked(rows, json.loads(sys.argv[2]))))
    return 0


def framed(rows: pa.Table) -> pd.DataFrame:
    """Rows in mlforecast's form; servers as categories, which it takes as they are."""
    chosen = rows.select(["server", "at", "value"]).rename_columns(["unique_id", "ds", "y"])
    chosen = chosen.set_column(0, "unique_id", chosen.column(0).dictionary_encode())
    frame: pd.DataFrame = chosen.set_column(1, "ds", chosen.column(1).cast(pa.timestamp("us"))).to_pandas()
    return frame


def worked(rows: pa.Table, said: dict[str, Any]) -> dict[str, dict[str, float]]:
    """Seconds of each part."""
    seconds: dict[str, float] = {}
    processor: dict[str, float] = {}

    @contextmanager
    def timed(part: str) -> Iterator[None]:
        gc.collect()
        began, before = time.perf_counter(), time.process_time()
        yield
        seconds[part], processor[part] = time.perf_counter() - began, time.process_time() - before
        print(part, round(seconds[part], 1), file=sys.stderr, flush=True)

    def engine(calendar: tuple[str, ...] = ("hour", "dayofweek")) -> Any:  # noqa: ANN401 - wider than what it gives
        learner, seed, threads = said["parameters"], said["seed"], said["threads"]
        return recursive_engine(learner, booster="xgboost", seed=seed, threads=threads, calendar=calendar)

    horizons, learner = said["horizons"], engine()
    with timed("arrange"):
        frame = framed(rows)
        inputs, targets = learner.preprocess(frame, max_horizon=horizons, return_X_y=True)

    def drawn() -> Iterator[tuple[int, pd.DataFrame, Floats]]:
        draw = np.random.default_rng(said["seed"])
        for place in range(horizons):
            known = np.flatnonzero(np.isfinite(targets[:, place]))
            chosen = np.sort(draw.choice(known, min(said["most_rows"], len(known)), replace=False))
            yield place, inputs.iloc[chosen], targets[chosen, place]

    with timed("fit"):
        learner.fit_models(generator_factory=drawn)
    with timed("forecast"):
        learner.predict(horizons, new_df=framed(rows))
    judged = frame[frame["unique_id"].isin(list(said["judged"]))].astype({"unique_id": str})
    rolled = {"n_windows": said["windows"], "h": horizons, "step_size": 1, "refit": said["refit_hours"]}
    with timed("roll"):
        engine().cross_validation(judged, **rolled, max_horizon=horizons)
    judged = judged.assign(hour=judged["ds"].dt.hour, dayofweek=judged["ds"].dt.dayofweek)
    made = engine(()).cross_validation(judged, **rolled, max_horizon=horizons, static_features=[])
    return {"seconds": seconds, "processor": processor, "mase": judgement(made, said)}


def judgement(made: pd.DataFrame, said: dict[str, Any]) -> dict[str, float]:
    """Mean over series of the mean scaled error, by hour ahead."""
    late = made[made["cutoff"] >= pd.Timestamp(said["judged_from"])]
    error = (late["y"] - late["made"]).abs() / late["unique_id"].map(said["judged"])
    ahead = (late["ds"] - late["cutoff"]).dt.total_seconds().to_numpy(dtype=np.int64) // 3600
    by_series = error.groupby([ahead, late["unique_id"]]).mean()
    return {f"mase_h{hours}": float(by_series[hours].mean()) for hours in range(1, said["horizons"] + 1)}


if __name__ == "__main__":
    sys.exit(main())
