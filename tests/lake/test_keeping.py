"""Compaction, vacuum, log clean-up and erasure: what stays readable, and what is gone for good."""

import os
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from trunkline.engine import FilesVanishedError
from trunkline.errors import AuthorError, SchemaError, UnknownNameError
from trunkline.lake import Lake, Transaction, Upsert

T = "churn.subscribers"
AT_ONCE = {"vacuum_grace": 0, "deleted_file_retention": 0, "log_retention": 0}


def folder(lake: Lake) -> Path:
    return Path(lake.root, *T.split("."))


def data_files(lake: Lake) -> set[str]:
    return {path.name for path in folder(lake).glob("*.parquet")}


def log_files(lake: Lake) -> set[str]:
    return {path.name for path in (folder(lake) / "_delta_log").iterdir() if path.name[0].isdigit()}


def make_old(path: Path, *, days: int) -> None:
    then = time.time() - days * 86400
    os.utime(path, (then, then))


def values(lake: Lake, *, version: int | None = None) -> list[object]:
    return sorted(lake.arrow(T, version=version).column("a").to_pylist())


def test_compaction_folds_files_and_keeps_every_row(lake: Lake) -> None:
    for number in range(6):
        lake.append(T, pa.table({"a": [number]}), transaction=Transaction("s", number))
    before = lake.version(T)
    assert lake.compact(T) == 6
    assert values(lake) == [0, 1, 2, 3, 4, 5]
    assert values(lake, version=before) == [0, 1, 2, 3, 4, 5]
    assert lake.transaction_version(T, "s") == 5
    assert lake.compact(T) == 6, "nothing is left to fold"


def test_compaction_by_key_folds_superseded_rows(lake: Lake) -> None:
    for number in range(4):
        lake.append(T, pa.table({"id": ["x", f"only {number}"], "a": [number, number]}))
    version = lake.compact(T, key=["id"], newest_by=["a"])
    rows = {row["id"]: row["a"] for row in lake.arrow(T).to_pylist()}
    assert rows == {"x": 3, "only 0": 0, "only 1": 1, "only 2": 2, "only 3": 3}
    assert lake.arrow(T).num_rows == 5
    assert lake.arrow(T, version=version - 1).num_rows == 8
    with pytest.raises(AuthorError, match="takes both"):
        lake.compact(T, key=["id"])


def test_vacuum_keeps_what_is_younger_than_the_grace(make_lake: Callable[..., Lake]) -> None:
    lake = make_lake(deleted_file_retention=0)  # the grace of an hour is a floor
    lake.append(T, pa.table({"a": [1]}))
    old = data_files(lake)
    for path in folder(lake).glob("*.parquet"):
        make_old(path, days=10)  # an old file that was superseded just now: a reader may hold it
    lake.replace(T, pa.table({"a": [2]}))
    (folder(lake) / "orphan-of-a-running-writer.parquet").write_bytes(b"x")
    assert lake.vacuum(T, pins={}) == 0
    assert old < data_files(lake)
    assert values(lake, version=0) == [1]


def test_vacuum_removes_old_orphans_of_killed_writers(lake: Lake) -> None:
    lake.append(T, pa.table({"a": [1]}))
    orphan = folder(lake) / "part-of-a-killed-writer.parquet"
    orphan.write_bytes(b"x")
    make_old(orphan, days=30)
    assert lake.vacuum(T, pins={}) == 1
    assert values(lake) == [1]


def test_vacuum_keeps_pinned_versions(make_lake: Callable[..., Lake]) -> None:
    lake = make_lake(**AT_ONCE)
    for number in range(5):
        lake.replace(T, pa.table({"a": [number]}))
    assert lake.vacuum(T, pins={T: [1, 77], "other.table": [0]}) == 3
    assert values(lake, version=1) == [1]
    assert values(lake) == [4]
    for gone in (0, 2, 3):
        with pytest.raises(FilesVanishedError):
            lake.arrow(T, version=gone)
    before = lake.version(T)
    assert lake.vacuum(T, pins={T: [1]}) == 0, "Delta still lists the removed files"
    assert lake.version(T) == before


