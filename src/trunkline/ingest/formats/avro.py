"""Avro: records as the texts a CSV of them would hold; blocks are read one after another.

The container is read here, block by block, so that a block can neither unpack nor count beyond the limits; its
records are decoded by fastavro. Logical types become the contract's texts: dates and instants ISO 8601 (in UTC with
``Z``, local ones without), decimals with all their digits. Records inside records become columns with dotted names,
lists and maps JSON. Refused with ``SourceError``: what is cut or damaged, a schema that is no record, and one that is
recursive.
"""

import io
import struct
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final

from trunkline.errors import MissingExtraError, SourceError
from trunkline.ingest.byte_stream import ByteStream, refuse_width
from trunkline.ingest.formats.avro_blocks import Container, open_container
from trunkline.ingest.formats.avro_schema import Plan, plan_of
from trunkline.ingest.formats.json_values import Flattened, TextRows
from trunkline.ingest.raw import RawFile, truncated

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["open_avro"]

_FAULTS: Final = (
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    RecursionError,
    TypeError,
    ValueError,
    struct.error,
)


def open_avro(source: ByteStream) -> RawFile:
    """Open an Avro file.

    Raises:
        SourceError: Truncated, not Avro, or beyond the limits.
        MissingExtraError: fastavro is not installed.
    """
    try:
        import fastavro
        from fastavro.schema import SchemaParseException, UnknownType
    except ImportError:
        raise MissingExtraError("fastavro", extra="formats") from None
    try:
        with source.stream() as stream:
            schema = open_container(source, stream).schema
    except OSError as error:
        raise truncated(source.path, str(error)) from error
    try:
        plan = plan_of(schema, most_columns=source.limits.max_columns, where=str(source.path))
        parsed = fastavro.parse_schema(plan.schema)
    except (SchemaParseException, UnknownType, *_FAULTS) as error:
        raise truncated(source.path, f"its schema is not Avro: {type(error).__name__}") from None
    refuse_width(source, len(plan.columns))
    return RawFile(source.path, plan.columns, _batches(source, plan, parsed))


def _batches(source: ByteStream, plan: Plan, schema: object) -> "Iterator[pa.RecordBatch]":
    rows, flattened = TextRows(plan.columns), Flattened(plan.columns)
    try:
        with source.stream() as stream:
            for records, size in _blocks(source, open_container(source, stream), schema):
                for record in records:
                    if rows.add(flattened.values(plan.values(record)), size=size):
                        yield rows.batch()
    except OSError as error:
        raise truncated(source.path, str(error)) from error
    if rows.rows:
        yield rows.batch()


def _blocks(
    source: ByteStream, container: Container, schema: object
) -> Iterator[tuple[Iterator[Mapping[str, object]], int]]:
    """Give the records of each block, and how many bytes one has on average."""
    for count, data in container.blocks():
        yield _records(source, count, data, schema), len(data) // max(count, 1) + 1


def _records(source: ByteStream, count: int, data: bytes, schema: object) -> Iterator[Mapping[str, object]]:
    from fastavro import schemaless_reader

    stream = io.BytesIO(data)
    for _ in range(count):
        try:
            record = schemaless_reader(stream, schema, None)  # type: ignore[arg-type]  # parsed by fastavro itself
        except _FAULTS as error:
            raise truncated(source.path, f"a record is damaged: {type(error).__name__}") from None
        if not isinstance(record, dict):
            raise SourceError("its records are no rows", where=str(source.path))
        yield record
    if stream.tell() != len(data):
        raise truncated(source.path, "a block holds more than its records")
