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
from typing import TYPE_CHECKING, Final, cast

from trunkline.checks import ROW, Split, arrow_schema, resolve_columns, split_expression, table_from_rows, unfused
from trunkline.contracts import Contract
from trunkline.contracts.records import QuarantinedRow, Receipt
from trunkline.errors import RowsRefusedError, SourceError
from trunkline.ingest.files import MalformedLine, RawFile, content_sha256, open_file
from trunkline.lake import Lake, Transaction
from trunkline.settings.drills import point

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import pyarrow as pa

__all__ = ["CRASH_POINTS", "Ingested", "Target", "checked_rows", "ingest_file"]

CRASH_POINTS: Final = (
    "ingest.before_quarantine",
    "ingest.after_quarantine",
    "ingest.after_rows",
    "ingest.after_receipt",
)

RECEIPTS: Final = "platform.receipts"
QUARANTINE: Final = "platform.quarantine"
_MALFORMED: Final = "line.malformed"
_QUARANTINE_ROWS: Final = 20_000


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
class _Judged:
    """A batch after the split, materialised in the engine."""

    table: "ir.Table"
    split: Split
    malformed: tuple[MalformedLine, ...]
    read: int
    accepted: int
    duplicates: int
    absent: tuple[str, ...]
    extra: tuple[str, ...]

    @property
    def quarantined(self) -> int:
        return self.read - self.accepted - self.duplicates


