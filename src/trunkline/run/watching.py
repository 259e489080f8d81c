"""The monitor step: which rows belong to the window, and what is written of the readings."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from pydantic import BaseModel, ConfigDict

from trunkline.checks import arrow_schema, table_from_rows
from trunkline.contracts.records import OUTCOMES, PREDICTIONS, READINGS, Alert, Outcome, PredictionLog, Reading
from trunkline.monitor import (
    SourceHealth,
    Window,
    alerts_of,
    drift_readings,
    estimate_readings,
    performance_readings,
    score_readings,
    source_alerts,
    source_readings,
)
from trunkline.run.alerts import write_alerts
from trunkline.run.looking import fitting_rows
from trunkline.run.predicting import live_model
from trunkline.run.resolving import source_files
from trunkline.run.source_health import check_sources
from trunkline.run.steps import RolloutDocument, StepContext, scored_rows

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    from trunkline.spec import UseCase
    from trunkline.tasks import Model, ModelInfo

__all__ = ["MonitorDocument", "monitor", "monitor_rows", "store_readings"]


WINDOW_DAYS: Final = 30
"""A look without a source takes the answers of so many days."""


class MonitorDocument(BaseModel):
    """What was read.

    Attributes:
        model_version: The version looked at.
        rows: Answers, or rows of the source, in the window.
        outcomes: Matured outcomes among them.
        readings: All readings.
        alerts: What crossed its limits, and what is wrong with the sources.
        drift_from: Version whose training the features were compared with, where it is not ``model_version``.
        note: What the readings cannot see.
    """

    model_config = ConfigDict(frozen=True)

    model_version: str
    rows: int
    outcomes: int
    readings: tuple[Reading, ...]
    alerts: tuple[Alert, ...]
    drift_from: str | None = None
    note: str = (
        "estimates trust the calibration of the deployed scores and are blind to concept drift; "
        "measured performance follows when outcomes have matured"
    )


def monitor(context: StepContext) -> MonitorDocument:
    """Watch the sources, and the champion as the kind of the use case's task does."""
    from trunkline.run.kinds import conduct_of

    # whether there is a champion or not
    health = check_sources(context.workspace, context.usecase, run_id=context.run_id)
    return conduct_of(context.usecase).monitor(context, health)


def monitor_rows(context: StepContext, health: Sequence[SourceHealth]) -> MonitorDocument:
    """Read drift and performance of the champion and the health of its sources, store the readings, raise alerts.

    The window is what the run itself scored; in a run that scored nothing, the source's rows where one is given, and
    otherwise the logged answers of the last 30 days. A run that has just made a new champion of its rows compares them
    with the training of the champion before: against its own training they could not have drifted. Its performance is
    estimated from the rows that it was not fitted to: of the others its scores are too sure.
    """
    workspace, usecase = context.workspace, context.usecase
    version, model = live_model(workspace, usecase)
    now = workspace.clock()
    span: tuple[datetime | None, datetime | None] = (None, None)
    scored = context.document("predict") is not None
    if context.sources:  # a whole run has none left: its rows are in the lake
        rows, scores = _source_rows(context, model)
    else:
        rows, scores, span = _logged(context, version, since=now - timedelta(days=WINDOW_DAYS), own=scored)
    window = Window(context.run_id, usecase.name, version, now, *span)
    truth, judged = _matured(context, version, now)
    seed = workspace.settings.seed
    before = _champion_before(context) if scored else None
    trained = model.info if before is None else _profiled(context, before, columns=model.info.columns)
    if not context.sources:  # answers note what the model reads, not the columns that are watched beside it
        read = {name: profile for name, profile in trained.profiles.items() if name in model.info.columns}
        trained = trained.model_copy(update={"profiles": read})
    drifted = window if before is None else replace(window, model_version=before)
    readings = (
        *drift_readings(trained, rows, window=drifted, watch=usecase.watch),
        *score_readings(model.info, scores, window=window, watch=usecase.watch),
        *estimate_readings(
            model.info,
            _trusted(context, version, model, scores),
            window=window,
            watch=usecase.watch,
            metric=usecase.metric,
            seed=seed,
        ),
        *performance_readings(
            model.info, truth, judged, window=window, watch=usecase.watch, metric=usecase.metric, seed=seed
        ),
        *source_readings(health, window=window),
    )
    alerts = alerts_of(readings, window=window)
    store_readings(context, readings, alerts)
    return MonitorDocument(
        model_version=version,
        rows=rows.num_rows,
        outcomes=int(truth.size),
        readings=readings,
        alerts=(*alerts, *source_alerts(health, run_id=context.run_id, raised_at=now)),
        drift_from=before,
    )


def _champion_before(context: StepContext) -> str | None:
    """The version in whose place this run has put its own; None where it has not."""
    released = _released(context)
    return None if released is None else released.previous


def _released(context: StepContext) -> RolloutDocument | None:
    document = context.document("rollout")
    return None if document is None else RolloutDocument.model_validate_json(document)


def _trusted(
    context: StepContext, version: str, model: "Model", scores: "npt.NDArray[np.float64]"
) -> "npt.NDArray[np.float64]":
    """Scores that an estimate may rest on: those of rows to which this very run has fitted its model are left out."""
    released = _released(context)
    if context.document("predict") is None or released is None or released.version != version:
        return scores
    from trunkline.train import unseen_rows

    usecase = context.usecase
    unseen = unseen_rows(usecase, scored_rows(context), [context.workspace.registry.folder(usecase.name, version)])
    answers: npt.NDArray[np.float64] = model.predict(unseen).column(0).to_numpy()
    return answers


