"""Group commit for event loops: many requests, one commit.

``append`` gives a future that is done when the messages are durable. All messages that arrive in one turn of the loop,
or while a commit is under way, share the next commit. Where the broker commits within microseconds this happens on the
loop
itself: measured, a hand-over to a thread and back costs more than the commit, and under load waits for the
interpreter's lock. Where it waits for a disk, one thread does it.
"""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from trunkline.brokers.protocol import Broker, Message
from trunkline.errors import UnavailableError

__all__ = ["GroupCommit"]


class GroupCommit:
    """Appends to a broker from one event loop; made inside that loop.

    Args:
        broker: Where the messages go.
        max_waiting: Messages that may wait for the next commit.
    """

    def __init__(self, broker: Broker, *, max_waiting: int) -> None:
        self._broker = broker
        self._max_waiting = max_waiting
        self._loop = asyncio.get_running_loop()
        self._batches: dict[str, list[Message]] = {}
        self._waiters: list[asyncio.Future[None]] = []
        self._waiting = 0
        self._busy = False
        self._thread = None if broker.capabilities.quick_commit else ThreadPoolExecutor(1, "group-commit")

    def append(self, topic: str, messages: Sequence[Message]) -> "asyncio.Future[None]":
        """Hand over messages of one topic.

        Args:
            topic: The topic.
            messages: The messages, stored together and in order.

        Returns:
            A future, done when they are durable; it raises what ``Broker.publish`` raises.

        Raises:
            UnavailableError: Too many messages wait already.
        """
        if self._waiting + len(messages) > self._max_waiting and self._waiting:
            raise UnavailableError("too many records wait for the disk", next_step="try again in a second")
        waiter = self._loop.create_future()
        self._batches.setdefault(topic, []).extend(messages)
        self._waiters.append(waiter)
        self._waiting += len(messages)
        if not self._busy:
            self._busy = True
            self._loop.call_soon(self._begin)
        return waiter

    async def close(self) -> None:
        """Wait for what was handed over, and end the thread."""
        while self._busy:
            await asyncio.wait(list(self._waiters)) if self._waiters else await asyncio.sleep(0)
        if self._thread is not None:
            self._thread.shutdown()

    def _begin(self) -> None:
        batches, waiters = self._batches, self._waiters
        self._batches, self._waiters, self._waiting = {}, [], 0
        if self._thread is not None:
            commit = self._loop.run_in_executor(self._thread, self._broker.publish, batches)
            commit.add_done_callback(lambda done: self._finish(waiters, done.exception()))
            return
        failure: BaseException | None = None
        try:
            self._broker.publish(batches)
        except Exception as error:  # noqa: BLE001 - whatever it is, it belongs to those who wait
            failure = error
        self._finish(waiters, failure)

    def _finish(self, waiters: Sequence["asyncio.Future[None]"], failure: BaseException | None) -> None:
        for waiter in waiters:
            if waiter.done():  # its request was cancelled meanwhile
                continue
            if failure is None:
                waiter.set_result(None)
            else:
                waiter.set_exception(failure)
        if self._waiters:
            self._loop.call_soon(self._begin)
        else:
            self._busy = False
