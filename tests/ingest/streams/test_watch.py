"""``trunkline watch USECASE kafka://...``: topics that others write to, in several processes, killed anywhere."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from trunkline.brokers import Message
from trunkline.brokers.kafka import KafkaBroker
from trunkline.engine import open_engine
from trunkline.ingest.streams import CRASH_POINTS
from trunkline.ingest.unfolding import unfolded
from trunkline.lake import Lake
from trunkline.plugins import load_usecase
from trunkline.settings.brokers import BrokerSettings
from trunkline.settings.drills import VARIABLE
from trunkline.settings.lake import LakeSettings

Reading = Callable[[int], dict[str, object]]
ENVELOPE = {
    "messageId": 7,
    "sessionId": "s",
    "deviceId": "d",
    "payload": [
        {"name": "accelerometer", "time": 1752154349420643800 + n * 10_000_000, "values": {"x": 0.1, "y": n, "z": 1}}
        for n in range(50)
    ],
}


@pytest.mark.parametrize(
    ("value", "lines"),
    [
        (b'{"a": 1}', [{"a": 1}]),
        (b'{\n "a": 1\n}', [{"a": 1}]),
        (b'{"a": 1}\n{"a": 2}\n', [{"a": 1}, {"a": 2}]),
        (b'[{"a": 1}, {"a": 2}]', [{"a": 1}, {"a": 2}]),
        (b'{"a": 1}\nbroken\n{"a": 2}', [{"a": 1}, "broken", {"a": 2}]),
        (b"[]", ["[]"]),
        (b"\xff\x00", ["\ufffd\x00"]),
        (b"7", [7]),
        (b"\n", ["\n"]),
    ],
)
def test_every_form_of_a_value_is_lines_and_nothing_is_left_out(value: bytes, lines: list[object]) -> None:
    assert [json.loads(line) for line in unfolded(value).split(b"\n")] == lines


def test_envelopes_are_taken_apart_by_the_use_case() -> None:
    unwrap = load_usecase("sensors").envelopes["readings"]
    assert len(unfolded(json.dumps(ENVELOPE).encode(), unwrap=unwrap).split(b"\n")) == 50


class Topic:
    """A topic of three partitions that somebody else writes to."""

    def __init__(self, settings: BrokerSettings) -> None:
        self.name = "Readings"
        self._broker = KafkaBroker(settings, any_name=True)
        assert settings.url is not None
        self.url = f"{settings.url.get_secret_value()}/{settings.prefix}{self.name}"
        self.watched = f"{self.url}?session.timeout.ms=1500"  # for those that are killed

    def send(self, values: Sequence[object]) -> None:
        sent = [value if isinstance(value, bytes) else json.dumps(value).encode() for value in values]
        self._broker.publish({self.name: [Message(value, f"{n % 11}".encode()) for n, value in enumerate(sent)]})

    def close(self) -> None:
        self._broker.close()


@pytest.fixture
def topic(kafka: BrokerSettings) -> Iterator[Topic]:
    topic = Topic(kafka)
    yield topic
    topic.close()


def watching(workspace: Path, *arguments: str, crash_at: str = "") -> "subprocess.Popen[str]":
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TRUNKLINE_")}
    if crash_at:
        environment[VARIABLE] = crash_at
    command = [sys.executable, "-m", "trunkline", "watch", "sensors", *arguments, "--workspace", str(workspace)]
    return subprocess.Popen(
        command, cwd=workspace, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def drained(workspace: Path, *arguments: str) -> dict[str, Any]:
    """Take in what is there; gives the command's document."""
    process = watching(workspace, *arguments, "--once", "--json")
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    document: dict[str, Any] = json.loads(out)
    return document


def table(workspace: Path, name: str) -> list[dict[str, Any]]:
    engine = open_engine("duckdb")
    try:
        lake = Lake(workspace / "lake", engine=engine, settings=LakeSettings(), clock=lambda: datetime.now(UTC))
        rows: list[dict[str, Any]] = lake.arrow(name).to_pylist() if lake.exists(name) else []
        return rows
    finally:
        engine.close()


def balanced(workspace: Path, *, read: int, accepted: int) -> None:
    """Rows, refused rows and receipts agree with each other and with what was sent."""
    receipts = [one for one in table(workspace, "platform.receipts") if one["dataset"] == "readings"]  # and of windows
    for one in receipts:
        assert one["read"] == one["accepted"] + one["quarantined"] + one["duplicates"]
    assert sum(one["read"] for one in receipts) == read
    assert sum(one["accepted"] for one in receipts) == accepted
    rows = table(workspace, "sensors.readings")
    assert len(rows) == accepted
    assert len({(row["device_id"], row["sensor"], row["read_at"]) for row in rows}) == accepted
    assert len(table(workspace, "platform.quarantine")) == read - accepted


