"""What of Kafka can be proved where no broker can be had: against librdkafka's own mock cluster, in this process.

The mock stores and gives records, keeps the places of groups and shares partitions; it describes no topics, makes none
by itself but for producers, and has no id. So topics are asked for by plain metadata here, and what needs more is
skipped and says so. The whole suite runs against a node of Kafka in ``test_suite.py``.
"""

import time
import uuid
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, Final

import pytest

pytest.importorskip("confluent_kafka", reason="the extra kafka is not installed")

from trunkline.brokers import Broker
from trunkline.brokers.kafka import KafkaBroker, KafkaMembership
from trunkline.brokers.kafka.client import library
from trunkline.settings.brokers import BrokerSettings
from trunkline.testing import BROKER_CHECKS, BrokerCheck

BEYOND: Final = {
    "names_a_partition_for_as_long_as_its_offsets_count": "the mock cluster gives topics no ids and removes none",
    "never_uses_an_offset_again": "the mock cluster gives topics no ids",
}
"""Checks that the mock cluster cannot be asked, and why."""


@pytest.fixture(scope="module")
def mock_servers() -> Iterator[str]:
    """Hosts of a mock cluster of three brokers, which lives as long as the client that made it."""
    made = library().Producer({"bootstrap.servers": "127.0.0.1:1", "test.mock.num.brokers": 3, "log_level": 0})
    yield ",".join(f"{one.host}:{one.port}" for one in made.list_topics(timeout=20).brokers.values())
    made.flush(5)


class ByMetadata(KafkaBroker):
    """The real broker, but for how it asks about topics: what is stored, read and noted goes its way."""

    def _described(self, topic: str) -> Any | None:  # noqa: ANN401 - as of the class
        name = self._name(topic)
        found = self._admin.list_topics(timeout=20).topics.get(name)
        return None if found is None else SimpleNamespace(partitions=found.partitions)

    def _make(self, topic: str) -> None:
        producer = library().Producer({**self._options, "bootstrap.servers": self._hosts})
        until = time.monotonic() + 20
        while not self._look_for(topic):  # a producer that asks for a topic makes it
            producer.list_topics(self._name(topic), timeout=20)
            assert time.monotonic() < until


class MockStage:
    """Topics that belong to one test: their names begin with its own prefix."""

    def __init__(self, servers: str) -> None:
        prefix = f"t{uuid.uuid4().hex[:12]}."
        self._settings = BrokerSettings.model_validate(
            {"url": f"kafka://{servers}", "prefix": prefix, "partitions": 4, "timeout_s": 20}
        )
        self._opened: list[Broker] = []

    def open(self) -> Broker:
        self._opened.append(ByMetadata(self._settings))
        return self._opened[-1]

    def topic(self, name: str) -> str:
        return f"suite.{name}"

    def remake(self, topic: str) -> None:
        raise NotImplementedError(topic)

    def close(self) -> None:
        while self._opened:
            self._opened.pop().close()

    def unavailable(self) -> Broker:
        away = {"url": "kafka://127.0.0.1:1", "timeout_s": 0.5}
        return KafkaBroker(BrokerSettings.model_validate(away))


@pytest.mark.slow
@pytest.mark.parametrize("check", BROKER_CHECKS, ids=lambda check: check.__name__)
def test_kafka_keeps_the_promises_that_its_mock_cluster_can_be_asked(check: BrokerCheck, mock_servers: str) -> None:
    if why := BEYOND.get(check.__name__):
        pytest.skip(f"{why}: test_suite.py checks it against a node of Kafka")
    stage = MockStage(mock_servers)
    try:
        check(stage)
    finally:
        stage.close()


@pytest.mark.slow
def test_members_share_the_partitions_of_a_topic_and_take_over(mock_servers: str) -> None:
    settings = BrokerSettings.model_validate({"url": f"kafka://{mock_servers}", "timeout_s": 20})
    name = f"t{uuid.uuid4().hex[:12]}"
    library().Producer({"bootstrap.servers": mock_servers}).list_topics(
        name, timeout=20
    )  # makes it, of four partitions
    members = [KafkaMembership(settings, topic=name, group=f"{name}.members") for _ in range(2)]
    deadline = time.monotonic() + 60
    shares: list[frozenset[int] | None] = [None]
    while not all(shares):
        assert time.monotonic() < deadline, shares
        shares = [member.partitions(wait_s=0.2) for member in members]
    first, second = shares
    assert first is not None
    assert second is not None
    assert first | second == {0, 1, 2, 3}
    assert not first & second
    members[0].close()
    while members[1].partitions(wait_s=0.2) != frozenset(range(4)):
        assert time.monotonic() < deadline
    members[1].close()
