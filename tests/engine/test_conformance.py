"""What every engine promises; one body over all of them."""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import ibis
import pyarrow as pa
import pyarrow.compute as pc
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
CALLS = pa.table(
    {
        "cell": ["c1", "c1", "c2", "c2", "c2", None],
        "at": pa.array([NOON + timedelta(minutes=15 * n) for n in (0, 1, 0, 1, 2, 0)], INSTANT),
        "attempts": [10, 20, 3, 0, 7, 5],
        "drops": pa.array([1.0, None, 0.1, 0.2, 0.3, 1e-9], pa.float64()),
        "cost": pa.array([Decimal("1.10"), Decimal("-0.01"), None, Decimal("12345678.90"), Decimal("0.00"), None]),
    }
)
SITES = pa.table({"cell": ["c1", "c2", "c3"], "site": ["007", "008", "009"]})


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
    other = pa.schema([pa.field("none", pa.int64())])
    assert engine.arrow(engine.dataset(ds.dataset(paths), other)).to_pylist() == [{"none": None}]
    held = ds.dataset(pa.table({"subscriber": ["008"], "calls": [4]}))
    assert engine.arrow(engine.dataset(held, SCHEMA)).column("subscriber").to_pylist() == ["008"]


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


def test_what_is_kept_is_computed_once(engine: Engine, tmp_path: Path) -> None:
    (path,) = stored(tmp_path, pa.table({"subscriber": ["a", "b", "b"], "calls": [1, 2, 3]}))
    read = engine.parquet([path], pa.schema([pa.field("subscriber", pa.string()), pa.field("calls", pa.int64())]))
    kept = engine.kept(read.group_by("subscriber").aggregate(calls=read.calls.sum(), at=ibis.timestamp(NOON)))
    assert engine.arrow(kept).sort_by("subscriber").column("calls").to_pylist() == [1, 5]
    Path(path).unlink()
    assert engine.arrow(kept.filter(kept.calls > 1)).column("subscriber").to_pylist() == ["b"]
    assert engine.batches(kept, rows=1).read_all().num_rows == 2
    assert engine.arrow(kept.select("at").distinct()).column("at").to_pylist() == [NOON]


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


def test_a_compiled_expression_reads_tables_of_the_engine_as_well(engine: Engine, tmp_path: Path) -> None:
    known = engine.parquet(stored(tmp_path, SITES), SITES.schema)
    schema = pa.schema([pa.field("cell", pa.string()), pa.field("n", pa.int64())])
    unknown = engine.compiled(lambda table: table.anti_join(known, "cell").select("n"), schema)

    def run(start: int) -> list[int]:
        given = pa.table({"cell": ["c1", "c9", None], "n": [start, start + 1, start + 2]}, schema=schema)
        return sorted(unknown(given).column("n").to_pylist())

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(run, range(0, 40, 10))) == [[n + 1, n + 2] for n in range(0, 40, 10)]


