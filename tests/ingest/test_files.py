"""Files: what is read, under which row numbers, and what is refused with which words."""

import bz2
import gzip
import io
import lzma
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from trunkline.errors import SourceError
from trunkline.ingest import open_file

Write = Callable[[str, bytes | str], Path]
Rows = list[tuple[int, tuple[str | None, ...]]]


def read(path: Path) -> tuple[tuple[str, ...], Rows, list[tuple[int, str, int]]]:
    """Header, numbered rows, and malformed lines of a file."""
    opened = open_file(path)
    rows: Rows = []
    for numbers, batch in opened.numbered():
        assert batch.schema.names == list(opened.header)
        rows += zip(
            numbers.to_pylist(), zip(*(column.to_pylist() for column in batch.columns), strict=True), strict=True
        )
    return opened.header, rows, [(line.row_number, line.text, line.fields) for line in opened.malformed]


TABLE = [("a", "b"), ("1", "x"), ("2", "é")]
AS_ROWS: Rows = [(1, ("1", "x")), (2, ("2", "é"))]


def csv_text(delimiter: str = ",", end: str = "\n") -> str:
    return "".join(delimiter.join(row) + end for row in TABLE)


def zst(data: bytes) -> bytes:
    return bytes(pa.Codec("zstd").compress(data, asbytes=True))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("comma.csv", csv_text()),
        ("semicolon.csv", csv_text(";")),
        ("tab.tsv", csv_text("\t")),
        ("bar.txt", csv_text("|")),
        ("crlf.csv", csv_text(end="\r\n")),
        ("cr.csv", csv_text(end="\r")),
        ("no_end.csv", csv_text().rstrip("\n")),
        ("no_suffix", csv_text()),
        ("quoted.csv", '"a","b"\n"1","x"\n"2","é"\n'),
        ("spaces.csv", " a , b \n1,x\n2,é\n"),
        ("empty_lines.csv", "a,b\n\n1,x\n\n\n2,é\n\n"),
        ("mark.csv", b"\xef\xbb\xbf" + csv_text().encode()),
        ("utf16.csv", csv_text().encode("utf-16")),
        ("utf16be.csv", b"\xfe\xff" + csv_text().encode("utf-16-be")),
        ("windows.csv", csv_text().encode("cp1252")),
        ("packed.csv.gz", gzip.compress(csv_text().encode(), mtime=0)),
        ("packed.csv.bz2", bz2.compress(csv_text().encode())),
        ("packed.csv.xz", lzma.compress(csv_text().encode())),
        ("packed.CSV.zst", zst(csv_text().encode())),
        ("rows.ndjson", '{"a": 1, "b": "x"}\n{"b": "é", "a": "2"}\n'),
        ("mark.jsonl", b"\xef\xbb\xbf" + '{"a": 1, "b": "x"}\n\n{"a": 2, "b": "é"}'.encode()),
        ("rows.jsonl.gz", gzip.compress('{"a": 1, "b": "x"}\n{"a": 2, "b": "é"}\n'.encode(), mtime=0)),
    ],
    ids=lambda case: case if isinstance(case, str) and "\n" not in case and "\r" not in case else None,
)
def test_one_table_in_many_forms(name: str, content: str | bytes, write: Write) -> None:
    assert read(write(name, content)) == (("a", "b"), AS_ROWS, [])


def test_delimiters_quotes_and_line_ends_inside_values(write: Write) -> None:
    content = '"a;1","b\nx"\n"1,5","two\r\nlines"\n"say ""hi""",plain\n'
    header, rows, malformed = read(write("inside.csv", content))
    assert header == ("a;1", "b\nx")
    assert rows == [(1, ("1,5", "two\r\nlines")), (2, ('say "hi"', "plain"))]
    assert malformed == []


@pytest.mark.slow
def test_late_characters_decide_the_encoding(write: Write) -> None:
    filler = "1,x\n" * 1_100_000
    assert read(write("late.csv", f"a,b\n{filler}1,é\n".encode("cp1252")))[1][-1] == (1_100_001, ("1", "é"))
    # a character cut in two by the end of a block
    path = write("cut.csv", b"a,b\n" + b"1," + b"x" * ((1 << 22) - 1 - 6) + "é\n".encode())
    assert read(path)[1][0][1][1] == "x" * ((1 << 22) - 1 - 6) + "é"


