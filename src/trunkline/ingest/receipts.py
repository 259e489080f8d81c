"""Receipts: what became of each batch, written last, so that a batch with a receipt is complete."""

import json
from collections import Counter
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final

from trunkline.checks import arrow_schema, table_from_rows
from trunkline.contracts.records import RECEIPTS, Receipt
from trunkline.errors import RowsRefusedError
from trunkline.ingest.identity import Batch, receipt_transaction
from trunkline.lake import Lake

__all__ = [
    "ACCEPTED_AT",
    "INSTEAD",
    "add_receipt",
    "has_receipt",
    "known_contents",
    "known_receipts",
    "receipt_of",
    "receipt_of_piece",
    "refusal_of",
    "taken_pieces",
    "write_receipts",
]


CSV: Final = "csv"
"""Note of a batch of CSV of which something was said: the dialect in which it was read, as a JSON object."""

ACCEPTED_AT: Final = "oldest_accepted_at"
"""Note of a topic's chunk: when the oldest of its records was accepted by the log or the broker."""

INSTEAD: Final = "instead"
"""Note of a batch that was taken in again: the batch whose place it takes."""

_MOST_REASONS: Final = 6


def known_receipts(lake: Lake, batch_ids: Collection[str]) -> dict[str, Receipt]:
    """Look up the receipts of batches, by the batches' ids; those that were never completed have none."""
    # each is committed under its batch's transaction; asking the log for it costs a tenth of looking through the rows
    if not lake.transaction_versions(RECEIPTS, [receipt_transaction(batch_id).app_id for batch_id in batch_ids]):
        return {}
    rows = lake.arrow(
        RECEIPTS, schema=arrow_schema(Receipt), where=lambda table: table["batch_id"].isin(list(batch_ids))
    )
    return {str(row["batch_id"]): Receipt(**row) for row in rows.to_pylist()}


def has_receipt(lake: Lake, batch_id: str) -> bool:
    """Say whether a batch was completed, without looking through the rows."""
    return lake.transaction_version(RECEIPTS, receipt_transaction(batch_id).app_id) is not None


def known_contents(lake: Lake, *, usecase: str, dataset: str, among: Collection[str] | None = None) -> frozenset[str]:
    """Look up the hashes of content of which a batch was completed, under whatever contract, in one look.

    Args:
        lake: The lake.
        usecase: The use case.
        dataset: Its dataset.
        among: Of these alone; None is all content.
    """
    if not lake.exists(RECEIPTS):
        return frozenset()
    found = lake.arrow(
        RECEIPTS,
        columns=["content_sha256"],
        schema=arrow_schema(Receipt),
        where=lambda table: (
            (table["usecase"] == usecase)
            & (table["dataset"] == dataset)
            & (True if among is None else table["content_sha256"].isin(list(among)))
        ),
    )
    return frozenset(found.column("content_sha256").to_pylist())


def add_receipt(lake: Lake, receipt: Receipt) -> None:
    """Write the receipt of a batch, exactly once."""
    rows = table_from_rows(Receipt, [receipt.model_dump()])
    lake.append(RECEIPTS, rows, transaction=receipt_transaction(receipt.batch_id))


def receipt_of_piece(lake: Lake, *, usecase: str, dataset: str, piece: str) -> Receipt | None:
    """Look up the newest receipt of a landed piece.

    Args:
        lake: The lake.
        usecase: The use case.
        dataset: Its dataset.
        piece: The piece's identity.
    """
    if not lake.exists(RECEIPTS):
        return None
    found = lake.arrow(
        RECEIPTS,
        schema=arrow_schema(Receipt),
        where=lambda table: (table["usecase"] == usecase) & (table["dataset"] == dataset) & (table["piece"] == piece),
    ).to_pylist()
    return max((Receipt(**row) for row in found), key=lambda receipt: receipt.finished_at, default=None)


