"""Changes of a PostgreSQL table: a logical slot with ``pgoutput``, looked into and moved on by SQL functions.

The slot is only moved to places that landed. It is therefore always at or behind the newest position; one that is
ahead was moved by somebody else, or made anew, and changes are missing.
"""

from collections import deque
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from trunkline.errors import SourceError, UnavailableError
from trunkline.ingest.sources.cdc.changes import ChangePieces
from trunkline.ingest.sources.cdc.partitions import LostPartitionError, Partitions
from trunkline.ingest.sources.cdc.pgoutput import decoded
from trunkline.ingest.sources.cdc.published import (
    PublishedTable,
    key_columns,
    partition_bounds,
    partition_files,
    published,
    shows,
)
from trunkline.ingest.sources.cdc.slot_log import Place, SlotLog, lsn_number, lsn_text
from trunkline.ingest.sources.cdc.table import FETCHED_ROWS, FollowedTable, Reading
from trunkline.ingest.sources.protocol import Position, Pulled
from trunkline.ingest.sources.sql.address import Address, opened_address
from trunkline.ingest.sources.sql.connecting import session
from trunkline.ingest.sources.sql.databases import database
from trunkline.ingest.sources.sql.faults import told
from trunkline.ingest.sources.sql.reading import quoted_table
from trunkline.spec.sources import PostgresChanges

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ["PostgresReader", "open_source"]

_SLOT: Final = (
    "SELECT confirmed_flush_lsn - '0/0'::pg_lsn, wal_status, active, plugin FROM pg_replication_slots"
    " WHERE slot_name = %s"
)
_PEEK: Final = (
    "SELECT data FROM pg_logical_slot_peek_binary_changes(%s, %s::pg_lsn, %s::int,"
    " 'proto_version', '1', 'publication_names', %s)"
)
_FREE_WITHIN_S: Final = 30.0
_SEEN_WITHIN_S: Final = 30.0
_MOST_TOLD: Final = 100_000


def open_source(name: str, declared: PostgresChanges) -> "PostgresReader":
    """Make a source from its declaration; nothing is asked of the server yet.

    Args:
        name: Its name in the settings.
        declared: What is said of it.

    Raises:
        MissingExtraError: SQLAlchemy or psycopg is not installed.
        InputError: The URL is malformed, or of another database.
    """
    address = opened_address(declared.url.get_secret_value())
    if address.database != "postgresql":
        raise SourceError("changes of this kind are PostgreSQL's", where=address.shown, allowed=("postgresql://",))
    return PostgresReader(name, declared, address)


