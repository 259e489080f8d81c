"""A version of a table: its batches, and what learned from it."""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from trunkline.contracts.records import RECEIPTS, Receipt
from trunkline.run.links import Link
from trunkline.run.row_tracing.batches import batch_link, read_records
from trunkline.run.row_tracing.trainings import trainings

if TYPE_CHECKING:
    from trunkline.run.workspace import Workspace

__all__ = ["table_version"]

_MOST_BATCHES: Final = 20
_VERSION: Final = re.compile(r"([a-z][a-z0-9_]*\.[a-z][a-z0-9_]*)@([0-9]{1,9})")


def table_version(workspace: "Workspace", identity: str) -> Iterator[Link]:
    """Trace ``usecase.dataset@VERSION``: its batches and the models; nothing where the id is not of that form.

    Raises:
        UnknownNameError: There is no such table or version.
    """
    parts = _VERSION.fullmatch(identity)
    if parts is None:
        return
    table, version = parts[1], int(parts[2])
    lake = workspace.lake
    counted = lake.collect(
        lambda rows: rows.aggregate(rows=rows.count(), batches=rows["_batch_id"].nunique()),
        table,
        versions={table: version},
    ).to_pylist()[0]
    commit = next((commit for commit in lake.history(table) if commit.version == version), None)
    usecase, dataset = table.split(".")
    receipts = [receipt for receipt in _receipts(workspace, usecase, dataset) if _brought_in(receipt) <= version]
    yield Link(
        kind="table version",
        identity=identity,
        facts={
            "rows": str(counted["rows"]),
            "batches": str(counted["batches"]),
            "committed_at": str(commit.at.isoformat()) if commit else "its log entry was cleaned up",
            "newest version": str(lake.version(table)),
        },
    )
    yield from trainings(workspace, usecase, table, version=version)
    for receipt in receipts[:_MOST_BATCHES]:
        yield batch_link(workspace, receipt)
    if len(receipts) > _MOST_BATCHES:
        yield Link(kind="batches", identity=f"{len(receipts) - _MOST_BATCHES} earlier ones", facts={})


def _receipts(workspace: "Workspace", usecase: str, dataset: str) -> list[Receipt]:
    """The receipts of a dataset that brought rows, the newest first."""
    found = read_records(
        workspace,
        RECEIPTS,
        Receipt,
        lambda rows: (rows["usecase"] == usecase) & (rows["dataset"] == dataset) & rows["table_version"].notnull(),
    )
    return sorted((Receipt.model_validate(row) for row in found), key=_brought_in, reverse=True)


def _brought_in(receipt: Receipt) -> int:
    return -1 if receipt.table_version is None else receipt.table_version
