"""Locks between processes, and who holds them.

A lock is an advisory lock of the operating system on a file (``flock``): the kernel lets go of it when its process
ends, however it ends, so a killed run blocks nobody. Who holds it stands in a file beside it, for the message to the
one who came second; that file may be stale and decides nothing.
"""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from trunkline.errors import BusyError
from trunkline.settings import drills

_POLL_S = 0.01


class TableLocks(Protocol):
    """One writer per table, and one worker per piece of work, whatever keeps the lock."""

    def held(self, table: str) -> AbstractContextManager[None]:
        """Hold the table's lock for a ``with`` block; BusyError when it does not come free in time."""
        ...

    def alone(self, work: str) -> AbstractContextManager[None]:
        """Hold the lock of work that is done once; nothing of it stays. BusyError as for a table."""
        ...


def _now() -> datetime:
    return datetime.now(UTC)


@contextmanager
def held(path: Path, *, what: str, timeout_s: float = 0.0, clock: Callable[[], datetime] = _now) -> Iterator[None]:
    """Hold a lock for a ``with`` block.

    Not re-entrant: a second ``held`` of one path in the same thread waits for the first, too.

    Args:
        path: The lock's file; made, with its folder, if need be. It stays when the lock is released.
        what: What the lock guards, for the message, e.g. ``run of churn``.
        timeout_s: Longest wait in seconds; 0 gives up at once.
        clock: The current instant, written down for others to read.

    Raises:
        BusyError: Somebody else holds it; ``holder`` says host, process and since when.
    """
    from filelock import FileLock, Timeout

    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path, thread_local=False)
    try:
        lock.acquire(timeout=timeout_s, poll_interval=_POLL_S)
    except Timeout:
        raise _busy(path, what) from None
    try:
        drills.point("lake.lock_taken")
        _note_holder(path, clock)
        yield
    finally:
        lock.release()


@contextmanager
def shared(path: Path, *, what: str, timeout_s: float = 0.0, clock: Callable[[], datetime] = _now) -> Iterator[None]:
    """Hold a lock for a ``with`` block together with all others who hold it so; :func:`held` has to wait for them.

    Re-entrant, and free for threads. Who waits in :func:`held` does not keep others from sharing.

    Args:
        path: The lock's file; made, with its folder, if need be. It stays when the lock is released.
        what: What the lock guards, for the message.
        timeout_s: Longest wait in seconds for one who holds it alone; 0 gives up at once.
        clock: The current instant, written down for others to read.

    Raises:
        BusyError: Somebody holds it alone; ``holder`` says host, process and since when.
    """
    import fcntl

    file = _locked(path, fcntl.LOCK_SH, what=what, timeout_s=timeout_s)
    try:
        _note_holder(path, clock)
        yield
    finally:
        os.close(file)  # and with it the lock


@contextmanager
def alone(path: Path, *, what: str, timeout_s: float = 0.0, clock: Callable[[], datetime] = _now) -> Iterator[None]:
    """Hold the lock of work that is done once: as :func:`held`, but its files go when it is released.

    Args:
        path: The lock's file, which nobody holds by :func:`held`. A killed holder leaves it to the next.
        what: What the lock guards, for the message.
        timeout_s: Longest wait in seconds; 0 gives up at once.
        clock: The current instant, written down for others to read.

    Raises:
        BusyError: Somebody else holds it; ``holder`` says host, process and since when.
    """
    import fcntl

    file = _locked(path, fcntl.LOCK_EX, what=what, timeout_s=timeout_s)
    try:
        _note_holder(path, clock)
        yield
    finally:
        _facts_path(path).unlink(missing_ok=True)
        path.unlink(missing_ok=True)  # while it is held: who waits for it sees that it is gone, and makes another
        os.close(file)


def _locked(path: Path, mode: int, *, what: str, timeout_s: float) -> int:
    """Open a file and lock it; gives its descriptor, whose closing releases it."""
    import fcntl

    path.parent.mkdir(parents=True, exist_ok=True)
    until = time.monotonic() + timeout_s
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(file, mode | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            if time.monotonic() >= until:
                raise _busy(path, what) from None
            time.sleep(_POLL_S)
            continue
        if os.fstat(file).st_nlink:
            return file
        os.close(file)  # who held it has taken the file away meanwhile


def is_held(path: Path) -> bool:
    """Tell whether somebody holds a lock, without waiting, and without making or changing a file.

    The look itself takes the lock for a few microseconds where nobody holds it.

    Args:
        path: The lock's file; where there is none, nobody holds it.
    """
    import fcntl

    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(file)
    return False


def holder(path: Path) -> str:
    """Say who holds a lock, as far as is known.

    Args:
        path: The lock's file.

    Returns:
        ``HOST process PID since INSTANT`` of the last one who took it, or ``an unknown process``.
    """
    try:
        facts = json.loads(_facts_path(path).read_text(encoding="utf-8"))
        return f"{facts['host']} process {facts['pid']} since {facts['since']}"
    except (OSError, ValueError, KeyError, TypeError):  # not there yet, half-written, or not ours
        return "an unknown process"


def _busy(path: Path, what: str) -> BusyError:
    return BusyError(
        f"somebody else holds the {what}",
        holder=holder(path),
        where=f"{path}, held by {holder(path)}",
        next_step="wait until it has ended, or end that process",
    )


def _note_holder(path: Path, clock: Callable[[], datetime]) -> None:
    facts = {"host": socket.gethostname(), "pid": os.getpid(), "since": clock().isoformat(timespec="seconds")}
    _facts_path(path).write_text(json.dumps(facts), encoding="utf-8")


def _facts_path(path: Path) -> Path:
    return path.with_name(path.name + ".holder")


class FileLocks:
    """Table locks as files in one folder; enough for all processes of one host.

    Args:
        folder: Where the lock files are.
        timeout_s: Longest wait for another writer, in seconds.
        clock: The current instant.
    """

    def __init__(self, folder: Path, *, timeout_s: float, clock: Callable[[], datetime]) -> None:
        self._folder = folder
        self._timeout_s = timeout_s
        self._clock = clock

    def held(self, table: str) -> AbstractContextManager[None]:
        """Hold the table's lock for a ``with`` block.

        Raises:
            BusyError: Another writer held it all the time.
        """
        return held(self._folder / f"{table}.lock", what=f"table {table}", timeout_s=self._timeout_s, clock=self._clock)

    def alone(self, work: str) -> AbstractContextManager[None]:
        """Hold the lock of work that is done once.

        Raises:
            BusyError: Somebody else did it all the time.
        """
        return alone(self._folder / f"{work}.lock", what=work, timeout_s=self._timeout_s, clock=self._clock)
