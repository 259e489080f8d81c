"""MQTT's client: loaded when it is used, configured from an address, its refusals as errors of ours.

The only module that imports ``paho``.
"""

import ssl
from typing import TYPE_CHECKING, Any, Final

from trunkline.brokers.mqtt_address import MqttAddress
from trunkline.errors import BusyError, InputError, MissingExtraError, TrunklineError, UnavailableError

if TYPE_CHECKING:
    from paho.mqtt.client import Client
    from paho.mqtt.reasoncodes import ReasonCode

__all__ = ["FULL_TLS_FILES", "client_of", "connect_options", "refusal_of", "subscribe_options"]

FULL_TLS_FILES: Final = ("tls.ca", "tls.certificate", "tls.key")
"""Options that name files."""

_FOR_GOOD: Final = frozenset((0x84, 0x85, 0x86, 0x87, 0x8A, 0x8C, 0x8F, 0x90, 0x95, 0x9A, 0x9B, 0x9D, 0x9E, 0xA1, 0xA2))
"""Reason codes of MQTT 5 that trying again does not change: wrong user, no right, no such feature."""

_LARGEST_BYTES: Final = 16 << 20
_TAKEN_OVER: Final = 0x8E


def client_of(address: MqttAddress, *, client_id: str) -> "Client":
    """Make a client that acknowledges by hand.

    Args:
        address: Where the broker is.
        client_id: Names the session.

    Raises:
        InputError: A certificate or a key cannot be used.
        MissingExtraError: The extra ``mqtt`` is not installed.
    """
    try:
        from paho.mqtt.client import Client, MQTTv5, MQTTv311
        from paho.mqtt.enums import CallbackAPIVersion
    except ImportError:
        raise MissingExtraError("paho", extra="mqtt") from None
    # MQTT 5 says with each connection whether the session is kept, 3.1.1 with the client
    spoken: dict[str, Any] = {"protocol": MQTTv5} if address.is_5 else {"protocol": MQTTv311, "clean_session": False}
    client = Client(CallbackAPIVersion.VERSION2, client_id=client_id, manual_ack=True, **spoken)
    secrets = address.secrets
    if secrets.get("username"):
        client.username_pw_set(secrets["username"], secrets.get("password"))
    if address.is_tls:
        client.tls_set_context(_context(address))
    client.reconnect_delay_set(min_delay=1, max_delay=30)
    return client


def connect_options(address: MqttAddress) -> dict[str, Any]:
    """What the broker is told: how long it keeps the session, how much may be under way, how large a message may be.

    MQTT 3.1.1 has no words for these: the session is kept, and the rest is up to the broker.
    """
    if not address.is_5:
        return {}
    from paho.mqtt.packettypes import PacketTypes
    from paho.mqtt.properties import Properties

    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho's has no types
    properties.SessionExpiryInterval = address.session_expiry_s
    properties.ReceiveMaximum = address.receive_maximum
    properties.MaximumPacketSize = _LARGEST_BYTES
    return {"clean_start": False, "properties": properties}


def subscribe_options(address: MqttAddress) -> dict[str, Any]:
    """QoS 1; what was retained comes with a new subscription alone, not with each connection.

    By MQTT 3.1.1 it comes with each connection, and is known again.
    """
    if not address.is_5:
        return {"qos": 1}
    from paho.mqtt.subscribeoptions import SubscribeOptions

    handling = SubscribeOptions.RETAIN_SEND_IF_NEW_SUB if address.retained else SubscribeOptions.RETAIN_DO_NOT_SEND
    return {"options": SubscribeOptions(qos=1, retainHandling=handling)}


def refusal_of(reason: "ReasonCode", address: MqttAddress, what: str) -> TrunklineError:
    """Say what a reason code means here; only its name is shown."""
    if reason.value == _TAKEN_OVER:
        return BusyError(
            "another client has taken this session over",
            holder="a client of the same client id",
            where=address.where,
            next_step="give each process a client_id of its own",
        )
    if reason.value in _FOR_GOOD:
        return InputError(
            f"{what} ({reason.getName()})",
            where=address.where,
            next_step="see username, password, tls.* and client_id, and what the broker lets them read",
        )
    return UnavailableError(f"{what} ({reason.getName()})", where=address.where, next_step="see that the broker runs")


def _context(address: MqttAddress) -> ssl.SSLContext:
    secrets = address.secrets
    try:
        context = ssl.create_default_context(cafile=secrets.get("tls.ca") or None)
        if "tls.certificate" in secrets:
            context.load_cert_chain(
                secrets["tls.certificate"], secrets["tls.key"], password=secrets.get("tls.key_password", "")
            )
    except (OSError, ValueError) as error:
        raise InputError(
            f"a certificate or its key cannot be used ({type(error).__name__})",
            where=f"options {', '.join(FULL_TLS_FILES)}",
            allowed=("files in PEM form",),
            next_step="see that they are there, can be read and belong together",
        ) from error
    if secrets.get("tls.alpn"):
        context.set_alpn_protocols([secrets["tls.alpn"]])
    return context