def test_a_function_runs_where_the_rows_are(engine: Engine, tmp_path: Path) -> None:
    paths = stored(tmp_path, CALLS, CALLS)
    table = engine.parquet(paths, CALLS.schema)
    schema = pa.schema([pa.field("cell", pa.string()), pa.field("at", INSTANT), pa.field("score", pa.float64())])

    def score(batches: Iterable[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        for batch in batches:
            doubled = pa.array([2.0 * number for number in batch.column("attempts").to_pylist()], pa.float64())
            yield pa.RecordBatch.from_arrays([batch.column("cell"), batch.column("at"), doubled], schema=schema)

    scored = engine.mapped(table.select("at", "cell", "attempts"), score, schema)
    found = engine.arrow(scored.group_by("cell").aggregate(total=scored.score.sum(), last_at=scored["at"].max()))
    totals = {row["cell"]: (row["total"], row["last_at"]) for row in found.to_pylist()}
    assert totals == {
        "c1": (120.0, NOON + timedelta(minutes=15)),
        "c2": (40.0, NOON + timedelta(minutes=30)),
        None: (20.0, NOON),
    }
    assert engine.arrow(scored).schema.equals(schema)
    nothing = engine.mapped(table.filter(table.attempts > 100).select("at", "cell", "attempts"), score, schema)
    assert engine.arrow(nothing).num_rows == 0


# The same numbers whoever computes


def close(found: pa.Table, expected: Sequence[dict[str, object]], *, by: str) -> None:
    """Compare row by row; floats to 1e-9 of their size."""
    assert len(found) == len(expected)
    for row, wanted in zip(rows(found, by=by), expected, strict=True):
        assert row == {
            name: pytest.approx(value, rel=1e-9, abs=1e-15) if isinstance(value, float) else value
            for name, value in wanted.items()
        }


def test_decimals_keep_their_digits(engine: Engine, tmp_path: Path) -> None:
    kind = pa.decimal128(12, 2)
    costs = CALLS.select(["cost"]).cast(pa.schema([pa.field("cost", kind)]))
    table = engine.parquet(stored(tmp_path, costs), costs.schema)
    read = engine.arrow(table)
    assert read.schema.field("cost").type == kind
    assert sorted(read.column("cost").to_pylist(), key=str) == sorted(costs.column("cost").to_pylist(), key=str)
    total = engine.arrow(table.aggregate(total=table.cost.sum().cast("float64"), largest=table.cost.max()))
    assert total.to_pylist() == [{"total": pytest.approx(12345679.99, rel=1e-12), "largest": Decimal("12345678.90")}]


def test_aggregates_agree(engine: Engine) -> None:
    calls = engine.table(CALLS)
    found = engine.arrow(
        calls.group_by("cell").aggregate(
            rows=calls.count(),
            known=calls.drops.count(),
            rate=calls.drops.sum() / calls.attempts.sum(),
            spread=calls.drops.std(),
            middle=calls.drops.quantile(0.5),
            upper=calls.attempts.quantile(0.9),
            last_at=calls["at"].max(),
        )
    )
    expected: list[dict[str, object]] = [
        {"cell": "c1", "rows": 2, "known": 1, "rate": 1 / 30, "spread": None, "middle": 1.0, "upper": 19.0},
        {"cell": "c2", "rows": 3, "known": 3, "rate": 0.06, "spread": 0.1, "middle": 0.2, "upper": 6.2},
        {"cell": None, "rows": 1, "known": 1, "rate": 2e-10, "spread": None, "middle": 1e-9, "upper": 5.0},
    ]
    last = [NOON + timedelta(minutes=15), NOON + timedelta(minutes=30), NOON]
    close(found, [{**row, "last_at": at} for row, at in zip(expected, last, strict=True)], by="cell")


def test_joins_agree_and_null_meets_nothing(engine: Engine) -> None:
    calls, sites = engine.table(CALLS), engine.table(SITES)
    joined = sites.left_join(calls, "cell").select("site", "attempts", share=calls.drops / calls.attempts.nullif(0))
    totals = joined.group_by("site").aggregate(attempts=joined.attempts.sum(), share=joined.share.mean())
    close(
        engine.arrow(totals),
        [
            {"site": "007", "attempts": 30, "share": 0.1},
            {"site": "008", "attempts": 10, "share": (0.1 / 3 + 0.3 / 7) / 2},
            {"site": "009", "attempts": None, "share": None},
        ],
        by="site",
    )
    assert engine.arrow(calls.anti_join(sites, "cell").select("attempts")).to_pylist() == [{"attempts": 5}]


def test_windows_agree(engine: Engine) -> None:
    calls = engine.table(CALLS.filter(pc.is_valid(CALLS.column("cell"))))
    window = ibis.window(group_by="cell", order_by="at", preceding=1, following=0)
    found = engine.arrow(
        calls.select(
            "at",
            "attempts",
            name=calls.cell + "-" + calls.attempts.cast("string"),
            mean=calls.drops.mean().over(window),
            before=calls.attempts.lag().over(ibis.window(group_by="cell", order_by="at")),
            rank=ibis.row_number().over(ibis.window(group_by="cell", order_by=ibis.desc("attempts"))),
        )
    )
    means = {"c1-10": 1.0, "c1-20": 1.0, "c2-3": 0.1, "c2-0": 0.15, "c2-7": 0.25}
    before = {"c1-10": None, "c1-20": 10, "c2-3": None, "c2-0": 3, "c2-7": 0}
    rank = {"c1-10": 1, "c1-20": 0, "c2-3": 1, "c2-0": 2, "c2-7": 0}
    for row in rows(found, by="name"):
        name = str(row["name"])
        assert (row["before"], row["rank"]) == (before[name], rank[name])
        assert row["mean"] == pytest.approx(means[name], rel=1e-9)


def builtin(name: str, *, takes: str, gives: str) -> Callable[[str, object], ibis.Value]:
    """A function that sessions of every engine have."""

    def function(zone: str, time: object) -> None:
        """Stand for it."""

    function.__name__ = name
    made: Callable[[str, object], ibis.Value] = ibis.udf.scalar.builtin(function, signature=(("string", takes), gives))
    return made


def test_clocks_of_zones_are_read_alike(engine: Engine) -> None:
    """Twice 02:30 in October, never 02:30 in March; half an hour on Lord Howe; a day that Samoa left out."""

    instant_at = builtin("instant_at", takes="timestamp(6)", gives="timestamp('UTC', 6)")
    clock_at = builtin("clock_at", takes="timestamp('UTC', 6)", gives="timestamp(6)")
    shown = {
        "Europe/Berlin": ["2026-10-25T02:30:00", "2026-03-29T02:30:00", "2026-07-01T12:00:00.000001"],
        "Australia/Lord_Howe": ["2026-04-05T01:45:00", "2026-10-04T02:15:00", "2026-01-01T00:00:00"],
        "Pacific/Apia": ["2011-12-30T12:00:00", "2011-12-29T23:59:59", "2011-12-31T00:00:00"],
    }
    for zone, texts in shown.items():
        naive = [datetime.fromisoformat(text) for text in texts]
        instants = [one.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC) for one in naive]
        table = engine.table(pa.table({"n": [0, 1, 2], "clock": pa.array(naive, pa.timestamp("us"))}))
        asked = table.mutate(instant=instant_at(zone, table.clock))
        asked = asked.mutate(again=clock_at(zone, asked.instant))
        found = rows(engine.arrow(asked), by="n")
        assert [row["instant"] for row in found] == instants
        assert [row["again"] for row in found] == [
            at.astimezone(ZoneInfo(zone)).replace(tzinfo=None) for at in instants
        ]


def test_texts_of_an_expression_arrive_as_they_are(engine: Engine) -> None:
    odd = ["a'b", 'a"b', "a\\b", "\\v", "a\vb\fc\ad\be", "tab\there", "new\nline\r", "%_", "?{0}", "é\u2028😀", "`$x`"]
    table = engine.table(pa.table({"n": list(range(len(odd))), "text": odd}))
    same = ibis.cases(*[(table.n == n, table.text == text) for n, text in enumerate(odd)])
    found = rows(engine.arrow(table.select("n", same=same, again=ibis.literal(odd[4]))), by="n")
    assert all(row["same"] for row in found)
    assert {row["again"] for row in found} == {odd[4]}
    white = engine.table(pa.table({"text": [" \t\n\r\v\fvf5\u00a0\v", "\x1f5\x1f"]}))
    trimmed = [row["text"] for row in engine.arrow(white.select(text=white.text.strip())).to_pylist()]
    assert sorted(map(repr, trimmed)) == sorted(map(repr, ["vf5\u00a0", "\x1f5\x1f"]))


def test_rows_held_by_the_expression_itself_keep_their_types(engine: Engine) -> None:
    given = pa.table({"n": pa.array([1, None], pa.int64()), "at": pa.array([NOON, None], INSTANT)})
    assert engine.arrow(ibis.memtable(given)).equals(given)
