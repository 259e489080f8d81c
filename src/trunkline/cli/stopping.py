"""Commands that go on until they are told to stop."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["until_told"]


@contextmanager
def until_told() -> Iterator[threading.Event]:
    """Set an event at SIGINT or SIGTERM, so that what is at hand is finished first."""
    stop = threading.Event()
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
