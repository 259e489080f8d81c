"""Messages on their way to Kafka, by an idempotent producer that waits for all replicas in sync."""

import threading
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from trunkline.brokers.kafka.client import library
from trunkline.brokers.protocol import Message
from trunkline.errors import FullError, UnavailableError

if TYPE_CHECKING:
    from confluent_kafka import KafkaError, Producer
    from confluent_kafka import Message as KafkaMessage

__all__ = ["MOST_BYTES", "Delivery", "Writer"]

MOST_BYTES: Final = 16 << 20
"""Largest message, bytes; a body of the HTTP edge is one."""

_LOOK_S: Final = 0.05


class Delivery:
    """What became of the messages of one topic."""

    def __init__(self, left: int) -> None:
        self.left = left
        self.offset = 0
        self.error: KafkaError | None = None

    @property
    def is_fatal(self) -> bool:
        """Whether the producer is of no more use."""
        return self.error is not None and self.error.fatal()

    def done(self, error: "KafkaError | None", message: "KafkaMessage") -> None:
        """Take the client's word for one message."""
        if error is not None:
            self.error = error
        else:
            self.offset = int(message.offset() or 0) + 1
        self.left -= 1


class Writer:
    """Writes messages and waits until they are stored; safe to share between threads.

    Args:
        options: Of the client.
        hosts: The cluster, for messages.
        timeout_s: After so many seconds a message is given up.
    """

    def __init__(self, options: Mapping[str, Any], *, hosts: str, timeout_s: float) -> None:
        self._options = options
        self._hosts = hosts
        self._timeout_s = timeout_s
        self._lock = threading.Lock()
        self._producer: Producer | None = None

    def write(self, batches: Mapping[str, Sequence[Message]]) -> Mapping[str, Delivery]:
        """Write messages to topics that are there, and wait for all of them.

        Args:
            batches: Messages by Kafka's name of the topic.

        Raises:
            FullError: Too many records wait in the client already; a part may be stored.
            UnavailableError: Kafka did not answer in time; what was stored is not known.
        """
        producer = self._producing()
        deliveries = {name: Delivery(len(messages)) for name, messages in batches.items()}
        for name, messages in batches.items():
            for message in messages:
                self._produce(producer, name, message, deliveries[name])
        until = time.monotonic() + 2 * self._timeout_s  # the client gives up by itself before
        while any(delivery.left for delivery in deliveries.values()):
            if time.monotonic() > until:
                raise UnavailableError(
                    "Kafka did not answer in time", where=self._hosts, next_step="see that the brokers run"
                )
            producer.poll(_LOOK_S)
        if any(delivery.is_fatal for delivery in deliveries.values()):
            with self._lock:  # an idempotent producer that lost its sequence is of no more use
                self._producer = None
        return deliveries

    def close(self) -> None:
        """Let go of the producer."""
        with self._lock:
            producer, self._producer = self._producer, None
        if producer is not None:
            producer.flush(self._timeout_s)

    def _producing(self) -> "Producer":
        with self._lock:
            if self._producer is None:
                self._producer = library().Producer(
                    {
                        "compression.type": "lz4",
                        "linger.ms": 1,
                        **self._options,
                        "acks": "all",
                        "enable.idempotence": True,
                        "partitioner": "murmur2_random",  # as Java's clients do
                        "delivery.timeout.ms": int(self._timeout_s * 1000),
                        "message.max.bytes": MOST_BYTES,
                    }
                )
            return self._producer

    def _produce(self, producer: "Producer", name: str, message: Message, delivery: Delivery) -> None:
        until = time.monotonic() + self._timeout_s
        while True:
            try:
                producer.produce(name, value=message.value, key=message.key, on_delivery=delivery.done)
            except BufferError:  # the client's queue is full: it empties as records are delivered
                if time.monotonic() > until:
                    raise FullError(
                        "too many records wait for Kafka", where=self._hosts, next_step="send them again in a second"
                    ) from None
                producer.poll(_LOOK_S)
            else:
                return
