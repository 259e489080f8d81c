"""Kill -9 of the commands that bring data in: files, a watched folder, a database, a REST server; and many at once.

Each case runs the real command in a process of its own, which dies at a named point or at a moment drawn by chance; the
same command then runs to its end. The lake must hold every good row once, the quarantine every bad one, and every
receipt must add up; a watched folder must be empty, its archive whole and every file in it noted, at no moment later
than it is moved. Then four processes ingest, one compacts, one
erases and two read all the while: no read may fail and no commit may be lost. What is right comes from the lists that
the files and the database were made from. The REST server is that of ``drills/rest_pull.py``, the databases whose
changes are followed are those of ``drills/change_pull.py``; their points and moments are counted in. Prints one JSON
line.
"""

import argparse
import csv
import json
import os
import random
import runpy
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import count
from pathlib import Path
from textwrap import dedent
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from trunkline.engine import Engine, open_engine
from trunkline.ingest import CRASH_POINTS as INGEST_POINTS
from trunkline.ingest.landing import CRASH_POINTS as LANDING_POINTS
from trunkline.ingest.pulling import CRASH_POINTS as PULL_POINTS
from trunkline.ingest.watching import CRASH_POINTS as WATCH_POINTS
from trunkline.lake import Lake
from trunkline.run.archived import ARCHIVED
from trunkline.settings.drills import VARIABLE
from trunkline.settings.lake import LakeSettings

FILE_ROWS: Final = 400
DATABASE_ROWS: Final = 900
PIECE_ROWS: Final = 200
MOMENTS: Final = 14
SECONDS_AT_ONCE: Final = 20.0
MOST_WAITED_S: Final = 120.0

USECASE: Final = dedent(
    """
    from typing import ClassVar

    from trunkline.contracts import Contract, Integer, Table, Text, field
    from trunkline.spec import UseCase


    class Call(Contract):
        table: ClassVar[Table] = Table(key=("call_id",))

        call_id: Text = field(max_length=12, pii="call")
        seconds: Integer = field(minimum=0)


    usecase = UseCase(
        name="calls", title="Calls", question="?", datasets={"calls": Call}, main="calls", task=None, metric="roc_auc"
    )
    """
)

Row = tuple[str, int]


def made(name: str, count: int) -> list[Row]:
    """Make rows of one file or table; one in nine breaks the contract."""
    return [(f"{name}{number}", -1 if number % 9 == 4 else number) for number in range(count)]


@dataclass(frozen=True)
class Case:
    """One way in.

    Attributes:
        name: Its name.
        prepare: Makes its sources below a folder; gives their rows.
        command: What is run there.
        points: Where it is killed.
        check: What else must hold in the end; gives what does not.
        check_killed: What must hold as soon as it was killed; gives what does not.
    """

    name: str
    prepare: Callable[[Path], list[Row]]
    command: tuple[str, ...]
    points: tuple[str, ...]
    check: Callable[[Path], list[str]]
    check_killed: Callable[[Path], list[str]] = lambda _root: []


def write_csv(path: Path, rows: Sequence[Row]) -> None:
    """Write rows as CSV."""
    with path.open("w", newline="") as stream:
        csv.writer(stream).writerows([("call_id", "seconds"), *rows])


def prepare_files(root: Path) -> list[Row]:
    """Make a CSV, an NDJSON and a Parquet file."""
    parts = [made(name, FILE_ROWS) for name in "abc"]
    write_csv(root / "a.csv", parts[0])
    lines = [json.dumps({"call_id": name, "seconds": seconds}) for name, seconds in parts[1]]
    (root / "b.ndjson").write_text("\n".join(lines) + "\n")
    columns = {"call_id": [name for name, _ in parts[2]], "seconds": [seconds for _, seconds in parts[2]]}
    pq.write_table(pa.table(columns), root / "c.parquet")
    return [row for part in parts for row in part]


