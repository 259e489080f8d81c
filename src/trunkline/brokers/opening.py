"""The broker that the settings name: one URL takes a workspace from the embedded log to Kafka or RabbitMQ."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from trunkline.brokers.embedded import EmbeddedLog
from trunkline.brokers.protocol import Broker
from trunkline.brokers.rabbitmq_address import AMQP_SCHEMES
from trunkline.settings.brokers import BrokerSettings

if TYPE_CHECKING:
    from trunkline.lake import Keyring

__all__ = ["open_broker"]


def open_broker(
    settings: BrokerSettings,
    *,
    path: Path,
    clock: Callable[[], datetime],
    keys: "Keyring | None" = None,
    seals: bool = False,
) -> Broker:
    """Open the broker of a workspace.

    Args:
        settings: ``url`` names it; without one it is the embedded log.
        path: The file of the embedded log.
        clock: Gives the present instant, UTC.
        keys: The keys of the workspace; None where nothing is encrypted.
        seals: Whether the values of new records are encrypted.

    Raises:
        InputError: The URL or an option is wrong.
        MissingExtraError: The extra of that broker is not installed.
        TamperedError: The file is not a log, or is damaged.
        UnavailableError: It cannot be opened.
    """
    if settings.url is None:
        return EmbeddedLog(path, settings=settings, clock=clock, keys=keys, seals=seals)
    if settings.url.get_secret_value().startswith(AMQP_SCHEMES):
        from trunkline.brokers.rabbitmq import RabbitBroker

        return RabbitBroker(settings, keys=keys, seals=seals)
    from trunkline.brokers.kafka import KafkaBroker

    return KafkaBroker(settings, keys=keys, seals=seals)
