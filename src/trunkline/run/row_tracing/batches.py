"""Batches: their receipts, and where their raw files are; and the reading of records that all tracing shares."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from trunkline.checks import arrow_schema
from trunkline.contracts import Contract
from trunkline.contracts.records import RECEIPTS, Receipt
from trunkline.run.links import Link
from trunkline.run.replaced import Replacements

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from trunkline.run.workspace import Workspace

__all__ = ["batch_link", "read_records", "receipt_of_batch"]


def receipt_of_batch(workspace: "Workspace", batch: str) -> Receipt | None:
    """Read the receipt of a batch; None where there is none."""
    found = read_records(workspace, RECEIPTS, Receipt, lambda rows: rows["batch_id"] == batch)
    return Receipt.model_validate(found[0]) if found else None


def batch_link(workspace: "Workspace", receipt: Receipt) -> Link:
    """Say what is known of a batch, and where its raw file is."""
    names = ("usecase", "dataset", "source", "content_sha256", "contract_fingerprint", "mapping")
    counts = ("read", "accepted", "quarantined", "duplicates", "table_version", "run_id")
    facts = {name: str(getattr(receipt, name)) for name in names + counts if getattr(receipt, name) is not None}
    facts["finished_at"] = receipt.finished_at.isoformat()
    newest = Replacements(workspace.lake).newest(receipt.batch_id)
    if newest is not None:
        facts["replaced by"] = newest
    facts["raw file"] = _raw_file(workspace, receipt)
    return Link(kind="batch", identity=receipt.batch_id, facts=facts)


def read_records(
    workspace: "Workspace",
    table: str,
    contract: type[Contract],
    where: "Callable[[ir.Table], ir.BooleanValue]",
    *,
    columns: Sequence[str] | None = None,
) -> list[dict[str, object]]:
    """Read records of the platform.

    Args:
        workspace: The workspace.
        table: Their table; none are there where it was never made.
        contract: What they are read by.
        where: Gives the condition that they must meet, from the table.
        columns: Only these, in this order.

    Returns:
        One mapping per record, in no particular order.
    """
    if not workspace.lake.exists(table):
        return []
    found = workspace.lake.arrow(table, schema=arrow_schema(contract), where=where, columns=columns)
    rows: list[dict[str, object]] = found.to_pylist()
    return rows


def _raw_file(workspace: "Workspace", receipt: Receipt) -> str:
    if receipt.piece is None:
        is_path = receipt.source.startswith("/")
        there = is_path and Path(receipt.source).exists()
        return "no copy was kept" + (f"; the source is {'there' if there else 'gone'}" if is_path else "")
    source = receipt.piece.rpartition("/")[0]
    if not (workspace.root / "landing" / f"{receipt.usecase}.{receipt.dataset}").is_dir():
        return f"{receipt.piece}, removed"
    for piece in workspace.landing(f"{receipt.usecase}.{receipt.dataset}").pieces(source):
        if piece.piece_id == receipt.piece and piece.path is not None:
            return str(piece.path)
    return f"{receipt.piece}, removed"
