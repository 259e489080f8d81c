"""A topic on its way into the lake: chunk by chunk, each a batch with a receipt, exactly once.

Takes a broker and a topic whose records are lines of JSON; gives receipts. How far a chunk goes is noted in the broker
before it is taken in (group ``GROUP.next``), so a consumer killed anywhere takes the same records as the same batch
again, which the lake then knows. Order: note the end of the chunk, take it in (quarantine, rows, receipt), note that it
is done. A chunk is the batch of its place in the topic, whatever has happened to its records or to the contract since.
A record that breaks the contract goes to the quarantine with its reasons and stops nothing.

Each partition of a topic is a source of its own, with its own place. A broker may forget the place of a group that was
away for long; the lake does not, and its receipts say where to go on.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final

from trunkline.brokers import Broker, Record
from trunkline.contracts.records import Receipt
from trunkline.ingest.batch import Ingested
from trunkline.ingest.chunks import MOST_RECORDS, Chunks
from trunkline.ingest.dead_letters import send_dead_letters
from trunkline.ingest.files import DEFAULT_LIMITS
from trunkline.ingest.identity import Target
from trunkline.ingest.unfolding import Unfold
from trunkline.lake import Lake
from trunkline.settings.drills import point
from trunkline.settings.ingest import IngestSettings

__all__ = ["CRASH_POINTS", "GROUP", "TopicIntake", "TopicIntakes", "topic_of"]

CRASH_POINTS: Final = ("stream.before_chunk", "stream.after_chunk", "stream.after_ingest", "stream.after_commit")
"""Points at which a drill kills a consumer."""

GROUP: Final = "lake"
"""The consumer group of the lake."""

_NEXT: Final = f"{GROUP}.next"
_MOST_BYTES: Final = 32 << 20


def topic_of(usecase: str, dataset: str) -> str:
    """Name the topic by which records of a dataset come in.

    >>> topic_of("sensors", "readings")
    'ingest.sensors.readings'
    """
    return f"ingest.{usecase}.{dataset}"


class TopicIntake:
    """Takes the records of one partition into the lake; for one thread of one process at a time.

    Args:
        broker: Where the topic is.
        target: Where its records go.
        clock: Gives the current instant, UTC.
        mapping: Name in the messages to field name, beside the contract's aliases.
        limits: How wide and long a record may be.
        partition: The partition.
        topic: The topic; that of the dataset by default.
        unfold: Gives the lines of JSON that a record's value stands for; by default it is such lines.
        dead_letters: Topic of the broker to which refused records are sent beside the quarantine.
    """

    def __init__(  # noqa: PLR0913 - what one partition needs
        self,
        broker: Broker,
        target: Target,
        *,
        clock: Callable[[], datetime],
        mapping: Mapping[str, str] | None = None,
        limits: IngestSettings = DEFAULT_LIMITS,
        partition: int = 0,
        topic: str | None = None,
        unfold: Unfold | None = None,
        dead_letters: str | None = None,
    ) -> None:
        self._dead_letters = dead_letters
        self._contract = target.contract
        self.topic = topic or topic_of(target.usecase, target.dataset)
        self.partition = partition
        self._broker = broker
        self._chunks = Chunks(
            target, topic=self.topic, partition=partition, clock=clock, mapping=mapping, limits=limits, unfold=unfold
        )
        self._is_known = False
        self._commit(GROUP, 0)  # from now on retention keeps what the lake does not hold

    @property
    def waiting(self) -> int:
        """Records of the partition that the lake does not hold yet; asks the broker."""
        return max(0, self._broker.end(self.topic, partition=self.partition) - self._committed(GROUP))

    def drain(self, lake: Lake, *, until: int | None = None) -> Iterator[Ingested]:
        """Take in what there is, chunk by chunk; what comes meanwhile is left to the next call, so that this one ends.

        Args:
            lake: The lake, with its engine.
            until: Offset of the last record; by default of the newest that there is now.

        Yields:
            One receipt per chunk, as soon as it is written.

        Raises:
            TrunklineError: Lake or broker did not work; nothing is lost, the next call goes on.
        """
        end = self._broker.end(self.topic, partition=self.partition) if until is None else until
        taken = 0
        while taken < end and (records := self._chunk(lake)):
            taken = records[-1].offset
            yield from self._taken(records, lake)

    def resume(self, lake: Lake) -> Iterator[Ingested]:
        """Take in the chunk that a reader, this one or another, began and did not finish; else as :meth:`drain`."""
        if records := self._begun(lake):
            yield from self._taken(records, lake)

    def done(self, lake: Lake) -> int:
        """Offset up to which the lake holds the partition, and dead letters were sent."""
        done = self._committed(GROUP)
        if done or self._is_known:
            return done
        if self._broker.end(self.topic, partition=self.partition):
            done = self._chunks.newest_offset(lake, source=self._source())
            self._commit(GROUP, done)
            self._is_known = True
        return done

    def begin(self, end: int) -> None:
        """Note that the chunk from :meth:`done` to this offset is being taken in, so that all take the same."""
        self._commit(_NEXT, end)

    def finish(self, end: int, receipt: Receipt | None, lake: Lake) -> None:
        """Send the dead letters of a chunk, then note that it is done.

        Args:
            end: Offset at which it ends.
            receipt: Of the chunk; None where it held nothing to take.
            lake: The lake, with its engine.

        Raises:
            TrunklineError: Lake or broker did not work; the chunk may be taken again.
        """
        if receipt is not None and self._dead_letters:
            send_dead_letters(
                self._broker, self._dead_letters, of=self.topic, contract=self._contract, receipt=receipt, lake=lake
            )
        self._commit(GROUP, end)
        point("stream.after_commit")

    def _taken(self, records: Sequence[Record], lake: Lake) -> Iterator[Ingested]:
        taken = self._chunks.take(records, lake, source=self._source())
        self.finish(records[-1].offset, None if taken is None else taken.receipt, lake)
        if taken is not None:
            yield taken

    def _committed(self, group: str) -> int:
        return self._broker.committed(self.topic, group=group, partition=self.partition)

    def _commit(self, group: str, offset: int) -> None:
        self._broker.commit(self.topic, group=group, offset=offset, partition=self.partition)

    def _read(self, after: int, limit: int) -> Sequence[Record]:
        return self._broker.read(self.topic, after=after, limit=limit, max_bytes=_MOST_BYTES, partition=self.partition)

    def _chunk(self, lake: Lake) -> Sequence[Record]:
        """The records that come next: those of the chunk that was begun, or else of a new one."""
        if begun := self._begun(lake):
            return begun
        found = self._read(self.done(lake), MOST_RECORDS)
        if found:
            point("stream.before_chunk")
            self.begin(found[-1].offset)
            point("stream.after_chunk")
        return found

    def _begun(self, lake: Lake) -> Sequence[Record]:
        """The records of the chunk that was begun; none where there is no such chunk."""
        done, end = self.done(lake), self._committed(_NEXT)
        if end <= done:
            return ()
        records: list[Record] = []
        while done < end:
            found = [record for record in self._read(done, end - done) if record.offset <= end]
            records += found
            done = found[-1].offset if found else end
        if not records:
            self._commit(GROUP, end)  # retention took them all, or their transaction was aborted
        return records

    def _source(self) -> str:
        return self._broker.source_id(self.topic, partition=self.partition)


class TopicIntakes:
    """Takes all partitions of one topic into the lake, also those that it gets later, in turns.

    Args:
        broker: Where the topic is.
        topic: The topic.
        opened: Gives the intake of a partition.
        partitions: Those that are this process's; all of the topic by default.
    """

    def __init__(
        self,
        broker: Broker,
        topic: str,
        opened: Callable[[int], TopicIntake],
        *,
        partitions: Callable[[], Collection[int]] | None = None,
    ) -> None:
        self.topic = topic
        self._broker = broker
        self._opened = opened
        self._given = partitions
        self._intakes: dict[int, TopicIntake] = {}
        self._seen: dict[int, int] = {}
        if partitions is None and broker.capabilities.is_near:
            self._current()  # from now on retention keeps what the lake does not hold

    @property
    def waiting(self) -> int:
        """Records that the lake does not hold yet; asks the broker."""
        return sum(intake.waiting for intake in self._current())

    def drain(self, lake: Lake) -> Iterator[Ingested]:
        """Take in what there is, a chunk of each partition in turn; see :meth:`TopicIntake.drain`."""
        running: list[tuple[TopicIntake, int, Iterator[Ingested]]] = []
        for intake in self._current():
            end = self._broker.end(self.topic, partition=intake.partition)
            if end != self._seen.get(intake.partition, 0):  # else there is nothing new
                running.append((intake, end, intake.drain(lake, until=end)))
        while running:
            for one in tuple(running):
                intake, end, chunks = one
                if self._given is not None and intake.partition not in self._given():  # given to another meanwhile
                    running.remove(one)
                    continue
                taken = next(chunks, None)
                if taken is None:
                    running.remove(one)
                    self._seen[intake.partition] = end
                else:
                    yield taken

    def _current(self) -> list[TopicIntake]:
        mine = sorted(range(self._broker.partitions(self.topic)) if self._given is None else self._given())
        for partition in [one for one in self._seen if one not in mine]:
            del self._seen[partition]  # another process may take it further
        for partition in mine:
            if partition not in self._intakes:
                self._intakes[partition] = self._opened(partition)
        return [self._intakes[partition] for partition in mine]
