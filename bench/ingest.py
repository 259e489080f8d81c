"""How long a checked ingestion takes, beside the bare copy of the same CSV to Parquet.

Three files: IBM Telco and Cell2Cell against churn's wide contract (where the real data is), and a made file of a
million rows and 20 columns. Ours reads, judges every row, looks for repeated keys, writes the Delta table and the
receipt; the peers only copy: DuckDB's `COPY` with all columns as text and with types it finds itself, and PyArrow's
streaming reader and writer. Everybody has the same number of threads. Medians of three; sides take turns.
"""

import json
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import ClassVar

from trunkline.contracts import Contract, Flag, Instant, Integer, Number, Table, Text, field
from trunkline.engine import open_engine
from trunkline.ingest import Target, ingest_file
from trunkline.lake import Lake
from trunkline.plugins import load_usecase
from trunkline.settings.lake import LakeSettings

ROWS = 1_000_000
REPEATS = 3
THREADS = len(os.sched_getaffinity(0))
DATA = Path(os.environ.get("TRUNKLINE_DATA") or Path(__file__).resolve().parents[2] / "shared" / "data")


class Usage(Contract):
    """One row per subscriber and day, 20 columns."""

    table: ClassVar[Table] = Table(key=("usage_id",))

    usage_id: Integer = field(minimum=0)
    subscriber: Text = field(max_length=20, pattern=r"s\d+")
    at: Instant = field()
    is_roaming: Flag | None = field()
    plan: Text | None = field(max_length=12)
    n0: Integer | None = field(minimum=0, maximum=10_000)
    n1: Integer | None = field(minimum=0)
    n2: Integer | None = field(minimum=0)
    n3: Integer | None = field()
    n4: Integer | None = field()
    x0: Number | None = field(minimum=0, maximum=1)
    x1: Number | None = field(minimum=0)
    x2: Number | None = field()
    x3: Number | None = field()
    x4: Number | None = field()
    x5: Number | None = field()
    x6: Number | None = field()
    x7: Number | None = field()
    x8: Number | None = field()
    x9: Number | None = field()


def made(path: Path) -> None:
    """Write a million rows, the same each time."""
    draw = random.Random(0)
    numbers = [f"{draw.random():.6f}" for _ in range(10_000)]
    with path.open("w") as stream:
        stream.write(",".join(Usage.model_fields) + "\n")
        for number in range(ROWS):
            cells = [numbers[(number * (place + 7)) % 10_000] for place in range(10)]
            whole = [str((number * (place + 3)) % 5_000) for place in range(5)]
            flag = "Yes" if number % 3 else "No"
            head = [
                str(number),
                f"s{number % 90_000}",
                f"2026-01-{number % 28 + 1:02}T{number % 24:02}:00:00Z",
                flag,
                "gold",
            ]
            stream.write(",".join([*head, *whole, *cells]) + "\n")


def ours(path: Path, contract: type[Contract], scratch: Path) -> float:
    """Ingest into an empty lake; starting the engine and importing libraries is not counted."""

    def clock() -> datetime:
        return datetime.now(UTC)

    with open_engine("duckdb", threads=THREADS, temp_dir=scratch / "tmp") as engine:
        lake = Lake(scratch / "lake", engine=engine, settings=LakeSettings(), clock=clock)
        started = time.perf_counter()
        ingest_file(path, Target("bench", "rows", contract), lake=lake, run_id="bench", clock=clock)
        return time.perf_counter() - started


def duckdb_copy(path: Path, scratch: Path, *, options: str) -> float:
    """Copy by DuckDB."""
    import duckdb

    with duckdb.connect(config={"threads": THREADS}) as connection:
        started = time.perf_counter()
        source, target = f"read_csv('{path}', header = true{options})", scratch / "copy.parquet"
        connection.execute(f"COPY (SELECT * FROM {source}) TO '{target}' (FORMAT parquet)")
        return time.perf_counter() - started


def arrow_copy(path: Path, scratch: Path) -> float:
    """Copy by PyArrow."""
    import pyarrow as pa
    import pyarrow.csv as pa_csv
    import pyarrow.parquet as pq

    pa.set_cpu_count(THREADS)
    started = time.perf_counter()
    reader = pa_csv.open_csv(path)
    with pq.ParquetWriter(scratch / "copy.parquet", reader.schema) as writer:
        for batch in reader:
            writer.write_batch(batch)
    return time.perf_counter() - started


def measure(case: str, path: Path, contract: type[Contract]) -> None:
    """Print one line for a file."""
    sides: dict[str, Callable[[Path], float]] = {
        "trunkline": lambda scratch: ours(path, contract, scratch),
        "duckdb copy, text": lambda scratch: duckdb_copy(path, scratch, options=", all_varchar = true"),
        "duckdb copy, typed": lambda scratch: duckdb_copy(path, scratch, options=""),
        "pyarrow copy": lambda scratch: arrow_copy(path, scratch),
    }
    taken: dict[str, list[float]] = {side: [] for side in sides}
    with tempfile.TemporaryDirectory() as folder:
        numbers = count()
        for turn in range(REPEATS + 1):
            for side, run in sides.items():
                scratch = Path(folder) / str(next(numbers))
                scratch.mkdir()
                seconds = run(scratch)
                if turn:  # the first turn warms caches and imports
                    taken[side].append(seconds)
    medians = {side: statistics.median(times) for side, times in taken.items()}
    mine = medians.pop("trunkline")
    ratio = {peer: round(mine / seconds, 2) for peer, seconds in medians.items()}
    print(json.dumps({"bench": "ingest", "case": case, "seconds": round(mine, 3), "ratio": ratio}), flush=True)


def main() -> None:
    """Measure the files that are here."""
    churn = load_usecase("churn").contract
    for case, name in (
        ("ibm_telco", "ibm_telco/WA_Fn-UseC_-Telco-Customer-Churn.csv"),
        ("cell2cell", "cell2cell/train.csv.gz"),
    ):
        if (DATA / name).exists():
            measure(case, DATA / name, churn)
        else:
            print(f"{case}: skipped, no file {DATA / name}", file=sys.stderr)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "usage.csv"
        made(path)
        measure("1,000,000 x 20", path, Usage)


if __name__ == "__main__":
    main()
