"""Kill -9 of a process that follows the changes of a table, on a real PostgreSQL and a real MariaDB.

A writer inserts, updates, deletes, gives rows new keys, makes large transactions and alters the table while a child
process takes its changes in and dies, at every point it passes and at moments drawn by chance; a new one goes on. In
the end the current rows of the lake are the table's, row for row; the changes that landed are the newest ones of the
writer's own list, each once and in its order; no place of the log is in the lake twice; every receipt adds up.

Then changes are lost: the slot is dropped, or the binary logs are purged, and rows were deleted meanwhile. The child
that takes the new snapshot is killed on its way; in the end each of those keys is gone, by one row. Prints one JSON
line.
"""

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import ClassVar, Final, Protocol

import pyarrow.parquet as pq
from pydantic import TypeAdapter

from trunkline.contracts import Contract, Flag, Instant, Integer, Table, Text
from trunkline.contracts import field as described
from trunkline.engine import Engine, open_engine
from trunkline.ingest import CRASH_POINTS as INGEST_POINTS
from trunkline.ingest import Target
from trunkline.ingest.gone import CRASH_POINTS as GONE_POINTS
from trunkline.ingest.landing import CRASH_POINTS as LANDING_POINTS
from trunkline.ingest.landing import Landed, Landing
from trunkline.ingest.pulling import CRASH_POINTS as PULL_POINTS
from trunkline.ingest.pulling import pull
from trunkline.ingest.sources import open_source
from trunkline.lake import Lake
from trunkline.lake.versions import current_rows
from trunkline.settings.drills import VARIABLE
from trunkline.settings.lake import LakeSettings
from trunkline.spec.sources import AnySource

SERVERS: Final = ("postgresql", "mariadb")
FIRST_ROWS: Final = 100
TRANSACTIONS: Final = 60
PIECE_ROWS: Final = 40
PACE_S: Final = 0.02
MOMENTS: Final = 6
BEGIN: Final = datetime(2026, 3, 1, tzinfo=UTC)
COMMANDS_WITHIN_S: Final = 120
# among the changes, and in the snapshot before them
POINTS: Final = (
    *(f"{point}:7" for point in (*PULL_POINTS, *LANDING_POINTS, *INGEST_POINTS)),
    *("pull.after_piece:1", "landing.after_record:3", "ingest.after_rows:2"),
)
# in the second snapshot (two parts and an end), at its end, and where the rows of its end are committed
GAP_POINTS: Final = (
    *("pull.before_piece:1", "landing.after_record:2", "ingest.after_rows:2"),
    *(f"{point}:3" for point in (*PULL_POINTS, *LANDING_POINTS)),
    *(f"{point}:1" for point in GONE_POINTS),
    *("lake.before_commit:5", "lake.after_commit:5"),
)

Told = tuple[str, int, int | None]
"""A change: what was done, the key, and the row's version, None where the row is gone."""


class Call(Contract):
    """A call as the database has it, by its changes."""

    table: ClassVar[Table] = Table(key=("call_id",), ordered_by="position", deleted="is_gone")

    call_id: Integer = described()
    version: Integer = described()
    amount: Text = described()
    state: Text = described()
    ended_at: Instant | None = described()
    payload: Text | None = described()
    note: Text | None = described()
    extra: Text | None = described()
    is_gone: Flag = described(aliases=("_deleted",))
    position: Text = described(aliases=("_commit_position",))


TARGET: Final = Target("calls", "calls", Call)
OWN: Final = ("call_id", "version", "amount", "state", "ended_at", "payload", "note", "extra")


class Run(Protocol):
    """Runs a statement, gives its rows."""

    def __call__(self, sql: str, parameters: Sequence[object] = ()) -> list[tuple[object, ...]]:
        """Run it."""
        ...


