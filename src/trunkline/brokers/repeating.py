"""A thread that does one thing again and again beside what a process is for: flushing a log, windows, deliveries."""

import logging
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Self

from trunkline.errors import TrunklineError

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["RepeatingThread"]

_REST: Final = 1.0

_logger = logging.getLogger(__name__)


class RepeatingThread:
    """Does a thing until it is stopped, and once more then; a context manager.

    Args:
        turn: The thing; called in the thread alone. What it raises is logged, and it is tried again.
        name: Of the thread.
        every_s: Least time between two turns, in seconds; without a rest between their beginnings, so that a turn that
            took longer is followed at once.
        rest: Least time between two turns, as a share of the time that the first took: with 1 at most half of a core.
        failed: What is logged when a turn raises; none names the thread.
        ended: Called in the thread when it ends.
    """

    def __init__(
        self,
        turn: Callable[[], None],
        *,
        name: str,
        every_s: float,
        rest: float = _REST,
        failed: str = "",
        ended: Callable[[], None] | None = None,
    ) -> None:
        self._turn = turn
        self._name = name
        self._every_s = every_s
        self._rest = rest
        self._failed = failed or f"{name} failed"
        self._ended = ended
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self.problem = ""

    def start(self) -> None:
        """Begin."""
        self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
        self._thread.start()

    def stop(self, *, timeout_s: float = 30.0) -> None:
        """Take one more turn, then end.

        Args:
            timeout_s: Longest wait in seconds; what is not done by then is done by the next process.
        """
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout_s)

    def __enter__(self) -> Self:
        """Begin."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: "TracebackType | None"
    ) -> None:
        """End."""
        self.stop()

    def _run(self) -> None:
        last = False
        while not last:
            last = self._stop.is_set()
            begun = time.monotonic()
            try:
                self._turn()
                self.problem = ""
            except Exception as error:  # the thread must live: whatever it is, it is shown, logged and tried again
                self.problem = error.what if isinstance(error, TrunklineError) else type(error).__name__
                _logger.exception("%s; trying again", self._failed)
            if not last:
                took = time.monotonic() - begun
                self._stop.wait(max(self._every_s if self._rest else self._every_s - took, self._rest * took))
        if self._ended is not None:
            self._ended()
