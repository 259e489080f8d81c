"""Work on several threads whose results come in the order of what was given."""

from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain
from queue import SimpleQueue
from threading import Event, Semaphore
from typing import TypeVar

__all__ = ["in_order"]

_Given = TypeVar("_Given")
_Made = TypeVar("_Made")


def in_order(
    given: Iterator[_Given], work: "Callable[[_Given], _Made]", *, threads: int, ahead: int | None = None
) -> Generator[_Made, None, None]:
    """Do work on several threads; results come in the order of what was given, of which little is taken ahead.

    What is given is taken on a thread of its own, so that nothing waits while a result is being used. Close it when the
    results are not taken to their end: after that no thread works any more.

    Args:
        given: What there is to do; another thread than the first goes on with it.
        work: Does it, on several threads.
        threads: How many.
        ahead: How many results may be on their way; None: one more than there are threads.

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
    todo = chain((first, second), given)
    del first, second
    running: SimpleQueue[Future[_Made] | None] = SimpleQueue()
    room, is_closed = Semaphore(threads + 1 if ahead is None else ahead), Event()
    with (
        ThreadPoolExecutor(threads, thread_name_prefix="ingest") as pool,
        ThreadPoolExecutor(1, thread_name_prefix="ingest-read") as reader,
    ):

        def give() -> None:
            try:
                for one in todo:
                    room.acquire()
                    if is_closed.is_set():
                        return
                    running.put(pool.submit(work, one))
                    del one
            finally:
                running.put(None)

        giving = reader.submit(give)
        try:
            while (future := running.get()) is not None:
                yield future.result()
                room.release()
            giving.result()
        finally:
            is_closed.set()
            room.release()
            giving.cancel()
            while not running.empty():
                if (future := running.get()) is not None:
                    future.cancel()
