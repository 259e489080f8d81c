"""Database servers for tests: each starts once a process, on 127.0.0.1, in a folder of its own, and is ended after.

Both servers refuse to run as root: root lends them a user without rights. A test whose server is not installed is
skipped, with the command that installs it.
"""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

_KAFKA = Path(__file__).resolve().parent.parent  # below it the script that fetches Kafka, and what it fetched
_READY_WITHIN_S = 60.0
_ASK_EVERY_S = 0.05
_SECRET = "n0t-shown"  # of servers that nobody but this machine reaches, for as long as a test runs
_CONNECTION_STRING = f"Endpoint=sb://127.0.0.1/;SharedAccessKeyName=service;SharedAccessKey={_SECRET}="


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A superuser's ``postgresql://user:password@host:port/database`` of a server with logical decoding."""
    psycopg = pytest.importorskip("psycopg", reason="the extra sql is not installed")
    initdb, postgres = _program("initdb", "postgresql"), _program("postgres", "postgresql")
    with _folder("postgres") as (folder, user):
        (folder / "password").write_text(_SECRET)
        data = folder / "data"
        made = [initdb, "-D", data, "-U", "trunkline", "-A", "scram-sha-256", f"--pwfile={folder / 'password'}"]
        _run([*made, "-E", "UTF8", "--locale=C", "--no-sync"], user, folder)
        port = _free_port()
        said = {
            "listen_addresses": "127.0.0.1",
            "port": port,
            "unix_socket_directories": "",
            "fsync": "off",
            "wal_level": "logical",
            "max_replication_slots": 20,
            "max_wal_senders": 4,
            "shared_buffers": "32MB",
        }
        options = [part for name, value in said.items() for part in ("-c", f"{name}={value}")]
        url = f"postgresql://trunkline:{_SECRET}@127.0.0.1:{port}/postgres"

        def ready() -> None:
            psycopg.connect(url, connect_timeout=2).close()

        with _running([postgres, "-D", data, *options], user, folder, ready=ready, end=signal.SIGINT):
            yield url


