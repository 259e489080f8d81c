"""The step that learns, and the rows that a run is about."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from trunkline.errors import LabelError
from trunkline.plugins.code import code_sha256
from trunkline.run.steps.context import StepContext
from trunkline.run.steps.documents import IngestDocument
from trunkline.run.steps.keeping import kept_training
from trunkline.run.steps.simulated import simulated_batches
from trunkline.spec.facts import UseCaseFacts
from trunkline.train import TrainDocument, main_table, train_candidate

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["candidate_folder", "scored_rows", "tracked", "train"]


def train(context: StepContext) -> TrainDocument:
    """Learn a candidate from the run's batches, or from the whole current table without an ingest step.

    A kind of learning that rests on history always reads the whole table; a champion that is not due is kept.
    """
    workspace, usecase = context.workspace, context.usecase
    kept = kept_training(context)
    if kept is not None:
        return kept
    batches = _batches(context)
    left_out = simulated_batches(workspace, usecase, batches=batches)
    rows, versions = main_table(usecase, workspace.lake, batches=batches, without=left_out)
    fingerprints = {name: contract.fingerprint for name, contract in usecase.contracts.items()}
    folder = candidate_folder(context)
    try:
        report = train_candidate(
            usecase,
            rows,
            folder=folder,
            seed=workspace.settings.seed,
            threads=workspace.threads,
            lineage={
                "run_id": context.run_id,
                "code_version": context.code_version,
                "usecase_code": code_sha256(usecase.name, plugin_dir=workspace.settings.plugin_dir),
                **{f"table:{name}": str(version) for name, version in versions.items()},
                **{f"contract:{name}": value for name, value in fingerprints.items()},
            },
            progress=context.progress,
        )
    except LabelError as error:  # the task knows no tables
        error.where = error.where or f"{rows.num_rows} rows of {usecase.table_name()}"
        raise
    document = TrainDocument(
        folder=str(folder.relative_to(workspace.root)),
        rows=rows.num_rows,
        batches=batches,
        left_out=left_out,
        table_versions=versions,
        contract_fingerprints=fingerprints,
        report=report,
        usecase=UseCaseFacts.of(usecase),
    )
    metrics, tags = tracked(context, document)
    workspace.registry.record_training(usecase.name, run_id=context.run_id, metrics=metrics, tags=tags)
    return document


def tracked(context: StepContext, trained: TrainDocument) -> tuple[dict[str, float], dict[str, str]]:
    """Give the metrics and the tags under which a training is found by who looks at MLflow."""
    metrics = {name: found.value for name, found in trained.report.metrics.items()}
    return metrics, {"code_version": context.code_version, "rows": str(trained.rows)}


def _batches(context: StepContext) -> tuple[str, ...]:
    """Batches that the run is about; none where it is about all rows."""
    taken, task = context.document("ingest"), context.usecase.task
    if taken is None or (task is not None and task.reads_history):
        return ()
    return IngestDocument.model_validate_json(taken).batches


def candidate_folder(context: StepContext) -> Path:
    """Where the candidate of a run lies until it is registered."""
    return context.workspace.folder("candidates") / context.run_id


def scored_rows(context: StepContext, *, columns: Sequence[str] | None = None) -> "pa.Table":
    """The rows a predict step scores: the run's batches, or every current row; simulated ones as in training.

    Args:
        context: The step.
        columns: Only these, as far as the rows have them; None gives all.
    """
    batches = _batches(context)
    left_out = simulated_batches(context.workspace, context.usecase, batches=batches)
    return main_table(context.usecase, context.workspace.lake, batches=batches, without=left_out, columns=columns)[0]
