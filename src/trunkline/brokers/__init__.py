"""Durable logs behind one protocol: one SQLite file here, Kafka, or RabbitMQ."""

from trunkline.brokers.embedded import EmbeddedLog
from trunkline.brokers.group_commit import GroupCommit
from trunkline.brokers.opening import open_broker
from trunkline.brokers.protocol import Broker, Capabilities, Message, Record, Trimmed, keep_bounded

__all__ = [
    "Broker",
    "Capabilities",
    "EmbeddedLog",
    "GroupCommit",
    "Message",
    "Record",
    "Trimmed",
    "keep_bounded",
    "open_broker",
]
