"""Spreadsheets: one sheet of .xlsx, .xls, .xlsb or .ods; the first, or the one that ``FILE.xlsx#Sheet name`` names.

The first row with a value is the header; empty rows do not count. Numbers lose a ``.0``, because a sheet knows no
whole numbers; dates and times are ISO 8601 without a zone; empty cells are null. A row with a value to the right of
the header is a malformed line. A sheet is in memory as a whole by its nature, so files over a limit are refused, and
reading is done in a process whose memory and time are limited (``excel_child``).
"""

import importlib.util
import json
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final, cast

from trunkline.errors import MissingExtraError, SourceError
from trunkline.ingest.byte_stream import ByteStream, refuse_width
from trunkline.ingest.formats.json_values import TextRows
from trunkline.ingest.raw import BLOCK_BYTES, Aside, MalformedLine, RawFile, empty, refuse_twins, truncated

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["open_excel"]

_ZIP_MARK: Final = b"PK\x03\x04"
_OLD_MARK: Final = b"\xd0\xcf\x11\xe0"
_CHILD: Final = Path(__file__).with_name("excel_child.py")
_MOST_PARTS: Final = 100_000


def open_excel(source: ByteStream, *, sheet: str | None = None) -> RawFile:
    """Open one sheet of a spreadsheet.

    Args:
        source: The file.
        sheet: The sheet's name; None takes the first.

    Raises:
        SourceError: No spreadsheet, damaged, without a header, or beyond the limits; or there is no such sheet.
        MissingExtraError: python-calamine is not installed.
    """
    path, limits = source.path, source.limits
    if importlib.util.find_spec("python_calamine") is None:
        raise MissingExtraError("python_calamine", extra="formats")
    if path.stat().st_size > limits.max_excel_mb << 20:
        raise _too_large(source, f"larger than {limits.max_excel_mb} MiB", "max_excel_mb")
    _refuse_bomb(source)
    lines = _read(source, sheet or "")
    sheets: list[str] = json.loads(lines[0])["sheets"]
    if sheet and sheet not in sheets:
        raise SourceError(f"there is no sheet {sheet!r}", where=str(path), allowed=sheets)
    rows = lines[1:]
    if not rows:
        raise empty(path)
    header = [(name or "").strip() for name in cast("list[str | None]", json.loads(rows[0]))]
    refuse_width(source, len(header))
    refuse_twins(path, header)
    aside = Aside(path, most_bytes=limits.max_refused_mb << 20)
    return RawFile(path, tuple(header), _batches(rows[1:], tuple(header), aside), aside.lines)


def _batches(lines: Sequence[bytes], header: tuple[str, ...], aside: Aside) -> "Iterator[pa.RecordBatch]":
    rows = TextRows(header)
    for number, line in enumerate(lines, 1):
        texts: list[str | None] = json.loads(line)
        if len(texts) > len(header):
            aside.add(MalformedLine(number, line.decode(), len(texts)))
            continue
        if rows.add_texts([*texts, *[None] * (len(header) - len(texts))], size=len(line)):
            yield rows.batch()
    if rows.rows:
        yield rows.batch()


def _read(source: ByteStream, sheet: str) -> list[bytes]:
    """Let the other process read; gives its lines."""
    limits = source.limits
    sizes = (str(limits.max_excel_memory_mb), str(limits.max_excel_expanded_mb))
    command = [sys.executable, "-I", str(_CHILD), str(source.path.absolute()), sheet, *sizes]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=limits.excel_timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise _too_large(source, f"not read within {limits.excel_timeout_s:g} seconds", "excel_timeout_s") from None
    lines = done.stdout.splitlines()
    if done.returncode == 0 and lines:
        return lines
    said = json.loads(lines[-1]) if done.returncode == 3 and lines else {}
    error = said.get("error", "the reader broke down") if isinstance(said, dict) else "the reader broke down"
    if error == "too large":
        raise _too_large(source, f"more than {limits.max_excel_expanded_mb} MiB of cells", "max_excel_expanded_mb")
    if error == "MemoryError" or done.returncode < 0:
        raise _too_large(
            source, f"damaged, or needs more than {limits.max_excel_memory_mb} MiB of memory", "max_excel_memory_mb"
        )
    if error == "PasswordError":
        raise SourceError(
            "the spreadsheet is encrypted", where=str(source.path), next_step="save it without a password"
        )
    raise truncated(source.path, str(error))


def _refuse_bomb(source: ByteStream) -> None:
    """Unpack the parts of a spreadsheet once and count, whatever its directory says about their sizes."""
    left = source.limits.max_excel_expanded_mb << 20
    with source.path.open("rb") as stream:
        mark = stream.read(4)
        if mark == _OLD_MARK:
            return
        if mark != _ZIP_MARK:
            raise truncated(source.path, "not a spreadsheet")
        try:
            parts = zipfile.ZipFile(stream).infolist()
            if len(parts) > _MOST_PARTS:
                raise truncated(source.path, "too many parts")
            for part in parts:
                left -= _unpacked_bytes(stream, part, left)
                if left < 0:
                    raise _too_large(
                        source,
                        f"more than {source.limits.max_excel_expanded_mb} MiB when unpacked",
                        "max_excel_expanded_mb",
                    )
        except (
            OSError,
            EOFError,
            LookupError,
            NotImplementedError,
            ValueError,
            zipfile.BadZipFile,
            zlib.error,
        ) as error:
            raise truncated(source.path, type(error).__name__) from None


def _unpacked_bytes(stream: BinaryIO, part: zipfile.ZipInfo, most: int) -> int:
    """Count what a part gives, up to just above ``most``."""
    if part.compress_type != zipfile.ZIP_DEFLATED:
        return part.compress_size
    stream.seek(part.header_offset)
    head = stream.read(30)
    stream.seek(int.from_bytes(head[26:28], "little") + int.from_bytes(head[28:30], "little"), 1)
    packing, left, given = zlib.decompressobj(-15), part.compress_size, 0
    while left > 0 and not packing.eof and given <= most:
        block = stream.read(min(left, BLOCK_BYTES))
        if not block:
            break
        left -= len(block)
        while block and given <= most:
            given += len(packing.decompress(block, BLOCK_BYTES))
            block = packing.unconsumed_tail
    return given


def _too_large(source: ByteStream, what: str, setting: str) -> SourceError:
    return SourceError(
        f"the spreadsheet is {what}",
        where=str(source.path),
        next_step=f"save its sheet as CSV, or raise the setting ingest.{setting}",
    )
