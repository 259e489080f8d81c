"""Streams under faults: edge, consumer, broker killed, connections cut, the disk full, one of two edges gone, pressure.

Every case loads the real command in processes of its own from several clients, does its harm at full load, mends it,
and waits until the lake has settled. Then the lake's files are read with PyArrow: every reading that a client was told
of must be there once; a request that was cut may be there whole or not at all. Windows are counted anew from these
readings and compared with those that were computed while all of this happened. Clients never send a request again, so
that nothing can be made good by luck.

``make drill ONLY=streams`` prints one JSON line per case and one for all. ``streams.py CASE...`` runs some cases,
``streams.py soak --seconds 3600`` a longer soak (120 seconds by default). Cases without what they need (Kafka, root for
a small disk, HAProxy) say so and fail nothing.
"""

import argparse
import http.client
import itertools
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Self

TRUNKLINE = Path(sys.executable).parent / "trunkline"
PATH = "/v1/ingest/sensors/readings"
READINGS = 200
CLIENTS = 3
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
LONGEST_S = 90
LARGEST_LOG_MB = 8 + 64 + 120
"""What ``broker.max_mb`` of 8 allows, the longest write-ahead log, and what comes within a turn on busy cores, MiB."""
_LEAST_ROUNDS = 4
_SHORT = {
    "TRUNKLINE_LAKE__LOG_RETENTION": "PT5S",
    "TRUNKLINE_LAKE__DELETED_FILE_RETENTION": "PT0S",
    "TRUNKLINE_LAKE__VACUUM_GRACE": "PT0S",
    "TRUNKLINE_LAKE__COMPACT_AFTER_FILES": "8",
    "TRUNKLINE_BROKER__RETENTION": "PT5S",
}
"""A lake and a log that keep as little as they may: what it costs in days shows in minutes. Vacuum counts whole hours,
so there is no grace at all, and whoever reads or writes beside it has to begin again."""


def body(name: str, number: int, *, per_s: float = 5) -> bytes:
    """A request: readings of one client's device, half a second apart, all in one session.

    Args:
        name: The session; its second part is the client.
        number: Of the request among all of a case, which say when they were read: what is sent later is read later, so
            that only a request that thousands of others overtook is late for its windows.
        per_s: How many of them are read in a second.
    """
    begun = BEGIN + timedelta(seconds=number / per_s)
    lines = (
        {
            "device_id": f"device-{name.split('-')[1]}",
            "session_id": name,
            "sensor": "accelerometer",
            "read_at": (begun + timedelta(seconds=one / 2)).isoformat(),
            "x": one / 7,
            "y": number / 3,
            "z": 9.81,
        }
        for one in range(READINGS)
    )
    return b"\n".join(json.dumps(line).encode() for line in lines)


@dataclass
class Told:
    """What clients know.

    Attributes:
        kept: Sessions that were acknowledged.
        cut: Sessions of which nobody knows.
        refused: Requests that were refused for want of room.
        statuses: Answers by their status.
        wrong: What should not have happened.
        numbers: Of requests, over all clients and loads.
    """

    kept: set[str] = field(default_factory=set)
    cut: set[str] = field(default_factory=set)
    refused: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    numbers: Iterator[int] = field(default_factory=itertools.count)


