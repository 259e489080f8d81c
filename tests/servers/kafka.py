"""Apache Kafka, of one node: open, or asking who comes."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.servers.certificates import fill_with_certificates
from tests.servers.processes import ROOT, SECRET, free_port, program, run, running

_CONNECTION_STRING = f"Endpoint=sb://127.0.0.1/;SharedAccessKeyName=service;SharedAccessKey={SECRET}="


@pytest.fixture(scope="session")
def kafka_servers() -> Iterator[str]:
    """``host:port`` of a Kafka cluster of one node, or what ``KAFKA_BOOTSTRAP_SERVERS`` names."""
    pytest.importorskip("confluent_kafka", reason="the extra kafka is not installed")
    if named := os.environ.get("KAFKA_BOOTSTRAP_SERVERS"):
        yield named
        return
    java, jars = _kafka_program()
    folder = Path(tempfile.mkdtemp(prefix="trunkline-server-"))
    try:
        with kafka_node(folder, jars=jars, java=java, port=free_port(), controller=free_port()) as servers:
            yield servers
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _kafka_program() -> tuple[str, str]:
    """Java, and the folder of Kafka's archives; skips the test where they cannot be had."""
    java = program("java", "java")
    fetched = subprocess.run([ROOT / "scripts" / "kafka.sh"], capture_output=True, text=True, check=False)
    if fetched.returncode != 0:
        pytest.skip(
            "Apache Kafka could not be fetched, and what librdkafka's mock cluster can be asked is asked in "
            f"tests/brokers/test_kafka_mock.py: {fetched.stderr.strip()[-300:]}"
        )
    return java, os.environ.get("KAFKA_CACHE") or str(ROOT / ".cache" / "kafka")


class ClosedKafka(NamedTuple):
    """A node that asks who comes.

    Attributes:
        sasl: ``host:port`` for a user with a password, in clear.
        ssl: ``host:port`` for clients with a certificate, encrypted.
        user: The user.
        password: The user's.
        connection_string: The password of the user ``$ConnectionString``.
        folder: Holds certificates, see ``make_certificates``.
    """

    sasl: str
    ssl: str
    user: str
    password: str
    connection_string: str
    folder: Path


@pytest.fixture
def closed_kafka() -> Iterator[ClosedKafka]:
    """A node with one listener for SASL and one for client certificates."""
    pytest.importorskip("confluent_kafka", reason="the extra kafka is not installed")
    java, jars = _kafka_program()
    folder = Path(tempfile.mkdtemp(prefix="trunkline-server-"))
    try:
        fill_with_certificates(folder)
        (folder / "keystore.pem").write_bytes(
            (folder / "server.key").read_bytes() + (folder / "server.pem").read_bytes()
        )
        plain, controller, sasl, tls = (free_port() for _ in range(4))
        listeners = f"PLAINTEXT://127.0.0.1:{plain},SASL_PLAINTEXT://127.0.0.1:{sasl},SSL://127.0.0.1:{tls}"
        login = "org.apache.kafka.common.security.plain.PlainLoginModule required"
        more = {
            "listeners": f"{listeners},CONTROLLER://127.0.0.1:{controller}",
            "advertised.listeners": listeners,
            "inter.broker.listener.name": "PLAINTEXT",
            "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL,"
            "SASL_PLAINTEXT:SASL_PLAINTEXT",
            "sasl.enabled.mechanisms": "PLAIN",
            "listener.name.sasl_plaintext.plain.sasl.jaas.config": f'{login} user_trunkline="{SECRET}" '
            f'user_$ConnectionString="{_CONNECTION_STRING}";',
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": folder / "keystore.pem",
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": folder / "ca.pem",
            "ssl.client.auth": "required",
        }
        with kafka_node(folder, jars=jars, java=java, port=plain, controller=controller, more=more):
            yield ClosedKafka(f"127.0.0.1:{sasl}", f"127.0.0.1:{tls}", "trunkline", SECRET, _CONNECTION_STRING, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def kafka_node(
    folder: Path, *, jars: str, java: str, port: int, controller: int, more: Mapping[str, object] | None = None
) -> Iterator[str]:
    """Run one node, broker and controller in one, for a ``with`` block; gives its ``host:port``.

    Args:
        folder: Holds its data.
        jars: Folder of Kafka's archives.
        java: The program.
        port: Where clients come, in clear.
        controller: Where it talks to itself.
        more: Further properties; they win.
    """
    from confluent_kafka.admin import AdminClient

    said = {
        "process.roles": "broker,controller",
        "node.id": 1,
        "controller.quorum.voters": f"1@127.0.0.1:{controller}",
        "listeners": f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port}",
        "controller.listener.names": "CONTROLLER",
        "log.dirs": folder / "data",
        "offsets.topic.num.partitions": 4,
        "offsets.topic.replication.factor": 1,
        "transaction.state.log.num.partitions": 1,
        "transaction.state.log.replication.factor": 1,
        "transaction.state.log.min.isr": 1,
        "share.coordinator.state.topic.replication.factor": 1,
        "group.initial.rebalance.delay.ms": 0,
        "group.min.session.timeout.ms": 1000,
        "log.retention.check.interval.ms": 500,
        "auto.create.topics.enable": "false",
        **(more or {}),
    }
    properties = folder / "server.properties"
    properties.write_text("".join(f"{name}={value}\n" for name, value in said.items()))
    start = [java, "-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", f"{jars}/*"]
    if not (folder / "data").exists():
        run(
            [*start, "kafka.tools.StorageTool", "format", "-t", "dHJ1bmtsaW5lLXRlc3RzLQ", "-c", properties],
            None,
            folder,
        )

    def ready() -> None:
        AdminClient({"bootstrap.servers": f"127.0.0.1:{port}", "log_level": 0}).list_topics(timeout=2)

    with running([*start, "kafka.Kafka", properties], None, folder, ready=ready, end=signal.SIGKILL):
        yield f"127.0.0.1:{port}"
