"""Kill -9 of a process that ingests a file, at every point that ingestion and the lake name.

A child process ingests a CSV with good rows, repeated keys, rows that break the contract in several ways and ragged
lines; it dies at one named point. The same command in a new process must then complete it: every row once, in the lake
or in the quarantine, and an exact receipt. What is right is computed with Python's csv module and a few lines of
arithmetic, not with Trunkline's own checks. Prints one JSON line.
"""

import csv
import io
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
from typing import ClassVar

from trunkline.contracts import Contract, Integer, Rule, Table, Text, col, field
from trunkline.engine import Engine, open_engine
from trunkline.ingest import CRASH_POINTS, Target, ingest_file
from trunkline.lake import Lake
from trunkline.settings.drills import VARIABLE
from trunkline.settings.lake import LakeSettings

HEADER = ("call_id", "seconds", "billed")
ROWS = 3_000
COMMITS = ("quarantine", "rows", "receipt")
LAKE_POINTS = ("lake.lock_taken", "lake.before_commit", "lake.after_commit")
POINTS = (*CRASH_POINTS, *(f"{point}:{visit}" for point in LAKE_POINTS for visit in range(1, len(COMMITS) + 1)))


class Call(Contract):
    """One row per call."""

    table: ClassVar[Table] = Table(
        key=("call_id",),
        rules=(Rule("billed_within", col("billed") <= col("seconds"), "no more is billed than called"),),
    )

    call_id: Text = field("Identifier", max_length=6)
    seconds: Integer = field("Length", unit="s", minimum=0)
    billed: Integer | None = field("Billed length", unit="s", minimum=0)


def made_csv(*, seed: int) -> str:
    """Write a file with about a tenth of bad rows, a tenth of repeated keys, and some ragged lines."""
    draw = random.Random(seed)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(HEADER)
    for number in range(ROWS):
        name = f"c{draw.randrange(ROWS * 4)}" if draw.random() > 0.02 else draw.choice(["", "c-too-long"])
        seconds = str(draw.randrange(100)) if draw.random() > 0.05 else draw.choice(["", "-4", "x", "1.5"])
        billed = str(draw.randrange(80)) if draw.random() > 0.3 else ""
        writer.writerow([name, seconds, billed] if number % 500 != 250 else [name, seconds])
    return text.getvalue()


def reference(content: str) -> tuple[dict[str, int], dict[int, list[str]], int]:
    """Judge the file by hand.

    Returns:
        Row number of each accepted key, reasons of each refused row number, and the number of duplicates.
    """
    accepted: dict[str, int] = {}
    refused: dict[int, list[str]] = {}
    good = 0
    for number, row in enumerate(list(csv.reader(io.StringIO(content)))[1:], start=1):
        if len(row) != len(HEADER):
            refused[number] = ["line.malformed"]
            continue
        name, seconds, billed = row
        reasons = ["call_id.null"] * (name == "") + ["call_id.length"] * (len(name) > 6)
        reasons += {
            "": ["seconds.null"],
            "x": ["seconds.type"],
            "1.5": ["seconds.type"],
            "-4": ["seconds.minimum"],
        }.get(seconds, [])
        reasons += ["billed_within"] * (billed != "" and seconds not in ("", "x", "1.5") and int(billed) > int(seconds))
        if reasons:
            refused[number] = reasons
        else:
            good += 1
            accepted[name] = number
    return accepted, refused, good - len(accepted)


def open_lake(root: Path, engine: Engine) -> Lake:
    """Open the lake as a command would."""
    return Lake(root, engine=engine, settings=LakeSettings(), clock=lambda: datetime.now(UTC))


def ingest(root: Path, file: Path, *, memory_limit_mb: int | None = None) -> None:
    """Ingest the file: what the child does; with a limit the engine spills beside the lake."""
    spill = root.parent / "spill" if memory_limit_mb else None
    with open_engine("duckdb", threads=1, memory_limit_mb=memory_limit_mb, temp_dir=spill) as engine:
        ingest_file(
            file,
            Target("calls", "calls", Call),
            lake=open_lake(root, engine),
            run_id=f"run-{os.getpid()}",
            clock=lambda: datetime.now(UTC),
        )


def in_child(root: Path, file: Path, *, crash_at: str = "") -> int:
    """Run the ingestion in a process of its own; gives its return code."""
    environment = {**os.environ, VARIABLE: crash_at}
    return subprocess.run([sys.executable, __file__, str(root), str(file)], env=environment, check=False).returncode


def compare(lake: Lake, content: str) -> tuple[int, int, list[str]]:
    """Compare the lake with the reference.

    Returns:
        Rows that are lost, rows that are doubled, and what else is wrong.
    """
    accepted, refused, duplicates = reference(content)
    rows = Counter(row["call_id"] for row in lake.arrow("calls.calls", columns=["call_id"]).to_pylist())
    quarantine = lake.arrow("platform.quarantine").to_pylist()
    numbers = Counter(int(row["row_number"]) for row in quarantine)
    lost = len(set(accepted) - set(rows)) + len(set(refused) - set(numbers))
    doubled = sum((rows - Counter(list(accepted))).values()) + sum((numbers - Counter(list(refused))).values())
    wrong = [
        f"row {row['row_number']}: {row['reasons']}"
        for row in quarantine
        if json.loads(row["reasons"]) != refused.get(int(row["row_number"]))
    ]
    positions = {
        row["call_id"]: row["_row"] for row in lake.arrow("calls.calls", columns=["call_id", "_row"]).to_pylist()
    }
    wrong += ["other rows of a key were kept"] * (positions != accepted)
    receipts: Sequence[Mapping[str, object]] = lake.arrow("platform.receipts").to_pylist()
    counts = (len(accepted) + duplicates + len(refused), len(accepted), len(refused), duplicates)
    found = [(row["read"], row["accepted"], row["quarantined"], row["duplicates"]) for row in receipts]
    wrong += [f"receipts {found}, expected {counts}"] * (found != [counts])
    reasons = Counter(reason for part in refused.values() for reason in part)
    wrong += ["reasons of the receipt"] * any(json.loads(str(row["reasons"])) != reasons for row in receipts)
    return lost, doubled, wrong


def drill(scratch: Path, *, points: Sequence[str] = POINTS) -> dict[str, object]:
    """Kill at every point, start again, and once more, which must change nothing."""
    file = scratch / "calls.csv"
    content = made_csv(seed=7)
    file.write_text(content)
    lost, doubled, wrong = 0, 0, list[str]()
    with open_engine("duckdb", threads=1) as engine:
        for position, point in enumerate(points):
            root = scratch / f"lake{position}"
            if (code := in_child(root, file, crash_at=point)) != -signal.SIGKILL:
                wrong.append(f"never came to {point} (code {code})")
            wrong += [f"{point}: run {again} failed" for again in (1, 2) if in_child(root, file)]
            missing, twice, others = compare(open_lake(root, engine), content)
            lost, doubled = lost + missing, doubled + twice
            wrong += [f"{point}: {other}" for other in others]
    for line in wrong:
        print(line, file=sys.stderr)
    passed = not (lost or doubled or wrong)
    return {"drill": "ingest_kill", "points": len(points), "lost": lost, "duplicated": doubled, "passed": passed}


if __name__ == "__main__":
    if len(sys.argv) == 3:
        ingest(Path(sys.argv[1]), Path(sys.argv[2]))
        sys.exit(0)
    with tempfile.TemporaryDirectory() as folder:
        result = drill(Path(folder))
    print(json.dumps(result))
    sys.exit(not result["passed"])
