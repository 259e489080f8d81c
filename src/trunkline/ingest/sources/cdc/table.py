"""A declared table whose log is followed: what is the same whichever server keeps the log.

It has a name and an origin, its rows are read once before the changes, with an end behind them that says what becomes
of keys that are not among them, and it says how to begin anew when changes are lost.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from trunkline.errors import SourceError
from trunkline.ingest.sources.cdc.changes import Change, ChangePieces
from trunkline.ingest.sources.protocol import Position, Pulled
from trunkline.ingest.sources.sql.address import Address
from trunkline.ingest.sources.sql.connecting import left_early
from trunkline.ingest.sources.sql.databases import database
from trunkline.ingest.sources.sql.reading import quoted_table
from trunkline.spec.sources import MariadbChanges, PostgresChanges

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ["FETCHED_ROWS", "FollowedTable", "Reading"]

FETCHED_ROWS: Final = 2_000
"""Rows that are held at once of what a server sends."""

Declared = TypeVar("Declared", MariadbChanges, PostgresChanges)


@dataclass(frozen=True)
class Reading:
    """How far the rows that come before the changes were read.

    Attributes:
        snapshot: Which time it is that all rows are read.
        is_read: Whether all of them landed.
        is_ended: Whether their end landed too, so that changes follow.
    """

    snapshot: int
    is_read: bool = True
    is_ended: bool = True

    @classmethod
    def of(cls, position: Position, snapshot: int) -> "Reading":
        """Read it off a position; one of a version without ends is followed where its rows were read."""
        is_read = bool(position["is_read"])
        return cls(snapshot, is_read, bool(position.get("is_ended", is_read)))

    @property
    def position(self) -> Position:
        """Its part of a position."""
        return {"snapshot": self.snapshot, "is_read": self.is_read, "is_ended": self.is_ended}


class FollowedTable(Generic[Declared]):
    """The changes of a table as a source; the servers differ in how their log is read.

    Args:
        name: Its name.
        declared: What is said of it.
        address: Where the server is.
    """

    def __init__(self, name: str, declared: Declared, address: Address) -> None:
        self._name, self._address = name, address
        self._declared: Declared = declared
        self._snapshot = declared.snapshot

    @property
    def name(self) -> str:
        """Its name."""
        return self._name

    @property
    def origin(self) -> str:
        """The server and the table, without credentials."""
        return f"{self._address.shown}, {self._declared.table}"

    def _goes_on(self, position: Position | None) -> bool:
        """Note which snapshot is the one that counts; tells whether a position belongs to it.

        A position of a later one than the settings name belongs to one that was asked for once, by a command.
        """
        told = 0 if position is None else int(position.get("snapshot") or 0)
        self._snapshot = max(told, self._declared.snapshot)
        return told == self._snapshot

    def lost(self, what: str) -> SourceError:
        """Say that changes are lost, and how to begin anew.

        Args:
            what: What happened.
        """
        number = self._snapshot + 1
        return SourceError(
            what,
            where=self.origin,
            next_step=f"take a new snapshot: TRUNKLINE_SOURCES__{self._name.upper()}__SNAPSHOT={number} "
            f"trunkline ingest {self._declared.usecase} {self._name}; where a scheduler pulls, set snapshot = {number} "
            f"of source {self._name!r} in the settings",
        )

    def _sorting(self, place: str, within: int) -> str:
        """Give a place as a text that sorts behind those of earlier snapshots, also where the server began anew."""
        return f"S{self._snapshot:06d}-{place}-{within:010d}"

    def _whole(
        self, connection: "Connection", pieces: ChangePieces, *, place: str, rest: Position, is_read: bool
    ) -> Iterator[Pulled]:
        """Read all rows, in the transaction that was begun for it, and end them.

        Args:
            connection: To the server.
            pieces: Takes the rows.
            place: Place in the log that the rows sort at.
            rest: What positions say of the place.
            is_read: Whether all rows landed before, so that only their end is missing; no transaction was begun then.
        """
        whole, at = f"snapshot-{self._snapshot}", datetime.now(UTC)

        def position(*, is_read: bool, is_ended: bool) -> Position:
            return {**rest, **Reading(self._snapshot, is_read, is_ended).position}

        pieces.name(whole)
        if not is_read:
            yield from self._rows_of_table(connection, pieces, place, at, position(is_read=False, is_ended=False))
            yield from pieces.rest(position(is_read=True, is_ended=False))
        pieces.name(whole, ends=True)
        ended = position(is_read=True, is_ended=True)
        yield from pieces.add(Change((), (), "delete", place, at), ended)
        yield from pieces.rest(ended)
        pieces.name(None)

    def _rows_of_table(
        self,
        connection: "Connection",
        pieces: ChangePieces,
        place: str,
        at: datetime,
        position: Position,
        *,
        where: str = "TRUE",
    ) -> Iterator[Pulled]:
        """Read all rows, or those of a condition, and end the transaction; the last piece stays open."""
        ways = database(self._address.database)
        name = quoted_table(self._declared.table, self._address)
        statement = f"SELECT * FROM {name} WHERE {where}"  # noqa: S608 - the name is quoted, the condition the server's
        streaming = connection.execution_options(stream_results=True, max_row_buffer=FETCHED_ROWS)
        result = streaming.exec_driver_sql(statement.replace("%", "%%"), ())
        with left_early(connection, result):
            columns = tuple(item[0] for item in result.cursor.description)
            to_text = [ways.to_text(item[1]) for item in result.cursor.description]
            for rows in result.partitions(FETCHED_ROWS):
                texts = [texts(values) for texts, values in zip(to_text, zip(*rows, strict=True), strict=True)]
                for row in zip(*texts, strict=True):
                    yield from pieces.add(Change(columns, row, "snapshot", place, at), position)
        connection.execution_options(stream_results=False).exec_driver_sql("COMMIT")
