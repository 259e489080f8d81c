"""What a judged batch leaves in the lake: its refused rows, its rows, its receipt; each of them exactly once.

Takes staged rows and refusals, and commits them under transactions with the batch's content-derived id. What a receipt
says of rows that an earlier, interrupted call committed is read off that commit.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final

from trunkline.checks import ROW, arrow_schema, table_from_rows
from trunkline.contracts import Contract, Table
from trunkline.contracts.records import QuarantinedRow, Receipt
from trunkline.errors import ConflictError
from trunkline.ingest.judged import JudgedFile
from trunkline.ingest.refusals import Refusals
from trunkline.ingest.repeats import held_already, key_columns, repeated
from trunkline.lake import Lake, StagedRows, Transaction

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "QUARANTINE",
    "RECEIPTS",
    "Batch",
    "Committed",
    "Target",
    "commit_rows",
    "lake_rows",
    "lake_rows_schema",
    "quarantined_rows",
    "receipt_of",
    "rows_committed",
    "write_quarantine",
    "write_receipts",
]

RECEIPTS: Final = "platform.receipts"
QUARANTINE: Final = "platform.quarantine"

_ATTEMPTS: Final = 20
_NO_TABLE: Final = -1


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
class Batch:
    """Who writes what: the parts that rows, quarantine and receipt share.

    Attributes:
        batch_id: Derived from content, target and contract.
        run_id: The run that asks for it.
        target: Where it goes.
        source: The file, or where a piece was pulled from.
        content_sha256: Of the file.
        piece_id: In the landing zone; None for a file handed over by its path.
        mapping: Source column to field name, from the user.
        started_at: When it was begun; also when its rows count as ingested.
    """

    batch_id: str
    run_id: str
    target: Target
    source: str
    content_sha256: str
    piece_id: str | None
    mapping: Mapping[str, str] | None
    started_at: datetime

    @property
    def rows_transaction(self) -> Transaction:
        """Under which its rows are committed."""
        return Transaction(f"rows:{self.batch_id}", 1)


@dataclass(frozen=True)
class Committed:
    """What a commit of rows holds.

    Attributes:
        version: The table's version; None where no row was to be committed.
        run_id: The run that committed them.
        accepted: How many.
    """

    version: int | None
    run_id: str
    accepted: int


def lake_rows_schema(contract: type[Contract]) -> "pa.Schema":
    """Give the schema of a contract's rows in the lake: its columns, and where each row comes from."""
    import pyarrow as pa

    schema = arrow_schema(contract)
    for name, kind in (
        ("_run_id", pa.string()),
        ("_batch_id", pa.string()),
        ("_row", pa.int64()),
        ("_ingested_at", pa.timestamp("us", tz="UTC")),
    ):
        schema = schema.append(pa.field(name, kind))
    return schema


def lake_rows(good: "pa.Table", batch: Batch) -> "pa.Table":
    """Put good rows (``_row`` and the contract's columns) into the form that the lake has them in."""
    import pyarrow as pa

    schema, count = lake_rows_schema(batch.target.contract), good.num_rows
    said = {"_run_id": batch.run_id, "_batch_id": batch.batch_id, "_ingested_at": batch.started_at}
    columns = [
        pa.repeat(pa.scalar(said[field.name], field.type), count) if field.name in said else good.column(field.name)
        for field in schema
    ]
    return pa.Table.from_arrays(columns, schema=schema)


def write_quarantine(lake: Lake, refusals: Refusals, batch: Batch) -> None:
    """Write the refused rows of a batch, unless an earlier, interrupted call did."""
    import pyarrow as pa

    if not refusals.rows:
        return
    rows = (quarantined_rows(part, batch) for part in refusals.batches())
    schema = arrow_schema(QuarantinedRow)
    lake.append(
        QUARANTINE,
        pa.RecordBatchReader.from_batches(schema, _parts(rows)),
        transaction=Transaction(f"quarantine:{batch.batch_id}", 1),
    )


def _parts(tables: "Iterator[pa.Table]") -> "Iterator[pa.RecordBatch]":
    for table in tables:
        yield from table.to_batches()


def quarantined_rows(refused: "pa.RecordBatch", batch: Batch) -> "pa.Table":
    """Put refused rows into the form of the quarantine."""
    import pyarrow as pa
    import pyarrow.compute as pc

    numbers = refused.column("number")
    said: dict[str, object] = {
        "batch_id": batch.batch_id,
        "run_id": batch.run_id,
        "usecase": batch.target.usecase,
        "dataset": batch.target.dataset,
        "source": batch.source,
        "state": "open",
        "changed_at": batch.started_at,
    }
    found = {
        "quarantine_id": pc.binary_join_element_wise(
            pa.scalar(batch.batch_id), numbers.cast(pa.string()), pa.scalar("-")
        ),
        "row_number": numbers,
        "reasons": refused.column("reasons"),
        "row": refused.column("row"),
    }
    schema = arrow_schema(QuarantinedRow)
    return pa.Table.from_arrays(
        [
            found[field.name].cast(field.type)
            if field.name in found
            else pa.repeat(pa.scalar(said.get(field.name), field.type), refused.num_rows)
            for field in schema
        ],
        schema=schema,
    )


