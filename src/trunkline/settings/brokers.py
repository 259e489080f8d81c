"""Settings of brokers and of the embedded durable log. Units stand in each field's description."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Literal

from pydantic import BaseModel, Field, SecretStr

__all__ = ["BrokerSettings"]


class BrokerSettings(BaseModel, frozen=True, extra="forbid"):
    """Where records wait for the lake: a file of this host, Kafka, or RabbitMQ."""

    url: SecretStr | None = Field(
        None,
        description="The broker: kafka://host:9092[,host2:9092][?security.protocol=SASL_SSL&...], or "
        "amqp[s]://user:password@host[:port][/vhost] for RabbitMQ; none is the embedded log, a file of the workspace.",
    )
    options: Mapping[str, SecretStr] = Field(
        {},
        description="Options of the client beside those of the URL: Kafka's security.*, sasl.*, ssl.*, socket.* etc.; "
        "RabbitMQ's tls.ca, tls.certificate, tls.key, tls.key_password.",
    )
    prefix: str = Field(
        "",
        pattern=r"^([a-z][a-z0-9_.-]{0,59})?$",
        description="Begins the name of every topic and group of this workspace on a broker that others use as well.",
    )
    partitions: int = Field(
        4, ge=1, le=1000, description="Partitions of topics made on Kafka; the others have one (partitions)."
    )
    timeout_s: float = Field(
        10.0, gt=0, le=300, description="Longest wait for an answer of Kafka or RabbitMQ (seconds)."
    )
    synchronous: Literal["NORMAL", "FULL"] = Field(
        "NORMAL",
        description="What an acknowledged record survives: NORMAL the death of the process (kill -9), FULL also a "
        "power cut, at the price of one fsync per group of records.",
    )
    busy_timeout_s: float = Field(
        5.0, gt=0, description="Longest wait for another process that writes to the same log (seconds)."
    )
    network_disk: Literal["refuse", "allow"] = Field(
        "refuse",
        description="Whether the embedded log may lie on a file system that other hosts or a process serve (NFS, SMB, "
        "9p, FUSE, ...): SQLite's WAL is safe there only while a single host opens it.",
    )
    retention: timedelta = Field(
        timedelta(hours=24),
        ge=timedelta(0),
        description="Time for which consumed records stay in the log (hours); what a consumer group has not committed "
        "is never removed.",
    )
    max_mb: int = Field(
        1024,
        ge=8,
        description="Size of the log (MiB). Above it consumed records go before their time; when none are left to go, "
        "new records are refused until a consumer catches up.",
    )
    max_waiting: int = Field(
        10_000, ge=1, description="Messages that may wait for the next commit; further ones are refused (messages)."
    )
    max_waiting_mb: int = Field(
        64, ge=1, description="Bytes that may wait for the next commit; what goes beyond is refused (MiB)."
    )