class Load:
    """Clients that send until they are told to stop; a context manager.

    Args:
        port: Where to.
        told: Where they note what they know.
        life: Told apart from other loads of the case.
        pause_s: Between two requests of a client.
        rest_s: After a refusal.
    """

    def __init__(self, port: int, told: Told, *, life: str = "a", pause_s: float = 0.0, rest_s: float = 0.1) -> None:
        self._port, self._told, self._life, self._pause_s, self._rest_s = port, told, life, pause_s, rest_s
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(number,)) for number in range(CLIENTS)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _run(self, client: int) -> None:
        with ExitStack() as closing:
            self._send(client, closing)

    def _send(self, client: int, closing: ExitStack) -> None:
        connection: http.client.HTTPConnection | None = None
        while not self._stop.wait(self._pause_s):
            number = next(self._told.numbers)
            name = f"{self._life}-{client}-{number}"
            try:
                if connection is None:
                    closing.close()
                    connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=20)
                    closing.callback(connection.close)
                    connection.connect()
            except OSError:
                connection = None
                self._stop.wait(0.05)
                continue
            try:
                connection.request("POST", PATH, body(name, number), {"content-type": "application/x-ndjson"})
                answer = connection.getresponse()
                text = answer.read()
            except (OSError, http.client.HTTPException):
                self._told.cut.add(name)
                connection.close()
                connection = None
                continue
            self._told.statuses[answer.status] += 1
            if answer.status == http.HTTPStatus.OK:
                self._told.kept.add(name)
            elif answer.status in (429, 500, 502, 503, 504, 507):
                self._told.cut.add(name)  # HAProxy, too, may answer for an edge that died after it had kept it
                self._told.refused += 1
                self._stop.wait(self._rest_s)
            else:
                self._told.wrong.append(f"{name}: {answer.status} {text[:200]!r}")
                return


def free_port() -> int:
    """Find a free port on loopback."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Process:
    """A command in a process of its own, which can be killed and started again.

    Args:
        command: The command.
        log: File for what it says.
        folder: Where it runs.
        port: Where it answers, to be waited for; 0 for none.
        settings: Variables of its environment.
    """

    def __init__(
        self, command: list[str], *, log: Path, folder: Path, port: int = 0, settings: Mapping[str, str] | None = None
    ) -> None:
        self._environment = {**os.environ, **(settings or {})}
        self._command, self._log, self._folder, self._port = command, log, folder, port
        self._process: subprocess.Popen[bytes] | None = None
        self.lives = 0

    @property
    def pid(self) -> int:
        """Its id."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self.lives += 1
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(
                self._command, stdout=output, stderr=output, cwd=self._folder, env=self._environment
            )
        deadline = time.monotonic() + LONGEST_S
        while self._port:
            with suppress(OSError):
                socket.create_connection(("127.0.0.1", self._port), timeout=1).close()
                return
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{self._command[1]} did not start; see {self._log}")
            time.sleep(0.05)

    def kill(self) -> None:
        """Kill it as a power switch does."""
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def stop(self) -> None:
        """Tell it to end."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            self._process.wait(LONGEST_S)


@contextmanager
def edge(workspace: Path, *, port: int = 0, settings: Mapping[str, str] | None = None) -> Iterator[tuple[Process, int]]:
    """Serve a workspace for a ``with`` block."""
    port = port or free_port()
    command = [str(TRUNKLINE), "serve", "--workspace", str(workspace), "--port", str(port)]
    log = workspace.parent / "serve.log"
    process = Process(command, log=log, folder=workspace.parent, port=port, settings=settings)
    process.start()
    try:
        yield process, port
    finally:
        process.stop()


def stored(workspace: Path, table: str, columns: list[str]) -> list[dict[str, object]]:
    """Read a table without the lake's own reader."""
    from deltalake import DeltaTable

    folder = workspace / "lake" / "sensors" / table
    if not (folder / "_delta_log").is_dir():
        return []
    rows = DeltaTable(str(folder)).to_pyarrow_dataset().to_table(columns=columns)
    return list(rows.to_pylist())


def judged(workspace: Path, told: Told) -> dict[str, int]:
    """Compare the lake with what the clients know, and the windows with the readings."""
    readings = stored(workspace, "readings", ["device_id", "session_id", "sensor", "read_at"])
    rows = Counter((row["session_id"], row["sensor"], row["read_at"]) for row in readings)
    sessions = Counter(str(session) for session, _, _ in rows)
    lost = sum(READINGS - sessions[name] for name in told.kept)
    halves = [name for name in told.cut if sessions[name] not in (0, READINGS)]
    strangers = sessions.keys() - told.kept - told.cut
    for what, names in (("half of a request", halves), ("readings that nobody sent", strangers)):
        if names:
            told.wrong.append(f"the lake has {what}: {sorted(names)[:3]}")
    return {"lost": lost, "duplicated": rows.total() - len(rows), "rows": len(rows)}


