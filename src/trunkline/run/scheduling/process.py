"""One command of Trunkline in a process of its own, watched until it ends.

The process gets a session of its own, so that Ctrl-C reaches the scheduler alone. What it says goes into two files that
the next one overwrites. It is started, never forked into: no state of this process reaches it.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Final

__all__ = ["Ended", "run_process"]

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


def run_process(arguments: Sequence[str], *, said: Path, stop: Event, longest_s: float, grace_s: float) -> Ended:
    """Run ``trunkline ARGUMENTS`` and wait for it.

    Args:
        arguments: Without the program's name.
        said: Where its standard output goes; what it says on standard error goes beside it, with ``.log``.
        stop: Set to end it early.
        longest_s: Time after which it is ended, in seconds.
        grace_s: Time that it has after ``stop`` is set, in seconds.

    Raises:
        OSError: It cannot be started.
    """
    began = time.monotonic()
    said.parent.mkdir(parents=True, exist_ok=True)
    with said.open("wb") as out, said.with_suffix(".log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "trunkline", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=log,
            start_new_session=True,
        )
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


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End a process and what it started; whatever it was doing can be gone on with."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        try:
            process.wait(_END_S)
        except subprocess.TimeoutExpired:
            continue
        return
    process.wait()


def _document(said: Path) -> dict[str, object]:
    """Read what a command printed as JSON."""
    try:
        if said.stat().st_size > _MOST_BYTES:
            return {}
        found = json.loads(said.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