@pytest.mark.slow
def test_maintenance_keeps_a_hot_table_small(
    make_lake: Callable[..., Lake], forward: Callable[[timedelta], None]
) -> None:
    lake = make_lake(**AT_ONCE, compact_after_files=10, checkpoint_every=10)
    for number in range(45):
        lake.append(T, pa.table({"a": [number]}), transaction=Transaction("s", number))
    assert len(log_files(lake)) >= 45
    forward(timedelta(minutes=1))
    (done,) = lake.maintain(pins={T: [13]})
    assert (done.table, done.folded_files, done.removed_files) == (T, 44, 31)
    assert done.removed_log_files > 20
    assert done.version == lake.version(T)
    assert values(lake) == list(range(45))
    assert values(lake, version=13) == list(range(14)), "a pinned version keeps its files and its part of the log"
    assert {int(name[:20]) for name in log_files(lake)} >= {9, 10, 11, 12, 13}
    assert not {int(name[:20]) for name in log_files(lake)} & {0, 5, 8, 14, 20}
    assert lake.transaction_version(T, "s") == 44
    versions = [commit.version for commit in lake.history(T)]
    assert versions == sorted(versions, reverse=True)
    assert {13, done.version} <= set(versions)
    with pytest.raises(UnknownNameError, match="no version 20"):
        lake.arrow(T, version=20)


def test_maintenance_leaves_the_log_within_its_retention(
    make_lake: Callable[..., Lake], forward: Callable[[timedelta], None]
) -> None:
    lake = make_lake(checkpoint_every=5, log_retention=86400 * 30)
    for number in range(12):
        lake.append(T, pa.table({"a": [number]}))
    before = log_files(lake)
    (done,) = lake.maintain(pins={})
    assert (done.folded_files, done.removed_files, done.removed_log_files) == (0, 0, 0)
    assert log_files(lake) == before
    forward(timedelta(days=31))
    (done,) = lake.maintain(pins={})
    assert done.removed_log_files == len([name for name in before if int(name[:20]) < 9])
    assert values(lake) == list(range(12))


def test_maintenance_brings_old_tables_to_new_settings(make_lake: Callable[..., Lake]) -> None:
    make_lake().append(T, pa.table({"a": [1]}))
    lake = make_lake(checkpoint_every=7)
    first = lake.maintain(pins={})[0].version
    assert lake.maintain(pins={})[0].version == first, "the second time there is nothing to do"
    text = (folder(lake) / "_delta_log" / f"{first:020d}.json").read_text()
    assert '"delta.checkpointInterval":"7"' in text


def test_maintenance_folds_upserts_of_the_tables_it_is_told(make_lake: Callable[..., Lake]) -> None:
    lake = make_lake(compact_after_files=2)
    for number in range(4):
        lake.append(T, pa.table({"id": ["x"], "a": [number]}))
        lake.append("churn.log", pa.table({"id": ["x"], "a": [number]}))
    lake.maintain(pins={}, upserts={T: Upsert(key=("id",), newest_by=("a",))})
    assert lake.arrow(T).num_rows == 1
    assert lake.arrow("churn.log").num_rows == 4


def everything_in(path: Path) -> str:
    """All text that could be found in a table's folder, statistics and checkpoints included."""
    found = []
    for file in path.rglob("*"):
        if file.suffix == ".parquet":
            found.append(str(pq.read_table(file).to_pylist()) + str(pq.read_metadata(file).to_dict()))
        elif file.is_file():
            found.append(file.read_text(errors="replace"))
    return "\n".join(found)


def test_rows_are_removed_by_a_text_and_older_versions_keep_them(lake: Lake) -> None:
    for batch in ("b1", "it's", "b1"):
        lake.append(T, pa.table({"a": [1, 2], "batch": [batch, "other"]}))
    before = lake.version(T)
    assert lake.remove(T, "batch", "it's", metadata={"why": "again"}) == 1
    assert lake.remove(T, "batch", "b1") == 2
    assert sorted(lake.arrow(T).column("batch").to_pylist()) == ["other"] * 3
    assert lake.arrow(T, version=before).num_rows == 6
    now = lake.version(T)
    assert lake.remove(T, "batch", "b1") == 0
    assert lake.version(T) == now
    with pytest.raises(SchemaError):
        lake.remove(T, "no_such_column", "x")


