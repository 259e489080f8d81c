"""The hours that a forecast rests on, read from the lake, and the model that makes it."""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from trunkline.errors import SourceError, UseCaseError
from trunkline.run.predicting import live_learned
from trunkline.run.steps.context import StepContext
from trunkline.run.steps.simulated import simulated_batches
from trunkline.tasks import Forecasting
from trunkline.train.trainer import feature_table

if TYPE_CHECKING:
    import pyarrow as pa

    from trunkline.run.workspace import Workspace
    from trunkline.spec import UseCase
    from trunkline.tasks.forecasting import ForecastModel, Panel

__all__ = [
    "JUDGED",
    "accuracy_table",
    "forecasting_of",
    "forecasts_table",
    "live_series",
    "newest_hours",
    "unreachable_sources",
]

JUDGED: Final = timedelta(days=21)
"""A truth that arrives or changes later than so long after the forecast is judged no more; forecasts are made up for
over fewer days."""

_LOOKS_BACK: Final = timedelta(days=31)
"""What inputs reach back (three weeks and some days), beside the days on which the intervals are brought up to date."""


def forecasting_of(usecase: "UseCase") -> Forecasting:
    """The task of a use case of series.

    Raises:
        UseCaseError: It has another one.
    """
    if not isinstance(usecase.task, Forecasting):
        raise UseCaseError(f"the use case {usecase.name!r} forecasts nothing")
    return usecase.task


def live_series(workspace: "Workspace", usecase: "UseCase") -> "tuple[str, ForecastModel]":
    """Load the champion of a use case of series, with its version.

    Raises:
        UnknownNameError: There is none.
        UseCaseError: It learns something else.
        TamperedError: Its folder is not what was written.
    """
    from trunkline.tasks.forecasting import ForecastModel

    version, model = live_learned(workspace, usecase)
    if not isinstance(model, ForecastModel):
        raise UseCaseError(f"version {version} of {usecase.name!r} was learned by another kind of task")
    return version, model


def newest_hours(context: StepContext) -> "Panel":
    """Read the newest hours of all series, once for all steps of a run.

    Args:
        context: Names workspace and use case; simulated rows are left out as in training.

    Raises:
        SourceError: There are no rows.
    """
    return context.once("newest_hours", lambda: _newest_hours(context))


def _newest_hours(context: StepContext) -> "Panel":
    task, lake = forecasting_of(context.usecase), context.workspace.lake
    rows, _ = feature_table(context.usecase, lake, without=simulated_batches(context.workspace, context.usecase))
    newest: datetime | None = (
        lake.engine.arrow(rows.filter(rows[task.metric_column] == task.target).aggregate(newest=rows[task.at].max()))
        .column("newest")
        .to_pylist()[0]
    )
    if newest is None:
        raise SourceError(f"no rows of the metric {task.target!r}", next_step="take some in first")
    since = newest - JUDGED - _LOOKS_BACK
    table: pa.Table = lake.engine.arrow(rows.filter(rows[task.at] >= since))
    return task.panel(table)


def unreachable_sources(context: StepContext) -> tuple[str, ...]:
    """Declared sources that this run could not reach, so that the newest hours may lack."""
    from trunkline.run.steps import IngestDocument

    taken = context.document("ingest")
    return () if taken is None else IngestDocument.model_validate_json(taken).unreachable


def forecasts_table(usecase: "UseCase") -> str:
    """Lake table of the forecasts of a use case."""
    return f"{usecase.name}.forecasts"


def accuracy_table(usecase: "UseCase") -> str:
    """Lake table of what became of them."""
    return f"{usecase.name}.accuracy"
