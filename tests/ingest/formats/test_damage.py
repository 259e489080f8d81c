"""Packed files of which a byte was changed: refused, or whole; no row and no file of an archive is lost unsaid."""

import bz2
import gzip
import io
import json
import lzma
import random
import tarfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pytest

from trunkline.errors import SourceError
from trunkline.ingest.archives import is_archive, members
from trunkline.ingest.files import open_file
from trunkline.settings.ingest import IngestSettings


def zst(data: bytes) -> bytes:
    """A frame of Zstandard with a checksum, as the tool of that name writes them; the codec at hand writes none."""
    frame = bytearray(pa.Codec("zstd").compress(data, asbytes=True))
    frame[4] |= 4  # the frame's header says that a checksum follows
    return bytes(frame) + xxh64(data).to_bytes(8, "little")[:4]


def xxh64(data: bytes) -> int:
    """The hash of Zstandard's checksums (Collet, 2012; RFC 8878), with seed 0."""
    one, two, three = 0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9
    four, five, mask = 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5, (1 << 64) - 1

    def turned(value: int, bits: int) -> int:
        return ((value << bits) | (value >> (64 - bits))) & mask

    def mixed(so_far: int, lane: int) -> int:
        return turned((so_far + lane * two) & mask, 31) * one & mask

    at = 0
    if len(data) >= 32:
        lanes = [(one + two) & mask, two, 0, -one & mask]
        while at + 32 <= len(data):
            for number in range(4):
                lanes[number] = mixed(lanes[number], int.from_bytes(data[at : at + 8], "little"))
                at += 8
        found = sum(turned(lane, bits) for lane, bits in zip(lanes, (1, 7, 12, 18), strict=True)) & mask
        for lane in lanes:
            found = ((found ^ mixed(0, lane)) * one + four) & mask
    else:
        found = five
    found = (found + len(data)) & mask
    while at + 8 <= len(data):
        found = (turned(found ^ mixed(0, int.from_bytes(data[at : at + 8], "little")), 27) * one + four) & mask
        at += 8
    if at + 4 <= len(data):
        found = (turned(found ^ (int.from_bytes(data[at : at + 4], "little") * one & mask), 23) * two + three) & mask
        at += 4
    for byte in data[at:]:
        found = turned(found ^ (byte * five & mask), 11) * one & mask
    found = (found ^ (found >> 33)) * two & mask
    found = (found ^ (found >> 29)) * three & mask
    return found ^ (found >> 32)


PACKED: dict[str, Callable[[bytes], bytes]] = {
    ".gz": lambda data: gzip.compress(data, mtime=0),
    ".bz2": lambda data: bz2.compress(data, 1),
    ".xz": lzma.compress,
    ".zst": zst,
}
LINES = 400
FILES = 6


def texts(parts: int) -> list[str]:
    """Parts of a file of rows, cut where lines end."""
    drawn = random.Random(5)
    rows = [f"{number},{drawn.getrandbits(64):016x}\n" for number in range(LINES)]
    some = LINES // parts
    return ["id,a\n" * (part == 0) + "".join(rows[part * some : (part + 1) * some]) for part in range(parts)]


def tar(parts: Sequence[str]) -> bytes:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for number, text in enumerate(parts):
            info = tarfile.TarInfo(f"{number}.csv")
            info.size = len(text)
            archive.addfile(info, io.BytesIO(text.encode()))
    return sink.getvalue()


def changed(pieces: Sequence[bytes], *, some: int) -> Iterator[bytes]:
    """A file with one bit turned around: near each end of its pieces, and at so many places between them."""
    whole = b"".join(pieces)
    ends = [0]
    for piece in pieces:
        ends.append(ends[-1] + len(piece))
    near = {at for end in ends for at in range(end - 24, end + 24)}
    between = random.Random(6).choices(range(len(whole)), k=some)
    for at in sorted(near | set(between)):
        if 0 <= at < len(whole):
            data = bytearray(whole)
            data[at] ^= 1 << at % 8
            yield bytes(data)


