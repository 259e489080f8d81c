"""Archives of several files: what is unpacked, what is refused, and any bytes under their names."""

import bz2
import gzip
import io
import lzma
import os
import random
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.damage import damaged

from trunkline.errors import SourceError
from trunkline.ingest.archives import first_file, is_archive, members
from trunkline.ingest.beside_data import beside_data
from trunkline.ingest.byte_stream import Expanding
from trunkline.ingest.files import open_file
from trunkline.settings.ingest import IngestSettings

LIMITS = IngestSettings()
FILES = {"day/a.csv": b"call_id\n1\n", "b.csv.gz": gzip.compress(b"call_id\n2\n", mtime=0), "c": b"<measCollecFile/>"}
BESIDE = {
    ".hidden.csv": b"hidden file",
    "__MACOSX/day/._a.csv": b"file of an operating system",
    "a.csv.md5": b"checksum",
    "day/README.md": b"readme or licence",
    "logo.png": b"picture",
    "_SUCCESS": b"marker",
}
fuzzed = settings(
    max_examples=150,
    derandomize=True,
    deadline=timedelta(seconds=5),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def tar(files: Mapping[str, bytes], *, more: tuple[tarfile.TarInfo, ...] = (), form: int = tarfile.PAX_FORMAT) -> bytes:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w", format=form) as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            info.type = tarfile.DIRTYPE if name.endswith("/") else tarfile.REGTYPE
            archive.addfile(info, io.BytesIO(content))
        for info in more:
            archive.addfile(info)
    return sink.getvalue()


def zipped(files: Mapping[str, bytes]) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return sink.getvalue()


FORMS: dict[str, Callable[[bytes], bytes]] = {
    ".tar": bytes,
    ".tar.gz": lambda data: gzip.compress(data, mtime=0),
    ".TGZ": lambda data: gzip.compress(data, mtime=0),
    ".tar.bz2": bz2.compress,
    ".tar.xz": lzma.compress,
    ".tar.zst": lambda data: bytes(pa.Codec("zstd").compress(data, asbytes=True)),
}

Unpacked = tuple[dict[str, bytes], dict[str, str], str]


def unpacked(path: Path, *, limits: IngestSettings = LIMITS, only: str | None = None) -> Unpacked:
    """The files by name, those that are not given with their reasons, and what was wrong with the archive."""
    found: dict[str, bytes] = {}
    refused: dict[str, str] = {}
    folder = path.parent / "unpacked"
    error = ""
    try:
        for member in members(path, folder=folder, limits=limits, only=only):
            if member.path is None:
                refused[member.name] = member.beside or str(member.error)
            else:
                assert member.path.parent == folder
                found[member.name] = member.path.read_bytes()
                member.path.unlink()
    except SourceError as told:
        error = str(told)
    assert not any(folder.iterdir()) or error, "what is not given is removed"
    for left in folder.iterdir():
        left.unlink()
    return found, refused, error


@pytest.mark.parametrize("suffix", [*FORMS, ".zip"])
def test_each_file_is_given_as_it_is(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"pm{suffix}"
    inside = {**FILES, **BESIDE, "day/": b""}
    path.write_bytes(zipped(inside) if suffix == ".zip" else FORMS[suffix](tar(inside)))
    assert is_archive(path)
    assert unpacked(path) == (FILES, {name: content.decode() for name, content in BESIDE.items()}, "")
    assert unpacked(path, only="c") == ({"c": FILES["c"]}, {}, "")
    assert unpacked(path, only="day/README.md") == ({"day/README.md": b"readme or licence"}, {}, "")
    assert "holds no file 'd'" in unpacked(path, only="d")[2]
    with pytest.raises(SourceError, match=r"no file of rows itself|holds 9 files"):
        open_file(path)
    path.write_bytes(zipped(BESIDE) if suffix == ".zip" else FORMS[suffix](tar(BESIDE)))
    assert "holds no data file" in unpacked(path)[2]


@pytest.mark.parametrize("suffix", [".tar", ".zip"])
def test_files_of_other_suffixes_are_data(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"pm{suffix}"
    data = {"a.dat": b"1", "A2026.1200+0200_N1": b"2", "part.0001": b"3", "a.csv.old": b"5", "x.part": b"6"}
    path.write_bytes((zipped if suffix == ".zip" else tar)(data))
    assert unpacked(path) == (data, {}, "")


def test_what_surely_holds_no_rows_is_told_by_its_name() -> None:
    names: dict[str | None, list[str]] = {
        "hidden file": [".a.csv", "day/._a.csv", "~$book.xlsx", ".git/config"],
        "unfinished file": ["a.csv.part", "b.tmp"],
        "marker": ["a.csv.done", "_SUCCESS"],
        "checksum": ["a.csv.MD5", "SHA256SUMS", "checksums.txt", "sha256sum.txt"],
        "signature": ["a.csv.gz.asc", "SHA256SUMS.sig"],
        "readme or licence": ["README", "ReadMe_first.txt", "readme.de.md", "LICENSE.txt", "COPYING", "README.md.gz"],
        "file of an operating system": ["__MACOSX/day/a.csv", "Thumbs.db", "day/desktop.ini"],
        "picture": ["logo.PNG", "a.b.jpeg"],
        "document": ["notes.md", "form.pdf", "form.docx"],
        None: [
            "a.dat",
            "a",
            "readme.csv",
            "licences.csv",
            "changes.txt",
            "grid.asc",
            "a.sql",
            "a.csv.gz",
            "md5",
            "x.7z",
        ],
    }
    assert {name: beside_data(name) for some in names.values() for name in some} == {
        name: kind for kind, some in names.items() for name in some
    }


def test_a_zip_of_one_file_is_that_file(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    path.write_bytes(zipped({"a.csv": b"call_id\n1\n"}))
    assert not is_archive(path)
    assert not is_archive(tmp_path / "none.tar")
    path.write_bytes(zipped({"inner.tar": tar(FILES)}))
    with pytest.raises(SourceError, match="holds a packed file"):
        open_file(path)


def test_names_of_long_paths_and_other_encodings(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    long = "/".join(["folder" * 10] * 5) + "/a.csv"
    for form in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        path.write_bytes(tar({long: b"1", "Zelle-Köln.csv": b"2"}, form=form))
        assert unpacked(path)[0] == {long: b"1", "Zelle-Köln.csv": b"2"}
    path.write_bytes(tar({"Zelle-K\udcf6ln\n.csv": b"2"}, form=tarfile.GNU_FORMAT))
    assert unpacked(path)[0] == {"Zelle-K\ufffdln\ufffd.csv": b"2"}


def special(name: str, kind: bytes, *, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


def test_what_is_no_plain_file_is_refused_and_stops_no_other(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    more = (
        special("link.csv", tarfile.SYMTYPE, link="/etc/passwd"),
        special("hard.csv", tarfile.LNKTYPE, link="day/a.csv"),
        special("pipe.csv", tarfile.FIFOTYPE),
    )
    hostile = {"../../up.csv": b"1", "/etc/root.csv": b"1", "inner.tar.gz": b"1", "inner.zip": b"1", **FILES}
    path.write_bytes(tar(hostile, more=more))
    found, refused, error = unpacked(path)
    assert (found, error) == (FILES, "")
    assert {name: told.splitlines()[0] for name, told in refused.items()} == {
        name: f"a file of the archive is {kind}, and is not read"
        for name, kind in {
            "../../up.csv": "named as if it lay outside of the archive",
            "/etc/root.csv": "named as if it lay outside of the archive",
            "inner.tar.gz": "an archive itself",
            "inner.zip": "an archive itself",
            "link.csv": "a link",
            "hard.csv": "a link",
            "pipe.csv": "no plain file",
        }.items()
    }


def test_encrypted_damaged_and_linked_files_of_a_zip_stop_no_other(tmp_path: Path) -> None:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        for name in ("first.csv", "secret.csv", "broken.csv", "last.csv"):
            archive.writestr(name, f"call_id\n{name}\n")
        link = zipfile.ZipInfo("link.csv")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
    data = bytearray(sink.getvalue())
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = [n for n in range(len(data)) if data[n : n + 4] == mark][1]
        data[at + offset] |= 1
    data[data.find(b"call_id\nbroken") + 3] ^= 1
    path = tmp_path / "a.zip"
    path.write_bytes(bytes(data))
    found, refused, error = unpacked(path)
    assert (sorted(found), error) == (["first.csv", "last.csv"], "")
    assert "encrypted" in refused["secret.csv"]
    assert "damaged" in refused["broken.csv"]
    assert "a link" in refused["link.csv"]


def test_an_archive_that_breaks_off_says_so_wherever_it_does(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    whole = tar(FILES, form=tarfile.USTAR_FORMAT)
    end = len(whole.rstrip(b"\0"))
    cuts = {0: 0, 100: 0, 512: 0, 700: 1, 1024: 1, 1536: 1, end - 1: 2, end: 3, -(-end // 512) * 512: 3}
    for cut, given_before in cuts.items():
        path.write_bytes(whole[:cut])
        found, _, error = unpacked(path)
        assert "damaged, or breaks off" in error, cut
        assert len(found) == given_before, cut
    damaged = bytearray(whole)
    damaged[1024] ^= 1  # the name in the second header: its checksum does not fit
    path.write_bytes(bytes(damaged))
    assert "breaks off, or a header is damaged" in unpacked(path)[2]
    path.write_bytes(whole + whole)
    assert "something follows its end" in unpacked(path)[2]
    path = tmp_path / "a.tgz"
    path.write_bytes(gzip.compress(whole)[:-40])
    assert unpacked(path)[2]


@pytest.mark.parametrize("suffix", [".tar.gz", ".tar.bz2", ".tar.xz", ".tar.zst"])
def test_each_file_before_a_cut_of_a_packed_archive_is_given(suffix: str, tmp_path: Path) -> None:
    drawn = random.Random(3)
    files = {f"{size}.csv": drawn.randbytes(size // 2).hex().encode() for size in (1_000, 137_190, 400_000, 2_000)}
    packed = [
        FORMS[suffix](tar({name: content})[: 512 + -(-len(content) // 512) * 512]) for name, content in files.items()
    ]
    path = tmp_path / f"pm{suffix}"
    whole = b"".join(packed)
    for number in range(1, len(files)):
        before = sum(map(len, packed[:number]))
        for cut in (before + 10, before + len(packed[number]) - 1):
            path.write_bytes(whole[:cut])
            found, refused, error = unpacked(path)
            given = len(found)  # the last one is given where a header behind it could be unpacked
            assert list(found.items()) == list(files.items())[:given], cut
            assert given in ((number - 1,) if cut == before + 10 else (number - 1, number))
            assert not refused
            assert "damaged, or breaks off" in error


@pytest.mark.parametrize(
    ("suffix", "oracle"),
    [
        (".tar.gz", lambda data: zlib.decompressobj(31).decompress(data)),
        (".tar.bz2", lambda data: bz2.BZ2Decompressor().decompress(data)),
        (".tar.xz", lambda data: lzma.LZMADecompressor().decompress(data)),
    ],
)
def test_each_file_before_a_cut_of_one_packed_stream_is_given(
    suffix: str, oracle: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    drawn = random.Random(4)
    files = {f"{number}.csv": drawn.randbytes(70_000).hex().encode() for number in range(20)}
    packed = FORMS[suffix](tar(files))
    path = tmp_path / f"pm{suffix}"
    for share in (0.4, 0.75):
        cut = packed[: int(len(packed) * share)]
        path.write_bytes(cut)
        found, _, error = unpacked(path)
        whole = (len(oracle(cut)) - 512) // (512 + 140_000 + -140_000 % 512)  # a header stands behind each
        assert list(found.items()) == list(files.items())[:whole], share
        assert "damaged, or breaks off" in error


def test_what_an_archive_may_hold_is_limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trunkline.ingest.byte_stream._RATIO_FREE_BYTES", 1 << 20)
    few = IngestSettings(max_archive_files=2)
    for suffix, content in ((".tar", tar(FILES)), (".zip", zipped(FILES))):
        path = tmp_path / f"many{suffix}"
        path.write_bytes(content)
        found, _, error = unpacked(path, limits=few)
        assert len(found) == 2
        assert "more than 2 files" in error
        assert "ingest.max_archive_files" in error
    beside = {"a.csv": b"1", "a.csv.md5": b"", "b.csv.md5": b""}
    for suffix, content in ((".tar", tar(beside)), (".zip", zipped(beside))):
        path = tmp_path / f"beside{suffix}"
        path.write_bytes(content)
        assert "more than 2 files" in unpacked(path, limits=few)[2], "what is passed over counts"
    zeros = {f"{n}.csv": bytes(1 << 20) for n in range(3)}  # each alone is small enough
    for suffix, content in ((".tgz", gzip.compress(tar(zeros))), (".zip", zipped(zeros))):
        path = tmp_path / f"bomb{suffix}"
        path.write_bytes(content)
        told = unpacked(path, limits=IngestSettings(max_expanded_ratio=50))[2]
        assert "unpacks to more than 50 times its size" in told


def test_what_stands_before_a_file_is_bounded(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    name = tarfile.TarInfo("long")
    name.type, name.size = tarfile.GNUTYPE_LONGNAME, 8 << 20
    path.write_bytes(name.tobuf(tarfile.GNU_FORMAT) + bytes(8 << 20) + tar(FILES))
    assert "a header is too long" in unpacked(path)[2]
    backwards = tarfile.TarInfo("a.csv")
    header = bytearray(backwards.tobuf(tarfile.GNU_FORMAT))
    header[124:136] = b"\xff" * 4 + struct.pack(">q", -1024)
    header[148:156] = b" " * 8
    header[148:156] = f"{sum(header):06o}\0 ".encode()
    path.write_bytes(tar({"x.csv": b"1"})[:1024] + bytes(header) + bytes(1024))
    assert "damaged" in unpacked(path)[2]
    path = tmp_path / "a.zip"
    data = bytearray(zipped(FILES))
    data[-10:-6] = struct.pack("<I", 1 << 30)
    path.write_bytes(bytes(data))
    assert "the directory of the archive takes more than 64 MiB" in unpacked(path)[2]


def test_the_first_file_that_can_be_read_stands_for_all(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    path.write_bytes(tar({"inner.zip": b"1", **FILES}))
    for named, expected in ((path, "day/a.csv"), (Path(f"{path}#c"), "c")):
        with first_file(named, limits=LIMITS) as (file, member):
            assert (file.name, member, file.read_bytes()) == (expected.rpartition("/")[2], expected, FILES[expected])
        assert not file.exists()
    with pytest.raises(SourceError, match="an archive itself"), first_file(Path(f"{path}#inner.zip"), limits=LIMITS):
        pass


def test_a_packed_tar_is_not_read_to_its_end_for_its_first_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.tgz"
    path.write_bytes(gzip.compress(tar({"a.csv": b"1", **{f"{n}.bin": os.urandom(4 << 20) for n in range(2)}})))
    blocks: list[int] = []
    add = Expanding.add

    def noted(counted: Expanding, size: int) -> None:
        blocks.append(size)
        add(counted, size)

    monkeypatch.setattr(Expanding, "add", noted)
    with first_file(path, limits=LIMITS) as (file, _):
        assert file.read_bytes() == b"1"
    assert sum(blocks) < 2 << 20


@pytest.mark.parametrize("suffix", [".tar", ".tgz", ".zip"])
@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.slow
def test_damaged_archives_are_read_or_refused(suffix: str, form: int, tmp_path: Path) -> None:
    files = {**FILES, "/".join(["x" * 50] * 4): b"1,2\n" * 300, "ä.csv": bytes(700)}
    inside = tar(files, form=form)
    seed = {".tar": inside, ".tgz": gzip.compress(inside, mtime=0), ".zip": zipped(files)}[suffix]
    path = tmp_path / f"f{suffix}"

    @fuzzed
    @given(data=damaged(seed, most_taken=600, most_repeated=1200))
    def holds(data: bytes) -> None:
        path.write_bytes(data)
        found, refused, error = unpacked(path)
        if suffix == ".tgz" and not error and not refused:
            assert len(found) >= 1, "its checksum vouches for it"
        assert all(len(told) < 1500 for told in (error, *refused.values()))

    holds()


@pytest.mark.slow
@fuzzed
@given(cut=st.integers(0, 20_000), form=st.sampled_from([tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]), pack=st.booleans())
def test_no_file_is_lost_unsaid_where_an_archive_is_cut(cut: int, form: int, pack: bool, tmp_path: Path) -> None:
    files = {f"{'n' * 90}/{n}.csv": bytes([65 + n]) * (n * 97) for n in range(12)}
    whole = tar(files, form=form)
    data = gzip.compress(whole, mtime=0) if pack else whole
    path = tmp_path / ("a.tgz" if pack else "a.tar")
    path.write_bytes(data[:cut])
    found, refused, error = unpacked(path)
    assert not refused
    assert all(files[name] == content for name, content in found.items()), "a file is given whole or not at all"
    assert error or found == files


@pytest.mark.parametrize("suffix", [".tar", ".tar.gz", ".tar.xz", ".tar.zst", ".zip"])
@pytest.mark.slow
def test_any_bytes_are_read_or_refused(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"f{suffix}"

    @fuzzed
    @given(data=st.binary(max_size=1200))
    def holds(data: bytes) -> None:
        path.write_bytes(data)
        found, _, error = unpacked(path)
        assert error or found

    holds()
