"""DuckDB in this process, the default engine.

Every session is set to UTC when it is made, no extension is ever downloaded or loaded behind one's back, no progress
bar is drawn. Files are read with ``union_by_name``: without it DuckDB takes the columns of the first file and silently
loses those that later files added.
"""

from __future__ import annotations

import os
import re
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from trunkline.engine.compilers import load_when_asked
from trunkline.engine.protocol import Capabilities, FilesVanishedError, MapBatches
from trunkline.errors import AuthorError

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import pyarrow as pa
    import pyarrow.dataset as ds
    from duckdb import DuckDBPyConnection
    from ibis.backends.duckdb import Backend

_FUNCTIONS = (
    "CREATE MACRO clock_at(zone, instant) AS timezone(zone, instant)",
    # Of a local time that exists twice `timezone` takes the later instant, and the earlier is meant. It has the offset
    # that held a day before, if with that offset the clock shows the same local time.
    """
    CREATE MACRO _turned_back(zone, later, clock) AS
    later - (timezone(zone, later - INTERVAL 1 DAY) - (clock - INTERVAL 1 DAY))
    """,
    """
    CREATE MACRO instant_at(zone, clock) AS
    CASE WHEN timezone(zone, _turned_back(zone, timezone(zone, clock), clock)) = clock
    THEN _turned_back(zone, timezone(zone, clock), clock) ELSE timezone(zone, clock) END
    """,
)

_MAPPED_ROWS = 50_000
# How DuckDB says that a file is gone; the last is a store's client's word, in what it says of a dataset.
_GONE: Final = re.compile("No files found|No such file|Cannot open file|FileNotFoundError")
_LITERALS: Final = re.compile("'((?:[^']|'')+)'")

_CAPABILITIES = Capabilities(
    name="duckdb", distributed=False, reads_object_stores=False, exact_quantiles=True, streams_topics=False
)


