"""Figures of a rolling evaluation: scaled errors with intervals, coverage, warnings of limits.

Takes forecasts and truths by series, horizon and hour of making, gives numbers. Intervals come from resampling whole
days: errors of neighbouring hours are alike, those of different days much less (block bootstrap, Künsch 1989,
doi:10.1214/aos/1176347265).
"""

import numpy as np
import numpy.typing as npt

from trunkline.stats.intervals import Interval
from trunkline.tasks.forecasting.panel import Floats
from trunkline.tasks.forecasting.report import SpikeReport
from trunkline.tasks.forecasting.tracking import exceedance

__all__ = ["day_interval", "explained", "over_horizons", "series_mean", "share_inside", "warnings_of"]

_DAY = 24
_DRAWS = 1_000


def series_mean(values: Floats) -> float:
    """Mean over series of the mean over hours, NaN left out; shape (series, hours)."""
    means = _row_means(values)
    known = means[np.isfinite(means)]
    return float(known.mean()) if known.size else float("nan")


def day_interval(values: Floats, *, seed: int) -> Interval:
    """Mean over series of the mean over hours, with the 95 % interval over days.

    Args:
        values: Shape (series, hours); NaN left out. Hours follow each other.
        seed: Of the bootstrap.
    """
    days = -(-values.shape[1] // _DAY)
    padded = np.full((values.shape[0], days * _DAY), np.nan)
    padded[:, : values.shape[1]] = values
    blocks = padded.reshape(values.shape[0], days, _DAY)
    known = np.isfinite(blocks)
    sums, counts = np.where(known, blocks, 0.0).sum(axis=2), known.sum(axis=2).astype(np.float64)
    drawn = np.random.default_rng(seed).integers(0, days, (_DRAWS, days))
    weights = np.zeros((_DRAWS, days))
    np.add.at(weights, (np.arange(_DRAWS)[:, None], drawn), 1.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        means = (weights @ sums.T) / (weights @ counts.T)
    estimates = _row_means(means)
    known_estimates = estimates[np.isfinite(estimates)]
    low, high = np.quantile(known_estimates, [0.025, 0.975]) if known_estimates.size else (np.nan, np.nan)
    value = series_mean(values)
    return Interval(value, min(float(low), value), max(float(high), value))


def explained(truth: Floats, forecast: Floats) -> float:
    """Coefficient of determination by series, mean over series; shape (series, hours)."""
    known = np.isfinite(truth) & np.isfinite(forecast)
    found = []
    for row in range(len(truth)):
        a, b = truth[row, known[row]], forecast[row, known[row]]
        if len(a) > 1 and a.var() > 0:
            found.append(1 - float(((a - b) ** 2).mean() / a.var()))
    return float(np.mean(found)) if found else float("nan")


def over_horizons(inside: Floats) -> Floats:
    """Mean over the hours ahead of shape (series, horizons, hours), NaN left out."""
    known = np.isfinite(inside)
    count = known.sum(axis=1)
    return np.where(count > 0, np.where(known, inside, 0.0).sum(axis=1) / np.maximum(count, 1), np.nan)


def share_inside(truth: Floats, low: Floats, high: Floats) -> Floats:
    """1 where the truth lies inside, 0 where not, NaN where it is not known."""
    known = np.isfinite(truth) & np.isfinite(low) & np.isfinite(high)
    return np.where(known, ((truth >= low) & (truth <= high)).astype(np.float64), np.nan)


def warnings_of(values: Floats, quantiles: Floats, limit: Floats, *, first: int, warn_at: float) -> SpikeReport:
    """Judge the warnings that would have been given.

    A warning is given at an hour whose own value is not above the limit, where the probability of exceeding it in one
    of the hours ahead reaches ``warn_at``. It is right if the limit is exceeded within those hours. A spike is an hour
    above the limit after one that was not; it was foreseen if an earlier warning named its hour.

    Args:
        values: Shape (series, hours).
        quantiles: Of the values ahead, shape (series, horizons, levels, origins).
        limit: By series, shape (series,).
        first: The hour of the first origin.
        warn_at: See above.
    """
    series, horizons, _, origins = quantiles.shape
    over = np.full((series, origins, horizons), np.nan)
    for place in range(horizons):
        tracked = np.moveaxis(quantiles[:, place], 1, 2)
        over[:, :, place] = exceedance(tracked, np.broadcast_to(limit[:, None], tracked.shape[:2]))
    above = np.where(np.isfinite(values), values > limit[:, None], False)
    flagged = np.nan_to_num(over) >= warn_at
    now = above[:, first : first + origins]
    ahead = np.zeros((series, origins, horizons), dtype=bool)
    for place in range(horizons):
        part = above[:, first + place + 1 : first + place + 1 + origins]
        ahead[:, : part.shape[1], place] = part
    warned = flagged.any(axis=2) & ~now
    right = warned & ahead.any(axis=2)
    lead, spikes = _leads(above, flagged & warned[:, :, None], first=first)
    return SpikeReport(
        warn_at=warn_at,
        warnings=int(warned.sum()),
        right=int(right.sum()),
        spikes=spikes,
        foreseen=len(lead),
        mean_lead_hours=float(np.mean(lead)) if lead else None,
    )


def _leads(above: npt.NDArray[np.bool_], flagged: npt.NDArray[np.bool_], *, first: int) -> tuple[list[int], int]:
    """Hours between the first warning that named a spike and the spike; and how many spikes there were."""
    _, origins, horizons = flagged.shape
    rises = above[:, 1:] & ~above[:, :-1]
    row, hour = np.nonzero(rises)
    hour = hour + 1
    inside = (hour > first) & (hour <= first + origins)
    row, hour = row[inside], hour[inside]
    best = np.zeros(len(hour), dtype=np.int64)
    for place in range(horizons):
        origin = hour - (place + 1) - first
        fits = (origin >= 0) & (origin < origins)
        named = np.zeros(len(hour), dtype=bool)
        named[fits] = flagged[row[fits], origin[fits], place]
        best = np.where(named, place + 1, best)
    return [int(one) for one in best if one > 0], len(hour)


def _row_means(values: Floats) -> Floats:
    known = np.isfinite(values)
    count = known.sum(axis=1)
    return np.where(count > 0, np.where(known, values, 0.0).sum(axis=1) / np.maximum(count, 1), np.nan)
