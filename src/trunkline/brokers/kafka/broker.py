"""The broker on Kafka.

A topic is made by its first message, with as many partitions as the settings say. The producer is idempotent and
waits for all replicas in sync. Offsets here are Kafka's and one more, so that the first is 1 and "read after" is where
Kafka goes on; a group's place is kept by Kafka and moved by hand only, after the lake's commit. Kafka's own retention
removes records, consumed or not. Where contracts protect personal data, values are encrypted before they leave.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

from trunkline.brokers.kafka.client import ABSENT, PASSING, explained, library, name_of, options_of
from trunkline.brokers.kafka.reading import Reader
from trunkline.brokers.kafka.writing import MOST_BYTES, Writer
from trunkline.brokers.kafka_address import kafka_address
from trunkline.brokers.protocol import MAX_BYTES, Capabilities, Message, Record, Trimmed, refuse_malformed
from trunkline.brokers.sealed_values import SealedValues
from trunkline.errors import InputError, TrunklineError, UnavailableError, UnknownNameError
from trunkline.settings.brokers import BrokerSettings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Future

    from confluent_kafka import Consumer, KafkaError, TopicPartition
    from confluent_kafka.admin import AdminClient

    from trunkline.lake import Keyring

__all__ = ["KafkaBroker"]

_T = TypeVar("_T")
_MOST_READERS: Final = 32
_LOOK_S: Final = 0.05
_ASK_AGAIN_S: Final = 0.1


class KafkaBroker:
    """A broker of many hosts; safe to share between threads.

    Args:
        settings: Where it is, how it is spoken to, partitions of new topics; ``url`` is set.
        keys: The keys of the workspace; None where nothing is encrypted.
        seals: Whether the values of new records are encrypted, bound to their topic.
        any_name: Take topics by whatever name Kafka allows, for those that others write to.
        groups: Begins the names of groups; the settings' prefix by default.

    Raises:
        InputError: The URL or an option is wrong.
        MissingExtraError: The extra ``kafka`` is not installed.
    """

    def __init__(
        self,
        settings: BrokerSettings,
        *,
        keys: "Keyring | None" = None,
        seals: bool = False,
        any_name: bool = False,
        groups: str | None = None,
    ) -> None:
        if settings.url is None:
            raise InputError("no broker is named", where="broker.url", next_step="say kafka://host:9092")
        address = kafka_address(settings.url.get_secret_value(), settings.options)
        self._settings = settings
        self._hosts = address.hosts
        self._options = options_of(address)
        self._any_name = any_name
        self._groups = settings.prefix if groups is None else groups
        self._values = SealedValues(keys, seals=seals, where=address.hosts, log_id=f"kafka:{settings.prefix}")
        self._lock = threading.Lock()
        self._known: dict[str, int] = {}
        self._readers: dict[tuple[str, int], Reader] = {}
        self._members: dict[str, Consumer] = {}
        self._writer = Writer(self._options, hosts=self._hosts, timeout_s=settings.timeout_s)
        self._closed = False
        with self._told():
            self._admin: AdminClient = library().admin.AdminClient(self._options)

    @property
    def capabilities(self) -> Capabilities:
        """Any number of partitions; batches may be stored in part; what survives is up to the replicas."""
        return Capabilities(
            partitions=None,
            quick_commit=False,
            survives_power_loss=False,
            whole_batches=False,
            trims=False,
            is_near=False,
        )

    def publish(self, batches: Mapping[str, Sequence[Message]]) -> Mapping[str, int]:
        """Store messages; on return all replicas in sync have them. See :class:`Broker`."""
        for topic, messages in batches.items():
            self._name(topic)
            if not all(isinstance(value, bytes) for value, _ in messages):
                raise TypeError("the value of a message is bytes")
        with self._told():
            for topic in batches:
                if topic not in self._known and not self._look_for(topic):
                    self._make(topic)
            sealed = {
                topic: [Message(self._values.sealed(topic, value), key) for value, key in messages]
                for topic, messages in batches.items()
            }
            deliveries = self._writer.write({self._name(topic): messages for topic, messages in sealed.items()})
        for topic in batches:
            error = deliveries[self._name(topic)].error
            if error is not None:
                self._known.pop(topic, None)
                raise self._explained(error, "Kafka did not store the records")
        return {topic: deliveries[self._name(topic)].offset or self._newest(topic) for topic in batches}

    def partitions(self, topic: str) -> int:
        """Partitions that a topic has, or will have when it is made; see :class:`Broker`."""
        self._name(topic)
        with self._told():
            return self._look_for(topic) or self._settings.partitions

    def read(
        self, topic: str, *, after: int, limit: int, max_bytes: int = MAX_BYTES, partition: int = 0
    ) -> Sequence[Record]:
        """Read records in order; see :class:`Broker`. What retention removed is left out."""
        end = self.end(topic, partition=partition)
        if end <= after:
            return []
        with self._told():
            reader = self._reader(topic, partition)
            opened = partial(self._values.opened, topic)
            return reader.read(after=after, end=end, limit=limit, max_bytes=max_bytes, opened=opened)

    def end(self, topic: str, *, partition: int = 0) -> int:
        """Offset of the newest record; 0 when there is none."""
        name = self._name(topic)
        with self._told():
            if not self._has(topic, partition):
                return 0
            spec = library().admin.OffsetSpec.latest()
            place = library().TopicPartition(name, partition)
            committed = library().IsolationLevel.READ_COMMITTED
            try:
                return int(
                    self._asked(
                        lambda: self._admin.list_offsets(
                            {place: spec}, isolation_level=committed, request_timeout=self._settings.timeout_s
                        )[place]
                    ).offset
                )
            except Exception as error:
                if name_of(error) in ABSENT | {"_NOENT"} and not self._look_for(topic):
                    return 0  # it was removed since
                raise

    def commit(self, topic: str, *, group: str, offset: int, partition: int = 0) -> None:
        """Note how far a group is; see :class:`Broker`. Kafka's retention waits for nobody, so 0 says nothing."""
        name = self._name(topic)
        if offset <= 0 or self.committed(topic, group=group, partition=partition) >= offset:
            return
        member, places = self._member(group), [library().TopicPartition(name, partition, offset)]
        self._of_group(lambda: member.commit(offsets=places, asynchronous=False) or ())

    def committed(self, topic: str, *, group: str, partition: int = 0) -> int:
        """Up to where a group is done; 0 when it never committed, or Kafka forgot it."""
        member, places = self._member(group), [library().TopicPartition(self._name(topic), partition)]
        [place] = self._of_group(lambda: member.committed(places, timeout=self._settings.timeout_s))
        return max(0, int(place.offset))

    def source_id(self, topic: str, *, partition: int = 0) -> str:
        """Name the partition by the cluster's id and the topic's; see :class:`Broker`."""
        self._name(topic)
        with self._told():
            described = self._described(topic)
            if described is None:
                raise UnknownNameError("nobody wrote to this topic yet", where=f"topic {topic}")
            cluster = self._asked(lambda: self._admin.describe_cluster(request_timeout=self._settings.timeout_s))
        return f"kafka:{cluster.cluster_id}:{described.topic_id}:{partition}"

    def trim(self, *, now: datetime) -> Trimmed:  # noqa: ARG002 - Kafka's own retention has its own clock
        """Nothing to do: Kafka's own retention removes records."""
        return Trimmed(removed=0, bytes=0)

    def checkpoint(self) -> None:
        """Nothing to do: commits put nothing off."""

    def close(self) -> None:
        """Let go of everything; closing twice is allowed."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            readers, self._readers = list(self._readers.values()), {}
            members, self._members = list(self._members.values()), {}
        for reader in readers:
            reader.close()
        for member in members:
            member.close()
        self._writer.close()

    # Topics

    def _name(self, topic: str) -> str:
        """The name that Kafka knows a topic by."""
        if self._any_name:
            kafka_address(f"kafka://host/{topic}")
        else:
            refuse_malformed(topic)
        return self._settings.prefix + topic

    def _has(self, topic: str, partition: int) -> bool:
        """Whether there is such a partition; a topic that is yet to be made has none.

        Raises:
            InputError: The topic has fewer partitions, and will not get so many.
        """
        count = self._known.get(topic, 0)
        if partition < count:
            return True
        count = self._look_for(topic)
        if partition >= (count or self._settings.partitions):
            raise InputError(f"the topic has no partition {partition}", where=topic, allowed=(f"0 to {count - 1}",))
        return count > 0

    def _look_for(self, topic: str) -> int:
        """Partitions of a topic that is there; 0 for one that is not."""
        described = self._described(topic)
        if described is None:
            self._known.pop(topic, None)
            return 0
        self._known[topic] = len(described.partitions)
        return self._known[topic]

    def _described(self, topic: str) -> Any | None:  # noqa: ANN401 - confluent_kafka's TopicDescription
        name = self._name(topic)
        topics = library().TopicCollection([name])
        try:
            return self._asked(
                lambda: self._admin.describe_topics(topics, request_timeout=self._settings.timeout_s)[name]
            )
        except Exception as error:
            if name_of(error) in ABSENT:
                return None
            raise

    def _make(self, topic: str) -> None:
        new = library().admin.NewTopic(
            self._name(topic),
            num_partitions=self._settings.partitions,
            replication_factor=-1,  # the cluster's default
            config={"max.message.bytes": str(MOST_BYTES)},
        )
        try:
            self._asked(lambda: self._admin.create_topics([new], request_timeout=self._settings.timeout_s)[new.topic])
        except Exception as error:
            if name_of(error) != "TOPIC_ALREADY_EXISTS":  # another process was quicker
                raise
        until = time.monotonic() + self._settings.timeout_s
        while not self._look_for(topic):  # brokers learn of it one after the other
            if time.monotonic() > until:
                raise UnavailableError("a new topic does not appear", where=f"topic {topic} of {self._hosts}")
            threading.Event().wait(_LOOK_S)

    def _newest(self, topic: str) -> int:
        """The end of a topic to which nothing was added."""
        return max((self.end(topic, partition=at) for at in range(self.partitions(topic))), default=0)

    # Reading

    def _reader(self, topic: str, partition: int) -> "Reader":
        with self._lock:
            self._refuse_closed()
            place = (topic, partition)
            reader = self._readers.pop(place, None)
            if reader is None:
                if len(self._readers) >= _MOST_READERS:
                    self._readers.pop(next(iter(self._readers))).close()
                consumer = library().Consumer(
                    {
                        **self._options,
                        "group.id": f"{self._groups}readers",  # never joined, never committed to
                        "enable.auto.commit": False,
                        "auto.offset.reset": "earliest",
                        "enable.partition.eof": True,
                        "isolation.level": "read_committed",
                        "queued.max.messages.kbytes": 32 << 10,
                        "fetch.wait.max.ms": 100,
                    }
                )
                name = self._name(topic)
                reader = Reader(consumer, name=name, partition=partition, timeout_s=self._settings.timeout_s)
            self._readers[place] = reader  # the newest stands last
            return reader

    # Groups

    def _member(self, group: str) -> "Consumer":
        """The client that asks for a group's places and notes them; it joins nothing.

        A consumer, and not the client of administrators: librdkafka's answer to the latter falls over a missing pointer
        when the group's coordinator has moved or was not found yet (``rd_kafka_handle_OffsetFetch``, 2.12).
        """
        with self._lock:
            self._refuse_closed()
            member = self._members.get(group)
            if member is None:
                said = {**self._options, "group.id": self._groups + group, "enable.auto.commit": False}
                member = self._members[group] = library().Consumer(said)
            return member

    def _of_group(self, ask: "Callable[[], Sequence[TopicPartition]]") -> "Sequence[TopicPartition]":
        with self._told():
            found = self._again(ask)
            for place in found:
                if place.error is not None and place.error.name() not in ABSENT:
                    raise library().KafkaException(place.error)
            return found

    # Errors

    def _asked(self, ask: "Callable[[], Future[_T]]") -> _T:
        """Wait for an answer of the cluster; see :meth:`_again`."""
        return self._again(lambda: ask().result())

    def _again(self, ask: "Callable[[], _T]") -> _T:
        """Ask the cluster, again while it changes leaders or loads a group."""
        until = time.monotonic() + self._settings.timeout_s
        while True:
            try:
                return ask()
            except Exception as error:
                if name_of(error) not in PASSING or time.monotonic() > until:
                    raise
            threading.Event().wait(_ASK_AGAIN_S)

    @contextmanager
    def _told(self) -> "Iterator[None]":
        """Turn Kafka's errors into ours."""
        try:
            yield
        except library().KafkaException as error:
            raise self._explained(error.args[0], "Kafka did not answer") from error

    def _explained(self, error: "KafkaError", what: str) -> TrunklineError:
        return explained(error, what, hosts=self._hosts)

    def _refuse_closed(self) -> None:
        if self._closed:
            raise UnavailableError("the broker was closed", where=self._hosts)
