"""RabbitMQ's streams as the broker: what is acknowledged survives, places are shared, the URL alone chooses it."""

import gc
import json
import threading
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from starlette.testclient import TestClient
from tests.servers.rabbitmq import RabbitMq

from trunkline.brokers import Message, open_broker
from trunkline.brokers.rabbitmq import RabbitBroker
from trunkline.brokers.rabbitmq_address import rabbit_address
from trunkline.engine import open_engine
from trunkline.errors import InputError, UnavailableError, UnknownNameError
from trunkline.lake import Keyring, Lake
from trunkline.plugins import load_usecase
from trunkline.serve import create_app
from trunkline.settings.brokers import BrokerSettings
from trunkline.settings.lake import LakeSettings
from trunkline.settings.privacy import PrivacySettings


def now() -> datetime:
    return datetime.now(UTC)


Opened = Callable[[], RabbitBroker]


@pytest.fixture
def settings(rabbitmq: RabbitMq) -> BrokerSettings:
    return BrokerSettings.model_validate({"url": rabbitmq.url, "prefix": f"t{uuid.uuid4().hex[:12]}.", "timeout_s": 30})


@pytest.fixture
def opened(settings: BrokerSettings) -> Iterator[Opened]:
    brokers: list[RabbitBroker] = []

    def open_one() -> RabbitBroker:
        brokers.append(RabbitBroker(settings))
        return brokers[-1]

    yield open_one
    for broker in brokers:
        broker.close()


@pytest.mark.parametrize(
    ("url", "options"),
    [
        ("amqp://", {}),
        ("amqp://host:x/", {}),
        ("amqp://host/?heartbeat=1", {}),
        ("http://host/", {}),
        ("amqps://host/", {"acks": "0"}),
        ("amqp://host/", {"tls.ca": "/a"}),
    ],
)
def test_malformed_addresses_are_refused(url: str, options: dict[str, str]) -> None:
    with pytest.raises(InputError) as refused:
        rabbit_address(url, {name: SecretStr(value) for name, value in options.items()})
    assert "x" * 99 not in str(refused.value)


def test_secrets_are_not_shown() -> None:
    address = rabbit_address("amqps://ann:hidden@host/v", {"tls.key_password": SecretStr("hidden")})
    assert (address.port, address.vhost, address.is_tls) == (5671, "v", True)
    assert "hidden" not in repr(address)
    with pytest.raises(InputError, match="cannot be used") as refused:
        RabbitBroker(
            BrokerSettings.model_validate({"url": "amqps://a:hidden@127.0.0.1:1", "options": {"tls.ca": "/no/file"}})
        ).publish({"a": [Message(b"x")]})
    assert "hidden" not in str(refused.value)


def test_a_server_that_cannot_be_reached_leaves_no_connection_half_open(monkeypatch: pytest.MonkeyPatch) -> None:
    connection: Any = pytest.importorskip("aio_pika").Connection
    closed: list[bool] = []
    monkeypatch.setattr(connection, "__del__", lambda one: closed.append(one.is_closed))
    broker = RabbitBroker(BrokerSettings.model_validate({"url": "amqp://127.0.0.1:1"}))
    with pytest.raises(UnavailableError):
        broker.publish({"a": [Message(b"x")]})
    broker.close()
    gc.collect()
    assert closed
    assert all(closed)  # else it is closed when it is collected, in a thread without an event loop


@pytest.mark.servers
def test_the_url_alone_chooses_it(settings: BrokerSettings, tmp_path: Path) -> None:
    broker = open_broker(settings, path=tmp_path / "no.db", clock=now)
    assert isinstance(broker, RabbitBroker)
    assert not (tmp_path / "no.db").exists()
    with pytest.raises(UnknownNameError):
        broker.source_id("nobody.wrote")
    broker.close()
    with pytest.raises(UnavailableError, match="closed"):
        broker.end("a")


@pytest.mark.servers
def test_a_wrong_password_is_the_users_fault(rabbitmq: RabbitMq) -> None:
    url = rabbitmq.url.replace("guest:guest", "guest:hidden")
    broker = RabbitBroker(BrokerSettings.model_validate({"url": url}))
    with pytest.raises(InputError, match="refuses this client") as refused:
        broker.publish({"a": [Message(b"x")]})
    assert "hidden" not in str(refused.value)
    broker.close()


