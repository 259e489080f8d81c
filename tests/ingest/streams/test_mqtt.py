"""``trunkline watch USECASE mqtt://...`` with a real Mosquitto: each message once, whoever is killed."""

import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.servers.mosquitto import Mosquitto

from trunkline.cli import main
from trunkline.engine import open_engine
from trunkline.ingest.streams import CRASH_POINTS
from trunkline.lake import Lake
from trunkline.run.mqtt_watch import CRASH_POINTS as MQTT_POINTS
from trunkline.settings.drills import VARIABLE
from trunkline.settings.lake import LakeSettings

pytestmark = pytest.mark.servers
Reading = Callable[[int], dict[str, object]]
FILTER = "phones/+/readings"


class Sender:
    """A device's client: QoS 1, its own session; keeps what was not acknowledged, as devices do."""

    def __init__(
        self,
        port: int,
        name: str = "sender",
        *,
        will: tuple[str, bytes] | None = None,
        password: str = "",
        tls: ssl.SSLContext | None = None,
    ) -> None:
        from paho.mqtt.client import Client, MQTTv5
        from paho.mqtt.enums import CallbackAPIVersion

        self._client = Client(CallbackAPIVersion.VERSION2, client_id=name, protocol=MQTTv5)
        if will is not None:
            self._client.will_set(will[0], will[1], qos=1)
        if password:
            self._client.username_pw_set(name, password)
        if tls is not None:
            self._client.tls_set_context(tls)
        self._client.max_queued_messages_set(0)
        self._client.reconnect_delay_set(min_delay=1, max_delay=1)
        self._answers: list[bool] = []
        self._client.on_connect = lambda _client, _data, _flags, reason, _properties: self._answers.append(
            reason.is_failure
        )
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
            assert one.is_published()
        self._sent.clear()

    def is_welcome(self) -> bool:
        """Whether the broker lets this client in; it is asked until it answers."""
        until = time.monotonic() + 30
        while not self._answers:
            assert time.monotonic() < until
            threading.Event().wait(0.02)
        return not self._answers[0]

    def die(self) -> None:
        """Cut the connection without a word, so that the last will is published."""
        self._client._sock_close()
        self._client.loop_stop()

    def give_up(self) -> None:
        self._client.disconnect()
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


def test_killed_anywhere_a_consumer_takes_each_message_once(
    url: str, sender: Sender, tmp_path: Path, reading: Reading
) -> None:
    drained(tmp_path, url)
    points = ("mqtt.before_log", "log.before_commit", *MQTT_POINTS[1:], *CRASH_POINTS)
    for number, at in enumerate(points):
        sender.send([*map(reading, range(number * 20, number * 20 + 19)), b"poison %d" % number])
        sender.wait()
        killed = watching(tmp_path, url, "--once", crash_at=at)
        _, err = killed.communicate(timeout=120)
        assert killed.returncode == -signal.SIGKILL, (at, err)
    drained(tmp_path, url)
    balanced(tmp_path, read=len(points) * 20, accepted=len(points) * 19)


def test_a_sender_that_names_its_messages_may_send_them_again(
    url: str, sender: Sender, tmp_path: Path, reading: Reading
) -> None:
    drained(tmp_path, url)
    names = [f"m{number}" for number in range(20)]
    for _ in range(2):  # a device that was cut off before its acknowledgement came
        sender.send([*map(reading, range(20))], ids=names)
    sender.wait()
    drained(tmp_path, url)
    sender.send([*map(reading, range(20))], ids=names)
    sender.send([reading(20)], ids=["m0"], topic="phones/other/readings")  # the same name of another's
    sender.wait()
    drained(tmp_path, url)
    balanced(tmp_path, read=21, accepted=21)


def test_what_was_retained_comes_once_and_a_last_will_is_a_message(
    url: str, mosquitto: Mosquitto, sender: Sender, tmp_path: Path, reading: Reading
) -> None:
    sender.send([reading(0)], topic="phones/d0/readings", retain=True)
    sender.send([reading(1)], topic="phones/d1/readings", retain=True)
    sender.wait()
    assert sum(batch["read"] for batch in drained(tmp_path, url)["batches"]) == 2
    dying = Sender(mosquitto.port, "dying", will=("phones/d2/readings", json.dumps(reading(2)).encode()))
    assert dying.is_welcome()
    dying.die()
    sender.send([reading(3)], topic="phones/d3/readings", retain=True)  # live, and kept by the broker as well
    sender.send([b""], topic="phones/d0/readings", retain=True)  # taken back: no row
    sender.wait()
    live = drained(tmp_path, url)
    assert sum(batch["read"] for batch in live["batches"]) == 2
    forgetful = (
        f"{url}?client_id=another"  # as if the broker had forgotten the session: all that is retained comes again
    )
    assert drained(tmp_path, forgetful)["batches"] == []
    balanced(tmp_path, read=4, accepted=4)