def test_ragged_lines_keep_their_numbers(write: Write) -> None:
    lines = ["a,b", *("1,2" for _ in range(4)), "short", "1,2", "", '"x\ny",2', "1,2,3", "1,2"]
    _, rows, malformed = read(write("ragged.csv", "\n".join(lines) + "\n"))
    assert malformed == [(5, "short", 1), (8, "1,2,3", 3)]
    assert [number for number, _ in rows] == [1, 2, 3, 4, 6, 7, 9]


def test_ragged_lines_over_many_blocks(write: Write) -> None:
    wide = "x" * 1000
    lines = [f"{number},{wide}" if number % 1000 else f"{number}" for number in range(1, 12_001)]
    _, rows, malformed = read(write("blocks.csv", "\n".join(["a,b", *lines]) + "\n"))
    assert (
        [int(number) for number, _, _ in malformed]
        == [int(text) for _, text, _ in malformed]
        == list(range(1000, 12_001, 1000))
    )
    assert all(number == int(row[0] or 0) for number, row in rows)


def test_two_thousand_columns(write: Write) -> None:
    names = [f"a_rather_long_name_of_a_column_{number:04}" for number in range(2000)]
    header, rows, _ = read(write("wide.csv", ",".join(names) + "\n" + ",".join(str(n) for n in range(2000)) + "\n"))
    assert len(header) == 2000
    assert rows == [(1, tuple(str(n) for n in range(2000)))]


def test_names_that_differ_only_in_case_or_are_empty(write: Write) -> None:
    assert read(write("case.csv", "a,A,_row,\n1,2,3,4\n"))[:2] == (("a", "A", "_row", ""), [(1, ("1", "2", "3", "4"))])


def test_header_only_has_no_rows(write: Write) -> None:
    for content in ("a,b\n", "a,b", "a,b\r\n\r\n"):
        assert read(write("header.csv", content)) == (("a", "b"), [], [])


def test_malformed_json_lines(write: Write) -> None:
    content = b'{"a": 1}\n[1]\n\nnot json\n{"a": {"b": [1]}, "c": null}\n\xff\n{"a": 12345678901234567890123}\n'
    header, rows, malformed = read(write("odd.ndjson", content))
    assert header == ("a", "c")
    assert [(number, text) for number, text, _ in malformed] == [(2, "[1]"), (3, "not json"), (5, "\ufffd")]
    assert rows == [(1, ("1", None)), (4, ('\x00{"b":[1]}', None)), (6, ("1.2345678901234568e+22", None))]


def test_typed_columns_are_the_texts_of_a_csv(write: Write, tmp_path: Path) -> None:
    at = datetime(2026, 3, 29, 1, 2, 3, 450_000)  # noqa: DTZ001 - some files state no zone
    table = pa.table(
        {
            "i": pa.array([1, None, -(10**17)], pa.int64()),
            "f": pa.array([5.0, float("nan"), 1e22], pa.float64()),
            "g": pa.array([0.1, None, -2.0], pa.float32()),
            "b": pa.array([True, False, None]),
            "d": pa.array([Decimal("1.50"), Decimal("-0.01"), None], pa.decimal128(9, 2)),
            "on": pa.array([date(2026, 1, 1), None, None]),
            "at": pa.array([at.replace(tzinfo=UTC), None, None], pa.timestamp("ms", tz="Europe/Berlin")),
            "local": pa.array([at, None, None], pa.timestamp("ns")),
            "nano": pa.array([1, 1000, None], pa.timestamp("ns", tz="UTC")),
            "word": pa.array(["x", None, "x"]).dictionary_encode(),
            "coded": pa.array([7, None, 7], pa.int32()).dictionary_encode(),
            "big": pa.array(["é", None, ""], pa.large_string()),
            "none": pa.nulls(3),
            "nested": pa.array([[1], None, []]),
        }
    )
    path = tmp_path / "typed.parquet"
    pq.write_table(table, path)
    header, rows, _ = read(path)
    assert header == tuple(name for name in table.column_names if name != "nested")
    columns = dict(zip(header, zip(*(row for _, row in rows), strict=True), strict=True))
    assert columns["i"] == ("1", None, "-100000000000000000")
    assert columns["f"] == ("5.0", "nan", "1e+22")
    assert columns["g"] == ("0.1", None, "-2.0")
    assert columns["b"] == ("true", "false", None)
    assert columns["d"] == ("1.50", "-0.01", None)
    assert columns["on"] == ("2026-01-01", None, None)
    assert columns["at"] == ("2026-03-29T01:02:03.450Z", None, None)
    assert columns["local"] == ("2026-03-29T01:02:03.450000", None, None)
    assert columns["nano"] == ("1970-01-01T00:00:00.000000001Z", "1970-01-01T00:00:00.000001Z", None)
    assert columns["word"] == ("x", None, "x")
    assert columns["coded"] == ("7", None, "7")
    assert columns["big"] == ("é", None, "")
    assert columns["none"] == (None, None, None)


