"""One batch on its way in: raw rows, split by the contract, into the lake and the quarantine, with a receipt.

Order of writing: quarantine, rows, receipt; each is exactly once by the lake's transactions under the batch's
content-derived id. Killed between any two, the same call completes what is missing and doubles nothing.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from trunkline.checks import ROW, arrow_schema, table_from_rows
from trunkline.contracts import Contract
from trunkline.contracts.records import QuarantinedRow, Receipt
from trunkline.errors import RowsRefusedError
from trunkline.ingest.files import content_sha256
from trunkline.ingest.judged import JudgedFile, Refused, judged_file
from trunkline.ingest.landing import Landed
from trunkline.lake import Lake, Transaction
from trunkline.settings.drills import point

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["CRASH_POINTS", "Ingested", "Target", "checked_rows", "ingest_file"]

CRASH_POINTS: Final = (
    "ingest.before_quarantine",
    "ingest.after_quarantine",
    "ingest.after_rows",
    "ingest.after_receipt",
)
"""Points at which a drill kills an ingestion."""

RECEIPTS: Final = "platform.receipts"
QUARANTINE: Final = "platform.quarantine"
_WRITTEN_ROWS: Final = 100_000
_MOST_REASONS: Final = 6


@dataclass(frozen=True)
class Target:
    """Where a batch goes.

    Attributes:
        usecase: The use case's name.
        dataset: The dataset's name.
        contract: What its rows must look like.
    """

    usecase: str
    dataset: str
    contract: type[Contract]

    @property
    def table(self) -> str:
        """Name of the lake table."""
        return f"{self.usecase}.{self.dataset}"


@dataclass(frozen=True)
class Ingested:
    """What became of a file.

    Attributes:
        receipt: The batch's receipt.
        known: Whether the batch had been ingested before, so that nothing was written.
    """

    receipt: Receipt
    known: bool


@dataclass(frozen=True)
class _Batch:
    """Who writes what: the parts that rows, quarantine and receipt share."""

    batch_id: str
    run_id: str
    target: Target
    source: str
    at: datetime


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
    started_at = clock()
    with judged_file(path, target.contract, engine=lake.engine, mapping=mapping) as judged:
        batch = _Batch(batch_id, run_id, target, source=source, at=clock().astimezone(UTC))
        reasons = _write_quarantine(lake, judged, batch)
        point("ingest.after_quarantine")
        version, first_run_id = _write_rows(lake, judged, batch)
        point("ingest.after_rows")
        receipt = Receipt(
            batch_id=batch_id,
            run_id=first_run_id,
            usecase=target.usecase,
            dataset=target.dataset,
            source=source,
            piece=piece.piece_id if piece else None,
            content_sha256=content,
            contract_fingerprint=target.contract.fingerprint,
            read=judged.read,
            accepted=judged.accepted,
            quarantined=judged.quarantined,
            duplicates=judged.duplicates,
            reasons=json.dumps(dict(reasons.most_common())),
            absent_columns=json.dumps(judged.absent),
            extra_columns=json.dumps(judged.extra),
            mapping=json.dumps(dict(mapping), sort_keys=True) if mapping else None,
            table_version=version,
            started_at=started_at,
            finished_at=clock(),
        )
    lake.append(
        RECEIPTS,
        table_from_rows(Receipt, [receipt.model_dump()]),
        transaction=Transaction(f"receipt:{batch_id}", 1),
    )
    point("ingest.after_receipt")
    _refuse_if_nothing_accepted(receipt)
    return Ingested(receipt, known=False)


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
        columns = [ROW, *(column.name for column in contract.columns)]
        good = lake.engine.arrow(judged.with_repeats().order_by(ROW).select(*columns))
        return good, judged.texts(), judged.reasons()


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


def _write_quarantine(lake: Lake, judged: JudgedFile, batch: _Batch) -> Counter[str]:
    """Write the refused rows; gives how many failed for each reason."""
    import pyarrow as pa

    point("ingest.before_quarantine")
    counts: Counter[str] = Counter()
    if not judged.quarantined:
        return counts
    transaction = Transaction(f"quarantine:{batch.batch_id}", 1)
    if _covered(lake, QUARANTINE, transaction):  # by an earlier, interrupted call
        return judged.reasons()

    def batches() -> "Iterator[pa.RecordBatch]":
        for rows in judged.refused():
            for row in rows:
                counts.update(row.reasons)
            yield from table_from_rows(QuarantinedRow, [_quarantined(row, batch) for row in rows]).to_batches()

    lake.append(
        QUARANTINE,
        pa.RecordBatchReader.from_batches(arrow_schema(QuarantinedRow), batches()),
        transaction=transaction,
    )
    return counts or judged.reasons()


def _quarantined(row: Refused, batch: _Batch) -> dict[str, object]:
    return {
        "quarantine_id": f"{batch.batch_id}-{row.row_number}",
        "batch_id": batch.batch_id,
        "run_id": batch.run_id,
        "usecase": batch.target.usecase,
        "dataset": batch.target.dataset,
        "source": batch.source,
        "row_number": row.row_number,
        "reasons": json.dumps(row.reasons),
        "row": json.dumps(row.row, ensure_ascii=False),
        "state": "open",
        "changed_at": batch.at,
    }


def _write_rows(lake: Lake, judged: JudgedFile, batch: _Batch) -> tuple[int | None, str]:
    """Write the good rows; gives the version that holds them (None: there are none), and whose run wrote them."""
    import ibis
    import pyarrow as pa

    if not judged.accepted:
        return None, batch.run_id
    transaction = Transaction(f"rows:{batch.batch_id}", 1)
    if _covered(lake, batch.target.table, transaction):  # by an earlier, interrupted call
        written = lake.arrow(
            batch.target.table, columns=["_run_id"], where=lambda table: table["_batch_id"] == batch.batch_id
        )
        run_ids = written.column("_run_id").unique().to_pylist()
        return lake.version(batch.target.table), str(run_ids[0]) if run_ids else batch.run_id
    good = judged.good()
    rows = good.select(
        *(column.name for column in batch.target.contract.columns),
        _run_id=ibis.literal(batch.run_id),
        _batch_id=ibis.literal(batch.batch_id),
        _row=good[ROW],
        _ingested_at=ibis.literal(batch.at, type="timestamp('UTC', 6)"),
    )
    schema = arrow_schema(batch.target.contract)
    for name, kind in (
        ("_run_id", pa.string()),
        ("_batch_id", pa.string()),
        ("_row", pa.int64()),
        ("_ingested_at", pa.timestamp("us", tz="UTC")),
    ):
        schema = schema.append(pa.field(name, kind))
    reader = lake.engine.batches(rows, rows=_WRITTEN_ROWS)
    version = lake.append(
        batch.target.table,
        pa.RecordBatchReader.from_batches(schema, (part.cast(schema) for part in reader)),
        transaction=transaction,
    )
    return version, batch.run_id


def _covered(lake: Lake, table: str, transaction: Transaction) -> bool:
    if not lake.exists(table):
        return False
    covered = lake.transaction_version(table, transaction.app_id)
    return covered is not None and covered >= transaction.version
