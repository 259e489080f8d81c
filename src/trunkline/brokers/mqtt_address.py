"""An MQTT broker and a filter of its topics as one URL.

Takes ``mqtt://[user:password@]host[:1883]/FILTER[?option=value&...]``, ``mqtts://`` for TLS (port 8883), and options of
the settings. Gives what a client is configured with. ``FILTER`` is MQTT's own: ``phones/+/readings``, ``phones/#``,
``$share/GROUP/phones/#``.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qsl, unquote

from pydantic import SecretStr

from trunkline.errors import InputError

__all__ = ["MQTT_SCHEMES", "MqttAddress", "mqtt_address"]

MQTT_SCHEMES: Final = ("mqtt://", "mqtts://")
"""How addresses of MQTT brokers begin."""

_FORM: Final = "mqtt[s]://host[:port]/TOPIC/FILTER[?option=value]"
_PORTS: Final = {"mqtt://": 1883, "mqtts://": 8883}
_PROFILES: Final[Mapping[str, Mapping[str, str]]] = {
    # AWS IoT Core: quotas "Receive Maximum" 100 and "persistent session expiry" 1 h by default, at most 7 days.
    "aws-iot-core": {"receive_maximum": "100", "session_expiry_s": "604800"},
    # Azure Event Grid's MQTT broker.
    "azure-event-grid": {"receive_maximum": "65535", "session_expiry_s": "28800"},
    # Azure IoT Hub, "Communicate with an IoT hub using the MQTT protocol": MQTT 3.1.1 over TLS, the user is made of
    # hub and device, nothing is retained. What is said to the device of that name comes; telemetry of all devices
    # comes from brokers that take devices of the Hub's form in, and from the Hub itself over Kafka's protocol.
    "azure-iot-hub": {
        "version": "3.1.1",
        "username": "{host}/{client_id}/?api-version=2021-04-12",
        "filter": "devices/{client_id}/messages/devicebound/#",
        "device_level": "2",
        "retained": "skip",
    },
}
_OPTIONS: Final = (
    "client_id",
    "device_level",
    "keep_alive_s",
    "password",
    "profile",
    "receive_maximum",
    "retained",
    "session_expiry_s",
    "tls.alpn",
    "tls.ca",
    "tls.certificate",
    "tls.key",
    "tls.key_password",
    "username",
    "version",
)
_LONGEST_FILTER: Final = 1024


@dataclass(frozen=True)
class MqttAddress:
    """Where a broker is, what is read there, and how it is spoken to.

    Attributes:
        host: Name or address.
        port: Port.
        filter: What is subscribed to, as MQTT writes it, with ``$share/GROUP/`` where several share it.
        is_tls: Whether the connection is encrypted.
        is_5: Whether MQTT 5 is spoken; otherwise 3.1.1, which has neither ``receive_maximum`` nor an expiry.
        client_id: The session's name; empty for one that the workspace gives.
        device_level: Which level of a topic names the device, from 1; 0 for none.
        retained: Whether what the broker kept from before the subscription is taken in.
        keep_alive_s: Longest silence on the connection, seconds.
        receive_maximum: Messages that may be on their way without being durable here.
        session_expiry_s: For so long the broker keeps messages for a consumer that is away, seconds.
        secrets: User, password, and the files of TLS; not shown.
    """

    host: str
    port: int
    filter: str
    is_tls: bool
    is_5: bool
    client_id: str
    device_level: int
    retained: bool
    keep_alive_s: int
    receive_maximum: int
    session_expiry_s: int
    secrets: Mapping[str, str] = field(repr=False)

    @property
    def group(self) -> str:
        """The group of a shared subscription; empty where it is not shared."""
        return self.filter.split("/", 2)[1] if self.filter.startswith("$share/") else ""

    @property
    def where(self) -> str:
        """The broker and the filter, for messages: nothing secret."""
        return f"{self.host}:{self.port}/{self.filter}"


def mqtt_address(url: str, options: Mapping[str, SecretStr] | None = None) -> MqttAddress:
    """Take a URL apart.

    Args:
        url: The URL.
        options: Further options; they win over the URL's.

    Raises:
        InputError: It is malformed, or an option is unknown or out of range.

    >>> found = mqtt_address("mqtts://ann:pw@broker/$share/lake/phones/#?device_level=2")
    >>> found.host, found.port, found.filter, found.group, found.device_level
    ('broker', 8883, '$share/lake/phones/#', 'lake', 2)
    """
    scheme = next((one for one in MQTT_SCHEMES if url.startswith(one)), None)
    if scheme is None:
        raise InputError("this is no address of an MQTT broker", where="the address", allowed=(_FORM,))
    rest, _, query = url.removeprefix(scheme).partition("?")
    place, _, wanted = rest.partition("/")
    secret, _, host_port = place.rpartition("@")
    host, port = _host(host_port, _PORTS[scheme])
    try:
        said = dict(parse_qsl(query, keep_blank_values=True, strict_parsing=True)) if query else {}
    except ValueError:
        raise InputError("the options of the address are malformed", where="the address", allowed=(_FORM,)) from None
    user, _, password = secret.partition(":")
    given = {"username": unquote(user), "password": unquote(password)} if secret else {}
    given |= said | {name: value.get_secret_value() for name, value in (options or {}).items()}
    unknown = sorted(set(given) - set(_OPTIONS))
    if unknown:
        raise InputError(f"{unknown[0][:60]!r} is no option of MQTT", where="the address, or options", allowed=_OPTIONS)
    profile = given.pop("profile", "")
    if profile and profile not in _PROFILES:
        raise InputError(f"{profile[:40]!r} is no profile", where="option profile", allowed=_PROFILES)
    defaults = _defaults(profile, host=host, client_id=given.get("client_id", ""), is_tls=scheme == "mqtts://")
    wanted = unquote(wanted) or defaults.pop("filter", "")
    given = {**defaults, **given}
    given.pop("filter", None)
    _refuse_half(given, is_tls=scheme == "mqtts://")
    return MqttAddress(
        host=host,
        port=port,
        filter=_filter(wanted),
        is_tls=scheme == "mqtts://",
        is_5=_choice(given.pop("version", "5"), "version", ("5", "3.1.1")) == "5",
        client_id=_client_id(given.pop("client_id", "")),
        device_level=_number(given.pop("device_level", "0"), "device_level", 0, 100),
        retained=_choice(given.pop("retained", "take"), "retained", ("take", "skip")) == "take",
        keep_alive_s=_number(given.pop("keep_alive_s", "30"), "keep_alive_s", 1, 65_535),
        receive_maximum=_number(given.pop("receive_maximum", "2000"), "receive_maximum", 1, 65_535),
        session_expiry_s=_number(given.pop("session_expiry_s", "604800"), "session_expiry_s", 0, 4_294_967_295),
        secrets=given,
    )


def _defaults(profile: str, *, host: str, client_id: str, is_tls: bool) -> dict[str, str]:
    """What a profile says where nobody says otherwise, for this host and client."""
    said = _PROFILES.get(profile, {})
    if "{client_id}" in said.get("username", ""):
        if not client_id:
            raise InputError(
                f"the profile {profile} needs the name of a device", where="the address", next_step="add client_id"
            )
        if not is_tls:
            raise InputError(f"the profile {profile} is for TLS", where="the address", allowed=("mqtts://",))
    return {name: value.format(host=host, client_id=client_id) for name, value in said.items()}


def _host(text: str, port: int) -> tuple[str, int]:
    host, separator, digits = text.rpartition(":") if not text.endswith("]") else (text, "", "")
    if not separator:
        host, digits = text, str(port)
    host = host.removeprefix("[").removesuffix("]")
    if not host or not digits.isascii() or not digits.isdigit() or not 0 < int(digits) < 65_536:
        raise InputError("the host of an MQTT broker is malformed", where="the address", allowed=(_FORM,))
    return host, int(digits)


def _filter(wanted: str) -> str:
    """Refuse what is no filter: the broker would close the connection without a word."""
    levels = wanted.split("/")
    shared = levels[0] == "$share"
    inside = levels[2:] if shared else levels
    good = (
        bool(wanted)
        and len(wanted.encode()) <= _LONGEST_FILTER
        and "\0" not in wanted
        and all(level in ("+", "#") or not set(level) & set("+#") for level in inside)
        and "#" not in inside[:-1]
        and (not shared or (len(levels) > 2 and bool(levels[1]) and not set(levels[1]) & set("+#")))
        and any(inside)
    )
    if not good:
        raise InputError(
            f"{wanted[:60]!r} is no filter of MQTT topics",
            where="the address",
            allowed=("phones/d1/readings", "phones/+/readings", "phones/#", "$share/GROUP/phones/#"),
            next_step="add it behind the host",
        )
    return wanted


def _client_id(text: str) -> str:
    if len(text) > 128 or not text.isprintable():
        raise InputError("the client id is malformed", where="option client_id", allowed=("at most 128 signs",))
    return text


def _number(text: str, name: str, least: int, most: int) -> int:
    if not (text.isascii() and text.isdigit() and least <= int(text) <= most):
        raise InputError(f"{name} is no such number", where=f"option {name}", allowed=(f"{least} to {most}",))
    return int(text)


def _choice(text: str, name: str, allowed: tuple[str, ...]) -> str:
    if text not in allowed:
        raise InputError(f"{name} cannot be {text[:20]!r}", where=f"option {name}", allowed=allowed)
    return text


def _refuse_half(given: Mapping[str, str], *, is_tls: bool) -> None:
    """Refuse options that do nothing without others."""
    tls = sorted(name for name, value in given.items() if name.startswith("tls.") and value)
    if tls and not is_tls:
        raise InputError(f"{tls[0]} belongs to TLS", where="the address", allowed=("mqtts://",))
    if ("tls.certificate" in given) != ("tls.key" in given):
        raise InputError("tls.certificate and tls.key belong together", where="the address, or options")
    if "password" in given and not given.get("username"):
        raise InputError("a password needs a username", where="the address, or options")