class DuckDB:
    """An in-memory DuckDB database behind Ibis, opened when it is first needed.

    Args:
        memory_limit_mb: Most memory of the database, in MiB; None is DuckDB's default of 80 % of the machine.
        threads: Worker threads; None is one per core.
        temp_dir: Where intermediate results go that do not fit; made on first use. None keeps DuckDB's default.
    """

    def __init__(
        self, *, memory_limit_mb: int | None = None, threads: int | None = None, temp_dir: Path | None = None
    ) -> None:
        self._memory_limit_mb = memory_limit_mb
        self._threads = threads
        self._temp_dir = temp_dir
        self._backend: Backend | None = None
        self._names = count()
        self._is_open = True

    @property
    def capabilities(self) -> Capabilities:
        """In what DuckDB differs from other engines."""
        return _CAPABILITIES

    @property
    def threads(self) -> int:
        """Worker threads; one per core that this process may use, unless it was told otherwise."""
        return self._threads if self._threads is not None else len(os.sched_getaffinity(0))

    @property
    def connection(self) -> Backend:
        """The Ibis backend, session time zone UTC.

        Raises:
            AuthorError: The engine was closed.
        """
        if not self._is_open:
            raise AuthorError("this engine was closed", where="engine duckdb", next_step="open another one")
        if self._backend is None:  # only now: a process that only appends to a lake never loads Ibis
            self._backend = self._connect()
        return self._backend

    def _connect(self) -> Backend:
        load_when_asked()
        from ibis.backends.duckdb import Backend

        config: dict[str, object] = {"autoinstall_known_extensions": False, "autoload_known_extensions": False}
        if self._memory_limit_mb is not None:
            config["memory_limit"] = f"{self._memory_limit_mb}MiB"
        if self._threads is not None:
            config["threads"] = self._threads
        if self._temp_dir is not None:
            config["temp_directory"] = str(self._temp_dir)
        backend = Backend().connect(**config)  # `ibis.duckdb` would read what every package announces to find it
        # GLOBAL, so that the cursors of `batches`, which are sessions of their own, are in UTC as well.
        backend.raw_sql("SET GLOBAL TimeZone = 'UTC'")
        backend.raw_sql("SET enable_progress_bar = false")
        for function in _FUNCTIONS:
            backend.raw_sql(function)
        return backend

    def parquet(self, paths: Sequence[str], schema: pa.Schema) -> ir.Table:
        """Read Parquet files as one table of the given schema; see :class:`~trunkline.engine.Engine`."""
        if not paths:
            return self.table(schema.empty_table())
        files = ", ".join(_literal(path) for path in paths)
        source = f"SELECT * FROM read_parquet([{files}], union_by_name = true)"  # noqa: S608 - literals are quoted
        return self._typed(source, schema)

    def dataset(self, dataset: ds.Dataset, schema: pa.Schema) -> ir.Table:
        """Read a PyArrow dataset as a table of the given schema; see :class:`~trunkline.engine.Engine`."""
        import ibis
        import pyarrow as pa

        present = set(dataset.schema.names)
        stored = ibis.memtable(dataset)
        types = ibis.Schema.from_pyarrow(pa.schema([field.with_nullable(True) for field in schema]))
        return stored.select(
            **{name: stored[name].cast(dtype) if name in present else ibis.null(dtype) for name, dtype in types.items()}
        )

    def table(self, rows: pa.Table | pa.RecordBatchReader) -> ir.Table:
        """Take Arrow rows as a table; see :class:`~trunkline.engine.Engine`."""
        import pyarrow as pa

        if isinstance(rows, pa.Table):
            return _held(rows)
        name = f"stream_{next(self._names)}"
        database = self.connection.con
        # A plain table and not a TEMP one: only those are seen by the sessions of `batches`.
        database.from_arrow(rows).create(name)
        return self._lasting(name)

    def kept(self, expr: ir.Table) -> ir.Table:
        """Compute an expression once; see :class:`~trunkline.engine.Engine`.

        Raises:
            FilesVanishedError: A file of the snapshot is gone.
        """
        name = f"kept_{next(self._names)}"
        with _vanishing(expr), self._session(expr) as session:
            session.sql(self.connection.compile(expr)).create(name)
        return self._lasting(name)

    def arrow(self, expr: ir.Table) -> pa.Table:
        """Run an expression; see :class:`~trunkline.engine.Engine`.

        Raises:
            FilesVanishedError: A file of the snapshot is gone.
        """
        with _vanishing(expr), self._session(expr) as session:
            found = session.sql(self.connection.compile(expr)).to_arrow_table()
        return _typed_rows(found, expr.schema().to_pyarrow())

    def batches(self, expr: ir.Table, *, rows: int) -> pa.RecordBatchReader:
        """Run an expression as a stream; see :class:`~trunkline.engine.Engine`.

        Raises:
            FilesVanishedError: A file of the snapshot is gone.
        """
        import pyarrow as pa

        session = self._session(expr)
        wanted = expr.schema().to_pyarrow()
        with _vanishing(expr):
            stream = session.sql(self.connection.compile(expr)).to_arrow_reader(rows)
        if stream.schema.equals(wanted):
            return stream
        return pa.RecordBatchReader.from_batches(wanted, _cast(stream, wanted, expr))

    def compiled(self, build: Callable[[ir.Table], ir.Table], schema: pa.Schema) -> Callable[[pa.Table], pa.Table]:
        """Compile an expression over one table; see :class:`~trunkline.engine.Engine`."""
        import ibis

        name = f"block_{next(self._names)}"
        expr = build(ibis.table(ibis.Schema.from_pyarrow(schema), name=name))
        query, wanted = self.connection.compile(expr), expr.schema().to_pyarrow()
        database, sessions = self.connection.con, threading.local()

        def run(rows: pa.Table) -> pa.Table:
            if not hasattr(sessions, "own"):
                sessions.own = database.cursor()
            session = sessions.own
            session.register(name, rows)
            try:
                found = session.sql(query).to_arrow_table()
            finally:
                session.unregister(name)
            return found.cast(wanted)

        return run

    def mapped(self, expr: ir.Table, function: MapBatches, schema: pa.Schema) -> ir.Table:
        """Apply a function to the rows of an expression, now; see :class:`~trunkline.engine.Engine`.

        Raises:
            FilesVanishedError: A file of the snapshot is gone.
        """
        import pyarrow as pa

        given = self.batches(expr, rows=_MAPPED_ROWS)
        return self.table(pa.RecordBatchReader.from_batches(schema, function(given)))

    def close(self) -> None:
        """Close the database and free its memory; closing twice is allowed."""
        self._is_open = False
        if self._backend is not None:
            self._backend.disconnect()
            self._backend = None

    def __enter__(self) -> Self:
        """Enter a ``with`` block."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the engine."""
        self.close()

    def _session(self, expr: ir.Table) -> DuckDBPyConnection:
        """A session of its own that sees what an expression holds in memory; one session sees what it registered."""
        import ibis.expr.operations as ops

        session: DuckDBPyConnection = self.connection.con.cursor()
        for held in expr.op().find(ops.InMemoryTable):
            session.register(held.name, _arrow_source(held))
        return session

    def _typed(self, source: str, schema: pa.Schema) -> ir.Table:
        """Impose a schema on a query: by name, absent columns as typed NULL, everything cast."""
        import ibis
        import pyarrow as pa

        types = ibis.Schema.from_pyarrow(pa.schema([field.with_nullable(True) for field in schema]))
        spell = self.connection.compiler.type_mapper.to_string
        columns = {_quoted(name): spell(dtype) for name, dtype in types.items()}
        absent = ", ".join(f"NULL::{dtype} AS {name}" for name, dtype in columns.items())
        casts = ", ".join(f"CAST({name} AS {dtype}) AS {name}" for name, dtype in columns.items())
        # The empty second half gives columns that no file has; DuckDB's optimiser takes it away again. An inline query
        # and not a view, so that a server that reads every second does not pile up views.
        query = f"SELECT {casts} FROM ({source} UNION ALL BY NAME SELECT {absent} WHERE FALSE)"  # noqa: S608 - names are quoted
        return self.connection.sql(query, schema=types)

    def _lasting(self, name: str) -> ir.Table:
        """A table of the database, which lasts as long as expressions over it do."""
        kept = self.connection.table(name)
        weakref.finalize(kept.op(), self._drop, name)
        return kept

    def _drop(self, name: str) -> None:
        if self._backend is not None:
            # Called whenever the garbage collector likes, also while a result of the connection is read: a session of
            # its own does not ask the connection to be idle.
            with self._backend.con.cursor() as session:
                session.execute(f'DROP TABLE IF EXISTS "{name}"')


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _held(rows: pa.Table) -> ir.Table:
    """Rows as an in-memory table: what ``ibis.memtable`` makes of them, without the pandas that it loads to look."""
    import ibis
    import ibis.expr.operations as ops
    from ibis.formats.pyarrow import PyArrowTableProxy

    schema = ibis.Schema.from_pyarrow(rows.schema)
    return ops.InMemoryTable(ibis.util.gen_name("held"), schema, PyArrowTableProxy(rows)).to_expr()


