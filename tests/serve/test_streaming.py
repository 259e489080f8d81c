"""The edge as a WebSocket, and TLS, over real sockets: ``trunkline serve`` as a process of its own."""

import http.client
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from starlette.testclient import TestClient, WebSocketDenialResponse
from starlette.websockets import WebSocketDisconnect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from trunkline.brokers import EmbeddedLog, Message
from trunkline.cli import main
from trunkline.engine import open_engine
from trunkline.errors import FullError, InputError
from trunkline.ingest.streams import topic_of
from trunkline.lake import Lake
from trunkline.plugins import load_usecase
from trunkline.serve import create_app
from trunkline.serve.tls import server_context
from trunkline.settings.brokers import BrokerSettings
from trunkline.settings.lake import LakeSettings
from trunkline.settings.serve import ServeSettings

ASKED = "/v1/ingest/sensors/readings"
STREAM = f"ws://127.0.0.1{ASKED}/stream"
ENVELOPE = {
    "messageId": 7,
    "sessionId": "s",
    "deviceId": "d",
    "payload": [
        {"name": "accelerometer", "time": 1752154349420643800 + n * 10_000_000, "values": {"x": 0.1, "y": n, "z": 1}}
        for n in range(50)
    ],
}


def now() -> datetime:
    return datetime.now(UTC)


def reading(number: int, device: str = "d") -> dict[str, object]:
    at = f"2026-01-01T00:{number // 60:02d}:{number % 60:02d}Z"
    return {"device_id": device, "session_id": "s", "sensor": "battery", "read_at": at, "battery_level": 0.5}


def opened(folder: Path) -> Lake:
    return Lake(folder / "lake", engine=open_engine("duckdb"), settings=LakeSettings(), clock=now)


def rows(folder: Path, table: str) -> list[dict[str, Any]]:
    lake = opened(folder)
    found: list[dict[str, Any]] = lake.arrow(table).to_pylist() if lake.exists(table) else []
    lake.engine.close()
    return found


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TestClient]:
    app = create_app(
        tmp_path,
        usecases={"sensors": load_usecase("sensors")},
        lake=lambda: opened(tmp_path),
        clock=now,
        settings=ServeSettings(max_body_mb=0.01, max_rows=100),
        flush_every_s=0.05,
    )
    with TestClient(app, base_url="http://127.0.0.1") as client:
        yield client


@pytest.mark.slow
def test_each_message_is_answered_when_it_is_durable(client: TestClient, tmp_path: Path) -> None:
    log = EmbeddedLog(tmp_path / "log" / "log.db", settings=BrokerSettings(), clock=now)
    with client.websocket_connect(STREAM) as stream:
        for number in range(1, 4):
            stream.send_json(reading(number))
            answer = stream.receive_json()
            assert (answer["message"], answer["status"], answer["accepted"]) == (number, 200, 1)
            assert log.end(topic_of("sensors", "readings")) == number
        stream.send_bytes(json.dumps(ENVELOPE).encode())
        assert stream.receive_json()["accepted"] == 50
        stream.send_text(f"{json.dumps(reading(5))}\n{json.dumps({'device_id': 'd'})}\n")
        answer = stream.receive_json()
        assert (answer["read"], answer["accepted"], answer["errors"][0]["row"]) == (2, 1, 1)
        assert "hints" in answer
    log.close()
    client.__exit__(None, None, None)
    client.__enter__()
    assert len(rows(tmp_path, "sensors.readings")) == 54
    assert len(rows(tmp_path, "platform.quarantine")) == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sent", "status"),
    [("no json", 400), ("", 400), ("[]", 400), ("x" * 20_000, 413), (json.dumps([{}] * 101), 413)],
    ids=["no json", "empty", "no record", "too large", "too many"],
)
def test_what_is_not_taken_is_told_and_the_stream_goes_on(client: TestClient, sent: str, status: int) -> None:
    with client.websocket_connect(STREAM) as stream:
        stream.send_text(sent)
        refused = stream.receive_json()
        assert (refused["message"], refused["status"]) == (1, status)
        assert refused["error"]
        stream.send_json(reading(1))
        assert (answer := stream.receive_json())["status"] == 200
        assert answer["message"] == 2


def test_pages_of_other_sites_cannot_open_one(client: TestClient) -> None:
    for headers, status in (({"origin": "http://evil.example"}, 403), ({"host": "evil.example"}, 421)):
        with pytest.raises(WebSocketDenialResponse) as denied, client.websocket_connect(STREAM, headers=headers):
            pass
        assert denied.value.status_code == status
    with pytest.raises(WebSocketDisconnect), client.websocket_connect(f"ws://127.0.0.1{ASKED}/other"):
        pass


