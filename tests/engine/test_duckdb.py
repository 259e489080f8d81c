"""What holds for DuckDB alone."""

import gc
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import duckdb
import ibis
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from trunkline.engine import FilesVanishedError
from trunkline.engine.duckdb import DuckDB


def test_no_extension_is_installed_or_loaded_behind_ones_back() -> None:
    with DuckDB(threads=1) as engine:
        rows = engine.connection.raw_sql(
            "SELECT name, value FROM duckdb_settings() WHERE name LIKE 'auto%_known_extensions'"
        ).fetchall()
    assert dict(rows) == {"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"}


def test_no_progress_bar_and_utc() -> None:
    with DuckDB(threads=1) as engine:
        query = "SELECT current_setting('enable_progress_bar'), current_setting('TimeZone')"
        assert engine.connection.raw_sql(query).fetchall() == [(False, "UTC")]
        assert engine.connection.con.cursor().sql(query).fetchall()[0][1] == "UTC"


def test_limits_reach_the_database_and_results_spill(tmp_path: Path) -> None:
    spill = tmp_path / "spill"
    with DuckDB(memory_limit_mb=64, threads=1, temp_dir=spill) as engine:
        settings = engine.connection.raw_sql(
            "SELECT current_setting('memory_limit'), current_setting('threads')"
        ).fetchall()
        assert settings == [("64.0 MiB", 1)]
        batch = pa.record_batch({"text": ["x" * 1000] * 10_000})
        table = engine.table(pa.RecordBatchReader.from_batches(batch.schema, iter([batch] * 20)))
        assert engine.arrow(table.aggregate(total=table.count())).to_pylist() == [{"total": 200_000}]


@pytest.mark.slow
def test_a_stream_is_forgotten_with_the_last_expression_over_it() -> None:
    with DuckDB(threads=1) as engine:
        table = engine.table(pa.table({"a": [1]}).to_reader())
        derived = table.filter(table.a > 0)
        del table
        gc.collect()
        assert engine.arrow(derived).num_rows == 1
        del derived
        gc.collect()
        assert engine.connection.raw_sql("SHOW TABLES").fetchall() == []


def test_a_stream_is_forgotten_while_a_result_is_read() -> None:
    with DuckDB(threads=1) as engine:
        table = engine.table(pa.table({"a": [1]}).to_reader())
        result = engine.connection.con.execute("SELECT * FROM range(100_000)")
        first = result.fetchmany(10)
        del table
        gc.collect()  # a failure inside it is a warning, and so an error
        assert len(first) + len(result.fetchall()) == 100_000
        assert engine.connection.raw_sql("SHOW TABLES").fetchall() == []


def test_neither_held_rows_nor_results_load_pandas() -> None:
    code = """
import sys
import pyarrow as pa
from trunkline.engine.duckdb import DuckDB
with DuckDB(threads=1) as engine:
    table = engine.table(pa.table({"a": pa.arange(1, 3)}))
    print(engine.arrow(table.filter(table["a"] > 1)).num_rows, engine.batches(table, rows=1).read_all().num_rows)
print([name for name in ("pandas", "pyarrow.dataset") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == ["1 2", "[]"]


@pytest.mark.slow
def test_compilers_of_other_databases_are_loaded_when_they_are_asked_for() -> None:
    code = """
import sys
import pyarrow as pa
from trunkline.engine.duckdb import DuckDB
loaded = lambda: sum(name.startswith("ibis.backends.sql.compilers.") for name in sys.modules)
with DuckDB(threads=1) as engine:
    table = engine.table(pa.table({"a": [1]}))
    engine.arrow(table)
    import ibis
    import ibis.backends.sql.compilers as compilers
    few = loaded()
    print("sqlglot.dialects.snowflake" in sys.modules, few < 5, "SELECT" in ibis.to_sql(table, dialect="postgres"))
    print(hasattr(compilers, "no_database"), compilers.MySQLCompiler.__name__, loaded() > 20)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == ["False True True", "False MySQLCompiler True"]


@pytest.mark.parametrize("module", ["trunkline.engine", "trunkline.lake", "trunkline.settings.lake"])
def test_importing_is_light(module: str) -> None:
    heavy = ["duckdb", "ibis", "deltalake", "pandas", "pyarrow", "tenacity", "filelock"]
    code = f"import sys, {module}; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


SCHEMA = pa.schema([pa.field("calls", pa.int64())])


def missing(_: object) -> pa.RecordBatch:
    raise FileNotFoundError("model.onnx")


def lacking(_: object = None) -> Iterator[pa.RecordBatch]:
    """Rows that cannot be made: a file is missing that is none of any table."""
    return map(missing, [1])


def test_a_file_that_a_function_misses_is_no_file_of_the_snapshot(tmp_path: Path) -> None:
    path = tmp_path / "part.parquet"
    pq.write_table(pa.table({"calls": [1, 2]}), path)

    def scored(_: int) -> int:
        raise FileNotFoundError("model.onnx")

    with DuckDB(threads=1) as engine:
        engine.connection.con.create_function("scored", scored, ["BIGINT"], "BIGINT")
        score = ibis.udf.scalar.builtin(scored, signature=((int,), int))
        for table in (engine.parquet([str(path)], SCHEMA), engine.dataset(ds.dataset([str(path)]), SCHEMA)):
            expr = table.mutate(score=score(table["calls"]))
            for run in (engine.arrow, engine.kept, lambda expr: engine.batches(expr, rows=1).read_all()):
                with pytest.raises(duckdb.InvalidInputException, match=r"model\.onnx"):
                    run(expr)
            with pytest.raises(duckdb.InvalidInputException, match=r"model\.onnx"):
                engine.mapped(table, lacking, SCHEMA)


def test_a_file_that_a_reader_misses_is_no_file_of_a_snapshot() -> None:
    with DuckDB(threads=1) as engine:
        reader = pa.RecordBatchReader.from_batches(SCHEMA, lacking())
        with pytest.raises(duckdb.InvalidInputException, match=r"model\.onnx"):
            engine.table(reader)


def test_of_datasets_that_are_joined_each_may_lose_a_file(tmp_path: Path) -> None:
    paths = [tmp_path / f"it's {number}.parquet" for number in range(3)]
    for path in paths:
        pq.write_table(pa.table({"calls": [1]}), path)
    joined = ds.dataset([ds.dataset([str(path)]) for path in paths[:2]])
    with DuckDB(threads=1) as engine:
        both = engine.dataset(joined, SCHEMA).union(engine.parquet([str(paths[2])], SCHEMA))
        assert engine.arrow(both).num_rows == 3
        for lost in (paths[1], paths[2]):
            kept = lost.read_bytes()
            lost.unlink()
            with pytest.raises(FilesVanishedError):
                engine.arrow(both)
            lost.write_bytes(kept)
