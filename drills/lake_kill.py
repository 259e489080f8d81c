"""Kill a process of the lake at every crash point, do its work again, and compare with what should be there.

``make drill ONLY=lake_kill`` prints one JSON line. With arguments this file is the process that is killed:
``lake_kill.py ROOT ACTION ...``. The reference is plain Python: which row ids each action leaves, counted apart from
the lake's own code; rows are read back with PyArrow from the files that the Delta log names.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa

from trunkline.engine import open_engine
from trunkline.lake import CRASH_POINTS, Lake, Transaction
from trunkline.settings import drills
from trunkline.settings.lake import LakeSettings

TABLE = "drill.rows"
AT_ONCE = {"vacuum_grace": 0, "deleted_file_retention": 0, "log_retention": 0, "checkpoint_every": 10}
PINNED = 2
ERASED = "seed:2:1"
RENAMED = "seed:renamed"

ACTIONS = {
    "lake.lock_taken": "append",
    "lake.before_commit": "append",
    "lake.after_commit": "append",
    "lake.replace": "replace",
    "lake.rewrite": "rewrite",
    "lake.compact": "compact",
    "lake.remove": "remove",
    "lake.vacuum": "maintain",
    "lake.log": "maintain",
    "lake.erase": "erase",
    "lake.retire": "retire",
}

CASES = [(point, ACTIONS.get(point) or ACTIONS[point.rsplit(".", 1)[0]]) for point in CRASH_POINTS] + [
    ("lake.before_commit:2", "append"),
    ("lake.after_commit:3", "append"),
    ("lake.compact.before_commit", "fold"),
    ("lake.compact.after_commit", "fold"),
]
"""Where a process is killed (at which visit of the point), and what it was doing."""


def act(lake: Lake, action: str, *rest: str) -> None:
    """Do one piece of work; doing it again must change nothing."""
    if action == "append":
        name, batches = rest[0], int(rest[1])
        for number in range(1, batches + 1):
            rows = pa.table({"id": ids_of(name, number), "a": [number] * 3})
            lake.append(TABLE, rows, transaction=Transaction(name, number), metadata={"writer": name})
    elif action == "replace":
        lake.replace(TABLE, pa.table({"id": ["replaced"], "a": [0]}))
    elif action == "rewrite":
        lake.rewrite(TABLE, lambda rows: rows.mutate(id=(rows["id"] == ERASED).ifelse(RENAMED, rows["id"])))
    elif action == "compact":
        lake.compact(TABLE)
    elif action == "fold":
        lake.compact(TABLE, key=["id"], newest_by=["a"])
    elif action == "maintain":
        lake.maintain(pins={TABLE: [PINNED]})
    elif action == "remove":
        lake.remove(TABLE, "id", ERASED)
    elif action == "retire":
        lake.retire(
            TABLE,
            columns=["at"],
            before=datetime(2001, 1, 1, tzinfo=UTC),
            transaction=Transaction("retention", 1),
            ready=lambda _version: True,
        )
    elif action == "erase":
        lake.erase(TABLE, "id", [ERASED])
    else:
        raise SystemExit(f"no such action: {action}")


def ids_of(name: str, number: int) -> list[str]:
    """Ids of one batch of three rows."""
    return [f"{name}:{number}:{part}" for part in range(3)]


def ids_of_all(name: str, batches: int) -> list[str]:
    """Ids of all batches of a writer."""
    return [one for number in range(1, batches + 1) for one in ids_of(name, number)]


def prepare(lake: Lake, action: str) -> None:
    """Make the table on which a process will be killed: nine rows in three versions, for maintenance many more."""
    act(lake, "append", "seed", "3")
    if action == "retire":
        old = pa.array([datetime(2000, 1, 1, tzinfo=UTC)] * 3, pa.timestamp("us", tz="UTC"))
        lake.append(TABLE, pa.table({"id": ids_of("old", 1), "a": [1] * 3, "at": old}))
    if action == "maintain":
        lake.compact(TABLE)
        lake.maintain(pins={TABLE: [PINNED]})
        act(lake, "append", "more", "25")
        lake.compact(TABLE)


def arguments_of(action: str) -> tuple[str, ...]:
    """What the action takes besides its name."""
    return ("new", "3") if action == "append" else ()


def expected(action: str) -> Counter[str]:
    """The ids that the newest version must have when the action was killed and done again."""
    seeds = Counter(ids_of_all("seed", 3))
    if action == "append":
        return seeds + Counter(ids_of_all("new", 3))
    if action == "replace":
        return Counter(["replaced"])
    if action == "maintain":
        return seeds + Counter(ids_of_all("more", 25))
    if action == "rewrite":
        return seeds - Counter([ERASED]) + Counter([RENAMED])
    if action in ("remove", "erase"):
        return seeds - Counter([ERASED])
    return seeds


def found(lake: Lake, *, version: int | None = None) -> Counter[str]:
    """The ids that a version has, read without the lake's reader."""
    from deltalake import DeltaTable

    table = DeltaTable(str(Path(lake.root, *TABLE.split("."))), version=version)
    return Counter(table.to_pyarrow_dataset().to_table(columns=["id"]).column("id").to_pylist())


def kill(root: str, point: str, action: str) -> None:
    """Run the action in a process that dies at the point.

    Raises:
        RuntimeError: It did not die there.
    """
    done = subprocess.run(
        [sys.executable, __file__, root, action, *arguments_of(action)],
        env={**os.environ, drills.VARIABLE: point},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    if done.returncode != -signal.SIGKILL:
        raise RuntimeError(f"{action} was not killed at {point}: code {done.returncode}\n{done.stderr[-2000:]}")


def open_lake(root: str) -> Lake:
    """Open a lake whose retention is zero, so that maintenance has something to remove."""
    settings = LakeSettings.model_validate(AT_ONCE)
    return Lake(root, engine=open_engine("duckdb", threads=1), settings=settings, clock=lambda: datetime.now(UTC))


def main() -> None:
    """Run the drill, or be the process that is killed."""
    if len(sys.argv) > 1:
        act(open_lake(sys.argv[1]), *sys.argv[2:])
        return
    started = time.perf_counter()
    lost = doubled = 0
    for point, action in CASES:
        with tempfile.TemporaryDirectory() as root:
            lake = open_lake(root)
            prepare(lake, action)
            kill(root, point, action)
            act(lake, action, *arguments_of(action))
            want, have = expected(action), found(lake)
            lost += (want - have).total()
            doubled += (have - want).total()
            if action == "maintain":
                lost += (Counter(ids_of_all("seed", 3)) - found(lake, version=PINNED)).total()
            lake.engine.close()
    verdict = {
        "drill": "lake_kill",
        "points": len(CASES),
        "lost": lost,
        "duplicated": doubled,
        "passed": not lost and not doubled,
        "seconds": round(time.perf_counter() - started, 1),
    }
    print(json.dumps(verdict))
    sys.exit(0 if verdict["passed"] else 1)


if __name__ == "__main__":
    main()
