"""How long a checked ingestion takes, beside the bare copy of the same CSV to Parquet and beside other tools.

The main case is a made CSV of 20 columns (`--rows`, 5,000,000 by default), judged by limits and 20 rules, in which some
rows are bad, some repeat a key, and one in a hundred has a key that the table holds already; the table holds as many
rows as the file has. Ours reads, judges every row, looks for repeated keys (within the batch, or against the table as
well), writes the Delta table, the quarantine and the receipt. A third case has repeats half a file apart. The others:

- `duckdb_copy`: DuckDB's `COPY` from CSV to Parquet, with types it finds itself and its own defaults for Parquet, and
  nothing else.
- `pydantic_rows`: one Pydantic model per row of `csv.DictReader` with the same limits and rules, those of one field as
  constraints; texts trimmed and null tokens made null before, as our contract has it; the last row of each key to
  Parquet with where it comes from, bad rows with their errors to another. Measured on a twentieth of the rows and
  multiplied, because it takes minutes; so the hash of the file, the commit and the receipt are not asked of it.
- `dlt`: its Arrow path: batches of PyArrow's CSV reader, appended to Parquet files. No limits, rules or keys.
- `dlt_checked`: dlt with that Pydantic model as its schema contract, bad rows discarded; no keys. A twentieth as well.
- `pandera`: its Polars path: `read_csv`, the same limits and rules with `lazy=True`, bad rows left out, Parquet. No
  keys, and no word of what was left out.
- `pandera_checked`: the same, with the bad rows and their failures written, and the last row of each key kept.

Only the sides with `_checked`, and `pydantic_rows`, do about the same work as ours; none of them compares with a table
or writes in a way that a second call does not double. dlt (Apache-2.0) and pandera (MIT) with Polars (MIT) are
installed into a temporary environment of their own, about 300 MB, so that they are no dependencies; without a package
index they are left out. Everybody has the same number of threads. Medians of three; sides take turns. `ratio` is our
time by theirs, `processor` the same in seconds of processor, which neighbours on the machine change less. Other cases:
the real files, memory by file size, many small files, and a day out of a year.
"""

import argparse
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count
from pathlib import Path
from typing import ClassVar

from clients.memory import peak_mb  # type: ignore[import-not-found]  # a script of a folder beside this one

from trunkline.contracts import Contract, Flag, Instant, Integer, Number, Rule, Table, Text, col, field
from trunkline.engine import open_engine
from trunkline.ingest import Target, ingest_file, ingest_files
from trunkline.lake import Lake
from trunkline.plugins import load_usecase
from trunkline.settings.lake import LakeSettings

REPEATS = 3
THREADS = len(os.sched_getaffinity(0))
DATA = Path(os.environ.get("TRUNKLINE_DATA") or Path(__file__).resolve().parents[2] / "shared" / "data")
PEERS = Path(__file__).with_name("ingest_peers.py")
PEER_CASES = ("pydantic_rows", "dlt", "dlt_checked", "pandera", "pandera_checked")
REQUIREMENTS = ("dlt[parquet]", "pandera[polars]", "pydantic")

RULES = (
    *(Rule(f"x{n}_is_a_share", (col(f"x{n}") >= 0) & (col(f"x{n}") <= 1)) for n in range(10)),
    *(Rule(f"n{n}_is_small", col(f"n{n}") < 1_000_000) for n in range(5)),
    Rule("two_shares", col("x0") + col("x1") <= 2),
    Rule("mean_of_shares", (col("x3") + col("x4")) / 2 <= 1),
    Rule("roaming_counts", ~col("is_roaming") | (col("n0") >= 0)),
    Rule("gold_has_a_share", (col("plan") != "gold") | (col("x2") >= 0)),
    Rule("n_not_apart", col("n0") - col("n1") < 1_000_000),
)


Taken = tuple[float, float]
"""Seconds, and seconds of processor."""


class Clock:
    """Measures from its beginning."""

    def __init__(self) -> None:
        self._wall, self._processor = time.perf_counter(), time.process_time()

    def taken(self) -> Taken:
        """How long it took."""
        return time.perf_counter() - self._wall, time.process_time() - self._processor


class Usage(Contract):
    """One row per subscriber and day, 20 columns."""

    table: ClassVar[Table] = Table(key=("usage_id",), rules=RULES)

    usage_id: Integer = field(minimum=0)
    subscriber: Text = field(max_length=20, pattern=r"s[0-9]+")
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


