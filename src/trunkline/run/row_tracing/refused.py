"""A refused row: its states in the quarantine, its batch, and what it became."""

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

from trunkline.contracts.records import QUARANTINE, RECEIPTS, QuarantinedRow, Receipt
from trunkline.errors import UnknownNameError
from trunkline.run.links import Link
from trunkline.run.quarantine.replaying import origin_of
from trunkline.run.row_tracing.batches import batch_link, read_records, receipt_of_batch

if TYPE_CHECKING:
    from trunkline.run.workspace import Workspace

__all__ = ["refused_row", "replayed_from"]


def refused_row(workspace: "Workspace", receipt: Receipt, record: int, *, follow: bool = True) -> Iterator[Link]:
    """Tell the states of a refused row, its batch, and what it became.

    Args:
        workspace: The workspace.
        receipt: Of its batch.
        record: Its number in the batch.
        follow: Whether to tell what it became, where it was replayed.

    Raises:
        UnknownNameError: The quarantine never had that record of the batch.
    """
    states = read_records(
        workspace,
        QUARANTINE,
        QuarantinedRow,
        lambda rows: (rows["batch_id"] == receipt.batch_id) & (rows["row_number"] == record),
    )
    if not states:
        what = "a duplicate, or not there" if 0 < record <= receipt.read else "not there"
        raise UnknownNameError(
            f"record {record} of batch {receipt.batch_id} is neither in the lake nor in the quarantine: {what}",
            where=f"read {receipt.read}, accepted {receipt.accepted}, quarantined {receipt.quarantined}, "
            f"duplicates {receipt.duplicates}",
        )
    states.sort(key=lambda row: str(row["changed_at"]))
    first, last = states[0], states[-1]
    yield Link(
        kind="refused row",
        identity=f"{receipt.batch_id}/{record}",
        facts={
            "state": str(last["state"]),
            "reasons": ", ".join(json.loads(str(first["reasons"]))),
            "reasons now": ", ".join(json.loads(str(last["reasons"]))),
            "edited": "yes" if any(row["row"] != first["row"] for row in states) else "no",
            "history": "; ".join(f"{row['state']} since {row['changed_at']}" for row in states),
        },
    )
    yield batch_link(workspace, receipt)
    if follow and last["state"] == "replayed":
        run_id = str(last["run_id"])
        taken = read_records(
            workspace,
            RECEIPTS,
            Receipt,
            lambda rows: (rows["run_id"] == run_id) & (rows["source"] == f"quarantine {receipt.batch_id}"),
        )
        for row in taken:
            yield batch_link(workspace, Receipt.model_validate(row))


def replayed_from(workspace: "Workspace", receipt: Receipt, record: int) -> Iterator[Link]:
    """Tell the refused row that a replayed one was, and its batch; nothing where it was not replayed.

    Args:
        workspace: The workspace.
        receipt: Of the batch of the replayed row.
        record: Its number in that batch.
    """
    origin = origin_of(receipt.source)
    if origin is None:
        return
    marks = read_records(
        workspace,
        QUARANTINE,
        QuarantinedRow,
        lambda rows: (rows["batch_id"] == origin) & (rows["state"] == "replayed") & (rows["run_id"] == receipt.run_id),
        columns=("row_number",),
    )
    numbers = sorted(int(str(row["row_number"])) for row in marks)  # a piece holds its rows in this order
    first = receipt_of_batch(workspace, origin)
    if record <= len(numbers) and first is not None:
        yield from refused_row(workspace, first, numbers[record - 1], follow=False)
