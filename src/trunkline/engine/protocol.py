"""What every engine promises, whether it runs in this process or on a cluster.

An engine turns files and Arrow data into Ibis tables and Ibis expressions back into Arrow. All engines hold to the same
rules: the session's time zone is UTC, columns are found by name, a column that no file has is a typed NULL, zero files
are an empty typed table. ``tests/engine`` holds one test body that runs over all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

from trunkline.errors import UnavailableError

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import pyarrow as pa
    import pyarrow.dataset as ds
    from ibis.backends import BaseBackend


MapBatches = Callable[["Iterable[pa.RecordBatch]"], "Iterable[pa.RecordBatch]"]
"""From batches to batches, see :meth:`Engine.mapped`."""


@dataclass(frozen=True)
class Capabilities:
    """In what engines differ; everything else is the same.

    Attributes:
        name: The engine's name, as in the settings.
        distributed: Work is spread over machines; data handed in as Arrow has to travel there.
        reads_object_stores: ``parquet`` takes ``s3://``, ``gs://`` and ``abfss://`` paths. Otherwise the lake hands
            such tables over as a PyArrow dataset.
        exact_quantiles: ``quantile`` is exact and not an approximation.
        streams_topics: Topics of Kafka are read, and worked on, where the engine's workers are.
    """

    name: str
    distributed: bool
    reads_object_stores: bool
    exact_quantiles: bool
    streams_topics: bool


class FilesVanishedError(UnavailableError):
    """Files of a table's snapshot were removed while they were being read; a newer snapshot has others."""


class Engine(Protocol):
    """An open engine.

    An engine and the expressions made from it belong to one thread; open one per thread.
    """

    @property
    def capabilities(self) -> Capabilities:
        """In what this engine differs from others."""
        ...

    @property
    def threads(self) -> int:
        """Worker threads in this process, which those who feed the engine keep to as well."""
        ...

    @property
    def connection(self) -> BaseBackend:
        """The Ibis backend behind this engine, session time zone UTC.

        Its sessions have two functions that expressions may call as builtins: ``instant_at(zone, clock)``, the instant
        at which clocks of an IANA zone show a time (of two the earlier one; for a time that never was, by the offset
        that held before), and ``clock_at(zone, instant)``, what they show then.
        """
        ...

    def parquet(self, paths: Sequence[str], schema: pa.Schema) -> ir.Table:
        """Read Parquet files as one table of the given schema.

        Args:
            paths: Absolute paths, possibly none. Files may differ in columns; order does not matter.
            schema: Columns and types of the result; columns of the files that it does not name are left out.

        Returns:
            A lazy table with exactly the schema's columns, in its order. A column that a file lacks is NULL there.
            The files are opened when the expression runs.
        """
        ...

    def dataset(self, dataset: ds.Dataset, schema: pa.Schema) -> ir.Table:
        """Read a PyArrow dataset as a table of the given schema; absent columns are NULL.

        Args:
            dataset: The dataset; scanned again each time the expression runs.
            schema: Columns and types of the result.

        Returns:
            A lazy table with exactly the schema's columns, in its order.
        """
        ...

    def table(self, rows: pa.Table | pa.RecordBatchReader) -> ir.Table:
        """Take Arrow rows as a table.

        Args:
            rows: A table, used where it is; or a stream, which is read to its end now and kept by the engine (spilling
                to its temporary folder), because an expression may run more than once and a stream cannot.

        Returns:
            A table that lives as long as expressions over it do.
        """
        ...

    def kept(self, expr: ir.Table) -> ir.Table:
        """Compute an expression once for all that reads it.

        Args:
            expr: An expression over tables of this engine.

        Returns:
            Its rows, kept where they are computed (spilling to disk) for as long as expressions over them live.

        Raises:
            FilesVanishedError: A file of the snapshot is gone.
        """
        ...

    def arrow(self, expr: ir.Table) -> pa.Table:
        """Run an expression.

        Args:
            expr: An expression over tables of this engine.

        Returns:
            All rows; strings as ``string``, instants as ``timestamp[us, UTC]``.

        Raises:
            FilesVanishedError: A file of the snapshot is gone.
        """
        ...

    def batches(self, expr: ir.Table, *, rows: int) -> pa.RecordBatchReader:
        """Run an expression as a stream, in a session of its own so that other expressions can run meanwhile.

        Args:
            expr: An expression over tables of this engine.
            rows: Most rows per batch.

        Returns:
            A stream of batches; drop it to end the query.

        Raises:
            FilesVanishedError: A file of the snapshot is gone.
        """
        ...

    def compiled(self, build: Callable[[ir.Table], ir.Table], schema: pa.Schema) -> Callable[[pa.Table], pa.Table]:
        """Compile an expression over one table, to run it over many Arrow tables.

        Args:
            build: Gives the expression from the table.
            schema: Of the tables to come.

        Returns:
            A function from a table of that schema to the expression's rows. Unlike the engine itself it may be called
            from several threads at once; it ends with the engine.
        """
        ...

    def mapped(self, expr: ir.Table, function: MapBatches, schema: pa.Schema) -> ir.Table:
        """Apply a Python function to the rows of an expression where they are, e.g. a model that scores them.

        Args:
            expr: An expression over tables of this engine.
            function: Takes a stream of batches with the expression's columns and gives a stream of its own; called once
                per partition. On a cluster it travels to the workers, with what it refers to.
            schema: Of what it gives.

        Returns:
            A table of that schema; an engine may compute it now or each time an expression over it runs.
        """
        ...

    def close(self) -> None:
        """End the session and free its memory; closing twice is allowed."""
        ...

    def __enter__(self) -> Self:
        """Enter a ``with`` block."""
        ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the engine."""
        ...
