"""What a judged batch leaves in the lake: its refused rows, its rows, its receipt; each of them exactly once.

Takes staged rows and refusals, and commits them under transactions with the batch's content-derived id. What a receipt
says of rows that an earlier, interrupted call committed is read off that commit.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from trunkline.checks import ROW, arrow_schema
from trunkline.contracts import Contract
from trunkline.contracts.records import QUARANTINE, QuarantinedRow
from trunkline.errors import ConflictError
from trunkline.ingest.identity import Batch
from trunkline.ingest.privacy import sealed
from trunkline.ingest.refusals import Refusals
from trunkline.ingest.repeats import KeyOrder, held_already, is_compared, key_columns, repeated
from trunkline.lake import Lake, StagedRows, Transaction

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

__all__ = [
    "Committed",
    "Withheld",
    "append_refused",
    "commit_rows",
    "lake_rows",
    "lake_rows_of",
    "lake_rows_schema",
    "quarantined_rows",
    "rows_committed",
    "withheld_rows",
    "write_quarantine",
]


_ATTEMPTS: Final = 20
_NO_TABLE: Final = -1
_STREAMED_ROWS: Final = 131_072


@dataclass(frozen=True)
class Committed:
    """What a commit of rows holds.

    Attributes:
        version: The table's version; None where no row was to be committed.
        run_id: The run that committed them.
        accepted: How many.
        reported: How many of the good rows name what was not there, by reason, for references that are only reported;
            None where the log does not say so any more.
    """

    version: int | None
    run_id: str
    accepted: int
    reported: Mapping[str, int] | None = None


@dataclass(frozen=True)
class Withheld:
    """What an earlier, interrupted call put into the quarantine because of references alone, or among other reasons.

    What rows refer to changes, all else that they are judged by does not. So the split of that call is this, on top of
    a judgement without references.

    Attributes:
        numbers: Rows that broke nothing else: int64, ascending.
        reasons: How many rows failed for each reference.
    """

    numbers: "npt.NDArray[np.int64]"
    reasons: Counter[str]


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


def lake_rows_of(good: "pa.Table", files: "npt.NDArray[np.int64]", batches: Mapping[int, Batch]) -> "pa.Table":
    """Put good rows of several batches of one target and run into the form that the lake has them in.

    Args:
        good: ``_row`` and the contract's columns.
        files: Which of the batches each row is of.
        batches: The batches; at least one.
    """
    import numpy as np
    import pyarrow as pa

    any_batch = next(iter(batches.values()))
    rows = lake_rows(good, any_batch)
    held = np.unique(files)
    places = pa.array(np.searchsorted(held, files))
    for name, values in (
        ("_batch_id", pa.array([batches[place].batch_id for place in held.tolist()], pa.string())),
        (
            "_ingested_at",
            pa.array([batches[place].started_at for place in held.tolist()], pa.timestamp("us", tz="UTC")),
        ),
    ):
        rows = rows.set_column(rows.schema.get_field_index(name), rows.schema.field(name), values.take(places))
    return rows


def write_quarantine(lake: Lake, refusals: Refusals, batch: Batch) -> None:
    """Write the refused rows of a batch, unless an earlier, interrupted call did."""
    if refusals.rows:
        rows = (quarantined_rows(part, batch) for part in refusals.batches())
        append_refused(lake, rows, [batch.quarantine_transaction], contract=batch.target.contract)


def append_refused(
    lake: Lake, rows: "Iterable[pa.Table]", transactions: Sequence[Transaction], *, contract: type[Contract]
) -> None:
    """Append rows to the quarantine in one commit, encrypted where their contract protects personal data.

    Raises:
        ConflictError: Another process wrote some of them meanwhile.
    """
    import pyarrow as pa

    schema = arrow_schema(QuarantinedRow)
    parts = sealed(_parts(rows), contract, lake=lake)
    lake.append(QUARANTINE, pa.RecordBatchReader.from_batches(schema, parts), transaction=transactions)


def _parts(tables: "Iterable[pa.Table]") -> "Iterator[pa.RecordBatch]":
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
            reported = {str(reason): int(rows) for reason, rows in json.loads(noted.get("reported", "{}")).items()}
            return Committed(commit.version, noted["run_id"], int(noted["accepted"]), reported)
    # its commit was cleaned from the log: the rows themselves say it
    rows = lake.arrow(table, columns=["_run_id"], where=lambda rows: rows["_batch_id"] == batch_id)
    run_ids = rows.column("_run_id").unique().to_pylist()
    return Committed(lake.version(table), str(run_ids[0]) if run_ids else "", rows.num_rows)


def withheld_rows(lake: Lake, batch: Batch) -> Withheld:
    """Look up which rows of a batch an earlier call put into the quarantine because of references.

    Later states of a row, edited or replayed meanwhile, do not count: the first one says what that call found.
    """
    import numpy as np

    own = {reference.reason for reference in batch.target.contract.table.references}
    if not own or not lake.exists(QUARANTINE):
        return Withheld(np.empty(0, dtype=np.int64), Counter())

    def first(table: "ir.Table") -> "ir.Table":
        rows = table.filter(table["batch_id"] == batch.batch_id)
        return rows.group_by("row_number").aggregate(reasons=rows["reasons"].argmin(rows["changed_at"]))

    reasons: Counter[str] = Counter()
    numbers: list[npt.NDArray[np.int64]] = [np.empty(0, dtype=np.int64)]
    table = lake.read(QUARANTINE)
    for rows in lake.engine.batches(first(table), rows=_STREAMED_ROWS):
        encoded = rows.column("reasons").dictionary_encode()
        found = [set(json.loads(text)) for text in encoded.dictionary.to_pylist()]
        places = encoded.indices.to_numpy()
        counts = np.bincount(places, minlength=len(found)).tolist()
        for those, count in zip(found, counts, strict=True):
            reasons.update(dict.fromkeys(those & own, count))
        is_alone = np.array([those <= own for those in found], dtype=bool)
        numbers.append(rows.column("row_number").to_numpy()[is_alone[places]])
    return Withheld(np.sort(np.concatenate(numbers)), reasons)


def commit_rows(
    lake: Lake,
    staged: StagedRows,
    batch: Batch,
    *,
    order: KeyOrder,
    may_repeat: bool,
    reported: Mapping[str, int] | None = None,
) -> Committed:
    """Leave out what repeats a key, and commit the rest.

    Args:
        lake: The lake.
        staged: All good rows of the batch.
        batch: Whose rows they are.
        order: Where the keys of the rows lie.
        may_repeat: Whether some of them may repeat a key of others.
        reported: Rows that name what is not there, by reason; noted in the commit.

    Returns:
        What was committed.

    Raises:
        ConflictError: Others changed the table each time its keys had been compared.
    """
    import pyarrow as pa

    staged.finish()
    table = batch.target.contract.table
    columns = [ROW, *key_columns(table)]
    again = repeated(staged.table(lake.engine, columns), table, engine=lake.engine) if may_repeat else None
    # whether the table holds a key does not depend on the batch's other rows: all that goes is taken out at once
    doomed = [] if again is None else [again]
    for attempt in range(_ATTEMPTS):
        base = None
        if is_compared(table):
            base, held = _held(lake, staged, batch, order=order)
            doomed += [held] if held is not None and len(held) else []
        if doomed:
            staged.drop(pa.concat_arrays(doomed), column=ROW)
            doomed = []
        if not staged.rows:
            return Committed(None, batch.run_id, 0, reported or {})
        noted = {"batch_id": batch.batch_id, "run_id": batch.run_id, "accepted": str(staged.rows)}
        if reported:
            noted["reported"] = json.dumps(dict(reported))
        try:
            version = lake.append_staged(
                batch.target.table, staged, transaction=batch.rows_transaction, metadata=noted, base=base
            )
        except ConflictError:
            if base is None or attempt == _ATTEMPTS - 1:
                raise
        else:
            return Committed(version, batch.run_id, staged.rows, reported or {})
    raise AssertionError("attempts either return or raise")


def _held(lake: Lake, staged: StagedRows, batch: Batch, *, order: KeyOrder) -> "tuple[int, pa.Array | None]":
    """Give the version of the table that was compared, and the rows whose key it holds.

    Rows of the batch whose place this one takes do not count: they leave the table right after.
    """
    import pyarrow as pa

    name, table = batch.target.table, batch.target.contract.table
    base = lake.version(name)
    if base is None or not staged.rows:
        return (_NO_TABLE if base is None else base), None
    wanted = key_columns(table)
    types = arrow_schema(batch.target.contract)
    within = {table.key[0]: (order.least, order.greatest)}
    schema = pa.schema([*(types.field(part) for part in wanted), pa.field("_batch_id", pa.string())])
    stored = lake.read(name, schema=schema, version=base, within=within)
    if batch.instead is not None:
        stored = stored.filter(stored["_batch_id"] != batch.instead)
    return base, held_already(staged.table(lake.engine, [ROW, *wanted]), stored, table, engine=lake.engine)
