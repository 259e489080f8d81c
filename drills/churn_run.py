"""Kill -9 of `trunkline run` at every named point of a run; start it again; compare with a reference computed apart.

`make drill ONLY=churn_run` prints one JSON line; names of points as arguments run those alone. The use case is
``tests/plugins/leavers``, churn in miniature. Each killed workspace is gone on with twice, on copies: by the same
command, as a new run, and by the same command under the killed run's id. What must hold then, read from the files that
the Delta logs name and not by the lake: every good row of the source once, every bad one in the quarantine once, one
receipt with exact counts, one answer per good row and scoring run, no step or reading twice, one champion whose files
are what the ledger says.

The commands run in forks of this process, which has imported everything and started nothing, so that a command costs
seconds and not the import of its libraries.
"""

import csv
import importlib
import json
import os
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from trunkline.cli import main as trunkline
from trunkline.settings.drills import VARIABLE

Key = TypeVar("Key")

PLUGINS = Path(__file__).resolve().parent.parent / "tests" / "plugins"
KILLED = 9
STEPS = 9  # of a whole run, from ingest to publish
RUN_ID = "killed"
HEAVY = (
    "deltalake",
    "ibis.backends.duckdb",
    "lightgbm",
    "onnx",
    "onnxruntime",
    "sklearn.compose",
    "sklearn.linear_model",
    "sklearn.pipeline",
    "trunkline.report",
    "trunkline.run",
    "trunkline.tasks.classification_training",
    "trunkline.tasks.comparison",
    "vl_convert",
    "xgboost",
)

HEADER = (
    "subscriber_id",
    "left",
    "tenure_months",
    "contract_term",
    "monthly_charges",
    "plan_charge",
    "dropped_calls",
    "region",
)

COMMITS = ("lake.before_commit", "lake.after_commit")
"""Points that a run visits many times: it is killed at every visit."""

REGISTRY = (
    "registry.copy.before_fsync",
    "registry.copy.before_rename",
    "registry.copy.after_rename",
    "registry.before_registered",
    "registry.before_track",
    "registry.after_track",
    "registry.before_promoted",
    "registry.after_decision",
    "registry.after_point",
    "registry.after_live",
    "live.before_fsync",
    "live.before_rename",
    "live.after_rename",
    *(f"ledger.{part}:{visit}" for visit in (1, 2) for part in ("before_write", "torn_write", "before_fsync")),
    "ledger.after_fsync:1",
    "ledger.after_fsync:2",
)


def write_source(path: Path) -> tuple[list[str], int, int]:
    """Write subscribers, five of whom break the contract and three of whom stand there twice.

    Returns:
        Ids of the good rows, number of bad rows, number of duplicates.
    """
    draw = random.Random(20260301)
    good, rows = [], []
    for number in range(400):
        tenure, dropped, month = draw.randrange(72), round(draw.gammavariate(1.2, 2.0), 1), draw.random() < 0.6
        plan = round(draw.uniform(10, 60), 2)
        log_odds = 0.4 - 0.06 * tenure - (0 if month else 1.5) + 0.3 * dropped
        left = draw.random() < 1 / (1 + 2.718281828**-log_odds)
        term, region = "month" if month else "year", draw.choice(["north", "south"])
        good.append(f"D{number:04d}")
        rows.append([good[-1], left, tenure, term, round(plan + draw.uniform(0, 9), 2), plan, dropped, region])
    bad = [[f"B{number}", True, "soon", "month", 20, 10, 1, "north"] for number in range(5)]
    twice = [rows[number] for number in (7, 77, 177)]
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(HEADER)
        writer.writerows([*rows[:200], *bad, *rows[200:], *twice])
    return good, len(bad), len(twice)


