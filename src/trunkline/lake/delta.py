"""The door to Delta Lake: the only module that imports ``deltalake``.

Opens snapshots, refuses tables that this reader would misread, knows storage and files, and guards against use after a
fork, where the Rust runtime inside ``deltalake`` panics. Nothing is imported until a table is touched.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from trunkline.errors import AuthorError, ConflictError, SchemaError, UnavailableError, UnknownNameError

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.dataset as ds
    import pyarrow.fs as pafs
    from deltalake import CommitProperties, DeltaTable, WriterProperties

    from trunkline.lake.staging import StagedFile

HANDLED_READER_FEATURES: frozenset[str] = frozenset()
"""Reader features of the Delta protocol that the readers here understand; all others are refused by name."""

_NEWEST_READER_VERSION = 3
_OPENINGS = 10
"""So often a log is opened that is cut under the reader: each cut leaves a newer checkpoint for the next look."""

_STORAGE_PREFIXES = ("AWS_", "AZURE_", "GOOGLE_", "S3_")


Bounds = tuple[object, object]
"""Least and greatest value, both inclusive; None is no bound."""


class _Runtime:
    """Whether the Rust runtime of ``deltalake`` was started in this process, or in one that it was forked from."""

    is_started = False
    is_broken = False

    def note_fork(self) -> None:
        self.is_broken = self.is_started


_runtime = _Runtime()


def guard() -> None:
    """Note that this process touches Delta tables, and refuse when its parent did so before a fork.

    Raises:
        AuthorError: This process was forked from one that had touched the lake.
    """
    if _runtime.is_broken:
        raise AuthorError(
            "this process was forked from one that had used the lake, and Delta tables do not survive a fork",
            where=f"process {os.getpid()}",
            allowed=('multiprocessing.get_context("spawn")',),
            next_step="start worker processes by spawn, and open the lake inside them",
        )
    if not _runtime.is_started:
        _runtime.is_started = True
        os.register_at_fork(after_in_child=_runtime.note_fork)


def is_url(root: str) -> bool:
    """Say whether a root is the URL of a store rather than a local folder.

    >>> is_url("s3://bucket/lake"), is_url("/var/lake")
    (True, False)
    """
    return len(urlsplit(root).scheme) > 1


def storage_options(root: str) -> dict[str, str]:
    """Options for an object store, from the environment variables that its own tools read; none for a folder."""
    if not is_url(root):
        return {}
    return {name: value for name, value in os.environ.items() if name.startswith(_STORAGE_PREFIXES)}


def open_table(uri: str, *, name: str, options: Mapping[str, str], version: int | None = None) -> DeltaTable | None:
    """Open a snapshot of a table.

    Args:
        uri: Folder or URL of the table.
        name: The table's name, for messages.
        options: From :func:`storage_options`.
        version: Which version; None is the newest.

    Returns:
        The snapshot, or None when there is no table.

    Raises:
        AuthorError: Used after a fork.
        UnknownNameError: The table has no such version, or no longer.
        SchemaError: The table needs a reader feature that is not handled, or has directory partitions.
        UnavailableError: The store did not answer, or the log cannot be read.
    """
    guard()
    from deltalake import DeltaTable
    from deltalake.exceptions import DeltaError, TableNotFoundError

    for attempt in range(1, _OPENINGS + 1):
        try:
            table = DeltaTable(uri, version=version, storage_options=dict(options) or None)
        except TableNotFoundError:
            if version is None:
                return None
            raise _no_version(name, version) from None
        except (DeltaError, OSError) as error:
            if version is not None and "LogSegment" in str(error):
                raise _no_version(name, version) from None
            if attempt < _OPENINGS and "not found" in str(error):
                continue
            raise UnavailableError(
                f"the log of a table cannot be read ({type(error).__name__})", where=f"table {name}"
            ) from error
        else:
            break
    _refuse_unknown_features(table, name)
    return table


def _no_version(name: str, version: int) -> UnknownNameError:
    return UnknownNameError(
        f"the table has no version {version}, or no longer",
        where=f"table {name}",
        next_step="`Lake.history` lists the versions that are left",
    )


def _refuse_unknown_features(table: DeltaTable, name: str) -> None:
    protocol = table.protocol()
    metadata = table.metadata()
    unknown = set(protocol.reader_features or ()) - HANDLED_READER_FEATURES
    if metadata.configuration.get("delta.columnMapping.mode", "none") != "none":
        unknown.add("columnMapping")
    if protocol.min_reader_version > _NEWEST_READER_VERSION:
        unknown.add(f"reader version {protocol.min_reader_version}")
    if metadata.partition_columns:
        unknown.add("directory partitions")
    if unknown:
        raise SchemaError(
            f"the table needs what this reader does not handle: {', '.join(sorted(unknown))}",
            where=f"table {name}",
            allowed=("tables of reader version 1 without column mapping, deletion vectors and partitions",),
            next_step="rewrite the table without them, e.g. REORG TABLE ... APPLY (PURGE) in Spark",
        )


def schema(table: DeltaTable) -> pa.Schema:
    """The schema in the table's log; instants are ``timestamp[us, UTC]``."""
    import pyarrow as pa

    return pa.schema(table.schema().to_arrow())