class UniqueUsage(Usage):
    """The same, with keys that are unique in the table."""

    table: ClassVar[Table] = Table(key=("usage_id",), rules=RULES, unique="table", keep="first")


def made(path: Path, *, rows: int, first: int = 0, is_clean: bool = False, apart: int = 5_000) -> None:
    """Write a file, the same each time.

    Args:
        path: Where.
        rows: How many.
        first: The first key.
        is_clean: Leave out what is wrong: one row in a thousand, and one in ten thousand that repeats a key.
        apart: How many rows before it that key stands.
    """
    import duckdb

    odd = "false" if is_clean else "i % 1000 = 7"
    again = "false" if is_clean else f"i % 10000 = 9999 AND i >= {apart}"
    whole = ", ".join(f"(i * {place + 3}) % 5000 AS n{place}" for place in range(5))
    shares = ", ".join(
        f"printf('%.6f', ((i * {place + 7} * 7919) % 1000003) / 1000003) AS x{place}" for place in range(10)
    )
    query = f"""
        SELECT CASE WHEN {again} THEN {first} + i - {apart} ELSE {first} + i END AS usage_id,
            's' || (i % 90000) AS subscriber,
            strftime(TIMESTAMP '2026-01-01' + to_seconds(i % 31536000), '%Y-%m-%dT%H:%M:%SZ') AS at,
            CASE WHEN i % 3 = 0 THEN 'No' ELSE 'Yes' END AS is_roaming,
            CASE WHEN {odd} THEN 'a plan with a name that is too long' ELSE 'gold' END AS plan,
            {whole}, {shares}
        FROM range({rows}) AS t(i)
    """
    with duckdb.connect(config={"threads": 1}) as connection:
        connection.execute(f"COPY ({query}) TO '{path}' (FORMAT csv, HEADER true)")


def opened(root: Path, engine: object) -> Lake:
    """Open a lake."""
    return Lake(root, engine=engine, settings=LakeSettings(), clock=clock)  # type: ignore[arg-type]  # from open_engine


def clock() -> datetime:
    """The current instant."""
    return datetime.now(UTC)


def ours(path: Path, contract: type[Contract], scratch: Path, *, filled: Path | None = None) -> Taken:
    """Ingest; starting the engine and importing libraries is not counted.

    Args:
        path: The file.
        contract: What its rows must look like.
        scratch: An empty folder.
        filled: A lake to begin with; its data files are linked, not copied. None begins with an empty one.
    """
    root = scratch / "lake"
    if filled is not None:
        shutil.copytree(filled, root, copy_function=os.link)
    with open_engine("duckdb", threads=THREADS, temp_dir=scratch / "tmp") as engine:
        lake = opened(root, engine)
        measured = Clock()
        ingest_file(path, Target("bench", "rows", contract), lake=lake, run_id="bench", clock=clock)
        return measured.taken()


def duckdb_copy(path: Path, scratch: Path) -> Taken:
    """Copy by DuckDB."""
    import duckdb

    with duckdb.connect(config={"threads": THREADS}) as connection:
        measured = Clock()
        source, target = f"read_csv('{path}', header = true)", scratch / "copy.parquet"
        connection.execute(f"COPY (SELECT * FROM {source}) TO '{target}' (FORMAT parquet)")
        return measured.taken()


def peer(python: Path, name: str, path: Path, scratch: Path) -> Taken:
    """Run another tool in its own environment; it says its seconds itself, imports not counted."""
    environment = {**os.environ, "RUNTIME__DLTHUB_TELEMETRY": "false", "POLARS_MAX_THREADS": str(THREADS)}
    command = [str(python), str(PEERS), name, str(path), str(scratch), str(THREADS)]
    done = subprocess.run(command, env=environment, cwd=scratch, capture_output=True, text=True, check=True)
    wall, processor = done.stdout.split()[-2:]
    return float(wall), float(processor)


def peers_python(folder: Path) -> Path | None:
    """Make the environment of the other tools; None where it cannot be had."""
    uv = Path(sys.executable).with_name("uv")
    python = folder / "peers" / "bin" / "python"
    try:
        subprocess.run([uv, "venv", "-q", "--python", sys.executable, str(folder / "peers")], check=True)
        subprocess.run([uv, "pip", "install", "-q", "--python", str(python), *REQUIREMENTS], check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"peers: skipped, their packages cannot be installed ({error})", file=sys.stderr)
        return None
    return python


