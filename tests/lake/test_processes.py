"""Several processes, killed processes, forked processes: every row once."""

import os
import runpy
import subprocess
import sys
import traceback
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pyarrow as pa
import pytest

from trunkline.errors import AuthorError
from trunkline.lake import CRASH_POINTS, Lake

# The drill's own file is the process that is killed here as well; it is a script and not a package.
SCRIPT = Path(__file__).parents[2] / "drills" / "lake_kill.py"
drill = runpy.run_path(str(SCRIPT))
TABLE: str = drill["TABLE"]
CASES: list[tuple[str, str]] = drill["CASES"]
act: Callable[..., None] = drill["act"]
ids_of_all: Callable[[str, int], list[str]] = drill["ids_of_all"]


def start(lake: Lake, action: str, *rest: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(SCRIPT), lake.root, action, *rest],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> None:
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output


def ids(lake: Lake, *, version: int | None = None) -> Counter[str]:
    return Counter(lake.arrow(TABLE, columns=["id"], version=version).column("id").to_pylist())


@pytest.mark.slow
def test_a_table_whose_log_is_cut_all_the_while_can_always_be_opened(lake: Lake) -> None:
    lake.append("a.b", pa.table({"id": ["kept"]}))
    is_over = Event()

    def look() -> int:
        looks = 0
        while not is_over.is_set():
            assert lake.version("a.b") is not None
            looks += 1
        return looks

    with ThreadPoolExecutor(2) as readers:
        found = [readers.submit(look) for _ in range(2)]
        try:
            for number in range(15):
                lake.append("a.b", pa.table({"id": [f"erased {number}"]}))
                lake.erase("a.b", "id", [f"erased {number}"])
        finally:
            is_over.set()
        assert min(looks.result() for looks in found) > 15


@pytest.mark.slow
def test_two_processes_append_at_once_and_none_is_lost(lake: Lake) -> None:
    writers = [start(lake, "append", name, "20") for name in ("left", "right")]
    for writer in writers:
        finish(writer)
    assert ids(lake) == Counter(ids_of_all("left", 20) + ids_of_all("right", 20))
    assert lake.version(TABLE) == 39


@pytest.mark.slow
def test_writers_and_maintenance_at_once(lake: Lake) -> None:
    act(lake, "append", "seed", "3")
    processes = [start(lake, "append", f"w{number}", "40") for number in range(3)]
    processes += [start(lake, "maintain"), start(lake, "compact")]
    for process in processes:
        finish(process)
    writers = [one for number in range(3) for one in ids_of_all(f"w{number}", 40)]
    assert ids(lake) == Counter(ids_of_all("seed", 3) + writers)
    assert ids(lake, version=2) == Counter(ids_of_all("seed", 3))


# One point of each kind is quick enough for every run; the others go with the slow tests.
FAST = {("lake.before_commit", "append"), ("lake.after_commit:3", "append")}


@pytest.mark.parametrize(
    ("point", "action"),
    [pytest.param(*case, marks=[] if case in FAST else [pytest.mark.slow], id=" ".join(case)) for case in CASES],
)
def test_killed_anywhere_and_done_again_every_row_is_there_once(
    make_lake: Callable[..., Lake], point: str, action: str
) -> None:
    lake = make_lake(**drill["AT_ONCE"])
    drill["prepare"](lake, action)
    before = lake.version(TABLE)
    drill["kill"](lake.root, point, action)
    between = lake.version(TABLE)
    seen = ids(lake)
    act(lake, action, *drill["arguments_of"](action))
    after = lake.version(TABLE)
    assert before is not None
    assert between is not None
    assert after is not None
    assert before <= between <= after
    assert max(seen.values()) == 1, "the table is readable and whole after the kill"
    assert ids(lake) == drill["expected"](action)
    if action == "maintain":
        assert ids(lake, version=2) == Counter(ids_of_all("seed", 3)), "the pinned version survives"
    if action == "erase":
        assert lake.erase(TABLE, "id", [drill["ERASED"]]).gone == (), "nothing of it is left"


def test_every_crash_point_has_a_case() -> None:
    assert {point for point, _ in CASES} >= set(CRASH_POINTS)
    assert len(set(CRASH_POINTS)) == len(CRASH_POINTS)


def in_child(work: Callable[[], str]) -> str:
    """Run something in a forked child and give what it says; a panic of the Rust side would be its text."""
    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(write_end, work().encode())
        except BaseException:  # noqa: BLE001 - the child must not return into pytest, whatever happens
            os.write(write_end, traceback.format_exc().encode())
        os._exit(0)
    os.close(write_end)
    with os.fdopen(read_end) as stream:
        text = stream.read()
    os.waitpid(pid, 0)
    return text


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded, use of fork:DeprecationWarning")
def test_a_forked_child_is_told_to_be_spawned(lake: Lake) -> None:
    lake.append(TABLE, pa.table({"id": ["x"]}))

    def work() -> str:
        for call in (lambda: lake.version(TABLE), lambda: lake.append(TABLE, pa.table({"id": ["y"]})), lake.tables):
            try:
                call()
            except AuthorError as error:
                if "fork" not in error.what or "spawn" not in str(error):
                    return str(error)
            else:
                return "used after a fork"
        return "refused"

    assert in_child(work) == "refused"
    assert ids(lake) == Counter(["x"]), "the parent goes on"
