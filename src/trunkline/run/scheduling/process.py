"""One command of Trunkline in a process of its own, watched until it ends.

The process gets a session of its own, so that Ctrl-C reaches the scheduler alone. What it says goes into two files that
the next one overwrites. It is started, never forked into: no state of this process reaches it.

It holds the lock beside these files for as long as it lives, whatever becomes of the one that started it: the kernel
lets go of it, so that a number that another process has by now deceives nobody. A scheduler that comes after one that
was killed finds by it what that one had started, and waits for its end before it starts the same again.
"""

import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Final

__all__ = ["Ended", "is_running", "output_of", "run_process"]

_LOOK_S: Final = 0.2
_MOST_BYTES: Final = 16 << 20
_END_S: Final = 10.0


@dataclass(frozen=True)
class Ended:
    """How a process ended.

    Attributes:
        exit_code: Its exit code; negative for the signal that ended it.
        seconds: Wall time.
        why: ``itself``, or why it was ended: ``told`` to stop, or ``late``.
        document: What it printed as JSON; empty where that was none.
    """

    exit_code: int
    seconds: float
    why: str
    document: dict[str, object]


def output_of(root: Path, job: str) -> Path:
    """The file that the standard output of a job goes to, below the workspace's folder."""
    return root / "schedule" / f"{job.replace(':', '-').replace('/', '-')}.json"


def is_running(said: Path) -> bool:
    """Whether a process that was started at these files lives, whoever started it."""
    try:
        lock = os.open(said.with_suffix(".lock"), os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


def run_process(arguments: Sequence[str], *, said: Path, stop: Event, longest_s: float, grace_s: float) -> Ended:
    """Run ``trunkline ARGUMENTS`` and wait for it.

    A process that an earlier call has left behind at the same files is waited for first, as if this call had started
    it: where it is ended, nothing else is started.

    Args:
        arguments: Without the program's name.
        said: Where its standard output goes; what it says on standard error goes beside it, with ``.log``, and the lock
            that it holds, with ``.lock``.
        stop: Set to end it early.
        longest_s: Time after which it is ended, in seconds.
        grace_s: Time that it has after ``stop`` is set, in seconds.

    Raises:
        OSError: It cannot be started.
    """
    began = time.monotonic()
    said.parent.mkdir(parents=True, exist_ok=True)
    lock = os.open(said.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        ended = _await_left(lock, stop=stop, longest_s=longest_s, grace_s=grace_s)
        if ended:
            return Ended(-signal.SIGTERM, time.monotonic() - began, ended, {})
        os.ftruncate(lock, 0)  # until the next one is known, nobody's number stands there
        with said.open("wb") as out, said.with_suffix(".log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "trunkline", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=log,
                start_new_session=True,
                pass_fds=(lock,),
            )
        os.pwrite(lock, f"{socket.gethostname()} {process.pid}".encode(), 0)
    finally:
        os.close(lock)  # the process has it still
    why, until = "itself", began + longest_s
    is_told = False
    while True:
        try:
            process.wait(_LOOK_S)
            break
        except subprocess.TimeoutExpired:
            now = time.monotonic()
        if stop.is_set() and not is_told:
            is_told, until = True, min(until, now + grace_s)
        if now >= until:
            why = "told" if is_told else "late"
            _end(process)
            break
    return Ended(process.returncode, time.monotonic() - began, why, _document(said))


def _await_left(lock: int, *, stop: Event, longest_s: float, grace_s: float) -> str:
    """Take the lock once the process that a killed scheduler has left is at its end.

    Returns:
        Empty where this call may start its own; else why the other one was ended, ``told`` or ``late``.
    """
    until = time.monotonic() + longest_s - max(0.0, time.time() - os.fstat(lock).st_mtime)
    is_told = False
    while not _is_free(lock):
        now = time.monotonic()
        if stop.is_set() and not is_told:
            is_told, until = True, min(until, now + grace_s)
        if now >= until:
            _end_left(lock)
            return "told" if is_told else "late"
        time.sleep(_LOOK_S)
    return "told" if is_told else ""


def _is_free(lock: int) -> bool:
    """Take the lock; tells whether that was possible."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _end_left(lock: int) -> None:
    """End the process that holds the lock, and what it started; one of another machine is left alone."""
    host, _, number = os.pread(lock, 1024, 0).decode(errors="replace").rpartition(" ")
    if host != socket.gethostname() or not number.isdecimal():
        return
    _signal(int(number), signal.SIGTERM)
    until = time.monotonic() + _END_S
    while not _is_free(lock) and time.monotonic() < until:
        time.sleep(_LOOK_S)
    _signal(int(number), signal.SIGKILL)
    until = time.monotonic() + _END_S
    while not _is_free(lock) and time.monotonic() < until:
        time.sleep(_LOOK_S)


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End a process and what it started; whatever it was doing can be gone on with."""
    _signal(process.pid, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(_END_S)
    _signal(process.pid, signal.SIGKILL)  # what it started may have stayed, though it has gone itself
    process.wait()


def _signal(group: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(group, number)


def _document(said: Path) -> dict[str, object]:
    """Read what a command printed as JSON."""
    try:
        if said.stat().st_size > _MOST_BYTES:
            return {}
        found = json.loads(said.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
