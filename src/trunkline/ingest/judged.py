"""A file in the engine: its raw texts, its rows typed and judged once, and which of the good rows repeat a key.

Columns of the raw table are named by position, because those of sources may be empty, reserved, or differ only in case.
The tables live in the engine until the ``with`` block ends; a file larger than memory spills to the engine's folder.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

from trunkline.checks import ROW, Split, resolve_columns, split_expression, unfused
from trunkline.contracts import Contract
from trunkline.engine import Engine
from trunkline.errors import SourceError
from trunkline.ingest.files import open_file
from trunkline.ingest.raw import MalformedLine, RawFile

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import pyarrow as pa

__all__ = ["MALFORMED", "JudgedFile", "Refused", "judged_file"]

MALFORMED: Final = "line.malformed"
"""The reason of a line that is no row."""

_REFUSED_ROWS: Final = 20_000
_SMALL_BYTES: Final = 64 << 20
"""Texts of smaller files stay in Arrow memory; larger ones go to the engine, which can spill them to disk."""

_numbers = count()


@dataclass(frozen=True)
class Refused:
    """One refused row.

    Attributes:
        row_number: 1 is the first data row.
        reasons: All of them.
        row: The raw texts under the source's names; of a malformed line, the ``line``.
    """

    row_number: int
    reasons: list[str]
    row: dict[str, str | None]


@dataclass(frozen=True)
class JudgedFile:
    """A file after the split.

    Attributes:
        engine: Holds the tables.
        header: Column names as the source spells them.
        raw: Its texts, columns by position, and ``_row``.
        split: Typed columns, ``_row`` and masks, materialised.
        repeated: Rows (``_row``) whose key another good row of the file has; None where there are none.
        malformed: Lines that are no rows.
        read: Rows of the file, malformed ones included.
        accepted: Good rows that do not repeat a key.
        duplicates: Good rows that do.
        absent: Nullable fields that the source lacks.
        extra: Source columns that no field claims.
    """

    engine: Engine
    header: tuple[str, ...]
    raw: "ir.Table"
    split: Split
    repeated: "ir.Table | None"
    malformed: tuple[MalformedLine, ...]
    read: int
    accepted: int
    duplicates: int
    absent: tuple[str, ...]
    extra: tuple[str, ...]

    @property
    def quarantined(self) -> int:
        """Rows that broke the contract."""
        return self.read - self.accepted - self.duplicates

    def good(self) -> "ir.Table":
        """Rows that broke nothing and repeat no key: ``_row`` and the contract's columns, and the masks."""
        good = self.split.table.filter(self.split.good())
        return good if self.repeated is None else good.anti_join(self.repeated, ROW)

    def with_repeats(self) -> "ir.Table":
        """Rows that broke nothing, whether or not they repeat a key."""
        return self.split.table.filter(self.split.good())

    def texts(self) -> "pa.Table":
        """Give the raw texts under the source's names, with ``_row``, in the order of the file."""
        return self.engine.arrow(self.raw.order_by(ROW)).rename_columns([ROW, *self.header])

    def refused(self) -> Iterator[list[Refused]]:
        """Give the refused rows in batches, malformed lines first."""
        for start in range(0, len(self.malformed), _REFUSED_ROWS):
            lines = self.malformed[start : start + _REFUSED_ROWS]
            yield [Refused(line.row_number, [MALFORMED], {"line": line.text}) for line in lines]
        if self.quarantined == len(self.malformed):
            return
        masks = self.split.table.filter(~self.split.good()).select(ROW, *self.split.masks)
        bad = self.raw.join(masks, ROW).order_by(ROW)
        for batch in self.engine.batches(bad, rows=_REFUSED_ROWS):
            columns = batch.to_pydict()
            texts = [columns[name] for name in _positions(self.header).values()]
            found = zip(
                columns[ROW], zip(*(columns[mask] for mask in self.split.masks), strict=True), *texts, strict=True
            )
            yield [
                Refused(number, self.split.decode(bits), dict(zip(self.header, row, strict=True)))
                for number, bits, *row in found
            ]

    def reasons(self) -> Counter[str]:
        """Count how many rows failed for each reason."""
        counts: Counter[str] = Counter()
        for batch in self.refused():
            for row in batch:
                counts.update(row.reasons)
        return counts


