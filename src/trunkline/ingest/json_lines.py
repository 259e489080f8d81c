"""NDJSON: one object per line, read twice in bounded memory: first for the names of all columns, then for the rows.

Numbers and truths become their canonical texts. An object or a list as a value is no scalar: its text begins with
U+0000, which no kind accepts, so that its row is refused like any other.
"""

import codecs
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from trunkline.contracts.kinds import NUL, canonical_text
from trunkline.errors import SourceError
from trunkline.ingest.raw import MalformedLine, RawFile, byte_stream, truncated

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["open_ndjson"]

_BATCH_ROWS: Final = 10_000
_MOST_COLUMNS: Final = 10_000


def open_ndjson(path: Path, compression: str | None) -> RawFile:
    """Open an NDJSON file.

    Raises:
        SourceError: Truncated, without any object, or with more than 10,000 different names.
    """
    header: dict[str, None] = {}
    malformed: list[MalformedLine] = []
    ends_line, number, last = True, 0, b""
    for line in _lines(path, compression):
        ends_line, last = line.endswith(b"\n"), line
        if not line.strip():
            continue
        number += 1
        record = _record(line)
        if record is None:
            text = line.decode("utf-8", errors="replace").strip()
            malformed.append(MalformedLine(number, text, 0))
        else:
            header.update(dict.fromkeys(record))
        if len(header) > _MOST_COLUMNS:
            raise SourceError(
                f"its objects have more than {_MOST_COLUMNS:,} different names",
                where=str(path),
                next_step="give rows with one set of names; names may not hold values",
            )
    if not ends_line and malformed and malformed[-1].row_number == number and last.strip():
        raise truncated(path, "its last line is not complete JSON")
    if not header and number == len(malformed):
        raise (
            truncated(path, "no line is a JSON object")
            if number
            else SourceError("the file is empty", where=str(path), next_step="check whether its export has finished")
        )
    return RawFile(path, tuple(header), _batches(path, compression, tuple(header)), malformed)


def _lines(path: Path, compression: str | None) -> Iterator[bytes]:
    import io

    try:
        with byte_stream(path, compression) as stream:
            first = True
            for line in io.BufferedReader(stream):
                yield line.removeprefix(codecs.BOM_UTF8) if first else line
                first = False
    except OSError as error:
        raise truncated(path, str(error)) from error


def _record(line: bytes) -> dict[str, object] | None:
    import orjson

    try:
        record = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    return record if isinstance(record, dict) else None


def _batches(path: Path, compression: str | None, header: tuple[str, ...]) -> "Iterator[pa.RecordBatch]":
    import pyarrow as pa

    columns: list[list[str | None]] = [[] for _ in header]

    def batch() -> "pa.RecordBatch":
        return pa.RecordBatch.from_arrays([pa.array(column, pa.string()) for column in columns], names=list(header))

    rows = 0
    for line in _lines(path, compression):
        record = _record(line) if line.strip() else None
        if record is None:
            continue
        for name, column in zip(header, columns, strict=True):
            column.append(_text(record.get(name)))
        rows += 1
        if rows == _BATCH_ROWS:
            yield batch()
            columns = [[] for _ in header]
            rows = 0
    if rows:
        yield batch()


def _text(value: object) -> str | None:
    import orjson

    if value is None or isinstance(value, str):
        return value
    if isinstance(value, dict | list):
        return NUL + orjson.dumps(value).decode()
    return canonical_text(value)