def _profiled(context: StepContext, version: str, *, columns: Sequence[str]) -> "ModelInfo":
    """What a version says of its training, with the profiles of columns that the answers noted."""
    from trunkline.tasks import Model

    info = Model.load(context.workspace.registry.folder(context.usecase.name, version)).info
    profiles = {name: profile for name, profile in info.profiles.items() if name in columns}
    return info.model_copy(update={"profiles": profiles})


def _source_rows(context: StepContext, model: "Model") -> "tuple[pa.Table, npt.NDArray[np.float64]]":
    rows = fitting_rows(
        context.workspace, context.usecase, files=source_files(context.sources), mapping=context.mapping
    ).rows
    return rows, model.predict(rows).column(0).to_numpy()


def _logged(
    context: StepContext, version: str, *, since: datetime, own: bool
) -> "tuple[pa.Table, npt.NDArray[np.float64], tuple[datetime | None, datetime | None]]":
    """The features, scores and keys of logged answers, as they were used: the run's own, or all since an instant."""
    import orjson
    import pyarrow as pa
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
    logged = [orjson.loads(text) for text in log.column("features").to_pylist()]
    rows = table_from_rows(usecase.contract, logged)
    for name in _table_features(usecase, rows):  # they stand in no contract
        rows = rows.append_column(name, pa.array([row.get(name) for row in logged]))
    times = log.column("predicted_at")
    span = (pc.min(times).as_py(), pc.max(times).as_py()) if log.num_rows else (None, None)
    return rows, log.column("score").to_numpy(), span


def _table_features(usecase: "UseCase", rows: "pa.Table") -> list[str]:
    if usecase.table_features is None or usecase.task is None:
        return []
    return [feature.name for feature in usecase.task.features if feature.name not in rows.column_names]


def _matured(
    context: StepContext, version: str, now: datetime
) -> "tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]":
    """Join answers whose time has come with what became of their entities: truth and score, one per entity.

    An answer is mature once its horizon and the delay of the label have passed: judged earlier, those who left at once
    would count and those who stay would not. An outcome that names an answer judges that one, whenever it was observed;
    one that names an entity alone must have been observed after the answer and within that time. The look takes answers
    that matured in the last 30 days; an entity answered several times is judged by its last one, and of several
    outcomes by the one that was recorded last. An answer without an entity stands for itself.
    """
    import ibis
    import numpy as np

    lake, usecase = context.workspace.lake, context.usecase
    if not lake.exists(OUTCOMES) or not lake.exists(PREDICTIONS):
        nothing = np.zeros(0)
        return nothing, nothing
    span = timedelta(days=usecase.horizon_days + usecase.label_delay_days)
    newest = now - span
    answers = lake.read(PREDICTIONS, schema=arrow_schema(PredictionLog))
    answers = answers.filter(
        answers["usecase"] == usecase.name,
        answers["model_version"] == version,
        answers["predicted_at"] <= ibis.literal(newest),
        answers["predicted_at"] >= ibis.literal(newest - timedelta(days=WINDOW_DAYS)),
    ).select("prediction_id", "entity_key", "score", "predicted_at")
    outcomes = lake.read(OUTCOMES, schema=arrow_schema(Outcome))
    outcomes = outcomes.filter(outcomes["usecase"] == usecase.name).select(
        "entity_key", "value", "observed_at", "recorded_at", of="prediction_id"
    )
    named = outcomes.filter(outcomes["of"].notnull()).drop("entity_key")
    named = answers.join(named, answers["prediction_id"] == named["of"])
    keyed = answers.join(outcomes.filter(outcomes["of"].isnull()), "entity_key")
    keyed = keyed.filter(keyed["observed_at"] >= keyed["predicted_at"])
    if span:
        until = keyed["predicted_at"] + ibis.interval(seconds=int(span.total_seconds()))
        keyed = keyed.filter(keyed["observed_at"] <= until)
    kept = ("prediction_id", "entity_key", "score", "predicted_at", "value", "recorded_at")
    joined = named.select(*kept).union(keyed.select(*kept))
    joined = joined.mutate(of=joined["entity_key"].fill_null(joined["prediction_id"]))
    last = ibis.window(group_by=joined["of"], order_by=[joined["predicted_at"].desc(), joined["recorded_at"].desc()])
    one = joined.mutate(_place=ibis.row_number().over(last))
    found = lake.engine.arrow(one.filter(one["_place"] == 0).order_by("of").select("value", "score"))
    return found.column("value").to_numpy(), found.column("score").to_numpy()


def store_readings(context: StepContext, readings: tuple[Reading, ...], alerts: tuple[Alert, ...]) -> None:
    """Write the readings and alerts of a run, once.

    Args:
        context: Names the run.
        readings: All readings.
        alerts: All alerts.
    """
    from trunkline.lake import Transaction

    lake = context.workspace.lake
    if readings:
        lake.append(
            READINGS,
            table_from_rows(Reading, [reading.model_dump() for reading in readings]),
            transaction=Transaction(f"readings:{context.run_id}", 1),
        )
    write_alerts(lake, alerts, under=f"alerts:{context.run_id}")
