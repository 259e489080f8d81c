"""What the tests of all forms share: reading a file to its end, and spreadsheets written by hand."""

import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from xml.sax.saxutils import escape

import pytest

from trunkline.ingest import open_file
from trunkline.ingest.raw import MalformedLine
from trunkline.settings.ingest import IngestSettings

Row = dict[str, str | None]


Taken = tuple[tuple[str, ...], dict[int, Row], list[MalformedLine]]
"""Header, rows by number, and lines that are no rows."""


@pytest.fixture(scope="session")
def read() -> Callable[..., Taken]:
    def made(path: Path, limits: IngestSettings | None = None) -> Taken:
        opened = open_file(path, limits=limits or IngestSettings())
        rows: dict[int, Row] = {}
        for numbers, batch in opened.numbered():
            assert tuple(batch.schema.names) == opened.header
            assert len(numbers) == batch.num_rows
            columns = [column.to_pylist() for column in batch.columns]
            for number, *row in zip(numbers.to_pylist(), *columns, strict=True):
                assert number not in rows
                rows[number] = dict(zip(opened.header, row, strict=True))
        assert not rows.keys() & {line.row_number for line in opened.malformed}
        return opened.header, rows, opened.malformed

    return made


_OFFICE = "http://schemas.openxmlformats.org"
_SHEETS = f"{_OFFICE}/spreadsheetml/2006/main"
_RELATIONS = f"{_OFFICE}/officeDocument/2006/relationships"


def _cell(place: str, value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return f'<c r="{place}" t="b"><v>{int(value)}</v></c>'
    if isinstance(value, str):
        return f'<c r="{place}" t="inlineStr"><is><t>{escape(value)}</t></is></c>'
    if isinstance(value, tuple):  # a number shown as a date: style 1
        return f'<c r="{place}" s="1"><v>{value[0]}</v></c>'
    return f'<c r="{place}"><v>{value}</v></c>'


@pytest.fixture(scope="session")
def xlsx() -> Callable[[dict[str, dict[str, object]]], bytes]:
    """Write a workbook: sheet name to cells by place (``B2``); a tuple is a day number shown as a date."""

    def made(sheets: dict[str, dict[str, object]]) -> bytes:
        sink = io.BytesIO()
        with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as parts:
            kinds = f"{_OFFICE}/package/2006"
            parts.writestr(
                "[Content_Types].xml",
                f'<Types xmlns="{kinds}/content-types">'
                '<Default Extension="xml" ContentType="application/xml"/></Types>',
            )
            parts.writestr(
                "_rels/.rels",
                f'<Relationships xmlns="{kinds}/relationships"><Relationship Id="r1" '
                f'Type="{_RELATIONS}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
            )
            names = "".join(f'<sheet name="{name}" sheetId="{n}" r:id="r{n}"/>' for n, name in enumerate(sheets, 1))
            parts.writestr(
                "xl/workbook.xml",
                f'<workbook xmlns="{_SHEETS}" xmlns:r="{_RELATIONS}"><sheets>{names}</sheets></workbook>',
            )
            targets = "".join(
                f'<Relationship Id="r{n}" Type="{_RELATIONS}/worksheet" Target="worksheets/sheet{n}.xml"/>'
                for n in range(1, len(sheets) + 1)
            )
            styles = f'<Relationship Id="s" Type="{_RELATIONS}/styles" Target="styles.xml"/>'
            parts.writestr(
                "xl/_rels/workbook.xml.rels",
                f'<Relationships xmlns="{kinds}/relationships">{targets}{styles}</Relationships>',
            )
            parts.writestr(
                "xl/styles.xml",
                f'<styleSheet xmlns="{_SHEETS}"><cellXfs count="2"><xf numFmtId="0"/><xf numFmtId="22"/></cellXfs>'
                "</styleSheet>",
            )
            for n, cells in enumerate(sheets.values(), 1):
                rows: dict[int, str] = {}
                for place, value in cells.items():
                    row = int(place.lstrip("ABCDEFGHIJKLMNOPQRSTUVWXYZ"))
                    rows[row] = rows.get(row, "") + _cell(place, value)
                data = "".join(f'<row r="{row}">{text}</row>' for row, text in sorted(rows.items()))
                parts.writestr(
                    f"xl/worksheets/sheet{n}.xml",
                    f'<worksheet xmlns="{_SHEETS}"><sheetData>{data}</sheetData></worksheet>',
                )
        return sink.getvalue()

    return made
