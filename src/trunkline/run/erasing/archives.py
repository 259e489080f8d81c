"""A person's rows in the archives: those that retention has moved out of the tables."""

import json
from functools import partial
from typing import TYPE_CHECKING

from trunkline.contracts import Column
from trunkline.contracts.kinds import Scalar
from trunkline.contracts.records import QUARANTINE
from trunkline.ingest.privacy import opening
from trunkline.run.erasing.theirs import Found, Part, holds, is_of
from trunkline.run.wanted import Wanted

if TYPE_CHECKING:
    import pyarrow as pa

    from trunkline.run.workspace import Workspace
    from trunkline.spec import UseCase

__all__ = ["erase_archives"]


def erase_archives(
    workspace: "Workspace",
    marked: "list[tuple[UseCase, str, Column]]",
    keyed: dict[str, Part],
    wanted: Wanted,
    found: Found,
) -> None:
    """Erase the person from the rows that retention has moved out of the tables."""
    import pyarrow as pa

    from trunkline.run.upkeep.archive_erasing import Theirs, erase_archived

    def erase(table: str, columns: list[str], theirs: Theirs) -> None:
        erased = erase_archived(workspace, table, columns, theirs)
        found.count(f"archive of {table}", erased.rows)
        found.archives_unread += erased.unread

    for usecase, dataset, column in marked:
        values = wanted.values(column)
        if values or column.is_protected:
            theirs = partial(_is_among, values=values, spelled=wanted if column.is_protected else None)
            erase(usecase.table_name(dataset), [column.name], theirs)
    for table in workspace.entity_tables():
        erase(
            table,
            ["usecase", "entity_key"],
            lambda batch: pa.array([is_of(row, keyed, wanted) for row in batch.to_pylist()], pa.bool_()),
        )
    named = {(usecase.name, dataset) for usecase, dataset, _ in marked}

    def is_refused(row: dict[str, str]) -> bool:
        if (row["usecase"], row["dataset"]) not in named:
            return False
        opened = opening(workspace.keys, usecase=row["usecase"], dataset=row["dataset"], batch_id=row["batch_id"])
        return holds(json.loads(opened(int(row["row_number"]), row["row"])), wanted)

    erase(
        QUARANTINE,
        ["usecase", "dataset", "batch_id", "row_number", "row"],
        lambda batch: pa.array([is_refused(row) for row in batch.to_pylist()], pa.bool_()),
    )


def _is_among(batch: "pa.RecordBatch", *, values: list[Scalar], spelled: Wanted | None) -> "pa.BooleanArray":
    """Say which cells are among values, or are another spelling of the identifier."""
    import pyarrow as pa

    cells = batch.column(0).to_pylist()
    is_theirs = [
        cell in values or (spelled is not None and isinstance(cell, str) and spelled.is_cell(cell)) for cell in cells
    ]
    return pa.array(is_theirs, pa.bool_())
