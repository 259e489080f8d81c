"""Train forecasts: search, judge by rolling origins, learn the intervals, compare with simpler ways, fit.

Takes a declaration and rows in long form, gives a model and a report. The evaluation's hours are seen by no model that
is judged on them, and by no search.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa

from trunkline.errors import MissingExtraError
from trunkline.stats.intervals import Interval
from trunkline.stats.profiles import number_profile
from trunkline.tasks.finishing import Phases, package_versions
from trunkline.tasks.forecasting.baselines import baseline_forecasts
from trunkline.tasks.forecasting.blending import Blend
from trunkline.tasks.forecasting.card import ForecastCard, HorizonFacts, SeriesFacts
from trunkline.tasks.forecasting.declaration import Forecasting
from trunkline.tasks.forecasting.design import Design
from trunkline.tasks.forecasting.effort import effort_of
from trunkline.tasks.forecasting.fitness import LEAST_VALUES, fit_to_learn, refuse_unjudged
from trunkline.tasks.forecasting.intervals import replay
from trunkline.tasks.forecasting.model import ForecastModel
from trunkline.tasks.forecasting.panel import Floats, Panel, Places
from trunkline.tasks.forecasting.report import BaselineReport, ForecastReport, SeriesReport, SpikeReport
from trunkline.tasks.forecasting.rolling import Span, fit_all, learned_design, roll, span_of, truths
from trunkline.tasks.forecasting.scaling import Scales, seasonal_scale
from trunkline.tasks.forecasting.scoring import (
    day_interval,
    explained,
    over_horizons,
    series_mean,
    share_inside,
    warnings_of,
)
from trunkline.tasks.forecasting.tracking import Tracker, quantiles_at
from trunkline.tasks.forecasting.tuning import tune
from trunkline.tasks.learners import Parameter
from trunkline.tasks.report import Chosen
from trunkline.tasks.task import Progress, Trained

__all__ = ["train"]

_SHOWN_SERIES: Final = 64
_SHOWN_INPUTS: Final = 20
_MOST_PROFILES: Final = 200


def train(
    task: Forecasting, table: pa.Table, *, seed: int, threads: int, progress: Progress, clock: Callable[[], float]
) -> Trained:
    """Train; see ``Forecasting.train``."""
    phases = Phases(clock)
    phases.begin("arrange")
    progress("arrange", 0.0)
    panel, left_out = fit_to_learn(task.panel(table), known_ahead=task.known_ahead)
    span = span_of(task, panel.hours)
    refuse_unjudged(panel, judge=span.judge)
    chosen = _judged(panel, task.most_judged, seed=seed)
    judged = panel if len(chosen) == len(panel.targets.names) else panel.only(chosen)
    effort = effort_of(task, len(panel.targets.names))
    phases.begin("search")
    parameters, tuning = tune(
        task,
        judged,
        span=span,
        effort=effort,
        seed=seed,
        threads=threads,
        told=lambda share: progress("search", share),
    )
    phases.begin("roll")
    made = roll(
        task,
        judged,
        parameters,
        span=span,
        effort=effort,
        seed=seed,
        threads=threads,
        told=lambda share: progress("judge by rolling origins", share),
    )
    phases.begin("fit")
    progress("fit", 0.0)
    design = learned_design(task, panel, until=panel.hours - 1, effort=effort)
    scales = design.scales
    blends = fit_all(
        task, design, until=panel.hours - 1, parameters=parameters, effort=effort, seed=seed, threads=threads
    )
    phases.begin("judge")
    progress("judge", 0.0)
    found = _judge(
        task, judged, made, span=span, scales=_of(scales, chosen), series=len(panel.targets.names), seed=seed
    )
    phases.begin("compare")
    progress("compare with simpler ways", 0.0)
    baselines, warnings = _baselines(task, judged, made, parameters[0], span=span, seed=seed, threads=threads)
    phases.end()
    horizons = tuple(
        HorizonFacts(
            horizon=place + 1,
            booster=task.booster,
            parameters=parameters[place],
            usual=blends[place].usual,
            mase=found.metrics[f"mase_h{place + 1}"].value,
            rmse=found.rmse[place],
            r2=found.r2[place],
            coverage=found.coverage[place],
        )
        for place in range(task.horizons)
    )
    info = _card(task, panel, scales, horizons, design=design, metrics=found.metrics, seed=seed)
    model = ForecastModel(
        info=info,
        blends=blends,
        slots=design.slots,
        tracker=found.tracker,
        out_of_fold=made.astype(np.float32),
        judged=chosen,
        first_origin=span.warm,
    )
    report = ForecastReport(
        label=task.label,
        seed=seed,
        metric="mase",
        champion=Chosen(
            name=task.booster,
            why=f"one model per hour ahead for all {len(panel.targets.names)} series, parameters found by a search "
            f"of {task.trials} tries each",
        ),
        metrics=found.metrics,
        test_metrics={},
        seconds=phases.seconds,
        warnings=(*left_out, *warnings),
        target=task.target,
        series=len(panel.targets.names),
        judged=len(chosen),
        values=info.trained_rows,
        from_at=info.trained_from,
        until_at=info.trained_until,
        evaluated_from=panel.hour_at(span.judge),
        origins=span.end - span.judge,
        horizons=horizons,
        tuning=tuning,
        baselines=baselines,
        servers=found.servers,
        spikes=found.spikes,
        importances=_importances(blends, design),
    )
    progress("judge", 1.0)
    return Trained(model, report, None)


def _judged(panel: Panel, most: int, *, seed: int) -> Places:
    """Series of the rolling evaluation: those with enough values, evenly drawn where they are many."""
    enough = np.flatnonzero(np.isfinite(panel.targets.values).sum(axis=1) >= LEAST_VALUES)
    if len(enough) <= most:
        return enough.astype(np.int64)
    return np.sort(np.random.default_rng(seed).choice(enough, most, replace=False)).astype(np.int64)


def _of(scales: Scales, chosen: Places) -> Scales:
    return Scales(scales.scale[chosen], scales.whisker[chosen])


@dataclass(frozen=True)
class _Judged:
    metrics: Mapping[str, Interval]
    rmse: tuple[float, ...]
    r2: tuple[float, ...]
    coverage: tuple[float, ...]
    servers: tuple[SeriesReport, ...]
    spikes: SpikeReport
    tracker: Tracker


def _judge(
    task: Forecasting, panel: Panel, made: Floats, *, span: Span, scales: Scales, series: int, seed: int
) -> _Judged:
    """Learn the intervals from the hours that warm up, and judge medians and intervals on those after them."""
    origins = np.arange(span.warm, span.end)
    truth = truths(panel, origins, horizons=task.horizons)
    unit = scales.scale[:, None, None]
    errors = (truth - made) / unit
    split = span.judge - span.warm
    beginning = Tracker.begin(errors[:, :, :split] if split >= 24 else errors, series=len(panel.targets.names))
    tracked = replay(beginning, errors, keep_from=split)
    quantiles = made[:, :, None, split:] + tracked * unit[..., None]
    truth, medians = truth[:, :, split:], made[:, :, split:]
    levels = np.moveaxis(quantiles, 2, 3)
    edge = (1 - task.interval) / 2
    inside = share_inside(truth, quantiles_at(levels, edge), quantiles_at(levels, 1 - edge))
    by = seasonal_scale(panel.targets.values[:, : span.judge + 1])[:, None, None]
    scaled = np.abs(truth - medians) / by
    metrics = {
        f"mase_h{place + 1}": day_interval(scaled[:, place], seed=seed + place) for place in range(task.horizons)
    }
    metrics["mase"] = day_interval(over_horizons(scaled), seed=seed)
    metrics[f"coverage_{round(100 * task.interval)}"] = day_interval(over_horizons(inside), seed=seed)
    limit = _limits(task, panel, scales)
    # the state that goes on: of every series, where all were judged; else all begin as the judged ones ended
    tracker = beginning if len(panel.targets.names) == series else _pooled(beginning, series)
    return _Judged(
        metrics=metrics,
        rmse=tuple(_rmse(truth[:, place], medians[:, place]) for place in range(task.horizons)),
        r2=tuple(explained(truth[:, place], medians[:, place]) for place in range(task.horizons)),
        coverage=tuple(series_mean(inside[:, place]) for place in range(task.horizons)),
        servers=tuple(
            SeriesReport(
                server=server,
                mase=tuple(_maybe(scaled[row, place]) for place in range(task.horizons)),
                coverage=_maybe(inside[row].ravel()),
                missing=float(1 - np.isfinite(panel.targets.values[row]).mean()),
            )
            for row, server in enumerate(panel.servers[:_SHOWN_SERIES])
        ),
        spikes=warnings_of(panel.targets.values, quantiles, limit, first=span.judge, warn_at=task.warn_at),
        tracker=tracker,
    )


def _limits(task: Forecasting, panel: Panel, scales: Scales) -> Floats:
    own = np.where(np.isfinite(scales.whisker), scales.whisker, np.nan)
    return np.array([task.limits.get(server, own[place]) for place, server in enumerate(panel.servers)])


def _pooled(tracker: Tracker, series: int) -> Tracker:
    def typical(state: Floats) -> Floats:
        return np.repeat(np.median(state, axis=0)[None], series, axis=0)

    return Tracker(
        typical(tracker.size), typical(tracker.quantiles), typical(tracker.bias), tracker.step, tracker.memory
    )


def _rmse(truth: Floats, forecast: Floats) -> float:
    far = (truth - forecast) ** 2
    return float(np.sqrt(np.nanmean(far))) if np.isfinite(far).any() else 0.0


def _maybe(values: Floats) -> float | None:
    known = values[np.isfinite(values)]
    return float(known.mean()) if known.size else None


def _baselines(
    task: Forecasting,
    panel: Panel,
    made: Floats,
    parameters: Mapping[str, Parameter],
    *,
    span: Span,
    seed: int,
    threads: int,
) -> tuple[tuple[BaselineReport, ...], tuple[str, ...]]:
    by = seasonal_scale(panel.targets.values[:, : span.judge + 1])
    reports, warnings = [], []
    for name in task.baselines:
        try:
            series, origins, values = baseline_forecasts(
                name, task, panel, span=span, parameters=parameters, seed=seed, threads=threads
            )
        except MissingExtraError as error:
            warnings.append(f"not compared with {name}: {error.what}")
            continue
        if not len(origins):
            continue
        truth = truths(panel, origins, horizons=task.horizons)[series]
        ours = made[series][:, :, origins - span.warm]
        both = np.isfinite(values) & np.isfinite(ours) & np.isfinite(truth)
        unit = by[series][:, None, None]
        errors = [np.where(both, np.abs(truth - one) / unit, np.nan) for one in (values, ours)]
        theirs, champion = ([series_mean(one[:, place]) for place in range(task.horizons)] for one in errors)
        if not np.isfinite(theirs).all():
            continue
        reports.append(BaselineReport(name=name, mase=tuple(theirs), ours=tuple(champion), origins=len(origins)))
    return tuple(reports), tuple(warnings)


def _card(
    task: Forecasting,
    panel: Panel,
    scales: Scales,
    horizons: Sequence[HorizonFacts],
    *,
    design: Design,
    metrics: Mapping[str, Interval],
    seed: int,
) -> ForecastCard:
    values = panel.targets.values
    limits = _limits(task, panel, scales)
    return ForecastCard(
        label=task.label,
        columns=task.columns,
        metrics=metrics,
        seed=seed,
        trained_rows=int(np.isfinite(values).sum()),
        packages=package_versions(),
        profiles={
            server: number_profile(values[row])
            for row, server in enumerate(panel.servers[:_MOST_PROFILES])
            if np.isfinite(values[row]).sum() >= LEAST_VALUES
        },
        recipe=task.model_dump(mode="json"),
        target=task.target,
        horizons=tuple(horizons),
        series=tuple(
            SeriesFacts(
                server=server,
                group=panel.groups[panel.targets.group[row]],
                scale=float(scales.scale[row]),
                outlier_limit=_finite(scales.whisker[row]),
                limit=_finite(limits[row]),
            )
            for row, server in enumerate(panel.servers)
        ),
        inputs=design.names,
        trained_from=panel.start_at,
        trained_until=panel.hour_at(panel.hours - 1),
    )


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _importances(blends: Sequence[Blend], design: Design) -> dict[str, float]:
    total: dict[str, float] = {}
    for blend in blends:
        for name, share in blend.gains(design.names).items():
            total[name] = total.get(name, 0.0) + share / len(blends)
    strongest = sorted(total.items(), key=lambda pair: (-pair[1], pair[0]))[:_SHOWN_INPUTS]
    return dict(strongest)
