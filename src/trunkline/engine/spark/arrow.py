"""Arrow rows into Spark and out of it, with Arrow's own types and no row ever a Python object.

Spark has fewer types than Arrow: unsigned numbers become the next wider signed ones, dictionaries their values.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.types import DataType, StructType

__all__ = ["brought", "frame_of", "nullable", "plain_schema", "spark_schema", "spark_type", "stream_of"]


def plain_schema(schema: pa.Schema | Iterable[pa.Field]) -> pa.Schema:
    """Give the schema in types that Spark has; every column may be null."""
    import pyarrow as pa

    return pa.schema([pa.field(field.name, _plain(field.type)) for field in schema])


def nullable(schema: pa.Schema) -> pa.Schema:
    """Give the schema with every column nullable, in types that Ibis has on every engine."""
    import pyarrow as pa

    return pa.schema([pa.field(field.name, _without_dictionary(field.type)) for field in schema])


def _without_dictionary(kind: pa.DataType) -> pa.DataType:
    import pyarrow as pa

    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _plain(kind: pa.DataType) -> pa.DataType:
    import pyarrow as pa

    types = pa.types
    if types.is_dictionary(kind):
        return _plain(kind.value_type)
    if types.is_unsigned_integer(kind):
        return {8: pa.int16(), 16: pa.int32(), 32: pa.int64(), 64: pa.decimal128(20, 0)}[kind.bit_width]
    if types.is_timestamp(kind):
        return pa.timestamp("us", tz=kind.tz)
    if types.is_large_string(kind) or types.is_string_view(kind):
        return pa.string()
    if types.is_large_binary(kind) or types.is_binary_view(kind) or types.is_fixed_size_binary(kind):
        return pa.binary()
    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        return pa.list_(_plain(kind.value_type))
    if types.is_struct(kind):
        return pa.struct([pa.field(part.name, _plain(part.type)) for part in kind])
    return kind


def spark_schema(schema: pa.Schema) -> StructType:
    """Give the schema as Spark writes it; instants of any zone, and times without one, are its TIMESTAMP in UTC."""
    from pyspark.sql.pandas.types import from_arrow_schema

    return from_arrow_schema(plain_schema(schema), prefer_timestamp_ntz=False)


def spark_type(kind: pa.DataType) -> DataType:
    """Give one type as Spark writes it."""
    from pyspark.sql.pandas.types import from_arrow_type

    return from_arrow_type(_plain(kind), prefer_timestamp_ntz=False)


def frame_of(session: SparkSession, rows: pa.Table) -> DataFrame:
    """Send rows to Spark; they stay in the memory of its driver as long as anybody refers to them."""
    return session.createDataFrame(rows.cast(plain_schema(rows.schema)))


def brought(rows: pa.Table, wanted: pa.Schema) -> pa.Table:
    """Bring Spark's rows to a schema; the columns are in its order already."""
    return rows if rows.schema.equals(wanted) else rows.rename_columns(wanted.names).cast(wanted)


def stream_of(frame: DataFrame, wanted: pa.Schema, *, rows: int) -> Iterator[pa.RecordBatch]:
    """Fetch a result partition by partition, while the next one is computed.

    Args:
        frame: The result.
        wanted: Its schema.
        rows: Most rows per batch.
    """
    import pyarrow as pa

    # inside, so that it travels by value and the workers need PyArrow alone
    def pack(batches: Iterable[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        import pyarrow as pa

        for batch in batches:
            sink = pa.BufferOutputStream()
            with pa.ipc.new_stream(sink, batch.schema) as writer:
                writer.write_batch(batch)
            yield pa.record_batch([pa.array([sink.getvalue().to_pybytes()], pa.binary())], names=["packed"])

    packed = frame.mapInArrow(pack, schema="packed binary")
    for row in packed.toLocalIterator(prefetchPartitions=True):
        with pa.ipc.open_stream(row[0]) as reader:
            table = brought(reader.read_all(), wanted)
        yield from table.to_batches(max_chunksize=rows)
