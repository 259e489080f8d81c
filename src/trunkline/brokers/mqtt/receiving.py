"""Messages of an MQTT broker, on their way to a durable log.

A connection of its own thread subscribes at QoS 1 in a session that the broker keeps; messages wait in memory, never
more than ``receive_maximum`` and some 64 MiB, until they are taken, written down and acknowledged. What is not
acknowledged when a process dies comes again, with the same packet id and marked as a repeat.
"""

import hashlib
import logging
import ssl
import threading
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from trunkline.brokers.mqtt.client import client_of, connect_options, refusal_of, subscribe_options
from trunkline.brokers.mqtt_address import MqttAddress
from trunkline.brokers.once import Mark
from trunkline.errors import InputError, TrunklineError, UnavailableError

if TYPE_CHECKING:
    from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
    from paho.mqtt.properties import Properties
    from paho.mqtt.reasoncodes import ReasonCode

__all__ = ["MESSAGE_ID", "MqttReceiver", "Received"]

MESSAGE_ID: Final = "message-id"
"""User property (MQTT 5) by which a sender names a message: sent again, under whatever packet id, it is the same."""

_MOST_BYTES: Final = 64 << 20
_logger = logging.getLogger(__name__)


class Received(NamedTuple):
    """A message that is not acknowledged yet.

    Attributes:
        topic: Where it was published.
        payload: Its content; empty where a retained message was taken back.
        marks: By what it is known again.
        packet_id: Of the connection.
        qos: 0 or 1.
        connection: The connection that brought it; its packet id means nothing on a later one.
    """

    topic: str
    payload: bytes
    marks: tuple[Mark, ...]
    packet_id: int
    qos: int
    connection: int


