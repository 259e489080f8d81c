"""Kill maintenance and erasures at every point of retention, call again, and compare with the rows that there were.

``make drill ONLY=retention`` prints one JSON line; names of points as arguments take these alone. With ``--child`` this
file is the process that is killed. The reference is the list of ids that were taken in: after the second call each is
in the table or in the archive, once, the old ones in the archive alone, and an erased person in neither.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow.parquet as pq

from trunkline.run import Workspace, execute
from trunkline.run.erasing import erase_person
from trunkline.run.upkeep import CRASH_POINTS, maintain
from trunkline.run.upkeep.archive_erasing import CRASH_POINTS as ERASE_POINTS
from trunkline.settings import drills, load_settings

NOW = datetime(2026, 6, 30, 12, tzinfo=UTC)
TABLE = ("phone", "calls")
PERSON = "s3"
RETIRE_POINTS = (*CRASH_POINTS, "lake.retire.before_commit", "lake.retire.after_commit")
POINTS = (*RETIRE_POINTS, *ERASE_POINTS)

PLUGIN = '''"""Calls."""

from typing import ClassVar

from trunkline.contracts import Contract, Instant, Integer, KeepRows, Table, Text, field
from trunkline.spec import UseCase


class Call(Contract):
    """One row per call."""

    table: ClassVar[Table] = Table(key=("call_id",), event_at="began_at", keep_rows=KeepRows(days=30))

    call_id: Text = field(max_length=20)
    caller: Text = field(pii="subscriber")
    began_at: Instant = field()
    seconds: Integer = field(minimum=0)


usecase = UseCase(
    name="phone", title="Calls", question="Who calls?", datasets={"calls": Call}, main="calls", task=None, metric="r2"
)
'''


def opened(home: Path) -> Workspace:
    """Open the workspace of a drill."""
    settings = load_settings(workspace=home / "workspace", plugin_dir=home / "usecases", threads=1)
    return Workspace(settings, clock=lambda: NOW)


def take(home: Path, ids: range, *, days_ago: int) -> None:
    """Ingest one call per id."""
    at = (NOW - timedelta(days=days_ago)).isoformat()
    path = home / f"calls-{ids.start}.csv"
    path.write_text("call_id,caller,began_at,seconds\n" + "".join(f"c{one},s{one % 7},{at},{one}\n" for one in ids))
    with opened(home) as workspace:
        execute(workspace, "phone", sources=(str(path),), only="ingest", progress=lambda _what, _share: None)


def act(home: Path, point: str) -> None:
    """Maintain, or erase one person."""
    with opened(home) as workspace:
        if point in ERASE_POINTS:
            erase_person(workspace, "subscriber", PERSON, progress=lambda _what, _share: None)
        else:
            maintain(workspace, progress=lambda _what, _share: None)


def kill(home: Path, point: str) -> None:
    """Act in a process that dies at the point.

    Raises:
        RuntimeError: It did not die there.
    """
    done = subprocess.run(
        [sys.executable, __file__, "--child", str(home), point],
        env={**os.environ, drills.VARIABLE: point},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    if done.returncode != -signal.SIGKILL:
        raise RuntimeError(f"it was not killed at {point}: code {done.returncode}\n{done.stderr[-2000:]}")


def in_table(home: Path) -> Counter[str]:
    """The ids in the newest version of the table, without the lake's reader."""
    from deltalake import DeltaTable

    table = DeltaTable(str(Path(home, "workspace", "lake", *TABLE)))
    return Counter(table.to_pyarrow_dataset().to_table(columns=["call_id"]).column("call_id").to_pylist())


def in_archive(home: Path) -> Counter[str]:
    """The ids in all files below the archive, whatever the manifests say."""
    found: Counter[str] = Counter()
    for path in (home / "workspace" / "archive").rglob("*.parquet"):
        found.update(pq.read_table(path, columns=["call_id"]).column("call_id").to_pylist())
    return found


def drill(point: str) -> tuple[int, int]:
    """Kill one process at the point and act again; gives how many rows were lost and doubled."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        plugin = home / "usecases" / "phone"
        plugin.mkdir(parents=True)
        (plugin / "__init__.py").write_text(PLUGIN)
        take(home, range(100), days_ago=40)
        take(home, range(100, 130), days_ago=5)
        if point in ERASE_POINTS:
            act(home, "maintain")
        kill(home, point)
        act(home, point)
        old, new = Counter(f"c{one}" for one in range(100)), Counter(f"c{one}" for one in range(100, 130))
        if point in ERASE_POINTS:
            theirs = {f"c{one}" for one in range(130) if f"s{one % 7}" == PERSON}
            old, new = (Counter(one for one in ids if one not in theirs) for ids in (old, new))
        table, archive = in_table(home), in_archive(home)
        lost = (old - archive).total() + (new - table).total()
        return lost, (archive - old).total() + (table - new).total()


def main() -> None:
    """Run the drill, or be the process that is killed."""
    for name in [name for name in os.environ if name.startswith("TRUNKLINE_") and name != drills.VARIABLE]:
        del os.environ[name]
    if sys.argv[1:2] == ["--child"]:
        act(Path(sys.argv[2]), sys.argv[3])
        return
    points = tuple(sys.argv[1:]) or POINTS
    started = time.perf_counter()
    lost = doubled = 0
    for point in points:
        missing, twice = drill(point)
        lost, doubled = lost + missing, doubled + twice
    verdict = {
        "drill": "retention",
        "points": len(points),
        "lost": lost,
        "duplicated": doubled,
        "passed": not lost and not doubled,
        "seconds": round(time.perf_counter() - started, 1),
    }
    print(json.dumps(verdict))
    sys.exit(0 if verdict["passed"] else 1)


if __name__ == "__main__":
    main()
