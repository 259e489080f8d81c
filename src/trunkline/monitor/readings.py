"""Monitored numbers: drift against training, performance where the truth is known, an estimate where it is not.

Pure: takes what the model says of its training, rows, scores and outcomes as values, and gives readings. Which rows
belong to a window is decided by the caller.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final, Literal

from trunkline.contracts.records import Alert, Reading
from trunkline.spec import Watch
from trunkline.stats.drift import CategoryDrift, NumberDrift, category_drift, number_drift
from trunkline.stats.profiles import NumberProfile
from trunkline.tasks.info import ModelCard, ModelInfo

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    from trunkline.tasks.info import Profile

__all__ = ["Window", "alerts_of", "drift_readings", "estimate_readings", "performance_readings", "score_readings"]

Family = Literal["drift", "score_drift", "performance", "estimate", "freshness", "volume"]

_Severity = Literal["critical", "major", "minor", "warning"]

_FAR: Final = 3.0
"""From so many times its limit on, the drift of a feature is major."""

LEAST_ROWS: Final = 30
"""Rows below which a batch says nothing about drift."""


@dataclass(frozen=True)
class Window:
    """What all readings of one look have in common.

    Attributes:
        run_id: The run that looks.
        usecase: The use case.
        model_version: The version looked at.
        read_at: When.
        start_at: First instant of the rows; None where they carry no time.
        end_at: Last instant of the rows.
    """

    run_id: str
    usecase: str
    model_version: str
    read_at: datetime
    start_at: datetime | None = None
    end_at: datetime | None = None

    def reading(  # noqa: PLR0913 - the fields of a record
        self,
        family: Family,
        metric: str,
        subject: str,
        *,
        value: float | None,
        rows: int,
        low: float | None = None,
        high: float | None = None,
        limit: float | None = None,
        crossed: bool = False,
    ) -> Reading:
        """Make one reading of this window; see :class:`trunkline.contracts.records.Reading` for the fields."""
        said = f"{self.run_id}|{family}|{metric}|{subject}"
        return Reading(
            reading_id=hashlib.sha256(said.encode()).hexdigest()[:24],
            run_id=self.run_id,
            usecase=self.usecase,
            model_version=self.model_version,
            family=family,
            metric=metric,
            subject=subject,
            value=value,
            low=low,
            high=high,
            limit=limit,
            crossed=crossed,
            rows=rows,
            window_start_at=self.start_at,
            window_end_at=self.end_at,
            read_at=self.read_at,
        )


def drift_readings(info: ModelCard, rows: "pa.Table", *, window: Window, watch: Watch) -> tuple[Reading, ...]:
    """Compare each feature with its profile at training.

    Args:
        info: What the model says of its training.
        rows: Typed rows of the window; a feature that is absent counts as null throughout.
        window: What the readings have in common.
        watch: The limits.

    Returns:
        Per feature the population stability index (with its limit: the declared one, or the 99 % sampling limit where
        that is larger), the shift of the mean in training standard deviations for numbers, and the share of unseen
        values for categories. Nothing below 30 rows.
    """
    if rows.num_rows < LEAST_ROWS:
        return ()
    readings: list[Reading] = []
    for name, profile in info.profiles.items():
        drift = _drift(rows, name, profile)
        readings += _judged(drift, "drift", name, window=window, watch=watch)
        if isinstance(drift, NumberDrift):
            readings.append(window.reading("drift", "ks", name, value=drift.ks, rows=drift.rows))
        else:
            readings.append(window.reading("drift", "unseen_share", name, value=drift.unseen_share, rows=drift.rows))
    return tuple(readings)


def score_readings(
    info: ModelInfo, scores: "npt.NDArray[np.float64]", *, window: Window, watch: Watch
) -> tuple[Reading, ...]:
    """Compare the scores with those at training, as :func:`drift_readings` does with a feature."""
    if scores.size < LEAST_ROWS or not isinstance(info.score_profile, NumberProfile):
        return ()
    drift = number_drift(scores, reference=info.score_profile)
    return _judged(drift, "score_drift", "score", window=window, watch=watch)


def _judged(
    drift: NumberDrift | CategoryDrift, family: Family, name: str, *, window: Window, watch: Watch
) -> tuple[Reading, ...]:
    """The stability index and, of numbers, the shift of the mean; one of them has the limit."""
    by_mean = watch.mean_shift is not None and isinstance(drift, NumberDrift)
    limit = None if by_mean else max(watch.psi, drift.psi_limit)
    crossed = limit is not None and drift.psi > limit
    index = window.reading(family, "psi", name, value=drift.psi, rows=drift.rows, limit=limit, crossed=crossed)
    if not isinstance(drift, NumberDrift):
        return (index,)
    far = by_mean and abs(drift.mean_shift or 0.0) > (watch.mean_shift or 0.0)
    return (
        index,
        window.reading(
            family, "mean_shift", name, value=drift.mean_shift, rows=drift.rows, limit=watch.mean_shift, crossed=far
        ),
    )


def estimate_readings(
    info: ModelInfo, scores: "npt.NDArray[np.float64]", *, window: Window, watch: Watch, metric: str, seed: int
) -> tuple[Reading, ...]:
    """Estimate the performance before outcomes are known (CBPE), with its sampling band.

    The estimate trusts the calibration of the deployed scores: it is blind to concept drift, that is, to a change of
    what the features mean for the label.

    Args:
        info: What the model says of its training; a regression has no estimate.
        scores: Calibrated scores of the window, shape (rows,).
        window: What the readings have in common.
        watch: The limits.
        metric: Headline metric; it gets the limit.
        seed: Seed of the sampling band.
    """
    if info.threshold is None or scores.size < LEAST_ROWS:
        return ()
    from trunkline.stats.performance import estimate_performance

    estimated = estimate_performance(scores, threshold=info.threshold, seed=seed)
    readings = []
    for name, found in estimated.metrics.items():
        limit = _floor(info, name, watch) if name == metric else None
        crossed = limit is not None and found.high < limit
        readings.append(
            window.reading(
                "estimate",
                name,
                "score",
                value=found.value,
                low=found.low,
                high=found.high,
                rows=int(scores.size),
                limit=limit,
                crossed=crossed,
            )
        )
    return tuple(readings)


def performance_readings(
    info: ModelInfo,
    truth: "npt.NDArray[np.float64]",
    scores: "npt.NDArray[np.float64]",
    *,
    window: Window,
    watch: Watch,
    metric: str,
    seed: int,
) -> tuple[Reading, ...]:
    """Measure the performance on matured outcomes.

    Args:
        info: What the model says of its training.
        truth: Outcomes, shape (rows,): 0 or 1, or the true value of a regression.
        scores: The logged scores of the same rows.
        window: What the readings have in common.
        watch: The limits; nothing is measured below ``minimum_outcomes``.
        metric: Headline metric; it gets the limit.
        seed: Seed of the intervals.
    """
    if truth.size < watch.minimum_outcomes:
        return ()
    from trunkline.stats.classification import headline, regression_headline

    if info.threshold is None:
        found = regression_headline(truth, scores, seed=seed)
    elif truth.min() == truth.max():
        return (window.reading("performance", metric, "score", value=None, rows=int(truth.size)),)
    else:
        found = headline(truth.astype(int), scores, threshold=info.threshold, seed=seed)
    readings = []
    for name, interval in found.items():
        limit = _floor(info, name, watch) if name == metric else None
        readings.append(
            window.reading(
                "performance",
                name,
                "score",
                value=interval.value,
                low=interval.low,
                high=interval.high,
                rows=int(truth.size),
                limit=limit,
                crossed=limit is not None and interval.high < limit,
            )
        )
    return tuple(readings)


def alerts_of(readings: tuple[Reading, ...], *, window: Window) -> tuple[Alert, ...]:
    """Announce the readings that crossed their limits: one alert per family, the worst named first.

    Measured performance is critical; its estimate and a drift of the scores are major; a drift of features is minor,
    for it need not matter, unless it is three times its limit or more: then it is major, too.
    """
    return tuple(_alerts(readings, window))


def _alerts(readings: tuple[Reading, ...], window: Window) -> Iterator[Alert]:
    severities: Mapping[str, _Severity] = {
        "performance": "critical",
        "estimate": "major",
        "score_drift": "major",
        "drift": "minor",
    }
    for family, usual in severities.items():
        crossed = [reading for reading in readings if reading.family == family and reading.crossed]
        if not crossed:
            continue
        far = any(_shares_of_limit(reading) >= _FAR for reading in crossed)
        severity: _Severity = "major" if far and family == "drift" else usual
        worst = sorted(crossed, key=_excess, reverse=True)
        named = ", ".join(
            f"{reading.subject} {reading.metric} {reading.value:.3f} (limit {reading.limit:.3f})"
            for reading in worst[:8]
            if reading.value is not None and reading.limit is not None
        )
        more = f" and {len(worst) - 8} more" if len(worst) > 8 else ""
        yield Alert(
            alert_id=hashlib.sha256(f"{window.run_id}|{family}".encode()).hexdigest()[:24],
            run_id=window.run_id,
            usecase=window.usecase,
            severity=severity,
            title=f"{window.usecase}: {family.replace('_', ' ')} of version {window.model_version}, "
            f"{len(worst)} crossed",
            text=f"{named}{more}",
            raised_at=window.read_at,
        )


def _shares_of_limit(reading: Reading) -> float:
    return abs(reading.value or 0.0) / reading.limit if reading.limit else 0.0


def _excess(reading: Reading) -> float:
    """How far a reading is beyond its limit; a shift of the mean may be so on either side."""
    value, limit = reading.value or 0.0, reading.limit or 0.0
    return abs((abs(value) if reading.metric == "mean_shift" else value) - limit)


def _floor(info: ModelInfo, metric: str, watch: Watch) -> float | None:
    trained = info.metrics.get(metric)
    return None if trained is None else trained.value - watch.performance_drop


def _drift(rows: "pa.Table", name: str, profile: "Profile") -> NumberDrift | CategoryDrift:
    from trunkline.tasks.base_matrix import number_column

    if isinstance(profile, NumberProfile):
        import numpy as np

        if name not in rows.column_names:
            return number_drift(np.full(rows.num_rows, np.nan), reference=profile)
        # the profile holds values as the model saw them, in single precision: 0.7 stands there as 0.69999999, and a
        # double 0.7 beside it would fall into the next bin
        seen = number_column(rows, name).astype(np.float32).astype(np.float64)
        return number_drift(seen, reference=profile)
    if name not in rows.column_names:
        return category_drift({}, reference=profile, nulls=rows.num_rows)
    counted = rows.column(name).value_counts().to_pylist()
    nulls = sum(entry["counts"] for entry in counted if entry["values"] is None)
    return category_drift(
        {entry["values"]: entry["counts"] for entry in counted if entry["values"] is not None},
        reference=profile,
        nulls=nulls,
    )
