"""Kill -9 of a process that refreshes derived tables, at every point that the refresh and the lake name.

A first batch of calls is taken in and derived. A second one adds to some cells, and a third
empties one, so that the table is appended to in one round and rewritten in the next; the refresh dies at one named
point. The same refresh in a new process must then complete it: the table, the quarantine and the receipts are those of
a plain count in Python. Once more changes nothing. Prints one JSON line.
"""

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from trunkline.contracts import Contract, Integer, Table, Text, field
from trunkline.engine import Engine, open_engine
from trunkline.ingest import Target, ingest_file
from trunkline.ingest.derived import CRASH_POINTS, refresh_tables
from trunkline.lake import Lake
from trunkline.settings.drills import VARIABLE
from trunkline.settings.lake import LakeSettings
from trunkline.spec import Derived, Incremental, UseCase

if TYPE_CHECKING:
    import ibis.expr.types as ir

CELLS = 40
MOST_SECONDS = 2_500
COMMITS = ("rows", "receipt", "receipt of the next table")
LAKE_POINTS = ("lake.before_commit", "lake.after_commit")
POINTS = (
    *(f"{point}{visit}" for point in CRASH_POINTS for visit in ("", ":2")),
    *(f"{point}:{visit}" for point in LAKE_POINTS for visit in range(1, len(COMMITS) + 1)),
    "lake.replace.before_commit",
    "lake.replace.after_commit",
)


class Call(Contract):
    """One row per call."""

    table: ClassVar[Table] = Table(key=("call_id",))

    call_id: Text = field()
    cell_id: Text = field()
    seconds: Integer = field(unit="s", minimum=0)


class CellLoad(Contract):
    """One row per cell."""

    table: ClassVar[Table] = Table(key=("cell_id",))

    cell_id: Text = field()
    calls: Integer = field()
    seconds: Integer = field(unit="s", maximum=MOST_SECONDS)


class Total(Contract):
    """One row per length of a cell's name."""

    table: ClassVar[Table] = Table(key=("length",))

    length: Integer = field()
    calls: Integer = field()


def cell_load(tables: "Mapping[str, ir.Table]") -> "ir.Table":
    """Add up the calls of each cell."""
    calls = tables["calls"]
    return calls.group_by("cell_id").aggregate(calls=calls.count(), seconds=calls.seconds.sum())


def total(tables: "Mapping[str, ir.Table]") -> "ir.Table":
    """Add up the cells."""
    load = tables["cell_load"]
    return load.group_by(length=load.cell_id.length()).aggregate(calls=load.calls.sum())


USECASE = UseCase(
    name="calls",
    title="Calls",
    question="How busy is a cell?",
    datasets={"calls": Call},
    derived={
        "cell_load": Derived(
            contract=CellLoad, inputs=("calls",), expression=cell_load, refresh=Incremental(by=("cell_id",))
        ),
        "total": Derived(contract=Total, inputs=("cell_load",), expression=total),
    },
    main="calls",
    task=None,
    metric="",
)


def made_batches(*, seed: int) -> list[list[tuple[str, str, int]]]:
    """Three batches: calls, more calls, and calls that move away from a cell until it has none."""
    draw = random.Random(seed)

    def calls(first: int, count: int) -> list[tuple[str, str, int]]:
        cells = [f"c{draw.randrange(CELLS)}" for _ in range(count)]
        return [(f"k{first + place}", cell, draw.randrange(120)) for place, cell in enumerate(cells)]

    first, second = calls(0, 1_200), calls(1_200, 60)
    emptied = first[0][1]
    moved = [(name, "c-other", seconds) for name, cell, seconds in (*first, *second) if cell == emptied]
    return [first, second, moved]


def reference(batches: Sequence[Sequence[tuple[str, str, int]]]) -> tuple[dict[str, tuple[int, int]], set[str]]:
    """Count by hand: calls and seconds of each accepted cell, and the cells that are refused."""
    newest = {name: (cell, seconds) for batch in batches for name, cell, seconds in batch}
    calls = Counter(cell for cell, _ in newest.values())
    seconds = Counter[str]()
    for cell, length in newest.values():
        seconds[cell] += length
    refused = {cell for cell in calls if seconds[cell] > MOST_SECONDS}
    return {cell: (calls[cell], seconds[cell]) for cell in calls if cell not in refused}, refused


def open_lake(root: Path, engine: Engine) -> Lake:
    """Open the lake as a command would."""
    return Lake(root, engine=engine, settings=LakeSettings(), clock=lambda: datetime.now(UTC))


def refresh(root: Path) -> None:
    """Refresh: what the child does."""
    with open_engine("duckdb", threads=1) as engine:
        refresh_tables(
            USECASE,
            lake=open_lake(root, engine),
            locks=root.parent / f"{root.name}-locks",
            run_id=f"run-{os.getpid()}",
            clock=lambda: datetime.now(UTC),
        )


