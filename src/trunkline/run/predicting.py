"""Batch scoring: the rows of a run by a live model, into the log of all answers."""

import json
from datetime import datetime
from typing import TYPE_CHECKING, Final

from pydantic import BaseModel, ConfigDict

from trunkline.checks import arrow_schema
from trunkline.contracts.records import PREDICTIONS, PredictionLog
from trunkline.errors import InputError, UnknownNameError
from trunkline.run.steps import StepContext, scored_rows

if TYPE_CHECKING:
    import pyarrow as pa

    from trunkline.engine import Engine
    from trunkline.run.workspace import Workspace
    from trunkline.spec import UseCase
    from trunkline.tasks import Learned, Model, Progress

__all__ = [
    "Fan",
    "PredictDocument",
    "live_learned",
    "live_model",
    "log_of",
    "predict",
    "predict_rows",
    "reasons_of",
]

_SHORT: Final = 12
_JSON_ROWS: Final = 100_000
_EXPLAINED_ROWS: Final = 5_000  # between two words on how far it is
_PLACE: Final = "_place"


class Fan(BaseModel):
    """The hours ahead of one server, with the hours before them.

    Attributes:
        server: The server.
        limit: What warnings are given for; None where there is none.
        past: Values of the hours before, the newest last; None where unknown.
        q10: By hour ahead, one in ten lies below.
        q50: Median.
        q90: One in ten lies above.
        exceeds: Probability of a value above the limit; None without one.
    """

    model_config = ConfigDict(frozen=True)

    server: str
    limit: float | None
    past: tuple[float | None, ...]
    q10: tuple[float, ...]
    q50: tuple[float, ...]
    q90: tuple[float, ...]
    exceeds: tuple[float | None, ...]


class PredictDocument(BaseModel):
    """What was answered.

    Attributes:
        rows: Rows scored, or forecasts made.
        model_version: Version that answered.
        table_version: Version of the table that holds the answers.
        mean_score: Mean score, or mean prediction.
        decided: Rows at or above the threshold; None for regression and forecasts.
        made_at: Newest hour that forecasts rest on; None for rows.
        hours: Hours for which forecasts were made, those that were missed included; 0 for rows.
        degraded: Servers that lacked their newest value.
        unit: Unit of the values.
        fans: What is ahead of the first servers.
    """

    model_config = ConfigDict(frozen=True)

    rows: int
    model_version: str
    table_version: int
    mean_score: float
    decided: int | None
    made_at: datetime | None = None
    hours: int = 0
    degraded: tuple[str, ...] = ()
    unit: str = ""
    fans: tuple[Fan, ...] = ()


def live_model(workspace: "Workspace", usecase: "UseCase", alias: str = "champion") -> "tuple[str, Model]":
    """Load a live model.

    Args:
        workspace: The workspace.
        usecase: The use case.
        alias: ``champion`` or ``challenger``.

    Returns:
        Its version, and the model.

    Raises:
        UnknownNameError: No version has that alias.
        InputError: It learns something else than rows.
        TamperedError: Its folder is not what was written.
    """
    from trunkline.tasks import Model

    version, model = live_learned(workspace, usecase, alias)
    if not isinstance(model, Model):
        raise InputError(
            f"the model of {usecase.name!r} scores no rows: its task is {model.info.task}",
            where=f"use case {usecase.name!r}, version {version}",
            next_step=f"trunkline run {usecase.name}; what it says stands in tables of the lake",
        )
    return version, model


def live_learned(workspace: "Workspace", usecase: "UseCase", alias: str = "champion") -> "tuple[str, Learned]":
    """Load a live model of any kind.

    Args:
        workspace: The workspace.
        usecase: The use case.
        alias: ``champion`` or ``challenger``.

    Returns:
        Its version, and the model.

    Raises:
        UnknownNameError: No version has that alias.
        TamperedError: Its folder is not what was written.
    """
    from trunkline.tasks import load_model

    live = workspace.registry.live(usecase.name).aliases.get(alias)  # type: ignore[call-overload]  # any text may be asked for
    if live is None:
        raise UnknownNameError(
            f"the use case {usecase.name!r} has no {alias} yet",
            where=str(workspace.root),
            next_step=f"train one: trunkline run {usecase.name} --source FILE",
        )
    return live.version, load_model(workspace.registry.folder(usecase.name, alias))


def predict(context: StepContext) -> PredictDocument:
    """Let the champion answer, as the kind of the use case's task does."""
    from trunkline.run.kinds import conduct_of

    return conduct_of(context.usecase).predict(context)