@pytest.fixture(scope="session")
def mariadb_url() -> Iterator[str]:
    """A superuser's ``mysql://user:password@host:port/database`` of a server that writes a row binlog."""
    pymysql = pytest.importorskip("pymysql", reason="the extra sql is not installed")
    install, mariadbd = _program("mariadb-install-db", "mariadb"), _program("mariadbd", "mariadb")
    with _folder("mysql") as (folder, user):
        data, port = folder / "data", _free_port()
        _run(
            [install, "--no-defaults", f"--datadir={data}", "--auth-root-authentication-method=normal"],
            user,
            folder,
        )
        (folder / "first.sql").write_text(
            f"CREATE USER 'trunkline'@'%' IDENTIFIED BY '{_SECRET}';\n"  # one statement a line
            "GRANT ALL ON *.* TO 'trunkline'@'%' WITH GRANT OPTION;\nCREATE DATABASE IF NOT EXISTS trunkline;\n"
        )
        options = [
            "--no-defaults",
            f"--datadir={data}",
            "--bind-address=127.0.0.1",
            f"--port={port}",
            f"--socket={folder / 'socket'}",
            f"--pid-file={folder / 'pid'}",
            f"--init-file={folder / 'first.sql'}",
            "--skip-name-resolve",
            "--server-id=1",
            f"--log-bin={data / 'binlog'}",
            "--binlog-format=ROW",
            "--binlog-row-metadata=FULL",
            "--innodb-flush-log-at-trx-commit=0",
            "--innodb-buffer-pool-size=32M",
            "--character-set-server=utf8mb4",
        ]
        url = f"mysql://trunkline:{_SECRET}@127.0.0.1:{port}/trunkline"

        def ready() -> None:
            pymysql.connect(
                host="127.0.0.1", port=port, user="trunkline", password=_SECRET, database="trunkline"
            ).close()

        with _running([mariadbd, *options], user, folder, ready=ready, end=signal.SIGTERM):
            yield url


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
        with kafka_node(folder, jars=jars, java=java, port=_free_port(), controller=_free_port()) as servers:
            yield servers
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _kafka_program() -> tuple[str, str]:
    """Java, and the folder of Kafka's archives; skips the test where they cannot be had."""
    java = _program("java", "java")
    fetched = subprocess.run([_KAFKA / "scripts" / "kafka.sh"], capture_output=True, text=True, check=False)
    if fetched.returncode != 0:
        pytest.skip(
            "Apache Kafka could not be fetched, and what librdkafka's mock cluster can be asked is asked in "
            f"tests/brokers/test_kafka_mock.py: {fetched.stderr.strip()[-300:]}"
        )
    return java, os.environ.get("KAFKA_CACHE") or str(_KAFKA / ".cache" / "kafka")


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
        _make_certificates(folder)
        (folder / "keystore.pem").write_bytes(
            (folder / "server.key").read_bytes() + (folder / "server.pem").read_bytes()
        )
        plain, controller, sasl, tls = (_free_port() for _ in range(4))
        listeners = f"PLAINTEXT://127.0.0.1:{plain},SASL_PLAINTEXT://127.0.0.1:{sasl},SSL://127.0.0.1:{tls}"
        login = "org.apache.kafka.common.security.plain.PlainLoginModule required"
        more = {
            "listeners": f"{listeners},CONTROLLER://127.0.0.1:{controller}",
            "advertised.listeners": listeners,
            "inter.broker.listener.name": "PLAINTEXT",
            "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL,"
            "SASL_PLAINTEXT:SASL_PLAINTEXT",
            "sasl.enabled.mechanisms": "PLAIN",
            "listener.name.sasl_plaintext.plain.sasl.jaas.config": f'{login} user_trunkline="{_SECRET}" '
            f'user_$ConnectionString="{_CONNECTION_STRING}";',
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": folder / "keystore.pem",
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": folder / "ca.pem",
            "ssl.client.auth": "required",
        }
        with kafka_node(folder, jars=jars, java=java, port=plain, controller=controller, more=more):
            yield ClosedKafka(f"127.0.0.1:{sasl}", f"127.0.0.1:{tls}", "trunkline", _SECRET, _CONNECTION_STRING, folder)
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
        _run(
            [*start, "kafka.tools.StorageTool", "format", "-t", "dHJ1bmtsaW5lLXRlc3RzLQ", "-c", properties],
            None,
            folder,
        )

    def ready() -> None:
        AdminClient({"bootstrap.servers": f"127.0.0.1:{port}", "log_level": 0}).list_topics(timeout=2)

    with _running([*start, "kafka.Kafka", properties], None, folder, ready=ready, end=signal.SIGKILL):
        yield f"127.0.0.1:{port}"


_OPENSEARCH_MODULES = {  # name: its class, and how the names of its archives begin
    "transport-netty4": ("org.opensearch.transport.Netty4Plugin", ("netty-", "transport-netty4")),
    "reindex": (
        "org.opensearch.index.reindex.ReindexPlugin",
        ("reindex-", "http", "commons-", "opensearch-rest-client", "opensearch-ssl-config"),
    ),
}
_OPENSEARCH_PLUGIN = """
description={name}
version=2.19.1
name={name}
classname={class_name}
java.version=11
opensearch.version=2.19.1
has.native.controller=false
"""
_OPENSEARCH_POLICY = """
grant {
  permission java.net.SocketPermission "*", "accept,connect,resolve,listen";
  permission java.lang.RuntimePermission "getClassLoader";
  permission java.lang.RuntimePermission "accessDeclaredMembers";
  permission java.lang.reflect.ReflectPermission "suppressAccessChecks";
};
"""


