"""Kafka as the durable log: the broker of a workspace that has outgrown one host."""

from trunkline.brokers.kafka.broker import KafkaBroker
from trunkline.brokers.kafka.membership import KafkaMembership

__all__ = ["KafkaBroker", "KafkaMembership"]
