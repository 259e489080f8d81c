"""Avro: logical types as texts, and files that are damaged or made to harm."""

import io
import json
from collections.abc import Callable
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import pytest

from trunkline.errors import SourceError
from trunkline.ingest.raw import MalformedLine
from trunkline.settings.ingest import IngestSettings

fastavro = pytest.importorskip("fastavro", reason="the extra formats is not installed")

Taken = tuple[tuple[str, ...], dict[int, dict[str, str | None]], list[MalformedLine]]
Read = Callable[..., Taken]
Write = Callable[[str, bytes | str], Path]


def avro(fields: dict[str, object], rows: list[dict[str, object]], codec: str = "null") -> bytes:
    sink = io.BytesIO()
    schema = {"type": "record", "name": "R", "fields": [{"name": name, "type": t} for name, t in fields.items()]}
    fastavro.writer(sink, schema, rows, codec=codec, sync_interval=200)
    return sink.getvalue()


def raw(schema: object, blocks: list[tuple[int, bytes]], codec: bytes = b"null", size: int | None = None) -> bytes:
    """A container written by hand, so that it may lie."""

    def whole(number: int) -> bytes:
        number <<= 1
        out = b""
        while number > 127:
            out += bytes([number & 127 | 128])
            number >>= 7
        return out + bytes([number])

    text = json.dumps(schema).encode()
    head = b"".join(whole(len(part)) + part for part in (b"avro.schema", text, b"avro.codec", codec))
    sync = b"s" * 16
    body = b"".join(whole(count) + whole(size or len(data)) + data + sync for count, data in blocks)
    return b"Obj\x01" + whole(2) + head + whole(0) + sync + body


def long_type(logical: str) -> dict[str, str]:
    return {"type": "long", "logicalType": logical}


def test_types_are_the_texts_of_a_csv(read: Read, write: Write) -> None:
    fields: dict[str, object] = {
        "i": "int",
        "f": "double",
        "b": ["null", "boolean"],
        "on": ["null", {"type": "int", "logicalType": "date"}],
        "at": long_type("timestamp-millis"),
        "micro": long_type("timestamp-micros"),
        "local": long_type("local-timestamp-micros"),
        "time": long_type("time-micros"),
        "money": {"type": "bytes", "logicalType": "decimal", "precision": 20, "scale": 2},
        "fixed": {"type": "fixed", "name": "F", "size": 4, "logicalType": "decimal", "precision": 9, "scale": 3},
        "id": {"type": "string", "logicalType": "uuid"},
        "kind": {"type": "enum", "name": "K", "symbols": ["x", "y"]},
        "text": ["null", "bytes"],
        "cell": {"type": "record", "name": "C", "namespace": "n", "fields": [{"name": "x", "type": ["null", "int"]}]},
        "other": ["null", "n.C"],
        "tags": {"type": "array", "items": "string"},
        "map": {"type": "map", "values": "int"},
    }
    row = {
        "i": -7, "f": 5.0, "b": True, "on": date(2026, 3, 1),
        "at": datetime(2026, 3, 1, 1, 2, 3, 450_000, tzinfo=UTC),
        "micro": datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
        "local": datetime(2026, 3, 1), "time": time(13, 5, 0, 20),  # noqa: DTZ001 - local by intent
        "money": Decimal("-123456789012345.50"), "fixed": Decimal("1.250"), "id": UUID(int=5), "kind": "y",
        "text": b"caf\xc3\xa9", "cell": {"x": 3}, "other": None, "tags": ["a", "b"], "map": {"k": 1},
    }  # fmt: skip
    nulls = row | {"b": None, "on": None, "text": None, "cell": {"x": None}, "other": {"x": 9}}
    header, rows, malformed = read(write("typed.avro", avro(fields, [row, nulls])))
    assert header == (*list(fields)[:13], "cell.x", "other.x", "tags", "map")
    assert rows[1] == {
        "i": "-7", "f": "5.0", "b": "true", "on": "2026-03-01", "at": "2026-03-01T01:02:03.450Z",
        "micro": "1969-12-31T23:59:59.999999Z", "local": "2026-03-01T00:00:00", "time": "13:05:00.000020",
        "money": "-123456789012345.50", "fixed": "1.250", "id": str(UUID(int=5)), "kind": "y", "text": "café",
        "cell.x": "3", "other.x": None, "tags": '["a","b"]', "map": '{"k":1}',
    }  # fmt: skip
    assert [rows[2][name] for name in ("b", "on", "text", "cell.x", "other.x")] == [None, None, None, None, "9"]
    assert malformed == []


