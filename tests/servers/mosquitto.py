"""Mosquitto, a broker of MQTT that can be killed."""

import signal
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.servers.processes import free_port, lent_folder, program, running


class Mosquitto:
    """A broker that can be killed and started again on its port, with what it keeps.

    Attributes:
        port: Its port on 127.0.0.1.
        folder: Holds its data, and certificates and lists that a test writes.
    """

    def __init__(self, program: str, folder: Path, user: int | None, *, said: Sequence[str] = ()) -> None:
        self.port = free_port()
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
            running(command, self._user, self.folder, ready=ready, end=signal.SIGKILL)  # also: kill -9
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
    installed = program("mosquitto", "mosquitto")
    with lent_folder("mosquitto") as (folder, user):
        broker = Mosquitto(installed, folder, user)
        try:
            yield broker
        finally:
            broker.kill()
