"""Files as batches of raw text rows: CSV (any delimiter, gzip, bz2, zstd), NDJSON and Parquet.

Takes a path and gives a header, a content hash and a stream of Arrow batches of text, in bounded memory. Refuses with
``SourceError`` what cannot be read whole: missing, unreadable, empty, truncated (a half-written file), or not of a known
form. Lines that do not have as many fields as the header are handed over apart, to be quarantined.
"""

import csv
import hashlib
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from trunkline.errors import SourceError

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.csv as pa_csv

__all__ = ["FILE_SUFFIXES", "MalformedLine", "RawFile", "content_sha256", "open_file"]

FILE_SUFFIXES: Final = (".csv", ".tsv", ".txt", ".ndjson", ".jsonl", ".parquet")
"""Forms that are understood; CSV and NDJSON also with .gz, .bz2 or .zst behind."""

_COMPRESSIONS: Final = {".gz": "gzip", ".bz2": "bz2", ".zst": "zstd"}
_HEAD_BYTES: Final = 1 << 16
_BLOCK_BYTES: Final = 1 << 22


@dataclass(frozen=True)
class MalformedLine:
    """A line that is no row.

    Attributes:
        row_number: 1-based position among the data rows.
        text: The line as it stands.
        fields: How many fields it has.
    """

    row_number: int
    text: str
    fields: int


@dataclass
class RawFile:
    """An opened file.

    Attributes:
        path: Where it is.
        header: Column names as the file spells them.
        batches: Text columns under those names; to be consumed once.
        malformed: Lines that are no rows; complete once ``batches`` is consumed.
    """

    path: Path
    header: tuple[str, ...]
    batches: "Iterator[pa.RecordBatch]"
    malformed: list[MalformedLine] = field(default_factory=list)


def content_sha256(path: Path) -> str:
    """Hash the bytes of a file.

    Raises:
        SourceError: The file is missing or unreadable.
    """
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise _unreadable(path, error) from error


def open_file(path: Path) -> RawFile:
    """Open a file as batches of text rows.

    Args:
        path: A CSV, NDJSON or Parquet file; the form is told by the suffix, and CSV is assumed for an unknown one.

    Returns:
        The opened file. Reading its batches may still raise ``SourceError``.

    Raises:
        SourceError: Missing, unreadable, empty or truncated.
    """
    if path.is_dir():
        raise SourceError("a folder stands where a file is expected", where=str(path))
    try:
        size = path.stat().st_size
    except OSError as error:
        raise _unreadable(path, error) from error
    if size == 0:
        raise SourceError("the file is empty", where=str(path), next_step="check whether its export has finished")
    suffixes = [suffix.lower() for suffix in path.suffixes]
    compression = _COMPRESSIONS.get(suffixes[-1]) if suffixes else None
    form = (suffixes[-2] if len(suffixes) > 1 else "") if compression else (suffixes[-1] if suffixes else "")
    if form == ".parquet":
        return _open_parquet(path)
    if form in (".ndjson", ".jsonl"):
        return _open_ndjson(path, compression)
    return _open_csv(path, compression)


def _unreadable(path: Path, error: OSError) -> SourceError:
    what = "the file does not exist" if isinstance(error, FileNotFoundError) else "the file cannot be read"
    detail = error.strerror or type(error).__name__
    return SourceError(what, where=f"{path} ({detail})", next_step="check the path and its permissions")


def _stream(path: Path, compression: str | None) -> "pa.NativeFile":
    import pyarrow as pa

    try:
        return pa.input_stream(str(path), compression=compression)
    except OSError as error:
        raise _unreadable(path, error) from error


def _truncated(path: Path, detail: str) -> SourceError:
    return SourceError(
        "the file is truncated or not of its form",
        where=f"{path} ({detail[:160]})",
        next_step="let its export finish, or export it again; nothing of it was taken in",
    )


def _decoded_head(path: Path, compression: str | None) -> tuple[str, str]:
    """Read the first bytes and tell the encoding: UTF-8, UTF-16 by its mark, else Windows-1252."""
    try:
        with _stream(path, compression) as stream:
            head = stream.read(_HEAD_BYTES)
    except OSError as error:
        raise _truncated(path, str(error)) from error
    if not head:
        raise SourceError("the file is empty", where=str(path), next_step="check whether its export has finished")
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return head.decode("utf-16", errors="ignore"), "utf-16"
    if b"\x00" in head:
        raise SourceError(
            "the file is binary, not text", where=str(path), allowed=FILE_SUFFIXES, next_step="give it its true suffix"
        )
    try:
        # a multi-byte character may be cut at the end of the head
        return io.TextIOWrapper(io.BytesIO(head), "utf-8-sig").read() if len(head) < _HEAD_BYTES else head[
            : head.rfind(b"\n") + 1 or None
        ].decode("utf-8-sig"), "utf-8"
    except UnicodeDecodeError:
        return head.decode("cp1252", errors="replace"), "cp1252"