def test_a_killed_broker_doubles_nothing_and_the_consumer_finds_it_again(
    url: str, mosquitto: Mosquitto, sender: Sender, tmp_path: Path, reading: Reading
) -> None:
    drained(tmp_path, url)
    consumer = watching(tmp_path, f"{url}?keep_alive_s=5")
    try:
        sender.send([reading(0)], ids=["m0"])
        sender.wait()
        assert consumer.stdout is not None
        assert "accepted" in consumer.stdout.readline()  # it is connected: one that begins without a broker ends
        sent = 0
        for _ in range(3):
            names = [f"m{number}" for number in range(sent, sent + 100)]
            values = [*map(reading, range(sent, sent + 100))]
            sender.send(values, ids=names)
            mosquitto.kill()  # messages are on their way in both directions
            mosquitto.start()
            sender.wait()
            # What Mosquitto acknowledged and had not written down when it died is lost to it: a device that cares
            # names its messages, and sends them again.
            sender.send(values, ids=names)
            sender.wait()
            sent += 100
        consumer.send_signal(signal.SIGTERM)
        _, err = consumer.communicate(timeout=60)
        assert consumer.returncode == 0, err
    finally:
        consumer.kill()
        consumer.communicate()
    until = time.monotonic() + 60
    while (
        len(table(tmp_path, "sensors.readings")) < sent
    ):  # a broker that has just begun may rest for longer than a drain
        assert time.monotonic() < until, "a message is lost"
        drained(tmp_path, url)
    drained(tmp_path, url)  # what is there twice would come now
    balanced(tmp_path, read=sent, accepted=sent)


def test_a_watch_ends_while_messages_keep_coming(url: str, sender: Sender, tmp_path: Path, reading: Reading) -> None:
    consumer = watching(tmp_path, url)
    told = threading.Event()

    def send() -> None:
        number = 0
        while not told.wait(0.005):
            sender.send([reading(number)])
            number += 1

    sending = threading.Thread(target=send)
    sending.start()
    try:
        until = time.monotonic() + 60
        while not table(tmp_path, "sensors.readings"):
            assert time.monotonic() < until
            threading.Event().wait(0.1)
        consumer.send_signal(signal.SIGTERM)
        _, err = consumer.communicate(timeout=60)  # it would wait for the sender, which waits for it
        assert consumer.returncode == 0, err
    finally:
        told.set()
        sending.join()
        consumer.kill()
        consumer.communicate()


def test_processes_share_a_subscription_and_one_takes_over_the_lake(
    url: str, mosquitto: Mosquitto, sender: Sender, tmp_path: Path, reading: Reading
) -> None:
    shared = url.replace(FILTER, f"$share/lake/{FILTER}")
    processes = [watching(tmp_path, shared) for _ in range(2)]
    try:
        sent = 0
        log = tmp_path / "locks"
        until = time.monotonic() + 60
        while len([*log.glob("mqtt-*-1.lock"), *log.glob("mqtt-*.lake.lock")]) < 2:
            assert time.monotonic() < until
            threading.Event().wait(0.1)
        for round_ in range(6):
            sender.send([*map(reading, range(sent, sent + 50))])
            sent += 50
            if round_ == 3:
                processes[0].kill()  # what it has not acknowledged waits in its session, for the one that is next
            threading.Event().wait(0.3)
        sender.wait()
        processes[1].send_signal(signal.SIGTERM)
        _, err = processes[1].communicate(timeout=60)
        assert processes[1].returncode == 0, err
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    heirs = [watching(tmp_path, shared, "--once") for _ in range(2)]  # one for each session
    for heir in heirs:
        _, err = heir.communicate(timeout=120)
        assert heir.returncode == 0, err
    drained(tmp_path, shared)
    balanced(tmp_path, read=sent, accepted=sent)


def test_one_subscription_that_is_not_shared_has_one_reader(url: str, tmp_path: Path) -> None:
    first = watching(tmp_path, url)
    try:
        until = time.monotonic() + 60
        while not [*(tmp_path / "locks").glob("mqtt-*.lake.lock")]:
            assert time.monotonic() < until
            threading.Event().wait(0.1)
        second = watching(tmp_path, url, "--once")
        _, err = second.communicate(timeout=60)
        assert second.returncode == 2
        assert "$share/GROUP/" in err
    finally:
        first.send_signal(signal.SIGTERM)
        _, err = first.communicate(timeout=60)
    assert first.returncode == 0, err


