"""The messages of a PostgreSQL slot as changes of one table, each with the place that comes to it next."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from trunkline.ingest.sources.cdc.changes import Change
from trunkline.ingest.sources.cdc.partitions import LostPartitionError, Partitions
from trunkline.ingest.sources.cdc.pgoutput import (
    UNCHANGED,
    Begin,
    Commit,
    Message,
    Relation,
    RowChange,
    Truncate,
)
from trunkline.ingest.sources.cdc.table import Reading
from trunkline.ingest.sources.protocol import Position
from trunkline.ingest.sources.sql.databases import database

if TYPE_CHECKING:
    from trunkline.ingest.sources.cdc.postgres import PostgresReader

__all__ = ["Place", "SlotLog", "lsn_number", "lsn_text"]


@dataclass(frozen=True)
class Place:
    """Where a source goes on.

    Attributes:
        lsn: Behind the transactions that end here.
        within: So many changes into the next.
        reading: How far the rows were read that come before the changes.
        oid: The table's number.
        partitions: Of the table, as far as they are known.
    """

    lsn: int
    within: int
    reading: Reading
    oid: int
    partitions: Partitions

    @property
    def log(self) -> Position:
        """The part of a position that is no part of the reading."""
        return {"lsn": lsn_text(self.lsn), "within": self.within, "oid": self.oid, **self.partitions.position}

    @property
    def position(self) -> Position:
        """The whole position."""
        return {**self.log, **self.reading.position}


class SlotLog:
    """Follows the messages of a slot from a place on.

    Args:
        key: The columns by which the log names a row.
        place: Where to go on.
        reader: Whose log it is: makes the texts that sort changes, and the errors.
        told_of: Takes the numbers of the transactions that the log tells of.
    """

    def __init__(self, key: frozenset[str], place: Place, reader: "PostgresReader", told_of: deque[int]) -> None:
        self._told_of = told_of
        self._oid, self._key, self._reader = place.oid, key, reader
        self.place = place
        self.is_new = False
        self._skipped = place.within
        self._begin: Begin | None = None
        self._relation: Relation | None = None
        self._within = 0
        self._is_partition_next = False

    def changes(self, message: Message) -> Iterator[tuple[Change, Place]]:
        """Take a message; gives the changes of the table, each with the place that comes to it next."""
        if not isinstance(message, Relation):
            self._is_partition_next = False
        if isinstance(message, Begin):
            self._told_of.append(message.xid)
            self._begin = message if message.commit_lsn >= self.place.lsn else None
            self._within = 0
        elif isinstance(message, Relation):
            self._describe(message)
        elif self._begin is None:  # landed before; the slot was not moved on yet
            return
        elif isinstance(message, Commit):
            self.place = replace(self.place, lsn=message.end_lsn, within=0)
            self._skipped = 0
        elif isinstance(message, Truncate) and self._oid in message.oids:
            raise self._reader.lost("the table was emptied by TRUNCATE, which names no rows")
        elif isinstance(message, RowChange) and message.oid in self.place.partitions.files:
            raise self._reader.lost("for a while the publication named changes by their partitions")
        elif isinstance(message, RowChange) and message.oid == self._oid:
            for change in self._told(message, self._begin):
                before = replace(self.place, within=self._within)
                self._within += 1
                if self._within > self._skipped:
                    self.is_new = True
                    yield change, before

    def _describe(self, relation: Relation) -> None:
        """Take a description; the table's own is followed by that of the partition whose changes come next."""
        if relation.oid == self._oid:
            self._relation = relation
        elif self._is_partition_next:
            try:
                self.place.partitions.demand(relation.oid)
            except LostPartitionError as error:
                raise self._reader.lost(str(error)) from error
        self._is_partition_next = relation.oid == self._oid

    def _told(self, message: RowChange, begin: Begin) -> Iterator[Change]:
        relation = self._relation
        assert relation is not None, "pgoutput describes a table before its rows"
        ways = database("postgresql")

        def change(row: tuple[object, ...], operation: str, place: int) -> Change:
            texts = tuple(ways.to_text(kind)([value])[0] for kind, value in zip(relation.types, row, strict=True))
            return Change(
                relation.columns,
                texts,
                operation,  # type: ignore[arg-type]  # one of the three
                self._reader.sorting(begin.commit_lsn, place + 1),  # a snapshot may sort at the very same place
                begin.committed_at,
            )

        old, new = message.old, message.new
        if new is None:
            assert old is not None
            yield change(old, "delete", self._within)
            return
        if old is not None and message.is_whole:
            new = tuple(before if after is UNCHANGED else after for before, after in zip(old, new, strict=True))
        if UNCHANGED in new:
            raise self._reader.refused(
                "an update left a large value as it was, and the log does not repeat it",
                next_step=f"ALTER TABLE ... REPLICA IDENTITY FULL, then a new snapshot ({self._reader.name})",
            )
        if old is not None and any(
            before != after
            for name, before, after in zip(relation.columns, old, new, strict=True)
            # a row that is not whole is its key, by whatever names the log has for it
            if (name in self._key if message.is_whole else before is not None)
        ):
            yield change(old, "delete", self._within)
        yield change(new, message.operation, self._within)


def lsn_number(text: object) -> int:
    """Read a place in the log.

    >>> lsn_number("16/B374D848")
    97500059720
    """
    high, low = str(text).split("/")
    return (int(high, 16) << 32) + int(low, 16)


def lsn_text(number: int) -> str:
    """Write a place in the log as the server does."""
    return f"{number >> 32:X}/{number & 0xFFFFFFFF:X}"
