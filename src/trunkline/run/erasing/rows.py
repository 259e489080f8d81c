"""A person's rows in the lake: of datasets, of the quarantine, answers and outcomes."""

import json
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Final, cast

from trunkline.checks import arrow_schema
from trunkline.checks.sealing import TEXT_MARK
from trunkline.contracts import Column
from trunkline.contracts.keys import escaped_part
from trunkline.contracts.kinds import Scalar
from trunkline.contracts.records import QUARANTINE, QuarantinedRow
from trunkline.ingest.privacy import opening
from trunkline.run.erasing.theirs import Found, Part, holds, is_of
from trunkline.run.wanted import Wanted

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from trunkline.run.workspace import Workspace

__all__ = ["batches_of", "erase_answers", "erase_rows", "refused_ids"]

_ROWS: Final = 20_000
_PSEUDONYMS: Final = "hmac:"
_ONE_PSEUDONYM: Final = "^hmac:[0-9a-f]{8}:[A-Za-z0-9_-]{43}$"


def batches_of(workspace: "Workspace", table: str, column: Column, wanted: Wanted, found: Found) -> set[str]:
    """Name the batches that brought rows of the person, superseded ones as well."""
    lake, values = workspace.lake, _values(workspace, table, column, wanted, found)
    if not values:
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
    values = _values(workspace, table, column, wanted, found)
    if values:
        found.count(table, workspace.lake.erase(table, column.name, values).rows)


def _values(workspace: "Workspace", table: str, column: Column, wanted: Wanted, found: Found) -> list[Scalar]:
    """Give the values of a column that are the person's; none where there is no such column."""
    lake = workspace.lake
    if not lake.exists(table) or column.name not in lake.schema(table).names:
        return []
    place = (table, column.name)
    if place not in found.values:  # what comes meanwhile is in no other spelling: it has pseudonyms
        clear = lake.texts(table, column.name, unless=_PSEUDONYMS) if column.is_protected else ()
        found.values[place] = wanted.values(column, clear)
    return found.values[place]


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
    for batch in lake.engine.batches(rows.select("quarantine_id", "batch_id", "row_number", "row"), rows=_ROWS):
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
    rows = lake.read(table)
    rows = rows.filter(rows["usecase"].isin(sorted(keyed))).select(identity, "usecase", "entity_key")
    key = cast("ir.StringColumn", rows["entity_key"])
    may_be = [key.contains(text) for text in sorted(written)]
    if wanted.has_spellings:  # keys of a time when the identifiers were in clear
        may_be.append(~key.re_search(_ONE_PSEUDONYM))
    found_rows = lake.engine.batches(rows.filter(reduce(or_, may_be)), rows=_ROWS)
    ids = [row[identity] for batch in found_rows for row in batch.to_pylist() if is_of(row, keyed, wanted)]
    if ids:
        found.count(table, lake.erase(table, identity, ids).rows)


def forget_pushes(workspace: "Workspace", keyed: dict[str, Part], wanted: Wanted, found: Found) -> None:
    """Erase the person from the ledger of pushes, and count the messages."""
    from trunkline.run.pushing.ledger import LEDGER, PushLedger

    path = workspace.root / LEDGER
    if not keyed or not path.exists():
        return
    ledger = PushLedger(path)
    try:
        found.count(
            LEDGER,
            ledger.forget(lambda key: any(is_of({"usecase": one, "entity_key": key}, keyed, wanted) for one in keyed)),
        )
    finally:
        ledger.close()