def test_erasure_leaves_no_trace_in_any_version(lake: Lake) -> None:
    lake.append(T, pa.table({"id": ["SECRET", "b", None], "a": [1, 2, 3]}), transaction=Transaction("s", 1))
    lake.append(T, pa.table({"id": ["c", "SECRET"], "a": [4, 5]}))
    lake.append("churn.untouched", pa.table({"id": ["b"]}))
    assert "SECRET" in everything_in(folder(lake))
    done = lake.erase(T, "id", ["SECRET", "nobody"])
    assert (done.rows, done.gone) == (2, (0, 1))
    assert done.version == lake.version(T)
    assert values(lake) == [2, 3, 4], "rows without the value stay, NULL too"
    assert "SECRET" not in everything_in(folder(lake))
    assert lake.transaction_version(T, "s") == 1
    with pytest.raises(UnknownNameError):
        lake.arrow(T, version=1)
    assert lake.append(T, pa.table({"a": [9]})) == done.version + 1


def test_erasure_reaches_versions_that_no_longer_have_the_rows_in_the_newest(make_lake: Callable[..., Lake]) -> None:
    lake = make_lake()
    lake.append(T, pa.table({"id": [41], "a": [1]}))
    lake.replace(T, pa.table({"id": ["x"], "a": [2]}))  # the column had another type before
    done = lake.erase(T, "id", ["41"])
    assert (done.rows, done.gone) == (0, (0,))
    assert values(lake) == [2]
    assert "41" not in {
        row for name in data_files(lake) for row in pq.read_table(folder(lake) / name)["id"].to_pylist()
    }
    assert len(data_files(lake)) == 1


@pytest.mark.parametrize("where", ["checkpoint", "commit"])
@pytest.mark.parametrize("value", ["SECRET", "SECRET that is longer than what statistics keep of a text"])
def test_erasure_finds_values_that_only_the_statistics_of_the_log_still_have(
    make_lake: Callable[..., Lake], value: str, where: str
) -> None:
    lake = make_lake(vacuum_grace=0, deleted_file_retention=0)
    lake.append(T, pa.table({"id": [value], "a": [1]}))
    if where == "checkpoint":
        DeltaTable(folder(lake)).create_checkpoint()
    lake.replace(T, pa.table({"id": ["x"], "a": [2]}))
    lake.vacuum(T, pins={})
    if where == "checkpoint":
        (folder(lake) / "_delta_log" / f"{0:020d}.json").unlink()
    assert len(data_files(lake)) == 1
    assert "SECRET" in everything_in(folder(lake))
    assert lake.erase(T, "id", [value]).rows == 0
    assert "SECRET" not in everything_in(folder(lake))
    assert values(lake) == [2]


def test_erasure_touches_nothing_when_nobody_is_there(lake: Lake) -> None:
    lake.append(T, pa.table({"id": ["a"], "a": [1]}))
    lake.append(T, pa.table({"id": ["b"], "a": [2]}))
    done = lake.erase(T, "id", ["nobody"])
    assert (done.rows, done.gone, done.version) == (0, (), 1)
    assert values(lake, version=0) == [1]
    assert lake.erase(T, "id", []).gone == ()


def test_erasure_refuses_what_it_cannot_compare_without_showing_it(lake: Lake) -> None:
    lake.append(T, pa.table({"id": [1], "a": [1]}))
    with pytest.raises(SchemaError, match="not of the column's type") as failure:
        lake.erase(T, "id", ["+49 170 1234567"])
    assert "1234567" not in str(failure.value)
    with pytest.raises(SchemaError, match="lacks the column"):
        lake.erase(T, "msisdn", ["x"])


@pytest.mark.parametrize(
    "call",
    [
        lambda lake: lake.compact(T),
        lambda lake: lake.vacuum(T, pins={}),
        lambda lake: lake.erase(T, "a", [1]),
        lambda lake: lake.history(T),
        lambda lake: lake.maintain(pins={}, tables=[T]),
        lambda lake: lake.schema(T),
    ],
    ids=["compact", "vacuum", "erase", "history", "maintain", "schema"],
)
def test_a_table_that_is_not_there_is_named(lake: Lake, call: Callable[[Lake], object]) -> None:
    with pytest.raises(UnknownNameError, match="no table"):
        call(lake)
    assert not folder(lake).exists()
