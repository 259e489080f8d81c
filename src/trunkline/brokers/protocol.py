"""What every broker can do, and how brokers differ: by declared capabilities, not by name.

A topic is an ordered log per partition. Offsets grow within a partition and are never used again. What ``publish`` has
returned from is durable. Delivery is at least once: a consumer reads after the offset it knows to be stored, and
``source_id`` names the partition for as long as its offsets keep their meaning, so that a lake table can say up to
which offset it holds the records (exactly once).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple, Protocol

from trunkline.errors import InputError

__all__ = ["MAX_BYTES", "Broker", "Capabilities", "Message", "Record", "Trimmed", "keep_bounded", "refuse_malformed"]

MAX_BYTES: Final = 16 << 20
"""Content that one ``read`` gives unless it is told otherwise, bytes."""

_TOPIC: Final = re.compile(r"[a-z][a-z0-9_.-]{0,79}")


def refuse_malformed(topic: str) -> None:
    """Refuse a name that is no topic's, the same on every broker, so that a workspace can go from one to another.

    Raises:
        InputError: It is malformed.
    """
    if not _TOPIC.fullmatch(topic):
        raise InputError(
            f"{topic[:40]!r} cannot be a topic",
            allowed=("lower-case letters, digits, _ . -, at most 80, a letter first",),
        )


class Message(NamedTuple):
    """What a producer hands over.

    Attributes:
        value: The content.
        key: Records of one key stay in order; None where order does not matter.
    """

    value: bytes
    key: bytes | None = None


class Record(NamedTuple):
    """A message as stored.

    Attributes:
        offset: Its place in the partition; the first is 1.
        value: The content.
        key: As published.
        at_us: When it was stored, microseconds since 1970-01-01 UTC.
    """

    offset: int
    value: bytes
    key: bytes | None
    at_us: int


@dataclass(frozen=True)
class Capabilities:
    """How a broker differs from others.

    Attributes:
        partitions: Partitions a topic can have; None is any number.
        quick_commit: Whether ``publish`` returns within microseconds, so that an event loop may call it.
        survives_power_loss: Whether what is acknowledged survives a power cut of one host.
        whole_batches: Whether ``publish`` stores all or none; otherwise a part may be stored of what was refused.
        trims: Whether ``trim`` removes records; otherwise the broker's own retention does.
        is_near: Whether asking it costs microseconds, not a journey through a network.
    """

    partitions: int | None
    quick_commit: bool
    survives_power_loss: bool
    whole_batches: bool = True
    trims: bool = True
    is_near: bool = True


@dataclass(frozen=True)
class Trimmed:
    """What retention did.

    Attributes:
        removed: Records removed.
        bytes: Size of the log afterwards.
    """

    removed: int
    bytes: int


class Broker(Protocol):
    """A durable log of topics."""

    @property
    def capabilities(self) -> Capabilities:
        """How it differs from others."""
        ...

    def publish(self, batches: Mapping[str, Sequence[Message]]) -> Mapping[str, int]:
        """Store messages of one or more topics, all or none; durable on return.

        Args:
            batches: Messages by topic; a topic is made by its first message.

        Returns:
            Offset of the last message of each topic, in the partition that took it.

        Raises:
            InputError: A topic's name is malformed.
            UnavailableError: Not stored, or not whole where a broker has no whole batches; trying again may help.
        """
        ...

    def partitions(self, topic: str) -> int:
        """Number of a topic's partitions, 1 or more; they count from 0. It may grow, and never shrinks.

        Raises:
            InputError: The topic's name is malformed.
            UnavailableError: The broker did not answer.
        """
        ...

    def read(
        self, topic: str, *, after: int, limit: int, max_bytes: int = MAX_BYTES, partition: int = 0
    ) -> Sequence[Record]:
        """Read records in order.

        Args:
            topic: The topic; one that nobody wrote to has no records.
            after: Offset of the last record known; 0 reads from the start.
            limit: At most so many records.
            max_bytes: No more than the record that reaches this size of all values together, bytes.
            partition: The partition.

        Raises:
            InputError: The topic's name is malformed, or there is no such partition.
            UnavailableError: The broker did not answer.
        """
        ...

    def end(self, topic: str, *, partition: int = 0) -> int:
        """Offset of the newest record; 0 when there is none."""
        ...

    def commit(self, topic: str, *, group: str, offset: int, partition: int = 0) -> None:
        """Note that a group is done with all records up to an offset; a lower one than noted changes nothing.

        Raises:
            UnavailableError: It was not noted.
        """
        ...

    def committed(self, topic: str, *, group: str, partition: int = 0) -> int:
        """Up to where a group is done; 0 when it never committed."""
        ...

    def source_id(self, topic: str, *, partition: int = 0) -> str:
        """Name the partition among all there are; a topic made anew under an old name has another one.

        Raises:
            UnknownNameError: Nobody wrote to the topic yet, and the broker gives names to topics that exist only.
            UnavailableError: The broker did not answer.
        """
        ...

    def trim(self, *, now: datetime) -> Trimmed:
        """Remove what retention allows to go; in small steps that hold up no producer.

        Raises:
            UnavailableError: The broker did not answer.
        """
        ...

    def checkpoint(self) -> None:
        """Do what commits put off; call it about once a second, on a thread that may wait for the disk.

        Raises:
            UnavailableError: The broker did not answer.
        """
        ...

    def close(self) -> None:
        """Let go of everything; closing twice is allowed."""
        ...


def keep_bounded(broker: Broker, *, now: datetime) -> None:
    """Remove what retention lets go and do what commits put off, as whoever consumes does about once a second.

    Raises:
        UnavailableError: The broker did not answer.
    """
    broker.trim(now=now)
    broker.checkpoint()
