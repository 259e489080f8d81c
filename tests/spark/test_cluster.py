"""A standalone cluster computes what DuckDB computes, on both of its workers, and leaves its history."""

import json
import re
import subprocess
import sys
import urllib.request
from datetime import UTC, datetime, timedelta
from pathlib import Path
from textwrap import dedent
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from trunkline.checks import arrow_schema
from trunkline.engine import open_engine
from trunkline.lake import Lake
from trunkline.plugins import load_usecase
from trunkline.settings.lake import LakeSettings

pytestmark = [
    pytest.mark.spark,
    # of tests before it, whose sockets between Python and Java are left to the garbage collector
    pytest.mark.filterwarnings("ignore:Exception ignored in.*socket:pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
]

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
FILES, ROWS, CELLS = 8, 500, 12
ORDERED = {
    "kpis": ["cell"],
    "smooth": ["at"],
    "customer_service_metrics": ["customerID", "CellName"],
    "cell_tower_performance": ["CellName"],
}
"""What the job writes, and by which columns its rows are told apart."""

BENCH = Path(__file__).parents[2] / "bench" / "towers.py"

JOB = dedent(
    """
    import sys
    from datetime import UTC, datetime
    from pathlib import Path

    import ibis
    import pyarrow.parquet as pq

    from trunkline.engine import open_engine
    from trunkline.lake import Lake
    from trunkline.plugins import load_usecase
    from trunkline.settings import load_settings

    name, out = sys.argv[1:]
    settings = load_settings()
    with open_engine(name, threads=1, settings=settings.engine) as engine:
        lake = Lake(Path("lake"), engine=engine, settings=settings.lake, clock=lambda: datetime.now(UTC))
        counters = lake.read("towers.counters")
        kpis = counters.group_by("cell").aggregate(
            rows=counters.count(),
            drop_rate=counters.drops.sum() / counters.attempts.sum(),
            spread=counters.load.std(),
            middle=counters.load.quantile(0.5),
            loaded=counters.load.count(),
            first_hour=counters["at"].hour().min(),
            last_at=counters["at"].max(),
        )
        usual = ibis.window(group_by="cell", order_by="at", preceding=3, following=0)
        smooth = counters.select("cell", "at", mean=counters.drops.mean().over(usual))
        pq.write_table(engine.arrow(kpis), out + ".kpis")
        pq.write_table(engine.batches(smooth, rows=300).read_all(), out + ".smooth")
        towers = load_usecase("towers")
        known = {one: lake.read(f"towers.{one}") for one in ("customers", "thresholds", "usage")}
        for table in ("customer_service_metrics", "cell_tower_performance"):
            pq.write_table(engine.arrow(towers.derived[table].rows(known)), f"{out}.{table}")
    """
)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake with a table of several files, of which the later ones have one column more."""
    folder = tmp_path_factory.mktemp("workspace")
    with open_engine("duckdb", threads=1) as engine:
        lake = Lake(folder / "lake", engine=engine, settings=LakeSettings(), clock=lambda: NOON)
        for number in range(FILES):
            lake.append("towers.counters", counters(number))
        for name, rows in performance_inputs().items():
            lake.append(f"towers.{name}", rows)
    (folder / "job.py").write_text(JOB)
    return folder


def performance_inputs() -> dict[str, pa.Table]:
    """What a simulated fleet's performance tables are made of, as ingestion leaves it in the lake."""
    towers = load_usecase("towers")
    assert towers.simulate is not None
    tables = towers.simulate(rows=CELLS, seed=4).tables
    found = {}
    for name in ("customers", "thresholds", "usage"):
        rows = tables[name]
        columns = {
            one.name: rows[one.name].cast(one.type)
            if one.name in rows.column_names
            else pa.nulls(rows.num_rows, one.type)
            for one in arrow_schema(towers.datasets[name])
        }
        at = pa.array([NOON] * rows.num_rows, pa.timestamp("us", tz="UTC"))
        found[name] = pa.table({**columns, "_ingested_at": at, "_row": pa.array(range(rows.num_rows), pa.int64())})
    return found


def counters(number: int) -> pa.Table:
    places = range(number * ROWS, (number + 1) * ROWS)
    columns = {
        "cell": pa.array([f"{place % 40:03}" if place % 97 else None for place in places], pa.string()),
        "at": pa.array([NOON + timedelta(minutes=15 * place) for place in places], pa.timestamp("us", tz="UTC")),
        "attempts": pa.array([1 + place * 7 % 11 for place in places], pa.int64()),
        "drops": pa.array([place % 13 / 7 for place in places], pa.float64()),
    }
    if number >= FILES // 2:
        columns["load"] = pa.array([place % 100 / 3 if place % 5 else None for place in places], pa.float64())
    return pa.table(columns)


def run(workspace: Path, engine: str, environment: dict[str, str]) -> dict[str, pa.Table]:
    """Run the job in a process of its own: an application of Spark has a process."""
    done = subprocess.run(
        [sys.executable, "job.py", engine, engine],
        cwd=workspace,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return {part: pq.read_table(workspace / f"{engine}.{part}") for part in ORDERED}


def asked(address: str) -> Any:  # noqa: ANN401 - JSON
    with urllib.request.urlopen(address, timeout=30) as answer:
        return json.load(answer)


def test_both_workers_compute_the_same_and_history_knows_it(
    cluster: Any,  # noqa: ANN401 - of conftest.py, which tests cannot import
    workspace: Path,
    until_there: Any,  # noqa: ANN401 - as above
    clean_environment: dict[str, str],
) -> None:
    options = {
        "spark.executor.memory": "512m",
        "spark.executor.cores": "1",
        "spark.scheduler.minRegisteredResourcesRatio": "1.0",  # begin when both workers are there
        "spark.locality.wait": "0",
        "spark.sql.files.maxPartitionBytes": "1m",  # less than opening counts: a task per file
        "spark.sql.shuffle.partitions": "4",
    }
    environment = clean_environment | {
        "TRUNKLINE_ENGINE__NAME": "spark",
        "TRUNKLINE_ENGINE__URL": cluster.url,
        "TRUNKLINE_ENGINE__EVENT_LOG": str(cluster.event_log),
        "TRUNKLINE_ENGINE__OPTIONS": json.dumps(options),
    }
    there, here = run(workspace, "spark", environment), run(workspace, "duckdb", clean_environment)

    for part, keys in ORDERED.items():
        order = [(key, "ascending") for key in keys]
        same(there[part].sort_by(order), here[part].sort_by(order))
    assert there["kpis"].num_rows == 41
    assert there["smooth"].num_rows == FILES * ROWS
    assert there["cell_tower_performance"].num_rows == CELLS

    for worker in cluster.workers:
        (log,) = worker.glob("app-*/*/stderr")
        finished = re.findall(r"Finished task \d+\.\d+ in stage (\d+)\.\d+", log.read_text())
        assert len(finished) >= 2, f"{worker.name} ran {len(finished)} tasks"

    def finished_application() -> str | None:
        listed = asked(f"{cluster.history}/api/v1/applications?status=completed")
        return next((one["id"] for one in listed if one["name"] == "trunkline"), None)

    application = until_there(finished_application, what="the finished application in the history")
    (attempt,) = asked(f"{cluster.history}/api/v1/applications/{application}")["attempts"]
    assert attempt["completed"]
    executors = asked(f"{cluster.history}/api/v1/applications/{application}/allexecutors")
    tasks = {one["id"]: one["completedTasks"] for one in executors if one["id"] != "driver"}
    assert len(tasks) == 2
    assert min(tasks.values()) >= 2


def test_the_fleet_job_of_the_benchmark_scores_on_both_workers(
    cluster: Any,  # noqa: ANN401 - as above
    clean_environment: dict[str, str],
    tmp_path: Path,
) -> None:
    """``make bench ONLY=towers`` runs it with 100,000 cells: indicators, scores and alerts are those of DuckDB."""
    simulated = load_usecase("towers").simulate
    assert simulated is not None
    counters = tmp_path / "counters.parquet"
    pq.write_table(simulated(rows=40, seed=2).tables["counters"], counters)
    options = {
        "spark.executor.memory": "512m",
        "spark.executor.cores": "1",
        "spark.scheduler.minRegisteredResourcesRatio": "1.0",
        "spark.sql.shuffle.partitions": "4",
        "spark.sql.adaptive.coalescePartitions.enabled": "false",  # small partitions too go to both
    }
    there = clean_environment | {
        "TRUNKLINE_ENGINE__NAME": "spark",
        "TRUNKLINE_ENGINE__URL": cluster.url,
        "TRUNKLINE_ENGINE__OPTIONS": json.dumps(options),
    }
    before = {log for worker in cluster.workers for log in worker.glob("app-*/*/stderr")}
    found, said = [], []
    for name, environment in (("there", there), ("here", clean_environment)):
        out = tmp_path / f"{name}.parquet"
        done = subprocess.run(
            [sys.executable, str(BENCH), "--fleet", str(counters), str(out)],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        said.append(json.loads(done.stdout))
        found.append(pq.read_table(out).sort_by([("cell_name", "ascending"), ("begin_at", "ascending")]))
    same(*found)
    assert found[0].num_rows == said[0]["rows"] == said[1]["rows"] == 40 * 96
    assert said[0]["alerts"] == said[1]["alerts"] >= 1
    for worker in cluster.workers:
        (log,) = set(worker.glob("app-*/*/stderr")) - before
        assert "Finished task" in log.read_text(), worker.name


def same(found: pa.Table, expected: pa.Table) -> None:
    assert found.schema.equals(expected.schema)
    for name in found.schema.names:
        one, other = found.column(name).to_pylist(), expected.column(name).to_pylist()
        if pa.types.is_floating(found.schema.field(name).type):
            wanted = [value if value is None else pytest.approx(value, rel=1e-9, abs=1e-12) for value in other]
            assert one == wanted, name
        else:
            assert one == other, name
