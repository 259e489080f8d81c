"""A file, judged block by block while it is read: good rows go to a sink, refused ones aside with all their reasons.

Takes an opened file, its contract and an engine. A few blocks are in memory at a time, whatever the file's size: they
are typed, judged and handed on by as many threads as the engine has, while the next ones are being read. Refused rows
wait in a temporary file once there are many.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Final

from trunkline.checks import ROW, BlockJudge, JudgedBlock, Resolution, arrow_schema, resolve_columns
from trunkline.contracts import Contract
from trunkline.engine import Engine
from trunkline.errors import SourceError
from trunkline.ingest.in_order import in_order
from trunkline.ingest.raw import RawFile
from trunkline.ingest.references import References
from trunkline.ingest.refusals import Refusals
from trunkline.ingest.repeats import KeyOrder

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "BLOCK_BYTES",
    "BLOCK_ROWS",
    "Block",
    "FileJudge",
    "JudgedFile",
    "Verdicts",
    "blocks",
    "good_schema",
    "judge",
    "no_rows",
]

BLOCK_BYTES: Final = 16 << 20
"""Texts that a block has at most, more or less."""

BLOCK_ROWS: Final = 1 << 14
"""Rows that are enough for a block: few, so that its columns stay in the processor's caches while they are judged."""

_AHEAD: Final = 2
"""Blocks by thread that are on their way at once: enough to work on while repeats are being looked for."""


@dataclass(frozen=True)
class Block:
    """Some rows of a file.

    Attributes:
        numbers: Their numbers in the file, int64; 1 is the first data row.
        texts: Their raw texts; columns are named by position, because those of sources may be empty, reserved, or
            differ only in case.
    """

    numbers: "pa.Array"
    texts: "pa.Table"


@dataclass(frozen=True)
class Verdicts:
    """What a block became.

    Attributes:
        good: Rows that broke nothing: ``_row`` and the contract's columns.
        order: Whether their keys grow.
        refused: Number, reasons and raw texts of the others; see :class:`~trunkline.ingest.refusals.Refusals`.
        reasons: How many rows failed for each reason.
        read: How many rows the block has.
    """

    good: "pa.Table"
    order: KeyOrder
    refused: "pa.RecordBatch | None"
    reasons: Counter[str]
    read: int


@dataclass
class JudgedFile:
    """A file after the split.

    Attributes:
        header: Column names as the source spells them.
        refusals: The refused rows, malformed lines among them.
        reasons: How many rows failed for each reason.
        read: Rows of the file, malformed ones included.
        good: Rows that broke nothing.
        order: Whether the keys of the good rows grow from row to row, so that none can repeat.
        absent: Nullable fields that the source lacks.
        extra: Source columns that no field claims.
    """

    header: tuple[str, ...]
    absent: tuple[str, ...]
    extra: tuple[str, ...]
    refusals: Refusals
    order: KeyOrder
    reasons: Counter[str] = field(default_factory=Counter)
    read: int = 0
    good: int = 0

    @property
    def quarantined(self) -> int:
        """Rows that broke the contract."""
        return self.read - self.good

    def add(self, verdicts: Verdicts) -> None:
        """Count a block in; blocks come in the order of the file."""
        self.read += verdicts.read
        self.good += verdicts.good.num_rows
        self.reasons.update(verdicts.reasons)
        self.order.follow(verdicts.order)
        if verdicts.refused is not None:
            self.refusals.add(verdicts.refused)


def good_schema(contract: type[Contract]) -> "pa.Schema":
    """Give the schema of good rows: ``_row`` and the contract's columns."""
    import pyarrow as pa

    return arrow_schema(contract).insert(0, pa.field(ROW, pa.int64()))


class FileJudge:
    """Judges the blocks of files with one header. Threads may share it.

    Args:
        contract: What the rows must look like.
        header: Column names as the source spells them.
        resolution: Which of them is which field.
        references: Looks up what rows refer to; None leaves references alone.
        protect: Replaces personal identifiers in a judged block; None where the contract protects none.
    """

    def __init__(
        self,
        contract: type[Contract],
        header: tuple[str, ...],
        resolution: Resolution,
        *,
        references: References | None = None,
        protect: Callable[[JudgedBlock], JudgedBlock] | None = None,
    ) -> None:
        self._references = references
        self._protect = protect
        positions = {column: f"c{position}" for position, column in enumerate(header)}
        source_of = {name: positions[column] for name, column in resolution.source_of.items()}
        self.resolution = resolution
        self._header = header
        self.key = contract.table.key
        others = {name: tuple(map(positions.__getitem__, more)) for name, more in resolution.others.items()}
        self._sources = (*source_of.values(), *chain.from_iterable(others.values()))
        self._blocks = BlockJudge(contract, replace(resolution, source_of=source_of, others=others))

    def typed(self, block: Block) -> "pa.Table":
        """Give the contract's columns of all rows, also of those that break it; null is also what cannot be read."""
        return self._split(block).rows

    def _split(self, block: Block) -> JudgedBlock:
        texts = {name: _whole(block.texts.column(name)) for name in self._sources}
        judged = self._blocks.judge(texts, rows=len(block.numbers))
        return judged if self._protect is None else self._protect(judged)

    def judge(self, block: Block) -> Verdicts:
        """Judge a block."""
        import numpy as np
        import pyarrow as pa

        count, judged = len(block.numbers), self._split(block)
        reported: Counter[str] = Counter()
        if self._references is not None:
            judged, reported = _with_references(judged, self._references)
        rows = judged.rows.add_column(0, ROW, block.numbers)
        if not len(judged.refused):
            return Verdicts(rows, KeyOrder.of(rows, self.key), None, reported, count)
        is_good = np.ones(count, dtype=bool)
        is_good[judged.refused] = False
        good = rows.filter(pa.array(is_good))
        places = pa.array(judged.refused)
        columns = [block.texts.column(place).take(places).to_pylist() for place in range(len(self._header))]
        refused = Refusals.batch(
            block.numbers.take(places),
            [json.dumps(reasons) for reasons in judged.reasons],
            [
                json.dumps(dict(zip(self._header, row, strict=True)), ensure_ascii=False)
                for row in zip(*columns, strict=True)
            ],
        )
        counts = Counter(chain.from_iterable(judged.reasons)) + reported
        return Verdicts(good, KeyOrder.of(good, self.key), refused, counts, count)


