"""NDJSON: one object per line, read twice in bounded memory: first for the names of all columns, then for the rows."""

import codecs
from collections.abc import Iterator
from typing import TYPE_CHECKING

from trunkline.errors import SourceError
from trunkline.ingest.byte_stream import ByteStream, refuse_width
from trunkline.ingest.formats.json_values import TextRows, json_record, scalar_text
from trunkline.ingest.raw import Aside, MalformedLine, RawFile, empty, truncated

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["open_ndjson"]


def open_ndjson(source: ByteStream) -> RawFile:
    """Open an NDJSON file.

    Raises:
        SourceError: Truncated, without any object, or beyond the limits.
    """
    header: dict[str, None] = {}
    aside = Aside(source.path, most_bytes=source.limits.max_refused_mb << 20)
    ends_line, number, last = True, 0, b""
    for line in _lines(source):
        ends_line, last = line.endswith(b"\n"), line
        if not line.strip():
            continue
        number += 1
        record = json_record(line)
        if record is None:
            aside.add(MalformedLine(number, line.decode("utf-8", errors="replace").strip(), 0))
        else:
            header.update(dict.fromkeys(record))
            refuse_width(source, len(header))
    malformed = aside.lines
    if not ends_line and malformed and malformed[-1].row_number == number and last.strip():
        raise truncated(source.path, "its last line is not complete JSON")
    if number == 0:
        raise empty(source.path)
    if number == len(malformed):
        raise truncated(source.path, "no line is a JSON object")
    if not header:
        raise SourceError("no object has a name", where=str(source.path), next_step="check its export")
    return RawFile(source.path, tuple(header), _batches(source, tuple(header)), malformed)


def _lines(source: ByteStream) -> Iterator[bytes]:
    try:
        with source.stream() as lines:
            mark = codecs.BOM_UTF8
            while line := lines.readline(source.longest_record):
                if len(line) == source.longest_record and not line.endswith(b"\n"):
                    raise truncated(source.path, f"a line is longer than {source.limits.max_record_mb} MiB")
                yield line.removeprefix(mark)
                mark = b""
    except OSError as error:
        raise truncated(source.path, str(error)) from error


def _batches(source: ByteStream, header: tuple[str, ...]) -> "Iterator[pa.RecordBatch]":
    rows = TextRows(header, scalar_text)
    for line in _lines(source):
        record = json_record(line) if line.strip() else None
        if record is not None and rows.add(record, size=len(line)):
            yield rows.batch()
    if rows.rows:
        yield rows.batch()
