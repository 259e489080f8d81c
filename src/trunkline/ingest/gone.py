"""Keys that are gone: those that came from a source before, and that no part of a newer whole of it holds.

A source that tells all its rows at times (:class:`~trunkline.ingest.sources.Pulled`) ends them by a piece that says
what becomes of the keys that it did not tell. The parts are read once more for their keys, refused rows and repeats
among them, and compared with the current rows of the table that came from the source; each key that is left over gets
one row which says that it is gone. Keys wait in files and the engine spills, so memory stays bounded. The rows are one
batch with a receipt, exactly once by their transaction: killed between any two steps, the same call completes it.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from trunkline.checks import ROW, Resolution, arrow_schema, claimed_columns, resolve_columns
from trunkline.contracts.kinds import Scalar
from trunkline.contracts.records import RECEIPTS, Receipt
from trunkline.errors import ConflictError, SourceError
from trunkline.ingest.batch import Ingested
from trunkline.ingest.committing import Committed, lake_rows, lake_rows_schema, rows_committed
from trunkline.ingest.files import DEFAULT_LIMITS, open_file
from trunkline.ingest.identity import Batch, Target, batch_of
from trunkline.ingest.in_order import in_order
from trunkline.ingest.judged import FileJudge, blocks
from trunkline.ingest.landing import REPLAYS, Landed, Landing
from trunkline.ingest.privacy import protection
from trunkline.ingest.receipts import known_receipts, receipt_of, write_receipts
from trunkline.lake import Lake, attempts
from trunkline.lake.versions import current_rows
from trunkline.settings.drills import point
from trunkline.settings.ingest import IngestSettings

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import pyarrow as pa

__all__ = ["CRASH_POINTS", "ingest_end"]

CRASH_POINTS: Final = ("gone.after_keys", "gone.after_rows", "gone.after_receipt")
"""Points at which a drill kills the end of a whole."""

_ROWS: Final = 131_072


def ingest_end(  # noqa: PLR0913 - what one batch needs
    end: Landed,
    target: Target,
    *,
    landing: Landing,
    lake: Lake,
    run_id: str,
    clock: Callable[[], datetime],
    mapping: Mapping[str, str] | None = None,
    instead: str | None = None,
    limits: IngestSettings = DEFAULT_LIMITS,
) -> Ingested:
    """Write down which keys are gone.

    There are none where nothing came before the whole, where the contract has no key or no flag that says so, and
    where a later whole has ended.

    Args:
        end: The piece that ends a whole.
        target: Where the rows of its source go.
        landing: Holds the parts of the whole.
        lake: The lake, with its engine.
        run_id: The run that asks for it.
        clock: Gives the current instant.
        mapping: Source column to field name, from the user.
        instead: The batch whose place this one takes.
        limits: How long, wide and large a part may be.

    Returns:
        The receipt; its rows are those that were written.

    Raises:
        SourceError: A part cannot be read, or its raw copy is gone; nothing is written.
        SchemaError: The columns of a part do not fit; nothing is written.
    """
    batch = batch_of(Path(), target, run_id=run_id, clock=clock, mapping=mapping, piece=end, instead=instead)
    for attempt in attempts(lake.settings.commit_attempts):
        with attempt:  # an erasure may take staged rows away: then they are found once more
            earlier = known_receipts(lake, [batch.batch_id]).get(batch.batch_id)
            if earlier is not None:
                return Ingested(earlier, known=True)
            done = rows_committed(lake, target.table, batch.rows_transaction)
            if done is None:
                done = _commit(end, batch, landing=landing, lake=lake, limits=limits)
            point("gone.after_rows")
            receipt = receipt_of(
                batch,
                run_id=done.run_id,
                version=done.version,
                read=done.accepted,
                good=done.accepted,
                accepted=done.accepted,
                reasons=Counter(),
                absent=(),
                extra=(),
                finished_at=clock(),
            )
            write_receipts(lake, [(batch, receipt)])
            point("gone.after_receipt")
            return Ingested(receipt, known=False)
    raise AssertionError("attempts either return or raise")


def _commit(end: Landed, batch: Batch, *, landing: Landing, lake: Lake, limits: IngestSettings) -> Committed:
    import pyarrow as pa

    contract, table = batch.target.contract, batch.target.table
    nothing = Committed(None, batch.run_id, 0)
    pieces = landing.pieces(end.source)
    later = [piece for piece in pieces if piece.number > end.number]
    parts = [piece for piece in pieces if piece.whole == end.whole and piece.number < end.number]
    is_first = min((piece.number for piece in parts), default=end.number) == 1
    if is_first or any(piece.ends for piece in later) or not all(map(lake.exists, (table, RECEIPTS))):
        return nothing
    said = _said(end, batch, landing=landing, lake=lake, limits=limits)
    if not contract.table.key or contract.table.deleted is None or said.get(contract.table.deleted) is not True:
        return nothing
    types, key = arrow_schema(contract), list(contract.table.key)
    with (
        lake.staged(table, pa.schema([types.field(name) for name in key])) as held,
        lake.staged(table, lake_rows_schema(contract)) as gone,
    ):
        try:
            for part in parts:
                for rows in _typed(part, batch, landing=landing, lake=lake, limits=limits):
                    held.write(rows.select(key).drop_null())
            held.finish()
            point("gone.after_keys")
            read = {name: lake.read(name, schema=schema) for name, schema in _schemas(batch.target).items()}
            told = held.table(lake.engine, key)
            left = _left(read[table], read[RECEIPTS], told, end, batch, without=[piece.piece_id for piece in later])
            order = contract.table.versions_by
            kept = [*key, *([order] if order is not None and order not in {*key, *said} else [])]
            count = 0
            for found in lake.engine.batches(left.select(*kept), rows=_ROWS):
                gone.write(lake_rows(_rows(found, said, types, first=count), batch))
                count += found.num_rows
            gone.finish()
            if not count:
                return nothing
            noted = {"batch_id": batch.batch_id, "run_id": batch.run_id, "accepted": str(count)}
            version = lake.append_staged(table, gone, transaction=batch.rows_transaction, metadata=noted)
        except Exception as error:
            if held.lost() or gone.lost():
                raise ConflictError("an erasure took rows that were on their way", where=f"table {table}") from error
            raise
    return Committed(version, batch.run_id, count)


def _schemas(target: Target) -> "dict[str, pa.Schema]":
    return {target.table: lake_rows_schema(target.contract), RECEIPTS: arrow_schema(Receipt)}


def _left(
    stored: "ir.Table", receipts: "ir.Table", told: "ir.Table", end: Landed, batch: Batch, *, without: Sequence[str]
) -> "ir.Table":
    """Give the current rows that came from the source, and whose key is not told.

    Args:
        stored: The table's rows.
        receipts: All receipts.
        told: The keys of the whole.
        end: The end of the whole.
        batch: What is written for it.
        without: Pieces of the source that came later: what they brought is newer than the whole.
    """
    target = batch.target
    if batch.instead is not None:
        stored = stored.filter(stored["_batch_id"] != batch.instead)
    here = receipts.filter(receipts["usecase"] == target.usecase, receipts["dataset"] == target.dataset)
    own = here.filter(here["piece"].startswith(f"{end.source}/"))
    if without:
        own = own.filter(own["piece"].notin(list(without)))
    own = own.select("batch_id")
    again = here.mutate(of=here["piece"].re_extract(f"^{REPLAYS}([0-9a-f]+)/", 1))
    replayed = again.semi_join(own, [again["of"] == own["batch_id"]]).select("batch_id")
    batches = own.union(replayed, distinct=True)
    current = current_rows(stored, target.contract, table=target.table)
    came = current.semi_join(batches, [current["_batch_id"] == batches["batch_id"]])
    return came.anti_join(told, list(target.contract.table.key))


def _rows(found: "pa.RecordBatch", said: Mapping[str, Scalar | None], types: "pa.Schema", *, first: int) -> "pa.Table":
    """Make rows (``_row`` and the contract's columns) that say that keys are gone."""
    import numpy as np
    import pyarrow as pa

    count = found.num_rows
    columns = [
        found.column(field.name).cast(field.type)
        if field.name in found.schema.names
        else pa.repeat(pa.scalar(said.get(field.name), field.type), count)
        for field in types
    ]
    numbers = pa.array(np.arange(first + 1, first + count + 1, dtype=np.int64))
    return pa.Table.from_arrays([numbers, *columns], names=[ROW, *types.names])


def _said(
    end: Landed, batch: Batch, *, landing: Landing, lake: Lake, limits: IngestSettings
) -> "dict[str, Scalar | None]":
    """Read what the end says of every key that is gone: values by field, without the fields that it does not name."""
    contract = batch.target.contract
    key = contract.table.key
    for rows in _typed(end, batch, landing=landing, lake=lake, limits=limits):
        return {name: value for name, value in rows.to_pylist()[0].items() if name not in key}
    return {}


def _typed(
    piece: Landed, batch: Batch, *, landing: Landing, lake: Lake, limits: IngestSettings
) -> "Iterator[pa.Table]":
    """Read the rows of a piece as the contract types them, refused ones too; of an end the fields that it names."""
    if piece.path is None:
        raise SourceError(
            "the raw copy of a part is gone, so that nobody can tell which keys the source still holds",
            where=f"piece {piece.piece_id}",
            next_step="take a new snapshot: raise `snapshot` of the source by one",
        )
    contract = batch.target.contract
    with landing.lent(piece) as path:
        opened = open_file(path, limits=piece.dialect_of(piece.limits_of(limits)))
        if piece.ends:
            claims, extra = claimed_columns(contract, opened.header, mapping=batch.mapping)
            resolution = Resolution({name: columns[0] for name, columns in claims.items()}, (), tuple(extra))
        else:
            resolution = resolve_columns(contract, opened.header, mapping=batch.mapping, where=piece.origin)
        judge = FileJudge(contract, opened.header, resolution, protect=protection(contract, lake=lake))
        with closing(in_order(blocks(opened), judge.typed, threads=lake.engine.threads)) as found:
            for rows in found:
                yield rows.select(list(resolution.source_of)) if piece.ends else rows