@dataclass(frozen=True)
class Database:
    """A server, by its differences."""

    name: str
    url: str
    columns: str

    @property
    def kind(self) -> str:
        """What a source of it is called."""
        return "postgres_changes" if self.name == "postgresql" else "mariadb_changes"

    @contextmanager
    def connected(self) -> Iterator[Run]:
        """Connect; each statement is committed, unless BEGIN was said."""
        if self.name == "postgresql":
            import psycopg

            with psycopg.connect(self.url, autocommit=True) as postgres:

                def run(sql: str, parameters: Sequence[object] = ()) -> list[tuple[object, ...]]:
                    cursor = postgres.execute(sql.encode(), parameters or None)
                    return cursor.fetchall() if cursor.description else []

                yield run
            return
        import pymysql
        from sqlalchemy import make_url

        at = make_url(self.url)
        mariadb = pymysql.connect(
            host=str(at.host),
            port=int(at.port or 0),
            user=at.username,
            password=str(at.password),
            database=at.database,
            autocommit=True,
            init_command="SET time_zone = '+00:00'",
        )

        def ask(sql: str, parameters: Sequence[object] = ()) -> list[tuple[object, ...]]:
            with mariadb.cursor() as cursor:
                cursor.execute(sql, parameters or None)
                return list(cursor.fetchall())

        with mariadb:
            yield ask

    def lose(self, run: Run, table: str) -> None:
        """Lose the changes that were not pulled yet."""
        if self.name == "postgresql":
            run("SELECT pg_drop_replication_slot(%s)", (table,))
            return
        (begun,) = run("SHOW MASTER STATUS")
        until = time.monotonic() + COMMANDS_WITHIN_S
        while any(row[0] == begun[0] for row in run("SHOW BINARY LOGS")):
            assert time.monotonic() < until, "the server keeps its log"
            run("FLUSH ENGINE LOGS")  # a file is kept until InnoDB, which lags, has no use for it
            run("FLUSH BINARY LOGS")
            (now,) = run("SHOW MASTER STATUS")
            run(f"PURGE BINARY LOGS TO '{now[0]}'")

    def forget(self, run: Run, table: str) -> None:
        """Drop a table, and what its source left on the server."""
        run(f"DROP TABLE {table}")
        if self.name == "postgresql":
            run(f"DROP PUBLICATION IF EXISTS {table}")
            run("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = %s", (table,))


@contextmanager
def served(name: str) -> Iterator[Database]:
    """Run a server."""
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from tests.servers import mariadb_server, postgres_server

    columns = "call_id int PRIMARY KEY, version int NOT NULL, amount {}, state {}, ended_at {}, payload {}, note {}"
    if name == "postgresql":
        with postgres_server() as url:
            database = Database(
                name, url, columns.format("numeric(12,3)", "call_state", "timestamptz", "bytea", "text")
            )
            with database.connected() as run:
                run("CREATE TYPE call_state AS ENUM ('open', 'held', 'closed')")
            yield database
    else:
        with mariadb_server() as url:
            state = "enum('open', 'held', 'closed')"
            yield Database(
                name, url, columns.format("decimal(12,3)", state, "timestamp(6) NULL", "varbinary(9)", "varchar(40)")
            )


@dataclass
class Writer:
    """Changes a table, and keeps a list of what it did."""

    run: Run
    table: str
    seed: int
    keys: list[int] = field(default_factory=list)
    told: list[Told] = field(default_factory=list)
    is_wide: bool = False

    def __post_init__(self) -> None:
        """Begin."""
        self._draw, self._version, self._next = random.Random(self.seed), 0, 0

    def _values(self) -> tuple[object, ...]:
        self._version += 1
        number = self._version
        return (
            number,
            f"{number % 97}.{number % 1000:03d}",
            ("open", "held", "closed")[number % 3],
            None if number % 5 == 0 else BEGIN + timedelta(seconds=number, microseconds=number),
            None if number % 7 == 0 else bytes((0, number % 256, 92)),
            None if number % 4 == 0 else f"ümlaut's \\ \t{number}",
        )

    def insert(self) -> None:
        """Insert a row; in a wide table its new column too."""
        key, values = self._next, self._values()
        self._next += 1
        marks = ", ".join(["%s"] * (7 + self.is_wide))
        self.run(f"INSERT INTO {self.table} VALUES ({marks})", (key, *values, *(["x"] if self.is_wide else [])))
        self.keys.append(key)
        self.told.append(("insert", key, self._version))

    def update(self) -> None:
        """Change a row."""
        key = self._draw.choice(self.keys)
        self._set("", key)
        self.told.append(("update", key, self._version))

    def move(self) -> None:
        """Give a row another key."""
        key, other = self.keys.pop(self._draw.randrange(len(self.keys))), self._next
        self._next += 1
        self._set(f"call_id = {other}, ", key)
        self.keys.append(other)
        self.told += [("delete", key, None), ("update", other, self._version)]

    def _set(self, also: str, key: int) -> None:
        named = ("version", "amount", "state", "ended_at", "payload", "note")
        said = ", ".join(f"{name} = %s" for name in named)
        self.run(f"UPDATE {self.table} SET {also}{said} WHERE call_id = %s", (*self._values(), key))

    def delete(self) -> None:
        """Delete a row."""
        key = self.keys.pop(self._draw.randrange(len(self.keys)))
        self.run(f"DELETE FROM {self.table} WHERE call_id = %s", (key,))
        self.told.append(("delete", key, None))

    def transaction(self) -> None:
        """Do some of it in one transaction, now and then a large one; one in eight is rolled back."""
        kept = list(self.keys), list(self.told)
        self.run("BEGIN")
        for _ in range(self._draw.choice((1, 1, 2, 3, 5, 90))):
            if len(self.keys) < 20:
                self.insert()
            else:
                self._draw.choice((self.insert, self.update, self.update, self.delete, self.move))()
        if self._draw.random() < 1 / 8:
            self.run("ROLLBACK")
            self.keys, self.told = kept
        else:
            self.run("COMMIT")

    def widen(self) -> None:
        """Alter the table."""
        self.run(f"ALTER TABLE {self.table} ADD COLUMN extra varchar(9)")
        self.is_wide = True

    def work(self) -> None:
        """Do a number of transactions, and alter the table on the way."""
        for number in range(TRANSACTIONS):
            if number == TRANSACTIONS // 2:
                self.widen()
            self.transaction()
            threading.Event().wait(PACE_S)


