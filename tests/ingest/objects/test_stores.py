"""Objects of stores on loopback: the same bytes and the same words, whichever protocol the store speaks."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar

import pytest
from pyarrow.fs import FileSelector, FileType
from tests.servers.processes import SECRET
from tests.servers.stores import Bucket

from trunkline.contracts import Contract, Integer, Table, Text, field
from trunkline.errors import SourceError, UnavailableError
from trunkline.ingest import Ingested, Target
from trunkline.ingest.landing import Landing
from trunkline.ingest.pulling import pull
from trunkline.ingest.sources import object_writes, objects
from trunkline.ingest.sources.object_writes import writing_object
from trunkline.ingest.sources.objects import Objects
from trunkline.lake import Lake
from trunkline.spec.sources import ObjectSource

pytestmark = pytest.mark.servers


class Call(Contract):
    table: ClassVar[Table] = Table(key=("call_id",))

    call_id: Text = field(max_length=10)
    seconds: Integer = field(minimum=0)


def source_of(bucket: Bucket, keys: str = "2026/*.csv", options: Mapping[str, str] | None = None) -> Objects:
    said = bucket.options if options is None else options
    declared = {"kind": "objects", "usecase": "calls", "url": f"{bucket.address}/{keys}", "options": said}
    return Objects("cdr", ObjectSource.model_validate(declared))


def now() -> datetime:
    return datetime.now(UTC)


def take(source: Objects, lake: Lake, tmp_path: Path) -> list[Ingested]:
    landing = Landing(tmp_path / "landing", clock=now)
    target = Target("calls", "calls", Call)
    return list(pull(source, target, landing=landing, locks=tmp_path / "locks", lake=lake, run_id="r1", clock=now))


def test_each_object_enters_the_lake_once(bucket: Bucket, lake: Lake, tmp_path: Path) -> None:
    bucket.put("2026/a.csv", b"call_id,seconds\nc1,1\nc2,2\n")
    bucket.put("2026/b.csv", b"call_id,seconds\nc3,3\n")
    bucket.put("2025/old.csv", b"call_id,seconds\nc0,0\n")
    bucket.put("2026/05/deep.csv", b"call_id,seconds\nc9,9\n")
    first = take(source_of(bucket), lake, tmp_path)
    assert sorted(taken.receipt.source for taken in first) == [f"{bucket.address}/2026/{name}.csv" for name in "ab"]
    assert take(source_of(bucket), lake, tmp_path) == []
    bucket.put("2026/b.csv", b"call_id,seconds\nc3,3\nc4,4\n")
    (second,) = take(source_of(bucket), lake, tmp_path)
    assert (second.receipt.source, second.receipt.read) == (f"{bucket.address}/2026/b.csv", 2)
    assert set(lake.arrow("calls.calls").column("call_id").to_pylist()) == {"c1", "c2", "c3", "c4"}


def test_wildcards_over_folders_and_everything_below(bucket: Bucket, tmp_path: Path) -> None:
    for key in ("2026/01/a.csv", "2026/02/b.csv", "2026/02/b.txt", "2026/c.csv", "2025/d.csv"):
        bucket.put(key, b"a\n1\n")
    bucket.put("2026/02/empty.csv", b"")

    def found(keys: str) -> list[str]:
        parts = source_of(bucket, keys).pull(None, folder=tmp_path)
        return sorted(part.origin.removeprefix(f"{bucket.address}/") for part in parts)

    assert found("2026/*/*.csv") == ["2026/01/a.csv", "2026/02/b.csv"]
    assert found("2026/**.csv") == ["2026/01/a.csv", "2026/02/b.csv", "2026/c.csv"]
    assert found("2026/02/") == ["2026/02/b.csv", "2026/02/b.txt"]
    assert found("2026/c.csv") == ["2026/c.csv"]


def test_a_key_that_is_not_plain(bucket: Bucket, tmp_path: Path) -> None:
    key = "Bürgerservice & Co/50 %25 + rest=1.csv"
    bucket.put(key, b"a\n1\n")
    (part,) = source_of(bucket, "Bürgerservice & Co/*.csv").pull(None, folder=tmp_path)
    assert (part.origin, part.path.read_bytes()) == (f"{bucket.address}/{key}", b"a\n1\n")


def test_a_large_object_comes_whole(bucket: Bucket, tmp_path: Path) -> None:
    content = b"call_id,seconds\n" + b"".join(b"c%07d,7\n" % number for number in range(900_000))
    bucket.put("2026/large.csv", content)
    (part,) = source_of(bucket).pull(None, folder=tmp_path)
    assert part.path.read_bytes() == content


def test_an_object_is_seen_whole_or_not_at_all(bucket: Bucket) -> None:
    store, key = bucket.filesystem, f"{bucket.name}/dwh/table.parquet"

    def seen() -> int:
        return int(store.get_file_info(key).size or 0)

    with writing_object(store, key) as write:
        write(b"1")
        assert seen() == 0
    with writing_object(store, key) as write:
        write(b"2" * (12 << 20))
        assert seen() == 1
    assert seen() == 12 << 20
    assert [one.path for one in store.get_file_info(FileSelector(f"{bucket.name}/dwh"))] == [key]


@pytest.mark.parametrize("content", [b"hal", b"h" * (12 << 20)], ids=["small", "of several parts"])
@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_a_write_that_fails_leaves_the_object_of_before(
    bucket: Bucket, content: bytes, error: type[BaseException]
) -> None:
    key = "Bürgerservice & Co/50 %25 + rest=1.parquet"

    def cut(key: str) -> None:
        with writing_object(bucket.filesystem, f"{bucket.name}/{key}") as write:
            write(content)
            raise error

    with pytest.raises(error):
        cut("new/table.parquet")
    assert bucket.filesystem.get_file_info(f"{bucket.name}/new/table.parquet").type == FileType.NotFound
    with writing_object(bucket.filesystem, f"{bucket.name}/{key}") as write:
        write(b"before")
    with pytest.raises(error):
        cut(key)
    (left,) = bucket.filesystem.get_file_info(FileSelector(f"{bucket.name}/{key.partition('/')[0]}"))
    assert (left.base_name, left.size) == (key.partition("/")[2], 6)
    assert bucket.filesystem.open_input_stream(left.path).read() == b"before"


@pytest.mark.parametrize("bucket", ["s3"], indirect=True)  # the others copy whatever they hold
def test_an_object_larger_than_the_store_copies_is_refused(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(object_writes._MOST_BYTES, "s3", 10)

    def put(*blocks: bytes) -> None:
        with writing_object(bucket.filesystem, f"{bucket.name}/dwh/table.parquet") as write:
            for block in blocks:
                write(block)

    put(b"01234", b"56789")
    with pytest.raises(SourceError, match="more than 10 bytes"):
        put(b"abcdefghij", b"k")
    (left,) = bucket.filesystem.get_file_info(FileSelector(f"{bucket.name}/dwh"))
    assert bucket.filesystem.open_input_stream(left.path).read() == b"0123456789"


@pytest.mark.parametrize("bucket", ["s3", "abfss"], indirect=True)
def test_keys_of_the_environment(bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket.put("2026/a.csv", b"a\n1\n")
    for name, value in bucket.environment.items():
        monkeypatch.setenv(name, value)
    assert len(list(source_of(bucket, options=bucket.keyless).pull(None, folder=tmp_path))) == 1


@pytest.mark.parametrize("keys", ["x/*.csv", "x/a.csv", "x/"])
def test_a_missing_bucket(bucket: Bucket, keys: str, tmp_path: Path) -> None:
    nowhere = replace(bucket, address=bucket.address.replace(bucket.name, f"{bucket.name}-gone"))
    with pytest.raises(SourceError, match="no such bucket"):
        list(source_of(nowhere, keys).pull(None, folder=tmp_path))


def test_a_folder_in_which_nothing_arrived_yet(bucket: Bucket, tmp_path: Path) -> None:
    bucket.put("2025/old.csv", b"a\n1\n")
    assert list(source_of(bucket).pull(None, folder=tmp_path)) == []
    with pytest.raises(SourceError, match="no such object"):
        list(source_of(bucket, "2026/a.csv").pull(None, folder=tmp_path))


@pytest.mark.parametrize("bucket", ["s3", "abfss"], indirect=True)  # fake-gcs-server looks at no credentials
@pytest.mark.parametrize("keys", ["2026/*.csv", "2026/a.csv"])
def test_wrong_credentials(bucket: Bucket, keys: str, tmp_path: Path) -> None:
    bucket.put("2026/a.csv", b"a\n1\n")
    with bucket.refusing() as options, pytest.raises(SourceError, match="credentials are refused") as caught:
        list(source_of(bucket, keys, options).pull(None, folder=tmp_path))
    for secret in ("AKIAEXAMPLE", SECRET, options.get("account_key", SECRET)):
        assert secret not in str(caught.value)


def test_a_store_that_does_not_answer(bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objects, "_TIMEOUT_S", 1.0)
    with pytest.raises(UnavailableError, match="cannot be listed"):
        list(source_of(bucket, options=bucket.away).pull(None, folder=tmp_path))
