"""Rolling origins: forecasts of hours that the models have not seen, block by block.

Takes a panel, gives medians and truths by series, horizon and hour of making. In each block the models, scales and
outlier limits come from the hours before it alone.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from trunkline.tasks.forecasting.blending import Blend, anchor_share, shares_of, usual_share
from trunkline.tasks.forecasting.boosting import Booster, Examples, fit
from trunkline.tasks.forecasting.calendars import Calendar
from trunkline.tasks.forecasting.declaration import Forecasting
from trunkline.tasks.forecasting.design import Design, arrange
from trunkline.tasks.forecasting.effort import Effort
from trunkline.tasks.forecasting.panel import Floats, Panel, Places
from trunkline.tasks.forecasting.scaling import learn_scales
from trunkline.tasks.learners import Parameter

__all__ = [
    "Span",
    "calendar_of",
    "fit_all",
    "in_threads",
    "learned_design",
    "medians",
    "pairs",
    "roll",
    "span_of",
    "truths",
]

T = TypeVar("T")

_CHUNK_PAIRS = 200_000
_LEAST_HISTORY = 48
_MOST_COVARIATES = 8


@dataclass(frozen=True)
class Span:
    """Which hours forecasts are made at.

    Attributes:
        warm: First hour from which the intervals learn.
        judge: First hour that is judged.
        end: One beyond the last hour at which a forecast is made.
    """

    warm: int
    judge: int
    end: int


def span_of(task: Forecasting, hours: int) -> Span:
    """Cut the hours: the last days judge, those before warm the intervals up; short series have less of both.

    Args:
        task: The declaration.
        hours: Hours of the panel.
    """
    judged = min(task.evaluation_days * 24, hours // 3)
    warm = min(task.warm_up_days * 24, hours // 6)
    end = hours - 1
    return Span(max(end - judged - warm, 0), max(end - judged, 0), end)


def calendar_of(task: Forecasting, panel: Panel) -> Calendar:
    """The calendar of a panel."""
    return Calendar(panel.start_at, panel.hours, task.zone, task.country)


def learned_design(task: Forecasting, panel: Panel, *, until: int, effort: Effort) -> Design:
    """Inputs of a panel, with scales, limits and slots as they are learned at an hour.

    Args:
        task: The declaration.
        panel: The series.
        until: Newest hour that may be looked at.
        effort: Whether the series are told apart.
    """
    scales = learn_scales(panel.targets.values[:, : until + 1])
    slots = arrange(panel, known_ahead=task.known_ahead, most=_MOST_COVARIATES, until=until)
    codes = np.arange(len(panel.targets.names), dtype=np.float64) if effort.named else None
    return Design(panel, scales, calendar_of(task, panel), slots, codes=codes)


def pairs(
    panel: Panel, *, horizon: int, until: int, most: int, seed: int, since: int = _LEAST_HISTORY
) -> tuple[Places, Places]:
    """Draw (series, hour) pairs whose truth is known at the hour ``until``.

    Args:
        panel: The series.
        horizon: Hours ahead.
        until: Newest known hour.
        most: Most pairs; drawn evenly.
        seed: Of the draw.
        since: First hour at which forecasts are learned from.

    Returns:
        Series and hours, in their order.
    """
    values = panel.targets.values[:, : until + 1]
    last = until - horizon
    if last < since:
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    known = np.isfinite(values[:, since + horizon : last + horizon + 1])
    found = np.flatnonzero(known.ravel())
    if len(found) > most:
        found = np.sort(np.random.default_rng(seed).choice(found, most, replace=False))
    width = known.shape[1]
    return (found // width).astype(np.int64), (found % width + since).astype(np.int64)


def fit_all(
    task: Forecasting,
    design: Design,
    *,
    until: int,
    parameters: Sequence[Mapping[str, Parameter]],
    effort: Effort,
    seed: int,
    threads: int,
) -> tuple[Blend, ...]:
    """Fit the model of each hour ahead to what was known at an hour.

    Args:
        task: The declaration.
        design: Inputs.
        until: Newest known hour.
        parameters: Of the learner, by hour ahead.
        effort: How much is fitted.
        seed: Seed of everything random.
        threads: Fits at a time, of one thread each: threads of one fit wait for each other where others are at work.
    """
    usual = [usual_share(place + 1) for place in range(task.horizons)]
    views = [tuple(shares_of(share, averaged=effort.averaged)) for share in usual]
    counted = [(place, view) for place, some in enumerate(views) for view in some]

    def one(number: int) -> Booster:
        place, view = counted[number]
        examples = learned_from(
            design,
            horizon=place + 1,
            until=until,
            most=effort.most_rows,
            half_life_days=task.half_life_days,
            seed=seed,
            usual=anchor_share(view, usual[place]),
        )
        return fit(examples, library=task.booster, parameters=parameters[place], seed=seed)

    fitted = dict(zip(counted, in_threads(one, range(len(counted)), threads=threads), strict=True))
    return tuple(
        Blend({view: fitted[place, view] for view in some}, share)
        for place, (some, share) in enumerate(zip(views, usual, strict=True))
    )


def in_threads(work: Callable[[int], T], places: Sequence[int], *, threads: int) -> tuple[T, ...]:
    """Do some work for each place, so many at a time, and give the results in order."""
    if threads <= 1 or len(places) <= 1:
        return tuple(work(place) for place in places)
    with ThreadPoolExecutor(min(threads, len(places))) as pool:
        return tuple(pool.map(work, places))


def learned_from(
    design: Design,
    *,
    horizon: int,
    until: int,
    most: int,
    half_life_days: float | None,
    seed: int,
    usual: float,
    since: int = _LEAST_HISTORY,
) -> Examples:
    """Draw what is fitted to, or judged by: inputs, targets, and how much each counts.

    Older hours count less, by discounted least squares' exponential weights (Brown 1963, "Smoothing, Forecasting and
    Prediction of Discrete Time Series"), here of absolute errors: servers change.

    Args:
        design: Inputs.
        horizon: Hours ahead, at least 1.
        until: Newest known hour.
        most: Most examples; drawn evenly.
        half_life_days: Days after which an hour counts half as much; None: all count alike.
        seed: Of the draw.
        usual: Share of the usual value in what differences are taken from.
        since: First hour at which forecasts are made.
    """
    series, hour = pairs(design.panel, horizon=horizon, until=until, most=most, seed=seed, since=since)
    scale = design.scales.scale
    target = design.panel.targets.values[series, hour + horizon] / scale[series]
    target = target - design.anchor(series, hour, horizon=horizon, usual=usual)
    known = np.isfinite(target)
    series, hour = series[known], hour[known]
    matrix = design.matrix(series, hour, horizon=horizon, usual=usual)
    if half_life_days is None or not len(hour):
        return Examples(matrix, target[known])
    weight = 0.5 ** ((until - hour) / (24 * half_life_days))
    return Examples(matrix, target[known], weight / weight.mean())


def medians(design: Design, blends: Sequence[Blend], origins: Places, *, threads: int) -> Floats:
    """Forecast medians of all series.

    Args:
        design: Inputs.
        blends: One per hour ahead.
        origins: Hours at which forecasts are made, shape (origins,).
        threads: Threads of the learner.

    Returns:
        Shape (series, horizons, origins), unit of the metric; NaN where a series had no value for a week.
    """
    count = len(design.panel.targets.names)
    made = np.full((count, len(blends), len(origins)), np.nan)
    step = max(_CHUNK_PAIRS // max(count, 1), 1)
    for first in range(0, len(origins), step):
        chosen = origins[first : first + step]
        series = np.repeat(np.arange(count), len(chosen))
        hour = np.tile(chosen, count)

        def one(place: int, series: Places = series, hour: Places = hour) -> Floats:
            return blends[place].forecast(design, series, hour, horizon=place + 1) * design.scales.scale[series]

        for place, found in enumerate(in_threads(one, range(len(blends)), threads=threads)):
            made[:, place, first : first + step] = found.reshape(count, len(chosen))
    return made


def truths(panel: Panel, origins: Places, *, horizons: int) -> Floats:
    """What became true, shape (series, horizons, origins); NaN where it is not known."""
    values = panel.targets.values
    made = np.full((len(values), horizons, len(origins)), np.nan)
    for place in range(horizons):
        hour = origins + place + 1
        inside = hour < values.shape[1]
        made[:, place, inside] = values[:, hour[inside]]
    return made


def roll(
    task: Forecasting,
    panel: Panel,
    parameters: Sequence[Mapping[str, Parameter]],
    *,
    span: Span,
    effort: Effort,
    seed: int,
    threads: int,
    told: Callable[[float], None] = lambda _share: None,
) -> Floats:
    """Forecast all hours of a span by models of the hours before each block.

    Args:
        task: The declaration.
        panel: The series to judge.
        parameters: Of the learner, by hour ahead.
        span: The hours.
        effort: How much is fitted.
        seed: Seed of everything random.
        threads: Threads of the learner.
        told: Told which share is done.

    Returns:
        Medians, shape (series, horizons, origins), from ``span.warm`` to ``span.end``.
    """
    made = np.full((len(panel.targets.names), task.horizons, span.end - span.warm), np.nan)
    starts = range(span.warm, span.end, task.refit_hours)
    for number, start in enumerate(starts):
        stop = min(start + task.refit_hours, span.end)
        design = learned_design(task, panel, until=start, effort=effort)
        blends = fit_all(task, design, until=start, parameters=parameters, effort=effort, seed=seed, threads=threads)
        origins = np.arange(start, stop)
        made[:, :, start - span.warm : stop - span.warm] = medians(design, blends, origins, threads=threads)
        told((number + 1) / len(starts))
    return made
