"""Parquet: typed columns as the texts a CSV of them would hold, so that both get the same verdicts.

Whole floats keep their point (``5.0``), NaN is ``nan`` (a null token), instants are in UTC with a ``Z`` where the file
states a zone and without one where it does not, nanoseconds stay where they are not zero (the grammar refuses them).
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from trunkline.errors import SourceError
from trunkline.ingest.byte_stream import ByteStream, refuse_width
from trunkline.ingest.raw import RawFile, refuse_twins, truncated

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["open_parquet"]

_BATCH_ROWS: Final = 65_536
_POINTED: Final = 1e16
"""Whole floats below this are written with digits and a point, above with an exponent."""


def open_parquet(source: ByteStream) -> RawFile:
    """Open a Parquet file.

    Raises:
        SourceError: Truncated, not Parquet, or with a column that has no text.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = source.path
    try:
        file = pq.ParquetFile(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise truncated(path, str(error)) from error
    header = tuple(field.name for field in file.schema_arrow if not pa.types.is_nested(field.type))
    refuse_width(source, len(header))
    refuse_twins(path, header)
    return RawFile(path, header, _batches(file, path, header))


def _batches(file: "pa.parquet.ParquetFile", path: Path, header: tuple[str, ...]) -> "Iterator[pa.RecordBatch]":
    import pyarrow as pa

    try:
        for batch in file.iter_batches(batch_size=_BATCH_ROWS, columns=list(header)):
            columns = [_texts(batch.column(name), f"{path}, column {name}") for name in header]
            yield pa.RecordBatch.from_arrays(columns, names=list(header))
    except (pa.ArrowInvalid, OSError) as error:
        raise truncated(path, str(error)) from error


def _texts(column: "pa.Array", where: str) -> "pa.Array":
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = column.type
    if pa.types.is_dictionary(kind):
        column, kind = column.cast(kind.value_type), kind.value_type
    if pa.types.is_timestamp(kind):
        return _instants(column)
    if pa.types.is_floating(kind):
        whole = pc.and_(pc.equal(column, pc.floor(column)), pc.less(pc.abs(column), _POINTED))
        digits = pc.cast(pc.if_else(whole, column, None).cast(pa.float64()), pa.int64()).cast(pa.string())
        return pc.if_else(whole, pc.binary_join_element_wise(digits, ".0", ""), column.cast(pa.string()))
    if pa.types.is_decimal(kind):
        return pa.array([None if value is None else f"{value:f}" for value in column.to_pylist()], pa.string())
    try:
        return column.cast(pa.string())
    except pa.ArrowNotImplementedError:
        raise SourceError(
            f"a column of type {kind} has no text",
            where=where,
            allowed=("text", "whole numbers", "floats", "decimals", "booleans", "dates", "timestamps"),
        ) from None


def _instants(column: "pa.Array") -> "pa.Array":
    import pyarrow as pa
    import pyarrow.compute as pc

    zone = column.type.tz
    in_utc = column.cast(pa.timestamp(column.type.unit, tz="UTC")) if zone else column
    text = pc.strftime(in_utc, format="%Y-%m-%dT%H:%M:%SZ" if zone else "%Y-%m-%dT%H:%M:%S")
    return pc.replace_substring_regex(text, pattern=r"(\.[0-9]{6})000(Z?)$", replacement=r"\1\2")