class PostgresReader(FollowedTable[PostgresChanges]):
    """The changes of a table of PostgreSQL as a source.

    Args:
        name: Its name.
        declared: What is said of it.
        address: Where the server is.
    """

    def __init__(self, name: str, declared: PostgresChanges, address: Address) -> None:
        super().__init__(name, declared, address)
        self._slot = declared.slot or f"trunkline_{name.replace('-', '_')}"[:63]
        self._publication = declared.publication or self._slot

    def pull(self, position: Position | None, *, folder: Path) -> Iterator[Pulled]:
        """Read all rows the first time, and what changed since; see :class:`trunkline.ingest.sources.Source`.

        Raises:
            SourceError: No such table, no rights, or changes are lost: a new snapshot is needed.
            UnavailableError: The server did not answer, or the connection was cut.
        """
        with told(self._address, where=self._declared.table), session(self._address) as connection:
            self._demand_log(connection)
            table = self._table(connection)
            place = self._place(connection, position, table)
            pieces = ChangePieces(folder, origin=self.origin, most_rows=self._declared.piece_rows)
            if not place.reading.is_ended:
                yield from self._rows(connection, place, pieces)
                place = replace(place, within=0, reading=Reading(self._snapshot))
            yield from self._changes(connection, place, pieces, table)

    # -- where to go on

    def _demand_log(self, connection: "Connection") -> None:
        level = str(connection.exec_driver_sql("SHOW wal_level").scalar_one())
        if level != "logical":
            raise SourceError(
                f"the server's log does not hold rows: wal_level is {level}",
                where=self.origin,
                next_step="ALTER SYSTEM SET wal_level = 'logical', and restart the server",
            )

    def _table(self, connection: "Connection") -> PublishedTable:
        """Find the table; publish it where it is not published yet."""
        return published(
            connection,
            quoted_table(self._declared.table, self._address),
            publication=self._publication,
            quoted=quoted_table(f'"{self._publication}"', self._address),
            where=self.origin,
        )

    def _place(self, connection: "Connection", position: Position | None, table: PublishedTable) -> Place:
        oid, there = table.oid, Partitions(partition_files(connection, table), is_partitioned=table.is_partitioned)
        goes_on, found = self._goes_on(position), self._free_slot(connection)
        if position is None or not goes_on:
            is_lost = found is not None and found[1] == "lost"
            if found is not None and not is_lost:
                self._usable(found)
            if is_lost or (found is not None and position is not None):
                # of an earlier snapshot: what made a new one necessary may lie before it, and would be met again
                connection.exec_driver_sql("SELECT pg_drop_replication_slot(%s)", (self._slot,))
                found = None
            if found is None:
                connection.exec_driver_sql("SELECT pg_create_logical_replication_slot(%s, 'pgoutput')", (self._slot,))
                found = self._free_slot(connection)
            return Place(self._usable(found), 0, Reading(self._snapshot, is_read=False, is_ended=False), oid, there)
        reading = Reading.of(position, self._snapshot)
        known = Partitions.of(position) or there
        place = Place(lsn_number(position["lsn"]), int(position["within"] or 0), reading, oid, known)
        if position.get("oid", oid) != oid:
            raise self.lost("the table was dropped and made anew, which names no rows")
        if found is None:
            raise self.lost(f"the replication slot {self._slot!r} is gone")
        if found[1] == "lost":
            raise self.lost(f"the server gave up the log that the replication slot {self._slot!r} needs")
        if self._usable(found) > place.lsn:
            raise self.lost(f"the replication slot {self._slot!r} was made anew, or moved on by somebody else")
        return place

    def _free_slot(self, connection: "Connection") -> tuple[object, ...] | None:
        """Look the slot up; while the server decodes for a pull that was killed, that one holds it: wait for it."""
        from tenacity import Retrying, retry_if_result, stop_after_delay, wait_fixed

        def look() -> tuple[object, ...] | None:
            found = connection.exec_driver_sql(_SLOT, (self._slot,)).first()
            return None if found is None else tuple(found)

        tries = Retrying(
            retry=retry_if_result(lambda found: found is not None and found[2] == "t"),
            stop=stop_after_delay(_FREE_WITHIN_S),
            wait=wait_fixed(0.1),
            retry_error_callback=lambda _: look(),
        )
        return tries(look)

    def _usable(self, found: "Mapping[int, object] | object") -> int:
        lsn, _, active, plugin = found  # type: ignore[misc]  # a row of four columns
        if plugin != "pgoutput":
            raise SourceError(
                f"the replication slot {self._slot!r} belongs to the plugin {plugin!r}",
                where=self.origin,
                next_step="declare another `slot`",
            )
        if active == "t":
            raise SourceError(
                f"the replication slot {self._slot!r} is in use",
                where=self.origin,
                next_step="one source, one slot: declare another `slot`, or end the other pull",
            )
        return int(str(lsn))

    # -- rows

    def _rows(self, connection: "Connection", place: Place, pieces: ChangePieces) -> Iterator[Pulled]:
        is_read = place.reading.is_read
        for statement in () if is_read else database("postgresql").begin:
            connection.exec_driver_sql(statement)
        yield from self._whole(connection, pieces, place=self.sorting(place.lsn, 0), rest=place.log, is_read=is_read)

    # -- changes

    def _changes(
        self, connection: "Connection", place: Place, pieces: ChangePieces, table: PublishedTable
    ) -> Iterator[Pulled]:
        end = str(connection.exec_driver_sql("SELECT pg_current_wal_flush_lsn()").scalar_one())
        key = key_columns(connection, table.oid)
        place = self._with_partitions(place, partition_files(connection, table))  # all that the log names until then
        told_of: deque[int] = deque(maxlen=_MOST_TOLD)
        most: int | None = self._declared.piece_rows
        while True:
            self._move_on(connection, place.lsn)
            log = SlotLog(key, place, self, told_of)
            connection.exec_driver_sql("BEGIN")
            streaming = connection.execution_options(stream_results=True, max_row_buffer=FETCHED_ROWS)
            result = streaming.exec_driver_sql(_PEEK, (self._slot, end, most, f'"{self._publication}"'))
            try:
                for (data,) in (row for rows in result.partitions(FETCHED_ROWS) for row in rows):
                    message = decoded(bytes.fromhex(str(data).removeprefix("\\x")))
                    if message is not None:
                        for change, before in log.changes(message):
                            yield from pieces.add(change, before.position)
            finally:
                result.close()
            connection.execution_options(stream_results=False).exec_driver_sql("COMMIT")
            yield from pieces.rest(log.place.position)
            if log.is_new:
                place = log.place
            elif log.place != place and most is not None:
                most = None  # changes of other tables alone: the slot waits for what lands, so look behind them
            else:
                break
        at = max(lsn_number(end), log.place.lsn)
        yield from self._new_partitions(connection, log.place, pieces, at=at, told_of=told_of)

    def _with_partitions(self, place: Place, files: Mapping[int, int]) -> Place:
        try:
            return replace(place, partitions=place.partitions.now(files))
        except LostPartitionError as error:
            raise self.lost(str(error)) from error

    def _new_partitions(
        self, connection: "Connection", place: Place, pieces: ChangePieces, *, at: int, told_of: Collection[int]
    ) -> Iterator[Pulled]:
        """Read the rows of partitions that are new: the log tells none that a partition had when it was attached.

        They sort behind the changes until now, one of which may be that a row left another partition for this one.
        """
        for oid in sorted(place.partitions.unread):
            self._begin_behind(connection, told_of)
            told_of = ()  # whoever looks later sees them, too
            sorting, now = self.sorting(at, 0), datetime.now(UTC)
            bounds = partition_bounds(connection, oid)
            yield from self._rows_of_table(connection, pieces, sorting, now, place.position, where=bounds)
            place = replace(place, partitions=place.partitions.read(oid))
            yield from pieces.rest(place.position)

    def _begin_behind(self, connection: "Connection", told_of: Collection[int]) -> None:
        """Begin to read what all transactions that the log told of have left.

        The log tells of a transaction before others see it: a moment before, or until a standby has confirmed it.

        Raises:
            UnavailableError: One of them was not seen for too long.
        """
        from tenacity import RetryError, Retrying, retry_if_result, stop_after_delay, wait_fixed

        def begin() -> bool:
            for statement in database("postgresql").begin:
                connection.exec_driver_sql(statement)
            snapshot = str(connection.exec_driver_sql("SELECT pg_current_snapshot()").scalar_one())
            if shows(snapshot, told_of):
                return True
            connection.exec_driver_sql("COMMIT")
            return False

        tries = Retrying(
            retry=retry_if_result(lambda seen: not seen), stop=stop_after_delay(_SEEN_WITHIN_S), wait=wait_fixed(0.1)
        )
        try:
            tries(begin)
        except RetryError as error:
            raise UnavailableError(
                "a transaction that was committed is not seen yet: does it wait for a standby?", where=self.origin
            ) from error

    def _move_on(self, connection: "Connection", lsn: int) -> None:
        connection.exec_driver_sql(
            "SELECT pg_replication_slot_advance(slot_name, %s::pg_lsn) FROM pg_replication_slots"
            " WHERE slot_name = %s AND confirmed_flush_lsn < %s::pg_lsn",
            (lsn_text(lsn), self._slot, lsn_text(lsn)),
        )

    def sorting(self, lsn: int, within: int) -> str:
        """Give a place in the log as a text that sorts as the changes happened."""
        return self._sorting(f"{lsn:016X}", within)

    def refused(self, what: str, *, next_step: str) -> SourceError:
        """Say that a change cannot be told truly."""
        return SourceError(what, where=self.origin, next_step=next_step)
