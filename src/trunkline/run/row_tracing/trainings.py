"""What learned from a row, or from a version of a table."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trunkline.contracts.records import STEPS, StepRecord
from trunkline.run.links import Link
from trunkline.run.row_tracing.batches import read_records

if TYPE_CHECKING:
    from trunkline.run.workspace import Workspace

__all__ = ["Row", "trainings"]


@dataclass(frozen=True)
class Row:
    """A row of the lake: where it came from, and since which version of its table it is there."""

    batch_id: str
    record: int
    run_id: str
    ingested_at: str
    since: int | None


def trainings(
    workspace: "Workspace",
    usecase: str,
    table: str,
    *,
    version: int | None = None,
    rows: Sequence[Row] = (),
    row: Row | None = None,
) -> Iterator[Link]:
    """Tell the trainings that read a table in that version, or in one that holds a row, and the versions they made.

    Args:
        workspace: The workspace.
        usecase: Whose trainings.
        table: The table.
        version: Only trainings that read this version; None for any.
        rows: The rows of a key, the one that counts first.
        row: Only trainings that read this one of them; None for any.
    """
    steps = read_records(
        workspace, STEPS, StepRecord, lambda table: (table["usecase"] == usecase) & (table["step"] == "train")
    )
    versions = {found.run_id: found.version for found in workspace.registry.versions(usecase)} if steps else {}
    for step in sorted(steps, key=lambda found: str(found["finished_at"])):
        document = json.loads(str(step["document"]))
        read = document["table_versions"].get(table)
        if read is None or (version is not None and read != version):
            continue
        facts = {"table_version": str(read)}
        if row is not None:
            held = [
                one
                for one in rows
                if one.since is not None
                and one.since <= read
                and (not document["batches"] or one.batch_id in document["batches"])
                and one.batch_id not in document.get("left_out", ())
            ]
            if row not in held:
                continue
            facts["learned from"] = "the row" if held[0] == row else "a newer row of its key"
        run_id = str(step["run_id"])
        facts["model version"] = f"{usecase}/{versions[run_id]}" if run_id in versions else "a candidate only"
        yield Link(kind="training", identity=run_id, facts=facts)
