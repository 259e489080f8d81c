"""Senders that never stop: each turn of the flusher ends, every topic gets its turn, and the log stays bounded."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest

from trunkline.brokers import EmbeddedLog, Message, Trimmed
from trunkline.engine import open_engine
from trunkline.ingest import Target
from trunkline.ingest.streams import TopicIntake, TopicIntakes
from trunkline.lake import Lake
from trunkline.plugins import load_usecase
from trunkline.serve.flusher import Flusher
from trunkline.settings.brokers import BrokerSettings
from trunkline.settings.lake import LakeSettings

MOST_CHUNKS = 9
"""Beyond them a turn does not end."""


def now() -> datetime:
    return datetime.now(UTC)


def reading(number: int) -> Message:
    row = {"device_id": "d", "session_id": "s", "sensor": "battery", "read_at": f"2026-01-01T00:00:{number:02d}Z"}
    return Message(json.dumps(row).encode())


class Pressed(EmbeddedLog):
    """A log to which more comes whenever a chunk was taken from it."""

    pressed: tuple[str, ...] = ()
    added = 0
    bounded = 0

    def commit(self, topic: str, *, group: str, offset: int, partition: int = 0) -> None:
        super().commit(topic, group=group, offset=offset, partition=partition)
        if topic in self.pressed and offset and group == "lake":
            self.added += 1
            assert self.added < MOST_CHUNKS, "what comes meanwhile is chased"
            self.publish({topic: [reading(self.added + 10)]})

    def trim(self, *, now: datetime) -> Trimmed:
        self.bounded += 1
        return super().trim(now=now)


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Pressed]:
    log = Pressed(tmp_path / "log.db", settings=BrokerSettings(), clock=now)
    yield log
    log.close()


def intake(log: EmbeddedLog, topic: str) -> TopicIntake:
    target = Target("sensors", "readings", load_usecase("sensors").contract)
    return TopicIntake(log, target, clock=now, topic=topic)


def open_lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake", engine=open_engine("duckdb", threads=1), settings=LakeSettings(), clock=now)


def test_what_comes_meanwhile_is_left_to_the_next_call(log: Pressed, tmp_path: Path) -> None:
    log.pressed = ("phones",)
    lake = open_lake(tmp_path)
    taking = intake(log, "phones")
    log.publish({"phones": [reading(1), reading(2)]})
    assert [one.receipt.read for one in taking.drain(lake)] == [2]
    assert [one.receipt.read for one in taking.drain(lake)] == [1]
    assert taking.waiting == 1
    lake.engine.close()


def test_a_topic_that_never_ends_holds_up_no_other(log: Pressed, tmp_path: Path) -> None:
    log.pressed = ("phones", "outcomes")
    log.publish({"phones": [reading(1)], "sites": [reading(2)]})
    topics = ("phones", "sites")
    intakes = [TopicIntakes(log, topic, partial(lambda topic, _: intake(log, topic), topic)) for topic in topics]
    lake = open_lake(tmp_path)
    flusher = Flusher(log, lake=lambda: lake, lock=tmp_path / "lock", every_s=1, clock=now, intakes=intakes)
    assert flusher.flush() == 2
    assert log.bounded, "the log is bounded between two rounds of chunks"
    assert (intake(log, "sites").waiting, intake(log, "phones").waiting) == (0, 1)
    assert lake.arrow("sensors.readings").num_rows == 2
    flusher.stop()
    lake.engine.close()
