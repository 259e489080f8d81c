"""Durable appends from an event loop.

Where the broker commits within microseconds, ``append`` commits at once, on the loop: measured, handing over to a
thread and back costs more than the commit, and under load waits for the interpreter's lock. Where a commit waits for a
disk, one thread does it, and all messages that arrive meanwhile share the next one (group commit).
"""

import asyncio
from collections.abc import Sequence
from concurrent.futures import Executor, ThreadPoolExecutor

from trunkline.brokers.protocol import Broker, Message
from trunkline.errors import FullError

__all__ = ["GroupCommit"]


class GroupCommit:
    """Appends to a broker from one event loop; made inside that loop.

    Args:
        broker: Where the messages go.
        max_waiting: Messages that may wait for the next commit.
        max_waiting_bytes: Bytes of them.
    """

    def __init__(self, broker: Broker, *, max_waiting: int, max_waiting_bytes: int = 64 << 20) -> None:
        self._broker = broker
        self._max_waiting = max_waiting
        self._max_waiting_bytes = max_waiting_bytes
        self._loop = asyncio.get_running_loop()
        self._batches: dict[str, list[Message]] = {}
        self._waiters: list[asyncio.Future[None]] = []
        self._waiting, self._waiting_bytes = 0, 0
        self._is_busy = False
        self._thread = None if broker.capabilities.quick_commit else ThreadPoolExecutor(1, "group-commit")

    @property
    def is_quick(self) -> bool:
        """Whether :meth:`append_now` may be used."""
        return self._thread is None

    def append_now(self, topic: str, messages: Sequence[Message]) -> None:
        """Store messages without waiting for others, where the broker is quick; durable on return.

        Args:
            topic: The topic.
            messages: The messages.

        Raises:
            UnavailableError: Nothing was stored.
            InputError: The topic's name is malformed.
        """
        self._broker.publish({topic: messages})

    async def append(self, topic: str, messages: Sequence[Message]) -> None:
        """Store messages of one topic, together and in order; durable on return.

        Args:
            topic: The topic.
            messages: The messages.

        Raises:
            UnavailableError: Too many messages wait already, or nothing was stored.
            InputError: The topic's name is malformed.
        """
        if self._thread is None:
            self._broker.publish({topic: messages})
            return
        size = sum(len(message.value) for message in messages)
        too_many = self._waiting + len(messages) > self._max_waiting
        if self._waiting and (too_many or self._waiting_bytes + size > self._max_waiting_bytes):
            raise FullError("too many records wait for the disk", next_step="try again in a second")
        waiter = self._loop.create_future()
        self._batches.setdefault(topic, []).extend(messages)
        self._waiters.append(waiter)
        self._waiting += len(messages)
        self._waiting_bytes += size
        if not self._is_busy:
            self._is_busy = True
            self._loop.call_soon(self._begin, self._thread)
        await waiter

    async def close(self) -> None:
        """Wait for what was handed over, and end the thread."""
        if self._thread is not None:
            while self._is_busy:
                await self._loop.run_in_executor(self._thread, int)  # behind the commit that is under way
            self._thread.shutdown()

    def _begin(self, thread: Executor) -> None:
        batches, waiters = self._batches, self._waiters
        self._batches, self._waiters, self._waiting, self._waiting_bytes = {}, [], 0, 0
        commit = self._loop.run_in_executor(thread, self._broker.publish, batches)
        commit.add_done_callback(lambda done: self._finish(thread, waiters, done.exception()))

    def _finish(
        self, thread: Executor, waiters: Sequence["asyncio.Future[None]"], failure: BaseException | None
    ) -> None:
        for waiter in waiters:
            if waiter.done():  # its request was cancelled meanwhile
                continue
            if failure is None:
                waiter.set_result(None)
            else:
                waiter.set_exception(failure)
        if self._waiters:
            self._loop.call_soon(self._begin, thread)
        else:
            self._is_busy = False