def files(table: DeltaTable, *, within: Mapping[str, Bounds] | None = None) -> list[str]:
    """Absolute paths of the snapshot's data files.

    Args:
        table: The snapshot.
        within: Leave out the files that by their statistics have no value of a column between two bounds. Values of a
            file without statistics may lie anywhere.
    """
    uris = sorted(table.file_uris())
    if not within or not uris:
        return uris
    outside = _outside(table, within)
    return [uri for uri in uris if uri.rpartition("/")[2] not in outside]


def _outside(table: DeltaTable, within: Mapping[str, Bounds]) -> set[str]:
    """Names of the files that have no row within the bounds."""
    import pyarrow as pa
    import pyarrow.compute as pc

    told = pa.table(table.get_add_actions(flatten=True))
    is_outside = pa.array([False] * told.num_rows)
    for column, (low, high) in within.items():
        ends = {
            "max": (low, pc.less),
            "min": (high, pc.greater),
        }
        for end, (bound, misses) in ends.items():
            name = f"{end}.{column}"
            if bound is None or name not in told.column_names or pa.types.is_null(told.column(name).type):
                continue
            values = told.column(name)
            missed = misses(values, pa.scalar(bound, values.type)).fill_null(fill_value=False)
            is_outside = pc.or_(is_outside, missed)
    paths = told.column("path").filter(is_outside).to_pylist()
    return {path.rpartition("/")[2] for path in paths}


def dataset(table: DeltaTable) -> ds.Dataset:
    """The snapshot as a PyArrow dataset that reads through the store's own client."""
    return table.to_pyarrow_dataset()


def filesystem(uri: str, options: Mapping[str, str]) -> pafs.FileSystem:
    """The files below a table or a root, whatever store they are in."""
    guard()
    import pyarrow.fs as pafs
    from deltalake.fs import DeltaStorageHandler

    return pafs.PyFileSystem(DeltaStorageHandler(uri, dict(options) or None))


def write(
    uri: str,
    rows: pa.Table | pa.RecordBatchReader,
    *,
    table: DeltaTable | None,
    options: Mapping[str, str],
    mode: Literal["append", "overwrite"],
    schema_mode: Literal["merge", "overwrite"] | None,
    configuration: Mapping[str, str],
    commit: CommitProperties,
) -> int:
    """Write rows in one commit.

    Args:
        uri: Folder or URL of the table.
        rows: Rows with the lake's types.
        table: The snapshot to write after; None makes the table in the same commit.
        options: From :func:`storage_options`.
        mode: ``append`` or ``overwrite``.
        schema_mode: ``merge`` adds columns, ``overwrite`` replaces them, None leaves them.
        configuration: Table properties, used when the table is made.
        commit: What to note in the commit.

    Returns:
        The version that the commit made.

    Raises:
        ConflictError: Another writer's commit won.
        UnavailableError: The store refused.
    """
    guard()
    from deltalake import DeltaTable, write_deltalake

    stored = dict(options) or None
    target = uri if table is None else table
    properties = dict(configuration) if table is None else None
    writer = writer_properties(rows.schema)
    with translated(uri):
        write_deltalake(
            target,
            rows,
            mode=mode,
            schema_mode=schema_mode,
            storage_options=stored,
            configuration=properties,
            writer_properties=writer,
            commit_properties=commit,
        )
        if table is None:
            table = DeltaTable(uri, storage_options=stored)
        return int(table.version())