class MqttReceiver:
    """A subscription.

    Args:
        address: The broker and the filter.
        client_id: Names the session; a process that goes on after another has its name.
        timeout_s: Longest wait for the first answer, seconds.

    Raises:
        InputError: A certificate or a key cannot be used.
        MissingExtraError: The extra ``mqtt`` is not installed.
    """

    def __init__(self, address: MqttAddress, *, client_id: str, timeout_s: float) -> None:
        self._address = address
        self._session = client_id.encode()
        self._timeout_s = timeout_s
        self._lock = threading.Condition()
        self._waiting: deque[Received] = deque()
        self._waiting_bytes = 0
        self._connection = 0
        self._is_subscribed = False
        self._is_connected = False
        self._is_closing = False
        self._failure: TrunklineError | None = None
        self._client: Client = client_of(address, client_id=client_id)
        self._client.on_connect = self._connected
        self._client.on_subscribe = self._subscribed
        self._client.on_message = self._arrived
        self._client.on_disconnect = self._disconnected

    @property
    def is_connected(self) -> bool:
        """Whether the broker answers now; a lost connection is tried again until :meth:`close`."""
        return self._is_connected

    def start(self) -> None:
        """Connect and subscribe.

        Raises:
            InputError: The broker refuses this client, its filter, or its certificate is not trusted.
            BusyError: Another client has the session.
            UnavailableError: It did not answer.
        """
        address = self._address
        try:
            self._client.connect(address.host, address.port, keepalive=address.keep_alive_s, **connect_options(address))
        except ssl.SSLError as error:
            raise InputError(
                f"the broker and this client do not agree on TLS ({error.reason})",
                where=address.where,
                next_step="see tls.ca, and that the broker's certificate names its host",
            ) from error
        except OSError as error:
            raise self._away() from error
        self._client.loop_start()
        with self._lock:
            self._lock.wait_for(lambda: self._is_subscribed or self._failure is not None, self._timeout_s)
            failure = self._failure if self._is_subscribed or self._failure is not None else self._away()
        if failure is not None:
            self.close()
            raise failure

    def take(self, *, limit: int, wait_s: float) -> Sequence[Received]:
        """Give messages that came, in order.

        Args:
            limit: At most so many.
            wait_s: Longest wait for the first, in seconds.

        Raises:
            InputError: The broker refuses this client now.
            BusyError: Another client has taken the session over.
        """
        with self._lock:
            self._lock.wait_for(lambda: self._waiting or self._failure is not None, wait_s)
            if self._failure is not None:
                raise self._failure
            taken = [self._waiting.popleft() for _ in range(min(limit, len(self._waiting)))]
            self._waiting_bytes -= sum(len(one.payload) for one in taken)
            self._lock.notify_all()
            return taken

    def done(self, messages: Sequence[Received]) -> None:
        """Acknowledge messages that are durable; those of a lost connection come again, and are known then."""
        for one in messages:
            if one.qos and one.connection == self._connection:
                self._client.ack(one.packet_id, one.qos)

    def close(self) -> None:
        """Go; the broker keeps what is not acknowledged, and what comes meanwhile. Closing twice is allowed."""
        with self._lock:
            self._is_closing = True
            self._lock.notify_all()
        self._client.disconnect()
        self._client.loop_stop()

    # In the client's own thread

    def _connected(
        self,
        client: "Client",
        _data: Any,  # noqa: ANN401 - paho's user data, unused
        flags: "ConnectFlags",
        reason: "ReasonCode",
        _properties: "Properties | None",
    ) -> None:
        with self._lock:
            if reason.is_failure:
                self._fail(refusal_of(reason, self._address, "the broker refuses this client"))
                return
            self._connection += 1
            self._waiting_bytes = 0
            self._waiting.clear()  # they come again, under the packet ids of this connection
            self._is_connected = True
        if self._connection > 1:
            _logger.info("the MQTT broker is back; session kept: %s", flags.session_present)
        client.subscribe(self._address.filter, **subscribe_options(self._address))

    def _subscribed(
        self,
        _client: "Client",
        _data: Any,  # noqa: ANN401 - paho's user data, unused
        _mid: int,
        reasons: "list[ReasonCode]",
        _properties: "Properties | None",
    ) -> None:
        with self._lock:
            refused = next((reason for reason in reasons if reason.is_failure), None)
            if refused is not None:
                self._fail(refusal_of(refused, self._address, "the broker does not let this client read the topics"))
            self._is_subscribed = True
            self._lock.notify_all()

    def _arrived(self, client: "Client", _data: Any, message: "MQTTMessage") -> None:  # noqa: ANN401 - as above
        if message.retain and not self._address.retained:  # by MQTT 5 the broker was asked to leave it out
            client.ack(message.mid, message.qos)
            return
        payload = bytes(message.payload)
        topic = message.topic
        content = hashlib.sha256(payload).digest()[:16]
        marks = [Mark(b"topic:" + topic.encode(), content, message.retain)]
        if message.qos:
            packet = b"packet:%b:%d" % (self._session, message.mid)
            marks.append(Mark(packet, content, message.dup))
        sender_id = _sender_id(message)
        if sender_id:
            marks.append(Mark(b"sender:%b:%b" % (topic.encode(), sender_id), b"", may_repeat=True))
        with self._lock:
            # A broker that sends more than was agreed (QoS 0 has no agreement) finds the connection full.
            self._lock.wait_for(self._has_room)
            self._waiting_bytes += len(payload)
            self._waiting.append(Received(topic, payload, tuple(marks), message.mid, message.qos, self._connection))
            self._lock.notify_all()

    def _has_room(self) -> bool:
        few = len(self._waiting) < self._address.receive_maximum and self._waiting_bytes < _MOST_BYTES
        return few or self._is_closing

    def _disconnected(
        self,
        _client: "Client",
        _data: Any,  # noqa: ANN401 - paho's user data, unused
        _flags: "DisconnectFlags",
        reason: "ReasonCode",
        _properties: "Properties | None",
    ) -> None:
        with self._lock:
            self._is_connected = False
            if self._is_closing:
                return
            refused = refusal_of(reason, self._address, "the broker closed the connection")
            if not self._is_subscribed:
                self._fail(refused if self._connection else self._away())
            elif not isinstance(refused, UnavailableError):
                self._fail(refused)
        _logger.warning("the connection to the MQTT broker is lost; trying again")

    def _fail(self, failure: TrunklineError) -> None:
        if self._failure is None and not (isinstance(failure, UnavailableError) and self._is_subscribed):
            self._failure = failure
        self._lock.notify_all()

    def _away(self) -> UnavailableError:
        return UnavailableError(
            "the MQTT broker did not answer",
            where=self._address.where,
            next_step="see that it runs and can be reached, and whether it asks for a certificate",
        )


def _sender_id(message: "MQTTMessage") -> bytes:
    """What a sender calls a message; empty where it does not."""
    named = getattr(message.properties, "UserProperty", ()) if message.properties is not None else ()
    return next((value.encode()[:200] for name, value in named if name == MESSAGE_ID), b"")
