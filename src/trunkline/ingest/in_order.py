"""Work on several threads whose results come in the order of what was given."""

from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain
from typing import TypeVar

__all__ = ["in_order"]

_Given = TypeVar("_Given")
_Made = TypeVar("_Made")


def in_order(
    given: Iterator[_Given], work: "Callable[[_Given], _Made]", *, threads: int
) -> Generator[_Made, None, None]:
    """Do work on several threads; results come in the order of what was given, of which little is taken ahead.

    Close it when the results are not taken to their end: after that no thread works any more.

    Raises:
        Exception: What the work, or the giving, raised.
    """
    first = next(given, None)
    if first is None:
        return
    second = next(given, None)
    if second is None:  # not worth a thread
        yield work(first)
        return
    with ThreadPoolExecutor(threads, thread_name_prefix="ingest") as pool:
        running: deque[Future[_Made]] = deque()
        try:
            for one in chain((first, second), given):
                running.append(pool.submit(work, one))
                del one
                if len(running) > threads:
                    yield running.popleft().result()
            while running:
                yield running.popleft().result()
        finally:
            for future in running:
                future.cancel()