def open_lake(root: Path, engine: Engine) -> Lake:
    """Open the lake as a command would."""
    return Lake(root / "lake", engine=engine, settings=LakeSettings(), clock=lambda: datetime.now(UTC))


def pull_all(root: Path, kind: str, url: str, table: str, snapshot: int) -> None:
    """Pull what is new: what the child does."""
    said = {
        "kind": kind,
        "usecase": "calls",
        "url": url,
        "table": table,
        "snapshot": snapshot,
        "piece_rows": PIECE_ROWS,
    }
    if kind == "postgres_changes":
        said["slot"] = table
    declared: AnySource = TypeAdapter(AnySource).validate_python(said)
    with open_engine("duckdb", threads=1) as engine:
        for _ in pull(
            open_source("switch", declared),
            TARGET,
            landing=Landing(root / "landing", clock=lambda: datetime.now(UTC)),
            locks=root / "locks",
            lake=open_lake(root, engine),
            run_id=f"run-{os.getpid()}",
            clock=lambda: datetime.now(UTC),
        ):
            """Each piece is in the lake."""


def texts(row: Sequence[object]) -> tuple[str | None, ...]:
    """A row as a driver gives it, as the lake has it."""
    said: list[str | None] = []
    for value in row:
        if isinstance(value, datetime):
            said.append((value if value.tzinfo else value.replace(tzinfo=UTC)).astimezone(UTC).isoformat())
        else:
            said.append(None if value is None else value.hex() if isinstance(value, bytes) else str(value))
    return (*said, *[None] * (len(OWN) - len(said)))


@dataclass(frozen=True)
class Reference:
    """What must be in the lake.

    Attributes:
        rows: The table's rows.
        told: All changes that were not lost; what landed of them is the newest, for a snapshot held the others.
        gone: Keys that were deleted by changes that were lost.
    """

    rows: Sequence[Sequence[object]]
    told: Sequence[Told]
    gone: frozenset[int] = frozenset()