def rows_of(path: Path) -> list[str]:
    opened = open_file(path)
    rows = [text for batch in opened.batches for text in batch.column(0).to_pylist()]
    assert not opened.malformed
    return rows


def files_of(path: Path) -> tuple[dict[str, str], bool]:
    """What is given of an archive, and whether something was told of it."""
    folder = path.parent / "unpacked"
    found: dict[str, str] = {}
    told = False
    try:
        for member in members(path, folder=folder, limits=IngestSettings()):
            if member.path is None:
                told = True
                continue
            found[member.name] = member.path.read_text()
            member.path.unlink()
    except SourceError:
        told = True
    for left in folder.glob("*"):
        left.unlink()
    return found, told


@pytest.mark.parametrize("suffix", PACKED)
@pytest.mark.parametrize("parts", [1, 4])
def test_no_row_of_a_changed_file_is_lost_unsaid(suffix: str, parts: int, tmp_path: Path) -> None:
    path = tmp_path / f"a.csv{suffix}"
    pieces = [PACKED[suffix](text.encode()) for text in texts(parts)]
    path.write_bytes(b"".join(pieces))
    expected = [str(number) for number in range(LINES)]
    assert rows_of(path) == expected
    refused = 0
    for data in changed(pieces, some=40):
        path.write_bytes(data)
        try:
            assert rows_of(path) == expected
        except SourceError:
            refused += 1
    assert refused > 40


@pytest.mark.parametrize("suffix", PACKED)
@pytest.mark.parametrize("parts", [1, 3])
def test_no_changed_file_of_a_changed_archive_is_given(suffix: str, parts: int, tmp_path: Path) -> None:
    whole = tar(texts(FILES))
    expected = {f"{number}.csv": text for number, text in enumerate(texts(FILES))}
    some = len(whole) // parts // 512 * 512
    pieces = [PACKED[suffix](whole[at : at + some]) for at in range(0, len(whole), some)]
    path = tmp_path / f"a.tar{suffix}"
    path.write_bytes(b"".join(pieces))
    assert files_of(path) == (expected, False)
    refused = 0
    for data in changed(pieces, some=40):
        path.write_bytes(data)
        found, told = files_of(path)
        assert {name: expected[name] for name in found} == found, "a file that was changed is not given"
        assert told or found == expected, "none is lost unsaid"
        refused += told and not found
    assert refused > 40, "a damaged archive is refused as a whole"


def test_no_file_of_a_zip_is_lost_where_its_directory_is_changed(tmp_path: Path) -> None:
    sink = io.BytesIO()
    expected = {f"{number}.csv": text for number, text in enumerate(texts(FILES))}
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in expected.items():
            archive.writestr(name, text)
    whole = sink.getvalue()
    path = tmp_path / "a.zip"
    for at in range(whole.find(b"PK\x01\x02"), len(whole)):
        for bit in range(8):
            data = bytearray(whole)
            data[at] ^= 1 << bit
            path.write_bytes(data)
            if not is_archive(path):
                with pytest.raises(SourceError):
                    open_file(path)
                continue
            found, told = files_of(path)
            assert told or sorted(found.values()) == sorted(expected.values())


@pytest.mark.parametrize("suffix", PACKED)
def test_checksums_are_held_against_what_ends_before_them(suffix: str, tmp_path: Path) -> None:
    content = json.dumps([{"a": 1}] * 60)
    path = tmp_path / f"a.json{suffix}"
    good = PACKED[suffix](content.encode())
    path.write_bytes(good)
    assert len(rows_of(path)) == 60
    at = {".gz": -6, ".bz2": -3, ".xz": -20, ".zst": -1}[suffix]
    path.write_bytes(good[:at] + bytes([good[at] ^ 16]) + good[at:][1:])
    with pytest.raises(SourceError):
        rows_of(path)


def test_streams_of_xz_may_be_padded(tmp_path: Path) -> None:
    path = tmp_path / "a.csv.xz"
    path.write_bytes(bytes(8).join(lzma.compress(text.encode()) for text in texts(4)) + bytes(4))
    assert rows_of(path) == [str(number) for number in range(LINES)]
