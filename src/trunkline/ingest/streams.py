"""A topic on its way into the lake: chunk by chunk, each a batch with a receipt, exactly once.

Takes a broker and a topic whose records are lines of JSON; gives receipts. How far a chunk goes is noted in the broker
before it is taken in (group ``GROUP.next``), so a consumer killed anywhere takes the same records as the same batch
again, which the lake then knows. Order: note the end of the chunk, take it in (quarantine, rows, receipt), note that it
is done. A record that breaks the contract goes to the quarantine with its reasons and stops nothing.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Final

from trunkline.brokers import Broker, Record
from trunkline.contracts import Contract
from trunkline.contracts.contract import with_table
from trunkline.ingest.batch import Ingested, ingest_batch
from trunkline.ingest.files import DEFAULT_LIMITS
from trunkline.ingest.identity import Target, batch_of
from trunkline.ingest.landing import Landed
from trunkline.ingest.raw_files import nameless_file
from trunkline.lake import Lake
from trunkline.settings.drills import point
from trunkline.settings.ingest import IngestSettings

__all__ = ["CRASH_POINTS", "GROUP", "TopicIntake", "topic_of"]

CRASH_POINTS: Final = ("stream.before_chunk", "stream.after_chunk", "stream.after_ingest", "stream.after_commit")
"""Points at which a drill kills a consumer."""

GROUP: Final = "lake"
"""The consumer group of the lake."""

_NEXT: Final = f"{GROUP}.next"
_MOST_RECORDS: Final = 20_000
_MOST_BYTES: Final = 32 << 20


def topic_of(usecase: str, dataset: str) -> str:
    """Name the topic by which records of a dataset come in.

    >>> topic_of("sensors", "readings")
    'ingest.sensors.readings'
    """
    return f"ingest.{usecase}.{dataset}"


class TopicIntake:
    """Takes the records of one topic into the lake; for one thread of one process at a time.

    Args:
        broker: Where the topic is.
        target: Where its records go.
        scratch: Folder for a chunk while it is read; nothing of it is left there.
        clock: Gives the current instant, UTC.
        mapping: Name in the messages to field name, beside the contract's aliases.
        limits: How wide and long a record may be.
    """

    def __init__(
        self,
        broker: Broker,
        target: Target,
        *,
        scratch: Path,
        clock: Callable[[], datetime],
        mapping: Mapping[str, str] | None = None,
        limits: IngestSettings = DEFAULT_LIMITS,
    ) -> None:
        self.topic = topic_of(target.usecase, target.dataset)
        self._broker = broker
        self._target = replace(target, contract=_streamed(target.contract))
        self._scratch = scratch
        self._clock = clock
        self._mapping = mapping
        self._limits = limits.model_copy(update={"reject_budget": None})
        broker.commit(self.topic, group=GROUP, offset=0)  # from now on retention keeps what the lake does not hold

    @property
    def waiting(self) -> int:
        """Records of the topic that the lake does not hold yet; asks the broker."""
        return max(0, self._broker.end(self.topic) - self._broker.committed(self.topic, group=GROUP))

    def drain(self, lake: Lake) -> Iterator[Ingested]:
        """Take in what there is, chunk by chunk.

        Args:
            lake: The lake, with its engine.

        Yields:
            One receipt per chunk, as soon as it is written.

        Raises:
            TrunklineError: Lake or broker did not work; nothing is lost, the next call goes on.
        """
        while records := self._chunk():
            taken = self._take(records, lake)
            self._broker.commit(self.topic, group=GROUP, offset=records[-1].offset)
            point("stream.after_commit")
            if taken is not None:
                yield taken

    def _chunk(self) -> Sequence[Record]:
        """The records that come next: those of the chunk that was begun, or else of a new one."""
        done = self._broker.committed(self.topic, group=GROUP)
        end = self._broker.committed(self.topic, group=_NEXT)
        if end <= done:
            found = self._broker.read(self.topic, after=done, limit=_MOST_RECORDS, max_bytes=_MOST_BYTES)
            if found:
                point("stream.before_chunk")
                self._broker.commit(self.topic, group=_NEXT, offset=found[-1].offset)
                point("stream.after_chunk")
            return found
        records: list[Record] = []
        while done < end:
            found = self._broker.read(self.topic, after=done, limit=end - done, max_bytes=_MOST_BYTES)
            records += [record for record in found if record.offset <= end]
            done = records[-1].offset if found else end
        return records

    def _take(self, records: Sequence[Record], lake: Lake) -> Ingested | None:
        lines = b"\n".join([record.value for record in records if record.value])  # an erased one has no value left
        if not lines:
            return None
        first, last = records[0].offset, records[-1].offset
        self._scratch.mkdir(parents=True, exist_ok=True)
        # the records may name people: what a killed process has read of them leaves no file
        with nameless_file(self._scratch, f"{self.topic}.ndjson", (lines, b"\n")) as path:
            piece = Landed(
                source=self._broker.source_id(self.topic),
                number=last,
                path=path,
                content_sha256=hashlib.sha256(lines).hexdigest(),
                origin=f"topic {self.topic}, records {first} to {last}",
                landed_at=self._clock(),
                position=None,
            )
            batch = batch_of(
                path, self._target, run_id=self.topic, clock=self._clock, mapping=self._mapping, piece=piece
            )
            taken = ingest_batch(path, batch, lake=lake, clock=self._clock, limits=self._limits)
        point("stream.after_ingest")
        return taken


def _streamed(contract: type[Contract]) -> type[Contract]:
    """The contract for chunks of a stream: what would refuse a whole file refuses single records."""
    return with_table(
        contract,
        reject_budget=None,
        on_missing_column="quarantine",
        on_new_column="report",
        on_two_columns="coalesce",  # producers may spell a field differently
        most_malformed=None,
    )