def test_a_broker_that_is_away_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as nobody:  # a port of which nobody listens
        nobody.bind(("127.0.0.1", 0))
        port = nobody.getsockname()[1]
    place = ["--once", "--workspace", str(tmp_path)]
    assert main(["watch", "sensors", f"mqtt://ann:hidden@127.0.0.1:{port}/a", *place]) == 1
    told = capsys.readouterr().err
    assert "did not answer" in told
    assert "hidden" not in told
    assert main(["watch", "sensors", f"mqtt://127.0.0.1:{port}/a", "--delete", *place]) == 2
    assert "a topic has no files" in capsys.readouterr().err


def _listed(workspace: Path, mosquitto: Mosquitto) -> None:
    place = ["--workspace", str(workspace), "--topic", "phones/{device}/#"]
    assert main(["devices", "mosquitto", str(mosquitto.folder), *place]) == 0


def test_devices_with_keys_write_their_own_topics_until_they_are_revoked(
    mosquitto: Mosquitto, tmp_path: Path, reading: Reading, capsys: pytest.CaptureFixture[str]
) -> None:
    keys: dict[str, str] = {}
    for name in ("d1", "d2", "platform"):
        options = ["--reads"] if name == "platform" else []
        assert main(["devices", "add", name, *options, "--workspace", str(tmp_path), "--json"]) == 0
        keys[name] = json.loads(capsys.readouterr().out)["key"]
    _listed(tmp_path, mosquitto)
    files = (f"password_file {mosquitto.folder}/passwords", f"acl_file {mosquitto.folder}/rights")
    mosquitto.configure(("allow_anonymous false", *files))
    mosquitto.start()
    (tmp_path / "trunkline.toml").write_text(
        f'[sources.phones]\nkind = "topic"\nusecase = "sensors"\nurl = "mqtt://127.0.0.1:{mosquitto.port}/{FILTER}"\n'
        f'options = {{ username = "platform", password = "{keys["platform"]}", device_level = "2" }}\n'
    )
    drained(tmp_path, "phones")
    assert not Sender(mosquitto.port, "d1", password="guessed").is_welcome()
    assert not Sender(mosquitto.port, "nobody", password=keys["d1"]).is_welcome()
    first = Sender(mosquitto.port, "d1", password=keys["d1"])
    assert first.is_welcome()
    own, other = {**reading(0), "device_id": "d1"}, {**reading(1), "device_id": "d2"}
    first.send([own, other], topic="phones/d1/readings")
    first.send([other], topic="phones/d2/readings")  # acknowledged, as MQTT wants it, and given to nobody
    first.close()
    drained(tmp_path, "phones")
    balanced(tmp_path, read=2, accepted=1)
    assert [row["device_id"] for row in table(tmp_path, "sensors.readings")] == ["d1"]
    assert main(["devices", "list", "--workspace", str(tmp_path), "--json"]) == 0
    document = json.loads(capsys.readouterr().out.partition("\n")[2])
    assert [one["seen_at"] is not None for one in document["devices"]] == [True, False, False]
    live = Sender(mosquitto.port, "d1", password=keys["d1"])
    assert live.is_welcome()
    assert main(["devices", "revoke", "d1", "--workspace", str(tmp_path)]) == 0
    _listed(tmp_path, mosquitto)
    mosquitto.reload()
    assert not Sender(mosquitto.port, "d1", password=keys["d1"]).is_welcome()
    live.send([{**reading(2), "device_id": "d1"}], topic="phones/d1/readings")  # connected or not: it counts no more
    second = Sender(mosquitto.port, "d2", password=keys["d2"])
    assert second.is_welcome()
    second.send([{**reading(3), "device_id": "d2"}], topic="phones/d2/readings")
    second.close()
    drained(tmp_path, "phones")
    live.give_up()
    assert sorted(row["device_id"] for row in table(tmp_path, "sensors.readings")) == ["d1", "d2"]


