"""The suite of ``trunkline.testing`` over every broker there is, and over one that breaks its promises."""

import asyncio
import socket
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from pydantic import SecretStr
from tests.servers.rabbitmq import RabbitMq

from trunkline.brokers import Broker, EmbeddedLog, Message
from trunkline.brokers.kafka import KafkaBroker
from trunkline.brokers.rabbitmq import RabbitBroker
from trunkline.settings.brokers import BrokerSettings
from trunkline.testing import BROKER_CHECKS, BrokerCheck, BrokerStage


class EmbeddedStage:
    """A log in a folder; each of its topics goes when the file does."""

    def __init__(self, folder: Path, clock: object, *, made_by: type[EmbeddedLog] = EmbeddedLog) -> None:
        self._path = folder / "log.db"
        self._folder = folder
        self._clock = clock
        self._class = made_by
        self._opened: list[Broker] = []

    def open(self) -> Broker:
        self._opened.append(self._class(self._path, settings=BrokerSettings(), clock=self._clock))  # type: ignore[arg-type]  # a clock
        return self._opened[-1]

    def topic(self, name: str) -> str:
        return f"suite.{name}"

    def remake(self, topic: str) -> None:  # noqa: ARG002 - all topics go at once
        self._path.unlink()

    def close(self) -> None:
        while self._opened:
            self._opened.pop().close()

    def unavailable(self) -> Broker:
        return self._class(self._folder, settings=BrokerSettings(), clock=self._clock)  # type: ignore[arg-type]  # a folder is no file


class KafkaStage:
    """Topics of a cluster that belong to one test: their names begin with its own prefix."""

    def __init__(self, servers: str, *, partitions: int) -> None:
        self._servers = servers
        self._settings = BrokerSettings.model_validate(
            {
                "url": f"kafka://{servers}",
                "prefix": f"t{uuid.uuid4().hex[:12]}.",
                "partitions": partitions,
                "timeout_s": 20,
            }
        )
        self._opened: list[Broker] = []

    def open(self) -> Broker:
        self._opened.append(KafkaBroker(self._settings))
        return self._opened[-1]

    def topic(self, name: str) -> str:
        return f"suite.{name}"

    def remake(self, topic: str) -> None:
        from confluent_kafka.admin import AdminClient

        admin = AdminClient({"bootstrap.servers": self._servers})
        admin.delete_topics([self._settings.prefix + topic])[self._settings.prefix + topic].result()
        until = time.monotonic() + 20
        while self._settings.prefix + topic in admin.list_topics(timeout=10).topics:
            assert time.monotonic() < until

    def close(self) -> None:
        while self._opened:
            self._opened.pop().close()

    def unavailable(self) -> Broker:
        with socket.socket() as nobody:  # a port of which nobody listens
            nobody.bind(("127.0.0.1", 0))
            url = f"kafka://127.0.0.1:{nobody.getsockname()[1]}"
        return KafkaBroker(self._settings.model_copy(update={"url": SecretStr(url), "timeout_s": 0.5}))


class RabbitStage:
    """Streams of a server that belong to one test: their names begin with its own prefix."""

    def __init__(self, url: str) -> None:
        self._settings = BrokerSettings.model_validate(
            {"url": url, "prefix": f"t{uuid.uuid4().hex[:12]}.", "timeout_s": 20}
        )
        self._opened: list[Broker] = []

    def open(self) -> Broker:
        self._opened.append(RabbitBroker(self._settings))
        return self._opened[-1]

    def topic(self, name: str) -> str:
        return f"suite.{name}"

    def remake(self, topic: str) -> None:
        assert self._settings.url is not None
        asyncio.run(_remove(self._settings.url.get_secret_value(), self._settings.prefix + topic))

    def close(self) -> None:
        while self._opened:
            self._opened.pop().close()

    def unavailable(self) -> Broker:
        with socket.socket() as nobody:  # a port of which nobody listens
            nobody.bind(("127.0.0.1", 0))
            url = f"amqp://127.0.0.1:{nobody.getsockname()[1]}"
        return RabbitBroker(self._settings.model_copy(update={"url": SecretStr(url), "timeout_s": 5}))


async def _remove(url: str, queue: str) -> None:
    import aio_pika

    connection = await aio_pika.connect(url)
    channel = await connection.channel()
    await channel.queue_delete(queue)
    await connection.close()


checked = pytest.mark.parametrize("check", BROKER_CHECKS, ids=lambda check: check.__name__)


@checked
def test_the_embedded_log_keeps_every_promise(check: BrokerCheck, tmp_path: Path, clock: object) -> None:
    stage: BrokerStage = EmbeddedStage(tmp_path, clock)
    try:
        check(stage)
    finally:
        stage.close()


@pytest.mark.servers
@pytest.mark.parametrize("partitions", [1, 3])
@checked
def test_kafka_keeps_every_promise(check: BrokerCheck, partitions: int, kafka_servers: str) -> None:
    stage: BrokerStage = KafkaStage(kafka_servers, partitions=partitions)
    try:
        check(stage)
    finally:
        stage.close()


@pytest.mark.servers
@checked
def test_rabbitmq_keeps_every_promise(check: BrokerCheck, rabbitmq: RabbitMq) -> None:
    stage: BrokerStage = RabbitStage(rabbitmq.url)
    try:
        check(stage)
    finally:
        stage.close()


class Forgetful(EmbeddedLog):
    """A broker that breaks a promise in every check but the last."""

    def publish(self, batches: Mapping[str, Sequence[Message]]) -> Mapping[str, int]:
        known = {topic if topic.isascii() and topic[:1].islower() else "a": batches[topic] for topic in batches}
        return super().publish({topic: list(reversed(messages))[:1] for topic, messages in known.items()})

    def source_id(self, topic: str, *, partition: int = 0) -> str:  # noqa: ARG002 - on purpose
        return "always the same"

    def committed(self, topic: str, *, group: str, partition: int = 0) -> int:  # noqa: ARG002 - on purpose
        return 7


@pytest.mark.parametrize(
    "name",
    [
        "reads_after_an_offset_up_to_a_limit",
        "gives_back_any_bytes",
        "makes_a_topic_by_its_first_message",
        "commits_only_forward",
        "names_a_partition_for_as_long_as_its_offsets_count",
        "refuses_malformed_names",
    ],
)
def test_the_suite_finds_a_broken_promise(name: str, tmp_path: Path, clock: object) -> None:
    [check] = [check for check in BROKER_CHECKS if check.__name__ == name]
    stage = EmbeddedStage(tmp_path, clock, made_by=Forgetful)
    try:
        with pytest.raises(AssertionError):
            check(stage)
    finally:
        stage.close()
