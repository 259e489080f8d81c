"""The partitions of a followed PostgreSQL table, as far as they are known. Pure.

A publication by the root names changes of rows by the table alone. It says nothing of what happens to a partition as a
whole: one that is detached, dropped or emptied by TRUNCATE takes its rows with it, one that is attached brings rows
that the log never told. So a position holds the partitions by their numbers, each with the file that has its rows,
which TRUNCATE replaces: those that are new are read once, and of those that went the changes are lost.
"""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from functools import cached_property

from trunkline.ingest.sources.protocol import Position

__all__ = ["LostPartitionError", "Partitions"]


class LostPartitionError(Exception):
    """What became of a partition cannot be told by the log."""


@dataclass(frozen=True)
class Partitions:
    """Partitions that hold rows.

    Attributes:
        files: Number of each partition to that of its file.
        unread: Those whose rows have to be read once.
        is_partitioned: Whether the table is one that may have partitions.
    """

    files: Mapping[int, int] = field(default_factory=dict)
    unread: AbstractSet[int] = frozenset()
    is_partitioned: bool = True

    @classmethod
    def of(cls, position: Position) -> "Partitions | None":
        """Read them off a position; None where it says nothing of them."""
        if "partitions" not in position:
            return None
        pairs = (pair.split(":") for pair in str(position["partitions"]).split())
        return cls({int(oid): int(file) for oid, file in pairs}, frozenset(map(int, str(position["unread"]).split())))

    @cached_property
    def position(self) -> Position:
        """Their part of a position; nothing of a table that may have none. Made once: every change asks for it.

        >>> Partitions({16390: 16390, 16395: 16402}, frozenset({16395})).position
        {'partitions': '16390:16390 16395:16402', 'unread': '16395'}
        """
        if not self.is_partitioned:
            return {}
        return {
            "partitions": " ".join(f"{oid}:{file}" for oid, file in sorted(self.files.items())),
            "unread": " ".join(map(str, sorted(self.unread))),
        }

    def now(self, files: Mapping[int, int]) -> "Partitions":
        """Compare with the partitions that there are now.

        Args:
            files: Number of each partition to that of its file.

        Returns:
            Those, with what is new to be read.

        Raises:
            LostPartitionError: One of those that were known went, or its rows were put elsewhere at once.
        """
        if self.files.keys() - files.keys():
            raise LostPartitionError("a partition was detached or dropped, which names no rows")
        if any(files[oid] != file for oid, file in self.files.items()):
            raise LostPartitionError(
                "a partition was emptied by TRUNCATE, or written anew (VACUUM FULL, CLUSTER), which names no rows"
            )
        return replace(self, files=files, unread=self.unread | (files.keys() - self.files.keys()))

    def read(self, oid: int) -> "Partitions":
        """Note that the rows of a partition were read."""
        return replace(self, unread=self.unread - {oid})

    def demand(self, oid: int) -> None:
        """Look whether the log may name a partition, whose changes it tells from here on.

        Args:
            oid: Its number.

        Raises:
            LostPartitionError: It came and went, or was emptied, between two pulls.
        """
        if oid not in self.files:
            raise LostPartitionError("a partition came and went between two pulls, which names no rows")
        if oid in self.unread and self.files[oid] != oid:  # a file has the number of its table until it is replaced
            raise LostPartitionError("a new partition was emptied by TRUNCATE, or written anew, which names no rows")