@pytest.fixture(scope="session")
def opensearch_url() -> Iterator[str]:
    """``http://host:port`` of a node of OpenSearch, or what ``ELASTICSEARCH_URL`` names."""
    if named := os.environ.get("ELASTICSEARCH_URL"):
        yield named
        return
    java = _program("java", "java")
    fetched = subprocess.run(
        [_KAFKA / "scripts" / "maven.sh", "opensearch"], capture_output=True, text=True, check=False
    )
    if fetched.returncode != 0:
        pytest.skip(f"OpenSearch could not be fetched: {fetched.stderr.strip()[-300:]}")
    jars = Path(os.environ.get("OPENSEARCH_CACHE") or _KAFKA / ".cache" / "opensearch")
    with _folder("nobody") as (folder, user):
        port = _free_port()
        for name in ("lib", "config", "logs", "data", "plugins"):
            (folder / name).mkdir()
        homes = {}
        for name, (class_name, begins) in _OPENSEARCH_MODULES.items():
            module = folder / "modules" / name
            module.mkdir(parents=True)
            said_of = _OPENSEARCH_PLUGIN.format(name=name, class_name=class_name)
            (module / "plugin-descriptor.properties").write_text(said_of)
            (module / "plugin-security.policy").write_text(_OPENSEARCH_POLICY)
            homes[begins] = module
        for jar in jars.glob("*.jar"):
            home = next((module for begins, module in homes.items() if jar.name.startswith(begins)), folder / "lib")
            shutil.copy(jar, home)
        (folder / "config" / "log4j2.properties").write_text("status = error\nrootLogger.level = error\n")
        said = {
            "discovery.type": "single-node",
            "network.host": "127.0.0.1",
            "http.port": port,
            "transport.port": _free_port(),
            "cluster.routing.allocation.disk.threshold_enabled": "false",  # a full disk of the machine is not its test
        }
        text = "".join(f"{name}: {value}\n" for name, value in said.items())
        (folder / "config" / "opensearch.yml").write_text(text)
        for path in (folder, *folder.rglob("*")):
            if user is not None:
                os.chown(path, user, -1)
        options = [
            *("-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Djava.security.manager=allow"),
            *("-Dlog4j2.disable.jmx=true", f"-Djava.io.tmpdir={folder / 'logs'}", f"-Dopensearch.path.home={folder}"),
            *(f"-Dopensearch.path.conf={folder / 'config'}", "-Dopensearch.distribution.type=tar"),
            *("-cp", f"{folder / 'lib'}/*", "org.opensearch.bootstrap.OpenSearch"),
        ]
        url = f"http://127.0.0.1:{port}"

        def ready() -> None:
            urllib.request.urlopen(f"{url}/_cluster/health?wait_for_status=yellow&timeout=5s", timeout=6).close()

        with _running([java, *options], user, folder, ready=ready, end=signal.SIGKILL):
            yield url