def windows_differ(workspace: Path) -> int:
    """Count the windows of ``movement`` whose number of readings is not what the lake's readings give."""
    wanted: Counter[tuple[object, datetime]] = Counter()
    for row in stored(workspace, "readings", ["device_id", "read_at"]):
        at = row["read_at"]
        assert isinstance(at, datetime)
        wanted[row["device_id"], at.replace(microsecond=0) - timedelta(seconds=at.second % 10)] += 1
    newest: dict[tuple[object, object], tuple[datetime, object]] = {}
    for row in stored(workspace, "movement", ["device_id", "window_start_at", "readings", "_ingested_at"]):
        key = (row["device_id"], row["window_start_at"])
        at = row["_ingested_at"]
        assert isinstance(at, datetime)
        if key not in newest or at > newest[key][0]:
            newest[key] = (at, row["readings"])
    found = {key: readings for key, (_, readings) in newest.items()}
    return sum(found.get(key) != count for key, count in wanted.items()) + len(found.keys() - wanted.keys())


def settle(workspace: Path, told: Told) -> None:
    """Wait until the lake has what was acknowledged, and its windows."""
    deadline = time.monotonic() + LONGEST_S
    while time.monotonic() < deadline:
        sessions = {str(row["session_id"]) for row in stored(workspace, "readings", ["session_id"])}
        if told.kept <= sessions and windows_differ(workspace) == 0:
            return
        time.sleep(0.5)


def ended(case: str, workspace: Path, told: Told, *, faults: int, **more: object) -> dict[str, object]:
    """Judge a case and print its line."""
    found = judged(workspace, told)
    differ = windows_differ(workspace)
    if faults == 0:
        told.wrong.append("there was no fault")
    if not told.kept:
        told.wrong.append("nothing was acknowledged")
    for line in told.wrong:
        print(f"{case}: {line}", file=sys.stderr)
    result = {
        "drill": "streams",
        "case": case,
        "points": faults,
        "acknowledged": len(told.kept) * READINGS,
        "cut": len(told.cut),
        **found,
        "windows_differ": differ,
        **more,
        "passed": not (found["lost"] or found["duplicated"] or differ or told.wrong),
    }
    print(json.dumps(result), flush=True)
    return result


def skipped(case: str, why: str) -> dict[str, object]:
    """Say why a case was left out."""
    result: dict[str, object] = {"drill": "streams", "case": case, "skipped": why, "passed": True}
    print(json.dumps(result), flush=True)
    return result


def edge_killed(folder: Path, *, kills: int) -> dict[str, object]:
    """The edge, which is its own consumer, is killed at full load again and again."""
    told, workspace = Told(), folder / "edge"
    dice = random.Random(1)
    with edge(workspace) as (process, port):
        with Load(port, told):
            for _ in range(kills):
                time.sleep(1 + 2 * dice.random())
                process.kill()
                process.start()
            time.sleep(1)
        settle(workspace, told)
    return ended("edge killed", workspace, told, faults=process.lives - 1)


def connections_cut(folder: Path, *, kills: int) -> dict[str, object]:
    """What lies between clients and edge cuts connections in the middle of requests and of answers."""
    told, workspace = Told(), folder / "cut"
    with edge(workspace) as (_, port), Cutter(port, every=7) as cutter:
        with Load(cutter.port, told):
            deadline = time.monotonic() + LONGEST_S
            while cutter.cuts < 5 * kills and time.monotonic() < deadline:
                time.sleep(0.1)
        settle(workspace, told)
    return ended("connections cut", workspace, told, faults=cutter.cuts)


