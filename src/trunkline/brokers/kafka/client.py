"""Kafka's client: loaded when it is used, configured from an address, its errors as ours.

The only module that imports ``confluent_kafka``.
"""

from typing import TYPE_CHECKING, Any, Final

from trunkline.brokers.kafka_address import KafkaAddress
from trunkline.errors import InputError, MissingExtraError, TrunklineError, UnavailableError

if TYPE_CHECKING:
    from confluent_kafka import KafkaError

__all__ = ["ABSENT", "PASSING", "explained", "library", "name_of", "options_of"]

PASSING: Final = frozenset(
    {
        "COORDINATOR_LOAD_IN_PROGRESS",
        "COORDINATOR_NOT_AVAILABLE",
        "LEADER_NOT_AVAILABLE",
        "NETWORK_EXCEPTION",
        "NOT_COORDINATOR",
        "NOT_LEADER_FOR_PARTITION",
        "REBALANCE_IN_PROGRESS",
        "_NOENT",
        "_TRANSPORT",
        "_WAIT_COORD",
    }
)
"""Errors that pass while a cluster changes its leaders or loads a group."""

ABSENT: Final = frozenset(("UNKNOWN_TOPIC_OR_PART", "_UNKNOWN_TOPIC", "_UNKNOWN_PARTITION"))
"""Errors that say that there is no such topic or partition."""

_REFUSED: Final = frozenset(
    {
        "CLUSTER_AUTHORIZATION_FAILED",
        "GROUP_AUTHORIZATION_FAILED",
        "SASL_AUTHENTICATION_FAILED",
        "TOPIC_AUTHORIZATION_FAILED",
        "UNSUPPORTED_SASL_MECHANISM",
        "_AUTHENTICATION",
        "_SSL",
    }
)


def options_of(address: KafkaAddress) -> dict[str, Any]:
    """What every client of a cluster is configured with."""
    return {
        "client.id": "trunkline",
        "log_level": 2,  # what goes wrong is raised
        **address.options,
        "bootstrap.servers": address.hosts,
    }


def explained(error: "KafkaError", what: str, *, hosts: str) -> TrunklineError:
    """Say what an error of Kafka means; only its name is shown, its text may hold what nobody should read."""
    if error.name() in _REFUSED:
        return InputError(
            f"Kafka refuses this client ({error.name()})",
            where=hosts,
            next_step="see security.protocol, sasl.* and ssl.* in broker.url and broker.options, and the user's rights",
        )
    if error.name() == "_INVALID_ARG":
        return InputError(
            "an option of Kafka's client is malformed", where="broker.url, broker.options", next_step="mend it"
        )
    if error.name() == "MSG_SIZE_TOO_LARGE":
        return InputError(
            "a record is larger than its topic allows",
            where=hosts,
            next_step="raise the topic's max.message.bytes, or send fewer rows at once",
        )
    return UnavailableError(
        f"{what} ({error.name()})", where=hosts, next_step="see that the brokers run and can be reached, then try again"
    )


def name_of(error: BaseException) -> str:
    """Name of a Kafka error; empty for any other."""
    return str(error.args[0].name()) if isinstance(error, library().KafkaException) else ""


def library() -> Any:  # noqa: ANN401 - a module, loaded when it is used
    """Load ``confluent_kafka``.

    Raises:
        MissingExtraError: The extra ``kafka`` is not installed.
    """
    try:
        import confluent_kafka
        import confluent_kafka.admin
    except ImportError:
        raise MissingExtraError("confluent_kafka", extra="kafka") from None
    return confluent_kafka
