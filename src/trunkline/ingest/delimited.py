"""CSV: comma, semicolon, tab or bar; quotes; LF, CRLF or CR; UTF-8, UTF-16 with its mark, or Windows-1252.

The whole file is looked through once before it is parsed: for its encoding, for a compressed stream that breaks off,
and for how it ends, because a parser takes a half-written file for a short one.
"""

import codecs
import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from trunkline.errors import SourceError
from trunkline.ingest.raw import BLOCK_BYTES, FILE_SUFFIXES, MalformedLine, RawFile, byte_stream, truncated

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.csv as pa_csv

__all__ = ["open_csv"]

_HEAD_BYTES: Final = 1 << 20
_DELIMITERS: Final = (",", ";", "\t", "|")
_MOST_MALFORMED: Final = 1_000_000
_NUL_SAMPLE: Final = 1 << 16


@dataclass(frozen=True)
class _Look:
    """What a first look at the file tells.

    Attributes:
        head: Its first mebibyte as text.
        encoding: ``utf-8``, ``utf-16`` or ``cp1252``.
        ends_line: Whether its last line has an end.
        quotes: How many quotation marks it has.
    """

    head: str
    encoding: str
    ends_line: bool
    quotes: int


def open_csv(path: Path, compression: str | None) -> RawFile:
    """Open a CSV file.

    Raises:
        SourceError: Not text, truncated, or without usable column names.
    """
    look = _look(path, compression)
    delimiter = _delimiter(look.head)
    reader = csv.reader(io.StringIO(look.head, newline=""), delimiter=delimiter)
    header = [name.strip() for name in next(reader, [])]
    header_lines = reader.line_num
    if not any(header):
        raise SourceError(
            "the first line holds no column names", where=str(path), next_step="export the table with its header"
        )
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise SourceError(
            f"column names occur twice: {', '.join(map(repr, twice))}",
            where=str(path),
            next_step="give each column a name of its own",
        )
    if look.quotes % 2 and (row := _unclosed_quote(path, compression, look.encoding, delimiter)) is not None:
        raise truncated(path, f"a quotation mark that opens in row {row} is never closed")
    malformed: list[MalformedLine] = []
    batches = _batches(path, compression, look, header, header_lines, delimiter, malformed)
    return RawFile(path, tuple(header), batches, malformed)


def _look(path: Path, compression: str | None) -> _Look:
    """Read the whole file once, in blocks."""
    head, last, quotes = b"", b"", 0
    utf8 = codecs.getincrementaldecoder("utf-8")()
    is_utf8 = True
    try:
        with byte_stream(path, compression) as stream:
            while block := stream.read(BLOCK_BYTES):
                head = head or block[:_HEAD_BYTES]
                last = block[-2:]
                quotes += block.count(b'"')
                # a character may be cut at the end of the last block, then the next one decides
                if is_utf8 and not (block.isascii() and utf8.getstate()[0] == b""):
                    is_utf8 = _decodes(utf8, block)
    except OSError as error:
        raise truncated(path, str(error)) from error
    if not head:
        raise SourceError("the file is empty", where=str(path), next_step="check whether its export has finished")
    ends_line = last[-1:] in (b"\n", b"\r")
    if head[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        ends_line = ends_line or last in (b"\n\x00", b"\r\x00")
        return _Look(head.decode("utf-16", errors="ignore"), "utf-16", ends_line, quotes)
    if b"\x00" in head[:_NUL_SAMPLE]:
        raise SourceError(
            "the file is binary, not text", where=str(path), allowed=FILE_SUFFIXES, next_step="give it its true suffix"
        )
    if is_utf8:
        return _Look(head.decode("utf-8-sig", errors="ignore"), "utf-8", ends_line, quotes)
    return _Look(head.decode("cp1252", errors="replace"), "cp1252", ends_line, quotes)


def _decodes(decoder: codecs.IncrementalDecoder, block: bytes) -> bool:
    try:
        decoder.decode(block)
    except UnicodeDecodeError:
        return False
    return True


def _delimiter(head: str) -> str:
    """Take the delimiter that gives the first line the most fields; a comma where none gives two."""

    def fields(delimiter: str) -> int:
        return len(next(csv.reader(io.StringIO(head, newline=""), delimiter=delimiter), []))

    return max(_DELIMITERS, key=fields)


def _unclosed_quote(path: Path, compression: str | None, encoding: str, delimiter: str) -> int | None:
    """Say in which data row a quotation mark opens that is still open at the end of the file; None where none is."""
    is_over = False
    with byte_stream(path, compression) as stream:
        lines = io.TextIOWrapper(io.BufferedReader(stream), encoding, errors="replace", newline="")

        def watched() -> Iterator[str]:
            nonlocal is_over
            yield from lines
            is_over = True

        rows = 0
        previous = csv.field_size_limit(1 << 30)
        try:
            # a row that is complete is given before the next line is asked for
            for row in csv.reader(watched(), delimiter=delimiter):
                rows += bool(row)
                if is_over:
                    return max(rows - 1, 0)
        finally:
            csv.field_size_limit(previous)
    return None


def _batches(
    path: Path,
    compression: str | None,
    look: _Look,
    header: Sequence[str],
    header_lines: int,
    delimiter: str,
    malformed: list[MalformedLine],
) -> "Iterator[pa.RecordBatch]":
    import pyarrow as pa
    import pyarrow.csv as pa_csv

    def refuse(row: "pa_csv.InvalidRow") -> str:
        if len(malformed) == _MOST_MALFORMED:
            return "error"
        # the parser counts the lines of the header as rows, and does not count empty lines
        malformed.append(MalformedLine((row.number or header_lines + 1) - header_lines, row.text, row.actual_columns))
        return "skip"

    # positions stand for names, which may be empty or differ only in case
    names = [str(position) for position in range(len(header))]
    rows = 0
    try:
        reader = pa_csv.open_csv(
            byte_stream(path, compression),
            read_options=pa_csv.ReadOptions(
                column_names=names,
                skip_rows=header_lines,
                use_threads=False,
                block_size=BLOCK_BYTES,
                encoding=look.encoding,
            ),
            parse_options=pa_csv.ParseOptions(delimiter=delimiter, newlines_in_values=True, invalid_row_handler=refuse),
            convert_options=pa_csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False
            ),
        )
        for batch in reader:
            rows += batch.num_rows
            yield batch.rename_columns(list(header))
    except pa.ArrowInvalid as error:
        text = str(error)
        if "Empty CSV file" in text or "Could not skip initial" in text:
            return
        if len(malformed) == _MOST_MALFORMED:
            raise SourceError(
                f"more than {_MOST_MALFORMED:,} lines do not have the {len(header)} fields of the first line",
                where=str(path),
                next_step="check its delimiter and its header",
            ) from None
        is_long = "straddl" in text or "block size" in text
        raise truncated(path, f"a row is longer than {BLOCK_BYTES >> 20} MiB" if is_long else _named(text)) from None
    except UnicodeDecodeError:
        raise SourceError(
            "the text is in no known encoding", where=str(path), allowed=("UTF-8", "UTF-16", "Windows-1252")
        ) from None
    except OSError as error:
        raise truncated(path, str(error)) from error
    last = malformed[-1] if malformed else None
    if last and not look.ends_line and last.fields < len(header) and last.row_number >= rows + len(malformed):
        raise truncated(path, f"its last line ends after {last.fields} of {len(header)} fields")


def _named(text: str) -> str:
    """Cut a parser's message before it quotes a row."""
    return text.partition(":")[0]
