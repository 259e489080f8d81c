"""RabbitMQ as the durable log: its streams, which keep places, unlike its queues."""

from trunkline.brokers.rabbitmq.broker import RabbitBroker

__all__ = ["RabbitBroker"]
