"""Kill -9 of a producer at every point of the durable log, and at moments of chance under full load.

A child process appends numbered records from many tasks at once and writes the number of each acknowledged one to a
pipe. The parent kills it (at a named point, or from outside after some acknowledgements), then reads the file with
plain
SQLite: every acknowledged record must be there, once, in its producer's order, offsets without a gap; the file must
pass SQLite's own integrity check; and a new process must be able to go on. Prints one JSON line.
"""

import asyncio
import json
import os
import random
import signal
import sqlite3
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from trunkline.brokers import EmbeddedLog, GroupCommit, Message
from trunkline.settings.brokers import BrokerSettings
from trunkline.settings.drills import VARIABLE

PRODUCERS = 8
POINTS = (
    "log.before_commit",
    "log.before_commit:17",
    "log.after_commit",
    "log.after_commit:17",
    "log.before_group_commit:2",
    "log.after_group_commit:2",
    "log.before_trim:2",
    "log.after_trim:2",
    "log.before_checkpoint:2",
    "log.after_checkpoint:2",
)
CHANCES = 6


def produce(path: Path, pipe: int, *, synchronous: str, crash_at: str) -> None:
    """Append for ever, telling the pipe of each acknowledged record; ends by being killed."""
    os.environ[VARIABLE] = crash_at
    settings = BrokerSettings.model_validate({"synchronous": synchronous, "retention": 0})
    log = EmbeddedLog(path, settings=settings, clock=lambda: datetime.now(UTC))

    async def producer(group: GroupCommit, name: int) -> None:
        number = 0
        while True:
            number += 1
            text = f"{os.getpid()} {name} {number}"
            await group.append("a", [Message(text.encode() + b" " + b"x" * 500)])
            os.write(pipe, text.encode() + b"\n")
            await asyncio.sleep(0)

    async def upkeep() -> None:
        while True:
            await asyncio.sleep(0.002)
            log.commit("b", group="g", offset=log.publish({"b": [Message(b"y")] * 10})["b"])
            log.trim(now=datetime.now(UTC))
            log.checkpoint()

    async def everybody() -> None:
        group = GroupCommit(log, max_waiting=1000)
        await asyncio.gather(upkeep(), *(producer(group, name) for name in range(PRODUCERS)))

    log.commit("a", group="nobody", offset=0)  # holds retention off: nothing of this topic was consumed
    asyncio.run(everybody())


def scene(path: Path, *, synchronous: str, crash_at: str, kill_after: int) -> list[str]:
    """Run one producer until it dies; gives what it acknowledged."""
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read_end)
        try:
            produce(path, write_end, synchronous=synchronous, crash_at=crash_at)
        except BaseException as error:  # noqa: BLE001 - the child may only end here, whatever happened
            print(f"{crash_at}: {error!r}", file=sys.stderr, flush=True)
        os._exit(1)
    os.close(write_end)
    acknowledged = b""
    while part := os.read(read_end, 1 << 16):
        acknowledged += part
        if kill_after and acknowledged.count(b"\n") >= kill_after:
            kill_after = 0
            os.kill(child, signal.SIGKILL)
    os.close(read_end)
    status = os.waitpid(child, 0)[1]
    assert os.WIFSIGNALED(status), f"the producer was not killed at {crash_at!r}"
    return acknowledged.decode().splitlines()


def judge(path: Path, acknowledged: list[str]) -> tuple[int, int]:
    """Count lost and doubled records, by reading the file with plain SQLite."""
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    rows = connection.execute('SELECT "offset", value FROM "topic:a" ORDER BY "offset"').fetchall()
    connection.close()
    assert [row[0] for row in rows] == list(range(1, len(rows) + 1)), "offsets have a gap"
    stored = [b" ".join(row[1].split(b" ")[:3]).decode() for row in rows]
    assert all(len(row[1].split(b" ")[3]) == 500 for row in rows), "a record is cut"
    producers = {text.rsplit(" ", 1)[0] for text in stored}
    for name in producers:
        numbers = [int(text.rsplit(" ", 1)[1]) for text in stored if text.rsplit(" ", 1)[0] == name]
        assert numbers == list(range(1, len(numbers) + 1)), "a producer's records are out of order"
    return len(set(acknowledged) - set(stored)), len(stored) - len(set(stored))


def drill(root: Path) -> dict[str, object]:
    """Kill at every point in both kinds of durability, then at moments of chance on one log that grows."""
    points, lost, doubled, total = 0, 0, 0, 0
    for synchronous in ("NORMAL", "FULL"):
        for point in POINTS:
            path = root / synchronous / point / "log.db"
            acknowledged = scene(path, synchronous=synchronous, crash_at=point, kill_after=0)
            acknowledged += scene(path, synchronous=synchronous, crash_at="", kill_after=50)
            missing, twice = judge(path, acknowledged)
            points, lost, doubled, total = points + 1, lost + missing, doubled + twice, total + len(acknowledged)
    chance = random.Random(0)
    everything: list[str] = []
    for _ in range(CHANCES):
        kill_after = chance.randint(1, 400)
        everything += scene(root / "log.db", synchronous="NORMAL", crash_at="", kill_after=kill_after)
        missing, twice = judge(root / "log.db", everything)
        points, lost, doubled = points + 1, lost + missing, doubled + twice
    return {
        "drill": "log_durability",
        "points": points,
        "acknowledged": total + len(everything),
        "lost": lost,
        "duplicated": doubled,
    }


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        result = drill(Path(scratch))
    result["passed"] = not result["lost"] and not result["duplicated"]
    print(json.dumps(result))
    sys.exit(not result["passed"])
