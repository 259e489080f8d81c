"""Identifiers are found in raw copies of every form, wherever the form may hold them, and nowhere else."""

import gzip
import io
import json
import tarfile
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from trunkline.contracts import Contract, Integer, Table, Text, field
from trunkline.ingest.landing import Landing
from trunkline.run.raw_copies import Sought, pieces_with
from trunkline.settings.ingest import IngestSettings
from trunkline.spec.dialect import CsvDialect

WANTED = "L0-000007"
TOLD = CsvDialect()


class Call(Contract):
    """Two ways to spell an identifier."""

    table: ClassVar[Table] = Table(key=("caller",))
    caller: Text = field(pii="phone")
    number: Integer = field(pii="phone")


def looked(folder: Path, name: str, content: bytes, wanted: str, csv: CsvDialect = TOLD) -> list[bool]:
    """Land a piece, and say what is found of it."""
    landing = Landing(folder / "landing", clock=lambda: datetime(2026, 1, 1, tzinfo=UTC))
    with landing.drafts("crm") as drafts:
        (drafts / name).write_bytes(content)
        landing.land("crm", drafts / name, origin="crm", position={"at": 1}, csv=csv)
    sought = Sought(wanted, Call.columns)
    found = pieces_with(landing, sought, limits=IngestSettings(), folder=folder / "unpacked")
    return [is_there for _, is_there in found]


def tar(name: str, content: bytes) -> bytes:
    """An archive of a file that holds nobody, and of another."""
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w:gz") as archive:
        for each, inside in (("other.csv", b"a,b\n1,2\n"), (name, content)):
            info = tarfile.TarInfo(each)
            info.size = len(inside)
            archive.addfile(info, io.BytesIO(inside))
    return sink.getvalue()


HELD: dict[str, tuple[str, bytes]] = {
    "white space around a cell": ("a.csv", f"a,b\n1, {WANTED} \n".encode()),
    "another encoding": ("a.csv", f"a,b\n1,{WANTED}\n".encode("utf-16")),
    "packed": ("a.csv.gz", gzip.compress(f"a,b\n1,{WANTED}\n".encode())),
    "a readme of an archive": ("a.tgz", tar("README.md", f"a,b\n1,{WANTED}\n".encode())),
    "a packed file of an archive": ("a.tgz", tar("deep/a.csv.gz", gzip.compress(f"a,b\n1,{WANTED}\n".encode()))),
    "a line that is no row": ("a.csv", f"a,b\n1,2\n1,x{WANTED}x,3\n".encode()),
    "a header where a row was meant": ("a.csv", f"1,{WANTED}\n1,2\n".encode()),
    "a quotation mark that is never closed": ("a.csv", f'a,b\n1,"{WANTED}\n'.encode()),
    "a nested value": ("a.json", json.dumps([{"a": 1, "b": [{"c": WANTED}]}]).encode()),
    "JSON that breaks off": ("a.json", f'[{{"a": "{WANTED}"'.encode()),
    "an ending that nobody knows": ("a.dat", f"\x00{WANTED}".encode()),
}


@pytest.mark.parametrize(("name", "content"), HELD.values(), ids=HELD)
def test_it_is_found(tmp_path: Path, name: str, content: bytes) -> None:
    assert looked(tmp_path, name, content, WANTED) == [True]


def test_it_is_found_in_the_dialect_in_which_its_source_is_written(tmp_path: Path) -> None:
    content, odd = f"made by hand\na~b\n1~{WANTED}\n".encode(), CsvDialect(delimiter="~", skip_lines=1)
    assert looked(tmp_path / "told", "a.csv", content, WANTED, csv=odd) == [True]
    assert looked(tmp_path / "untold", "a.csv", content, WANTED) == [], "the cells are not told apart"


def test_a_number_is_found_however_it_is_spelled(tmp_path: Path) -> None:
    assert looked(tmp_path, "a.csv", b"a,b\n1,007\n", "7") == [True]
    assert looked(tmp_path / "other", "a.csv", b"a,b\n1,7\n", "007") == [True]


