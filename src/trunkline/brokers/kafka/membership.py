"""Several processes that share the partitions of a topic."""

from typing import TYPE_CHECKING

from trunkline.brokers.kafka.client import PASSING, explained, library, options_of
from trunkline.brokers.kafka_address import kafka_address
from trunkline.errors import InputError
from trunkline.settings.brokers import BrokerSettings

if TYPE_CHECKING:
    from confluent_kafka import Consumer, TopicPartition

__all__ = ["KafkaMembership"]


class KafkaMembership:
    """One of several processes that share the partitions of a topic; for one thread.

    Kafka gives each partition to one member and takes it away when members come or go. Only the sharing is Kafka's:
    records are read, and places kept, through :class:`KafkaBroker`, so that a member that was thought dead and goes on
    can only repeat a chunk that the lake knows already.

    Args:
        settings: Where the cluster is.
        topic: The topic; it must be there.
        group: Members of one group share the partitions.
    """

    def __init__(self, settings: BrokerSettings, *, topic: str, group: str) -> None:
        if settings.url is None:
            raise InputError("no broker is named", where="broker.url", next_step="say kafka://host:9092")
        address = kafka_address(settings.url.get_secret_value(), settings.options)
        self._hosts = address.hosts
        self._mine: set[int] = set()
        self._is_assigned = False
        self._consumer: Consumer = library().Consumer(
            {
                "session.timeout.ms": 10_000,  # after so long others take over from one that died
                **options_of(address),
                "group.id": settings.prefix + group,
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "max.poll.interval.ms": 900_000,  # a chunk is taken in between two polls
            }
        )
        self._consumer.subscribe(
            [settings.prefix + topic], on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._revoked
        )

    def partitions(self, *, wait_s: float) -> frozenset[int] | None:
        """Give the partitions that are this member's now; None while they are shared out.

        Args:
            wait_s: Longest wait for news of the group, in seconds.

        Raises:
            UnavailableError: The cluster did not answer.
            InputError: It refuses this client.
        """
        message = self._consumer.poll(wait_s)
        error = None if message is None else message.error()
        if error is not None and not error.retriable() and error.name() not in PASSING:
            raise explained(error, "Kafka did not share the topic out", hosts=self._hosts)
        return frozenset(self._mine) if self._is_assigned else None

    def close(self) -> None:
        """Leave the group, so that others take over at once."""
        self._consumer.close()

    def _assigned(self, consumer: "Consumer", places: "list[TopicPartition]") -> None:
        consumer.assign(places)
        consumer.pause(places)  # nothing is read here
        self._mine = {place.partition for place in places}
        self._is_assigned = True

    def _revoked(self, consumer: "Consumer", _places: "list[TopicPartition]") -> None:
        consumer.unassign()
        self._mine = set()
        self._is_assigned = False