@pytest.mark.servers
def test_a_server_with_tls_lets_in_by_certificate(rabbitmq: RabbitMq) -> None:
    def asked(name: str, *, authority: str = "ca") -> BrokerSettings:
        files = {"tls.ca": f"{authority}.pem", "tls.certificate": f"{name}.pem", "tls.key": f"{name}.key"}
        options = {option: str(rabbitmq.folder / file) for option, file in files.items()}
        url = f"amqps://guest:guest@127.0.0.1:{rabbitmq.tls_port}"
        prefix = f"t{uuid.uuid4().hex[:12]}."
        return BrokerSettings.model_validate({"url": url, "options": options, "prefix": prefix, "timeout_s": 30})

    known = RabbitBroker(asked("platform"))
    place = known.publish({"calls": [Message(b"x")]})["calls"]
    assert [(record.offset, record.value) for record in known.read("calls", after=0, limit=9)] == [(place, b"x")]
    known.close()
    for refused in (asked("stranger"), asked("platform", authority="other")):
        unknown = RabbitBroker(refused)
        with pytest.raises((InputError, UnavailableError)):
            unknown.publish({"calls": [Message(b"x")]})
        unknown.close()


@pytest.mark.servers
def test_values_are_encrypted_before_they_leave(settings: BrokerSettings, tmp_path: Path) -> None:
    keys = Keyring(tmp_path, settings=PrivacySettings(), clock=now)
    sealing, plain = RabbitBroker(settings, keys=keys, seals=True), RabbitBroker(settings)
    sealing.publish({"calls": [Message(b"ann called bob")]})
    assert [record.value for record in sealing.read("calls", after=0, limit=9)] == [b"ann called bob"]
    with pytest.raises(InputError, match="opened without keys"):
        plain.read("calls", after=0, limit=9)
    sealing.close()
    plain.close()


@pytest.mark.servers
def test_what_is_acknowledged_survives_a_killed_server(rabbitmq: RabbitMq, opened: Opened) -> None:
    opened().publish({"first": [Message(b"x")]})
    rabbitmq.restart()  # what makes streams is young on a new server, and not on its disk yet
    broker = opened()
    end = broker.publish({"kept": [Message(f"{n}".encode(), b"k") for n in range(700)]})["kept"]
    broker.commit("kept", group="lake", offset=500)
    named = broker.source_id("kept")
    rabbitmq.kill()
    with pytest.raises(UnavailableError):
        broker.publish({"kept": [Message(b"not stored")]})
    rabbitmq.start()
    for one in (broker, opened()):  # one that was connected, and one that was not
        assert (one.end("kept"), one.committed("kept", group="lake"), one.source_id("kept")) == (end, 500, named)
        found = one.read("kept", after=0, limit=1_000)
        assert [record.value for record in found] == [f"{n}".encode() for n in range(700)]
    assert broker.publish({"kept": [Message(b"more")]})["kept"] > end


@pytest.mark.servers
def test_threads_and_processes_write_together_and_know_each_others_places(opened: Opened) -> None:
    brokers = [opened(), opened()]
    ends: list[int] = []

    def write(broker: RabbitBroker, name: str) -> None:
        ends.extend(broker.publish({"shared": [Message(f"{name}{n}".encode())]})["shared"] for n in range(25))

    threads = [threading.Thread(target=write, args=(broker, f"{at}")) for at, broker in enumerate(brokers * 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(ends)) == 100
    found = opened().read("shared", after=0, limit=1_000)
    assert {record.offset for record in found} == set(ends)
    for number, broker in enumerate(brokers * 5):
        broker.commit("shared", group="lake", offset=number + 1)
        assert brokers[(number + 1) % 2].committed("shared", group="lake") == number + 1
    brokers[0].commit("shared", group="lake", offset=3)
    assert brokers[1].committed("shared", group="lake") == 10


@pytest.mark.servers
def test_a_server_writes_to_it_by_its_url_alone(settings: BrokerSettings, tmp_path: Path) -> None:
    def lake() -> Lake:
        return Lake(tmp_path / "lake", engine=open_engine("duckdb"), settings=LakeSettings(), clock=now)

    usecases = {"sensors": load_usecase("sensors")}
    app = create_app(tmp_path, usecases=usecases, lake=lake, clock=now, flush_every_s=0.05, log=settings)
    row: dict[str, Any] = {"device_id": "d", "session_id": "s", "sensor": "battery", "battery_level": 0.5}
    for begin in (0, 10):  # a server that goes on where another has ended
        with TestClient(app, base_url="http://127.0.0.1") as client:
            for number in range(begin, begin + 10):
                sent = [{**row, "read_at": f"2026-01-01T00:00:{number:02d}Z"}, {"device_id": "d"}]
                answer = client.post("/v1/ingest/sensors/readings", content=json.dumps(sent)).json()
                assert (answer["accepted"], answer["refused"]) == (1, 1)
    engine = open_engine("duckdb")
    kept = Lake(tmp_path / "lake", engine=engine, settings=LakeSettings(), clock=now)
    assert len(kept.arrow("sensors.readings").to_pylist()) == 20
    assert len(kept.arrow("platform.quarantine").to_pylist()) == 20
    engine.close()
    assert not (tmp_path / "log").exists()