@pytest.mark.parametrize("content", [f"a,b\n1,{WANTED}0\n", f"a,b\n1,x {WANTED}\n"])
def test_another_identifier_is_left_alone(tmp_path: Path, content: str) -> None:
    assert looked(tmp_path, "a.csv", content.encode(), WANTED) == []


def test_what_an_archive_hides_or_holds_of_others(tmp_path: Path) -> None:
    whole = tar("a.csv", b"a,b\n1,2\n")
    assert looked(tmp_path / "clear", "a.tgz", whole, WANTED) == []
    assert looked(tmp_path / "cut", "a.tgz", whole[:-20], WANTED) == [False]
    assert looked(tmp_path / "nested", "a.tgz", tar("b.zip", b"PK"), WANTED) == [False]


def parquet(folder: Path, table: pa.Table) -> bytes:
    pq.write_table(table, folder / "made.parquet")
    return (folder / "made.parquet").read_bytes()


def test_parquet_is_looked_into_with_its_nested_columns(tmp_path: Path) -> None:
    nested = pa.table({"a": [1, 2], "b": [[{"c": "x"}], [{"c": WANTED}]]})
    assert looked(tmp_path, "a.parquet", parquet(tmp_path, nested), WANTED) == [True]
    plain = pa.table({"a": [1, 2], "b": ["x", "y"]})
    assert looked(tmp_path / "other", "a.parquet", parquet(tmp_path, plain), WANTED) == []


def workbook(cells: list[str]) -> bytes:
    """A spreadsheet with a sheet per cell, below a header."""
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    package = "http://schemas.openxmlformats.org/package/2006"
    numbered = list(enumerate(cells, 1))
    sheets = "".join(f'<sheet name="S{n}" sheetId="{n}" r:id="r{n}"/>' for n, _ in numbered)
    parts = "".join(
        f'<Relationship Id="r{n}" Type="{office}/worksheet" Target="worksheets/sheet{n}.xml"/>' for n, _ in numbered
    )
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("[Content_Types].xml", f'<Types xmlns="{package}/content-types"/>')
        archive.writestr(
            "_rels/.rels",
            f'<Relationships xmlns="{package}/relationships">'
            f'<Relationship Id="w" Type="{office}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        )
        archive.writestr(
            "xl/workbook.xml", f'<workbook xmlns="{main}" xmlns:r="{office}"><sheets>{sheets}</sheets></workbook>'
        )
        archive.writestr(
            "xl/_rels/workbook.xml.rels", f'<Relationships xmlns="{package}/relationships">{parts}</Relationships>'
        )
        for n, cell in numbered:
            rows = "".join(
                f'<row r="{row}"><c r="A{row}" t="inlineStr"><is><t>{text}</t></is></c></row>'
                for row, text in enumerate(("a", cell), 1)
            )
            archive.writestr(
                f"xl/worksheets/sheet{n}.xml", f'<worksheet xmlns="{main}"><sheetData>{rows}</sheetData></worksheet>'
            )
    return made.getvalue()


def test_every_sheet_is_looked_into(tmp_path: Path) -> None:
    pytest.importorskip("python_calamine", reason="the extra `formats` is not installed")
    content = workbook(["x", WANTED])
    assert looked(tmp_path, "a.xlsx", content, WANTED) == [True]
    assert looked(tmp_path / "other", "a.xlsx", content, "L0-00000") == []


def broken_gzip() -> bytes:
    return gzip.compress(b"a,b\n" + b"1,2\n" * 10_000)[:40]


@pytest.mark.parametrize(("name", "make"), [("a.csv.gz", broken_gzip), ("a.parquet", lambda: b"PAR1 no more")])
def test_what_nobody_can_see_into_is_told(tmp_path: Path, name: str, make: Callable[[], bytes]) -> None:
    assert looked(tmp_path, name, make(), WANTED) == [False]