def _open_csv(path: Path, compression: str | None) -> RawFile:
    import pyarrow as pa
    import pyarrow.csv as pa_csv

    head, encoding = _decoded_head(path, compression)
    delimiter = _delimiter(head)
    header = next(csv.reader(io.StringIO(head), delimiter=delimiter), [])
    header = [name.strip() for name in header]
    if not any(header):
        raise SourceError("the first line holds no column names", where=str(path))
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise SourceError(f"column names occur twice: {', '.join(twice)}", where=str(path))
    malformed: list[MalformedLine] = []

    def refuse(row: "pa_csv.InvalidRow") -> str:
        # numbers count the header line as 1
        malformed.append(MalformedLine((row.number or 2) - 1, row.text, row.actual_columns))
        return "skip"

    def batches() -> "Iterator[pa.RecordBatch]":
        try:
            reader = pa_csv.open_csv(
                _stream(path, compression),
                read_options=pa_csv.ReadOptions(
                    column_names=header, skip_rows=1, use_threads=False, block_size=_BLOCK_BYTES, encoding=encoding
                ),
                parse_options=pa_csv.ParseOptions(
                    delimiter=delimiter, newlines_in_values=True, invalid_row_handler=refuse
                ),
                convert_options=pa_csv.ConvertOptions(
                    column_types=dict.fromkeys(header, pa.string()), strings_can_be_null=False
                ),
            )
            yield from reader
        except pa.ArrowInvalid as error:
            if "Empty CSV file" not in str(error):
                raise _truncated(path, str(error)) from error
        except OSError as error:
            raise _truncated(path, str(error)) from error
        _refuse_cut_end(path, compression, malformed, fields=len(header), encoding=encoding)

    return RawFile(path, tuple(header), batches(), malformed)


def _delimiter(head: str) -> str:
    first, *rest = head.splitlines()[:20] or [""]
    candidates = {mark: first.count(mark) for mark in (",", ";", "\t", "|")}
    best = max(candidates, key=lambda mark: candidates[mark])
    if candidates[best] == 0 and rest:
        return ","
    return best if candidates[best] else ","


def _refuse_cut_end(
    path: Path, compression: str | None, malformed: Sequence[MalformedLine], *, fields: int, encoding: str
) -> None:
    """Refuse a file whose last line is short and has no line end: it is still being written, or was cut."""
    if not malformed or malformed[-1].fields >= fields:
        return
    last = b""
    with _stream(path, compression) as stream:
        while block := stream.read(_BLOCK_BYTES):
            last = (last + block)[-_HEAD_BYTES:]
    end = "\n".encode("utf-16-le") if encoding == "utf-16" else b"\n"
    text = malformed[-1].text.strip()
    if not last.endswith(end) and last.decode(encoding, errors="replace").endswith(text):
        raise _truncated(path, f"its last line ends after {malformed[-1].fields} of {fields} fields")


def _open_ndjson(path: Path, compression: str | None) -> RawFile:
    import orjson
    import pyarrow as pa

    header: dict[str, None] = {}
    rows: list[dict[str, str | None]] = []
    malformed: list[MalformedLine] = []
    unfinished = False
    number = 0
    try:
        with _stream(path, compression) as stream:
            for number, line in enumerate(io.BufferedReader(stream), start=1):  # type: ignore[type-var]  # a NativeFile is a raw stream
                unfinished = not line.endswith(b"\n")
                if not line.strip():
                    continue
                try:
                    record = orjson.loads(line)
                except orjson.JSONDecodeError:
                    record = None
                if not isinstance(record, dict):
                    malformed.append(MalformedLine(number, line.decode("utf-8", errors="replace").strip(), 0))
                    continue
                header.update(dict.fromkeys(record))
                rows.append({key: _json_text(value) for key, value in record.items()})
    except OSError as error:
        raise _truncated(path, str(error)) from error
    if unfinished and malformed and malformed[-1].row_number == number:
        raise _truncated(path, "its last line is not complete JSON")
    schema = pa.schema([(name, pa.string()) for name in header])
    table = pa.Table.from_pylist(rows, schema=schema)
    return RawFile(path, tuple(header), iter(table.to_batches()), malformed)


def _json_text(value: object) -> str | None:
    import orjson

    if value is None or isinstance(value, str):
        return value
    return orjson.dumps(value).decode()


def _open_parquet(path: Path) -> RawFile:
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise _truncated(path, str(error)) from error
    nested = [field.name for field in file.schema_arrow if pa.types.is_nested(field.type)]
    header = tuple(name for name in file.schema_arrow.names if name not in nested)

    def text(column: "pa.Array") -> "pa.Array":
        if pa.types.is_timestamp(column.type):
            # UTC where the file states a zone; without one the field must name it
            form = "%Y-%m-%dT%H:%M:%SZ" if column.type.tz else "%Y-%m-%dT%H:%M:%S"
            return pc.strftime(column.cast(pa.timestamp("us", tz=column.type.tz and "UTC")), format=form)
        return column.cast(pa.string())

    def batches() -> "Iterator[pa.RecordBatch]":
        try:
            for batch in file.iter_batches(columns=list(header)):
                yield pa.RecordBatch.from_arrays([text(column) for column in batch.columns], names=list(header))
        except (pa.ArrowInvalid, OSError) as error:
            raise _truncated(path, str(error)) from error

    return RawFile(path, header, batches())