@pytest.mark.parametrize("profile", ["aws-iot-core", "azure-event-grid"])
def test_clouds_ask_for_certificates_and_so_does_this_broker(
    mosquitto: Mosquitto,
    tmp_path: Path,
    reading: Reading,
    make_certificates: Callable[[Path], None],
    profile: str,
) -> None:
    files = tmp_path / "certificates"
    files.mkdir()
    make_certificates(files)
    make_certificates(mosquitto.folder)  # a second authority: what the folder of the broker begins with
    for file in files.iterdir():
        (mosquitto.folder / file.name).write_bytes(file.read_bytes())
        (mosquitto.folder / file.name).chmod(0o644)
    for name in ("d1", "platform"):
        options = ["--reads"] if name == "platform" else []
        certificate = ["--certificate", str(files / f"{name}.pem"), *options]
        assert main(["devices", "add", name, *certificate, "--workspace", str(tmp_path)]) == 0
    _listed(tmp_path, mosquitto)
    folder = mosquitto.folder
    pairs = (f"cafile {folder}/ca.pem", f"certfile {folder}/server.pem", f"keyfile {folder}/server.key")
    asks = ("require_certificate true", "use_identity_as_username true", f"acl_file {folder}/rights")
    mosquitto.configure(("allow_anonymous false", *pairs, *asks))
    mosquitto.start()

    def declared(name: str) -> str:
        return (
            f'[sources.phones]\nkind = "topic"\nusecase = "sensors"\n'
            f'url = "mqtts://127.0.0.1:{mosquitto.port}/{FILTER}?profile={profile}"\n[sources.phones.options]\n'
            f'"tls.ca" = "{files}/ca.pem"\n"tls.certificate" = "{files}/{name}.pem"\n"tls.key" = "{files}/{name}.key"\n'
        )

    settings = tmp_path / "trunkline.toml"
    settings.write_text(declared("stranger"))
    process = watching(tmp_path, "phones", "--once")
    _, err = process.communicate(timeout=60)
    assert process.returncode in (1, 2), err
    assert "TLS" in err or "certificate" in err
    settings.write_text(declared("platform"))
    drained(tmp_path, "phones")

    def tls(name: str) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=files / "ca.pem")
        context.load_cert_chain(files / f"{name}.pem", files / f"{name}.key")
        return context

    for name in ("d1", "unknown"):  # the authority vouches for both; the registry knows one
        device = Sender(mosquitto.port, name, tls=tls(name))
        device.send([{**reading(0), "device_id": name}], topic=f"phones/{name}/readings")
        device.close()
    drained(tmp_path, "phones")
    assert [row["device_id"] for row in table(tmp_path, "sensors.readings")] == ["d1"]


def test_devices_of_the_form_of_azure_iot_hub(
    mosquitto: Mosquitto, tmp_path: Path, reading: Reading, make_certificates: Callable[[Path], None]
) -> None:
    from paho.mqtt.client import Client, MQTTv311
    from paho.mqtt.enums import CallbackAPIVersion

    folder = mosquitto.folder
    make_certificates(folder)
    for file in folder.iterdir():
        file.chmod(0o644)
    user = "127.0.0.1/{}/?api-version=2021-04-12"
    rights = (  # who is named otherwise than the Hub wants it may do nothing, whatever its certificate
        f"user {user.format('platform')}\ntopic read devices/+/messages/events/#\n"
        f"user {user.format('d1')}\ntopic write devices/d1/messages/events/#\n"
    )
    (folder / "rights").write_text(rights)
    (folder / "rights").chmod(0o644)
    pairs = (f"cafile {folder}/ca.pem", f"certfile {folder}/server.pem", f"keyfile {folder}/server.key")
    asks = ("require_certificate true", f"acl_file {folder}/rights")
    mosquitto.configure(("allow_anonymous true", *pairs, *asks))
    mosquitto.start()
    url = f"mqtts://127.0.0.1:{mosquitto.port}/devices/+/messages/events/#"
    (tmp_path / "trunkline.toml").write_text(
        '[sources.phones]\nkind = "topic"\nusecase = "sensors"\n'
        f'url = "{url}?profile=azure-iot-hub&client_id=platform"\n[sources.phones.options]\n'
        f'"tls.ca" = "{folder}/ca.pem"\n"tls.certificate" = "{folder}/d2.pem"\n"tls.key" = "{folder}/d2.key"\n'
    )
    drained(tmp_path, "phones")  # from now on the broker keeps what comes: MQTT 3.1.1, a session that stays

    def device(user: str, *values: object) -> None:
        context = ssl.create_default_context(cafile=folder / "ca.pem")
        context.load_cert_chain(folder / "d1.pem", folder / "d1.key")
        client = Client(CallbackAPIVersion.VERSION2, client_id=user.split("/")[1], protocol=MQTTv311)
        client.username_pw_set(user)
        client.tls_set_context(context)
        client.connect("127.0.0.1", mosquitto.port)
        client.loop_start()
        bag = "$.ct=application%2Fjson&$.ce=utf-8"
        for value in values:
            sent = client.publish(f"devices/d1/messages/events/{bag}", json.dumps(value), qos=1)
            sent.wait_for_publish(timeout=30)
            assert sent.is_published()
        client.disconnect()
        client.loop_stop()

    device(user.format("d1"), reading(1) | {"device_id": "d1"}, reading(2) | {"device_id": "d2"})
    device("127.0.0.1/d1/?api-version=1", reading(3) | {"device_id": "d1"})  # not as the Hub wants it
    drained(tmp_path, "phones")
    assert [(row["device_id"], row["read_at"].second) for row in table(tmp_path, "sensors.readings")] == [("d1", 1)]
    [refused] = table(tmp_path, "platform.quarantine")
    assert "device_id.not_its_own" in refused["row"]
    drained(tmp_path, "phones")  # what was acknowledged does not come again
    assert len(table(tmp_path, "sensors.readings")) == 1
