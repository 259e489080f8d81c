"""Spark behind Ibis: in this process, or on a cluster that a URL names.

Every session is set to UTC and to ANSI SQL, and has the two functions of zones that expressions may use. Tables of a
lake are read from the list of files of their snapshot under an explicit schema, so no connector is needed on the
cluster; results come back as Arrow. Rows that are in this process already are judged in this process, see
:meth:`Spark.compiled`.
"""

from __future__ import annotations

import os
import re
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import reduce
from itertools import count
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self, cast

from trunkline.engine.compilers import load_when_asked
from trunkline.engine.protocol import Capabilities, Engine, FilesVanishedError, MapBatches
from trunkline.engine.spark.application import Application, Place, enter, leave
from trunkline.engine.spark.arrow import brought, frame_of, nullable, spark_schema, stream_of
from trunkline.engine.spark.files import read_dataset, read_parquet
from trunkline.errors import AuthorError

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import pyarrow as pa
    import pyarrow.dataset as ds
    from ibis.backends.pyspark import Backend
    from pyspark.sql import DataFrame, SparkSession

__all__ = ["Place", "Spark"]

_CAPABILITIES: Final = Capabilities(
    name="spark", distributed=True, reads_object_stores=False, exact_quantiles=True, streams_topics=True
)

_FUNCTIONS: Final = (
    "CREATE TEMPORARY FUNCTION instant_at(zone STRING, t TIMESTAMP) RETURNS TIMESTAMP RETURN to_utc_timestamp(t, zone)",
    "CREATE TEMPORARY FUNCTION clock_at(zone STRING, t TIMESTAMP) RETURNS TIMESTAMP RETURN from_utc_timestamp(t, zone)",
)
"""In a session in UTC a time without a zone and an instant are one type; of two instants Spark takes the earlier."""

_LITERAL: Final = re.compile(r"`[^`]*`|'(?:\\.|[^'\\])*'", re.DOTALL)
_ESCAPE: Final = re.compile(r"\\(.)", re.DOTALL)
_UNKNOWN_ESCAPES: Final[Mapping[str, str]] = {"a": r"\u0007", "f": r"\u000c", "v": r"\u000b"}
_STREAMED_ROWS: Final = 1_000_000


