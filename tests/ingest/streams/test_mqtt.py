"""``trunkline watch USECASE mqtt://...`` with a real Mosquitto: each message once, whoever is killed."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import pytest

from trunkline.engine import open_engine
from trunkline.ingest.streams import CRASH_POINTS
from trunkline.lake import Lake
from trunkline.run.mqtt_watch import CRASH_POINTS as MQTT_POINTS
from trunkline.settings.drills import VARIABLE
from trunkline.settings.lake import LakeSettings

pytestmark = pytest.mark.servers
Reading = Callable[[int], dict[str, object]]
FILTER = "phones/+/readings"


class Mosquitto(Protocol):
    """What ``tests/servers.py`` lends."""

    port: int
    folder: Path

    def configure(self, said: Sequence[str]) -> None: ...
    def start(self) -> None: ...
    def kill(self) -> None: ...


class Sender:
    """A device's client: QoS 1, its own session; keeps what was not acknowledged, as devices do."""

    def __init__(self, port: int, name: str = "sender", *, will: tuple[str, bytes] | None = None) -> None:
        from paho.mqtt.client import Client, MQTTv5
        from paho.mqtt.enums import CallbackAPIVersion

        self._client = Client(CallbackAPIVersion.VERSION2, client_id=name, protocol=MQTTv5)
        if will is not None:
            self._client.will_set(will[0], will[1], qos=1)
        self._client.max_queued_messages_set(0)
        self._client.reconnect_delay_set(min_delay=1, max_delay=1)
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        self._sent: list[Any] = []

    def send(
        self,
        values: Sequence[object],
        *,
        topic: str = "phones/d/readings",
        retain: bool = False,
        ids: Sequence[str] = (),
    ) -> None:
        """Hand messages over; :meth:`wait` says when the broker has them."""
        from paho.mqtt.packettypes import PacketTypes
        from paho.mqtt.properties import Properties

        for place, value in enumerate(values):
            payload = value if isinstance(value, bytes) else json.dumps(value).encode()
            properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]  # paho's has no types
            if ids:
                properties.UserProperty = ("message-id", ids[place])
            self._sent.append(self._client.publish(topic, payload, qos=1, retain=retain, properties=properties))

    def wait(self) -> None:
        """Wait until the broker has acknowledged all."""
        for one in self._sent:
            one.wait_for_publish(timeout=60)
        self._sent.clear()

    def die(self) -> None:
        """Cut the connection without a word, so that the last will is published."""
        self._client._sock_close()
        self._client.loop_stop()

    def close(self) -> None:
        self.wait()
        self._client.disconnect()
        self._client.loop_stop()


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
    receipts = [one for one in table(workspace, "platform.receipts") if one["dataset"] == "readings"]
    for one in receipts:
        assert one["read"] == one["accepted"] + one["quarantined"] + one["duplicates"]
    assert sum(one["read"] for one in receipts) == read
    assert sum(one["accepted"] for one in receipts) == accepted
    rows = table(workspace, "sensors.readings")
    assert len(rows) == accepted
    assert len({(row["device_id"], row["sensor"], row["read_at"]) for row in rows}) == accepted
    assert len(table(workspace, "platform.quarantine")) == read - accepted


@pytest.fixture
def url(mosquitto: Mosquitto) -> str:
    mosquitto.start()
    return f"mqtt://127.0.0.1:{mosquitto.port}/{FILTER}"


@pytest.fixture
def sender(url: str, mosquitto: Mosquitto) -> Iterator[Sender]:
    one = Sender(mosquitto.port)
    yield one
    one.close()


def test_what_devices_publish_is_in_the_lake_and_poison_in_quarantine(
    url: str, sender: Sender, tmp_path: Path, reading: Reading
) -> None:
    assert drained(tmp_path, url)["batches"] == []  # from now on the broker keeps what comes
    sender.send(
        [*map(reading, range(30)), [reading(30), reading(31)], b"no json", b"\xff\xfe", b"7", {"device_id": "d"}]
    )
    sender.send([reading(99)], topic="elsewhere/d/readings")
    sender.wait()
    first = drained(tmp_path, url)
    assert sum(batch["read"] for batch in first["batches"]) == 36
    balanced(tmp_path, read=36, accepted=32)
    (tmp_path / "trunkline.toml").write_text(f'[sources.phones]\nkind = "topic"\nusecase = "sensors"\nurl = "{url}"\n')
    sender.send([reading(40)])
    sender.wait()
    assert sum(batch["read"] for batch in drained(tmp_path, "phones")["batches"]) == 1
    balanced(tmp_path, read=37, accepted=33)


@pytest.mark.parametrize(
    "at", ["mqtt.before_log", "log.before_commit", *MQTT_POINTS[1:], *CRASH_POINTS], ids=lambda at: at
)
def test_killed_anywhere_a_consumer_takes_each_message_once(
    url: str, sender: Sender, tmp_path: Path, reading: Reading, at: str
) -> None:
    drained(tmp_path, url)
    sender.send([*map(reading, range(60)), b"poison"])
    sender.wait()
    killed = watching(tmp_path, url, "--once", crash_at=at)
    _, err = killed.communicate(timeout=120)
    assert killed.returncode == -signal.SIGKILL, err
    sender.send([*map(reading, range(60, 80)), b"more poison"])
    sender.wait()
    drained(tmp_path, url)
    balanced(tmp_path, read=82, accepted=80)
