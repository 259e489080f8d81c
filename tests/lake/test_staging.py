"""Rows that are staged: seen by nobody before their commit, gone without it, and files that a reader need not open."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from trunkline.errors import ConflictError, SchemaError
from trunkline.lake import Lake, Transaction, staging

START = datetime(2026, 1, 1, tzinfo=UTC)


def rows(*numbers: int, at: datetime = START, **more: pa.Array) -> pa.Table:
    instants = pa.array([at + timedelta(seconds=number) for number in numbers], pa.timestamp("us", tz="UTC"))
    words = pa.array([f"w{number}" if number % 2 else None for number in numbers], pa.string())
    return pa.table({"number": pa.array(numbers, pa.int64()), "at": instants, "word": words, **more})


def numbers_of(lake: Lake) -> list[int]:
    return sorted(lake.arrow("s.t").column("number").to_pylist())


def parquet_files(lake: Lake) -> list[Path]:
    return [path for path in Path(lake.root, "s", "t").rglob("*") if path.is_file() and "_delta_log" not in path.parts]


def test_staged_rows_are_seen_when_they_are_committed(lake: Lake) -> None:
    with lake.staged("s.t", rows(1).schema) as staged:
        staged.write(rows(1, 2, 3))
        staged.write(rows(4, 5))
        assert not lake.exists("s.t")
        staged.finish()
        staged.drop(pa.array([2, 5]), column="number")
        assert (staged.rows, not lake.exists("s.t")) == (3, True)
        assert lake.append_staged("s.t", staged, transaction=Transaction("a", 1), metadata={"run_id": "r"}) == 0
    assert numbers_of(lake) == [1, 3, 4]
    assert lake.history("s.t")[0].metadata == {"run_id": "r"}
    with lake.staged("s.t", rows(1).schema) as staged:
        staged.write(rows(7))
        assert lake.append_staged("s.t", staged, transaction=Transaction("a", 1)) == 0, "covered already"
    with lake.staged("s.t", rows(1).schema) as staged:
        staged.write(rows(7))
        assert lake.append_staged("s.t", staged, transaction=[Transaction("b", 1), Transaction("c", 1)]) == 1
    assert numbers_of(lake) == [1, 3, 4, 7]
    assert lake.transaction_versions("s.t", ["a", "b", "c", "d"]) == {"a": 1, "b": 1, "c": 1}
    assert len(parquet_files(lake)) == len(lake.files("s.t"))


def test_many_files_are_staged_and_only_some_written_again(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staging, "_FILE_BYTES", 1)
    with lake.staged("s.t", rows(1).schema) as staged:
        for number in range(0, 40, 2):
            staged.write(rows(number, number + 1))
        staged.finish()
        assert len(staged.files) == 20
        kept = {file.path for file in staged.files[5:]}
        staged.drop(pa.array([0, 1, 3, 5, 7, 8]), column="number")
        assert kept < {file.path for file in staged.files}
        assert (staged.rows, len(staged.files)) == (34, 19)
        lake.append_staged("s.t", staged)
    assert numbers_of(lake) == [2, 4, 6, 9, *range(10, 40)]
    assert len(parquet_files(lake)) == 19


def test_staged_rows_that_are_given_up_are_gone(lake: Lake) -> None:
    with lake.staged("s.t", rows(1).schema) as staged:
        staged.write(rows(1, 2))
        staged.finish()
        staged.write(rows(3))
        assert len(parquet_files(lake)) == 2
    assert parquet_files(lake) == []
    assert lake.tables() == []


@pytest.mark.parametrize("has_error", [True, False])
def test_an_error_while_giving_up_hides_nothing(lake: Lake, monkeypatch: pytest.MonkeyPatch, has_error: bool) -> None:
    closed: list[pq.ParquetWriter] = []
    close = pq.ParquetWriter.close

    def full(writer: pq.ParquetWriter) -> None:
        close(writer)
        if writer not in closed:
            closed.append(writer)
            raise OSError("no space left")

    staged = lake.staged("s.t", rows(1).schema)
    staged.write(rows(0))
    staged.finish()
    for number in range(1, 4):
        staged.write(rows(number))
        staged._idle.clear()  # as if another thread held that file
    assert len(parquet_files(lake)) == 4
    monkeypatch.setattr(pq.ParquetWriter, "close", full)

    def leave() -> None:
        with staged:
            if has_error:
                raise RuntimeError("first")

    with pytest.raises(RuntimeError if has_error else OSError, match="first" if has_error else "no space"):
        leave()
    assert (len(closed), parquet_files(lake)) == (3, [])


@pytest.mark.slow
def test_a_part_that_is_covered_is_a_conflict(lake: Lake) -> None:
    lake.append("s.t", rows(1), transaction=Transaction("a", 1))
    with lake.staged("s.t", rows(1).schema) as staged:
        staged.write(rows(2))
        with pytest.raises(ConflictError, match="a part of these rows"):
            lake.append_staged("s.t", staged, transaction=[Transaction("a", 1), Transaction("b", 1)])
    assert numbers_of(lake) == [1]
    assert len(parquet_files(lake)) == 1


def test_a_table_that_moved_on_is_a_conflict(lake: Lake) -> None:
    for base, then in ((-1, 0), (0, 1)):
        with lake.staged("s.t", rows(1).schema) as staged:
            staged.write(rows(base))
            assert lake.append_staged("s.t", staged, base=base) == then
    with lake.staged("s.t", rows(1).schema) as staged:
        staged.write(rows(9))
        with pytest.raises(ConflictError, match="moved on"):
            lake.append_staged("s.t", staged, base=0)


def test_new_columns_and_other_types(lake: Lake) -> None:
    lake.append("s.t", rows(1))
    wider = rows(2, share=pa.array([0.5]))
    with lake.staged("s.t", wider.schema) as staged:
        staged.write(wider)
        assert lake.append_staged("s.t", staged) == 1
    assert sorted(lake.arrow("s.t").column("share").to_pylist(), key=repr) == [0.5, None]
    fewer = rows(3).select(["number"])
    with lake.staged("s.t", fewer.schema) as staged:
        staged.write(fewer)
        assert lake.append_staged("s.t", staged) == 2
    assert numbers_of(lake) == [1, 2, 3]
    other = fewer.set_column(0, "number", pa.array(["x"]))
    with lake.staged("s.t", other.schema) as staged:
        staged.write(other)
        with pytest.raises(SchemaError, match="changes its type"):
            lake.append_staged("s.t", staged)
    assert len(parquet_files(lake)) == 3


def test_rows_on_their_way_through_an_erasure(lake: Lake) -> None:
    lake.append("s.t", rows(1, 2))
    with lake.staged("s.t", rows(1).schema) as staged:
        staged.write(rows(1))
        staged.finish()
        lake.erase("s.t", "number", [1])
        with pytest.raises(ConflictError, match="on their way"):
            lake.append_staged("s.t", staged)
    with lake.staged("s.t", rows(1).schema) as staged:
        staged.write(rows(2))
        lake.erase("s.t", "number", [2])
        with pytest.raises(ConflictError, match="on their way"):
            lake.append_staged("s.t", staged)
    assert numbers_of(lake) == []


def test_a_day_is_read_without_touching_the_rest(lake: Lake) -> None:
    for day in range(6):
        part = rows(0, 3600, 86_399, at=START + timedelta(days=day))
        if day % 2:
            lake.append("s.t", part)
        else:
            with lake.staged("s.t", part.schema) as staged:
                staged.write(part)
                lake.append_staged("s.t", staged)
    one = (START + timedelta(days=2), START + timedelta(days=3, microseconds=-1))
    (file,) = lake.files("s.t", within={"at": one})
    rest = [Path(path) for path in lake.files("s.t") if path != file]
    for path in rest:
        path.write_bytes(b"not to be opened")
    found = lake.engine.arrow(lake.read("s.t", within={"at": one}))
    assert found.column("at").to_pylist() == [START + timedelta(days=2, seconds=s) for s in (0, 3600, 86_399)]
    half_open = lake.files("s.t", within={"at": (START + timedelta(days=4), None)})
    assert len(half_open) == 2
    assert len(lake.files("s.t", within={"at": (None, None)})) == 6
    assert len(lake.files("s.t", within={"word": ("x", "z")})) == 0
    assert len(lake.files("s.t", within={"number": (3600, 3600)})) == 6
    assert lake.engine.arrow(lake.read("s.t", within={"at": one, "number": (3000, 4000)})).num_rows == 1


def test_statistics_of_long_texts_are_bounds(lake: Lake) -> None:
    long = "a" * 40
    for word in (long, "b" * 32, "c"):
        lake_rows = pa.table({"number": pa.array([1], pa.int64()), "word": [word]})
        with lake.staged("s.t", lake_rows.schema) as staged:
            staged.write(lake_rows)
            lake.append_staged("s.t", staged)
    for word in (long, "b" * 32, "c"):
        found = lake.engine.arrow(lake.read("s.t", within={"word": (word, word)}))
        assert found.column("word").to_pylist() == [word]
    assert len(lake.files("s.t", within={"word": ("c", "c")})) == 2, "no upper bound is known of a long text"