class Spark:
    """A session of Spark, opened when it is first needed.

    Args:
        place: Where Spark runs and what it may take.
        threads: Worker threads in this process, and of a local Spark that is not told how many; None is one per core.
    """

    def __init__(self, place: Place, *, threads: int | None = None) -> None:
        told = {"local": "local[1]", "local[*]": f"local[{threads}]" if threads else "local[*]"}
        self._place = replace(place, url=told.get(place.url, place.url))
        self._threads = threads
        self._names = count()
        self._application: Application | None = None
        self._session: SparkSession | None = None
        self._backend: Backend | None = None
        self._here: Engine | None = None
        self._is_open = True

    @property
    def capabilities(self) -> Capabilities:
        """In what Spark differs from other engines."""
        return _CAPABILITIES

    @property
    def threads(self) -> int:
        """Worker threads in this process; one per core that it may use, unless it was told otherwise."""
        return self._threads if self._threads is not None else len(os.sched_getaffinity(0))

    @property
    def connection(self) -> Backend:
        """The Ibis backend, session time zone UTC.

        Raises:
            AuthorError: The engine was closed, or this process runs Spark elsewhere already.
            MissingExtraError: PySpark is not installed.
            JavaMissingError: There is no Java that Spark runs on.
            InputError: The URL is none of Spark.
            UnavailableError: Spark does not start, or its master does not answer.
        """
        self._opened()
        assert self._backend is not None
        return self._backend

    @property
    def session(self) -> SparkSession:
        """The session; raises as :attr:`connection` does."""
        return self._opened()

    def parquet(self, paths: Sequence[str], schema: pa.Schema) -> ir.Table:
        """Read Parquet files as one table of the given schema; see :class:`~trunkline.engine.Engine`.

        Raises:
            FilesVanishedError: A file is gone already.
        """
        if not paths:
            return self.table(schema.empty_table())
        with _vanishing():
            return self._viewed(read_parquet(self._opened(), paths, schema), schema)

    def dataset(self, dataset: ds.Dataset, schema: pa.Schema) -> ir.Table:
        """Read a PyArrow dataset as a table of the given schema; see :class:`~trunkline.engine.Engine`."""
        return self._viewed(read_dataset(self._opened(), dataset, schema), schema)

    def table(self, rows: pa.Table | pa.RecordBatchReader) -> ir.Table:
        """Take Arrow rows as a table; see :class:`~trunkline.engine.Engine`.

        They travel to Spark's driver at once, whose memory bounds them.
        """
        import pyarrow as pa

        session = self._opened()
        if isinstance(rows, pa.Table):
            return self._viewed(frame_of(session, rows), rows.schema)
        frames = [frame_of(session, piece) for piece in _pieces(rows)]
        return self._viewed(reduce(lambda one, other: one.unionAll(other), frames), rows.schema)

    def kept(self, expr: ir.Table) -> ir.Table:
        """Compute an expression once, on the workers; see :class:`~trunkline.engine.Engine`.

        The first expression over it computes it; a worker that is lost takes its part along, which is computed again.

        Raises:
            FilesVanishedError: A file of the snapshot is gone.
        """
        with _vanishing():
            frame = self._frame(expr).persist()
        kept = self._viewed(frame, expr.schema().to_pyarrow())
        weakref.finalize(kept.op(), self._forget, frame)
        return kept

    def arrow(self, expr: ir.Table) -> pa.Table:
        """Run an expression; see :class:`~trunkline.engine.Engine`.

        Raises:
            FilesVanishedError: A file of the snapshot is gone.
        """
        with _vanishing():
            return brought(self._frame(expr).toArrow(), expr.schema().to_pyarrow())

    def batches(self, expr: ir.Table, *, rows: int) -> pa.RecordBatchReader:
        """Run an expression as a stream, partition by partition; see :class:`~trunkline.engine.Engine`.

        Raises:
            FilesVanishedError: A file of the snapshot is gone.
        """
        import pyarrow as pa

        wanted = expr.schema().to_pyarrow()
        with _vanishing():
            frame = self._frame(expr)

        def stream() -> Iterator[pa.RecordBatch]:
            with _vanishing():
                yield from stream_of(frame, wanted, rows=rows)

        return pa.RecordBatchReader.from_batches(wanted, stream())

    def compiled(self, build: Callable[[ir.Table], ir.Table], schema: pa.Schema) -> Callable[[pa.Table], pa.Table]:
        """Compile an expression over one table; see :class:`~trunkline.engine.Engine`.

        The tables to come are in this process, and so is the DuckDB that runs it: sending each block of a file to a
        cluster and its verdicts back costs more than judging it. Both engines give the same rows, see ``tests/engine``.
        An expression that reads tables of this engine as well runs where those are.
        """
        import ibis
        import ibis.expr.operations as ops

        name = f"block_{next(self._names)}"
        expr = build(ibis.table(ibis.Schema.from_pyarrow(nullable(schema)), name=name))
        if expr.op().find(ops.DatabaseTable):
            return self._compiled_there(expr, name)
        if self._here is None:
            from trunkline.engine.duckdb import DuckDB

            self._here = DuckDB(
                memory_limit_mb=self._place.memory_limit_mb, threads=self._threads, temp_dir=self._place.temp_dir
            )
        return self._here.compiled(build, schema)

    def _compiled_there(self, expr: ir.Table, name: str) -> Callable[[pa.Table], pa.Table]:
        session, query, wanted = self._opened(), _spelled(self.connection.compile(expr)), expr.schema().to_pyarrow()
        turn = threading.Lock()

        def run(rows: pa.Table) -> pa.Table:
            with turn:  # the name means these rows until the query has looked it up
                frame_of(session, rows).createOrReplaceTempView(name)
                frame = session.sql(query)
            with _vanishing():
                return brought(frame.toArrow(), wanted)

        return run

    def mapped(self, expr: ir.Table, function: MapBatches, schema: pa.Schema) -> ir.Table:
        """Apply a function to the rows of an expression, on the workers; see :class:`~trunkline.engine.Engine`.

        It runs each time an expression over the result does.

        Raises:
            FilesVanishedError: A file of the snapshot is gone.
        """
        given = expr.schema().to_pyarrow()

        def run(batches: Iterable[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
            return function(batch.cast(given) for batch in batches)

        with _vanishing():
            return self._viewed(self._frame(expr).mapInArrow(run, schema=spark_schema(schema)), schema)

    def close(self) -> None:
        """End the session, and the application with the last of its engines; closing twice is allowed."""
        self._is_open = False
        if self._here is not None:
            self._here.close()
            self._here = None
        if self._application is not None:
            application, self._application = self._application, None
            self._session = self._backend = None
            leave(application)

    def __enter__(self) -> Self:
        """Enter a ``with`` block."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the engine."""
        self.close()

    def _opened(self) -> SparkSession:
        if not self._is_open:
            raise AuthorError("this engine was closed", where="engine spark", next_step="open another one")
        if self._session is None:
            application = enter(self._place)
            try:
                import ibis

                load_when_asked()
                session = application.new_session()
                for function in _FUNCTIONS:
                    session.sql(function)
                self._backend = ibis.pyspark.connect(session)
            except BaseException:
                leave(application)
                raise
            self._application, self._session = application, session
        return self._session

    def _frame(self, expr: ir.Table) -> DataFrame:
        """Write an expression as a query; nothing is computed yet."""
        import ibis.expr.operations as ops

        session = self._opened()
        for held in expr.op().find(ops.InMemoryTable):
            # Ibis itself would send it through pandas, which has no whole numbers with nulls.
            frame_of(session, held.data.to_pyarrow(held.schema)).createOrReplaceTempView(held.name)
        return session.sql(_spelled(self.connection.compile(expr)))

    def _viewed(self, frame: DataFrame, schema: pa.Schema) -> ir.Table:
        """Give a frame as a table of a schema; its name in the session ends with the last expression over it."""
        import ibis
        import ibis.expr.operations as ops

        name = f"view_{next(self._names)}"
        frame.createOrReplaceTempView(name)
        types = ibis.Schema.from_pyarrow(nullable(schema))
        kept = ops.DatabaseTable(name=name, schema=types, source=self.connection, namespace=ops.Namespace())
        weakref.finalize(kept, self._drop, name)
        return cast("ir.Table", kept.to_expr())

    def _forget(self, frame: DataFrame) -> None:
        if self._session is not None:
            frame.unpersist()

    def _drop(self, name: str) -> None:
        if self._session is not None:
            self._session.catalog.dropTempView(name)


def _spelled(query: str) -> str:
    r"""Write the escapes of literals as Spark reads them: it takes ``\v`` for the letter v."""
    return _LITERAL.sub(lambda literal: literal[0] if literal[0][0] == "`" else _ESCAPE.sub(_escape, literal[0]), query)


def _escape(escape: re.Match[str]) -> str:
    return _UNKNOWN_ESCAPES.get(escape[1], escape[0])


def _pieces(rows: pa.RecordBatchReader) -> Iterator[pa.Table]:
    """Cut a stream into tables of many rows; one at least, so that an empty stream has its columns."""
    import pyarrow as pa

    held: list[pa.RecordBatch] = []
    size, is_first = 0, True
    for batch in rows:
        held.append(batch)
        size += batch.num_rows
        if size >= _STREAMED_ROWS:
            yield pa.Table.from_batches(held, rows.schema)
            held, size, is_first = [], 0, False
    if held or is_first:
        yield pa.Table.from_batches(held, rows.schema)


@contextmanager
def _vanishing() -> Iterator[None]:
    """Tell a file that is gone from other troubles."""
    try:
        yield
    except Exception as error:
        if type(error).__module__.partition(".")[0] in ("pyspark", "py4j") and _says_gone(error):
            raise FilesVanishedError(
                "files of this snapshot were removed while it was read", next_step="read the newest version"
            ) from error
        raise


def _says_gone(error: Exception) -> bool:
    return any(said in str(error) for said in ("FILE_NOT_EXIST", "PATH_NOT_FOUND", "FileNotFoundException"))
