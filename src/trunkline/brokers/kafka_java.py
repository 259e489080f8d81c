"""A Kafka address in the words of Java's client, which Spark reads Kafka with."""

from collections.abc import Mapping
from typing import Final

from trunkline.brokers.kafka_address import KafkaAddress
from trunkline.errors import InputError

__all__ = ["java_options"]

_SAME: Final = ("client.id", "client.rack", "security.protocol", "session.timeout.ms")
_LOGIN: Final = ("sasl.mechanism", "sasl.username", "sasl.password")
_AUTHORITIES: Final = "ssl.ca.location"
_MODULES: Final[Mapping[str, str]] = {
    "PLAIN": "org.apache.kafka.common.security.plain.PlainLoginModule",
    "SCRAM-SHA-256": "org.apache.kafka.common.security.scram.ScramLoginModule",
    "SCRAM-SHA-512": "org.apache.kafka.common.security.scram.ScramLoginModule",
}


def java_options(address: KafkaAddress) -> dict[str, str]:
    """Give the options of Java's client; they may hold secrets. Records of aborted transactions are not read.

    Args:
        address: The cluster.

    Raises:
        InputError: Java's client has no such option, or it needs more than a word of its own.

    >>> from trunkline.brokers.kafka_address import kafka_address
    >>> java_options(kafka_address("kafka://one/readings?ssl.ca.location=/ca.pem&security.protocol=SSL"))["ssl.truststore.type"]
    'PEM'
    """
    # what the built-in reader does not see, Spark does not see either
    said = {"bootstrap.servers": address.hosts, "isolation.level": "read_committed"}
    for name, value in address.options.items():
        if name in _SAME:
            said[name] = value
        elif name == _AUTHORITIES:
            said |= {"ssl.truststore.type": "PEM", "ssl.truststore.location": value}
        elif name not in _LOGIN:
            raise InputError(
                f"the option {name!r} is not known to the client that Spark reads Kafka with",
                where="the source's options",
                allowed=(*_SAME, *_LOGIN, _AUTHORITIES),
                next_step='leave it out, or let this process read: reader = "process"',
            )
    mechanism = address.options.get("sasl.mechanism")
    if mechanism is not None:
        if mechanism not in _MODULES:
            raise InputError(
                f"{mechanism[:40]!r} is no way to log in that Spark can be told of",
                where="sasl.mechanism",
                allowed=tuple(_MODULES),
            )
        user, password = (_quoted(address.options.get(name, "")) for name in _LOGIN[1:])
        said |= {
            "sasl.mechanism": mechanism,
            "sasl.jaas.config": f"{_MODULES[mechanism]} required username={user} password={password};",
        }
    return said


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
