"""Which batches the simulator made, and which of them a run leaves out because there are real rows.

Takes a workspace and a use case, reads the receipts. Rows of the two kinds mix only where somebody names simulated
batches beside real ones: a model of both would be judged on rows that nobody ever was.
"""

from pathlib import PurePath
from typing import Final

from trunkline.checks import arrow_schema
from trunkline.contracts.records import RECEIPTS, Receipt
from trunkline.run.workspace import Workspace
from trunkline.spec import UseCase

__all__ = ["SIMULATED", "has_real_rows", "simulated_batches"]

SIMULATED: Final = "tmp/simulated"
"""Folder of a workspace in which simulated files lie. Receipts name it, and are known again when a workspace moves."""


def has_real_rows(workspace: Workspace, usecase: UseCase, dataset: str) -> bool:
    """Whether a dataset has rows that no simulator made."""
    return any(not _is_simulated(source) for _, found, source in _brought(workspace, usecase) if found == dataset)


def simulated_batches(workspace: Workspace, usecase: UseCase, *, batches: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Name the simulated batches, of all datasets, that a run must not read.

    Args:
        workspace: The workspace.
        usecase: The use case.
        batches: The main dataset's batches that the run is about; empty for the whole current table.

    Returns:
        Their ids, sorted; none where the run is about simulated batches alone, or the main dataset has no other rows.
    """
    brought = _brought(workspace, usecase)
    made = {batch for batch, _, source in brought if _is_simulated(source)}
    real = any(dataset == usecase.main and batch not in made for batch, dataset, _ in brought)
    if not real or (batches and made.issuperset(batches)):
        return ()
    return tuple(sorted(made))


def _brought(workspace: Workspace, usecase: UseCase) -> list[tuple[str, str, str]]:
    """Batch, dataset and source of each receipt that brought rows."""
    lake = workspace.lake
    if not lake.exists(RECEIPTS):
        return []
    receipts = lake.arrow(
        RECEIPTS,
        schema=arrow_schema(Receipt),
        columns=["batch_id", "dataset", "source"],
        where=lambda table: (table["usecase"] == usecase.name) & (table["accepted"] > 0),
    )
    columns = (receipts.column(name).to_pylist() for name in ("batch_id", "dataset", "source"))
    return [(str(batch), str(dataset), str(source)) for batch, dataset, source in zip(*columns, strict=True)]


def _is_simulated(source: str) -> bool:
    return PurePath(source).parent.parts[-2:] == PurePath(SIMULATED).parts