@contextmanager
def judged_file(
    path: Path,
    contract: type[Contract],
    *,
    engine: Engine,
    mapping: Mapping[str, str] | None = None,
    optional: tuple[str, ...] = (),
) -> Iterator[JudgedFile]:
    """Read a file into the engine and judge it.

    Args:
        path: A file of a known form.
        contract: What its rows must look like.
        engine: Computes the split and holds its tables.
        mapping: Source column to field name, from the user.
        optional: Fields that may be absent or null although they are not nullable.

    Yields:
        The judged file.

    Raises:
        SourceError: The file cannot be read whole, or has no rows.
        SchemaError: Its columns do not fit.
    """
    opened = open_file(path)
    resolution = resolve_columns(contract, opened.header, mapping=mapping, where=str(path), optional=optional)
    raw, kept = _loaded(engine, opened)
    positions = _positions(opened.header)
    source_of = {name: positions[column] for name, column in resolution.source_of.items()}
    expression = split_expression(contract, raw, replace(resolution, source_of=source_of))
    connection, name = engine.connection, f"judged_{next(_numbers)}"
    try:
        with unfused():
            table = connection.create_table(name, expression.table)
        split = replace(expression, table=table)
        counted = table.aggregate(read=table.count(), good=split.good().sum())
        (counts,) = engine.arrow(counted).to_pylist()
        read, good = int(counts["read"]) + len(opened.malformed), int(counts["good"] or 0)
        if read == 0:
            raise SourceError(
                "the source has a header but no rows", where=str(path), next_step="check its export; nothing was taken"
            )
        repeated = _repeated(engine, split, contract)
        duplicates = 0 if repeated is None else repeated.num_rows
        yield JudgedFile(
            engine,
            opened.header,
            raw,
            split,
            repeated=None if repeated is None else engine.table(repeated),
            malformed=tuple(opened.malformed),
            read=read,
            accepted=good - duplicates,
            duplicates=duplicates,
            absent=resolution.absent,
            extra=resolution.extra,
        )
    finally:
        # both hold whole files; the raw one would otherwise stay until its expression is collected
        connection.drop_table(name, force=True)
        if kept is not None:
            connection.drop_table(kept, force=True)


def _positions(header: Sequence[str]) -> dict[str, str]:
    return {column: f"c{position}" for position, column in enumerate(header)}


def _loaded(engine: Engine, opened: RawFile) -> "tuple[ir.Table, str | None]":
    """Bring a file into the engine as text, with the numbers of its rows.

    Returns:
        The table, and the name under which the engine keeps a copy; None where it keeps none.
    """
    import pyarrow as pa

    names = _positions(opened.header).values()
    schema = pa.schema([pa.field(ROW, pa.int64()), *(pa.field(name, pa.string()) for name in names)])
    refused: list[SourceError] = []

    def numbered() -> "Iterator[pa.RecordBatch]":
        try:
            for numbers, batch in opened.numbered():
                yield pa.RecordBatch.from_arrays([numbers, *batch.columns], schema=schema)
        except SourceError as error:
            refused.append(error)  # on its way through the C stream it would lose its class
            raise

    try:
        batches = numbered()
        first: list[pa.RecordBatch] = []
        while sum(batch.nbytes for batch in first) < _SMALL_BYTES:
            batch = next(batches, None)
            if batch is None:
                # used where it is, and judged batch by batch on all threads; the engine's own tables are cut coarsely
                return engine.table(pa.Table.from_batches(first, schema)), None
            first.append(batch)
        loaded = engine.table(pa.RecordBatchReader.from_batches(schema, chain(first, batches)))
        return loaded, loaded.get_name()
    except Exception:
        if refused:
            raise refused[0] from None
        raise


def _repeated(engine: Engine, split: Split, contract: type[Contract]) -> "pa.Table | None":
    """Find the good rows that are not the one to keep of their key; few files have any, so keys are counted first."""
    import ibis

    key, event_at = contract.table.key, contract.table.event_at
    if not key:
        return None
    parts = [ROW, *key, *([event_at] if event_at and event_at not in key else [])]
    good = split.table.filter(split.good()).select(*parts)
    keys = good.group_by(list(key)).aggregate(_rows=good.count())
    again = good.semi_join(keys.filter(keys["_rows"] > 1), list(key))
    is_last = contract.table.keep == "last"
    order = [again[name] for name in ([event_at] if event_at else []) + [ROW]]
    ahead = [cast("ir.Value", column.desc() if is_last else column) for column in order]
    ranked = again.select(
        ROW, _rank=ibis.row_number().over(ibis.window(group_by=[again[name] for name in key], order_by=ahead))
    )
    found = engine.arrow(ranked.filter(ranked["_rank"] > 0).select(ROW))
    return found if found.num_rows else None
