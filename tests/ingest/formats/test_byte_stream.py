"""Packed files: ZIP archives of one file, and files that unpack to more than they may."""

import bz2
import gzip
import io
import lzma
import zipfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from trunkline.errors import SourceError
from trunkline.ingest.raw import MalformedLine
from trunkline.settings.ingest import IngestSettings

Taken = tuple[tuple[str, ...], dict[int, dict[str, str | None]], list[MalformedLine]]
Read = Callable[..., Taken]
Write = Callable[[str, bytes | str], Path]


def archive(**files: str) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as parts:
        parts.writestr("folder/", "")
        for name, content in files.items():
            parts.writestr(name.replace("__", "."), content)
    return sink.getvalue()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t__csv", "a\n1\n2\n"),
        ("t__json", '[{"a": 1}, {"a": 2}]'),
        ("t__ndjson", '{"a": 1}\n{"a": 2}\n'),
        ("t", "a\n1\n2"),
    ],
)
def test_an_archive_of_one_file(name: str, content: str, read: Read, write: Write) -> None:
    assert read(write("t.csv.zip", archive(**{name: content})))[:2] == (("a",), {1: {"a": "1"}, 2: {"a": "2"}})


def test_archives_that_are_refused(read: Read, write: Write) -> None:
    good = archive(t__csv="a\n1\n")
    encrypted = bytearray(good)
    encrypted[good.rfind(b"PK\x01\x02") + 8] |= 1
    encrypted[good.rfind(b"PK\x03\x04") + 6] |= 1
    wrong = bytearray(good)  # a checksum that does not fit
    wrong[good.rfind(b"PK\x01\x02") + 16] ^= 1
    wrong[good.find(b"t.csv") - 16] ^= 1
    for content, says in (
        (archive(a="1", b="2"), "the archive holds 2 files instead of one"),
        (archive(), "the archive holds 0 files instead of one"),
        (archive(t__parquet="PAR1"), "not packed"),
        (archive(t__csv__gz="x"), "holds a packed file"),
        (good[:-30], "the archive cannot be opened"),
        (b"PK", "the archive cannot be opened"),
        (bytes(encrypted), "truncated|the archive cannot be opened"),
        (bytes(wrong), "truncated"),
    ):
        with pytest.raises(SourceError, match=says):
            read(write("f.zip", content))


def test_a_packed_file_that_breaks_off_is_refused_wherever_it_does(read: Read, write: Write) -> None:
    text = ("a,b\n" + "".join(f"{number},{number * 7919 % 10_007}\n" for number in range(60_000))).encode()
    for suffix, packed in (
        (".gz", gzip.compress(text, mtime=0)),
        (".bz2", bz2.compress(text)),
        (".xz", lzma.compress(text)),
        (".zst", bytes(pa.Codec("zstd").compress(text, asbytes=True))),
    ):
        for cut in (len(packed) // 3, len(packed) * 3 // 4, len(packed) - 1):
            with pytest.raises(SourceError, match="truncated"):
                read(write(f"cut.csv{suffix}", packed[:cut]))


@pytest.mark.slow
def test_bombs_are_refused(read: Read, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trunkline.ingest.byte_stream._RATIO_FREE_BYTES", 1 << 20)
    text = "a,b\n" + "1,2\n" * (1 << 19)
    without = IngestSettings.model_construct(
        **{**IngestSettings(max_expanded_ratio=10**9).model_dump(), "max_expanded_gb": 0}
    )
    for suffix, content in (
        (".gz", gzip.compress(text.encode(), mtime=0)),
        (".bz2", bz2.compress(text.encode())),
        (".xz", lzma.compress(text.encode())),
        (".zst", bytes(pa.Codec("zstd").compress(text.encode(), asbytes=True))),
        (".zip", archive(t__csv=text)),
    ):
        path = write(f"bomb.csv{suffix}", content)
        with pytest.raises(SourceError, match="unpacks to more than 50 times its size") as caught:
            read(path, IngestSettings(max_expanded_ratio=50))
        assert "ingest.max_expanded_ratio" in caught.value.next_step
        with pytest.raises(SourceError, match="unpacks to more than 0 GiB"):
            read(path, without)
        assert len(read(path, IngestSettings(max_expanded_ratio=10**9))[1]) == 1 << 19
    for form, start in ((".ndjson", b'{"a": 1}\n'), (".json", b"["), (".xml", b"<measCollecFile>")):
        content = gzip.compress(start + b" \n" * (1 << 20), mtime=0)
        with pytest.raises(SourceError, match="unpacks to more than 50 times its size"):
            read(write(f"bomb{form}.gz", content), IngestSettings(max_expanded_ratio=50))


def test_encodings_told_without_a_mark(read: Read, write: Write) -> None:
    text = "a,b\n1,é\n2,x\n"
    expected = {1: {"a": "1", "b": "é"}, 2: {"a": "2", "b": "x"}}
    for encoding in ("utf-16-le", "utf-16-be", "utf-32", "utf-8-sig", "cp1252"):
        assert read(write("t.csv", text.encode(encoding)))[1] == expected, encoding


def test_limits_of_csv(read: Read, write: Write) -> None:
    with pytest.raises(SourceError, match="more than 3 different columns"):
        read(write("wide.csv", "a,b,c,d\n1,2,3,4\n"), IngestSettings(max_columns=3))
    with pytest.raises(SourceError, match=r"without end|truncated"):
        read(write("head.csv", '"' + "a" * (3 << 20)), IngestSettings(max_record_mb=1))
    with pytest.raises(SourceError, match="never closed"):
        read(write("open.csv", 'a,b\n1,2\n1,"' + "x\n" * (3 << 20)), IngestSettings(max_record_mb=1))
    with pytest.raises(SourceError, match="more of its lines are unusable"):
        read(write("bad.csv", "a,b\n" + "1\n" * 20_000 + "1,2\n"), IngestSettings(max_refused_mb=1))
    with pytest.raises(SourceError, match="truncated"):
        read(write("long.ndjson", '{"a": "' + "x" * (3 << 20) + '"}\n'), IngestSettings(max_record_mb=1))
    assert (
        read(write("long.csv", "a,b\n1," + "x" * (6 << 20) + "\n"), IngestSettings(max_record_mb=8))[1][1]["a"] == "1"
    )
