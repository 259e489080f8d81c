"""JSON documents: layouts, flattening, what is refused."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from trunkline.errors import SourceError
from trunkline.ingest.raw import MalformedLine
from trunkline.settings.ingest import IngestSettings

Taken = tuple[tuple[str, ...], dict[int, dict[str, str | None]], list[MalformedLine]]
Read = Callable[..., Taken]
Write = Callable[[str, bytes | str], Path]

ROWS = [{"a": 1, "b": {"c": 2.5, "d": [1, "x"]}}, {"a": "é"}, {"a": True}]
ARRAY = json.dumps(ROWS)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("array.json", ARRAY.encode()),
        ("indented.JSON", json.dumps(ROWS, indent=2).encode()),
        ("mark.json", b"\xef\xbb\xbf" + ARRAY.encode()),
        ("utf16.json", ARRAY.encode("utf-16")),
        ("packed.json.gz", gzip.compress(ARRAY.encode(), mtime=0)),
        ("lines.json", "\n".join(map(json.dumps, ROWS)).encode()),
        ("joined.json", "".join(map(json.dumps, ROWS)).encode()),
        ("below.json", json.dumps({"count": 3, "Rows": ROWS, "next": None}).encode()),
        ("last.json", json.dumps({"meta": {"rows": [1]}, "tags": [], "data": ROWS}).encode()),
    ],
    ids=lambda case: case if isinstance(case, str) else "",
)
def test_one_table_in_many_layouts(name: str, content: bytes, read: Read, write: Write) -> None:
    header, rows, malformed = read(write(name, content))
    assert header == ("a", "b.c", "b.d")
    assert rows == {
        1: {"a": "1", "b.c": "2.5", "b.d": '[1,"x"]'},
        2: {"a": "é", "b.c": None, "b.d": None},
        3: {"a": "true", "b.c": None, "b.d": None},
    }
    assert malformed == []


def test_one_object_is_one_row(read: Read, write: Write) -> None:
    assert read(write("one.json", '{"a": 1, "rows": 5, "items": ["x"]}'))[:2] == (
        ("a", "rows", "items"),
        {1: {"a": "1", "rows": "5", "items": '["x"]'}},
    )


def test_a_name_with_scalar_and_object_marks_the_object(read: Read, write: Write) -> None:
    _, rows, _ = read(write("mixed.json", '[{"a": 1}, {"a": {"b": 2}}, {"a": {}}, {"c.d": 1, "c": {"d": 2}}]'))
    assert [row["a"] for row in rows.values()] == ["1", '\x00{"b":2}', None, None]
    assert [row["a.b"] for row in rows.values()] == [None, "2", None, None]
    assert rows[4]["c.d"] == '\x00{"c.d":[1,2]}'


def test_elements_that_are_no_rows_keep_their_numbers(read: Read, write: Write) -> None:
    _, rows, malformed = read(write("odd.json", '[{"a": 1}, 5, {"a": NaN}, {"a": "\\ud800"}, [], {"a": 2}]'))
    assert rows == {1: {"a": "1"}, 6: {"a": "2"}}
    assert [(line.row_number, line.text) for line in malformed] == [
        (2, "5"), (3, '{"a": NaN}'), (4, '{"a": "\\ud800"}'), (5, "[]"),
    ]  # fmt: skip


def test_records_over_many_blocks(read: Read, write: Write) -> None:
    records = [{"n": n, "text": "x\\" * (n % 700), "deep": {"n": [n]}} for n in range(6_000)]
    _, rows, _ = read(write("long.json", json.dumps(records)))
    assert [int(row["n"] or -1) for row in rows.values()] == list(range(6_000))
    assert all(row["text"] == "x\\" * (n % 700) for n, row in enumerate(rows.values()))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (ARRAY[:-10], "truncated"),
        (ARRAY[:-1], "truncated"),
        (ARRAY + "x", "truncated"),
        ('[{"a": 1} {"a": 2}]', "truncated"),
        ('[{"a": 1}, nonsense, {"a": 2}]', "truncated"),
        ('{"rows": [{"a": 1}], "n": ', "truncated"),
        ('{"rows": [{"a": 1}], "data": [{"a": 1}]}', "several arrays of rows"),
        ("[]", "the file is empty"),
        ('{"rows": []}', "the file is empty"),
        ("   ", "the file is empty"),
        ("[1, 2]", "truncated or not of its form"),
        ("[{}, {}]", "no object has a name"),
        (b'[{"a": "\xff"}]', "truncated"),
        ("[" * 100_000, "truncated"),
        ('[{"a": ' + "1" * 6000, "truncated"),
    ],
    ids=range(15),
)
def test_broken_documents_are_refused(content: str | bytes, says: str, read: Read, write: Write) -> None:
    with pytest.raises(SourceError, match=says):
        read(write("f.json", content))


def test_limits(read: Read, write: Write) -> None:
    path = write("long.json", json.dumps([{"a": "x" * (3 << 20)}]))
    assert len(read(path)[1]) == 1
    with pytest.raises(SourceError, match="truncated") as caught:
        read(path, IngestSettings(max_record_mb=1))
    assert "longer than 1 MiB" in caught.value.where
    with pytest.raises(SourceError, match="more than 2 different columns"):
        read(write("wide.json", '[{"a": {"b": 1, "c": 1, "d": 1}}]'), IngestSettings(max_columns=2))
    with pytest.raises(SourceError, match="more of its lines are unusable"):
        read(write("bad.json", json.dumps([{"a": 1}, *["x" * 1000] * 2000])), IngestSettings(max_refused_mb=1))
    deep = '{"a":' * 200 + "1" + "}" * 200
    ((_, row),) = read(write("deep.json", f"[{deep}]"))[1].items()
    (value,) = row.values()
    assert value is not None
    assert value.startswith("\x00")
