"""How far declared topics are ahead of the lake: asked of real brokers, with a consumer or without."""

import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from trunkline.brokers import EmbeddedLog, Message
from trunkline.brokers.mqtt_address import mqtt_address
from trunkline.ingest import Target
from trunkline.ingest.streams import TopicIntake
from trunkline.run import Workspace, utc_now
from trunkline.run.mqtt_watch import mqtt_topic
from trunkline.run.topic_lags import TopicLag, TopicLags
from trunkline.run.topic_watch import watch_topic
from trunkline.settings import Settings
from trunkline.settings.brokers import BrokerSettings

FILTER = "mqtt://127.0.0.1:1/phones/+/readings"


def reading(number: int) -> bytes:
    at = f"2026-01-01T00:{number // 60:02d}:{number % 60:02d}Z"
    return f'{{"device_id": "d", "session_id": "s", "sensor": "battery", "read_at": "{at}"}}'.encode()


@contextmanager
def asking(folder: Path, **source: object) -> Iterator[tuple[Workspace, TopicLags]]:
    sources = {"phones": {"kind": "topic", "usecase": "sensors", **source}}
    settings = Settings.model_validate({"workspace": folder, "sources": sources})
    with Workspace(settings) as workspace:
        lags = TopicLags(workspace, workspace.installed().usecases, every_s=0.0)
        with closing(lags):
            yield workspace, lags


def answered(lags: TopicLags) -> TopicLag:
    """The first answer to a question that is asked from now on."""
    before, until = utc_now(), time.monotonic() + 20
    while True:
        (found,) = lags.look()
        if found.problem or (found.asked_at is not None and found.asked_at > before):
            return found
        assert time.monotonic() < until, found
        threading.Event().wait(0.05)


def test_messages_of_mqtt_that_wait_here_are_counted(tmp_path: Path) -> None:
    with asking(tmp_path, url=FILTER) as (workspace, lags):
        assert answered(lags).waiting == 0
        topic = mqtt_topic(mqtt_address(FILTER), usecase="sensors", dataset="readings")
        log = EmbeddedLog(workspace.root / "log" / "log.db", settings=BrokerSettings(), clock=utc_now)
        with closing(log):
            log.publish({topic: [Message(reading(number)) for number in range(7)]})
            found = answered(lags)
            assert (found.source, found.usecase, found.dataset) == ("phones", "sensors", "readings")
            assert (found.waiting, found.problem) == (7, "")
            contract = workspace.usecase("sensors").datasets["readings"]
            intake = TopicIntake(log, Target("sensors", "readings", contract), clock=utc_now, topic=topic)
            assert sum(one.receipt.accepted for one in intake.drain(workspace.lake)) == 7
        assert answered(lags).waiting == 0


def test_a_broker_that_does_not_answer_holds_nobody_up_and_is_told(tmp_path: Path) -> None:
    pytest.importorskip("confluent_kafka", reason="the extra kafka is not installed")
    with asking(tmp_path, url="kafka://127.0.0.1:1/phones", timeout_s=0.5) as (_, lags):
        (first,) = lags.look()
        assert first == TopicLag("phones", "sensors", "readings")
        found = answered(lags)
        assert found.waiting is None
        assert found.problem


def test_sources_that_are_no_topics_are_left_out(tmp_path: Path) -> None:
    sources = {"files": {"kind": "folder", "usecase": "sensors", "path": str(tmp_path)}}
    workspace = Workspace(Settings.model_validate({"workspace": tmp_path, "sources": sources}))
    with workspace, closing(TopicLags(workspace, workspace.installed().usecases)) as lags:
        assert lags.look() == ()


@pytest.mark.servers
def test_records_of_kafka_wait_until_a_consumer_takes_them(kafka_servers: str, tmp_path: Path) -> None:
    from trunkline.brokers.kafka import KafkaBroker

    name = f"t{uuid.uuid4().hex[:12]}"
    url = f"kafka://{kafka_servers}/{name}"
    broker = KafkaBroker(BrokerSettings.model_validate({"url": url, "partitions": 3}), any_name=True)
    with closing(broker), asking(tmp_path, url=url) as (workspace, lags):
        broker.publish({name: [Message(reading(number), f"{number % 5}".encode()) for number in range(40)]})
        assert answered(lags).waiting == 40
        declared = workspace.settings.sources["phones"]
        receipts = watch_topic(
            workspace,
            workspace.usecase("sensors"),
            declared,  # type: ignore[arg-type]  # a topic
            run_id="r",
            stop=threading.Event(),
            once=True,
        )
        assert sum(one.accepted for one in receipts) == 40
        assert answered(lags).waiting == 0
        broker.publish({name: [Message(reading(50))]})
        assert answered(lags).waiting == 1  # and nobody consumes now