class Cutter:
    """Passes connections on, and cuts each after some pieces of data, in turn on the way there and back.

    Args:
        port: Where they go.
        every: After so many pieces a connection is cut.
    """

    def __init__(self, port: int, *, every: int) -> None:
        self._to, self._every = port, every
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self.cuts = 0
        self._dice = random.Random(2)
        self._passing: list[threading.Thread] = []
        self._thread = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):  # wakes the thread that waits in accept
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)
        for one in self._passing:
            one.join(5)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self._to))
            left = [self._dice.randrange(1, 6 * self._every)]
            for source, sink in ((client, server), (server, client)):
                thread = threading.Thread(target=self._pass, args=(source, sink, left), daemon=True)
                self._passing.append(thread)
                thread.start()

    def _pass(self, source: socket.socket, sink: socket.socket, left: list[int]) -> None:
        with suppress(OSError):
            while data := source.recv(4_096):
                left[0] -= 1
                if left[0] <= 0:
                    sink.sendall(data[: len(data) // 2])
                    self.cuts += 1
                    break
                sink.sendall(data)
        for one in (source, sink):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()


def disk_full(folder: Path, *, kills: int) -> dict[str, object]:
    """The disk is full; requests are refused, and taken again when there is room. Needs root."""
    case, told, place = "disk full", Told(), folder / "disk"
    place.mkdir()
    size = "size=24m"
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", place], capture_output=True, check=False)
    if mounted.returncode:
        return skipped(case, "a small disk cannot be mounted here: it needs root")
    faults = 0
    try:
        with edge(place / "workspace") as (_, port):
            for life in range(kills):
                with Load(port, told, life=f"l{life}"):
                    filler = place / "filler"
                    with suppress(OSError), filler.open("wb") as out:
                        while True:
                            out.write(b"\0" * 65_536)
                            out.flush()
                    before, deadline = told.refused, time.monotonic() + 15
                    while told.refused <= before and time.monotonic() < deadline:
                        time.sleep(0.1)
                    faults += told.refused > before
                    filler.unlink(missing_ok=True)
                    subprocess.run(["mount", "-o", f"remount,size={64 + 64 * life}m", place], check=True)
                    time.sleep(2)
            settle(place / "workspace", told)
        shutil.copytree(place / "workspace" / "lake", folder / "disk-full" / "lake")
    finally:
        subprocess.run(["umount", "-l", place], check=False)
    return ended(case, folder / "disk-full", told, faults=faults, refused=told.refused)


def one_of_two_edges(folder: Path, *, kills: int) -> dict[str, object]:
    """HAProxy shares requests between two edges of one workspace; one, then the other, is killed at full load."""
    case = "one of two edges killed behind HAProxy"
    program = shutil.which("haproxy", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        return skipped(case, "HAProxy is not installed: scripts/system.sh haproxy")
    told, workspace, front = Told(), folder / "two", free_port()
    with edge(workspace) as (first, one), edge(workspace, port=free_port()) as (second, other):
        config = folder / "haproxy.cfg"
        config.write_text(
            "defaults\n  mode http\n  timeout connect 1s\n  timeout client 20s\n  timeout server 20s\n  retries 0\n"
            f"frontend edge\n  bind 127.0.0.1:{front}\n  default_backend edges\n"
            "backend edges\n  balance roundrobin\n"
            f"  server one 127.0.0.1:{one} check inter 200ms\n  server two 127.0.0.1:{other} check inter 200ms\n"
        )
        balancer = Process([program, "-db", "-f", str(config)], log=folder / "haproxy.log", folder=folder, port=front)
        balancer.start()
        try:
            with Load(front, told):
                for number in range(kills):
                    time.sleep(2)
                    process = (first, second)[number % 2]
                    process.kill()
                    kept, deadline = len(told.kept), time.monotonic() + 15
                    while len(told.kept) < kept + 5 and time.monotonic() < deadline:
                        time.sleep(0.05)  # the other one goes on
                    if len(told.kept) < kept + 5:
                        told.wrong.append("nothing was taken in while one edge was away")
                    process.start()
                time.sleep(1)
            settle(workspace, told)
        finally:
            balancer.stop()
    return ended(case, workspace, told, faults=first.lives + second.lives - 2)


@contextmanager
def kafka(folder: Path, port: int) -> Iterator[None]:
    """Run a node of Kafka on a folder that outlives it."""
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from tests.servers import kafka_node

    jars = os.environ.get("KAFKA_CACHE") or str(Path(__file__).parents[1] / ".cache" / "kafka")
    java = shutil.which("java")
    assert java is not None
    folder.mkdir(exist_ok=True)
    with kafka_node(folder, jars=jars, java=java, port=port, controller=free_port()):
        yield


def broker_and_consumer_killed(folder: Path, *, kills: int) -> dict[str, object]:  # noqa: PLR0915 - one story
    """Kafka and the process that takes its topic in are killed while a producer sends."""
    case = "Kafka and consumers killed"
    script = Path(__file__).parents[1] / "scripts" / "kafka.sh"
    if shutil.which("java") is None or subprocess.run([script], capture_output=True, check=False).returncode:
        return skipped(case, "no Kafka: scripts/kafka.sh fetches it, with Java")
    from confluent_kafka import Producer
    from confluent_kafka.admin import AdminClient
    from confluent_kafka.cimpl import NewTopic

    told, workspace, port = Told(), folder / "kafka-workspace", free_port()
    address = f"127.0.0.1:{port}"
    stop = threading.Event()

    def produce() -> None:
        producer = Producer({"bootstrap.servers": address, "enable.idempotence": True, "log_level": 0})
        number = 0
        while not stop.wait(0.02):
            number += 1
            name = f"k-0-{number}"
            told.cut.add(name)

            def kept(error: object, _message: object, name: str = name) -> None:
                if error is None:
                    told.cut.discard(name)
                    told.kept.add(name)

            # no faster than the clock: a partition whose member was killed waits for a whole session of the group
            reading = body(name, number, per_s=50)
            producer.produce("phones", reading, partition=number % 2, on_delivery=kept)
            producer.poll(0)
        producer.flush(LONGEST_S)

    consumers = [
        Process(
            [str(TRUNKLINE), "watch", "sensors", f"kafka://{address}/phones", "--workspace", str(workspace)],
            log=folder / "watch.log",
            folder=folder,
        )
        for _ in range(2)
    ]
    sender = threading.Thread(target=produce)
    faults = 0
    with ExitStack() as nodes:
        node = nodes.enter_context(ExitStack())
        node.enter_context(kafka(folder / "kafka", port))
        admin = AdminClient({"bootstrap.servers": address, "log_level": 0})
        admin.create_topics([NewTopic("phones", 2, 1)])["phones"].result(30)
        sender.start()
        try:
            for consumer in consumers:
                consumer.start()
            for number in range(kills):
                time.sleep(5)
                consumers[number % 2].kill()
                consumers[number % 2].start()
                faults += 1
            node.close()  # it ends its node by SIGKILL
            faults += 1
            time.sleep(1)
            node.enter_context(kafka(folder / "kafka", port))
            for consumer in consumers:
                if consumer._process is None or consumer._process.poll() is not None:  # noqa: SLF001 - it may have given up
                    consumer.start()
            time.sleep(3)
        finally:
            stop.set()
            sender.join()
        settle(workspace, told)
        for consumer in consumers:
            consumer.stop()
    return ended(case, workspace, told, faults=faults)


def used_files(workspace: Path) -> int:
    """Count the data files of the newest versions of all tables, and the files of their logs."""
    from deltalake import DeltaTable

    logs = list((workspace / "lake").rglob("_delta_log"))
    data = sum(len(DeltaTable(str(log.parent)).file_uris()) for log in logs)
    return data + sum(1 for log in logs for path in log.iterdir() if path.is_file())


def growth(values: Sequence[float]) -> float:
    """By how much values grew from the first to the last: the slope of Theil and Sen, which single values cannot bend.

    >>> growth([5, 1, 2, 3, 4, 90]), growth([7, 7])
    (5.0, 0.0)
    """
    pairs = itertools.combinations(enumerate(values), 2)
    slopes = [(later - earlier) / (end - begin) for (begin, earlier), (end, later) in pairs]
    return round(median(slopes) * (len(values) - 1), 3) if slopes else 0.0


def refuse_growth(told: Told, what: str, values: Sequence[float], *, share: float, room: float) -> float:
    """Note that something grows: over its later three quarters by more than a share of its median and some room.

    Args:
        told: Where it is noted.
        what: What it is.
        values: At even distances, the start included.
        share: Of the median.
        room: In units of the values.

    Returns:
        By how much it grew.
    """
    steady = values[len(values) // 4 :]
    grown = growth(steady)
    if grown > share * median(steady) + room:
        told.wrong.append(f"{what} grows by {grown:.1f}: {[round(one) for one in values]}")
    return grown


def rss_mb(process: Process) -> float:
    """Memory of a process that is not elsewhere, MiB."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return next(int(line.split()[1]) / 1024 for line in status.splitlines() if "VmRSS" in line)


def log_mb(workspace: Path) -> float:
    """Bytes of the durable log on the disk, its write-ahead log included, MiB."""
    return sum(path.stat().st_size for path in (workspace / "log").glob("log.db*")) / (1 << 20)


def pressed(folder: Path, *, seconds: float) -> dict[str, object]:
    """Clients send as fast as they may, and the consumer goes on: the log stays small, and others get their turn."""
    told, workspace = Told(), folder / "pressed"
    sizes: list[float] = []
    beside = json.dumps({"device_id": "d", "valid_from_at": BEGIN.isoformat(), "kind": "router"})
    with edge(workspace, settings={"TRUNKLINE_BROKER__MAX_MB": "8"}) as (process, port):
        with Load(port, told):
            begun = time.monotonic()
            while time.monotonic() < begun + seconds / 2:
                time.sleep(seconds / 40)
                sizes.append(log_mb(workspace))
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
            connection.request("POST", "/v1/ingest/sensors/devices", beside, {"content-type": "application/json"})
            taken = connection.getresponse().status == http.HTTPStatus.OK
            connection.close()
            while time.monotonic() < begun + seconds:
                time.sleep(seconds / 40)
                sizes.append(log_mb(workspace))
            is_there = bool(stored(workspace, "devices", ["device_id"]))
        if not taken or not is_there:
            told.wrong.append("a row of another dataset waited for the end of the load")
        settle(workspace, told)
        process.stop()
    if max(sizes) > LARGEST_LOG_MB:
        told.wrong.append(f"the log grew to {max(sizes):.0f} MiB")
    shown = {"refused": told.refused, "log_mb": [round(one) for one in sizes]}
    return ended("pressed", workspace, told, faults=1, **shown)


def overloaded(folder: Path, *, seconds: float) -> dict[str, object]:
    """The consumer hangs and clients do not rest: the log is full, they are refused, and memory must not grow."""
    from trunkline.lake import held

    told, workspace = Told(), folder / "overloaded"
    memory: list[float] = []
    with ExitStack() as hanging:
        hanging.enter_context(held(workspace / "locks" / "flusher.lock", what="a consumer that hangs"))
        with edge(workspace, settings={"TRUNKLINE_BROKER__MAX_MB": "8"}) as (process, port):
            with Load(port, told, rest_s=0.0):
                deadline = time.monotonic() + LONGEST_S
                while not told.refused and time.monotonic() < deadline:
                    time.sleep(0.05)
                begun = time.monotonic()
                while time.monotonic() < begun + seconds:
                    time.sleep(seconds / 40)
                    memory.append(rss_mb(process))
            refused = told.statuses[429]
            hanging.close()  # it goes on: another process may be the consumer
            settle(workspace, told)
    if refused < seconds:
        told.wrong.append(f"only {refused} requests were refused by 429, of {dict(told.statuses)}")
    grown = refuse_growth(told, "memory (MiB)", memory, share=0.05, room=10)
    shown = {"refused": refused, "memory_mb": [round(one) for one in memory], "memory_growth_mb": round(grown, 1)}
    return ended("overloaded", workspace, told, faults=1, **shown)


def soak(folder: Path, *, seconds: float) -> dict[str, object]:
    """A steady load for a while, with maintenance: memory and the number of files must not grow."""
    told, workspace = Told(), folder / "soak"
    memory: list[float] = []
    files: list[int] = []
    kept: list[int] = []
    logs: list[float] = []
    with edge(workspace, settings=_SHORT) as (process, port):
        with Load(port, told, pause_s=0.2):
            begun = time.monotonic()
            while time.monotonic() < begun + seconds or len(memory) < _LEAST_ROUNDS:
                time.sleep(seconds / 30)
                command = [str(TRUNKLINE), "maintain", "--workspace", str(workspace)]
                subprocess.run(command, check=True, capture_output=True, env={**os.environ, **_SHORT})
                memory.append(rss_mb(process))
                files.append(used_files(workspace))
                kept.append(sum(1 for _ in (workspace / "lake").rglob("*.parquet")))
                logs.append(log_mb(workspace))
        settle(workspace, told)
    grown = {
        "memory_growth_mb": refuse_growth(told, "memory (MiB)", memory, share=0.1, room=20),
        "files_growth": refuse_growth(told, "number of files", files, share=0.2, room=20),
        "superseded_growth": refuse_growth(told, "number of files with superseded ones", kept, share=0.2, room=20),
        "log_growth_mb": refuse_growth(told, "the durable log (MiB)", logs, share=0.2, room=10),
    }
    sizes = {"memory_mb": [round(one) for one in memory], "log_mb": [round(one) for one in logs]}
    shown = {**sizes, "files": files, "with_superseded": kept}
    return ended("soak", workspace, told, faults=1, **shown, **grown)


def drill(folder: Path, *, cases: list[str], kills: int, seconds: float) -> bool:
    """Run cases; says whether all passed."""
    known: dict[str, Callable[[], dict[str, object]]] = {
        "edge": lambda: edge_killed(folder, kills=kills),
        "cut": lambda: connections_cut(folder, kills=kills),
        "disk": lambda: disk_full(folder, kills=min(2, kills)),
        "two": lambda: one_of_two_edges(folder, kills=kills),
        "kafka": lambda: broker_and_consumer_killed(folder, kills=kills),
        "pressed": lambda: pressed(folder, seconds=min(30.0, seconds)),
        "overload": lambda: overloaded(folder, seconds=min(30.0, seconds)),
        "soak": lambda: soak(folder, seconds=seconds),
    }
    results = [known[case]() for case in cases or known]
    summed = {
        name: sum(int(str(result.get(name, 0))) for result in results)
        for name in ("points", "acknowledged", "lost", "duplicated")
    }
    passed = all(result["passed"] for result in results)
    left_out = [result["case"] for result in results if "skipped" in result]
    print(json.dumps({"drill": "streams", **summed, "skipped": left_out, "passed": passed}), flush=True)
    return passed


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", nargs="*", help="edge, cut, disk, two, kafka, pressed, overload, soak; all by default")
    parser.add_argument("--kills", type=int, default=3, help="faults of a case")
    parser.add_argument("--seconds", type=float, default=120.0, help="length of the soak")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="trunkline-drill-") as scratch:
        sys.exit(not drill(Path(scratch), cases=given.cases, kills=given.kills, seconds=given.seconds))
