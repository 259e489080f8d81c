"""From the durable log into the lake, exactly once.

One thread moves what the server wrote down into ``platform.predictions``, ``platform.outcomes`` and the tables of the
edge: about once a second what there is by then, a chunk of each topic in turn. The lake itself says up to which offset
it holds the log (an application transaction in the same commit as the rows), so a flusher killed at any moment goes on
where the table ends: nothing is lost, nothing is there twice. Of several servers on one workspace one flushes, and
another takes over when it ends.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from trunkline.brokers import Broker, keep_bounded
from trunkline.brokers.repeating import RepeatingThread
from trunkline.errors import BusyError
from trunkline.serve.recording import TOPICS, record_table
from trunkline.settings import drills

if TYPE_CHECKING:
    from trunkline.ingest import Ingested
    from trunkline.ingest.streams import TopicIntakes
    from trunkline.lake import Lake

__all__ = ["CRASH_POINTS", "GROUP", "FlushState", "Flusher"]

CRASH_POINTS: tuple[str, ...] = ("serve.before_flush", "serve.after_flush", "serve.after_flush_commit")
"""Points at which a fault drill may kill a process that flushes."""

GROUP: Final = "lake"
"""The consumer group of the flusher."""

_MOST_RECORDS: Final = 20_000


@dataclass(frozen=True)
class FlushState:
    """How the flusher is.

    Attributes:
        is_flushing: Whether this process flushes; another one may.
        problem: Why the last flush failed; empty when it did not.
        waiting: Records in the log that the lake does not hold yet.
    """

    is_flushing: bool
    problem: str
    waiting: int


class Flusher:
    """Moves records from a log into the lake.

    Args:
        log: The durable log.
        lake: Opens the lake; called once, in the flusher's own thread.
        lock: File whose lock the one flusher of a workspace holds.
        every_s: Time between the beginnings of two turns, in seconds; who takes longer goes on at once.
        clock: Gives the present instant, UTC.
        intakes: Take the records of the HTTP edge in.
    """

    def __init__(
        self,
        log: Broker,
        *,
        lake: "Callable[[], Lake]",
        lock: Path,
        every_s: float,
        clock: Callable[[], datetime],
        intakes: "Sequence[TopicIntakes]" = (),
    ) -> None:
        self._log = log
        self._intakes = intakes
        self._open_lake = lake
        self._lock = lock
        self._clock = clock
        self._thread = RepeatingThread(
            self._turn,
            name="flusher",
            every_s=every_s,
            rest=0.0,
            failed="the durable log could not be moved into the lake",
            ended=self._let_go,
        )
        self._lake: Lake | None = None
        self._done: dict[tuple[str, int], int] = {}
        self._counted = 0
        self._held: ExitStack | None = None
        for topic in TOPICS:  # from now on retention keeps what the lake does not hold
            log.commit(topic, group=GROUP, offset=0)

    @property
    def state(self) -> FlushState:
        """How it is; reads the log, or says what was last read of one that is far away."""
        is_near = self._log.capabilities.is_near
        waiting = self._waiting() if is_near else self._counted
        return FlushState(is_flushing=self._held is not None, problem=self._thread.problem, waiting=waiting)

    def _waiting(self) -> int:
        """Records that the lake does not hold yet."""
        waiting = sum(intake.waiting for intake in self._intakes)
        for topic in TOPICS:
            for partition in range(self._log.partitions(topic)):
                end = self._log.end(topic, partition=partition)
                known = self._done.get((topic, partition), 0)
                if end > known:
                    known = max(known, self._log.committed(topic, group=GROUP, partition=partition))
                waiting += max(0, end - known)
        return waiting

    def start(self) -> None:
        """Begin to flush in a thread, first what an earlier process left."""
        self._thread.start()

    def stop(self, *, timeout_s: float = 30.0) -> None:
        """Flush what there is, then end the thread.

        Args:
            timeout_s: Longest wait in seconds; what is not flushed by then is flushed by the next process.
        """
        self._thread.stop(timeout_s=timeout_s)

    def flush(self) -> int:
        """Move what there is now, a chunk of each topic in turn; call it from one thread only.

        Returns:
            Chunks moved; 0 also when another process flushes.

        Raises:
            TrunklineError: The lake or the log did not work; nothing is lost, the next call tries again.
        """
        if not self._is_ours():
            return 0
        running: list[Iterator[object]] = [
            self._chunks(topic, partition) for topic in TOPICS for partition in range(self._log.partitions(topic))
        ]
        running += [self._batches(intake) for intake in self._intakes]
        moved, failures = 0, []
        while running:
            for one in tuple(running):
                try:
                    next(one)
                    moved += 1
                except StopIteration:
                    running.remove(one)
                except Exception as error:  # noqa: BLE001 - what holds one topic up must hold up no other
                    running.remove(one)
                    failures.append(error)
            if running:
                keep_bounded(self._log, now=self._clock())
        if failures:
            raise failures[0]
        return moved

    def _batches(self, intake: "TopicIntakes") -> "Iterator[Ingested]":
        """Take the records of one topic in, a chunk at a time."""
        if self._lake is None:
            self._lake = self._open_lake()
        yield from intake.drain(self._lake)

    def _turn(self) -> None:
        try:
            self.flush()
        finally:  # also while the lake is away: a log that grows too large must refuse in time
            keep_bounded(self._log, now=self._clock())
            if not self._log.capabilities.is_near:
                self._counted = self._waiting()

    def _let_go(self) -> None:
        if self._held is not None:
            self._held.close()
            self._held = None

    def _is_ours(self) -> bool:
        """Take the workspace's flusher lock unless it is held already, here or by another process."""
        from trunkline.lake import held

        if self._held is None:
            stack = ExitStack()
            try:
                stack.enter_context(held(self._lock, what="flusher of the durable log", clock=self._clock))
            except BusyError:
                return False
            self._held = stack
            self._done.clear()
        return True

    def _chunks(self, topic: str, partition: int) -> Iterator[int]:
        """Move what the server wrote down until now; gives how many records each chunk had."""
        from trunkline.lake import Transaction

        table, contract = TOPICS[topic]
        place = (topic, partition)
        end = self._log.end(topic, partition=partition)
        if end <= self._done.get(place, 0):
            return
        source = self._log.source_id(topic, partition=partition)
        if self._lake is None:
            self._lake = self._open_lake()
        if place not in self._done:
            self._done[place] = (self._lake.transaction_version(table, source) or 1) - 1
            self._log.commit(topic, group=GROUP, offset=self._done[place], partition=partition)
        while self._done[place] < end and (
            records := self._log.read(topic, after=self._done[place], limit=_MOST_RECORDS, partition=partition)
        ):
            last = records[-1].offset
            rows = record_table(contract, [record.value for record in records])
            drills.point("serve.before_flush")
            self._lake.append(table, rows, transaction=Transaction(source, last + 1))
            drills.point("serve.after_flush")
            self._done[place] = last
            self._log.commit(topic, group=GROUP, offset=last, partition=partition)
            drills.point("serve.after_flush_commit")
            yield len(records)
