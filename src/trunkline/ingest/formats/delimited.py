"""CSV of any dialect; LF, CRLF or CR; UTF-8, UTF-16, UTF-32 with its mark, Windows-1252, or the encoding that is said.

The whole file is looked through once before it is parsed: for its encoding, for a packed stream that breaks off, and
for how it ends, because a parser takes a half-written file for a short one.

Where nothing is said, the encoding is what the mark at the beginning says; without one it is UTF-16 where every other
byte of the head is zero, UTF-8 where the whole file is valid UTF-8, and else Windows-1252.
"""

import codecs
import csv
import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import IO, TYPE_CHECKING, Final, cast

from typing_extensions import Buffer

from trunkline.errors import SourceError
from trunkline.ingest.byte_stream import ByteStream, refuse_width
from trunkline.ingest.formats.dialect import Header, header_of
from trunkline.ingest.raw import (
    BLOCK_BYTES,
    FILE_SUFFIXES,
    Aside,
    MalformedLine,
    RawFile,
    empty,
    refuse_twins,
    truncated,
)

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.csv as pa_csv

__all__ = ["open_csv"]

_HEAD_BYTES: Final = 1 << 20
_LINES_AT_ONCE: Final = 10_000
_NUL_SAMPLE: Final = 1 << 16
_MARKS: Final = (
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_WIDTH: Final = {"utf-32": 4, "utf-16": 2, "utf-16-le": 2, "utf-16-be": 2}


@dataclass(frozen=True)
class _Look:
    """What a first look at the file tells.

    Attributes:
        head: Its first mebibyte as text.
        is_cut: Whether it goes on behind that.
        encoding: Python's name of it.
        ends_line: Whether its last line has an end.
        may_be_open: Whether a quotation mark may be left open.
        has_quotes: Whether there is a double one anywhere.
    """

    head: str
    is_cut: bool
    encoding: str
    ends_line: bool
    may_be_open: bool
    has_quotes: bool


def open_csv(source: ByteStream) -> RawFile:
    """Open a CSV file.

    Raises:
        SourceError: Not text, truncated, without usable column names, or beyond the limits.
    """
    path = source.path
    look = _look(source)
    with _longest_field(source.longest_record):
        told = header_of(path, look.head, source.limits.csv, is_cut=look.is_cut)
        header, dialect = told.names, told.dialect
        if not any(header):
            raise SourceError(
                "the first line holds no column names", where=str(path), next_step="export the table with its header"
            )
        refuse_width(source, len(header))
        refuse_twins(path, header)
        may_be_open = dialect.quote and (look.may_be_open or not dialect.is_usual)
        row = _unclosed_quote(source, look.encoding, told) if may_be_open else None
    if row is not None:
        raise truncated(path, f"a quotation mark that opens in row {row} is never closed")
    aside = Aside(path, most_bytes=source.limits.max_refused_mb << 20)
    return RawFile(path, tuple(header), _batches(source, look, told, aside), aside.lines)


def _look(source: ByteStream) -> _Look:
    """Read the whole file once, in blocks."""
    head, last, quotes, size = b"", b"", 0, 0
    utf8 = codecs.getincrementaldecoder("utf-8")()
    is_utf8 = True
    try:
        with source.stream() as stream:
            while block := stream.read(BLOCK_BYTES):
                head = head or block[:_HEAD_BYTES]
                size += len(block)
                last = (last + block[-4:])[-4:]
                quotes += block.count(b'"') if b'"' in block else 0  # to find none is much quicker than to count
                # a character may be cut at the end of the last block, then the next one decides
                if is_utf8 and not (block.isascii() and utf8.getstate()[0] == b""):
                    is_utf8 = _decodes(utf8, block)
    except OSError as error:
        raise truncated(source.path, str(error)) from error
    if not head:
        raise empty(source.path)
    is_cut = size > len(head)
    encoding = source.limits.csv.encoding or _wide(head)
    if encoding == "utf-8" and not (is_utf8 and not utf8.getstate()[0]):
        raise _not_text(source)
    if encoding:
        # a byte that looks like a quotation mark may be half of another character
        ends_line = last[-_WIDTH.get(encoding, 1) :].replace(b"\x00", b"") in (b"\n", b"\r")
        text = head.decode("utf-8-sig" if encoding == "utf-8" else encoding, errors="ignore")
        return _Look(text, is_cut, encoding, ends_line, may_be_open=quotes > 0, has_quotes=quotes > 0)
    if b"\x00" in head[:_NUL_SAMPLE]:
        raise SourceError(
            "the file is binary, not text",
            where=str(source.path),
            allowed=FILE_SUFFIXES,
            next_step="give it its true suffix",
        )
    encoding, errors = ("utf-8-sig", "ignore") if is_utf8 and not utf8.getstate()[0] else ("cp1252", "replace")
    ends_line = last[-1:] in (b"\n", b"\r")
    text = head.decode(encoding, errors=errors)
    encoding = encoding.removesuffix("-sig")
    return _Look(text, is_cut, encoding, ends_line, may_be_open=quotes % 2 > 0, has_quotes=quotes > 0)


def _not_text(source: ByteStream) -> SourceError:
    said = source.limits.csv.encoding
    return SourceError(
        f"the text is not {said}" if said else "the text is in no known encoding",
        where=str(source.path),
        allowed=() if said else ("UTF-8", "UTF-16", "UTF-32", "Windows-1252"),
        next_step="say its encoding: `encoding` of the settings ingest.csv, or of the source's csv",
    )


def _wide(head: bytes) -> str:
    """Name the encoding of a text with more than one byte per character; empty where it is none."""
    for mark, encoding in _MARKS:
        if head.startswith(mark):
            return encoding
    sample = head[:_NUL_SAMPLE]
    even, odd = sample[::2].count(0), sample[1::2].count(0)
    half = len(sample) // 2
    if half >= 2 and odd > 0.8 * half and not even:
        return "utf-16-le"
    return "utf-16-be" if half >= 2 and even > 0.8 * half and not odd else ""


def _decodes(decoder: codecs.IncrementalDecoder, block: bytes) -> bool:
    try:
        decoder.decode(block)
    except UnicodeDecodeError:
        return False
    return True


@contextmanager
def _longest_field(size: int) -> Iterator[None]:
    """Let Python's reader of CSV take fields up to a size (characters); the limit is the whole process's."""
    previous = csv.field_size_limit(size)
    try:
        yield
    finally:
        csv.field_size_limit(previous)


def _unclosed_quote(source: ByteStream, encoding: str, told: Header) -> int | None:
    """Say in which data row a quotation mark opens that is still open at the end of the file; None where none is."""
    is_over, rows = False, 0
    with (
        source.stream() as stream,
        io.TextIOWrapper(stream, encoding, errors="replace", newline="") as lines,
    ):

        def watched() -> Iterator[str]:
            nonlocal is_over
            while line := lines.readline(source.longest_record):
                yield line
            is_over = True

        try:
            # a row that is complete is given before the next line is asked for
            for row in told.dialect.rows(islice(told.dialect.lines(watched()), told.dialect.passed, None)):
                rows += bool(row)
                if is_over:
                    return max(rows - 1, 0)
        except csv.Error:
            return rows
    return None


class _Encoded(io.RawIOBase):
    """Lines of text as a stream of UTF-8."""

    def __init__(self, lines: Iterator[str]) -> None:
        self._lines, self._left = lines, b""

    def readable(self) -> bool:
        return True

    def readinto(self, target: Buffer) -> int:
        view = memoryview(target).cast("B")
        if not self._left:
            self._left = "".join(islice(self._lines, _LINES_AT_ONCE)).encode()
        given, self._left = self._left[: len(view)], self._left[len(view) :]
        view[: len(given)] = given
        return len(given)


@contextmanager
def _without_comments(source: ByteStream, look: _Look, told: Header) -> "Iterator[tuple[IO[bytes], str]]":
    """Open a file for a parser that knows no comments; gives the stream and its encoding."""
    with source.stream() as stream:
        if told.dialect.comment is None:
            yield stream, look.encoding
            return
        encoding = "utf-8-sig" if look.encoding == "utf-8" else look.encoding
        with io.TextIOWrapper(stream, encoding, newline="") as lines:
            text = iter(lambda: lines.readline(source.longest_record), "")
            yield cast("IO[bytes]", io.BufferedReader(_Encoded(told.dialect.lines(text)), BLOCK_BYTES)), "utf-8"


def _batches(source: ByteStream, look: _Look, told: Header, aside: Aside) -> "Iterator[pa.RecordBatch]":
    import pyarrow as pa
    import pyarrow.csv as pa_csv

    is_full = False
    header, header_lines, dialect = told.names, told.lines, told.dialect
    quote = dialect.quote if look.has_quotes or dialect.quote != '"' else ""

    def refuse(row: "pa_csv.InvalidRow") -> str:
        nonlocal is_full
        if not aside.fits(row.text):
            is_full = True
            return "error"
        # the parser counts the lines of the header as rows, and does not count empty lines
        number = (row.number or header_lines + 1) - header_lines
        aside.lines.append(MalformedLine(number, row.text, row.actual_columns))
        return "skip"

    # positions stand for names, which may be empty or differ only in case
    names = [str(position) for position in range(len(header))]
    block = max(BLOCK_BYTES, source.longest_record)
    rows = 0
    try:
        with _without_comments(source, look, told) as (stream, encoding):
            reader = pa_csv.open_csv(
                stream,
                read_options=pa_csv.ReadOptions(
                    column_names=names,
                    skip_rows=header_lines,
                    use_threads=False,
                    block_size=block,
                    encoding=encoding,
                ),
                parse_options=pa_csv.ParseOptions(
                    delimiter=dialect.delimiter,
                    quote_char=quote or False,
                    double_quote=bool(quote),
                    escape_char=dialect.escape or False,
                    newlines_in_values=bool(quote),
                    invalid_row_handler=refuse,
                ),
                convert_options=pa_csv.ConvertOptions(
                    column_types=dict.fromkeys(names, pa.string()),
                    strings_can_be_null=False,
                    check_utf8=False,  # the look has seen to it, or what decoded the text
                ),
            )
            for batch in reader:
                rows += batch.num_rows
                yield batch.rename_columns(list(header))
    except pa.ArrowInvalid as error:
        text = str(error)
        if "Empty CSV file" in text or "Could not skip initial" in text:
            return
        if is_full:
            raise aside.overflow() from None
        is_long = "straddl" in text or "block size" in text
        raise truncated(source.path, f"a row is longer than {block >> 20} MiB" if is_long else _named(text)) from None
    except UnicodeError:
        raise _not_text(source) from None
    except OSError as error:
        raise truncated(source.path, str(error)) from error
    last = aside.lines[-1] if aside.lines else None
    if last and not look.ends_line and last.fields < len(header) and last.row_number >= rows + len(aside.lines):
        raise truncated(source.path, f"its last line ends after {last.fields} of {len(header)} fields")


def _named(text: str) -> str:
    """Cut a parser's message before it quotes a row."""
    return text.partition(":")[0]
