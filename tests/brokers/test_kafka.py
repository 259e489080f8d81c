"""What is special about Kafka: its address, options on which delivery rests, encryption, records too large."""

import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import SecretStr

from trunkline.brokers import EmbeddedLog, Message, open_broker
from trunkline.brokers.kafka import KafkaBroker, KafkaMembership
from trunkline.brokers.kafka_address import kafka_address
from trunkline.errors import InputError, UnavailableError
from trunkline.lake import Keyring
from trunkline.settings.brokers import BrokerSettings
from trunkline.settings.privacy import PrivacySettings

NOW = datetime(2026, 1, 1, tzinfo=UTC)
Settings = Callable[..., BrokerSettings]


@pytest.fixture
def settings(kafka_servers: str) -> Settings:
    """Settings of topics that belong to one test."""
    prefix = f"t{uuid.uuid4().hex[:12]}."
    return lambda **more: BrokerSettings.model_validate(
        {"url": f"kafka://{kafka_servers}", "prefix": prefix, "partitions": 1, "timeout_s": 20, **more}
    )


def test_an_address_has_hosts_a_topic_and_options() -> None:
    found = kafka_address("kafka://a,b:9093,[::1]:9094/Readings_1?ssl.ca.location=/x", {"client.id": SecretStr("c")})
    assert (found.hosts, found.topic) == ("a:9092,b:9093,[::1]:9094", "Readings_1")
    assert found.options == {"ssl.ca.location": "/x", "client.id": "c"}


def test_a_password_in_the_address_is_for_sasl_and_not_shown() -> None:
    found = kafka_address("kafka://ann:s%40fe@a", {"sasl.mechanism": SecretStr("SCRAM-SHA-512")})
    assert found.options == {
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": "ann",
        "sasl.password": "s@fe",
    }
    assert "s@fe" not in repr(found)
    assert "s@fe" not in repr(BrokerSettings.model_validate({"url": "kafka://ann:s@fe@a"}))


@pytest.mark.parametrize(
    "url",
    [
        "http://a",
        "kafka://",
        "kafka://a b",
        "kafka://a:port",
        "kafka://a/two/topics",
        "kafka://a?acks=0",
        "kafka://a?enable.idempotence=false",
        "kafka://a?group.id=x",
        "kafka://a?bootstrap.servers=b",
        "kafka://a?security.protocol",
    ],
)
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(InputError) as caught:
        kafka_address(url)
    assert caught.value.allowed


def test_the_url_alone_chooses_the_broker(tmp_path: Path) -> None:
    embedded = open_broker(BrokerSettings(), path=tmp_path / "log.db", clock=lambda: NOW)
    assert isinstance(embedded, EmbeddedLog)
    embedded.close()
    settings = BrokerSettings.model_validate({"url": "kafka://127.0.0.1:1"})
    kafka = open_broker(settings, path=tmp_path / "no.db", clock=lambda: NOW)
    assert isinstance(kafka, KafkaBroker)
    assert not (tmp_path / "no.db").exists()
    kafka.close()


def test_an_option_that_the_client_does_not_take_is_the_users_fault() -> None:
    with pytest.raises(InputError, match="option of Kafka's client is malformed"):
        KafkaBroker(BrokerSettings.model_validate({"url": "kafka://a?security.protocol=magic"}))


@pytest.mark.servers
def test_values_are_encrypted_before_they_leave(settings: Settings, tmp_path: Path) -> None:
    keys = Keyring(tmp_path, settings=PrivacySettings(), clock=lambda: NOW)
    sealing = KafkaBroker(settings(), keys=keys, seals=True)
    sealing.publish({"calls": [Message(b"ann called bob")]})
    assert [record.value for record in sealing.read("calls", after=0, limit=9)] == [b"ann called bob"]
    plain = KafkaBroker(settings())
    with pytest.raises(InputError, match="opened without keys"):
        plain.read("calls", after=0, limit=9)
    sealing.close()
    plain.close()


@pytest.mark.servers
def test_a_body_of_the_edge_fits_and_a_larger_one_is_refused(settings: Settings) -> None:
    broker = KafkaBroker(settings())
    broker.publish({"large": [Message(b"x" * (9 << 20))]})
    with pytest.raises(InputError, match="larger than its topic allows"):
        broker.publish({"large": [Message(bytes(range(256)) * (70 << 10))]})
    assert [len(record.value) for record in broker.read("large", after=0, limit=9)] == [9 << 20]
    assert broker.publish({"large": [Message(b"y")]}) == {"large": 2}
    broker.close()


@pytest.mark.servers
def test_a_closed_broker_says_so(settings: Settings) -> None:
    broker = KafkaBroker(settings())
    broker.publish({"a": [Message(b"x")]})
    broker.close()
    with pytest.raises(UnavailableError, match="closed"):
        broker.read("a", after=0, limit=1)


@pytest.mark.servers
def test_members_share_the_partitions_and_take_over(settings: Settings) -> None:
    broker = KafkaBroker(settings(partitions=4))
    broker.publish({"shared": [Message(b"x")]})
    members = [KafkaMembership(settings(), topic="shared", group="members") for _ in range(2)]

    def shared(among: list[KafkaMembership]) -> list[frozenset[int]]:
        for _ in range(300):
            found = [member.partitions(wait_s=0.1) for member in among]
            held = [one for one in found if one is not None]
            if len(held) == len(among) and sum(map(len, held)) == 4 and all(held):
                return held
        raise AssertionError("the partitions were not shared out")

    first, second = shared(members)
    assert first | second == {0, 1, 2, 3}
    assert not first & second
    members.pop().close()
    assert shared(members) == [{0, 1, 2, 3}]
    members.pop().close()
    broker.close()