def _with_references(judged: JudgedBlock, references: References) -> tuple[JudgedBlock, Counter[str]]:
    """Add the rows whose references are missing to the refused ones, or count those that are only reported."""
    import numpy as np

    reported: Counter[str] = Counter()
    found = dict(zip(judged.refused.tolist(), map(list, judged.reasons), strict=True))
    for reference, places in references.missing(judged.rows).items():
        if reference.missing == "report":
            reported[reference.reason] = len(places)
            continue
        for place in places.tolist():
            found.setdefault(place, []).append(reference.reason)
    refused = sorted(found)
    return JudgedBlock(judged.rows, np.array(refused, dtype=np.int64), [found[place] for place in refused]), reported


def blocks(opened: RawFile, *, enough_rows: int | None = None) -> Iterator[Block]:
    """Read a file in blocks of some megabytes.

    Args:
        opened: The file.
        enough_rows: They complete a block; None: :data:`BLOCK_ROWS`.

    Raises:
        SourceError: It turns out to be truncated or not of its form.
    """
    import pyarrow as pa

    names, enough = [f"c{position}" for position in range(len(opened.header))], enough_rows or BLOCK_ROWS
    held: list[tuple[pa.Array, pa.RecordBatch]] = []
    size = rows = 0

    def joined() -> Block:
        numbers = pa.concat_arrays([part for part, _ in held])
        return Block(numbers, pa.Table.from_batches([part for _, part in held]).rename_columns(names))

    for numbers, batch in opened.numbered():
        held.append((numbers, batch))
        size, rows = size + batch.nbytes, rows + batch.num_rows
        if size >= BLOCK_BYTES or rows >= enough:
            yield joined()
            held.clear()
            size = rows = 0
    if rows:
        yield joined()


def judge(  # noqa: PLR0913 - what one file needs
    opened: RawFile,
    contract: type[Contract],
    *,
    engine: Engine,
    mapping: Mapping[str, str] | None = None,
    optional: tuple[str, ...] = (),
    sink: "Callable[[pa.Table], None] | None" = None,
    texts: "Callable[[Block], None] | None" = None,
    references: References | None = None,
    protect: Callable[[JudgedBlock], JudgedBlock] | None = None,
) -> JudgedFile:
    """Judge a file.

    Args:
        opened: The file.
        contract: What its rows must look like.
        engine: Says how many threads work.
        mapping: Source column to field name, from the user.
        optional: Fields that may be absent or null although they are not nullable.
        sink: Takes the good rows of each block (``_row`` and the contract's columns), in the order of the file.
        texts: Takes each block as it was read, in the order of the file.
        references: Looks up what rows refer to; None leaves references alone.
        protect: Replaces personal identifiers in a judged block, on several threads; None leaves them as they are.

    Returns:
        The judged file; close its refusals.

    Raises:
        SourceError: The file cannot be read whole, or has no rows.
        SchemaError: Its columns do not fit.
    """
    where = str(opened.path)
    resolution = resolve_columns(contract, opened.header, mapping=mapping, where=where, optional=optional)
    file = FileJudge(contract, opened.header, resolution, references=references, protect=protect)
    judged = JudgedFile(opened.header, resolution.absent, resolution.extra, Refusals(), KeyOrder())

    def work(block: Block) -> Verdicts:
        verdicts = file.judge(block)
        # a block waits for its turn with what is still needed of it
        return verdicts if sink is not None else replace(verdicts, good=verdicts.good.select([ROW]))

    def seen() -> Iterator[Block]:
        for block in blocks(opened):
            if texts is not None:
                texts(block)
            yield block

    try:
        with closing(in_order(seen(), work, threads=engine.threads, ahead=_AHEAD * engine.threads)) as found:
            for verdicts in found:
                judged.add(verdicts)
                if sink is not None:
                    sink(verdicts.good)
        judged.refusals.add_lines(opened.malformed)
    except BaseException:
        judged.refusals.close()
        raise
    judged.read += len(opened.malformed)
    judged.reasons.update(line.reason for line in opened.malformed)
    if judged.read == 0:
        judged.refusals.close()
        raise no_rows(opened.path)
    return judged


def no_rows(path: Path) -> SourceError:
    """Say that a file has no rows."""
    return SourceError(
        "the source has a header but no rows", where=str(path), next_step="check its export; nothing was taken"
    )


def _whole(column: "pa.ChunkedArray") -> "pa.Array":
    import pyarrow as pa

    whole = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    return whole if whole.type == pa.string() else whole.cast(pa.string())
