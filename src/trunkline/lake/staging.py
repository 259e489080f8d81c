"""Rows on their way into a table: Parquet files below its folder that no commit names yet.

Takes blocks of rows from any number of threads and writes them while the source is still being read; one commit then
names all files, so that rows of any number are never collected in memory or written twice. Until that commit nobody
sees them. Given up, they are removed; left behind by a killed process, vacuum takes them.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime
from types import TracebackType
from typing import TYPE_CHECKING, Self
from uuid import uuid4

from trunkline.engine import Engine
from trunkline.errors import ConflictError
from trunkline.lake import delta
from trunkline.lake.place import Place

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import pyarrow as pa
    import pyarrow.fs as pafs
    import pyarrow.parquet as pq

_FILE_BYTES = 128 << 20
"""Size of a file's rows in memory: where rows are taken out again, the files that have none of them stay."""

_DICTIONARY_BYTES = 128 << 10
"""Different texts of a row group, beyond which it has them without a dictionary."""

_LONGEST_BOUND = 32
"""Characters of a text that stand in a file's statistics, as other writers of Delta have it."""


@dataclass(frozen=True)
class StagedFile:
    """A file that is complete.

    Attributes:
        path: Below the table's folder.
        size: In bytes.
        rows: How many rows it holds.
        stats: Delta's statistics: number of rows, and least, greatest and null values by column.
    """

    path: str
    size: int
    rows: int
    stats: str


