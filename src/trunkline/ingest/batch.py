"""One batch on its way in: raw rows, split by the contract, into the lake and the quarantine, with a receipt.

Order of writing: quarantine, rows, receipt; each is exactly once by the lake's transactions under the batch's
content-derived id. Killed between any two, the same call completes what is missing and doubles nothing.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from trunkline.checks import arrow_schema
from trunkline.contracts import Contract
from trunkline.contracts.records import Receipt
from trunkline.errors import RowsRefusedError
from trunkline.ingest.committing import (
    RECEIPTS,
    Batch,
    Target,
    commit_rows,
    lake_rows,
    lake_rows_schema,
    receipt_of,
    rows_committed,
    write_quarantine,
    write_receipts,
)
from trunkline.ingest.files import content_sha256, open_file
from trunkline.ingest.judged import judge, judged_file
from trunkline.ingest.landing import Landed
from trunkline.ingest.raw import RawFile
from trunkline.lake import Lake
from trunkline.settings.drills import point

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["CRASH_POINTS", "RECEIPTS", "Ingested", "Target", "checked_rows", "ingest_file"]

CRASH_POINTS: Final = (
    "ingest.before_quarantine",
    "ingest.after_quarantine",
    "ingest.after_rows",
    "ingest.after_receipt",
)
"""Points at which a drill kills an ingestion."""

_MOST_REASONS: Final = 6


@dataclass(frozen=True)
class Ingested:
    """What became of a file.

    Attributes:
        receipt: The batch's receipt.
        known: Whether the batch had been ingested before, so that nothing was written.
    """

    receipt: Receipt
    known: bool


def ingest_file(
    path: Path,
    target: Target,
    *,
    lake: Lake,
    run_id: str,
    clock: Callable[[], datetime],
    mapping: Mapping[str, str] | None = None,
    piece: Landed | None = None,
    instead: str | None = None,
) -> Ingested:
    """Ingest one file.

    Args:
        path: A file of a known form.
        target: Where it goes.
        lake: The lake, with its engine.
        run_id: The run that asks for it.
        clock: Gives the current instant.
        mapping: Source column to field name, from the user.
        piece: Its piece in the landing zone. Pieces of a pulled source are batches of their own even where their
            content repeats, because a later one may follow another state of the source.
        instead: The batch whose place this one takes; it is a batch of its own then, whatever came before.

    Returns:
        The receipt; of the earlier ingestion if the same content came before under the same contract and mapping.

    Raises:
        SourceError: The file cannot be read whole, or has no rows; nothing is written.
        SchemaError: Its columns do not fit; nothing is written.
        RowsRefusedError: No row was good. Quarantine and receipt are written, so that the reasons can be read.
    """
    content = piece.content_sha256 if piece else content_sha256(path)
    source = piece.origin if piece else str(path)
    batch_id = _batch_id(content, target, mapping or {}, piece=piece, instead=instead)
    earlier = _receipt(lake, batch_id)
    if earlier is not None:
        _refuse_if_nothing_accepted(earlier)
        return Ingested(earlier, known=True)
    batch = Batch(
        batch_id=batch_id,
        run_id=run_id,
        target=target,
        source=source,
        content_sha256=content,
        piece_id=piece.piece_id if piece else None,
        mapping=mapping,
        started_at=clock().astimezone(UTC),
    )
    receipt = _taken(open_file(path), batch, lake=lake, clock=clock)
    write_receipts(lake, [receipt])
    point("ingest.after_receipt")
    _refuse_if_nothing_accepted(receipt)
    return Ingested(receipt, known=False)


def _taken(opened: RawFile, batch: Batch, *, lake: Lake, clock: Callable[[], datetime]) -> Receipt:
    """Judge a file, and commit its quarantine and its rows."""
    target, table = batch.target, batch.target.contract.table
    earlier = rows_committed(lake, target.table, batch.rows_transaction)
    with lake.staged(target.table, lake_rows_schema(target.contract)) as staged:

        def keep(good: "pa.Table") -> None:
            staged.write(lake_rows(good, batch))

        judged = judge(
            opened,
            target.contract,
            engine=lake.engine,
            mapping=batch.mapping,
            sink=None if earlier else keep,
        )
        with closing(judged.refusals):
            point("ingest.before_quarantine")
            write_quarantine(lake, judged.refusals, batch)
            point("ingest.after_quarantine")
            done = earlier
            if done is None:
                done = commit_rows(lake, staged, judged, batch, table=table)
            point("ingest.after_rows")
    return receipt_of(judged, batch, done, finished_at=clock())


def checked_rows(
    path: Path,
    contract: type[Contract],
    *,
    lake: Lake,
    mapping: Mapping[str, str] | None = None,
    optional: tuple[str, ...] = (),
) -> "tuple[pa.Table, pa.Table, Counter[str]]":
    """Split a file without writing anything: for scoring and evaluating files that stay outside the lake.

    Args:
        path: A file of a known form.
        contract: What its rows must look like.
        lake: Lends its engine.
        mapping: Source column to field name.
        optional: Fields that may be absent or null although they are not nullable.

    Returns:
        Good rows with ``_row`` (1-based position in the file), also those that repeat a key; the raw text rows with
        ``_row``; and how many rows failed for each reason.

    Raises:
        SourceError: The file cannot be read whole, or has no rows.
        SchemaError: Its columns do not fit.
    """
    with judged_file(path, contract, engine=lake.engine, mapping=mapping, optional=optional) as judged:
        return judged.rows, judged.texts, judged.reasons()


def _batch_id(
    content: str, target: Target, mapping: Mapping[str, str], *, piece: Landed | None, instead: str | None
) -> str:
    parts: list[object] = [content, target.table, target.contract.fingerprint, sorted(mapping.items())]
    if piece is not None and piece.number:
        parts.append(piece.piece_id)
    if instead is not None:
        parts.append({"instead": instead})
    said = json.dumps(parts)
    return hashlib.sha256(said.encode()).hexdigest()[:24]


def _receipt(lake: Lake, batch_id: str) -> Receipt | None:
    if not lake.exists(RECEIPTS):
        return None
    rows = lake.arrow(
        RECEIPTS, schema=arrow_schema(Receipt), where=lambda table: table["batch_id"] == batch_id
    ).to_pylist()
    return Receipt(**rows[0]) if rows else None


def _refuse_if_nothing_accepted(receipt: Receipt) -> None:
    if receipt.accepted:
        return
    reasons: dict[str, int] = json.loads(receipt.reasons)
    shown = ", ".join(f"{reason} ({count})" for reason, count in list(reasons.items())[:_MOST_REASONS])
    raise RowsRefusedError(
        f"none of the {receipt.read} rows fits the contract: {shown}",
        reasons=reasons,
        where=f"{receipt.source}, batch {receipt.batch_id}",
        next_step=f"see the rows with `trunkline quarantine show {receipt.batch_id}`; a mapping (--map) may be missing",
    )
