"""Chunks of a topic's partition as batches: whoever reads them, here or on a cluster, the same chunk is the same batch.

Takes records whose place in the partition is known, and the lake; gives a receipt. A chunk is the batch of its place in
the topic, whatever has happened to its records or to the contract since, so that the lake knows it when it comes again.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final

from trunkline.brokers import Record
from trunkline.checks import arrow_schema
from trunkline.contracts import Contract
from trunkline.contracts.contract import with_table
from trunkline.contracts.records import RECEIPTS, Receipt
from trunkline.ingest.batch import Ingested, ingest_opened
from trunkline.ingest.files import DEFAULT_LIMITS
from trunkline.ingest.identity import Batch, Target
from trunkline.ingest.records import read_records
from trunkline.ingest.unfolding import Unfold
from trunkline.lake import Lake
from trunkline.settings.drills import point
from trunkline.settings.ingest import IngestSettings

__all__ = ["MOST_RECORDS", "Chunks"]

MOST_RECORDS: Final = 50_000
"""Records that a chunk of the built-in reader has at most."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Chunks:
    """Takes chunks of one partition into the lake.

    Args:
        target: Where the records go.
        topic: The topic.
        partition: The partition.
        clock: Gives the current instant, UTC.
        mapping: Name in the messages to field name, beside the contract's aliases.
        limits: How wide and long a record may be.
        unfold: Gives the lines of JSON that a record's value stands for; by default it is such lines.
    """

    def __init__(
        self,
        target: Target,
        *,
        topic: str,
        partition: int,
        clock: Callable[[], datetime],
        mapping: Mapping[str, str] | None = None,
        limits: IngestSettings = DEFAULT_LIMITS,
        unfold: Unfold | None = None,
    ) -> None:
        self._target = replace(target, contract=_streamed(target.contract))
        self._topic = topic
        self._partition = partition
        self._clock = clock
        self._mapping = mapping
        self._limits = limits
        self._unfold = unfold

    def take(self, records: Sequence[Record], lake: Lake, *, source: str) -> Ingested | None:
        """Take a chunk in.

        Args:
            records: Those of the chunk, in order; at least one.
            lake: The lake, with its engine.
            source: Names the partition among all there are.

        Returns:
            The receipt; None where no record has anything to take.

        Raises:
            TrunklineError: The lake did not work; the same chunk may be taken again.
        """
        said = read_records(
            [record.value for record in records if record.value],  # an erased one has no value left
            self._target.contract,
            where=self._topic,
            most_columns=self._limits.max_columns,
            mapping=self._mapping,
            unfold=self._unfold,
        )
        if not said.lines.strip():
            return None
        taken = ingest_opened(
            said.open, self._batch(records, said.lines, source), lake=lake, clock=self._clock, budget=None
        )
        point("stream.after_ingest")
        return taken

    def newest_offset(self, lake: Lake, *, source: str) -> int:
        """Offset up to which receipts of the lake account for the partition; 0 where there are none."""
        if not lake.exists(RECEIPTS):
            return 0
        begin = f"{source}/"
        pieces = lake.arrow(
            RECEIPTS,
            schema=arrow_schema(Receipt),
            where=lambda table: (
                (table["usecase"] == self._target.usecase)
                & (table["dataset"] == self._target.dataset)
                & table["piece"].startswith(begin)
            ),
        )
        return max((int(piece.removeprefix(begin)) for piece in pieces.column("piece").to_pylist()), default=0)

    def _batch(self, records: Sequence[Record], lines: bytes, source: str) -> Batch:
        """The batch that a chunk is, by its place alone: an erasure may change its records, an author the contract."""
        first, last = records[0].offset, records[-1].offset
        oldest_us = min(record.at_us for record in records)
        identity = json.dumps([source, self._target.table, first, last])
        place = f"topic {self._topic}" + (f", partition {self._partition}" if self._partition else "")
        return Batch(
            batch_id=hashlib.sha256(identity.encode()).hexdigest()[:24],
            run_id=self._topic,
            target=self._target,
            source=f"{place}, records {first} to {last}",
            content_sha256=hashlib.sha256(lines).hexdigest(),
            size_bytes=len(lines),
            piece_id=f"{source}/{last}",
            mapping=self._mapping,
            started_at=self._clock().astimezone(UTC),
            accepted_at=_EPOCH + timedelta(microseconds=oldest_us) if oldest_us > 0 else None,
        )


def _streamed(contract: type[Contract]) -> type[Contract]:
    """The contract for chunks of a stream: what would refuse a whole file refuses single records."""
    return with_table(
        contract,
        reject_budget=None,
        on_new_column="report",
        on_two_columns="coalesce",  # producers may spell a field differently
        most_malformed=None,
    )