def rows_committed(lake: Lake, table: str, transaction: Transaction) -> Committed | None:
    """Say what an earlier call committed under a transaction; None where there was none."""
    covered = lake.transaction_version(table, transaction.app_id) if lake.exists(table) else None
    if covered is None or covered < transaction.version:
        return None
    batch_id = transaction.app_id.partition(":")[2]
    for commit in lake.history(table):
        noted = commit.metadata
        if noted.get("batch_id") == batch_id:
            return Committed(commit.version, noted["run_id"], int(noted["accepted"]))
    # its commit was cleaned from the log: the rows themselves say it
    rows = lake.arrow(table, columns=["_run_id"], where=lambda rows: rows["_batch_id"] == batch_id)
    run_ids = rows.column("_run_id").unique().to_pylist()
    return Committed(lake.version(table), str(run_ids[0]) if run_ids else "", rows.num_rows)


def commit_rows(lake: Lake, staged: StagedRows, judged: JudgedFile, batch: Batch, *, table: Table) -> Committed:
    """Leave out what repeats a key, and commit the rest.

    Args:
        lake: The lake.
        staged: All good rows of the batch.
        judged: What the file became.
        batch: Whose rows they are.
        table: Says the key, and among which rows it counts as repeated.

    Returns:
        What was committed.

    Raises:
        ConflictError: Others changed the table each time its keys had been compared.
    """
    staged.finish()
    columns = [ROW, *key_columns(table)]
    if not judged.order.is_growing:
        again = repeated(staged.table(lake.engine, columns), table, engine=lake.engine)
        if again is not None:
            staged.drop(again, column=ROW)
    is_compared = table.unique == "table" and bool(table.key) and (table.keep == "first" or table.event_at is not None)
    for attempt in range(_ATTEMPTS):
        base = _without_held(lake, staged, judged, batch, table=table) if is_compared else None
        if not staged.rows:
            return Committed(None, batch.run_id, 0)
        noted = {"batch_id": batch.batch_id, "run_id": batch.run_id, "accepted": str(staged.rows)}
        try:
            version = lake.append_staged(
                batch.target.table, staged, transaction=batch.rows_transaction, metadata=noted, base=base
            )
        except ConflictError:
            if base is None or attempt == _ATTEMPTS - 1:
                raise
        else:
            return Committed(version, batch.run_id, staged.rows)
    raise AssertionError("attempts either return or raise")


def _without_held(lake: Lake, staged: StagedRows, judged: JudgedFile, batch: Batch, *, table: Table) -> int:
    """Take out the rows whose key the table holds; gives the version of the table that was compared."""
    name = batch.target.table
    base = lake.version(name)
    if base is None or not staged.rows:
        return _NO_TABLE if base is None else base
    wanted = key_columns(table)
    types = arrow_schema(batch.target.contract)
    within = {table.key[0]: (judged.order.least, judged.order.greatest)}
    import pyarrow as pa

    stored = lake.read(name, schema=pa.schema([types.field(part) for part in wanted]), version=base, within=within)
    held = held_already(staged.table(lake.engine, [ROW, *wanted]), stored, table, engine=lake.engine)
    if len(held):
        staged.drop(held, column=ROW)
    return base


def receipt_of(judged: JudgedFile, batch: Batch, done: Committed, *, finished_at: datetime) -> Receipt:
    """Write down what became of a batch."""
    mapping = batch.mapping
    return Receipt(
        batch_id=batch.batch_id,
        run_id=done.run_id,
        usecase=batch.target.usecase,
        dataset=batch.target.dataset,
        source=batch.source,
        piece=batch.piece_id,
        content_sha256=batch.content_sha256,
        contract_fingerprint=batch.target.contract.fingerprint,
        read=judged.read,
        accepted=done.accepted,
        quarantined=judged.quarantined,
        duplicates=judged.good - done.accepted,
        reasons=json.dumps(dict(judged.reasons.most_common())),
        absent_columns=json.dumps(judged.absent),
        extra_columns=json.dumps(judged.extra),
        mapping=json.dumps(dict(mapping), sort_keys=True) if mapping else None,
        table_version=done.version,
        started_at=batch.started_at,
        finished_at=finished_at,
    )


def write_receipts(lake: Lake, receipts: Sequence[Receipt]) -> None:
    """Write receipts in one commit, each of them exactly once."""
    for receipt in receipts[:1]:
        lake.append(
            RECEIPTS,
            table_from_rows(Receipt, [receipt.model_dump()]),
            transaction=Transaction(f"receipt:{receipt.batch_id}", 1),
        )
