"""Devices: keys shown once, revoked for the next request, each writing in its own name alone."""

import json
import sqlite3
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from starlette.testclient import TestClient, WebSocketDenialResponse
from starlette.websockets import WebSocketDisconnect

from trunkline.cli import main
from trunkline.engine import open_engine
from trunkline.errors import InputError, UnknownNameError
from trunkline.ingest.own_device import OwnDevice
from trunkline.lake import Lake
from trunkline.plugins import load_usecase
from trunkline.serve import DEVICES, create_app
from trunkline.serve.devices import DeviceRegistry, mosquitto_lists
from trunkline.settings.lake import LakeSettings
from trunkline.settings.serve import ApiKey, ServeSettings

ASKED = "/v1/ingest/sensors/readings"
STREAM = f"ws://127.0.0.1{ASKED}/stream"
ADMIN = "an-operators-key-of-its-own"


class Clock:
    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def registry(tmp_path: Path, clock: Clock) -> Iterator[DeviceRegistry]:
    registry = DeviceRegistry(tmp_path / DEVICES, clock=clock)
    yield registry
    registry.close()


def opened(tmp_path: Path) -> Lake:
    def now() -> datetime:
        return datetime.now(UTC)

    return Lake(tmp_path / "lake", engine=open_engine("duckdb"), settings=LakeSettings(), clock=now)


def rows(tmp_path: Path, table: str) -> list[dict[str, Any]]:
    lake = opened(tmp_path)
    found: list[dict[str, Any]] = lake.arrow(table).to_pylist() if lake.exists(table) else []
    lake.engine.close()
    return found


Client = Callable[..., TestClient]


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    started: list[TestClient] = []

    def start(*keys: ApiKey) -> TestClient:
        app = create_app(
            tmp_path,
            usecases={"sensors": load_usecase("sensors")},
            lake=lambda: opened(tmp_path),
            clock=lambda: datetime.now(UTC),
            settings=ServeSettings(api_keys=keys),
            flush_every_s=0.05,
        )
        started.append(TestClient(app, base_url="http://127.0.0.1"))
        return started[-1].__enter__()

    yield start
    for one in started:
        one.__exit__(None, None, None)


def reading(number: int, device: str = "d1", **more: object) -> dict[str, object]:
    at = f"2026-01-01T00:00:{number:02d}Z"
    return {"device_id": device, "session_id": "s", "sensor": "battery", "read_at": at, "battery_level": 0.5, **more}


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


def test_a_key_is_nowhere_in_the_file_and_names_its_device(registry: DeviceRegistry, tmp_path: Path) -> None:
    assert registry.devices() == ()
    assert not (tmp_path / DEVICES).exists()
    added = registry.add("d1")
    assert len(added.key) >= 32
    assert registry.is_any
    assert registry.by_key(added.key.encode()) == "d1"
    assert registry.by_key(b"another") is None
    assert registry.by_key(b"") is None
    registry.close()
    written = b"".join(path.read_bytes() for path in (tmp_path / DEVICES).parent.iterdir())
    assert added.key.encode() not in written
    assert (tmp_path / DEVICES).stat().st_mode & 0o077 == 0


def test_a_revocation_by_another_process_holds_at_once(registry: DeviceRegistry, tmp_path: Path, clock: Clock) -> None:
    key = registry.add("d1").key
    assert registry.by_key(key.encode()) == "d1"
    other = DeviceRegistry(tmp_path / DEVICES, clock=clock)
    assert other.revoke("d1").revoked_at == clock.now
    assert registry.by_key(key.encode()) is None
    assert registry.is_any
    again = other.add("d1")
    assert again.device.revoked_at is None
    assert registry.by_key(key.encode()) is None
    assert registry.by_key(again.key.encode()) == "d1"
    other.close()


def test_what_cannot_be_added_is_refused(registry: DeviceRegistry) -> None:
    registry.add("d1", certificate_sha256="a" * 64)
    for name in ("", "a/b", "+", "#", "d 1", "x" * 65, "-d", "d\n"):
        with pytest.raises(InputError, match="cannot be a device's name"):
            registry.add(name)
    with pytest.raises(InputError, match="there is a device"):
        registry.add("d1")
    with pytest.raises(InputError, match="another device's"):
        registry.add("d2", certificate_sha256="a" * 64)
    with pytest.raises(InputError, match="no fingerprint"):
        registry.add("d2", certificate_sha256="A" * 64)
    with pytest.raises(UnknownNameError):
        registry.revoke("d3")
    assert registry.by_certificate("a" * 64) == "d1"
    registry.revoke("d1")
    assert registry.by_certificate("a" * 64) is None