def compare(root: Path, lake: Lake, reference: Reference) -> tuple[int, int, list[str]]:
    """Compare the lake with the table, and what landed with what was done.

    Returns:
        Rows that are lost, rows that are doubled, and what else is wrong.
    """
    expected = Counter(map(texts, reference.rows))
    current = current_rows(lake.read("calls.calls"), Call, table="calls.calls")
    found = Counter(texts(list(row.values())) for row in lake.engine.arrow(current.select(*OWN)).to_pylist())
    lost, more = sum((expected - found).values()), sum((found - expected).values())
    receipts = lake.arrow("platform.receipts").to_pylist()
    wrong = [
        f"the receipt of {one['piece']} does not add up"
        for one in receipts
        if one["read"] != one["accepted"] + one["quarantined"] + one["duplicates"] or one["quarantined"]
    ]
    pieces = Counter(one["piece"] for one in receipts)
    wrong += [f"{piece} has {times} receipts" for piece, times in pieces.items() if times > 1]
    stored = lake.arrow("calls.calls", columns=["call_id", "position", "is_gone"]).to_pylist()
    accepted = sum(one["accepted"] for one in receipts)
    wrong += [f"receipts say {accepted} rows, the lake holds {len(stored)}"] * (accepted != len(stored))
    landed = Landing(root / "landing", clock=lambda: datetime.now(UTC)).pieces("switch")
    wrong += [f"{piece.piece_id} has no receipt" for piece in landed if piece.piece_id not in pieces]
    changes = [change for piece in landed if piece.whole is None for change in told_by(piece)]
    if changes != list(reference.told[len(reference.told) - len(changes) :]):
        wrong.append(f"the {len(changes)} changes that landed are not the newest of those that were made")
    # parts of a snapshot that was begun again repeat its place; that of a change, or of a key that is gone, comes once
    is_first = [str(row["position"]).endswith(f"-{0:010d}") and not row["is_gone"] for row in stored]
    places = Counter(
        (row["call_id"], row["position"]) for row, first in zip(stored, is_first, strict=True) if not first
    )
    more += sum(times - 1 for times in places.values())
    gone = {key for key, place in places if str(place).endswith(f"-{0:010d}")}
    # where a child died before anything of the new snapshot landed, what was deleted after it is in the gap too
    kept = {row[0] for row in reference.rows}
    wrong += [f"{len(reference.gone - gone)} keys were not made gone"] * (not reference.gone <= gone)
    wrong += [f"{len(gone & kept)} keys were made gone that are there"] * bool(gone & kept)
    return lost, more, wrong


def told_by(piece: Landed) -> list[Told]:
    """The changes of a piece, in their order."""
    assert piece.path is not None, "there is no retention"
    return [
        (str(row["_op"]), int(row["call_id"]), None if row["_op"] == "delete" else int(row["version"]))
        for row in pq.read_table(piece.path).to_pylist()
    ]


class Result:
    """Adds up what is found, and tells at once what is wrong: the drill takes long."""

    def __init__(self) -> None:
        self.lost = self.doubled = self.points = self.moments = self.wrong = 0

    def refute(self, what: str) -> None:
        """Tell what is wrong."""
        self.wrong += 1
        print(what, file=sys.stderr, flush=True)

    def add(self, what: str, found: tuple[int, int, list[str]]) -> None:
        """Add a comparison."""
        lost, doubled, wrong = found
        self.lost, self.doubled = self.lost + lost, self.doubled + doubled
        for one in wrong:
            self.refute(f"{what}: {one}")
        if lost or doubled:
            self.refute(f"{what}: {lost} lost, {doubled} doubled")


def killed(child: "subprocess.Popen[bytes]", after_s: float | None) -> bool:
    """Wait for a child to die, or kill it after a time; gives whether it was killed."""
    try:
        return child.wait(after_s) == -signal.SIGKILL
    except subprocess.TimeoutExpired:
        child.kill()
        return child.wait() == -signal.SIGKILL


