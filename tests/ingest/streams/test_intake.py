"""Topics of several partitions into the lake, each record once, whatever the broker forgets."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from trunkline.brokers import Message
from trunkline.brokers.kafka import KafkaBroker
from trunkline.engine import open_engine
from trunkline.ingest import Target
from trunkline.ingest.streams import GROUP, TopicIntake, TopicIntakes, topic_of
from trunkline.lake import Lake
from trunkline.plugins import load_usecase
from trunkline.serve import create_app
from trunkline.settings.brokers import BrokerSettings
from trunkline.settings.lake import LakeSettings

pytestmark = pytest.mark.servers
TOPIC = topic_of("sensors", "readings")
Reading = Callable[[int], dict[str, object]]


def now() -> datetime:
    return datetime.now(UTC)


def rows(lake: Lake, table: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = lake.arrow(table).to_pylist() if lake.exists(table) else []
    return found


def message(row: dict[str, object]) -> Message:
    return Message(json.dumps(row).encode(), key=str(row["device_id"]).encode())


def intakes(broker: KafkaBroker) -> TopicIntakes:
    target = Target("sensors", "readings", load_usecase("sensors").contract)
    return TopicIntakes(broker, TOPIC, lambda partition: TopicIntake(broker, target, clock=now, partition=partition))


def test_all_partitions_come_in_each_with_its_own_place(
    kafka: BrokerSettings, lake: Lake, tmp_path: Path, reading: Reading
) -> None:
    broker = KafkaBroker(kafka)
    taking = intakes(broker)
    assert list(taking.drain(lake)) == []
    broker.publish({TOPIC: [message(reading(number)) for number in range(40)]})
    broker.publish({TOPIC: [Message(b'{"device_id": "d1"}', key=b"d1"), Message(b"no json", key=b"d2")]})
    assert taking.waiting == 42
    receipts = [one.receipt for one in taking.drain(lake)]
    ends = [broker.end(TOPIC, partition=partition) for partition in range(3)]
    assert sum(ends) == 42
    assert [broker.committed(TOPIC, group=GROUP, partition=partition) for partition in range(3)] == ends
    assert sum(receipt.read for receipt in receipts) == 42
    assert sum(receipt.quarantined for receipt in receipts) == 2
    assert {receipt.piece for receipt in receipts} == {
        f"{broker.source_id(TOPIC, partition=partition)}/{end}" for partition, end in enumerate(ends) if end
    }
    assert len(rows(lake, "sensors.readings")) == 40
    assert taking.waiting == 0
    broker.publish({TOPIC: [message(reading(number)) for number in range(40, 50)]})
    assert sum(one.receipt.read for one in taking.drain(lake)) == 10
    assert list(taking.drain(lake)) == []
    broker.close()


def test_a_place_that_kafka_forgot_is_known_to_the_lake(
    kafka: BrokerSettings, lake: Lake, tmp_path: Path, reading: Reading
) -> None:
    from confluent_kafka.admin import AdminClient

    broker = KafkaBroker(kafka)
    broker.publish({TOPIC: [message(reading(number)) for number in range(20)]})
    assert sum(one.receipt.accepted for one in intakes(broker).drain(lake)) == 20
    assert kafka.url is not None
    admin = AdminClient({"bootstrap.servers": kafka.url.get_secret_value().removeprefix("kafka://")})
    groups = [kafka.prefix + GROUP, f"{kafka.prefix}{GROUP}.next"]
    for done in admin.delete_consumer_groups(groups).values():
        done.result()
    assert broker.committed(TOPIC, group=GROUP) == 0
    broker.publish({TOPIC: [message(reading(number)) for number in range(20, 25)]})
    assert sum(one.receipt.read for one in intakes(broker).drain(lake)) == 5
    assert len(rows(lake, "sensors.readings")) == 25
    assert intakes(broker).waiting == 0
    broker.close()


def test_a_server_writes_to_kafka_by_its_url_alone(
    kafka: BrokerSettings, lake: Lake, tmp_path: Path, reading: Reading
) -> None:
    def opened() -> Lake:
        return Lake(tmp_path / "lake", engine=open_engine("duckdb"), settings=LakeSettings(), clock=now)

    app = create_app(
        tmp_path,
        usecases={"sensors": load_usecase("sensors")},
        lake=opened,
        clock=now,
        flush_every_s=0.05,
        log=kafka,
    )
    with TestClient(app, base_url="http://127.0.0.1") as client:
        for number in range(10):
            sent = [reading(number), {"device_id": "d"}]
            answer = client.post("/v1/ingest/sensors/readings", json=sent).json()
            assert (answer["accepted"], answer["refused"]) == (1, 1)
    assert len(rows(lake, "sensors.readings")) == 10
    assert len(rows(lake, "platform.quarantine")) == 10
    assert sum(receipt["read"] for receipt in rows(lake, "platform.receipts")) == 20
    assert not (tmp_path / "log").exists()
    broker = KafkaBroker(kafka)
    assert sum(broker.end(TOPIC, partition=partition) for partition in range(3)) == 10
    broker.close()