def test_who_was_heard_of_is_written_down_every_few_seconds(registry: DeviceRegistry, clock: Clock) -> None:
    registry.add("d1")
    registry.saw("d1")
    assert registry.devices()[0].seen_at is None
    clock.now += timedelta(seconds=6)
    registry.saw("d1")
    assert registry.devices()[0].seen_at == clock.now
    registry.saw("nobody")
    registry.close()


@pytest.mark.slow
def test_a_device_writes_in_its_own_name_alone(client: Client, registry: DeviceRegistry, tmp_path: Path) -> None:
    key = registry.add("d1").key
    asked = client()
    sent = [reading(0), reading(1, "d2"), {"deviceId": "d2", **reading(2)}, reading(3), {"session_id": "s"}]
    answer = asked.post(ASKED, json=sent, headers=bearer(key)).json()
    assert (answer["read"], answer["accepted"], answer["refused"]) == (5, 2, 3)
    assert [(one["row"], "device_id.not_its_own" in one["reasons"]) for one in answer["errors"]] == [
        (1, True),
        (2, True),
        (4, False),
    ]
    envelope = {"messageId": 1, "sessionId": "s", "deviceId": "d2", "payload": [{"name": "battery", "time": 1}]}
    assert asked.post(ASKED, json=envelope, headers=bearer(key)).json()["accepted"] == 0
    asked.__exit__(None, None, None)
    asked.__enter__()
    assert {row["device_id"] for row in rows(tmp_path, "sensors.readings")} == {"d1"}
    assert len(rows(tmp_path, "platform.quarantine")) == 4
    assert registry.devices()[0].seen_at is not None


def test_unknown_and_revoked_devices_are_refused(client: Client, registry: DeviceRegistry) -> None:
    asked = client()
    assert asked.post(ASKED, json=reading(0)).status_code == 200  # nobody has named a device yet
    key = registry.add("d1").key
    assert asked.post(ASKED, json=reading(1)).status_code == 401
    assert asked.post(ASKED, json=reading(1), headers=bearer("made-up")).status_code == 401
    assert asked.post(ASKED, json=reading(1), headers={"x-api-key": key}).status_code == 200
    registry.revoke("d1")
    refused = asked.post(ASKED, json=reading(2), headers=bearer(key))
    assert refused.status_code == 401
    assert key not in refused.text
    reader = registry.add("platform", reads=True).key
    assert asked.post(ASKED, json=reading(3), headers=bearer(reader)).status_code == 401


def test_an_operator_writes_in_every_name_and_a_device_reads_nothing(client: Client, registry: DeviceRegistry) -> None:
    asked = client(ApiKey(name="operator", role="operator", key=SecretStr(ADMIN)))
    key = registry.add("d1").key
    assert asked.post(ASKED, json=reading(0, "any"), headers=bearer(ADMIN)).json()["accepted"] == 1
    assert asked.post(ASKED, json=reading(0), headers=bearer(key)).json()["accepted"] == 1
    assert asked.get("/metrics", headers=bearer(key)).status_code == 401
    assert asked.get("/v2", headers=bearer(key)).status_code == 401
    assert asked.post(ASKED, json=reading(0)).status_code == 401


def test_a_stream_ends_with_the_revocation(client: Client, registry: DeviceRegistry) -> None:
    key = registry.add("d1").key
    asked = client()
    for headers in ({}, bearer("made-up")):
        with pytest.raises(WebSocketDenialResponse) as denied, asked.websocket_connect(STREAM, headers=headers):
            pass
        assert denied.value.status_code == 401
    with asked.websocket_connect(STREAM, headers=bearer(key)) as stream:
        stream.send_json([reading(0), reading(1, "d2")])
        answer = stream.receive_json()
        assert (answer["message"], answer["status"], answer["accepted"], answer["refused"]) == (1, 200, 1, 1)
        registry.revoke("d1")
        stream.send_json(reading(2))
        assert stream.receive_json()["status"] == 401
        with pytest.raises(WebSocketDisconnect) as closed:
            stream.receive_json()
        assert closed.value.code == 1008


