"""Files as Spark reads them: columns by name, absent ones as typed NULL, everything cast to one schema.

Spark takes the columns of the first file, or fails on the first file that has another type than the schema says. So
the footers are read here, files with the same columns are read together with their own explicit schema, and each such
group is brought to the wanted one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import reduce
from typing import TYPE_CHECKING, Final

from trunkline.engine.protocol import FilesVanishedError
from trunkline.engine.spark.arrow import frame_of, plain_schema, spark_schema, spark_type

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.dataset as ds
    from pyspark.sql import Column, DataFrame, SparkSession

__all__ = ["read_dataset", "read_parquet"]

_FOOTERS_AT_ONCE: Final = 8


def read_parquet(session: SparkSession, paths: Sequence[str], schema: pa.Schema) -> DataFrame:
    """Read Parquet files of any columns as rows of one schema.

    Args:
        session: The session.
        paths: Absolute paths, at least one.
        schema: Columns and types of the result.

    Raises:
        FilesVanishedError: A file is gone.
    """
    groups: dict[pa.Schema, list[str]] = {}
    with ThreadPoolExecutor(_FOOTERS_AT_ONCE) as pool:
        for path, stored in zip(paths, pool.map(_footer, paths), strict=True):
            there = {field.name.lower(): field for field in stored}
            wanted = [there[name.lower()] for name in schema.names if name.lower() in there]
            groups.setdefault(plain_schema(wanted), []).append(path)
    reader = session.read.option("__globPaths__", "false")  # a path is a path, also one with a star or bracket in it
    frames = [
        _brought(reader.schema(spark_schema(stored)).parquet(*group), stored, schema)
        for stored, group in groups.items()
    ]
    return reduce(lambda one, other: one.unionAll(other), frames)


def read_dataset(session: SparkSession, dataset: ds.Dataset, schema: pa.Schema) -> DataFrame:
    """Read a PyArrow dataset; its files are read where Spark's workers are, by PyArrow.

    Args:
        session: The session.
        dataset: Of files, whose store the workers reach as well; or of rows in memory, which are sent.
        schema: Columns and types of the result.
    """
    import pyarrow.dataset as ds

    present = [field for field in dataset.schema if field.name in schema.names]
    stored = plain_schema(present)
    if not isinstance(dataset, ds.FileSystemDataset):
        return _brought(frame_of(session, dataset.to_table(columns=stored.names)), stored, schema)
    fragments, whole = list(dataset.get_fragments()), dataset.schema

    def read(numbers: Iterable[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        import pyarrow as pa

        for batch in numbers:
            for number in batch.column(0).to_pylist():
                for part in fragments[number].to_batches(schema=whole, columns=stored.names):
                    yield pa.RecordBatch.from_arrays(
                        [column.cast(field.type) for column, field in zip(part.columns, stored, strict=True)],
                        schema=stored,
                    )

    if not fragments or not present:
        rows = dataset.to_table(columns=stored.names)
        return _brought(frame_of(session, rows), stored, schema) if present else _nothing_of(session, rows, schema)
    numbered = session.range(0, len(fragments), 1, len(fragments))
    return _brought(numbered.mapInArrow(read, schema=spark_schema(stored)), stored, schema)


def _footer(path: str) -> pa.Schema:
    import pyarrow.parquet as pq

    try:
        return pq.read_schema(path)
    except FileNotFoundError as error:
        raise FilesVanishedError(
            "files of this snapshot were removed while it was read", next_step="read the newest version"
        ) from error


def _nothing_of(session: SparkSession, rows: pa.Table, schema: pa.Schema) -> DataFrame:
    """As many rows as a dataset has that has none of the wanted columns."""
    return _brought(session.range(rows.num_rows), plain_schema([]), schema)


def _brought(frame: DataFrame, stored: pa.Schema, schema: pa.Schema) -> DataFrame:
    there = {field.name.lower(): field for field in stored}
    return frame.select([_column(there.get(field.name.lower()), field) for field in schema])


def _column(stored: pa.Field | None, wanted: pa.Field) -> Column:
    from pyspark.sql import functions as F  # noqa: N812 - as all of Spark's own documentation calls it

    kind = spark_type(wanted.type)
    if stored is None:
        return F.lit(None).cast(kind).alias(wanted.name)
    quoted = stored.name.replace("`", "``")
    column = F.col(f"`{quoted}`")
    return (column if spark_type(stored.type) == kind else column.cast(kind)).alias(wanted.name)
