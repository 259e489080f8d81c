"""Small CSV files read as one: what each of them gives alone, or the way back to reading them alone."""

from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from trunkline.errors import SourceError
from trunkline.ingest.files import DEFAULT_LIMITS, open_file
from trunkline.ingest.formats.alike import FirstLines, PlainCsv, read_alike
from trunkline.ingest.judged import blocks

HEADERS = ["x,y\n", "x;y\r\n", "x\n", "a,b;c\n", "é\tü\n", "x,x\n", "\n", "x y"]

cell = st.text(alphabet="ab 1é.", max_size=3)
line = st.lists(cell, min_size=1, max_size=3).flatmap(
    lambda cells: st.sampled_from([",", ";", "\t"]).map(lambda mark: mark.join(cells) + "\n")
)
body = st.lists(line, max_size=4).map("".join) | st.text(alphabet='ab,;\t\n\r" é\x00<|', max_size=24)


def alone(path: Path) -> tuple[tuple[str, ...], list[list[str]]] | None:
    """What a file gives when it is read by itself; None where that is no plain table."""
    try:
        opened = open_file(path)
        parts = list(blocks(opened))
    except SourceError:
        return None
    rows = [list(row) for part in parts for row in zip(*part.texts.to_pydict().values(), strict=True)]
    numbers = [number for part in parts for number in part.numbers.to_pylist()]
    return None if opened.malformed or numbers != list(range(1, len(rows) + 1)) else (opened.header, rows)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(header=st.sampled_from(HEADERS), bodies=st.lists(body, min_size=1, max_size=4))
@example(header="x,y\n", bodies=["1,2\n", "3,4\n5,6\n"])
@example(header="x,y\n", bodies=["1,2\n\n", "3,4\n"])
@example(header="x,y\n", bodies=["1,2\r\n3,4\n", "3,4\r5,6\n"])
def test_files_read_as_one(header: str, bodies: list[str], tmp_path: Path) -> None:
    lines = FirstLines(DEFAULT_LIMITS)
    plain: list[tuple[Path, PlainCsv]] = []
    for number, text in enumerate(bodies):
        path = tmp_path / f"{number}.csv"
        path.write_bytes((header + text).encode())
        try:
            found = lines.plain(path)
        except SourceError:
            assert alone(path) is None
            continue
        if found is not None:
            plain.append((path, found))
    table = read_alike([found for _, found in plain]) if plain else None
    if table is None:
        return
    rows = [list(row) for row in zip(*table.to_pydict().values(), strict=True)]
    for path, found in plain:
        assert alone(path) == (found.header, rows[: found.rows])
        del rows[: found.rows]
    assert rows == []


def test_plain_files_are_read_as_one(tmp_path: Path) -> None:
    for name, text in (("a.csv", "x,y\n1,2\n"), ("b.CSV", "x,y\n3,é\n5,\n"), ("c.txt", "x,y\n,\n")):
        (tmp_path / name).write_text(text, encoding="utf-8")
    lines = FirstLines(DEFAULT_LIMITS)
    found = [lines.plain(path) for path in sorted(tmp_path.iterdir())]
    table = read_alike([one for one in found if one is not None])
    assert table is not None
    assert table.to_pydict() == {"c0": ["1", "3", "5", ""], "c1": ["2", "é", "", ""]}
    assert table.schema.types == [pa.string(), pa.string()]


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.csv", b'x,y\n"1",2\n'),
        ("a.csv", b"x,y\n1,\xff\n"),
        ("a.csv", b"\xef\xbb\xbfx,y\n1,2\n"),
        ("a.csv", b"x,y\n1,2"),
        ("a.csv", b"x,y\n"),
        ("a.csv", b"x,y\n1,\x00\n"),
        ("a.csv", b"x,y\r1,2\r3,4\n"),
        ("a.csv", b"<measCollecFile>\n</measCollecFile>\n"),
        ("a.ndjson", b"{}\n{}\n"),
        ("a.csv.gz", b"x,y\n1,2\n"),
    ],
)
def test_others_are_read_alone(name: str, data: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(data)
    assert FirstLines(DEFAULT_LIMITS).plain(tmp_path / name) is None


def test_a_folder_and_a_missing_file(tmp_path: Path) -> None:
    (tmp_path / "folder.csv").mkdir()
    assert FirstLines(DEFAULT_LIMITS).plain(tmp_path / "folder.csv") is None
    with pytest.raises(SourceError, match="does not exist"):
        FirstLines(DEFAULT_LIMITS).plain(tmp_path / "missing.csv")