def in_child(root: Path, *, crash_at: str = "") -> int:
    """Refresh in a process of its own; gives its return code."""
    environment = {**os.environ, VARIABLE: crash_at}
    return subprocess.run([sys.executable, __file__, str(root)], env=environment, check=False).returncode


def take(lake: Lake, batch: Sequence[tuple[str, str, int]], folder: Path) -> None:
    """Take a batch in."""
    path = folder / f"batch-{batch[0][0]}-{len(batch)}.csv"
    path.write_text("call_id,cell_id,seconds\n" + "".join(f"{a},{b},{c}\n" for a, b, c in batch))
    ingest_file(path, Target("calls", "calls", Call), lake=lake, run_id="r", clock=lambda: datetime.now(UTC))


def compare(lake: Lake, batches: Sequence[Sequence[tuple[str, str, int]]]) -> tuple[int, int, list[str]]:
    """Compare the lake with the reference.

    Returns:
        Cells that are lost, cells that are doubled, and what else is wrong.
    """
    accepted, refused = reference(batches)
    rows = lake.engine.arrow(lake.current("calls.cell_load", key=("cell_id",), newest_by=("_ingested_at",))).to_pylist()
    found = {row["cell_id"]: (row["calls"], row["seconds"]) for row in rows}
    stored = Counter((row["cell_id"], row["_batch_id"]) for row in lake.arrow("calls.cell_load").to_pylist())
    newest = lake.current("platform.quarantine", key=("quarantine_id",), newest_by=("changed_at",))
    held = lake.engine.arrow(newest.filter(newest["state"] == "open")).to_pylist()
    closed = Counter(json.loads(row["row"])["cell_id"] for row in held)
    lost = len(set(accepted) - set(found)) + len(refused - set(closed))
    doubled = sum(count - 1 for count in stored.values()) + sum(count - 1 for count in closed.values())
    wrong = [f"cell {cell}: {found.get(cell)}, expected {accepted[cell]}" for cell in accepted
             if found.get(cell) != accepted[cell]]  # fmt: skip
    wrong += [f"cells that are no more: {sorted(set(found) - set(accepted))}"] * bool(set(found) - set(accepted))
    wrong += [f"refused {sorted(closed)}, expected {sorted(refused)}"] * (set(closed) != refused)
    totals = {row["length"]: row["calls"] for row in lake.arrow("calls.total").to_pylist()}
    right = Counter[int]()
    for cell, (calls, _) in accepted.items():
        right[len(cell)] += calls
    wrong += [f"totals {totals}, expected {dict(right)}"] * (totals != right)
    receipts = lake.arrow("platform.receipts").to_pylist()
    wrong += ["a receipt is there twice"] * (len({row["batch_id"] for row in receipts}) != len(receipts))
    wrong += [
        f"receipt of {row['dataset']} does not add up"
        for row in receipts
        if row["read"] != row["accepted"] + row["quarantined"] + row["duplicates"]
    ]
    derived = {row["_batch_id"] for row in lake.arrow("calls.cell_load").to_pylist()}
    wrong += ["rows without a receipt"] * bool(derived - {row["batch_id"] for row in receipts})
    return lost, doubled, wrong


def drill(scratch: Path, *, points: Sequence[str] = POINTS) -> dict[str, object]:
    """Kill at every point in each of two rounds, start again, and once more, which must change nothing."""
    batches = made_batches(seed=11)
    lost, doubled, wrong = 0, 0, list[str]()
    with open_engine("duckdb", threads=1) as engine:
        for position, point in enumerate(points):
            root = scratch / f"lake{position}"
            lake = open_lake(root, engine)
            died = 0
            for count, batch in enumerate(batches, start=1):
                take(lake, batch, scratch)
                # the first refresh runs through, so that the others have something to supersede
                died += in_child(root, crash_at=point if count > 1 else "") == -signal.SIGKILL
                wrong += [f"{point}: round {count} failed"] * bool(in_child(root))
                before = {table: lake.version(table) for table in lake.tables()}
                wrong += [f"{point}: round {count} failed again"] * bool(in_child(root))
                wrong += [f"{point}: once more changed something"] * (
                    before != {table: lake.version(table) for table in lake.tables()}
                )
                missing, twice, others = compare(lake, batches[:count])
                lost, doubled = lost + missing, doubled + twice
                wrong += [f"{point}: {other}" for other in others]
            wrong += [f"never came to {point}"] * (not died)
    for line in wrong:
        print(line, file=sys.stderr)
    passed = not (lost or doubled or wrong)
    return {"drill": "derived_kill", "points": len(points), "lost": lost, "duplicated": doubled, "passed": passed}


if __name__ == "__main__":
    if len(sys.argv) == 2:
        refresh(Path(sys.argv[1]))
        sys.exit(0)
    with tempfile.TemporaryDirectory() as folder:
        result = drill(Path(folder))
    print(json.dumps(result))
    sys.exit(not result["passed"])
