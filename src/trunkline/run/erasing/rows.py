"""A person's rows in the lake: of datasets, of the quarantine, answers and outcomes."""

import json
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Final

from trunkline.checks import arrow_schema
from trunkline.checks.sealing import TEXT_MARK
from trunkline.contracts import Column
from trunkline.contracts.keys import escaped_part
from trunkline.contracts.records import QUARANTINE, QuarantinedRow
from trunkline.ingest.privacy import opening
from trunkline.run.erasing.theirs import Found, Part, holds, is_of
from trunkline.run.wanted import Wanted

if TYPE_CHECKING:
    from trunkline.run.workspace import Workspace

__all__ = ["batches_of", "erase_answers", "erase_rows", "refused_ids"]

_QUARANTINED_ROWS: Final = 20_000


def batches_of(workspace: "Workspace", table: str, column: Column, wanted: Wanted) -> set[str]:
    """Name the batches that brought rows of the person, superseded ones as well."""
    lake, values = workspace.lake, wanted.values(column)
    if not values or not lake.exists(table) or column.name not in lake.schema(table).names:
        return set()
    if "_batch_id" not in lake.schema(table).names:
        return set()
    rows = lake.arrow(table, columns=["_batch_id"], where=lambda rows: rows[column.name].isin(values))
    return set(rows.column("_batch_id").to_pylist())


def erase_rows(workspace: "Workspace", table: str, column: Column, wanted: Wanted, found: Found) -> None:
    """Erase the person's rows from a dataset's table, and count them.

    Raises:
        BusyError: A writer held the table for too long.
    """
    lake, values = workspace.lake, wanted.values(column)
    if not values or not lake.exists(table) or column.name not in lake.schema(table).names:
        return
    found.count(table, lake.erase(table, column.name, values).rows)


def refused_ids(workspace: "Workspace", usecase: str, dataset: str, wanted: Wanted, found: Found) -> list[str]:
    """Name the refused rows that hold the identifier in any cell: what a raw cell means is not known for sure."""
    lake = workspace.lake
    if not lake.exists(QUARANTINE):
        return []
    rows = lake.read(QUARANTINE, schema=arrow_schema(QuarantinedRow))
    rows = rows.filter((rows["usecase"] == usecase) & (rows["dataset"] == dataset))
    if not wanted.sought.patterns:  # else a row may have it in another spelling
        named = [rows["row"].contains(text) for text in sorted(wanted.texts)]
        rows = rows.filter(reduce(or_, named, rows["row"].startswith(TEXT_MARK)))
    theirs: list[str] = []
    for batch in lake.engine.batches(
        rows.select("quarantine_id", "batch_id", "row_number", "row"), rows=_QUARANTINED_ROWS
    ):
        for row in batch.to_pylist():
            opened = opening(workspace.keys, usecase=usecase, dataset=dataset, batch_id=row["batch_id"])
            if holds(json.loads(opened(row["row_number"], row["row"])), wanted):
                theirs.append(row["quarantine_id"])
                found.batches.add(row["batch_id"])
    return theirs


def erase_answers(
    workspace: "Workspace",
    table: str,
    identity: str,
    keyed: dict[str, Part],
    wanted: Wanted,
    found: Found,
) -> None:
    """Erase the person's answers, or outcomes, and count them.

    Args:
        workspace: The workspace.
        table: Of answers or of outcomes.
        identity: Its column of ids.
        keyed: Where the keys of a use case's entities hold the identifier, by use case.
        wanted: Whom to erase.
        found: Counts them.

    Raises:
        BusyError: A writer held the table for too long.
    """
    lake = workspace.lake
    if not keyed or not lake.exists(table):
        return
    written = {*wanted.texts, *map(escaped_part, wanted.texts)}
    rows = lake.arrow(
        table,
        columns=[identity, "usecase", "entity_key"],
        where=lambda rows: (
            rows["usecase"].isin(sorted(keyed))
            & reduce(or_, [rows["entity_key"].contains(text) for text in sorted(written)])
        ),
    ).to_pylist()
    ids = [row[identity] for row in rows if is_of(row, keyed, wanted)]
    if ids:
        found.count(table, lake.erase(table, identity, ids).rows)