def prepare_folder(root: Path) -> list[Row]:
    """Fill a folder with files, and one that is still being written."""
    (root / "in").mkdir()
    rows = []
    for name in "defg":
        part = made(name, FILE_ROWS // 2)
        write_csv(root / "in" / f"{name}.csv", part)
        rows += part
    (root / "in" / "h.csv.part").write_text("call_id,seconds\nh0,")
    return rows


def noted_as_archived(root: Path) -> set[Path]:
    """The files that are noted as moved into the archive, or about to be."""
    if not (root / "w" / ARCHIVED).exists():
        return set()
    with closing(sqlite3.connect(root / "w" / ARCHIVED)) as notes:
        known = notes.execute("SELECT 1 FROM sqlite_master WHERE name = 'archived'").fetchall()
        return {Path(path) for (path,) in notes.execute("SELECT path FROM archived").fetchall()} if known else set()


def check_notes(root: Path) -> list[str]:
    """Files that were moved and not noted: an erasure would not find them."""
    unknown = {path.absolute() for path in (root / "archive").rglob("*.csv")} - noted_as_archived(root)
    return [f"moved and not noted: {sorted(map(str, unknown))}"] * bool(unknown)


def check_folder(root: Path) -> list[str]:
    """What is wrong with the folder, its archive and what is noted of it."""
    unmoved = sorted(str(path) for path in noted_as_archived(root) if not path.exists())
    left = sorted(path.name for path in (root / "in").iterdir())
    kept = sorted(path.name for path in (root / "archive").rglob("*.csv"))
    return (
        [f"the folder holds {left}"] * (left != ["h.csv.part"])
        + [f"the archive holds {kept}"] * (kept != ["d.csv", "e.csv", "f.csv", "g.csv"])
        + [f"noted and not moved: {unmoved}"] * bool(unmoved)
        + check_notes(root)
    )


def prepare_database(root: Path) -> list[Row]:
    """Make a table that is pulled piece by piece."""
    rows = made("s", DATABASE_ROWS)
    with sqlite3.connect(root / "calls.db") as database:
        database.execute("CREATE TABLE calls (number INTEGER PRIMARY KEY, call_id TEXT, seconds INTEGER)")
        database.executemany("INSERT INTO calls (call_id, seconds) VALUES (?, ?)", rows)
    database.close()
    (root / "trunkline.toml").write_text(
        dedent(
            f"""
            [sources.switch]
            kind = "sql"
            usecase = "calls"
            url = "sqlite:///calls.db"
            table = "calls"
            mode = "incremental"
            cursor = "number"
            piece_rows = {PIECE_ROWS}
            """
        )
    )
    return rows


def visits(points: Sequence[str], *numbers: int) -> tuple[str, ...]:
    """Points at several of their visits."""
    return tuple(f"{point}:{number}" for point in points for number in numbers)


CASES: Final = (
    Case(
        "files",
        prepare_files,
        ("ingest", "calls", "a.csv", "b.ndjson", "c.parquet"),
        (*visits(LANDING_POINTS, 1, 3), *visits(INGEST_POINTS, 1, 2)),  # CSV and NDJSON share commits
        lambda _root: [],
    ),
    Case(
        "folder",
        prepare_folder,
        ("watch", "calls", "in", "--once", "--settle", "0.05", "--archive", "archive"),
        (
            *visits((*WATCH_POINTS, *INGEST_POINTS), 1),
            "watch.before_note:2",  # the first file is moved alone, those that come within a second after it together
            *visits(("watch.after_take", "watch.before_move", "watch.after_move", *LANDING_POINTS), 3),
        ),
        check_folder,
        check_notes,
    ),
    Case(
        "database",
        prepare_database,
        ("ingest", "calls", "switch"),
        visits((*PULL_POINTS, *LANDING_POINTS, *INGEST_POINTS), 1, 3),
        lambda _root: [],
    ),
)


def started(root: Path, command: Sequence[str], *, crash_at: str = "") -> subprocess.Popen[bytes]:
    """Start a command in a case's folder."""
    return subprocess.Popen(
        [sys.executable, "-m", "trunkline", *command, "--workspace", "w"],
        cwd=root,
        env={**os.environ, VARIABLE: crash_at, "TRUNKLINE_THREADS": "1", "TRUNKLINE_PLUGIN_DIR": "usecases"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def prepared(root: Path, case: Case) -> list[Row]:
    """Make a case's folder with the use case and its sources."""
    folder = root / "usecases" / "calls"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text(USECASE)
    return case.prepare(root)


def open_lake(root: Path, engine: Engine) -> Lake:
    """Open the lake that the commands filled."""
    return Lake(root / "w" / "lake", engine=engine, settings=LakeSettings(), clock=lambda: datetime.now(UTC))


def stored(lake: Lake) -> "Counter[Row]":
    """Count the rows of the table, values included."""
    found = lake.arrow("calls.calls", columns=["call_id", "seconds"])
    return Counter(zip(found.column("call_id").to_pylist(), found.column("seconds").to_pylist(), strict=True))


def compare(lake: Lake, rows: Sequence[Row]) -> tuple[int, int, list[str]]:
    """Compare the lake with the rows that went in.

    Returns:
        Rows that are lost, rows that are doubled, and what else is wrong.
    """
    good, bad = (Counter(row for row in rows if (row[1] >= 0) is is_good) for is_good in (True, False))
    found = stored(lake)
    held = [json.loads(row) for row in lake.arrow("platform.quarantine").column("row").to_pylist()]
    refused = Counter((row["call_id"], int(row["seconds"])) for row in held)
    lost = sum((good - found).values()) + sum((bad - refused).values())
    doubled = sum((found - good).values()) + sum((refused - bad).values())
    receipts = lake.arrow("platform.receipts").to_pylist()
    wrong = [
        f"the receipt of {one['source']} does not add up"
        for one in receipts
        if one["read"] != one["accepted"] + one["quarantined"] + one["duplicates"]
    ]
    sums = tuple(sum(one[name] for one in receipts) for name in ("read", "accepted", "quarantined"))
    expected = (len(rows), sum(good.values()), sum(bad.values()))
    wrong += [f"receipts say {sums}, went in {expected}"] * (sums != expected)
    return lost, doubled, wrong


class Result:
    """Adds up what the cases find."""

    def __init__(self) -> None:
        self.lost = self.doubled = self.points = self.moments = 0
        self.wrong: list[str] = []

    def add(self, what: str, found: tuple[int, int, list[str]]) -> None:
        """Add a comparison."""
        lost, doubled, wrong = found
        self.lost, self.doubled = self.lost + lost, self.doubled + doubled
        self.wrong += [f"{what}: {one}" for one in wrong]
        if lost or doubled:
            self.wrong.append(f"{what}: {lost} lost, {doubled} doubled")

    def include(self, what: str, found: dict[str, int]) -> None:
        """Add what another drill found."""
        self.points, self.moments = self.points + found["points"], self.moments + found["moments"]
        self.lost, self.doubled = self.lost + found["lost"], self.doubled + found["duplicated"]
        self.wrong += [f"{what}: see above"] * (not found["passed"])


def kill_at_points(scratch: Path, case: Case, engine: Engine, result: Result, *, points: Sequence[str]) -> None:
    """Kill at every point, go on, and once more, which must change nothing."""
    for number, point in enumerate(points):
        root = scratch / f"{case.name}{number}"
        rows = prepared(root, case)
        what = f"{case.name}, {point}"
        if (code := started(root, case.command, crash_at=point).wait()) != -signal.SIGKILL:
            result.wrong.append(f"{what}: never came there (code {code})")
        result.wrong += [f"{what}: {one}" for one in case.check_killed(root)]
        _finish(root, case, rows, what, engine, result)
        result.points += 1


def kill_at_moments(scratch: Path, case: Case, engine: Engine, result: Result, *, moments: int, seed: int) -> None:
    """Kill at moments drawn by chance between the start and the end of an undisturbed run."""
    if not moments:
        return
    draw = random.Random(seed)
    root = scratch / f"{case.name}-whole"
    rows = prepared(root, case)
    begun = time.monotonic()
    started(root, case.command).wait()
    whole_s = time.monotonic() - begun
    result.add(f"{case.name}, undisturbed", compare(open_lake(root, engine), rows))
    done = 0
    for number in range(3 * moments):  # on a machine that is busy now and then, some runs end before their moment
        if done == moments:
            break
        root = scratch / f"{case.name}-moment{number}"
        rows = prepared(root, case)
        child = started(root, case.command)
        after_s = draw.uniform(0.3, 1.0) * whole_s
        try:
            child.wait(after_s)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
            done += 1
        result.wrong += [f"{case.name}, after {after_s:.2f} s: {one}" for one in case.check_killed(root)]
        _finish(root, case, rows, f"{case.name}, after {after_s:.2f} s", engine, result)
    result.moments += done
    if done < moments:
        result.wrong.append(f"{case.name}: only {done} of {moments} moments came before the end")


def _finish(root: Path, case: Case, rows: Sequence[Row], what: str, engine: Engine, result: Result) -> None:
    codes = [started(root, case.command).wait()]
    if case.name != "folder":  # a folder that is empty has nothing to be asked for again
        codes.append(started(root, case.command).wait())
    result.wrong += [f"{what}: the command failed with {code}" for code in codes if code]
    result.add(what, compare(open_lake(root, engine), rows))
    result.wrong += [f"{what}: {one}" for one in case.check(root)]


class AtOnce:
    """Four processes ingest, one compacts, one erases, two threads read: no failed read, no lost commit."""

    def __init__(self, root: Path, *, seconds: float) -> None:
        self.root = root
        self.until = time.monotonic() + seconds
        self.latest = self.until + MOST_WAITED_S
        self.erased = [(f"x{number}", number) for number in range(40)]
        self.rows: list[Row] = []
        self.gone: set[str] = set()
        self.failures: list[str] = []

    @property
    def goes_on(self) -> bool:
        """Whether there is time left, or nothing was written or erased so far on a busy machine."""
        now = time.monotonic()
        return now < self.until or (now < self.latest and not (self.rows and self.gone))

    def run(self) -> None:
        """Do all of it until the time is over."""
        work: list[Callable[[], None]] = [partial(self.write, name) for name in "klmn"]
        work += [self.keep, self.erase, self.read, self.read]
        threads = [threading.Thread(target=one) for one in work]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def command(self, *command: str) -> int:
        """Run a command, again while another process holds what it needs: that is an answer, not a failure."""
        while (code := started(self.root, command).wait()) == 2 and time.monotonic() < self.latest:
            time.sleep(0.05)
        self.failures.extend([f"{command[0]} ended with {code}"] * bool(code))
        return code

    def write(self, name: str) -> None:
        """Take file after file in from a folder of its own: watched folders share no lock but the table's."""
        folder = self.root / name
        folder.mkdir()
        for number in count():
            if not self.goes_on:
                return
            part = made(f"{name}{number}_", 50)
            write_csv(folder / f"{number}.csv", part)
            self.command("watch", "calls", name, "--settle", "0", "--delete", "--once")
            self.failures.extend([f"{name}: a file was left"] * any(folder.iterdir()))
            self.rows.extend(part)

    def keep(self) -> None:
        """Compact and vacuum."""
        while self.goes_on:
            self.command("maintain")

    def erase(self) -> None:
        """Erase one after the other."""
        for name, _ in self.erased:
            if not self.goes_on:
                return
            self.command("maintain", "--erase", f"call={name}")
            self.gone.add(name)

    def read(self) -> None:
        """Read all the while; what was seen once, and is not erased, is seen again."""
        before = 0
        with open_engine("duckdb", threads=1) as engine:
            lake = open_lake(self.root, engine)
            while self.goes_on:
                try:
                    names = lake.arrow("calls.calls", columns=["call_id"]).column("call_id").to_pylist()
                except Exception as error:  # noqa: BLE001 - any failed read is what is looked for
                    self.failures.append(f"a read failed: {type(error).__name__}: {error}")
                    continue
                seen = sum(not name.startswith("x") for name in names)
                self.failures.extend([f"a reader saw {seen} rows after {before}"] * (seen < before))
                before = seen


def all_at_once(scratch: Path, engine: Engine, result: Result, *, seconds: float) -> None:
    """Let many processes work on one table, and compare."""
    root = scratch / "at-once"
    prepared(root, Case("at once", lambda _root: [], (), (), lambda _root: []))
    work = AtOnce(root, seconds=seconds)
    write_csv(root / "x.csv", work.erased)
    work.command("ingest", "calls", "x.csv")
    work.run()
    result.wrong += [f"at once: {failure}" for failure in work.failures]
    result.wrong += ["at once: nothing was written or erased"] * (not work.rows or not work.gone)
    kept = [row for row in work.erased if row[0] not in work.gone]
    good = Counter(row for row in [*work.rows, *kept] if row[1] >= 0)
    found = stored(open_lake(root, engine))
    result.add("at once", (sum((good - found).values()), sum((found - good).values()), []))


def drill(
    scratch: Path, *, every: int = 1, moments: int = MOMENTS, seconds: float = SECONDS_AT_ONCE, changes: bool = True
) -> dict[str, object]:
    """Run all cases.

    Args:
        scratch: An empty folder.
        every: Only each so many-th point, for a short form.
        moments: Random moments per case.
        seconds: How long all work at once; 0 leaves that out.
        changes: Whether the changes of databases are followed, for which PostgreSQL and MariaDB must be installed.
    """
    result = Result()
    with open_engine("duckdb", threads=1) as engine:
        for seed, case in enumerate(CASES):
            kill_at_points(scratch, case, engine, result, points=case.points[::every])
            kill_at_moments(scratch, case, engine, result, moments=moments, seed=seed)
        if seconds:
            all_at_once(scratch, engine, result, seconds=seconds)
    rest = runpy.run_path(str(Path(__file__).with_name("rest_pull.py")))
    result.include("REST", rest["drill"](scratch / "rest", points=rest["POINTS"][::every], moments=moments))
    if changes:
        change = runpy.run_path(str(Path(__file__).with_name("change_pull.py")))
        points, gap_points = change["POINTS"][::every], change["GAP_POINTS"][::every]
        found = change["drill"](scratch / "changes", points=points, gap_points=gap_points, moments=moments)
        result.include("changes", found)
    for line in result.wrong:
        print(line, file=sys.stderr)
    return {
        "drill": "ingest",
        "points": result.points,
        "moments": result.moments,
        "lost": result.lost,
        "duplicated": result.doubled,
        "passed": not (result.lost or result.doubled or result.wrong),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--every", type=int, default=1, help="only each so many-th point")
    parser.add_argument("--moments", type=int, default=MOMENTS, help="random moments per case")
    parser.add_argument("--seconds", type=float, default=SECONDS_AT_ONCE, help="how long all work at once")
    parser.add_argument("--without-changes", action="store_true", help="where PostgreSQL or MariaDB is not installed")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        done = drill(
            Path(folder),
            every=arguments.every,
            moments=arguments.moments,
            seconds=arguments.seconds,
            changes=not arguments.without_changes,
        )
    print(json.dumps(done))
    sys.exit(not done["passed"])
