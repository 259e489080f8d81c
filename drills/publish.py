"""Kill -9 of MariaDB, and of the process that publishes to it, at every point that publishing names; and a full disk.

A MariaDB of its own runs in a folder of its own. In each round a lake gains rows, and a publisher brings them: by key,
added, replaced as a whole, by day with a view, and summed up. At one named point the server is killed as by a power
switch, or the publisher is. After a restart and one more publish every table must equal a plain count in Python, row by
row. Meanwhile a reader asks again and again for the table that is replaced: it may see the rows of before or those of
after, all of them, and nothing else. Prints one JSON line.
"""

import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import pymysql
from pydantic import SecretStr

import trunkline.publish.delivering
import trunkline.publish.sql.inserting
import trunkline.publish.sql.sink
from trunkline.contracts import Contract, Day, Integer, Table, Text, field
from trunkline.engine import open_engine
from trunkline.ingest import Target, ingest_file
from trunkline.lake import Lake
from trunkline.publish import Outbox, Publisher
from trunkline.publish.delivering import CRASH_POINTS as DELIVERING
from trunkline.publish.sql import CRASH_POINTS as WRITING
from trunkline.settings.drills import VARIABLE
from trunkline.settings.lake import LakeSettings
from trunkline.settings.publish import PublishSettings, SinkSettings
from trunkline.spec import Publication, UseCase

if TYPE_CHECKING:
    import ibis.expr.types as ir

FIRST_ROWS = 1_500
MORE_ROWS = 300
CHUNK_ROWS = 200
CALLERS = 250
FIRST_DAY = date(2026, 1, 1)
VISITS = {"publish.sql.half": ("", ":5"), "publish.sql.begun": ("", ":3"), "publish.sql.before_commit": ("", ":2")}
POINTS = tuple(f"{name}{visit}" for name in (*DELIVERING, *WRITING) for visit in VISITS.get(name, ("",)))
DISK_MB = 160
TABLES = ("log", "newest", "everything", "callers", "today_20260101", "latest_calls")

Row = tuple[str, str, int, str]


class Call(Contract):
    """One row per call."""

    table: ClassVar[Table] = Table(key=("call_id",))

    call_id: Text = field(max_length=20)
    caller: Text = field(max_length=20)
    seconds: Integer = field(unit="s", minimum=0)
    called_on: Day = field()


class Caller(Contract):
    """One row per caller."""

    table: ClassVar[Table] = Table(key=("caller",))

    caller: Text = field(max_length=20)
    seconds: Integer = field(unit="s")


def callers(tables: "Mapping[str, ir.Table]") -> "ir.Table":
    """Add up the seconds of each caller."""
    calls = tables["calls"]
    return calls.group_by("caller").aggregate(seconds=calls.seconds.sum())


USECASE = UseCase(
    name="calls",
    title="Calls",
    question="Who calls?",
    datasets={"calls": Call},
    main="calls",
    task=None,
    metric="",
    publish=(
        Publication(name="newest", table="calls", mode="upsert"),
        Publication(name="log", table="calls", mode="append"),
        Publication(name="everything", table="calls"),
        Publication(name="callers", contract=Caller, rows=callers, inputs=("calls",)),
        Publication(name="today", table="calls", mode="dated", dated_by="called_on", view="latest_calls"),
    ),
)


class Server:
    """A MariaDB that can be killed and started again."""

    def __init__(self, folder: Path) -> None:
        """Make its folders; root lends it a user without rights."""
        self.folder, self.data, self.port = folder, folder / "data", _free_port()
        self.user: int | None = None
        if os.geteuid() == 0:
            entry = pwd.getpwnam("mysql")
            self.user = entry.pw_uid
            os.chown(folder, entry.pw_uid, entry.pw_gid)
        program = shutil.which("mariadbd") or "/usr/sbin/mariadbd"
        self.start_with = [
            program,
            "--no-defaults",
            f"--datadir={self.data}",
            "--bind-address=127.0.0.1",
            f"--port={self.port}",
            f"--socket={folder / 'socket'}",
            f"--pid-file={folder / 'pid'}",
            "--skip-name-resolve",
            "--innodb-buffer-pool-size=32M",
            "--innodb-log-file-size=8M",
            "--character-set-server=utf8mb4",
        ]
        made = ["mariadb-install-db", "--no-defaults", f"--datadir={self.data}", "--innodb-log-file-size=8M"]
        made += ["--auth-root-authentication-method=normal", "--skip-test-db"]
        subprocess.run(made, check=True, user=self.user, extra_groups=self._groups, cwd=folder, capture_output=True)
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def _groups(self) -> list[int] | None:
        return None if self.user is None else []

    @property
    def url(self) -> str:
        """Where it is."""
        return f"mariadb://root@127.0.0.1:{self.port}/published"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                self.start_with,
                cwd=self.folder,
                user=self.user,
                extra_groups=self._groups,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        until = time.monotonic() + 60
        while True:
            try:
                connection = pymysql.connect(host="127.0.0.1", port=self.port, user="root")
            except pymysql.Error:
                if time.monotonic() > until or self.process.poll() is not None:
                    raise
                threading.Event().wait(0.05)
            else:
                with connection, connection.cursor() as cursor:
                    cursor.execute("CREATE DATABASE IF NOT EXISTS published")
                return

    def kill(self) -> None:
        """Kill it as a power switch does."""
        assert self.process is not None, "it runs"
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def is_running(self) -> bool:
        """Whether it runs."""
        return self.process is not None and self.process.poll() is None

    def rows(self, table: str) -> list[Row]:
        """Read a table."""
        with (
            pymysql.connect(host="127.0.0.1", port=self.port, user="root", database="published") as connection,
            connection.cursor() as cursor,
        ):
            cursor.execute(f"SELECT * FROM {table}")
            return [tuple(str(v) if isinstance(v, date) else v for v in row) for row in cursor.fetchall()]  # type: ignore[misc]  # rows of the table


