"""What every engine promises; one body over all of them."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from trunkline.engine import ENGINES, Engine, FilesVanishedError, open_engine
from trunkline.errors import AuthorError, UnknownNameError

INSTANT = pa.timestamp("us", tz="UTC")
SCHEMA = pa.schema(
    [
        pa.field("subscriber", pa.string()),
        pa.field("seen_at", INSTANT),
        pa.field("amount", pa.float64()),
        pa.field("calls", pa.int64()),
        pa.field("roams", pa.bool_()),
        pa.field("day_on", pa.date32()),
    ]
)
NOON = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)


def stored(folder: Path, *tables: pa.Table) -> list[str]:
    paths = []
    for number, table in enumerate(tables):
        path = folder / f"{number}.parquet"
        pq.write_table(table, path)
        paths.append(str(path))
    return paths


def rows(table: pa.Table, *, by: str = "subscriber") -> list[dict[str, object]]:
    return list(table.sort_by(by).to_pylist())


@pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=["oldest first", "newest first"])
def test_an_added_column_is_there_whatever_the_order_of_files(
    engine: Engine, tmp_path: Path, order: Sequence[int]
) -> None:
    paths = stored(tmp_path, pa.table({"subscriber": ["a"]}), pa.table({"amount": [1.5], "subscriber": ["b"]}))
    read = engine.arrow(engine.parquet([paths[number] for number in order], SCHEMA))
    assert read.schema.equals(SCHEMA)
    assert [(row["subscriber"], row["amount"]) for row in rows(read)] == [("a", None), ("b", 1.5)]


def test_a_column_that_no_file_has_is_a_typed_null(engine: Engine, tmp_path: Path) -> None:
    paths = stored(tmp_path, pa.table({"subscriber": ["a"]}))
    read = engine.arrow(engine.parquet(paths, SCHEMA))
    assert read.schema.equals(SCHEMA)
    assert read.column("seen_at").null_count == 1


def test_no_files_are_an_empty_typed_table(engine: Engine) -> None:
    read = engine.arrow(engine.parquet([], SCHEMA))
    assert read.num_rows == 0
    assert read.schema.equals(SCHEMA)


def test_leading_zeros_nulls_and_empty_strings_stay(engine: Engine, tmp_path: Path) -> None:
    values = ["007", "", None, "1e5", "NULL", "0x10"]
    paths = stored(tmp_path, pa.table({"subscriber": pa.array(values, pa.string())}))
    read = engine.arrow(engine.parquet(paths, pa.schema([pa.field("subscriber", pa.string())])))
    assert sorted(map(repr, read.column(0).to_pylist())) == sorted(map(repr, values))


def test_instants_are_utc_microseconds_under_any_zone(engine: Engine, tmp_path: Path) -> None:
    stamps = pa.array([NOON, None], INSTANT)
    paths = stored(tmp_path, pa.table({"subscriber": ["a", "b"], "seen_at": stamps}))
    table = engine.parquet(paths, SCHEMA)
    assert engine.arrow(table).sort_by("subscriber").column("seen_at").combine_chunks().equals(stamps)
    hour = engine.arrow(table.select("subscriber", hour=table.seen_at.hour(), text=table.seen_at.cast("string")))
    first = rows(hour)[0]
    assert first["hour"] == 12
    assert "12:00:00.123456" in str(first["text"])


def test_the_zone_of_the_machine_does_not_matter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: Engine
) -> None:
    name = engine.capabilities.name
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    with open_engine(name, threads=1) as far_east:
        table = far_east.table(pa.table({"seen_at": pa.array([NOON], INSTANT)}))
        hours = far_east.arrow(table.select(hour=table.seen_at.hour(), day=table.seen_at.date())).to_pylist()
        streamed = far_east.batches(table.select(hour=table.seen_at.hour()), rows=1).read_all().to_pylist()
    assert hours == [{"hour": 12, "day": date(2026, 3, 1)}]
    assert streamed == [{"hour": 12}]


def test_narrow_types_are_cast_to_the_schema(engine: Engine, tmp_path: Path) -> None:
    paths = stored(
        tmp_path,
        pa.table({"calls": pa.array([1], pa.int16()), "amount": pa.array([0.5], pa.float32())}),
        pa.table({"calls": pa.array([2**40], pa.int64()), "amount": pa.array([0.25], pa.float64())}),
    )
    read = engine.arrow(engine.parquet(paths, SCHEMA))
    assert read.schema.equals(SCHEMA)
    assert sorted(read.column("calls").to_pylist()) == [1, 2**40]


def test_columns_that_the_schema_does_not_name_are_left_out(engine: Engine, tmp_path: Path) -> None:
    paths = stored(tmp_path, pa.table({"subscriber": ["a"], "secret": ["x"]}))
    assert engine.arrow(engine.parquet(paths, SCHEMA)).schema.names == SCHEMA.names


def test_awkward_paths_and_names_are_quoted(engine: Engine, tmp_path: Path) -> None:
    folder = tmp_path / "o'hare [1] *"
    folder.mkdir()
    schema = pa.schema([pa.field('say "hi"', pa.string()), pa.field("select", pa.int64())])
    paths = stored(folder, pa.table({'say "hi"': ["a"], "select": [1]}, schema=schema))
    read = engine.arrow(engine.parquet(paths, schema))
    assert read.to_pylist() == [{'say "hi"': "a", "select": 1}]


def test_a_dataset_is_read_like_files(engine: Engine, tmp_path: Path) -> None:
    paths = stored(tmp_path, pa.table({"subscriber": ["007"], "calls": pa.array([3], pa.int32())}))
    table = engine.dataset(ds.dataset(paths), SCHEMA)
    read = engine.arrow(table)
    assert read.schema.equals(SCHEMA)
    assert read.to_pylist() == engine.arrow(table).to_pylist()
    assert read.column("calls").to_pylist() == [3]


def test_arrow_rows_go_in_and_come_out(engine: Engine) -> None:
    given = pa.table({"subscriber": ["007", None], "seen_at": pa.array([NOON, None], INSTANT)})
    assert engine.arrow(engine.table(given)).equals(given)


def test_a_stream_can_be_used_twice_and_joined(engine: Engine) -> None:
    given = pa.table({"subscriber": ["a", "b", "c"], "calls": [1, 2, 3]})
    table = engine.table(given.to_reader(max_chunksize=1))
    assert engine.arrow(table.filter(table.calls > 1)).num_rows == 2
    joined = table.semi_join(engine.table(given.slice(0, 1)), "subscriber")
    assert engine.arrow(joined).column("subscriber").to_pylist() == ["a"]
    assert engine.batches(table, rows=2).read_all().num_rows == 3


def test_batches_stream_beside_other_queries(engine: Engine, tmp_path: Path) -> None:
    paths = stored(tmp_path, pa.table({"calls": list(range(10_000))}))
    table = engine.parquet(paths, pa.schema([pa.field("calls", pa.int64())]))
    kept = engine.table(pa.table({"calls": list(range(0, 10_000, 2))}))
    stream = engine.batches(table.semi_join(kept, "calls"), rows=1000)
    first = stream.read_next_batch()
    assert engine.arrow(table.aggregate(total=table.count())).to_pylist() == [{"total": 10_000}]
    seen = first.num_rows + sum(batch.num_rows for batch in stream)
    assert first.num_rows <= 1000
    assert seen == 5000


def test_a_file_that_is_gone_is_told_from_other_troubles(engine: Engine, tmp_path: Path) -> None:
    paths = stored(tmp_path, pa.table({"subscriber": ["a"]}), pa.table({"subscriber": ["b"]}))
    table = engine.parquet(paths, SCHEMA)
    Path(paths[1]).unlink()
    with pytest.raises(FilesVanishedError):
        engine.arrow(table)
    with pytest.raises(FilesVanishedError):
        engine.batches(table, rows=10).read_all()
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 this is no parquet file PAR1")
    with pytest.raises(Exception) as failure:  # noqa: PT011 - every engine has its own class for a broken file
        engine.arrow(engine.parquet([str(tmp_path / "broken.parquet")], SCHEMA))
    assert not isinstance(failure.value, FilesVanishedError)


def test_a_closed_engine_says_so(engine: Engine) -> None:
    engine.close()
    engine.close()
    with pytest.raises(AuthorError, match="closed"):
        engine.table(pa.table({"a": [1]}).to_reader())


def test_an_unknown_engine_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UnknownNameError) as failure:
        open_engine("abacus")
    assert failure.value.allowed == ENGINES


def test_capabilities_carry_the_name(engine: Engine) -> None:
    assert engine.capabilities.name in ENGINES


def test_an_expression_is_compiled_once_and_run_on_many_threads(engine: Engine) -> None:
    schema = pa.schema([pa.field("number", pa.int64()), pa.field("seen_at", INSTANT)])
    large = engine.compiled(lambda table: table.filter(table["number"] >= 100).select("number", "seen_at"), schema)

    def run(start: int) -> list[int]:
        numbers = pa.array(range(start, start + 50), pa.int64())
        found = large(pa.table({"number": numbers, "seen_at": pa.array([NOON] * 50, INSTANT)}, schema=schema))
        assert found.schema.field("seen_at").type == INSTANT
        assert set(found.column("seen_at").to_pylist()) <= {NOON}
        return sorted(found.column("number").to_pylist())

    starts = range(0, 200, 10)
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(run, starts)) == [[n for n in range(start, start + 50) if n >= 100] for start in starts]
    assert engine.threads >= 1
