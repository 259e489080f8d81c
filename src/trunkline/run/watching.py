"""The monitor step: which rows belong to the window, and what is written of the readings."""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from pydantic import BaseModel, ConfigDict

from trunkline.checks import arrow_schema, table_from_rows
from trunkline.contracts.records import Alert, Outcome, PredictionLog, Reading
from trunkline.monitor import (
    Window,
    alerts_of,
    drift_readings,
    estimate_readings,
    performance_readings,
    score_readings,
)
from trunkline.run.looking import fitting_rows
from trunkline.run.predicting import PREDICTIONS, live_model
from trunkline.run.steps import StepContext, source_files

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    from trunkline.tasks import Model

__all__ = ["MonitorDocument", "monitor"]

OUTCOMES: Final = "platform.outcomes"
READINGS: Final = "platform.readings"
ALERTS: Final = "platform.alerts"

WINDOW_DAYS: Final = 30
"""A look without a source takes the answers of so many days."""


class MonitorDocument(BaseModel):
    """What was read.

    Attributes:
        model_version: The version looked at.
        rows: Answers, or rows of the source, in the window.
        outcomes: Matured outcomes among them.
        readings: All readings.
        alerts: What crossed its limits.
        note: What the readings cannot see.
    """

    model_config = ConfigDict(frozen=True)

    model_version: str
    rows: int
    outcomes: int
    readings: tuple[Reading, ...]
    alerts: tuple[Alert, ...]
    note: str = (
        "estimates trust the calibration of the deployed scores and are blind to concept drift; "
        "measured performance follows when outcomes have matured"
    )


def monitor(context: StepContext) -> MonitorDocument:
    """Read drift and performance of the champion over the window, store the readings, raise alerts.

    The window is what the run itself scored; in a run that scored nothing, the source's rows where one is given, and
    otherwise the logged answers of the last 30 days.
    """
    workspace, usecase = context.workspace, context.usecase
    version, model = live_model(workspace, usecase)
    now = workspace.clock()
    span: tuple[datetime | None, datetime | None] = (None, None)
    scored = context.document("predict") is not None
    if context.sources and not scored:
        rows, scores = _source_rows(context, model)
        keys: list[str] = []
    else:
        rows, scores, keys, span = _logged(context, version, since=now - timedelta(days=WINDOW_DAYS), own=scored)
    window = Window(context.run_id, usecase.name, version, now, *span)
    truth, judged = _matured(context, keys, scores, now) if keys else (scores[:0], scores[:0])
    seed = workspace.settings.seed
    readings = (
        *drift_readings(model.info, rows, window=window, watch=usecase.watch),
        *score_readings(model.info, scores, window=window, watch=usecase.watch),
        *estimate_readings(model.info, scores, window=window, watch=usecase.watch, metric=usecase.metric, seed=seed),
        *performance_readings(
            model.info, truth, judged, window=window, watch=usecase.watch, metric=usecase.metric, seed=seed
        ),
    )
    alerts = alerts_of(readings, window=window)
    _store(context, readings, alerts)
    return MonitorDocument(
        model_version=version, rows=rows.num_rows, outcomes=int(truth.size), readings=readings, alerts=alerts
    )


def _source_rows(context: StepContext, model: "Model") -> "tuple[pa.Table, npt.NDArray[np.float64]]":
    rows = fitting_rows(
        context.workspace, context.usecase, files=source_files(context.sources), mapping=context.mapping
    ).rows
    return rows, model.predict(rows).column(0).to_numpy()


def _logged(
    context: StepContext, version: str, *, since: datetime, own: bool
) -> "tuple[pa.Table, npt.NDArray[np.float64], list[str], tuple[datetime | None, datetime | None]]":
    """The features, scores and keys of logged answers, as they were used: the run's own, or all since an instant."""
    import orjson
    import pyarrow.compute as pc

    lake, usecase = context.workspace.lake, context.usecase
    schema = arrow_schema(PredictionLog)
    if not lake.exists(PREDICTIONS):
        log = schema.empty_table()
    else:
        log = lake.arrow(
            PREDICTIONS,
            schema=schema,
            where=lambda table: (
                (table["usecase"] == usecase.name)
                & (table["model_version"] == version)
                & ((table["request_id"] == context.run_id) if own else (table["predicted_at"] >= since))
            ),
        )
    rows = table_from_rows(usecase.contract, [orjson.loads(text) for text in log.column("features").to_pylist()])
    times = log.column("predicted_at")
    span = (pc.min(times).as_py(), pc.max(times).as_py()) if log.num_rows else (None, None)
    return rows, log.column("score").to_numpy(), log.column("entity_key").to_pylist(), span


def _matured(
    context: StepContext, keys: list[str], scores: "npt.NDArray[np.float64]", now: datetime
) -> "tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]":
    """Join logged answers with outcomes that are old enough to count."""
    import numpy as np

    lake, usecase = context.workspace.lake, context.usecase
    if not lake.exists(OUTCOMES):
        return scores[:0], scores[:0]
    matured_before = now - timedelta(days=usecase.label_delay_days)
    found = lake.arrow(
        OUTCOMES,
        schema=arrow_schema(Outcome),
        where=lambda table: (table["usecase"] == usecase.name) & (table["observed_at"] <= matured_before),
    ).sort_by("recorded_at")
    truth_of = dict(zip(found.column("entity_key").to_pylist(), found.column("value").to_pylist(), strict=True))
    # one entity scored several times in the window is judged by its last answer
    last = {key: position for position, key in enumerate(keys) if key in truth_of}
    positions = np.fromiter(last.values(), dtype=np.int64, count=len(last))
    truth = np.array([truth_of[key] for key in last], dtype=np.float64)
    return truth, scores[positions]


def _store(context: StepContext, readings: tuple[Reading, ...], alerts: tuple[Alert, ...]) -> None:
    from trunkline.lake import Transaction

    lake = context.workspace.lake
    if readings:
        lake.append(
            READINGS,
            table_from_rows(Reading, [reading.model_dump() for reading in readings]),
            transaction=Transaction(f"readings:{context.run_id}", 1),
        )
    if alerts:
        lake.append(
            ALERTS,
            table_from_rows(Alert, [alert.model_dump() for alert in alerts]),
            transaction=Transaction(f"alerts:{context.run_id}", 1),
        )
