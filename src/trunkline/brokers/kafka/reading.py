"""One partition of Kafka, read from where it was left."""

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from trunkline.brokers.kafka.client import PASSING, library
from trunkline.brokers.protocol import Record
from trunkline.errors import UnavailableError

if TYPE_CHECKING:
    from confluent_kafka import Consumer
    from confluent_kafka import Message as KafkaMessage

__all__ = ["Reader"]

_AT_ONCE: Final = 1_000
_LOOK_S: Final = 0.05


class Reader:
    """Reads one partition; goes on where it was without asking anew."""

    def __init__(self, consumer: "Consumer", *, name: str, partition: int, timeout_s: float) -> None:
        self._consumer = consumer
        self._name, self._partition = name, partition
        self._timeout_s = timeout_s
        self._at = -1
        self._seen_end = -1  # Kafka tells the end once, maybe along with records before it
        self._ahead: deque[Record] = deque()
        self._lock = threading.Lock()

    def read(
        self, *, after: int, end: int, limit: int, max_bytes: int, opened: Callable[[bytes], bytes]
    ) -> list[Record]:
        """Read what follows ``after``, no further than ``end``, which is known to be there; values as ``opened``."""
        with self._lock:
            if after != self._at:
                self._ahead.clear()
                self._consumer.assign([library().TopicPartition(self._name, self._partition, after)])
                self._at = after
                self._seen_end = -1
            found: list[Record] = []
            until = time.monotonic() + self._timeout_s
            while len(found) < limit and max_bytes > 0 and self._at < end:
                if not self._ahead and self._is_at_end(end, opened):
                    break
                while self._ahead and len(found) < limit and max_bytes > 0:
                    found.append(self._ahead.popleft())
                    self._at = found[-1].offset
                    max_bytes -= len(found[-1].value)
                if not found and time.monotonic() > until:
                    self._at = -1
                    raise UnavailableError("Kafka gave no record in time", where=f"topic {self._name}")
            return found

    def close(self) -> None:
        """Let go of the partition."""
        with self._lock:
            self._at = -1
            self._consumer.close()

    def _is_at_end(self, end: int, opened: Callable[[bytes], bytes]) -> bool:
        """Fetch more; says whether nothing follows up to ``end``, as where only marks of transactions are left."""
        if self._seen_end >= end:
            return True
        for message in self._consumer.consume(min(_AT_ONCE, max(1, end - self._at)), timeout=_LOOK_S):
            error = message.error()
            if error is None:
                self._ahead.append(_record(message, opened))
            elif error.name() == "_PARTITION_EOF":
                self._seen_end = int(message.offset() or 0)
            elif error.name() not in PASSING and not error.retriable():
                self._at = -1
                raise library().KafkaException(error)
        return self._seen_end >= end and not self._ahead


def _record(message: "KafkaMessage", opened: Callable[[bytes], bytes]) -> Record:
    offset, value = message.offset(), message.value()
    return Record(
        0 if offset is None else offset + 1,
        b"" if value is None else opened(value),
        message.key(),
        message.timestamp()[1] * 1000,
    )
