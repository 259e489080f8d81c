"""Servers as processes: where their programs are, whom they run as, when they answer, and how they end."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
"""The checkout: below it the scripts that fetch servers, and what they fetched."""
READY_WITHIN_S = 60.0
ASK_EVERY_S = 0.05
SECRET = "n0t-shown"  # of servers that nobody but this machine reaches, for as long as a test runs


def program(name: str, what: str) -> str:
    """Find a program; skips the test where it is not installed."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin")
    newest = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int(path.parts[-3]))
    if found is None and not newest:
        pytest.skip(f"{name} is not installed: scripts/system.sh {what}")
    return found or str(newest[-1])


class Server:
    """A server that can be killed and started again on its port, with what it keeps.

    Attributes:
        url: Where it is.
    """

    def __init__(self, url: str, run: Callable[[], AbstractContextManager[object]]) -> None:
        self.url = url
        self._run = run
        self._running: ExitStack | None = None

    def start(self) -> None:
        """Start it where it does not run; returns when it answers."""
        if self._running is None:
            self._running = ExitStack()
            self._running.enter_context(self._run())

    def kill(self) -> None:
        """End it by SIGKILL."""
        if self._running is not None:
            self._running.close()
            self._running = None


@contextmanager
def lent_folder(owner: str) -> Iterator[tuple[Path, int | None]]:
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


def run(command: Sequence[object], user: int | None, folder: Path, *, said: str = "") -> None:
    done = subprocess.run(
        [str(part) for part in command],
        cwd=folder,
        user=user,
        extra_groups=None if user is None else [],
        input=said,
        capture_output=True,
        check=False,
        text=True,
    )
    assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-2000:]}"


@contextmanager
def running(
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
    until = time.monotonic() + READY_WITHIN_S
    while True:
        assert server.poll() is None, log.read_text(errors="replace")[-2000:]
        try:
            ready()
        except Exception as error:  # noqa: BLE001 - every driver has its own class for "not yet"
            if time.monotonic() > until:
                pytest.fail(f"{error}\n{log.read_text(errors='replace')[-2000:]}")
            threading.Event().wait(ASK_EVERY_S)
        else:
            return


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