def _program(name: str, what: str) -> str:
    """Find a program; skips the test where it is not installed."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin")
    newest = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int(path.parts[-3]))
    if found is None and not newest:
        pytest.skip(f"{name} is not installed: scripts/system.sh {what}")
    return found or str(newest[-1])


@contextmanager
def _folder(owner: str) -> Iterator[tuple[Path, int | None]]:
    """Lend a folder, and the user to run as: ``owner`` for root, None for anybody else.

    Not below pytest's own folder, which nobody but its user can enter.
    """
    folder = Path(tempfile.mkdtemp(prefix="trunkline-server-"))
    try:
        user = None
        if os.geteuid() == 0:
            entry = pwd.getpwnam(owner)
            user = entry.pw_uid
            os.chown(folder, entry.pw_uid, entry.pw_gid)
        yield folder, user
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _run(command: Sequence[object], user: int | None, folder: Path) -> None:
    done = subprocess.run(
        [str(part) for part in command],
        cwd=folder,
        user=user,
        extra_groups=None if user is None else [],
        capture_output=True,
        check=False,
        text=True,
    )
    assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-2000:]}"


@contextmanager
def _running(
    command: Sequence[object], user: int | None, folder: Path, *, ready: Callable[[], None], end: signal.Signals
) -> "Iterator[subprocess.Popen[bytes]]":
    """Run a server for a ``with`` block that begins when it answers."""
    log = folder / "log"
    with log.open("wb") as stream:
        server = subprocess.Popen(
            [str(part) for part in command],
            cwd=folder,
            user=user,
            extra_groups=None if user is None else [],
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
        )
    try:
        _wait_for(server, ready, log)
        yield server
    finally:
        server.send_signal(end)
        try:
            server.wait(timeout=30)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def _wait_for(server: "subprocess.Popen[bytes]", ready: Callable[[], None], log: Path) -> None:
    until = time.monotonic() + _READY_WITHIN_S
    while True:
        assert server.poll() is None, log.read_text(errors="replace")[-2000:]
        try:
            ready()
        except Exception as error:  # noqa: BLE001 - every driver has its own class for "not yet"
            if time.monotonic() > until:
                pytest.fail(f"{error}\n{log.read_text(errors='replace')[-2000:]}")
            threading.Event().wait(_ASK_EVERY_S)
        else:
            return


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Mosquitto:
    """A broker that can be killed and started again on its port, with what it keeps.

    Attributes:
        port: Its port on 127.0.0.1.
        folder: Holds its data, and certificates and lists that a test writes.
    """

    def __init__(self, program: str, folder: Path, user: int | None, *, said: Sequence[str] = ()) -> None:
        self.port = _free_port()
        self.folder = folder
        self._program = program
        self._user = user
        self._running: ExitStack | None = None
        self._server: subprocess.Popen[bytes] | None = None
        self.configure(said or ("allow_anonymous true",))

    def configure(self, said: Sequence[str]) -> None:
        """Say how it listens; holds from the next start."""
        lines = [
            "per_listener_settings false",
            "persistence true",
            f"persistence_location {self.folder}/",
            "autosave_on_changes true",
            "autosave_interval 1",
            "max_queued_messages 0",
            f"listener {self.port} 127.0.0.1",
            *said,
        ]
        (self.folder / "mosquitto.conf").write_text("\n".join(lines) + "\n")

    def start(self) -> None:
        """Start it; returns when it listens."""
        self._running = ExitStack()
        command = [self._program, "-c", self.folder / "mosquitto.conf"]

        def ready() -> None:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()

        self._server = self._running.enter_context(
            _running(command, self._user, self.folder, ready=ready, end=signal.SIGKILL)  # also: kill -9
        )

    def kill(self) -> None:
        """End it by SIGKILL."""
        if self._running is not None:
            self._running.close()
            self._running = None

    def reload(self) -> None:
        """Let it read its lists again."""
        assert self._server is not None
        self._server.send_signal(signal.SIGHUP)


@pytest.fixture
def mosquitto() -> Iterator[Mosquitto]:
    """A Mosquitto that was not started yet."""
    pytest.importorskip("paho.mqtt", reason="the extra mqtt is not installed")
    program = _program("mosquitto", "mosquitto")
    with _folder("mosquitto") as (folder, user):
        broker = Mosquitto(program, folder, user)
        try:
            yield broker
        finally:
            broker.kill()


@pytest.fixture(scope="session")
def make_certificates() -> Callable[[Path], None]:
    """Fill a folder with certificates of an authority: ``ca``, ``server`` of 127.0.0.1, ``d1``, ``d2``, ``unknown``,
    and one of another authority, ``stranger``."""
    return _make_certificates


def _make_certificates(folder: Path) -> None:
    import datetime as dt
    import ipaddress

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    begin = dt.datetime.now(dt.UTC) - dt.timedelta(hours=1)

    def named(name: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])

    def made(name: str, by: tuple[x509.Name, ec.EllipticCurvePrivateKey] | None) -> ec.EllipticCurvePrivateKey:
        key = ec.generate_private_key(ec.SECP256R1())
        issuer, signing = by or (named(name), key)
        alternative = x509.SubjectAlternativeName(
            [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        )
        usage = x509.KeyUsage(
            digital_signature=True,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            key_cert_sign=by is None,
            crl_sign=by is None,
            encipher_only=False,
            decipher_only=False,
        )
        built = (
            x509.CertificateBuilder()
            .subject_name(named(name))
            .issuer_name(issuer)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(begin)
            .not_valid_after(begin + dt.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=by is None, path_length=None), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signing.public_key()), critical=False)
            .add_extension(alternative, critical=False)
            .sign(signing, hashes.SHA256())
        )
        (folder / f"{name}.pem").write_bytes(built.public_bytes(serialization.Encoding.PEM))
        (folder / f"{name}.key").write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return key

    authority = made("ca", None)
    for name in ("server", "d1", "d2", "unknown", "platform"):
        made(name, (named("ca"), authority))
    other = made("other", None)
    made("stranger", (named("other"), other))


class RabbitMq:
    """A RabbitMQ of one node that can be killed and started again on its ports, with what it keeps.

    Attributes:
        port: Its port on 127.0.0.1.
        tls_port: Another, for TLS, where clients have to show a certificate of its authority.
        folder: Where the certificates are.
    """

    def __init__(self, program: str, folder: Path, user: int | None) -> None:
        self.port, self.tls_port = _free_port(), _free_port()
        self.folder = folder
        self._program = program
        self._user = user
        self._epmd, self._between = _free_port(), _free_port()
        self._running: ExitStack | None = None
        _make_certificates(folder)
        lines = (
            f"listeners.tcp.1 = 127.0.0.1:{self.port}",
            f"listeners.ssl.1 = 127.0.0.1:{self.tls_port}",
            f"ssl_options.cacertfile = {folder / 'ca.pem'}",
            f"ssl_options.certfile = {folder / 'server.pem'}",
            f"ssl_options.keyfile = {folder / 'server.key'}",
            "ssl_options.verify = verify_peer",
            "ssl_options.fail_if_no_peer_cert = true",
        )
        (folder / "plugins").write_text("[].\n")
        (folder / "rabbitmq.conf").write_text("\n".join(lines) + "\n")
        if user is not None:
            for name in ("plugins", "rabbitmq.conf", "server.key"):
                os.chown(folder / name, user, -1)

    @property
    def url(self) -> str:
        """Its address, with the user that RabbitMQ lets in from loopback alone."""
        return f"amqp://guest:guest@127.0.0.1:{self.port}/"

    def start(self) -> None:
        """Start it; returns when it answers."""
        said = {
            "HOME": self.folder,
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": self._epmd,
            "RABBITMQ_NODENAME": f"t{self.port}@localhost",
            "RABBITMQ_DIST_PORT": self._between,
            "RABBITMQ_MNESIA_BASE": self.folder / "data",
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_CONFIG_FILE": self.folder / "rabbitmq.conf",
            "RABBITMQ_ENABLED_PLUGINS_FILE": self.folder / "plugins",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1} +S 1:1",
        }
        environment = [f"{name}={value}" for name, value in said.items()]
        self._running = ExitStack()

        def ready() -> None:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as probe:
                probe.sendall(b"AMQP\0\0\x09\x01")
                assert probe.recv(1)

        self._running.callback(self._end_epmd)
        self._running.enter_context(
            _running(["env", *environment, self._program], self._user, self.folder, ready=ready, end=signal.SIGKILL)
        )

    def kill(self) -> None:
        """End it by SIGKILL."""
        if self._running is not None:
            for process in self._processes("beam.smp", f"t{self.port}@localhost"):
                os.kill(process, signal.SIGKILL)
            self._running.close()
            self._running = None

    def restart(self) -> None:
        """End it in order, and start it again: what it keeps of its streams is on the disk then."""
        if self._running is not None:
            for process in self._processes("beam.smp", f"t{self.port}@localhost"):
                os.kill(process, signal.SIGTERM)
                until = time.monotonic() + _READY_WITHIN_S
                while Path(f"/proc/{process}/environ").exists() and self._processes("beam.smp", f"t{self.port}@"):
                    assert time.monotonic() < until
                    threading.Event().wait(_ASK_EVERY_S)
            self.kill()
        self.start()

    def _end_epmd(self) -> None:
        """End the port mapper that the node has started, which is this node's alone."""
        for process in self._processes("epmd", f"ERL_EPMD_PORT={self._epmd}"):
            os.kill(process, signal.SIGKILL)

    @staticmethod
    def _processes(program: str, mark: str) -> list[int]:
        """Processes of a program that this node has started, told by its command line or environment."""
        found = []
        for folder in Path("/proc").iterdir():
            if folder.name.isdigit():
                try:
                    command = (folder / "cmdline").read_bytes()
                    around = (folder / "environ").read_bytes()
                except OSError:
                    continue
                if program.encode() in command.split(b"\0")[0] and mark.encode() in command + around:
                    found.append(int(folder.name))
        return found


@pytest.fixture(scope="session")
def rabbitmq() -> Iterator[RabbitMq]:
    """A running RabbitMQ; a test that kills it starts it again."""
    pytest.importorskip("aio_pika", reason="the extra rabbitmq is not installed")
    program = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")  # the one on the PATH wants to be root
    if not program.exists():
        pytest.skip("rabbitmq-server is not installed: scripts/system.sh rabbitmq")
    with _folder("rabbitmq") as (folder, user):
        broker = RabbitMq(str(program), folder, user)
        broker.start()
        try:
            yield broker
        finally:
            broker.kill()