def _arrow_source(held: ir.ops.InMemoryTable) -> object:
    """The Arrow data behind an in-memory table, as Ibis itself registers it."""
    if hasattr(held.data, "to_pyarrow_dataset"):
        return held.data.to_pyarrow_dataset(held.schema)
    return held.data.to_pyarrow(held.schema)


def _typed_rows(found: pa.Table, wanted: pa.Schema) -> pa.Table:
    """Rows in the types of their expression; a column that is NULL and nothing else has a type of its own there."""
    import pyarrow as pa

    if found.schema.equals(wanted):
        return found
    columns = [
        pa.nulls(len(column)) if pa.types.is_null(field.type) else column.cast(field.type)
        for column, field in zip(found.columns, wanted, strict=True)
    ]
    return pa.Table.from_arrays(columns, schema=wanted)


def _cast(stream: pa.RecordBatchReader, wanted: pa.Schema, expr: ir.Table) -> Iterator[pa.RecordBatch]:
    with _vanishing(expr):
        for batch in stream:
            yield batch.cast(wanted)


@contextmanager
def _vanishing(expr: ir.Table) -> Iterator[None]:
    """Tell a file that an expression reads, and that is gone, from all that else may be wrong or missing."""
    import duckdb

    try:
        yield
    except (duckdb.IOException, duckdb.InvalidInputException) as error:
        said = str(error)
        if _GONE.search(said) and any(Path(file).name in said for file in _files_of(expr)):
            raise FilesVanishedError(
                "files of this snapshot were removed while it was read", next_step="read the newest version"
            ) from error
        raise


def _files_of(expr: ir.Table) -> Iterator[str]:
    """The files that an expression reads: those of datasets, and those that its SQL names."""
    import ibis.expr.operations as ops

    for held in expr.op().find(ops.InMemoryTable):
        yield from _files_in(_arrow_source(held))
    for query in expr.op().find(ops.SQLQueryResult):
        yield from (text.replace("''", "'") for text in _LITERALS.findall(query.query))


def _files_in(source: object) -> Iterator[str]:
    yield from getattr(source, "files", ())
    for part in getattr(source, "children", ()):
        yield from _files_in(part)