def commit_files(
    uri: str,
    files: Sequence[StagedFile],
    schema: pa.Schema,
    *,
    table: DeltaTable | None,
    options: Mapping[str, str],
    configuration: Mapping[str, str],
    commit: CommitProperties,
) -> int:
    """Make files that are written already part of a table, in one commit.

    Args:
        uri: Folder or URL of the table.
        files: Complete files below it.
        schema: Their schema, with the lake's types; of an existing table, the table's own or less.
        table: The snapshot to write after; None makes the table in the same commit.
        options: From :func:`storage_options`.
        configuration: Table properties, used when the table is made.
        commit: What to note in the commit.

    Returns:
        The version that the commit made.

    Raises:
        ConflictError: Another writer's commit won.
        UnavailableError: The store refused.
    """
    guard()
    from deltalake import DeltaTable, Schema
    from deltalake.transaction import AddAction, create_table_with_add_actions

    changed_ms = time.time_ns() // 1_000_000
    added = [AddAction(file.path, file.size, {}, changed_ms, data_change=True, stats=file.stats) for file in files]
    with translated(uri):
        if table is not None:
            table.create_write_transaction(
                [*added], mode="append", schema=table.schema(), partition_by=[], commit_properties=commit
            )
            table.update_incremental()
            return int(table.version())
        stored = dict(options) or None
        create_table_with_add_actions(
            uri,
            Schema.from_arrow(schema),
            added,
            configuration=dict(configuration),
            storage_options=stored,
            commit_properties=commit,
        )
        return int(DeltaTable(uri, storage_options=stored).version())


def writer_properties(schema: pa.Schema) -> WriterProperties:
    """Zstd, steps for whole numbers and instants, and no dictionaries for floats, where they never pay.

    Readings of sensors take half the bytes that Snappy leaves, in the same time. Splitting floats by bytes would save
    a little more, but Spark cannot read it.
    """
    import pyarrow as pa
    from deltalake import ColumnProperties, WriterProperties

    plain = ColumnProperties(dictionary_enabled=False)
    steps = ColumnProperties(encoding="DELTA_BINARY_PACKED")  # where a dictionary grows too large
    instants = ColumnProperties(encoding="DELTA_BINARY_PACKED", dictionary_enabled=False)
    properties = {field.name: plain for field in schema if pa.types.is_floating(field.type)}
    properties |= {field.name: steps for field in schema if is_stepwise(field.type)}
    properties |= {field.name: instants for field in schema if pa.types.is_timestamp(field.type)}
    return WriterProperties(compression="ZSTD", compression_level=3, column_properties=properties or None)


def is_stepwise(kind: pa.DataType) -> bool:
    """Whether values of a type are kept as steps from one to the next: whole numbers of 32 or 64 bits, and instants."""
    import pyarrow as pa

    return bool(pa.types.is_int64(kind) or pa.types.is_int32(kind) or pa.types.is_timestamp(kind))


@contextmanager
def translated(where: str) -> Iterator[None]:
    """Turn errors of ``deltalake`` into ours.

    Raises:
        ConflictError: Another writer's commit won.
        UnavailableError: Everything else.
    """
    from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError

    try:
        yield
    except CommitFailedError as error:
        raise ConflictError("another writer's commit won", where=where) from error
    except TableNotFoundError as error:
        raise UnavailableError("the table vanished", where=where) from error
    except (DeltaError, OSError) as error:
        raise UnavailableError(f"the table's store failed ({type(error).__name__})", where=where) from error