@dataclass
class Story:
    """One table of a server, and what is done with it.

    Attributes:
        root: An empty folder.
        database: The server.
        number: Of the table.
        result: Takes what is found.
        engine: For the comparison.
    """

    root: Path
    database: Database
    number: int
    result: Result
    engine: Engine

    @property
    def table(self) -> str:
        """Its name."""
        return f"calls_{self.number}"

    def child(self, *, snapshot: int = 1, crash_at: str = "") -> "subprocess.Popen[bytes]":
        """Start a child."""
        command = [sys.executable, __file__, str(self.root), self.database.kind, self.database.url, self.table]
        return subprocess.Popen([*command, str(snapshot)], env={**os.environ, VARIABLE: crash_at})

    def pulled(self, what: str, *, snapshot: int = 1) -> None:
        """Let a child go to its end."""
        if code := self.child(snapshot=snapshot).wait():
            self.result.refute(f"{what}: a run failed with code {code}")

    def followed(self, *, point: str = "", after_s: float | None = None) -> tuple[bool, float]:
        """Kill a child while the table changes; gives whether it was killed, and how long it lived, in seconds."""
        what = f"{self.database.name}, {point or f'after {after_s or 0:.2f} s'}"
        with self.database.connected() as run, self.database.connected() as other:
            run(f"CREATE TABLE {self.table} ({self.database.columns})")
            writer = Writer(other, self.table, self.number)
            for _ in range(FIRST_ROWS):
                writer.insert()
            begun = time.monotonic()
            child = self.child(crash_at=point)
            thread = threading.Thread(target=writer.work)
            thread.start()
            is_killed = killed(child, after_s)
            lived_s = time.monotonic() - begun
            thread.join()
            if point and not is_killed:  # it came to the end of the log before
                writer.insert()
                is_killed = killed(self.child(crash_at=point.partition(":")[0]), None)
            for _ in range(2):  # the second changes nothing
                self.pulled(what)
            reference = Reference(run(f"SELECT * FROM {self.table}"), writer.told)
            self.result.add(what, compare(self.root, open_lake(self.root, self.engine), reference))
            self.database.forget(run, self.table)
        return is_killed, lived_s

    def lost(self, *, point: str = "", after_s: float | None = None) -> tuple[bool, float]:
        """Lose changes, and kill the child that takes the new snapshot; gives what ``followed`` gives."""
        what = f"{self.database.name}, changes lost, {point or f'after {after_s or 0:.2f} s'}"
        with self.database.connected() as run:
            run(f"CREATE TABLE {self.table} ({self.database.columns}, extra varchar(9))")
            writer = Writer(run, self.table, self.number, is_wide=True)
            for _ in range(FIRST_ROWS):
                writer.insert()
            self.pulled(what)
            there = set(writer.keys)
            for _ in range(30):
                writer.delete()
                writer.update()
            gone = frozenset(there - set(writer.keys))
            self.database.lose(run, self.table)
            writer.told.clear()  # what was lost comes as a snapshot
            begun = time.monotonic()
            is_killed = killed(self.child(snapshot=2, crash_at=point), after_s)
            lived_s = time.monotonic() - begun
            for _ in range(5):
                writer.transaction()
            for _ in range(2):
                self.pulled(what, snapshot=2)
            reference = Reference(run(f"SELECT * FROM {self.table}"), writer.told, gone)
            self.result.add(what, compare(self.root, open_lake(self.root, self.engine), reference))
            self.database.forget(run, self.table)
        return is_killed, lived_s


def drill(
    scratch: Path,
    *,
    servers: Sequence[str] = SERVERS,
    points: Sequence[str] = POINTS,
    gap_points: Sequence[str] = GAP_POINTS,
    moments: int = MOMENTS,
) -> dict[str, object]:
    """Kill, go on, and once more, which must change nothing; on every server.

    Args:
        scratch: An empty folder.
        servers: Which servers.
        points: Where a child dies that follows changes.
        gap_points: Where a child dies that takes a new snapshot after changes were lost.
        moments: Random moments by server, in both stories alike.
    """
    result, draw = Result(), random.Random(13)
    numbers = count(1)
    with open_engine("duckdb", threads=1) as engine:
        for server in servers:
            with served(server) as database:

                def story(database: Database = database) -> Story:
                    number = next(numbers)
                    return Story(scratch / str(number), database, number, result, engine)

                at_points = [(Story.followed, point) for point in points] + [
                    (Story.lost, point) for point in gap_points
                ]
                for way, point in at_points:
                    is_killed, _ = way(story(), point=point)
                    result.points += 1
                    if not is_killed:
                        result.refute(f"{server}, {way.__name__}: never came to {point}")
                for way in (Story.followed, Story.lost):
                    _, whole_s = way(story()) if moments else (False, 0.0)
                    done = 0
                    for _ in range(3 * moments):  # on a busy machine some end before their moment
                        if done == moments:
                            break
                        is_killed, lived_s = way(story(), after_s=whole_s * draw.uniform(0.3, 0.95))
                        done += is_killed
                        whole_s = whole_s if is_killed else lived_s  # it is quicker by now
                    result.moments += done
                    if done < moments:
                        result.refute(f"{server}, {way.__name__}: only {done} of {moments} moments came in time")
    return {
        "drill": "change_pull",
        "points": result.points,
        "moments": result.moments,
        "lost": result.lost,
        "duplicated": result.doubled,
        "passed": not (result.lost or result.doubled or result.wrong),
    }


if __name__ == "__main__":
    if len(sys.argv) == 6:
        root, kind, url, table, snapshot = sys.argv[1:]
        pull_all(Path(root), kind, url, table, int(snapshot))
        sys.exit(0)
    with tempfile.TemporaryDirectory() as folder:
        done = drill(Path(folder))
    print(json.dumps(done))
    sys.exit(not done["passed"])