def ingest_file(
    path: Path,
    target: Target,
    *,
    lake: Lake,
    run_id: str,
    clock: Callable[[], datetime],
    mapping: Mapping[str, str] | None = None,
) -> Ingested:
    """Ingest one file.

    Args:
        path: A file of a known form.
        target: Where it goes.
        lake: The lake, with its engine.
        run_id: The run that asks for it.
        clock: Gives the current instant.
        mapping: Source column to field name, from the user.

    Returns:
        The receipt; of the earlier ingestion if the same content came before under the same contract and mapping.

    Raises:
        SourceError: The file cannot be read whole, or has no rows; nothing is written.
        SchemaError: Its columns do not fit; nothing is written.
        RowsRefusedError: No row was good. Quarantine and receipt are written, so that the reasons can be read.
    """
    content = content_sha256(path)
    batch_id = _batch_id(content, target, mapping or {})
    earlier = _receipt(lake, batch_id)
    if earlier is not None:
        _refuse_if_nothing_accepted(earlier)
        return Ingested(earlier, known=True)
    started_at = clock()
    judged_name = f"judged_{batch_id}"
    connection = lake.engine.connection
    try:
        opened = open_file(path)
        raw = _load(lake, opened)
        judged = _judge(lake, judged_name, raw, opened, target.contract, mapping, where=str(path))
        if judged.read == 0:
            raise SourceError(
                "the source has a header but no rows", where=str(path), next_step="check its export; nothing was taken"
            )
        reasons = _write_quarantine(lake, judged, raw, target, batch_id, run_id=run_id, source=str(path), at=clock())
        point("ingest.after_quarantine")
        version = _write_rows(lake, judged, target, batch_id, run_id=run_id, at=clock())
        point("ingest.after_rows")
        receipt = Receipt(
            batch_id=batch_id,
            run_id=run_id,
            usecase=target.usecase,
            dataset=target.dataset,
            source=str(path),
            content_sha256=content,
            contract_fingerprint=target.contract.fingerprint,
            read=judged.read,
            accepted=judged.accepted,
            quarantined=judged.quarantined,
            duplicates=judged.duplicates,
            reasons=json.dumps(dict(reasons.most_common())),
            absent_columns=json.dumps(judged.absent),
            extra_columns=json.dumps(judged.extra),
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
    finally:
        connection.drop_table(judged_name, force=True)
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
        optional: Fields that may be absent although they are not nullable.

    Returns:
        Good rows with ``_row`` (1-based position in the file); the raw text rows with ``_row``; and how many rows failed
        for each reason.

    Raises:
        SourceError: The file cannot be read whole, or has no rows.
        SchemaError: Its columns do not fit.
    """
    connection = lake.engine.connection
    name = hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:16]
    judged_name = f"judged_look_{name}"
    try:
        opened = open_file(path)
        raw = _load(lake, opened)
        judged = _judge(lake, judged_name, raw, opened, contract, mapping, where=str(path), optional=optional)
        if judged.read == 0:
            raise SourceError("the source has a header but no rows", where=str(path))
        columns = [ROW, *(column.name for column in contract.columns)]
        good = lake.engine.arrow(judged.table.filter(judged.split.good()).order_by(ROW).select(*columns))
        counts = Counter({_MALFORMED: len(judged.malformed)}) if judged.malformed else Counter[str]()
        for batch in _bad_rows(lake, judged, raw):
            for row in batch:
                counts.update(cast("list[str]", row["reasons"]))
        return good, lake.engine.arrow(raw.order_by(ROW)), counts
    finally:
        connection.drop_table(judged_name, force=True)


def _batch_id(content: str, target: Target, mapping: Mapping[str, str]) -> str:
    said = json.dumps([content, target.table, target.contract.fingerprint, sorted(mapping.items())])
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
    shown = ", ".join(f"{reason} ({count})" for reason, count in list(reasons.items())[:6])
    raise RowsRefusedError(
        f"none of the {receipt.read} rows fits the contract: {shown}",
        reasons=reasons,
        where=f"{receipt.source}, batch {receipt.batch_id}",
        next_step=f"see the rows with `trunkline quarantine show {receipt.batch_id}`; a mapping (--map) may be missing",
    )


def _load(lake: Lake, opened: RawFile) -> "ir.Table":
    """Stream a file into the engine as text, numbering its rows."""
    import pyarrow as pa

    schema = pa.schema([pa.field(ROW, pa.int64()), *(pa.field(column, pa.string()) for column in opened.header)])
    refused: list[SourceError] = []

    def numbered() -> "Iterator[pa.RecordBatch]":
        position = 0
        try:
            for batch in opened.batches:
                numbers = pa.array(range(position + 1, position + batch.num_rows + 1), pa.int64())
                position += batch.num_rows
                yield pa.RecordBatch.from_arrays([numbers, *batch.columns], schema=schema)
        except SourceError as error:
            refused.append(error)  # on its way through the C stream it would lose its class
            raise

    try:
        return lake.engine.table(pa.RecordBatchReader.from_batches(schema, numbered()))
    except Exception:
        if refused:
            raise refused[0] from None
        raise


def _judge(
    lake: Lake,
    name: str,
    raw: "ir.Table",
    opened: RawFile,
    contract: type[Contract],
    mapping: Mapping[str, str] | None,
    *,
    where: str,
    optional: tuple[str, ...] = (),
) -> _Judged:
    """Compute the split once, mark duplicates by key among the good rows, and count."""
    import ibis

    resolution = resolve_columns(contract, opened.header, mapping=mapping, where=where, optional=optional)
    split = split_expression(contract, raw, resolution)
    good = split.good()
    if contract.table.key:
        ahead = [split.table[ROW].desc() if contract.table.keep == "last" else split.table[ROW]]
        if contract.table.event_at:
            event_at = split.table[contract.table.event_at]
            ahead.insert(0, event_at.desc() if contract.table.keep == "last" else event_at)
        window = ibis.window(group_by=[good, *(split.table[part] for part in contract.table.key)], order_by=ahead)
        duplicate = good & (ibis.row_number().over(window) > 0)
    else:
        duplicate = ibis.literal(value=False)
    connection = lake.engine.connection
    connection.drop_table(name, force=True)
    with unfused():
        table = connection.create_table(name, split.table.mutate(_duplicate=duplicate))
    computed = Split(table, split.masks, split.reasons)
    counts = lake.engine.arrow(
        table.aggregate(
            read=table.count(),
            good=computed.good().sum(),
            duplicates=table["_duplicate"].sum(),
        )
    ).to_pylist()[0]
    duplicates = int(counts["duplicates"] or 0)
    return _Judged(
        table,
        computed,
        tuple(opened.malformed),
        read=int(counts["read"]) + len(opened.malformed),
        accepted=int(counts["good"] or 0) - duplicates,
        duplicates=duplicates,
        absent=resolution.absent,
        extra=resolution.extra,
    )


def _bad_rows(lake: Lake, judged: _Judged, raw: "ir.Table") -> Iterator[list[dict[str, object]]]:
    """Give the refused rows in batches: ``row_number``, ``reasons``, and ``row`` as the source had it."""
    masks = judged.table.select(ROW, *judged.split.masks)
    bad = raw.join(masks.filter(~Split(masks, judged.split.masks, judged.split.reasons).good()), ROW).order_by(ROW)
    source_columns = [name for name in raw.columns if name != ROW]
    for batch in lake.engine.batches(bad, rows=_QUARANTINE_ROWS):
        yield [
            {
                "row_number": row[ROW],
                "reasons": judged.split.decode([row[mask] for mask in judged.split.masks]),
                "row": {name: row[name] for name in source_columns},
            }
            for row in batch.to_pylist()
        ]


def _write_quarantine(
    lake: Lake,
    judged: _Judged,
    raw: "ir.Table",
    target: Target,
    batch_id: str,
    *,
    run_id: str,
    source: str,
    at: datetime,
) -> Counter[str]:
    import pyarrow as pa

    counts: Counter[str] = Counter()

    def record(number: int, reasons: list[str], row: object) -> dict[str, object]:
        counts.update(reasons)
        return {
            "quarantine_id": f"{batch_id}-{number}",
            "batch_id": batch_id,
            "run_id": run_id,
            "usecase": target.usecase,
            "dataset": target.dataset,
            "source": source,
            "row_number": number,
            "reasons": json.dumps(reasons),
            "row": json.dumps(row, ensure_ascii=False),
            "state": "open",
            "changed_at": at.astimezone(UTC),
        }

    def batches() -> "Iterator[pa.RecordBatch]":
        lines = [record(line.row_number, [_MALFORMED], {"line": line.text}) for line in judged.malformed]
        if lines:
            yield from table_from_rows(QuarantinedRow, lines).to_batches()
        for rows in _bad_rows(lake, judged, raw):
            records = [
                record(cast("int", row["row_number"]), cast("list[str]", row["reasons"]), row["row"]) for row in rows
            ]
            yield from table_from_rows(QuarantinedRow, records).to_batches()

    point("ingest.before_quarantine")
    if judged.quarantined:
        lake.append(
            QUARANTINE,
            pa.RecordBatchReader.from_batches(arrow_schema(QuarantinedRow), batches()),
            transaction=Transaction(f"quarantine:{batch_id}", 1),
        )
        if not counts:  # the lake had them from an earlier, interrupted call and did not read the stream
            for _ in batches():
                pass
    return counts


def _write_rows(
    lake: Lake, judged: _Judged, target: Target, batch_id: str, *, run_id: str, at: datetime
) -> int | None:
    import ibis
    import pyarrow as pa

    if not judged.accepted:
        return None
    good = judged.table.filter(judged.split.good() & ~judged.table["_duplicate"])
    rows = good.select(
        *(column.name for column in target.contract.columns),
        _run_id=ibis.literal(run_id),
        _batch_id=ibis.literal(batch_id),
        _row=good[ROW],
        _ingested_at=ibis.literal(at.astimezone(UTC), type="timestamp('UTC', 6)"),
    )
    schema = arrow_schema(target.contract)
    for name, kind in (
        ("_run_id", pa.string()),
        ("_batch_id", pa.string()),
        ("_row", pa.int64()),
        ("_ingested_at", pa.timestamp("us", tz="UTC")),
    ):
        schema = schema.append(pa.field(name, kind))
    reader = lake.engine.batches(rows, rows=100_000)
    return lake.append(
        target.table,
        pa.RecordBatchReader.from_batches(schema, (batch.cast(schema) for batch in reader)),
        transaction=Transaction(f"rows:{batch_id}", 1),
    )