def test_a_stream_asks_for_the_role_of_an_operator(client: Client) -> None:
    reading_key = "a-readers-key-of-its-own"
    asked = client(
        ApiKey(name="operator", role="operator", key=SecretStr(ADMIN)),
        ApiKey(name="reader", role="reader", key=SecretStr(reading_key)),
    )
    for headers, status in (({}, 401), (bearer(reading_key), 403)):
        with pytest.raises(WebSocketDenialResponse) as denied, asked.websocket_connect(STREAM, headers=headers):
            pass
        assert denied.value.status_code == status
    with asked.websocket_connect(STREAM, headers=bearer(ADMIN)) as stream:
        stream.send_json(reading(0, "any"))
        assert stream.receive_json()["status"] == 200


def test_a_name_in_any_spelling_counts() -> None:
    own = OwnDevice(load_usecase("sensors").contract, mapping={"Handset": "device_id"})
    assert own.field == "device_id"
    assert not own.is_other({"device_id": "d1"}, "d1")
    assert not own.is_other({"sensor": "x"}, "d1")
    assert not own.is_other("text", "d1")
    for name in ("device_id", "deviceId", "DEVICEID", " device_id ", "handset"):
        assert own.is_other({name: "d2"}, "d1")
    assert own.is_other({"device_id": "d1", "deviceId": "d2"}, "d1")
    assert own.is_other({"device_id": None}, "d1")
    assert own.kept(b'{"device_id":"d1"}\n{"device_id":"d2"}', "d1").startswith(b'{"device_id":"d1"}\n"device_id.not')


def test_lists_give_each_device_its_own_topics(registry: DeviceRegistry) -> None:
    registry.add("d1")
    registry.add("d2", certificate_sha256="b" * 64)
    registry.add("d-3")  # a hash in base64 cannot hold this name by chance
    registry.add("platform", reads=True)
    registry.revoke("d-3")
    lists = mosquitto_lists(registry, topic="phones/{device}/#")
    assert [line.partition(":")[0] for line in lists.passwords.splitlines()] == ["d1", "platform"]
    assert lists.rights.split("\n\n")[0].endswith("user d1\ntopic write phones/d1/#")
    assert "user d2\ntopic write phones/d2/#" in lists.rights
    assert "user platform\ntopic read phones/+/#" in lists.rights
    assert "d-3" not in lists.rights + lists.passwords
    for topic in ("phones/#", "phones/x{device}/#", "{device}/{device}", "phones/#/{device}", "+/{device}"):
        with pytest.raises(InputError, match="no form"):
            mosquitto_lists(registry, topic=topic)


def test_the_commands_show_a_key_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = ["--workspace", str(tmp_path)]
    assert main(["devices", "list", *place]) == 0
    assert "no device was added" in capsys.readouterr().out
    assert main(["devices", "add", "d1", *place, "--json"]) == 0
    key = json.loads(capsys.readouterr().out)["key"]
    assert main(["devices", "add", "d1", *place]) == 2
    assert main(["devices", "add", "d2", "--certificate", str(tmp_path / "none.pem"), *place]) == 2
    assert main(["devices", "revoke", "d9", *place]) == 2
    capsys.readouterr()
    assert main(["devices", "list", *place]) == 0
    shown = capsys.readouterr().out
    assert "d1" in shown
    assert key not in shown
    assert main(["devices", "mosquitto", str(tmp_path), "--topic", "phones/{device}/#", *place]) == 0
    assert (tmp_path / "passwords").read_text().startswith("d1:$7$101$")
    assert main(["devices", "mosquitto", str(tmp_path / "none"), "--topic", "phones/{device}/#", *place]) == 2
    assert main(["devices", "revoke", "d1", *place]) == 0
    assert main(["devices", "mosquitto", str(tmp_path), "--topic", "phones/{device}/#", *place]) == 0
    assert (tmp_path / "passwords").read_text() == ""


def test_a_file_that_is_no_registry_is_told(tmp_path: Path, client: Client) -> None:
    (tmp_path / DEVICES).parent.mkdir()
    (tmp_path / DEVICES).write_bytes(b"not a database, and long enough to be told from one" * 100)
    asked = client()
    answer = asked.post(ASKED, json=reading(0))
    assert answer.status_code == 503
    assert str(tmp_path) not in answer.text
    with pytest.raises(sqlite3.DatabaseError):
        sqlite3.connect(tmp_path / DEVICES).execute("SELECT 1 FROM devices")
