"""RabbitMQ, of one node that can be killed."""

import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.servers.certificates import fill_with_certificates
from tests.servers.processes import ASK_EVERY_S, READY_WITHIN_S, free_port, lent_folder, running


class RabbitMq:
    """A RabbitMQ of one node that can be killed and started again on its ports, with what it keeps.

    Attributes:
        port: Its port on 127.0.0.1.
        tls_port: Another, for TLS, where clients have to show a certificate of its authority.
        folder: Where the certificates are.
    """

    def __init__(self, program: str, folder: Path, user: int | None) -> None:
        self.port, self.tls_port = free_port(), free_port()
        self.folder = folder
        self._program = program
        self._user = user
        self._epmd, self._between = free_port(), free_port()
        self._running: ExitStack | None = None
        fill_with_certificates(folder)
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
            running(["env", *environment, self._program], self._user, self.folder, ready=ready, end=signal.SIGKILL)
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
                until = time.monotonic() + READY_WITHIN_S
                while Path(f"/proc/{process}/environ").exists() and self._processes("beam.smp", f"t{self.port}@"):
                    assert time.monotonic() < until
                    threading.Event().wait(ASK_EVERY_S)
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
    with lent_folder("rabbitmq") as (folder, user):
        broker = RabbitMq(str(program), folder, user)
        broker.start()
        try:
            yield broker
        finally:
            broker.kill()
