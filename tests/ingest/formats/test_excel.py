"""Spreadsheets: sheets, headers, the texts of cells, and files made to harm."""

import io
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from trunkline.errors import SourceError
from trunkline.ingest.files import content_sha256
from trunkline.ingest.raw import MalformedLine
from trunkline.settings.ingest import IngestSettings

pytest.importorskip("python_calamine", reason="the extra formats is not installed")

Taken = tuple[tuple[str, ...], dict[int, dict[str, str | None]], list[MalformedLine]]
Read = Callable[..., Taken]
Write = Callable[[str, bytes | str], Path]
Xlsx = Callable[[dict[str, dict[str, object]]], bytes]

BOOK: dict[str, dict[str, object]] = {
    "Calls": {
        "B2": "id", "C2": " name ", "D2": "at",
        "B4": 5, "C4": "x", "D4": (45000,),
        "B5": 5.25, "C5": True, "D5": (45000.5,),
        "B7": -1e20, "C7": None, "D7": "2026-01-01",
        "B8": 1, "F8": "too far",
        "B9": 12345678901, "C9": "é\nx",
    },
    "Other sheet": {"A1": "a", "A2": 1},
    "Nothing": {},
}  # fmt: skip
ROWS: dict[int, dict[str, str | None]] = {
    1: {"id": "5", "name": "x", "at": "2023-03-15"},
    2: {"id": "5.25", "name": "true", "at": "2023-03-15T12:00:00"},
    3: {"id": "-1e+20", "name": None, "at": "2026-01-01"},
    5: {"id": "12345678901", "name": "é\nx", "at": None},
}


def test_the_first_sheet(xlsx: Xlsx, read: Read, write: Write) -> None:
    header, rows, malformed = read(write("book.xlsx", xlsx(BOOK)))
    assert header == ("id", "name", "at")
    assert {number: {**row, "at": str(row["at"]).removesuffix("T00:00:00")} for number, row in rows.items()} == {
        number: {**row, "at": str(row["at"])} for number, row in ROWS.items()
    }
    assert [(line.row_number, line.fields) for line in malformed] == [(4, 5)]


def test_a_named_sheet(xlsx: Xlsx, read: Read, write: Write) -> None:
    path = write("book.xlsx", xlsx(BOOK))
    named = path.with_name("book.xlsx#Other sheet")
    assert read(named)[1] == {1: {"a": "1"}}
    assert len({content_sha256(path), content_sha256(named), content_sha256(path.with_name("book.xlsx#Calls"))}) == 3
    with pytest.raises(SourceError, match="there is no sheet 'No'") as caught:
        read(path.with_name("book.xlsx#No"))
    assert caught.value.allowed == ("Calls", "Other sheet", "Nothing")
    with pytest.raises(SourceError, match="the file is empty"):
        read(path.with_name("book.xlsx#Nothing"))
    with pytest.raises(SourceError, match="does not exist"):
        read(path.with_name("gone.xlsx#Calls"))


def test_open_document(read: Read, write: Write) -> None:
    names = "urn:oasis:names:tc:opendocument:xmlns"
    content = (
        f'<office:document-content xmlns:office="{names}:office:1.0" xmlns:table="{names}:table:1.0" '
        f'xmlns:text="{names}:text:1.0"><office:body><office:spreadsheet><table:table table:name="One">'
        '<table:table-row><table:table-cell office:value-type="string"><text:p>a</text:p></table:table-cell>'
        '<table:table-cell office:value-type="string"><text:p>on</text:p></table:table-cell></table:table-row>'
        '<table:table-row><table:table-cell office:value-type="float" office:value="7"/>'
        '<table:table-cell office:value-type="date" office:date-value="2026-03-01"/></table:table-row>'
        "</table:table></office:spreadsheet></office:body></office:document-content>"
    )
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as parts:
        parts.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        parts.writestr("content.xml", content)
        parts.writestr(
            "META-INF/manifest.xml",
            f'<manifest:manifest xmlns:manifest="{names}:manifest:1.0"><manifest:file-entry '
            'manifest:full-path="/" manifest:media-type="application/vnd.oasis.opendocument.spreadsheet"/>'
            '<manifest:file-entry manifest:full-path="content.xml" manifest:media-type="text/xml"/>'
            "</manifest:manifest>",
        )
    header, rows, _ = read(write("book.ods", sink.getvalue()))
    assert header == ("a", "on")
    assert rows[1]["a"] == "7"
    assert str(rows[1]["on"]).startswith("2026-03-01")


def test_what_cannot_be_read_is_refused(xlsx: Xlsx, read: Read, write: Write) -> None:
    book = xlsx(BOOK)
    for name, content, says in (
        ("cut.xlsx", book[:-100], "truncated"),
        ("text.xlsx", b"a,b\n1,2\n", "truncated"),
        ("old.xls", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\x00" * 600, "truncated"),
        ("wrong.xlsb", book, "truncated"),
        ("packed.xlsx.gz", b"\x1f\x8b", "is read as it is, not packed"),
        ("twice.xlsx", xlsx({"S": {"A1": "a", "B1": "a", "A2": 1}}), "column names occur twice"),
    ):
        with pytest.raises(SourceError, match=says):
            read(write(name, content))


def test_hostile_files_are_refused(xlsx: Xlsx, read: Read, write: Write) -> None:
    # two cells that span 17 thousand million empty ones
    with pytest.raises(SourceError, match="needs more than 300 MiB of memory"):
        read(write("far.xlsx", xlsx({"S": {"A1": 1, "XFD1048576": 1}})), IngestSettings(max_excel_memory_mb=300))
    book = write("large.xlsx", xlsx({"S": {"A1": "a", "A2": "x" * (3 << 20)}}))
    with pytest.raises(SourceError, match="more than 1 MiB when unpacked"):
        read(book, IngestSettings(max_excel_expanded_mb=1))
    # a directory that lies about the size of a part
    data = bytearray(book.read_bytes())
    at = data.rfind(b"PK\x01\x02")
    data[at + 24 : at + 28] = struct.pack("<I", 10)
    with pytest.raises(SourceError, match="more than 1 MiB when unpacked"):
        read(write("liar.xlsx", bytes(data)), IngestSettings(max_excel_expanded_mb=1))
    noise = write("noise.xlsx", book.read_bytes() + b"\x00" * (2 << 20))
    with pytest.raises(SourceError, match="larger than 1 MiB"):
        read(noise, IngestSettings(max_excel_mb=1))
