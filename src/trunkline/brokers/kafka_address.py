"""A Kafka cluster as one URL: its hosts, a topic where one is meant, and options of the client.

Takes ``kafka://[user:password@]host:9092[,host2:9092][/topic][?option=value&...]`` and options of the settings. Gives
what the client is configured with. Refuses options on which delivery rests: those are not the user's to choose.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qsl, unquote

from pydantic import SecretStr

from trunkline.errors import InputError

__all__ = ["KafkaAddress", "kafka_address"]

_SCHEME: Final = "kafka://"
_HOST: Final = re.compile(r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?")
_TOPIC: Final = re.compile(r"[A-Za-z0-9._-]{1,249}")
_ALLOWED: Final = ("security.", "sasl.", "ssl.", "socket.", "reconnect.", "client.id", "client.rack", "linger.ms")
_ALSO: Final = (
    "broker.address.family",
    "compression.type",
    "enable.ssl.certificate.verification",
    "session.timeout.ms",
    "debug",
)
_PORT: Final = "9092"
_PROFILES: Final[Mapping[str, Mapping[str, str]]] = {
    # The endpoint of Azure IoT Hub and Event Hubs that speaks Kafka's protocol: "Azure Event Hubs for Apache Kafka".
    "azure-iot-hub": {
        "port": "9093",
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "PLAIN",
        "sasl.username": "$ConnectionString",
    },
}
_FORM: Final = "kafka://host:9092[,host2:9092][/topic][?option=value]"


@dataclass(frozen=True)
class KafkaAddress:
    """Where a cluster is and how it is spoken to.

    Attributes:
        hosts: ``host:port``, separated by commas.
        topic: The topic that the URL names; empty where it names none.
        options: Options of the client; they may hold secrets and are not shown.
    """

    hosts: str
    topic: str
    options: Mapping[str, str] = field(repr=False)


def kafka_address(url: str, options: Mapping[str, SecretStr] | None = None) -> KafkaAddress:
    """Take a URL apart.

    Args:
        url: The URL; a user and a password in it stand for SASL/PLAIN unless ``sasl.mechanism`` says otherwise.
        options: Further options of the client; they win over the URL's.

    Raises:
        InputError: It is malformed, or an option is not one that can be chosen.

    >>> found = kafka_address("kafka://one:9092,two/readings?security.protocol=SSL")
    >>> found.hosts, found.topic, found.options
    ('one:9092,two:9092', 'readings', {'security.protocol': 'SSL'})
    """
    if not url.startswith(_SCHEME):
        raise InputError(
            "this is no address of a Kafka cluster",
            where="broker.url",
            allowed=(_FORM, "amqp://host", "none, for the embedded log"),
        )
    rest, _, query = url.removeprefix(_SCHEME).partition("?")
    place, _, topic = rest.partition("/")
    secret, _, hosts = place.rpartition("@")
    try:
        said = dict(parse_qsl(query, keep_blank_values=True, strict_parsing=True)) if query else {}
    except ValueError:
        raise InputError("the options of the address are malformed", where="the address", allowed=(_FORM,)) from None
    said |= {name: value.get_secret_value() for name, value in (options or {}).items()}
    profile = said.pop("profile", "")
    if profile and profile not in _PROFILES:
        raise InputError(f"{profile[:40]!r} is no profile", where="option profile", allowed=_PROFILES)
    defaults = dict(_PROFILES.get(profile, {}))
    port = defaults.pop("port", _PORT)
    named = [host if ":" in host.rpartition("]")[2] else f"{host}:{port}" for host in hosts.split(",")]
    if not all(_HOST.fullmatch(host) for host in named):
        raise InputError("the hosts of a Kafka cluster are malformed", where="the address", allowed=(_FORM,))
    if topic and not _TOPIC.fullmatch(topic):
        raise InputError(
            f"{topic[:40]!r} cannot be a topic", where="the address", allowed=("letters, digits, . _ -, at most 249",)
        )
    for name in said:
        if not name.startswith(_ALLOWED) and name not in _ALSO:
            raise InputError(
                f"{name[:60]!r} is no option of Kafka's client that can be set here",
                where="broker.options, or the address",
                allowed=("profile", *(f"{one}*" if one.endswith(".") else one for one in _ALLOWED), *_ALSO),
            )
    if secret:
        user, _, password = secret.partition(":")
        said = {
            "security.protocol": "SASL_SSL",
            "sasl.mechanism": "PLAIN",
            "sasl.username": unquote(user),
            "sasl.password": unquote(password),
        } | said
    said = defaults | said
    if profile and not said.get("sasl.password"):
        raise InputError(
            f"the profile {profile} needs the connection string",
            where="broker.options, or the options of the source",
            next_step="add sasl.password",
        )
    return KafkaAddress(",".join(named), topic, said)
