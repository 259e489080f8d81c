"""Kafka that asks who comes: passwords (SASL) and client certificates (TLS), against a node; and a full client."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import SecretStr
from tests.servers.kafka import ClosedKafka

from trunkline.brokers import Message
from trunkline.brokers.kafka import KafkaBroker
from trunkline.brokers.kafka.client import library
from trunkline.brokers.kafka.writing import Writer
from trunkline.brokers.kafka_address import kafka_address
from trunkline.errors import FullError, InputError, UnavailableError
from trunkline.settings.brokers import BrokerSettings


def settings(url: str, **options: str) -> BrokerSettings:
    return BrokerSettings.model_validate({"url": url, "options": options, "timeout_s": 10, "partitions": 1})


@pytest.mark.servers
def test_a_node_that_asks_is_answered_by_password_and_by_certificate(closed_kafka: ClosedKafka, tmp_path: Path) -> None:
    files = closed_kafka.folder
    sasl = {"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "PLAIN", "sasl.username": closed_kafka.user}
    known = settings(f"kafka://{closed_kafka.sasl}", **sasl, **{"sasl.password": closed_kafka.password})
    broker = KafkaBroker(known)
    row = {"device_id": "d", "session_id": "s", "sensor": "battery", "read_at": "2026-01-01T00:00:00Z"}
    assert broker.publish({"phones": [Message(json.dumps(row).encode())]}) == {"phones": 1}
    broker.close()

    with_user = f"kafka://{closed_kafka.user}:{closed_kafka.password}@{closed_kafka.sasl}"
    broker = KafkaBroker(settings(f"{with_user}?security.protocol=SASL_PLAINTEXT"))
    assert broker.end("phones") == 1
    broker.close()

    # as Azure IoT Hub asks: the word $ConnectionString and the connection string; the Hub encrypts, this node does not
    hub = f"kafka://{closed_kafka.sasl}?profile=azure-iot-hub&security.protocol=SASL_PLAINTEXT"
    broker = KafkaBroker(settings(hub, **{"sasl.password": closed_kafka.connection_string}))
    assert broker.end("phones") == 1
    broker.close()

    tls = {
        "security.protocol": "SSL",
        "ssl.ca.location": str(files / "ca.pem"),
        "ssl.certificate.location": str(files / "d1.pem"),
        "ssl.key.location": str(files / "d1.key"),
    }
    broker = KafkaBroker(settings(f"kafka://{closed_kafka.ssl}", **tls))
    assert [record.offset for record in broker.read("phones", after=0, limit=9)] == [1]
    broker.commit("phones", group="g", offset=1)
    assert broker.committed("phones", group="g") == 1
    broker.close()

    wrong = settings(f"kafka://{closed_kafka.sasl}", **sasl, **{"sasl.password": "guessed"})
    stranger = {**tls, "ssl.certificate.location": str(files / "stranger.pem")}
    stranger["ssl.key.location"] = str(files / "stranger.key")
    for refused in (wrong, settings(f"kafka://{closed_kafka.ssl}", **stranger)):
        broker = KafkaBroker(refused.model_copy(update={"timeout_s": 3.0}))
        with pytest.raises((InputError, UnavailableError)) as told:
            broker.publish({"phones": [Message(b"x")]})
        assert "guessed" not in str(told.value)
        broker.close()

    (tmp_path / "trunkline.toml").write_text(
        f'[sources.phones]\nkind = "topic"\nusecase = "sensors"\nurl = "kafka://{closed_kafka.ssl}/phones"\n'
        "[sources.phones.options]\n" + "".join(f'"{name}" = "{value}"\n' for name, value in tls.items())
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TRUNKLINE_")}
    command = [sys.executable, "-m", "trunkline", "watch", "sensors", "phones", "--once", "--json"]
    done = subprocess.run(
        [*command, "--workspace", str(tmp_path)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert [batch["accepted"] for batch in json.loads(done.stdout)["batches"]] == [1]


def test_the_hub_needs_no_more_than_its_connection_string() -> None:
    said = "Endpoint=sb://hub.servicebus.windows.net/;SharedAccessKeyName=service;SharedAccessKey=hidden="
    found = kafka_address(
        "kafka://hub.servicebus.windows.net/north?profile=azure-iot-hub", {"sasl.password": SecretStr(said)}
    )
    assert (found.hosts, found.topic) == ("hub.servicebus.windows.net:9093", "north")
    assert found.options == {
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "PLAIN",
        "sasl.username": "$ConnectionString",
        "sasl.password": said,
    }
    assert "hidden" not in repr(found)
    with pytest.raises(InputError, match="connection string"):
        kafka_address("kafka://hub.servicebus.windows.net/north?profile=azure-iot-hub")
    with pytest.raises(InputError, match="no profile"):
        kafka_address("kafka://hub/north?profile=other")


def test_a_full_client_makes_its_callers_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("confluent_kafka", reason="the extra kafka is not installed")

    class Full:
        def __init__(self, _options: object) -> None: ...

        def produce(self, *_arguments: object, **_options: object) -> None:
            raise BufferError

        def poll(self, _wait_s: float) -> int:
            return 0

        def flush(self, _wait_s: float) -> int:
            return 0

    monkeypatch.setattr(library(), "Producer", Full)
    writer = Writer({}, hosts="127.0.0.1:1", timeout_s=0.05)
    with pytest.raises(FullError, match="wait for Kafka"):
        writer.write({"t": [Message(b"x")]})
    writer.close()