def in_child(act: Callable[[], object], *, crash_at: str = "", quiet: bool = True) -> tuple[int, str]:
    """Run an act in a process of its own.

    Returns:
        The signal that ended it, or minus its exit code; and what the act gave, as JSON.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        os.environ[VARIABLE] = crash_at
        if quiet:
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, 1)
            os.dup2(null, 2)
        code = 1
        try:
            found = act()
            code = found if isinstance(found, int) else 0
            os.write(writing, json.dumps(found).encode())
        finally:
            os._exit(code)
    os.close(writing)
    with os.fdopen(reading) as stream:
        said = stream.read()
    status = os.waitpid(child, 0)[1]
    return (status & 0x7F) or -os.waitstatus_to_exitcode(status), said


def run(workspace: Path, source: Path, *more: str) -> Callable[[], int]:
    """The command."""
    return lambda: trunkline(
        ["run", "leavers", "--source", str(source), "--workspace", str(workspace), "--json", *more]
    )


def rows_of(workspace: Path, table: str) -> list[dict[str, object]]:
    """Read a table from the files that its Delta log names."""
    from deltalake import DeltaTable

    folder = workspace.joinpath("lake", *table.split("."))
    if not folder.is_dir():
        return []
    found: list[dict[str, object]] = DeltaTable(str(folder)).to_pyarrow_dataset().to_table().to_pylist()
    return found


def counted(workspace: Path, good: list[str], bad: int, twice: int) -> dict[str, int]:
    """Count what is lost and what is doubled."""
    lost = doubled = 0

    def hold(found: "Counter[Key]", expected: "Counter[Key]") -> None:
        nonlocal lost, doubled
        lost += (expected - found).total()
        doubled += (found - expected).total()

    once: Counter[object] = Counter(good)
    hold(Counter(row["subscriber_id"] for row in rows_of(workspace, "leavers.subscribers")), once)
    quarantined = Counter(row["quarantine_id"] for row in rows_of(workspace, "platform.quarantine"))
    lost += bad - len(quarantined)
    doubled += quarantined.total() - len(quarantined)
    names = ("read", "accepted", "quarantined", "duplicates")
    receipts = [tuple(row[name] for name in names) for row in rows_of(workspace, "platform.receipts")]
    exact: tuple[object, ...] = (len(good) + bad + twice, len(good), bad, twice)
    hold(Counter(receipts), Counter([exact]))

    steps = Counter((row["run_id"], row["step"]) for row in rows_of(workspace, "platform.steps"))
    hold(steps, Counter(dict.fromkeys(steps, 1)))
    complete = {run for run in {run for run, _ in steps} if sum(of == run for of, _ in steps) == STEPS}
    lost += not complete
    readings = Counter(row["reading_id"] for row in rows_of(workspace, "platform.readings"))
    doubled += readings.total() - len(readings)
    answers: dict[object, Counter[object]] = {}
    for row in rows_of(workspace, "platform.predictions"):
        answers.setdefault(row["request_id"], Counter())[row["entity_key"]] += 1
    for scoring in {run for run, step in steps if step == "predict"} | set(answers):
        hold(answers.get(scoring, Counter()), once)

    entries = [json.loads(line) for line in (workspace / "ledger.jsonl").read_text().splitlines()]
    registered = Counter(entry["run_id"] for entry in entries if entry["event"] == "registered")
    doubled += registered.total() - len(registered)
    aliases = json.loads((workspace / "live" / "leavers.json").read_text())["aliases"]
    champion = aliases["champion"]
    promoted = [entry["version"] for entry in entries if entry["event"] == "promoted"]
    lost += champion["version"] != promoted[-1] or not (workspace / champion["folder"] / "model.onnx").is_file()
    doubled += len(promoted) - len(set(promoted)) + len(set(aliases) - {"champion"})
    return {"lost": lost, "doubled": doubled}


def points() -> Iterator[str]:
    """Every point once; those of the lake's commits with the number of the visit, without end."""
    from trunkline.ingest import CRASH_POINTS as INGEST
    from trunkline.run import CRASH_POINTS as RUN

    yield from dict.fromkeys((*RUN, *INGEST, *REGISTRY))


def drill(root: Path, chosen: list[str]) -> dict[str, object]:
    """Kill at every point, go on in both ways, and count."""
    source = root / "source.csv"
    good, bad, twice = write_source(source)
    found = {"lost": 0, "duplicated": 0}
    killed_at = []

    def killed(point: str) -> bool:
        """Whether a run dies at the point; then both ways on are taken."""
        workspace = root / "workspace"
        ended, _ = in_child(run(workspace, source, "--run-id", RUN_ID), crash_at=point)
        if ended == KILLED:
            killed_at.append(point)
            for way in ((), ("--run-id", RUN_ID)):
                copy = root / "copy"
                shutil.copytree(workspace, copy)
                code, _ = in_child(run(copy, source, *way))
                assert code == 0, f"{point}: going on by {way or 'a new run'} ended with {-code}"
                code, _ = in_child(lambda at=copy: trunkline(["models", "verify", "--workspace", str(at)]))  # type: ignore[misc]  # binds the loop's copy
                assert code == 0, f"{point}: the registry is not what was written"
                _, said = in_child(lambda at=copy: counted(at, good, bad, twice), quiet=False)  # type: ignore[misc]  # as above
                counts = json.loads(said)
                if counts["lost"] or counts["doubled"]:
                    print(f"{point}, going on by {way or 'a new run'}: {counts}", file=sys.stderr)
                found["lost"] += counts["lost"]
                found["duplicated"] += counts["doubled"]
                shutil.rmtree(copy)
        shutil.rmtree(workspace, ignore_errors=True)
        return ended == KILLED

    for point in chosen or points():
        assert killed(point), f"a run never comes to {point}"
    for commit in () if chosen else COMMITS:
        visit = 1
        while killed(f"{commit}:{visit}"):
            visit += 1
        assert visit > 10, f"a run never comes to {commit}"
    return {"drill": "churn_run", "points": len(killed_at), **found}


if __name__ == "__main__":
    os.environ["TRUNKLINE_PLUGIN_DIR"] = str(PLUGINS)
    os.environ["TRUNKLINE_REGISTRY__TRACKING_URI"] = "none"
    os.environ["TRUNKLINE_THREADS"] = "1"
    for module in HEAVY:
        importlib.import_module(module)
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        result = drill(Path(scratch), sys.argv[1:])
    result["passed"] = not result["lost"] and not result["duplicated"]
    result["seconds"] = round(time.monotonic() - started, 1)
    print(json.dumps(result))
    sys.exit(not result["passed"])