class StagedRows:
    """Rows that may become part of a table; see :meth:`trunkline.lake.Lake.staged`.

    Args:
        place: The table.
        schema: Of all rows to come, in the lake's types.
    """

    def __init__(self, place: Place, schema: pa.Schema) -> None:
        self._place = place
        self.schema = schema
        self.files: list[StagedFile] = []
        self.is_committed = False
        self._guard = threading.Lock()
        self._idle: list[_Writer] = []
        self._all: list[_Writer] = []
        self._store: pafs.FileSystem | None = None

    @property
    def rows(self) -> int:
        """How many rows the complete files hold."""
        return sum(file.rows for file in self.files)

    @property
    def uris(self) -> list[str]:
        """Absolute paths or URLs of the complete files."""
        return [f"{self._place.uri}/{file.path}" for file in self.files]

    def write(self, rows: pa.Table) -> None:
        """Write a block of rows as a row group; several threads may do so at once.

        Args:
            rows: Of the schema; none are fine.

        Raises:
            OSError: The store refused.
        """
        if rows.num_rows == 0:
            return
        with self._guard:
            writer = self._idle.pop() if self._idle else self._opened()
        writer.write(rows)
        if writer.written >= _FILE_BYTES:
            done = writer.close()
            with self._guard:
                self._all.remove(writer)
                self.files.append(done)
        else:
            with self._guard:
                self._idle.append(writer)

    def finish(self) -> None:
        """Complete all files; what is written afterwards goes to new ones."""
        self._idle.clear()
        while self._all:
            self.files.append(self._all[-1].close())
            self._all.pop()

    def drop(self, numbers: pa.Array, *, column: str) -> None:
        """Take rows out again; only the files that hold some of them are written again.

        Args:
            numbers: Values of the rows to drop.
            column: The column that has them.

        Raises:
            OSError: The store refused.
        """
        self.finish()
        before = list(self.files)
        with ThreadPoolExecutor(len(os.sched_getaffinity(0)), thread_name_prefix="staged") as pool:
            is_gone = list(pool.map(lambda file: self._written_without(file, numbers, column), before))
        gone = [file for file, gone in zip(before, is_gone, strict=True) if gone]
        self.finish()
        for file in gone:
            self.files.remove(file)
            self._filesystem().delete_file(file.path)

    def _written_without(self, file: StagedFile, numbers: pa.Array, column: str) -> bool:
        """Write a file's other rows again; gives whether there was need to."""
        import pyarrow.compute as pc
        import pyarrow.parquet as pq

        with self._filesystem().open_input_file(file.path) as stream:
            held = pq.ParquetFile(stream)
            present = held.read(columns=[column]).column(column)
            if not pc.any(pc.is_in(present, value_set=numbers)).as_py():
                return False
            for group in range(held.num_row_groups):
                rows = held.read_row_group(group)
                is_doomed = pc.is_in(rows.column(column), value_set=numbers)
                self.write(rows.filter(pc.invert(is_doomed)).cast(self.schema))
        return True

    def reader(self) -> pa.RecordBatchReader:
        """Read the complete files, a row group at a time."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        def groups() -> Iterator[pa.RecordBatch]:
            for file in self.files:
                with self._filesystem().open_input_file(file.path) as stream:
                    held = pq.ParquetFile(stream)
                    for group in range(held.num_row_groups):
                        yield from held.read_row_group(group).cast(self.schema).to_batches()

        return pa.RecordBatchReader.from_batches(self.schema, groups())

    def table(self, engine: Engine, columns: Sequence[str]) -> ir.Table:
        """Give the complete files as a lazy table of some columns."""
        import pyarrow as pa

        schema = pa.schema([self.schema.field(name) for name in columns])
        if self._place.is_url and not engine.capabilities.reads_object_stores:
            return engine.table(self.reader()).select(*columns)
        return engine.parquet(self.uris, schema)

    def lost(self) -> list[str]:
        """Name the complete files that are gone: whoever erases rows takes what no commit names."""
        import pyarrow.fs as pafs

        found = self._filesystem().get_file_info([file.path for file in self.files])
        return [info.path for info in found if info.type != pafs.FileType.File]

    def __enter__(self) -> Self:
        """Enter a ``with`` block."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Remove the files, unless a commit names them.

        All of them are tried. What cannot be removed is left to vacuum, and is an error only where there is no other.
        """
        if self.is_committed:
            return
        failed: list[Exception] = []
        for writer in self._all:
            try:
                writer.give_up()
            except Exception as refused:  # noqa: BLE001 - the others are given up all the same
                failed.append(refused)
        self._all.clear()
        self._idle.clear()
        for file in self.files:
            try:
                with suppress(FileNotFoundError):  # an erasure was faster
                    self._filesystem().delete_file(file.path)
            except Exception as refused:  # noqa: BLE001 - the others are removed all the same
                failed.append(refused)
        self.files.clear()
        if failed and error is None:
            raise failed[0]

    def _filesystem(self) -> pafs.FileSystem:
        import pyarrow.fs as pafs

        if self._store is None:
            if self._place.is_url:
                self._store = delta.filesystem(self._place.uri, self._place.options)
            else:
                local = pafs.LocalFileSystem()
                local.create_dir(self._place.uri, recursive=True)
                self._store = pafs.SubTreeFileSystem(self._place.uri, local)
        return self._store

    def _opened(self) -> _Writer:
        writer = _Writer(self._filesystem(), self.schema)
        self._all.append(writer)
        return writer


class _Writer:
    """One file that is being written, by one thread at a time."""

    def __init__(self, store: pafs.FileSystem, schema: pa.Schema) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        self.path = f"part-{uuid4()}.parquet"
        self.written = 0
        self._schema = schema
        self._footers: list[pq.FileMetaData] = []
        self._store = store
        # complete files alone have their name: whoever looks through all Parquet files must not meet half a one
        self._unfinished = f"{self.path}.unfinished"
        self._sink = store.open_output_stream(self._unfinished)
        words = [field.name for field in schema if pa.types.is_string(field.type)]
        # no dictionaries for numbers: they hardly ever pay there and double the time of a write; nor for texts that
        # hardly repeat. zstd at its first level takes half the time of its third, which compaction applies later;
        # Snappy for floating-point numbers would take a quarter of that, and leave readings of sensors 40 % larger
        self._parquet = pq.ParquetWriter(
            self._sink,
            schema,
            compression="zstd",
            compression_level=1,
            use_dictionary=words,
            dictionary_pagesize_limit=_DICTIONARY_BYTES,
            column_encoding={field.name: "DELTA_BINARY_PACKED" for field in schema if delta.is_stepwise(field.type)},
            metadata_collector=self._footers,
            store_schema=False,
        )

    def write(self, rows: pa.Table) -> None:
        self._parquet.write_table(rows, row_group_size=rows.num_rows)
        self.written += rows.nbytes

    def close(self) -> StagedFile:
        self._parquet.close()
        size = self._sink.tell()
        self._sink.close()
        try:
            self._store.move(self._unfinished, self.path)
        except FileNotFoundError:
            raise ConflictError("an erasure took rows that were on their way", where=self.path) from None
        (footer,) = self._footers
        return StagedFile(self.path, size, footer.num_rows, _stats(footer, self._schema))

    def give_up(self) -> None:
        with ExitStack() as last:  # each of them happens, whatever the ones before it raise
            last.callback(self._remove)
            last.callback(self._sink.close)
            self._parquet.close()

    def _remove(self) -> None:
        with suppress(FileNotFoundError):  # an erasure was faster
            self._store.delete_file(self._unfinished)


def _stats(footer: pq.FileMetaData, schema: pa.Schema) -> str:
    """Sum up the statistics of a file's row groups as a Delta log has them."""
    least: dict[str, object] = {}
    greatest: dict[str, object] = {}
    nulls: dict[str, int] = {}
    for place, field in enumerate(schema):
        groups = [footer.row_group(group).column(place) for group in range(footer.num_row_groups)]
        found = [group.statistics for group in groups]
        if any(stats is None for stats in found) or not found:
            continue
        nulls[field.name] = sum(stats.null_count or 0 for stats in found)
        known = [stats for stats in found if stats.has_min_max]
        if len(known) < sum(stats.num_values > 0 for stats in found):
            continue  # a row group has values without bounds
        ends = _bounds([stats.min for stats in known], [stats.max for stats in known])
        if ends is not None:
            least[field.name], greatest[field.name] = ends
    said: Mapping[str, object] = {
        "numRecords": footer.num_rows,
        "minValues": least,
        "maxValues": greatest,
        "nullCount": nulls,
    }
    return json.dumps(said)


def _bounds(least: list[object], greatest: list[object]) -> tuple[object, object] | None:
    """Least and greatest value as JSON has them; None where there are none, or they cannot be said."""
    if not least or isinstance(least[0], bool | bytes):
        return None
    low, high = min(least), max(greatest)  # type: ignore[type-var]  # all are of one column's type
    if isinstance(low, str) and isinstance(high, str):
        # a cut text still is a lower bound, but no upper one
        return (low[:_LONGEST_BOUND], high) if len(high) <= _LONGEST_BOUND else None
    if isinstance(low, datetime) and isinstance(high, datetime):
        return _instant(low), _instant(high)
    if isinstance(low, date) and isinstance(high, date):
        return low.isoformat(), high.isoformat()
    return low, high


def _instant(moment: datetime) -> str:
    return f"{moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='microseconds')}Z"
