"""Addresses of MQTT brokers: what they say, what is refused; and the log that knows what it holds."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from trunkline.brokers import Message
from trunkline.brokers.mqtt import MqttReceiver
from trunkline.brokers.mqtt_address import mqtt_address
from trunkline.brokers.once import Mark, Marked, OnceLog
from trunkline.errors import InputError
from trunkline.settings.brokers import BrokerSettings

START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("mqtt://host", "no filter"),
        ("mqtt://host/", "no filter"),
        ("mqtt://host/a/#/b", "no filter"),
        ("mqtt://host/a+/b", "no filter"),
        ("mqtt://host/$share/group", "no filter"),
        ("mqtt://host/$share//a", "no filter"),
        ("mqtt://host/$share/a+/b", "no filter"),
        ("mqtt:///a", "host"),
        ("mqtt://host:0/a", "host"),
        ("mqtt://host:x/a", "host"),
        ("http://host/a", "no address"),
        ("mqtt://host/a?qos=0", "no option"),
        ("mqtt://host/a?profile=other", "no profile"),
        ("mqtt://host/a?device_level=x", "no such number"),
        ("mqtt://host/a?receive_maximum=0", "no such number"),
        ("mqtt://host/a?retained=maybe", "cannot be"),
        ("mqtt://host/a?tls.ca=x", "belongs to TLS"),
        ("mqtts://host/a?tls.key=x", "belong together"),
        ("mqtt://host/a?password=x", "needs a username"),
        ("mqtt://host/a?x", "malformed"),
        ("mqtt://host/a?version=4", "cannot be"),
        ("mqtts://host/a?profile=azure-iot-hub", "name of a device"),
        ("mqtt://host/a?profile=azure-iot-hub&client_id=d", "for TLS"),
        ("mqtts://host/?profile=aws-iot-core", "no filter"),
        ("mqtts://host/a?filter=b", "no option"),
    ],
)
def test_what_is_no_address_is_refused(url: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        mqtt_address(url)


def test_options_of_the_settings_win_and_secrets_are_not_shown() -> None:
    options = {"password": SecretStr("hidden"), "username": SecretStr("ann")}
    found = mqtt_address("mqtts://bob:shown@[::1]:1/phones/%23?profile=aws-iot-core", options)
    assert (found.host, found.port, found.filter, found.is_tls) == ("::1", 1, "phones/#", True)
    assert (found.receive_maximum, found.secrets["username"], found.secrets["password"]) == (100, "ann", "hidden")
    assert "hidden" not in repr(found)
    assert mqtt_address("mqtt://host/a").port == 1883


def test_a_device_of_azure_iot_hub_is_named_as_the_hub_wants_it() -> None:
    found = mqtt_address("mqtts://north.azure-devices.net/?profile=azure-iot-hub&client_id=d1")
    assert found.secrets["username"] == "north.azure-devices.net/d1/?api-version=2021-04-12"
    assert (found.filter, found.port, found.is_5) == ("devices/d1/messages/devicebound/#", 8883, False)
    assert (found.retained, found.device_level) == (False, 2)
    telemetry = "mqtts://edge/devices/+/messages/events/#?profile=azure-iot-hub&client_id=platform&device_level=0"
    other = mqtt_address(telemetry, {"username": SecretStr("me")})
    assert (other.filter, other.device_level) == ("devices/+/messages/events/#", 0)
    assert other.secrets["username"] == "me"


def test_a_certificate_that_cannot_be_read_is_the_users_fault(tmp_path: Path) -> None:
    address = mqtt_address(f"mqtts://127.0.0.1/a?tls.ca={tmp_path}/none.pem")
    with pytest.raises(InputError, match="cannot be used"):
        MqttReceiver(address, client_id="a", timeout_s=1)


class Clock:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def log(tmp_path: Path, clock: Clock) -> Iterator[OnceLog]:
    log = OnceLog(tmp_path / "log.db", settings=BrokerSettings(), clock=clock)
    yield log
    log.close()


def marked(value: bytes, name: bytes, *, may_repeat: bool) -> Marked:
    return Marked(Message(value), (Mark(name, value, may_repeat),))


def test_a_repeat_is_left_out_and_a_packet_id_used_again_is_none(log: OnceLog) -> None:
    first, second = marked(b"a", b"1", may_repeat=False), marked(b"b", b"1", may_repeat=False)
    assert log.publish_once("t", [first, first._replace(marks=(Mark(b"1", b"a", True),))]) == 1
    assert log.publish_once("t", [second, marked(b"a", b"1", may_repeat=True)]) == 0  # the id is another message's now
    assert log.publish_once("t", [marked(b"a", b"1", may_repeat=True)]) == 1
    assert log.publish_once("other", [marked(b"a", b"1", may_repeat=True)]) == 0
    assert [record.value for record in log.read("t", after=0, limit=9)] == [b"a", b"b", b"a"]


def test_marks_are_as_durable_as_records_and_go_with_them(log: OnceLog, tmp_path: Path, clock: Clock) -> None:
    log.publish_once("t", [marked(b"a", b"1", may_repeat=False)])
    again = OnceLog(tmp_path / "log.db", settings=BrokerSettings(), clock=clock)
    assert again.publish_once("t", [marked(b"a", b"1", may_repeat=True)]) == 1
    clock.now += timedelta(hours=25)
    assert again.forget(now=clock.now) == 1
    assert again.publish_once("t", [marked(b"a", b"1", may_repeat=True)]) == 0
    again.close()


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2), st.booleans()), max_size=30))
def test_it_holds_what_a_list_would(
    tmp_path_factory: pytest.TempPathFactory, sent: list[tuple[int, int, bool]]
) -> None:
    log = OnceLog(tmp_path_factory.mktemp("log") / "log.db", settings=BrokerSettings(), clock=Clock())
    held: list[bytes] = []
    known: dict[int, int] = {}
    for name, value, may_repeat in sent:
        if not (may_repeat and known.get(name) == value):
            held.append(b"%d" % value)
            known[name] = value
    log.publish_once("t", [marked(b"%d" % value, b"%d" % name, may_repeat=again) for name, value, again in sent])
    assert [record.value for record in log.read("t", after=0, limit=99)] == held
    log.close()
