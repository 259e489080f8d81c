"""JSON documents: an array of objects, objects one after another, or an object with such an array under a known name.

Takes ``[{...}, ...]``, ``{...} {...}`` or ``{"rows": [{...}, ...], ...}`` and gives one row per object, flattened:
objects inside become columns with dotted names, lists texts of JSON. The document is read up to three times in
bounded memory, value by value: for its layout, for the names of all columns, and for the rows. An element that is no
object, or that strict JSON does not allow (``NaN``, half a surrogate pair), is a malformed line. Whatever breaks the
document itself is refused as a whole: it may be half written.
"""

import codecs
import io
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, Self

from trunkline.errors import SourceError
from trunkline.ingest.byte_stream import ByteStream, refuse_width
from trunkline.ingest.formats.json_values import Flattened, TextRows, json_record
from trunkline.ingest.raw import Aside, MalformedLine, RawFile, empty, truncated

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["ARRAY_NAMES", "open_json"]

ARRAY_NAMES: Final = ("data", "items", "records", "results", "rows")
"""Names (whatever their case) under which an object may hold the array of rows."""

_BLOCK_CHARACTERS: Final = 1 << 20
_SPACE: Final = " \t\n\r"
_MARKS: Final = (
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# numbers stay texts here: what they mean is read later, once, by the reader of strict JSON
_SCANNER: Final = json.JSONDecoder(parse_int=str, parse_float=str, strict=False)


def open_json(source: ByteStream) -> RawFile:
    """Open a JSON document.

    Raises:
        SourceError: Truncated, without any object, or beyond the limits.
    """
    key = _array_key(source)
    header: dict[str, None] = {}
    aside = Aside(source.path, most_bytes=source.limits.max_refused_mb << 20)
    number = 0
    for number, text in enumerate(_elements(source, key), 1):
        record = json_record(text)
        if record is None:
            aside.add(MalformedLine(number, text.encode("utf-8", errors="replace").decode(), 0))
        else:
            header.update(dict.fromkeys(Flattened.names(record)))
            refuse_width(source, len(header))
    if number == 0:
        raise empty(source.path)
    if number == len(aside.lines):
        raise truncated(source.path, "no element is a JSON object")
    if not header:
        raise SourceError("no object has a name", where=str(source.path), next_step="check its export")
    return RawFile(source.path, tuple(header), _batches(source, key, tuple(header)), aside.lines)


def _batches(source: ByteStream, key: str | None, header: tuple[str, ...]) -> "Iterator[pa.RecordBatch]":
    flattened, rows = Flattened(header), TextRows(header)
    for text in _elements(source, key):
        record = json_record(text)
        if record is not None and rows.add(flattened.values(record), size=len(text)):
            yield rows.batch()
    if rows.rows:
        yield rows.batch()


class _Text:
    """A window on the document's text, moved forward value by value."""

    def __init__(self, source: ByteStream, stream: io.BufferedReader) -> None:
        head = stream.peek(4)[:4]
        encoding = next((name for mark, name in _MARKS if head.startswith(mark)), "utf-8-sig")
        self._reader = io.TextIOWrapper(stream, encoding, newline="")
        self._source = source
        self._text, self._at = "", 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._reader.close()

    def _more(self) -> bool:
        """Read on; gives whether there was more."""
        held = len(self._text) - self._at
        if held > self._source.longest_record:
            raise self.broken(f"not JSON, or a value is longer than {self._source.limits.max_record_mb} MiB")
        try:
            # as much again as is held, so that a long value is not scanned too often
            block = self._reader.read(max(_BLOCK_CHARACTERS, held))
        except UnicodeError:
            raise self.broken("neither UTF-8 nor UTF-16 or UTF-32 with its mark") from None
        self._text, self._at = self._text[self._at :] + block, 0
        return bool(block)

    def peek(self) -> str:
        """Pass over white space; gives the next character without taking it, none at the end."""
        while True:
            text, at = self._text, self._at
            while at < len(text) and text[at] in _SPACE:
                at += 1
            self._at = at
            if at < len(text):
                return text[at]
            if not self._more():
                return ""

    def take(self, signs: str) -> str:
        """Take one of some characters.

        Raises:
            SourceError: Another one stands there.
        """
        sign = self.peek()
        if not sign or sign not in signs:
            raise self.broken("it ends too early" if not sign else "a sign stands where none may stand")
        self._at += 1
        return sign

    def value(self) -> tuple[object, str]:
        """Take a value; gives it, numbers as texts, and its own text.

        Raises:
            SourceError: There is none, or it is longer than a record may be.
        """
        self.peek()
        while True:
            value: object = None
            try:
                value, end = _SCANNER.raw_decode(self._text, self._at)
            except json.JSONDecodeError:
                end = -1
            except RecursionError:
                raise self.broken("it is nested too deeply") from None
            # a number may go on behind the window
            if 0 <= end < len(self._text):
                break
            if not self._more():
                if end < 0:
                    raise self.broken("a value is broken or ends too early")
                break
        text = self._text[self._at : end]
        self._at = end
        if len(text) > self._source.longest_record:
            raise self.broken(f"a value is longer than {self._source.limits.max_record_mb} MiB")
        return value, text

    def holds_rows(self) -> bool:
        """Say whether an array begins here that is empty or begins with an object; takes nothing."""
        if self.peek() != "[":
            return False
        at = self._at + 1
        while True:
            text = self._text
            while at < len(text) and text[at] in _SPACE:
                at += 1
            if at < len(text):
                return text[at] in "{]"
            at -= self._at
            if not self._more():
                return False

    def broken(self, detail: str) -> SourceError:
        return truncated(self._source.path, detail)


def _array_key(source: ByteStream) -> str | None:
    """Name the member whose array holds the rows; None where the document itself does."""
    try:
        with source.stream() as stream, _Text(source, stream) as text:
            first = text.peek()
            if not first:
                raise empty(source.path)
            if first == "[":
                return None
            return next(_members(text), None)
    except OSError as error:
        raise truncated(source.path, str(error)) from error


def _members(text: _Text) -> Iterator[str]:
    """Pass over an object; gives the names of members that hold rows, whose arrays the caller may take."""
    text.take("{")
    if text.peek() == "}":
        text.take("}")
        return
    while True:
        if text.peek() != '"':
            raise text.broken("a name is missing, or it ends too early")
        name, _ = text.value()
        text.take(":")
        if str(name).lower() in ARRAY_NAMES and text.holds_rows():
            yield str(name)
            if text.peek() == "[":  # the caller let it be
                text.value()
        else:
            text.value()
        if text.take(",}") == "}":
            return


def _elements(source: ByteStream, key: str | None) -> Iterator[str]:
    """Give the text of each element."""
    try:
        with source.stream() as stream, _Text(source, stream) as text:
            if key is not None:
                for earlier, _ in enumerate(_members(text)):
                    if earlier:
                        raise SourceError(
                            f"it holds several arrays of rows ({', '.join(ARRAY_NAMES)})",
                            where=str(source.path),
                            next_step="give one of them in a file of its own",
                        )
                    yield from _array(text)
            elif text.peek() == "[":
                yield from _array(text)
            else:
                while text.peek():
                    yield text.value()[1]
                return
            if text.peek():
                raise text.broken("something follows its end")
    except OSError as error:
        raise truncated(source.path, str(error)) from error


def _array(text: _Text) -> Iterator[str]:
    text.take("[")
    if text.peek() == "]":
        text.take("]")
        return
    while True:
        yield text.value()[1]
        if text.take(",]") == "]":
            return