def measure(case: str, sides: Mapping[str, Callable[[Path], Taken]], *, once: tuple[str, ...] = ()) -> None:
    """Print one line: medians, and ours by each other side's.

    Args:
        case: What is measured.
        sides: Each takes an empty folder and gives seconds; ``trunkline`` is ours.
        once: Slow sides that need not be run first to warm caches.
    """
    taken: dict[str, list[Taken]] = {side: [] for side in sides}
    with tempfile.TemporaryDirectory() as folder:
        numbers = count()
        for turn in range(REPEATS + 1):
            for side, run in sides.items():
                if turn == 0 and side in once:
                    continue
                scratch = Path(folder) / str(next(numbers))
                scratch.mkdir()
                spent = run(scratch)
                shutil.rmtree(scratch)
                if turn:  # the first turn warms caches and imports
                    taken[side].append(spent)
    told: dict[str, object] = {"bench": "ingest", "case": case}
    for what, place in (("seconds", 0), ("processor", 1)):
        medians = {side: statistics.median(one[place] for one in times) for side, times in taken.items()}
        mine = medians["trunkline"]
        told[what] = {side: round(seconds, 3) for side, seconds in medians.items()}
        ratios = {side: round(mine / seconds, 3) for side, seconds in medians.items() if side != "trunkline"}
        told["ratio" if what == "seconds" else "processor_ratio"] = ratios
    print(json.dumps(told), flush=True)


