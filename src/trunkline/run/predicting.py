"""Batch scoring: the rows of a run by a live model, into the log of all answers."""

from datetime import datetime
from typing import TYPE_CHECKING, Final

from pydantic import BaseModel, ConfigDict

from trunkline.checks import arrow_schema
from trunkline.contracts.records import PREDICTIONS, PredictionLog
from trunkline.errors import InputError, UnknownNameError
from trunkline.run.scored_log import EXPLAINED_ROWS, ScoredLog, reasons_of
from trunkline.run.steps import StepContext, scored_rows

if TYPE_CHECKING:
    from trunkline.run.workspace import Workspace
    from trunkline.spec import UseCase
    from trunkline.tasks import Learned, Model

__all__ = [
    "Fan",
    "PredictDocument",
    "live_learned",
    "live_model",
    "predict",
    "predict_rows",
]

_BLOCK_ROWS: Final = 50_000


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
    """Score the run's rows by the champion and log every answer under the run id.

    Blocks of rows are scored and written on several threads; one commit at the end names them all.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    from trunkline.ingest.in_order import in_order
    from trunkline.lake import Transaction

    workspace, usecase = context.workspace, context.usecase
    version, model = live_model(workspace, usecase)
    rows = scored_rows(context, columns=(*usecase.entity_key, *model.info.columns))
    context.progress("predict", 0.0)
    log = ScoredLog(
        usecase,
        model=model,
        version=version,
        run_id=context.run_id,
        at=workspace.clock(),
        engine=workspace.engine,
        schema=rows.schema,
    )
    transaction = Transaction(f"predict:{context.run_id}", 1)
    size = EXPLAINED_ROWS if context.reasons else _BLOCK_ROWS
    total, decided = 0.0, None
    with workspace.lake.staged(PREDICTIONS, arrow_schema(PredictionLog)) as staged:

        def answered(first: int) -> pa.Table:
            block = rows.slice(first, size)
            answers = model.predict(block, of=rows.num_rows)
            reasons = reasons_of(model, block, context.reasons)
            staged.write(log.rows(block, answers, reasons=reasons, first=first))
            return answers

        starts = range(0, rows.num_rows, size)
        for done, answers in enumerate(in_order(iter(starts), answered, threads=workspace.threads), start=1):
            total += pc.sum(answers.column(0)).as_py()
            if "decision" in answers.column_names:
                decided = (decided or 0) + int(pc.sum(answers.column("decision")).as_py())
            context.progress("predict", done / len(starts))
        table_version = workspace.lake.append_staged(PREDICTIONS, staged, transaction=transaction)
    return PredictDocument(
        rows=rows.num_rows,
        model_version=version,
        table_version=table_version,
        mean_score=total / rows.num_rows,
        decided=decided,
    )