class Reader(threading.Thread):
    """Asks for the table that is replaced, for as long as the drill goes on."""

    def __init__(self, server: Server) -> None:
        """Begin with no size known to be whole."""
        super().__init__(daemon=True)
        self.server = server
        self.whole: set[int] = set()
        self.looks = 0
        self.torn: list[int | str] = []
        self.ended = threading.Event()

    def run(self) -> None:
        """Look, until it is ended; a server that is down is no torn table."""
        while not self.ended.wait(0.002):
            try:
                found = len(self.server.rows("everything"))
            except pymysql.err.ProgrammingError as error:
                if error.args[0] == 1146:
                    self.torn.append("absent")
                continue
            except (pymysql.Error, OSError):
                continue
            self.looks += 1
            if found not in self.whole:
                self.torn.append(found)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def made_rows(round_: int) -> list[Row]:
    """Rows of a round: new calls, and some that are told again with other seconds."""
    count = FIRST_ROWS if round_ == 0 else MORE_ROWS
    first = 0 if round_ == 0 else FIRST_ROWS + (round_ - 1) * MORE_ROWS // 2
    return [
        (
            f"k{first + place if place % 2 == 0 or round_ == 0 else place}",
            f"c{(first + place * 7) % CALLERS}",
            (round_ * 31 + place) % 600,
            str(FIRST_DAY + timedelta(days=place % 2)),
        )
        for place in range(count)
    ]


def reference(rounds: int) -> dict[str, Counter[tuple[object, ...]]]:
    """What each table has to hold after some rounds, counted by hand."""
    log: Counter[tuple[object, ...]] = Counter()
    newest: dict[str, Row] = {}
    for round_ in range(rounds):
        once = {row[0]: row for row in made_rows(round_)}  # a batch keeps the last row of a key
        log.update(once.values())
        newest.update(once)
    summed: Counter[str] = Counter()
    for row in newest.values():
        summed[row[1]] += row[2]
    days = {str(FIRST_DAY + timedelta(days=day)): day for day in range(2)}
    dated: list[dict[str, Row]] = [{}, {}]
    for round_ in range(rounds):
        for row in {row[0]: row for row in made_rows(round_)}.values():
            dated[days[row[3]]][row[0]] = row
    return {
        "log": log,
        "newest": Counter(newest.values()),
        "everything": Counter(newest.values()),
        "callers": Counter(summed.items()),
        "today_20260101": Counter(dated[0].values()),
        "latest_calls": Counter(dated[1].values()),
    }


def take(root: Path, round_: int) -> None:
    """Take the rows of a round into the lake."""
    file = root / f"calls-{round_}.csv"
    lines = ["call_id,caller,seconds,called_on", *(",".join(map(str, row)) for row in made_rows(round_))]
    file.write_text("\n".join(lines) + "\n")
    with open_engine("duckdb", threads=1) as engine:
        ingest_file(
            file, Target("calls", "calls", Call), lake=open_lake(root, engine), run_id=f"run-{round_}", clock=now
        )


def now() -> datetime:
    """The clock."""
    return datetime.now(UTC)


def open_lake(root: Path, engine: object) -> Lake:
    """Open the lake as a command would."""
    return Lake(root / "lake", engine=engine, settings=LakeSettings(), clock=now)  # type: ignore[arg-type]  # an Engine


def publish(root: Path, url: str) -> tuple[str, ...]:
    """Publish once, as a command would; gives the states."""
    settings = PublishSettings(
        sinks={"drill": SinkSettings(url=SecretStr(url))}, attempts=2, wait_s=0.01, timeout_s=5, chunk_rows=CHUNK_ROWS
    )
    with open_engine("duckdb", threads=1) as engine:
        publisher = Publisher(
            lake=open_lake(root, engine), outbox=Outbox(root / "outbox.db"), settings=settings, clock=now
        )
        return tuple(one.state for one in publisher.publish(USECASE, run_id="run"))


def killing(server: Server, target: str) -> Callable[[str], None]:
    """Give what stands for ``point``: kills the server at one of them, once."""
    name, _, visit = target.partition(":")
    visits = 0

    def at(point: str) -> None:
        nonlocal visits
        visits += point == name
        if point == name and visits == int(visit or 1):
            server.kill()

    return at