def parquet_bytes() -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table({"a": list(range(10_000))}), sink)
    return sink.getvalue()


def corrupted(data: bytes) -> bytes:
    return data[:100] + b"\xff" * 2000 + data[2100:]


PACKED = gzip.compress(("a,b\n" + "".join(f"{n},{n * 7919}\n" for n in range(5000))).encode(), mtime=0)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("empty.csv", "", "the file is empty"),
        ("empty.parquet", "", "the file is empty"),
        ("empty.csv.gz", gzip.compress(b"", mtime=0), "the file is empty"),
        ("blank.ndjson", "\n\n", "the file is empty"),
        ("nameless.csv", "\na,b\n1,2\n", "no column names"),
        ("twice.csv", "a,b,a\n1,2,3\n", "column names occur twice: 'a'"),
        ("short.csv", "a,b\n1,2\n3", "its last line ends after 1 of 2 fields"),
        ("short16.csv", "a,b\n1,2\n3".encode("utf-16"), "its last line ends after 1 of 2 fields"),
        ("open.csv", 'a,b\n1,2\n3,"x\n4,5\n6,7\n', "opens in row 2 is never closed"),
        ("cut.csv.gz", PACKED[: len(PACKED) // 2], "truncated"),
        ("cut.csv.bz2", bz2.compress(b"a,b\n" + b"1,2\n" * 9000)[:-20], "truncated"),
        ("cut.csv.xz", lzma.compress(b"a,b\n" + b"1,2\n" * 9000)[:-20], "truncated"),
        ("cut.csv.zst", zst(PACKED)[:-200], "truncated"),
        ("not.csv.gz", "a,b\n1,2\n", "truncated or not of its form"),
        ("cut.ndjson", '{"a": 1}\n{"a": 2', "its last line is not complete JSON"),
        ("list.ndjson", "[1]\n[2]\n", "no line is a JSON object"),
        ("cut.ndjson.gz", gzip.compress(b'{"a": 1}\n' * 9000, mtime=0)[:-30], "truncated"),
        ("cut.parquet", parquet_bytes()[:-500], "truncated"),
        ("bad.parquet", corrupted(parquet_bytes()), "truncated"),
        ("text.parquet", "a,b\n1,2\n", "truncated or not of its form"),
        ("binary.csv", parquet_bytes(), "the file is binary, not text"),
        ("unknown.csv", b"a,b\n1,\x81\n", "in no known encoding"),
        ("long.csv", "a,b\n1," + "x" * (9 << 20) + "\n1,2\n", "a row is longer than 4 MiB"),
    ],
    ids=lambda case: case if isinstance(case, str) and case[-1:].isalnum() and "\n" not in case else None,
)
def test_what_cannot_be_read_whole_is_refused(name: str, content: bytes | str, says: str, write: Write) -> None:
    path = write(name, content)
    with pytest.raises(SourceError, match=says) as caught:
        read(path)
    assert str(path) in caught.value.where
    assert caught.value.next_step or caught.value.allowed


def test_paths_that_lead_nowhere(write: Write, tmp_path: Path) -> None:
    file = write("file.csv", "a\n1\n")
    for path, says in (
        (tmp_path / "gone.csv", "does not exist"),
        (tmp_path, "a folder stands"),
        (file / "below.csv", "cannot be read"),
    ):
        with pytest.raises(SourceError, match=says):
            open_file(path)


def test_messages_quote_no_values(write: Write) -> None:
    for name, content in (
        ("open.csv", 'a,b\n1,"SECRET\n2,3\n'),
        ("short.csv", "a,b\n1,2\nSECRET"),
        ("cut.ndjson", '{"a": "SECRET'),
        ("broken.csv", b"a,b\n1,SECRET\x81\n"),
    ):
        with pytest.raises(SourceError) as caught:
            read(write(name, content))
        assert "SECRET" not in str(caught.value)