def against_others(folder: Path, rows: int) -> None:
    """The main case, in its two forms."""
    path, before = folder / "usage.csv", folder / "before.csv"
    made(before, rows=rows, is_clean=True)
    made(path, rows=rows, first=rows - rows // 100)
    for contract in (Usage, UniqueUsage):
        ours(before, contract, folder / contract.__name__)
    before.unlink()
    python = peers_python(folder)
    others: dict[str, Callable[[Path], Taken]] = {"duckdb_copy": partial(duckdb_copy, path)}
    if python is not None:
        for name in PEER_CASES:
            others[name] = partial(peer, python, name, path)
    title = f"{rows:,} x 20 with 20 rules, into a table of {rows:,}"
    for contract, unique in ((Usage, "batch"), (UniqueUsage, "table")):
        filled = folder / contract.__name__ / "lake"
        sides: dict[str, Callable[[Path], Taken]] = {"trunkline": partial(ours, path, contract, filled=filled)}
        sides |= others if unique == "batch" else {"duckdb_copy": others["duckdb_copy"]}
        measure(f"{title}, keys unique in the {unique}", sides, once=PEER_CASES)
    made(path, rows=rows, first=rows - rows // 100, apart=rows // 2)
    sides = {
        "trunkline": partial(ours, path, Usage, filled=folder / "Usage" / "lake"),
        "duckdb_copy": others["duckdb_copy"],
    }
    measure(f"{title}, keys unique in the batch, repeats {rows // 2:,} rows apart", sides)


def real_files() -> None:
    """IBM Telco and Cell2Cell against churn's wide contract."""
    churn = load_usecase("churn").contract
    for case, name in (
        ("ibm_telco", "ibm_telco/WA_Fn-UseC_-Telco-Customer-Churn.csv"),
        ("cell2cell", "cell2cell/train.csv.gz"),
    ):
        path = DATA / name
        if not path.exists():
            print(f"{case}: skipped, no file {path}", file=sys.stderr)
            continue
        measure(case, {"trunkline": partial(ours, path, churn), "duckdb_copy": partial(duckdb_copy, path)})


def memory(folder: Path) -> None:
    """Peak memory of a process that ingests one file, for growing files in which keys repeat.

    Once as the default settings have it, which leave the engine's memory to the engine, and once with it limited.
    """
    peaks: dict[int, dict[int, int]] = {0: {}, 300: {}}
    for megabytes in (500, 1000, 2000):
        path = folder / "large.csv"
        made(path, rows=megabytes * 6_350)
        for limit_mb, peak in peaks.items():
            scratch = folder / f"memory{megabytes}"
            scratch.mkdir()
            code = (
                "import sys; from pathlib import Path; from runpy import run_path\n"
                "sys.path.insert(0, str(Path(sys.argv[1]).parent))\n"
                "run_path(sys.argv[1])['bounded'](Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]))"
            )
            command = [sys.executable, "-c", code, __file__, str(path), str(scratch), str(limit_mb)]
            peak[path.stat().st_size >> 20] = peak_mb(command, cwd=folder)
            shutil.rmtree(scratch)
        path.unlink()
    for limit_mb, peak in peaks.items():
        sizes = sorted(peak)
        slope = (peak[sizes[-1]] - peak[sizes[0]]) / (sizes[-1] - sizes[0])
        case = "peak memory in MiB by MiB of file" + (f", engine limited to {limit_mb} MiB" if limit_mb else "")
        print(json.dumps({"bench": "ingest", "case": case, "peak": peak, "slope": round(slope, 3)}), flush=True)


def bounded(path: Path, scratch: Path, limit_mb: int) -> None:
    """Ingest with the engine's memory limited, or not by 0: what the child of :func:`memory` does."""
    with open_engine("duckdb", threads=THREADS, memory_limit_mb=limit_mb or None, temp_dir=scratch / "tmp") as engine:
        lake = opened(scratch / "lake", engine)
        ingest_file(path, Target("bench", "rows", Usage), lake=lake, run_id="bench", clock=clock)


def many_files(folder: Path, *, files: int) -> None:
    """As many bytes in files of 100 kB as in one."""
    rows = 640
    one, many = folder / "one.csv", folder / "many"
    many.mkdir()
    made(one, rows=files * rows, is_clean=True)
    with one.open() as stream:
        header = next(stream)
        for number in range(files):
            (many / f"{number:05}.csv").write_text(header + "".join(next(stream) for _ in range(rows)))
    paths = sorted(many.iterdir())

    def all_of_them(scratch: Path) -> Taken:
        with open_engine("duckdb", threads=THREADS, temp_dir=scratch / "tmp") as engine:
            lake = opened(scratch / "lake", engine)
            measured = Clock()
            results = ingest_files(paths, Target("bench", "rows", Usage), lake=lake, run_id="bench", clock=clock)
            if sum(result.ingested is not None for result in results) != files:
                raise RuntimeError("files were refused")
            return measured.taken()

    measure(
        f"{files:,} files of {paths[0].stat().st_size // 1000} kB",
        {"trunkline": all_of_them, "one_file": partial(ours, one, Usage)},
    )


def one_day(folder: Path) -> None:
    """A day out of a year of daily files: data files opened, and the time beside reading all of them."""
    draw = random.Random(0)
    with open_engine("duckdb", threads=THREADS, temp_dir=folder / "tmp") as engine:
        lake = opened(folder / "year", engine)
        start = datetime(2026, 1, 1, tzinfo=UTC)
        paths = []
        for day in range(365):
            path = folder / f"day{day}.csv"
            at = start + timedelta(days=day)
            lines = [
                f"{day * 1000 + number},s{draw.randrange(90_000)},{(at + timedelta(seconds=number * 86)).isoformat()}"
                for number in range(1000)
            ]
            path.write_text("\n".join(["usage_id,subscriber,at", *lines]) + "\n")
            paths.append(path)
        for path in paths:
            ingest_file(path, Target("bench", "rows", Usage), lake=lake, run_id="bench", clock=clock)
        bounds = (start + timedelta(days=99), start + timedelta(days=100, microseconds=-1))
        whole = lake.files("bench.rows")
        read = lake.files("bench.rows", within={"at": bounds})
        started = time.perf_counter()
        rows = engine.arrow(lake.read("bench.rows", within={"at": bounds}))
        seconds = time.perf_counter() - started
        started = time.perf_counter()
        everything = engine.arrow(lake.read("bench.rows"))
        told = {
            "bench": "ingest",
            "case": "a day out of a year",
            "files": len(whole),
            "opened": len(read),
            "rows": rows.num_rows,
            "seconds": round(seconds, 4),
            "whole_year": round(seconds / (time.perf_counter() - started), 3),
        }
        if rows.num_rows != 1000 or everything.num_rows != 365_000:
            raise RuntimeError("rows are missing")
        print(json.dumps(told), flush=True)


def main() -> None:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=5_000_000, help="rows of the main case")
    parser.add_argument("--files", type=int, default=10_000, help="how many small files")
    parser.add_argument("--only", choices=("others", "real", "memory", "files", "day"), help="one case alone")
    told = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cases: dict[str, Callable[[], None]] = {
            "others": lambda: against_others(folder, told.rows),
            "real": real_files,
            "memory": lambda: memory(folder),
            "files": lambda: many_files(folder, files=told.files),
            "day": lambda: one_day(folder),
        }
        for case, run in cases.items():
            if told.only in (None, case):
                run()


if __name__ == "__main__":
    main()