def compared(server: Server, rounds: int) -> tuple[int, int]:
    """Compare all tables with the reference; gives rows lost and rows that are there twice or too much."""
    lost = more = 0
    for table, wanted in reference(rounds).items():
        there: Counter[tuple[object, ...]] = Counter(server.rows(table))
        lost += (wanted - there).total()
        more += (there - wanted).total()
    return lost, more


class Rounds:
    """The rounds of the drill, one after the other over the same lake and server."""

    def __init__(self, root: Path, server: Server) -> None:
        """Publish plainly once, and let the reader begin."""
        self.root, self.server = root, server
        self.reader = Reader(server)
        self.count = self.points = self.lost = self.more = 0
        server.start()
        self.gain()
        assert set(publish(root, server.url)) == {"delivered"}, "the first publish is plain"
        self.compare("the first publish")
        self.reader.start()

    def gain(self) -> None:
        """Take the rows of another round into the lake."""
        take(self.root, self.count)
        self.count += 1
        self.reader.whole |= {reference(self.count)["everything"].total()}

    def compare(self, after: str) -> None:
        """Compare all tables with the reference."""
        lost, more = compared(self.server, self.count)
        if lost or more:
            print(f"{after}: {lost} lost, {more} too many", file=sys.stderr)
        self.lost, self.more = self.lost + lost, self.more + more

    def recover(self, after: str) -> None:
        """Publish once more: nothing is owed then, and everything is there."""
        self.points += 1
        if not self.server.is_running():
            self.server.start()
        again = publish(self.root, self.server.url)
        assert set(again) <= {"delivered", "unchanged"}, f"after {after}: {again}"
        self.compare(after)

    def kill_server(self, target: str) -> None:
        """Publish, and kill the server at a point."""
        self.gain()
        modules = (trunkline.publish.delivering, trunkline.publish.sql.inserting, trunkline.publish.sql.sink)
        originals = [module.point for module in modules]
        killer = killing(self.server, target)
        for module in modules:
            module.point = killer  # type: ignore[attr-defined]  # what a drill may do
        try:
            publish(self.root, self.server.url)
        finally:
            for module, point in zip(modules, originals, strict=True):
                module.point = point  # type: ignore[attr-defined]  # as above
        assert not self.server.is_running(), f"the server was not killed at {target}"
        self.recover(f"the server was killed at {target}")

    def kill_publisher(self, target: str) -> None:
        """Publish in a process of its own that dies at a point."""
        self.gain()
        assert in_child(self.root, self.server.url, target) == -signal.SIGKILL, f"nobody was killed at {target}"
        self.recover(f"the publisher was killed at {target}")

    def fill_disk(self) -> None:
        """Fill the server's disk, publish, make room."""
        self.gain()
        ballast = self.server.folder / "ballast"
        with ballast.open("wb", buffering=0) as stream, suppress(OSError):
            while True:
                stream.write(bytes(1 << 14))
        states = publish(self.root, self.server.url)
        assert "owed" in states, f"a full disk owes: {states}"
        ballast.unlink()
        if self.server.is_running():  # InnoDB may be about to abort, having no room for its log
            self.server.kill()
        self.recover("the disk was full")


def main() -> int:
    """Run all rounds; gives the exit code."""
    folder = Path(tempfile.mkdtemp(prefix="trunkline-drill-"))
    disk = _small_disk(folder)
    root = Path(tempfile.mkdtemp(prefix="trunkline-drill-lake-"))
    server = Server(folder)
    try:
        rounds = Rounds(root, server)
        for target in POINTS:
            rounds.kill_server(target)
            rounds.kill_publisher(target)
        if disk:
            rounds.fill_disk()
        rounds.reader.ended.set()
        rounds.reader.join()
    finally:
        if server.is_running():
            server.kill()
        if disk:
            subprocess.run(["umount", folder], check=True)
        shutil.rmtree(folder, ignore_errors=True)
        shutil.rmtree(root, ignore_errors=True)
    reader = rounds.reader
    passed = not (rounds.lost or rounds.more or reader.torn) and reader.looks > 100
    document = {"drill": "publish", "points": rounds.points, "lost": rounds.lost, "duplicated": rounds.more}
    document |= {"torn": len(reader.torn), "looks": reader.looks, "full_disk": disk, "passed": passed}
    print(json.dumps(document))
    if reader.torn:
        print(f"the reader saw {reader.torn[:10]}", file=sys.stderr)
    return 0 if passed else 1


def _small_disk(folder: Path) -> bool:
    """Put a small disk below a folder; False where only root may."""
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m", "tmpfs", folder], capture_output=True, check=False
    )
    return done.returncode == 0


def in_child(root: Path, url: str, crash_at: str) -> int:
    """Publish in a process of its own that dies at a point; gives its return code."""
    environment = {**os.environ, VARIABLE: crash_at}
    return subprocess.run([sys.executable, __file__, str(root), url], env=environment, check=False).returncode


if __name__ == "__main__":
    if len(sys.argv) == 3:
        publish(Path(sys.argv[1]), sys.argv[2])
        sys.exit(0)
    sys.exit(main())
