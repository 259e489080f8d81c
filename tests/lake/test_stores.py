"""A lake in S3 (moto's server): what a folder gives, an object store gives too.

Not over the servers of the other stores' protocols: fake-gcs-server does not speak the part of Google's XML protocol by
which Delta's library uploads, and Azurite does not know ``startFrom``, by which it lists a log.
"""

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from pyarrow.fs import FileSelector, FileType
from tests.servers.stores import Bucket

from trunkline.engine import Engine, FilesVanishedError, open_engine
from trunkline.errors import UnknownNameError
from trunkline.lake import Lake, Transaction
from trunkline.settings.lake import LakeSettings

pytestmark = [pytest.mark.servers, pytest.mark.parametrize("bucket", ["s3"], indirect=True)]

T = "churn.subscribers"
CLEAN = {
    "log_retention": timedelta(0),
    "deleted_file_retention": timedelta(0),
    "vacuum_grace": timedelta(0),
    "checkpoint_every": 2,
}


@pytest.fixture
def stored(bucket: Bucket, engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Lake]:
    """Open the lake in the bucket with some settings changed."""
    for name, value in {**bucket.environment, "AWS_ALLOW_HTTP": "true"}.items():
        monkeypatch.setenv(name, value)

    def make(*, engine: Engine = engine, **changes: object) -> Lake:
        settings = LakeSettings.model_validate({"lock_folder": tmp_path / "locks", "lock_timeout_s": 10.0, **changes})
        return Lake(f"{bucket.address}/lake", engine=engine, settings=settings, clock=lambda: datetime.now(UTC))

    return make


def files_of(bucket: Bucket) -> list[str]:
    selector = FileSelector(f"{bucket.name}/lake", recursive=True)
    return [one.path for one in bucket.filesystem.get_file_info(selector) if one.type == FileType.File]


def rows(*names: str) -> pa.Table:
    return pa.table({"name": names, "seen_at": pa.array([datetime(2026, 3, 1, tzinfo=UTC)] * len(names))})


def test_rows_are_written_once_and_read_at_every_version(stored: Callable[..., Lake]) -> None:
    lake = stored()
    assert lake.tables() == []
    assert lake.append(T, rows("007", "b"), transaction=Transaction("calls/0", 7)) == 0
    assert lake.append(T, rows("007", "b"), transaction=Transaction("calls/0", 7)) == 0
    lake.append(T, pa.table({"name": ["c"], "score": [0.5]}))
    assert (lake.tables(), lake.transaction_version(T, "calls/0")) == ([T], 7)
    found = lake.arrow(T).sort_by("name").to_pylist()
    assert [(row["name"], row["score"]) for row in found] == [("007", None), ("b", None), ("c", 0.5)]
    lake.replace(T, rows("d"))
    assert lake.arrow(T).column("name").to_pylist() == ["d"]
    assert lake.arrow(T, version=0).num_rows == 2
    chosen = lake.collect(lambda table: table.filter(table.name == "c").count().as_table(), T, versions={T: 1})
    assert chosen.column(0).to_pylist() == [1]


def test_maintenance_folds_files_and_removes_those_that_nothing_pins(
    stored: Callable[..., Lake], bucket: Bucket
) -> None:
    lake = stored(**CLEAN, compact_after_files=2)
    for name in "abcdef":
        lake.append(T, rows(name))
    before = len(files_of(bucket))
    lake.maintain(pins={T: [2]})
    assert len(lake.files(T)) == 1
    assert sorted(lake.arrow(T).column("name").to_pylist()) == list("abcdef")
    assert sorted(lake.arrow(T, version=2).column("name").to_pylist()) == list("abc")
    lake.maintain(pins={})
    assert len(files_of(bucket)) < before
    with pytest.raises(UnknownNameError, match="version"):
        lake.arrow(T, version=2)


def test_what_is_erased_is_in_no_object(stored: Callable[..., Lake], bucket: Bucket) -> None:
    lake = stored()
    lake.append(T, rows("SECRET", "b"))
    lake.append(T, rows("c"))

    def everything() -> bytes:
        return b"".join(bucket.filesystem.open_input_stream(path).read() for path in files_of(bucket))

    assert b"SECRET" in everything()
    assert lake.erase(T, "name", ["SECRET"]).rows == 1
    assert b"SECRET" not in everything()
    assert sorted(lake.arrow(T).column("name").to_pylist()) == ["b", "c"]


def test_a_reader_whose_files_vanish_tries_once_more(stored: Callable[..., Lake], bucket: Bucket) -> None:
    lake = stored()
    lake.append(T, rows("a"))
    tries = []

    def build(table: object) -> object:
        tries.append(1)
        if len(tries) == 1:  # another process folds and vacuums between opening the snapshot and reading it
            old = [path for path in files_of(bucket) if path.endswith(".parquet")]
            lake.replace(T, rows("new"))
            for path in old:
                bucket.filesystem.delete_file(path)
        return table

    assert lake.collect(build, T).column("name").to_pylist() == ["new"]
    assert len(tries) == 2
    with pytest.raises(FilesVanishedError):
        lake.arrow(T, version=0)


def test_writers_of_two_hosts_lose_no_commit(stored: Callable[..., Lake], tmp_path: Path) -> None:
    """Each with locks of its own, as hosts have that share none: the store refuses a commit that is there already."""

    def write(host: int) -> None:
        with open_engine("duckdb", threads=1) as engine:
            lake = stored(engine=engine, lock_folder=tmp_path / f"host-{host}")
            for number in range(6):
                lake.append(T, rows(f"{host}-{number}"))

    stored().append(T, rows("first"))
    writers = [threading.Thread(target=write, args=(host,)) for host in range(2)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    names = stored().arrow(T).column("name")
    assert (len(names), pc.count_distinct(names).as_py()) == (13, 13)