@pytest.mark.servers
def test_a_topic_is_drained_once_and_goes_on_where_it_was(topic: Topic, tmp_path: Path, reading: Reading) -> None:
    poison = [b"no json", b"\xff\xfe", b'{"device_id": 1', b"7", {"device_id": "d"}]
    topic.send([*map(reading, range(30)), [reading(30), reading(31)], ENVELOPE, *poison])
    first = drained(tmp_path, topic.url)
    assert sum(batch["read"] for batch in first["batches"]) == 32 + 50 + 5
    balanced(tmp_path, read=87, accepted=82)
    topic.send([*map(reading, range(40, 45))])
    (tmp_path / "trunkline.toml").write_text(
        f'[sources.phones]\nkind = "topic"\nusecase = "sensors"\nurl = "{topic.url}"\n'
    )
    again = drained(tmp_path, "phones")
    assert sum(batch["read"] for batch in again["batches"]) == 5
    balanced(tmp_path, read=92, accepted=87)
    assert drained(tmp_path, topic.url)["batches"] == []
    noted = sorted(table(tmp_path, "platform.attempts"), key=lambda row: str(row["attempted_at"]))
    assert [(one["source"], one["outcome"], one["read"]) for one in noted] == [
        ("phones", "taken", 5),
        ("phones", "taken", 0),
    ], "since it is declared"


@pytest.mark.servers
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("{url}Unknown",), "nobody wrote to this topic yet"),
        (("{hosts}",), "names no topic"),
        (("{url}", "--delete"), "a topic has no files"),
        (("{url}?acks=0",), "is no option of Kafka's client"),
    ],
)
def test_what_cannot_be_watched_is_refused(topic: Topic, tmp_path: Path, arguments: Sequence[str], said: str) -> None:
    hosts = topic.url.rpartition("/")[0]
    process = watching(tmp_path, *(one.format(url=topic.url, hosts=hosts) for one in arguments), "--once")
    _out, err = process.communicate(timeout=60)
    assert process.returncode == 2, err
    assert said in err


@pytest.mark.servers
def test_processes_share_a_topic_and_one_takes_over_from_another(
    topic: Topic, tmp_path: Path, reading: Reading
) -> None:
    topic.send([reading(0)])
    processes = [watching(tmp_path, topic.watched) for _ in range(2)]
    try:
        sent = 1
        for _ in range(4):
            topic.send([reading(number) for number in range(sent, sent + 50)])
            sent += 50
            threading.Event().wait(0.5)
        processes[0].kill()  # its partitions are given to the other one when Kafka misses it
        topic.send([reading(number) for number in range(sent, sent + 50)])
        sent += 50
        assert processes[1].stdout is not None
        assert "accepted" in processes[1].stdout.readline()
        processes[1].send_signal(signal.SIGTERM)
        _, err = processes[1].communicate(timeout=60)
        assert processes[1].returncode == 0, err
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    drained(tmp_path, topic.watched)
    balanced(tmp_path, read=sent, accepted=sent)


@pytest.mark.servers
@pytest.mark.parametrize("at", CRASH_POINTS)
def test_killed_anywhere_a_consumer_takes_the_same_chunk_again(
    topic: Topic, tmp_path: Path, reading: Reading, at: str
) -> None:
    topic.send([*map(reading, range(60)), b"poison"])
    killed = watching(
        tmp_path, topic.watched, "--once", crash_at=f"{at}:2"
    )  # in the second chunk: of another partition
    _, err = killed.communicate(timeout=120)
    assert killed.returncode == -signal.SIGKILL, err
    topic.send([*map(reading, range(60, 80)), b"more poison"])
    drained(tmp_path, topic.watched)
    balanced(tmp_path, read=82, accepted=80)


@pytest.mark.servers
def test_what_is_refused_is_told_to_the_dead_letter_topic_once_more_after_a_kill(
    topic: Topic, kafka: BrokerSettings, tmp_path: Path, reading: Reading
) -> None:
    dead = f"{kafka.prefix}dead"
    (tmp_path / "trunkline.toml").write_text(
        f'[sources.phones]\nkind = "topic"\nusecase = "sensors"\nurl = "{topic.watched}"\ndead_letters = "{dead}"\n'
    )
    poison = [b"no json", {"device_id": "d", "read_at": "yesterday"}]
    topic.send([*map(reading, range(20)), *poison])
    killed = watching(tmp_path, "phones", "--once", crash_at="stream.after_ingest:1")
    killed.communicate(timeout=120)
    assert killed.returncode == -signal.SIGKILL
    drained(tmp_path, "phones")
    broker = KafkaBroker(kafka)
    try:
        records = [
            record
            for partition in range(broker.partitions("dead"))
            for record in broker.read("dead", after=0, limit=99, partition=partition)
        ]
    finally:
        broker.close()
    letters = {record.key: json.loads(record.value) for record in records}
    refused = {row["quarantine_id"].encode(): row for row in table(tmp_path, "platform.quarantine")}
    assert letters.keys() == refused.keys()
    assert len(letters) == 2
    for key, letter in letters.items():
        assert letter["reasons"] == json.loads(refused[key]["reasons"])
        assert letter["row"] is None  # devices are persons'
        assert letter["topic"] == topic.url.rpartition("/")[2]
    assert drained(tmp_path, "phones")["batches"] == []


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ('url = "kafka://one/phones"\ndead_letters = "phones"', "name another topic"),
        ('url = "kafka://one/phones"\nreader = "spark"', 'engine.name = "spark"'),
    ],
)
def test_a_source_that_cannot_be_read_so_is_refused(tmp_path: Path, said: str, told: str) -> None:
    (tmp_path / "trunkline.toml").write_text(f'[sources.phones]\nkind = "topic"\nusecase = "sensors"\n{said}\n')
    process = watching(tmp_path, "phones", "--once")
    _, err = process.communicate(timeout=60)
    assert process.returncode == 2, err
    assert told in err
