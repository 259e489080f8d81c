"""Runs that learn nothing, because the champion is not due: the steps of learning hand on its own documents.

Takes the use case's ``retrain`` and what is known of the champion, gives what its training and its gates have left.
"""

import json
from typing import TYPE_CHECKING, cast

from trunkline.checks import arrow_schema
from trunkline.contracts.records import READINGS, STEPS, Reading, StepRecord
from trunkline.errors import TrunklineError
from trunkline.plan import StepName
from trunkline.plugins.code import code_sha256
from trunkline.run.steps.context import StepContext
from trunkline.run.steps.simulated import simulated_batches
from trunkline.train import EvaluateDocument, TrainDocument
from trunkline.train.trainer import feature_table

if TYPE_CHECKING:
    from pydantic import BaseModel

    from trunkline.registry import LiveModel
    from trunkline.tasks import AnyCard

__all__ = ["kept_training", "kept_verdict"]


def kept_training(context: StepContext) -> TrainDocument | None:
    """Give the champion's own training where it is not due; None where a candidate must be learned."""
    usecase, workspace = context.usecase, context.workspace
    if usecase.retrain is None or usecase.task is None or context.only == "train":
        return None
    champion = workspace.registry.settled(usecase.name).champion
    if champion is None:
        return None
    stored = _document(context, "train", champion.run_id)
    if stored is None or _document(context, "evaluate", champion.run_id) is None:
        return None
    try:
        trained = TrainDocument.model_validate_json(stored)
    except ValueError:  # of a version that wrote another form
        return None
    if _is_due(context, champion, trained):
        return None
    return trained.model_copy(update={"kept": champion.version})


def kept_verdict(context: StepContext, version: str) -> EvaluateDocument:
    """Give the verdict by which a version became champion.

    Args:
        context: Names the run.
        version: The champion that was kept.
    """
    champion = context.workspace.registry.live(context.usecase.name).champion
    run_id = champion.run_id if champion is not None else ""
    judged = EvaluateDocument.model_validate_json(_document(context, "evaluate", run_id) or "")
    return judged.model_copy(update={"champion": version, "drift": ()})


def _is_due(context: StepContext, champion: "LiveModel", trained: TrainDocument) -> bool:
    from trunkline.tasks import load_model

    usecase, workspace = context.usecase, context.workspace
    retrain = usecase.retrain
    assert retrain is not None
    try:
        info = load_model(workspace.registry.folder(usecase.name, "champion")).info
    except TrunklineError:
        return True  # a damaged folder: learn anew rather than stand still
    left_out = simulated_batches(workspace, usecase)
    if left_out != trained.left_out or _declared(context) != dict(info.recipe):
        return True
    code = info.lineage.get("usecase_code")
    if code is not None and code != code_sha256(usecase.name, plugin_dir=workspace.settings.plugin_dir):
        return True
    if retrain.on_drift and _has_drifted(context, champion.version):
        return True
    return retrain.after_days is not None and _unseen_days(context, info, left_out) > retrain.after_days


def _declared(context: StepContext) -> dict[str, object]:
    """The task's declaration, as a model's recipe notes it."""
    task = cast("BaseModel", context.usecase.task)  # every kind of task is one
    found: dict[str, object] = json.loads(task.model_dump_json())
    return found


def _unseen_days(context: StepContext, info: "AnyCard", left_out: tuple[str, ...]) -> float:
    """Days of events that a model has not seen, or since now where its rows carry no time."""
    seen = info.seen_until
    if seen is None:
        return 0.0
    rows, _ = feature_table(context.usecase, context.workspace.lake, without=left_out)
    at = getattr(context.usecase.task, "at", None)
    if at is None:
        return 0.0
    newest = context.workspace.lake.engine.arrow(rows.aggregate(newest=rows[at].max())).column("newest").to_pylist()[0]
    return 0.0 if newest is None else float((newest - seen).total_seconds() / 86_400)


def _has_drifted(context: StepContext, version: str) -> bool:
    """Whether the newest look at a version found its performance beyond the limit."""
    lake, usecase = context.workspace.lake, context.usecase
    if not lake.exists(READINGS):
        return False
    found = lake.arrow(
        READINGS,
        schema=arrow_schema(Reading),
        columns=["run_id", "crossed", "read_at"],
        where=lambda table: (
            (table["usecase"] == usecase.name)
            & (table["model_version"] == version)
            & (table["family"] == "performance")
        ),
    ).to_pylist()
    if not found:
        return False
    newest = max(row["read_at"] for row in found)
    return any(row["crossed"] for row in found if row["read_at"] == newest)


def _document(context: StepContext, step: StepName, run_id: str) -> str | None:
    lake = context.workspace.lake
    if not lake.exists(STEPS):
        return None
    rows = lake.arrow(
        STEPS,
        schema=arrow_schema(StepRecord),
        where=lambda table: (table["run_id"] == run_id) & (table["step"] == step),
    )
    return str(rows.column("document").to_pylist()[-1]) if rows.num_rows else None
