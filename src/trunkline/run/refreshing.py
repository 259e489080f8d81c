"""One derived table refreshed alone, or one step on the way to it looked at: what ``ingest --refresh NAME`` does.

A run takes rows in and refreshes all derived tables at once; an orchestrator that shows them one by one asks for each.
"""

from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from trunkline.contracts.records import Receipt
from trunkline.errors import UnknownNameError
from trunkline.ingest.derived import count_step, refresh_tables
from trunkline.run.records import refuse_malformed

if TYPE_CHECKING:
    from trunkline.run.workspace import Workspace

__all__ = ["Refreshed", "refresh_one"]


class Refreshed(BaseModel):
    """What became of a derived table, or of a step that leads to one.

    Attributes:
        usecase: The use case.
        run_id: The run that asked for it.
        name: The table, or the step.
        table: The table.
        rows: Rows that the step gives; None for a table.
        receipts: Of the table's refresh; none where nothing had changed.
    """

    model_config = ConfigDict(frozen=True)

    usecase: str
    run_id: str
    name: str
    table: str
    rows: int | None = None
    receipts: tuple[Receipt, ...] = ()


def refresh_one(workspace: "Workspace", usecase_name: str, name: str, *, run_id: str) -> Refreshed:
    """Refresh a derived table of a use case, or compute a step that leads to one and count its rows.

    The tables that it reads are taken as they are. The same again changes nothing.

    Args:
        workspace: The workspace.
        usecase_name: The use case.
        name: The table, or the step.
        run_id: The run that asks for it.

    Raises:
        InputError: The run id is malformed.
        UnknownNameError: There is no such use case, table or step.
        UseCaseError: An expression cannot be computed.
        BusyError: Another refresh, a writer, or a change of the pseudonyms took too long.
    """
    refuse_malformed(run_id)
    usecase = workspace.usecase(usecase_name)
    ways = {table: (*derived.steps, table) for table, derived in usecase.derived.items()}
    table = next((table for table, way in ways.items() if name in way), None)
    if table is None:
        raise UnknownNameError(
            f"the use case {usecase.name!r} has no derived table {name[:80]!r}, and no step on the way to one",
            where="--refresh",
            allowed=["all", "none", *(one for way in ways.values() for one in way)],
        )
    if name == table:
        receipts = refresh_tables(
            usecase,
            lake=workspace.lake,
            locks=workspace.folder("locks"),
            run_id=run_id,
            clock=workspace.clock,
            only=table,
        )
        return Refreshed(usecase=usecase.name, run_id=run_id, name=name, table=table, receipts=receipts)
    rows = count_step(usecase, table, name, lake=workspace.lake, clock=workspace.clock)
    return Refreshed(usecase=usecase.name, run_id=run_id, name=name, table=table, rows=rows)