@pytest.mark.parametrize("codec", ["null", "deflate", "bzip2", "xz"])
def test_packed_blocks(codec: str, read: Read, write: Write) -> None:
    rows: list[dict[str, object]] = [{"n": n} for n in range(25_000)]
    found = read(write("packed.avro", avro({"n": "long"}, rows, codec)))[1]
    assert [int(row["n"] or 0) for row in found.values()] == list(range(25_000))


@pytest.mark.parametrize("codec", ["snappy", "zstandard"])
def test_blocks_packed_by_others(codec: str, read: Read, write: Write) -> None:
    import zlib

    import pyarrow as pa

    data = b"".join(bytes([n << 1]) for n in range(60))
    name = "zstd" if codec == "zstandard" else codec
    packed = bytes(pa.Codec(name).compress(data, asbytes=True))
    packed += zlib.crc32(data).to_bytes(4, "big") if codec == "snappy" else b""
    record = {"type": "record", "name": "R", "fields": [{"name": "n", "type": "int"}]}
    found = read(write("f.avro", raw(record, [(60, packed)], codec.encode())))[1]
    assert [int(row["n"] or 0) for row in found.values()] == list(range(60))
    if codec == "snappy":
        wrong = packed[:-1] + bytes([packed[-1] ^ 1])
        with pytest.raises(SourceError, match="truncated"):
            read(write("wrong.avro", raw(record, [(60, wrong)], codec.encode())))


def test_values_beyond_the_calendar_cost_one_row(read: Read, write: Write) -> None:
    record = {"type": "record", "name": "R", "fields": [{"name": "on", "type": {"type": "int", "logicalType": "date"}}]}
    found = read(write("far.avro", raw(record, [(2, b"\x02" + b"\xfe\xff\xff\xff\x0f")])))[1]
    assert found == {1: {"on": "1970-01-02"}, 2: {"on": "\x002147483647"}}


LIST = {"type": "array", "items": "null"}
NODE = {
    "type": "record",
    "name": "N",
    "fields": [{"name": "v", "type": "int"}, {"name": "next", "type": ["null", "N"]}],
}
INT = {"type": "record", "name": "R", "fields": [{"name": "n", "type": "int"}]}


def wide(depth: int) -> object:
    """Types that double with each level."""
    schema: dict[str, object] = dict(INT)
    for level in range(depth):
        fields = [{"name": "a", "type": schema}, {"name": "b", "type": schema["name"]}]
        schema = {"type": "record", "name": f"L{level}", "fields": list[object](fields)}
    return schema


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (avro({"n": "long"}, [{"n": n} for n in range(1000)])[:-5], "truncated"),
        (raw(INT, [(2, b"\x02")]), "more records than bytes|truncated"),
        (raw(INT, [(1, b"\x02\x02")]), "truncated"),
        (raw(INT, [(1, b"\x02")], size=1 << 40), "larger than 64 MiB"),
        (raw(INT, [(1, b"\x02")], size=1 << 20), "truncated"),
        (raw(INT, [], codec=b"lzo"), "packed in an unknown way"),
        (
            raw({"type": "record", "name": "R", "fields": [{"name": "n", "type": "null"}]}, [(1 << 60, b"")]),
            "no values",
        ),
        (raw({"type": "record", "name": "R", "fields": [{"name": "n", "type": LIST}]}, []), "values without bytes"),
        (raw(NODE, []), "recursive"),
        (raw(wide(40), []), "nested too deeply|columns"),
        (raw(wide(14), []), "more than 10,000 columns"),
        (raw("int", [(1, b"\x02")]), "not a record"),
        (raw({"type": "record", "name": "R"}, []), "truncated"),
        (raw([], []), "truncated"),
        (b"Obj\x01", "truncated"),
        (b"PAR1" * 20, "truncated"),
    ],
    ids=range(16),
)
def test_damaged_and_hostile_files_are_refused(content: bytes, says: str, read: Read, write: Write) -> None:
    with pytest.raises(SourceError, match=says):
        read(write("f.avro", content))


@pytest.mark.slow
def test_a_block_cannot_unpack_without_end(read: Read, write: Write) -> None:
    import bz2
    import lzma
    import zlib

    data = b"\x02" * (80 << 20)
    deflate = zlib.compressobj(1, zlib.DEFLATED, -15)
    packed = {b"deflate": deflate.compress(data) + deflate.flush(), b"bzip2": bz2.compress(data, 1)}
    packed[b"xz"] = lzma.compress(data[: 20 << 20], preset=0)
    for codec, block in packed.items():
        path = write("bomb.avro", raw(INT, [(1, block)], codec))
        with pytest.raises(SourceError, match="larger than 10 MiB"):
            read(path, IngestSettings(max_block_mb=10))