@pytest.mark.slow
def test_a_full_log_makes_the_sender_wait(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    full = True
    publish = EmbeddedLog.publish

    def publishing(log: EmbeddedLog, batches: Mapping[str, Sequence[Message]]) -> Mapping[str, int]:
        if full:
            raise FullError("the durable log is full")
        return publish(log, batches)

    monkeypatch.setattr(EmbeddedLog, "publish", publishing)
    with client.websocket_connect(STREAM) as stream:
        stream.send_json(reading(1))
        answer = stream.receive_json()
        assert (answer["message"], answer["status"], "accepted" in answer) == (1, 429, False)
        assert answer["next"]
        full = False
        stream.send_json(reading(1))
        assert (answer := stream.receive_json())["status"] == 200
        assert answer["message"] == 2


@contextmanager
def serving(workspace: Path, **settings: object) -> Iterator[str]:
    """Run ``trunkline serve``; gives ``host:port``."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TRUNKLINE_")}
    environment |= {f"TRUNKLINE_SERVE__{name.upper()}": str(value) for name, value in settings.items()}
    process = subprocess.Popen(
        [sys.executable, "-m", "trunkline", "serve", "--port", "0", "--workspace", str(workspace)],
        cwd=workspace,
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        said = []
        for line in process.stderr:
            said.append(line)
            if "trunkline serves " in line:
                break
        else:
            raise AssertionError("".join(said))
        place = said[-1].strip().partition("://")[2]
        _wait_for(place)
        yield place
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.communicate(timeout=60)
        finally:
            process.kill()


def _wait_for(place: str) -> None:
    """Wait until somebody listens: the address is told once it is bound, before all is loaded."""
    host, _, port = place.partition(":")
    until = time.monotonic() + 60
    while True:
        try:
            socket.create_connection((host, int(port)), timeout=1).close()
        except OSError:
            assert time.monotonic() < until
            threading.Event().wait(0.05)
        else:
            return


def answered(stream: ClientConnection) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(stream.recv(timeout=20))
    return document


@pytest.mark.slow
def test_a_stream_over_a_socket_is_answered_in_order(tmp_path: Path) -> None:
    with serving(tmp_path, max_body_mb=0.05) as place:
        with connect(f"ws://{place}{ASKED}/stream") as stream:
            for number in range(300):  # sent ahead of the answers: they come in order
                stream.send(json.dumps(reading(number)))
            assert [answered(stream)["message"] for _ in range(300)] == list(range(1, 301))
            stream.send("x" * 200_000)
            with pytest.raises(ConnectionClosed) as closed:
                answered(stream)
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1009
        with pytest.raises(InvalidStatus) as refused:
            connect(f"ws://{place}{ASKED}/stream", additional_headers={"Origin": "http://evil.example"})
        assert refused.value.response.status_code == 403
    assert len(rows(tmp_path, "sensors.readings")) == 300


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory, make_certificates: Callable[[Path], None]) -> Path:
    folder = tmp_path_factory.mktemp("certificates")
    make_certificates(folder)
    return folder


def trusting(folder: Path, *, client: str = "") -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=folder / "ca.pem")
    if client:
        context.load_cert_chain(folder / f"{client}.pem", folder / f"{client}.key")
    return context


def posted(place: str, context: ssl.SSLContext, row: dict[str, object]) -> int:
    host, _, port = place.partition(":")
    connection = http.client.HTTPSConnection(host, int(port), context=context, timeout=20)
    try:
        connection.request("POST", ASKED, json.dumps(row))
        return connection.getresponse().status
    finally:
        connection.close()


@pytest.mark.slow
def test_devices_are_known_by_their_certificates(certificates: Path, tmp_path: Path) -> None:
    for name in ("d1", "d2"):
        certificate = str(certificates / f"{name}.pem")
        assert main(["devices", "add", name, "--certificate", certificate, "--workspace", str(tmp_path)]) == 0
    said = {
        "tls_certificate": certificates / "server.pem",
        "tls_key": certificates / "server.key",
        "tls_client_ca": certificates / "ca.pem",
    }
    with serving(tmp_path, **said) as place:
        assert posted(place, trusting(certificates, client="d1"), reading(0, "d1")) == 200
        assert posted(place, trusting(certificates), reading(1, "d1")) == 401  # TLS without a certificate
        assert posted(place, trusting(certificates, client="unknown"), reading(2, "d1")) == 401
        with pytest.raises(ssl.SSLError):
            posted(place, ssl.create_default_context(), reading(3, "d1"))
        with pytest.raises((ssl.SSLError, OSError)):  # of another authority: refused by TLS itself
            posted(place, trusting(certificates, client="stranger"), reading(4, "d1"))
        address, tls = f"wss://{place}{ASKED}/stream", trusting(certificates, client="d2")
        with connect(address, ssl=tls) as stream:
            stream.send(json.dumps([reading(5, "d2"), reading(6, "d1")]))
            answer = answered(stream)
            assert (answer["accepted"], answer["errors"]) == (1, [{"row": 1, "reasons": ["device_id.not_its_own"]}])
            assert main(["devices", "revoke", "d2", "--workspace", str(tmp_path)]) == 0
            stream.send(json.dumps(reading(7, "d2")))
            assert answered(stream)["status"] == 401
        with pytest.raises(InvalidStatus) as refused:
            connect(address, ssl=tls)
        assert refused.value.response.status_code == 401
        plain = http.client.HTTPConnection(place, timeout=20)
        plain.request("GET", "/v2/health/live")
        with pytest.raises((OSError, http.client.HTTPException)):  # nothing is said without TLS
            plain.getresponse()
    found = rows(tmp_path, "sensors.readings")
    assert sorted(row["device_id"] for row in found) == ["d1", "d2"]


@pytest.mark.parametrize(
    "said",
    [
        {"tls_certificate": "a"},
        {"tls_key": "a"},
        {"tls_client_ca": "a"},
        {"tls_certificate": "a", "tls_key": "b", "tls_client_required": True},
    ],
    ids=",".join,
)
def test_half_of_tls_is_refused(said: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        ServeSettings.model_validate(said)


@pytest.mark.parametrize("names", [("none.pem", "server.key"), ("server.pem", "d1.key"), ("server.key", "server.pem")])
def test_files_that_do_not_belong_together_are_refused(certificates: Path, names: Sequence[str]) -> None:
    certificate, key = (certificates / name for name in names)
    with pytest.raises(InputError, match="cannot be used"):
        server_context(ServeSettings(tls_certificate=certificate, tls_key=key))
    with pytest.raises(InputError, match="cannot be used") as refused:
        server_context(
            ServeSettings(
                tls_certificate=certificates / "server.pem",
                tls_key=certificates / "server.key",
                tls_client_ca=certificates / "none.pem",
            )
        )
    assert refused.value.where == "serve.tls_client_ca"