def predict_rows(context: StepContext) -> PredictDocument:
    """Score the run's rows by the champion and log every answer under the run id."""
    import pyarrow as pa
    import pyarrow.compute as pc

    from trunkline.lake import Transaction

    workspace, usecase = context.workspace, context.usecase
    version, model = live_model(workspace, usecase)
    rows = scored_rows(context)
    context.progress("predict", 0.0)
    answers = model.predict(rows, threads=workspace.threads)
    log = log_of(
        workspace,
        usecase,
        rows,
        answers,
        run_id=context.run_id,
        version=version,
        model=model,
        reasons=reasons_of(model, rows, context.reasons, progress=context.progress),
    )
    table_version = workspace.lake.append(PREDICTIONS, log, transaction=Transaction(f"predict:{context.run_id}", 1))
    scores = answers.column(0)
    decided = int(pc.sum(answers.column("decision")).as_py() or 0) if "decision" in answers.column_names else None
    assert isinstance(rows, pa.Table)
    return PredictDocument(
        rows=rows.num_rows,
        model_version=version,
        table_version=table_version,
        mean_score=float(pc.mean(scores).as_py()),
        decided=decided,
    )


def reasons_of(model: "Model", rows: "pa.Table", top: int, *, progress: "Progress") -> list[str] | None:
    """The features that moved each score most, as JSON, a block of rows at once; None where nobody asked."""
    if not top:
        return None
    found: list[str] = []
    for start in range(0, rows.num_rows, _EXPLAINED_ROWS):
        progress("reasons", start / rows.num_rows)
        explained = model.explain(rows.slice(start, _EXPLAINED_ROWS), top=top)
        found += [json.dumps(row) for row in explained.column("reasons").to_pylist()]
    return found


def log_of(  # noqa: PLR0913 - what every logged row says
    workspace: "Workspace",
    usecase: "UseCase",
    rows: "pa.Table",
    answers: "pa.Table",
    *,
    run_id: str,
    version: str,
    model: "Model",
    reasons: list[str] | None,
    batch: str | None = None,
) -> "pa.Table":
    """Make the rows of the log; those of a file have its hash in their ids, since a run id may have several files."""
    import pyarrow as pa
    import pyarrow.compute as pc

    from trunkline.train import entity_keys

    count, named = rows.num_rows, run_id if batch is None else f"{run_id}-{batch[:_SHORT]}"
    names = [name for name in model.info.columns if name in rows.column_names]
    schema = arrow_schema(PredictionLog)
    places = pa.array(range(count), pa.int64()).cast(pa.string())
    columns = {
        "prediction_id": pc.binary_join_element_wise(f"{named}-", places, ""),
        "request_id": run_id,
        "usecase": usecase.name,
        "entity_key": entity_keys(usecase, rows) if usecase.entity_key else None,
        "model_version": version,
        "alias": "champion",
        "channel": "batch",
        "score": answers.column(0),
        "decision": answers.column("decision") if "decision" in answers.column_names else None,
        "features": json_rows(workspace.engine, rows.select(names)),
        "reasons": reasons,
        "predicted_at": workspace.clock(),
    }
    return pa.table({name: _filled(values, count, schema.field(name).type) for name, values in columns.items()})


def _filled(values: object, count: int, kind: "pa.DataType") -> "pa.Array | pa.ChunkedArray":
    """A column of the log: its values, or one value for all rows."""
    import pyarrow as pa

    if isinstance(values, pa.Array | pa.ChunkedArray):
        return values.cast(kind)
    if isinstance(values, list):
        return pa.array(values, kind)
    return pa.repeat(pa.scalar(values, kind), count)


def json_rows(engine: "Engine", rows: "pa.Table") -> "pa.Array | pa.ChunkedArray":
    """Write each row as one JSON object, a block of rows at once.

    Args:
        engine: Writes them.
        rows: Typed rows.

    Returns:
        Text, in the order of the rows; an object without members where there are no columns.
    """
    import ibis
    import pyarrow as pa
    from pyarrow import types

    if not rows.column_names or not rows.num_rows:
        return pa.array(["{}"] * rows.num_rows, pa.string())
    if engine.capabilities.distributed:  # the rows are here, and would have to travel
        return pa.array([json.dumps(row, default=str) for row in rows.to_pylist()], pa.string())
    for place, column in enumerate(rows.schema):
        if types.is_temporal(column.type) or types.is_decimal(column.type):
            texts = [None if value is None else str(value) for value in rows.column(place).to_pylist()]
            rows = rows.set_column(place, column.name, pa.array(texts, pa.string()))
    chunks: list[pa.Array] = []
    for start in range(0, rows.num_rows, _JSON_ROWS):
        block = rows.slice(start, _JSON_ROWS)
        table = engine.table(block.append_column(_PLACE, pa.array(range(block.num_rows), pa.int64())))
        written = ibis.struct({name: table[name] for name in rows.column_names}).cast("json").cast("string")
        found = engine.arrow(table.select(_PLACE, written=written))
        places = found.column(_PLACE).to_numpy()
        if (places[1:] < places[:-1]).any():  # sorted by the engine, every text would be moved
            found = found.take(pa.array(places.argsort(kind="stable")))
        chunks += found.column("written").chunks
    return pa.chunked_array(chunks, pa.string())