def taken_pieces(lake: Lake, *, usecase: str, dataset: str, source: str | None = None) -> frozenset[str]:
    """Look up the pieces that have a receipt, by their identities.

    Args:
        lake: The lake.
        usecase: The use case.
        dataset: Its dataset.
        source: Of this source alone; None is all that landed for the dataset.
    """
    if not lake.exists(RECEIPTS):
        return frozenset()
    found = lake.arrow(
        RECEIPTS,
        columns=["piece"],
        schema=arrow_schema(Receipt),
        where=lambda table: (
            (table["usecase"] == usecase)
            & (table["dataset"] == dataset)
            & (table["piece"].notnull() if source is None else table["piece"].startswith(f"{source}/"))
        ),
    )
    return frozenset(found.column("piece").to_pylist())


def receipt_of(  # noqa: PLR0913 - what a receipt says
    batch: Batch,
    *,
    run_id: str,
    version: int | None,
    read: int,
    good: int,
    accepted: int,
    reasons: Counter[str],
    absent: Sequence[str],
    extra: Sequence[str],
    finished_at: datetime,
) -> Receipt:
    """Write down what became of a batch.

    Args:
        batch: The batch.
        run_id: The run that committed its rows.
        version: The version of the table that holds them; None where none was accepted.
        read: Rows of the file.
        good: Rows that broke nothing.
        accepted: Those of them that were committed; the others are duplicates.
        reasons: How many rows failed for each reason.
        absent: Nullable fields that the source lacks.
        extra: Source columns that no field claims.
        finished_at: When that was.
    """
    mapping = batch.mapping
    # every value is made here, in its type: judging them again would take longer than a small file
    return Receipt.model_construct(
        batch_id=batch.batch_id,
        run_id=run_id,
        usecase=batch.target.usecase,
        dataset=batch.target.dataset,
        source=batch.source,
        piece=batch.piece_id,
        content_sha256=batch.content_sha256,
        bytes=batch.size_bytes,
        contract_fingerprint=batch.target.contract.fingerprint,
        read=read,
        accepted=accepted,
        quarantined=read - good,
        duplicates=good - accepted,
        reasons=json.dumps(dict(reasons.most_common())),
        absent_columns=json.dumps(absent),
        extra_columns=json.dumps(extra),
        mapping=json.dumps(dict(mapping), sort_keys=True) if mapping else None,
        notes=_notes(batch),
        table_version=version,
        started_at=batch.started_at,
        finished_at=finished_at,
    )


def _notes(batch: Batch) -> str | None:
    notes: dict[str, object] = {}
    if batch.accepted_at is not None:
        notes[ACCEPTED_AT] = batch.accepted_at.isoformat()
    if batch.csv is not None:
        notes[CSV] = batch.csv.said
    if batch.instead is not None:
        notes[INSTEAD] = batch.instead
    return json.dumps(notes, sort_keys=True) if notes else None


def write_receipts(lake: Lake, receipts: Sequence[tuple[Batch, Receipt]]) -> None:
    """Write receipts in one commit, each of them exactly once.

    Raises:
        ConflictError: Another process completed some of the batches meanwhile.
    """
    lake.append(
        RECEIPTS,
        table_from_rows(Receipt, [receipt.model_dump() for _, receipt in receipts]),
        transaction=[batch.receipt_transaction for batch, _ in receipts],
    )


def refusal_of(receipt: Receipt) -> RowsRefusedError | None:
    """Give the error of a batch all of whose rows were refused; None for others, also for one without rows."""
    if receipt.accepted or receipt.duplicates or not receipt.read:
        return None
    reasons: dict[str, int] = json.loads(receipt.reasons)
    shown = ", ".join(f"{reason} ({count})" for reason, count in list(reasons.items())[:_MOST_REASONS])
    return RowsRefusedError(
        f"none of the {receipt.read} rows fits the contract: {shown}",
        reasons=reasons,
        where=f"{receipt.source}, batch {receipt.batch_id}",
        next_step=f"see the rows with `trunkline quarantine show {receipt.batch_id}`; a mapping (--map) may be missing",
    )
