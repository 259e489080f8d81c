"""Changes of a MariaDB table: its binary log in row format, read as a replica reads it.

The place is that behind the last transaction which landed whole, and how many changes of the next one landed too.
Names of columns come from the log itself, so that a table altered later is still read as it was.
"""

import hashlib
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from trunkline.errors import MissingExtraError, SourceError
from trunkline.ingest.sources.cdc.binlog_text import texts_of
from trunkline.ingest.sources.cdc.changes import Change, ChangePieces, Operation
from trunkline.ingest.sources.cdc.mariadb_statements import takes_rows
from trunkline.ingest.sources.cdc.table import FollowedTable, Reading
from trunkline.ingest.sources.protocol import Position, Pulled
from trunkline.ingest.sources.sql.address import opened_address
from trunkline.ingest.sources.sql.connecting import session
from trunkline.ingest.sources.sql.databases import database
from trunkline.ingest.sources.sql.faults import told
from trunkline.spec.sources import MariadbChanges

if TYPE_CHECKING:
    import pymysql
    from pymysqlreplication import BinLogStreamReader
    from pymysqlreplication.row_event import RowsEvent
    from sqlalchemy import Connection

__all__ = ["MariadbReader", "open_source"]

_PURGED: Final = 1236
_DEMANDED: Final = {"log_bin": "ON", "binlog_format": "ROW", "binlog_row_image": "FULL", "binlog_row_metadata": "FULL"}
_UUIDS: Final = (
    "SELECT column_name FROM information_schema.columns"
    " WHERE table_schema = %s AND table_name = %s AND data_type = 'uuid'"
)
_IDS: Final = 1 << 30


def open_source(name: str, declared: MariadbChanges) -> "MariadbReader":
    """Make a source from its declaration; nothing is asked of the server yet.

    Args:
        name: Its name in the settings.
        declared: What is said of it.

    Raises:
        MissingExtraError: SQLAlchemy, PyMySQL or mysql-replication is not installed.
        InputError: The URL is malformed, or of another database.
    """
    address = opened_address(declared.url.get_secret_value())
    if address.database != "mariadb":
        raise SourceError("changes of this kind are MariaDB's", where=address.shown, allowed=("mariadb://",))
    try:
        import pymysqlreplication  # noqa: F401 - only whether it is there
    except ModuleNotFoundError:
        raise MissingExtraError("mysql-replication", extra="sql") from None
    return MariadbReader(name, declared, address)


@dataclass(frozen=True)
class _Place:
    """Behind the transactions that end at ``at`` in ``file``, and ``within`` changes into the next."""

    file: str
    at: int
    within: int
    reading: Reading

    @property
    def log(self) -> Position:
        return {"file": self.file, "at": self.at, "within": self.within}

    @property
    def position(self) -> Position:
        return {**self.log, **self.reading.position}

    @property
    def sorting(self) -> str:
        number = self.file.rsplit(".", 1)[-1]
        return f"{int(number):010d}-{self.at:012d}"


class MariadbReader(FollowedTable[MariadbChanges]):
    """The changes of a table of MariaDB as a source."""

    def pull(self, position: Position | None, *, folder: Path) -> Iterator[Pulled]:
        """Read all rows the first time, and what changed since; see :class:`trunkline.ingest.sources.Source`.

        Raises:
            SourceError: No such table, no rights, or changes are lost: a new snapshot is needed.
            UnavailableError: The server did not answer, or the connection was cut.
        """
        with told(self._address, where=self._declared.table):
            pieces = ChangePieces(folder, origin=self.origin, most_rows=self._declared.piece_rows)
            place = self._known_place(position)
            with session(self._address) as connection:
                self._demand_log(connection)
                if place is not None:
                    self._demand_file(connection, place)
                if place is None or not place.reading.is_ended:
                    place = yield from self._rows(connection, place, pieces)
                uuids = frozenset(row[0] for row in connection.exec_driver_sql(_UUIDS, (self._schema, self._table)))
            yield from self._changes(place, pieces, uuids)

    # -- where to go on

    def _known_place(self, position: Position | None) -> _Place | None:
        if not self._goes_on(position) or position is None:
            return None
        return _Place(
            str(position["file"]),
            int(position["at"] or 0),
            int(position["within"] or 0),
            Reading.of(position, self._snapshot),
        )

    def _demand_log(self, connection: "Connection") -> None:
        version = str(connection.exec_driver_sql("SELECT VERSION()").scalar_one())
        if "MariaDB" not in version:
            raise SourceError(
                f"the server is no MariaDB, whose log is read: {version[:40]}",
                where=self._address.shown,
                next_step='pull its tables with kind = "sql" and a cursor',
            )
        asked = ", ".join(f"'{name}'" for name in _DEMANDED)
        listed = f"SHOW GLOBAL VARIABLES WHERE Variable_name IN ({asked})"
        found = {str(name): str(value) for name, value in connection.exec_driver_sql(listed)}
        for variable, value in _DEMANDED.items():
            if found.get(variable) != value:
                raise SourceError(
                    f"the server's log does not hold whole rows: {variable} is {found.get(variable, 'not known')}",
                    where=self._address.shown,
                    next_step=f"set {variable} = {value} in the server's configuration"
                    + (" and restart it" if variable == "log_bin" else " (SET GLOBAL, for sessions from then on)"),
                )

    def _demand_file(self, connection: "Connection", place: _Place) -> None:
        files = [str(row[0]) for row in connection.exec_driver_sql("SHOW BINARY LOGS")]
        if place.file not in files:
            raise self.lost(f"the server purged the binary log {place.file}")

    # -- rows

    def _rows(
        self, connection: "Connection", begun: _Place | None, pieces: ChangePieces
    ) -> Generator[Pulled, None, _Place]:
        """Read all rows, and end them; returns the place from which the changes follow."""
        if begun is not None and begun.reading.is_read:
            place, is_read = begun, True
        else:
            shown = self._begun(connection)
            place, is_read = begun or shown, False  # begun again: what was deleted in between is told by the log
        yield from self._whole(connection, pieces, place=self.sorting(place, 0), rest=place.log, is_read=is_read)
        return _Place(place.file, place.at, 0, Reading(self._snapshot))

    def _begun(self, connection: "Connection") -> _Place:
        """Begin the transaction that reads all rows; gives its place in the log."""
        for statement in database("mariadb").begin:
            connection.exec_driver_sql(statement)
        status = {
            str(name): str(value)
            for name, value in connection.exec_driver_sql("SHOW STATUS LIKE 'binlog\\_snapshot\\_%%'", ())
        }
        reading = Reading(self._snapshot, is_read=False, is_ended=False)
        return _Place(status["Binlog_snapshot_file"], int(status["Binlog_snapshot_position"]), 0, reading)

    def sorting(self, place: _Place, within: int) -> str:
        """Give a place in the log as a text that sorts as the changes happened."""
        return self._sorting(place.sorting, within)

    # -- changes

    def _changes(self, place: _Place, pieces: ChangePieces, uuids: frozenset[str]) -> Iterator[Pulled]:
        import pymysql

        stream = self._stream(place)
        log = _Log(place, self._schema, self._table, uuids, self.sorting)
        try:
            for event in stream:
                if log.is_emptied(event):
                    raise self.lost("the table, or a part of it, was emptied, dropped or renamed, which names no rows")
                for change, before in log.changes(event, stream.log_file):
                    yield from pieces.add(change, before.position)
        except pymysql.OperationalError as error:
            if error.args[:1] == (_PURGED,):
                raise self.lost(f"the server no longer holds the binary log {place.file}") from None
            raise
        finally:
            stream.close()
        yield from pieces.rest(log.place.position)

    def _stream(self, place: _Place) -> "BinLogStreamReader":
        from pymysqlreplication import BinLogStreamReader
        from pymysqlreplication.event import MariadbGtidEvent, QueryEvent, RotateEvent, XidEvent
        from pymysqlreplication.row_event import DeleteRowsEvent, UpdateRowsEvent, WriteRowsEvent

        url = self._address.url
        return BinLogStreamReader(
            connection_settings={
                "host": url.host,
                "port": url.port or 3306,
                "user": url.username,
                "password": url.password or "",
                "charset": "utf8mb4",
                "connect_timeout": 10,
            },
            server_id=self._declared.server_id or self._derived_id(),
            is_mariadb=False,  # it means "by GTID": places in the log are this source's positions
            blocking=False,
            resume_stream=True,
            log_file=place.file,
            log_pos=place.at,
            pymysql_wrapper=_connected,
            only_schemas=[self._schema],
            only_tables=[self._table],
            only_events=[
                DeleteRowsEvent,
                MariadbGtidEvent,
                QueryEvent,
                RotateEvent,
                UpdateRowsEvent,
                WriteRowsEvent,
                XidEvent,
            ],
            enable_logging=False,
        )

    def _derived_id(self) -> int:
        said = f"{self._address.shown} {self._declared.table} {self._name}".encode()
        return _IDS + int.from_bytes(hashlib.blake2b(said, digest_size=8).digest(), "big") % _IDS

    @property
    def _schema(self) -> str:
        return str(self._address.url.database)

    @property
    def _table(self) -> str:
        return self._declared.table.strip('"')


class _Log:
    """Follows the events of a log from a place on."""

    def __init__(
        self,
        place: _Place,
        schema: str,
        table: str,
        uuids: frozenset[str],
        sorting: Callable[[_Place, int], str],
    ) -> None:
        self.place, self._uuids, self._sorting = place, uuids, sorting
        self._schema, self._table = schema, table
        self._skipped = place.within
        self._within = 0

    def is_emptied(self, event: object) -> bool:
        """Tell whether a statement took all rows without naming them."""
        from pymysqlreplication.event import QueryEvent

        if not isinstance(event, QueryEvent):
            return False
        used = event.schema.decode() if isinstance(event.schema, bytes) else str(event.schema)
        return takes_rows(str(event.query), table=self._table, schema=self._schema, used=used)

    def changes(self, event: object, file: str) -> Iterator[tuple[Change, _Place]]:
        """Take an event; gives the changes of the table, each with the place that comes to it next."""
        from pymysqlreplication.event import MariadbGtidEvent, QueryEvent, RotateEvent, XidEvent
        from pymysqlreplication.row_event import RowsEvent

        if isinstance(event, RowsEvent):
            for change in self._told(event):
                before = _Place(self.place.file, self.place.at, self._within, self.place.reading)
                self._within += 1
                if self._within > self._skipped:
                    yield change, before
        elif isinstance(event, XidEvent) or (isinstance(event, QueryEvent) and str(event.query) != "BEGIN"):
            self._end(file, int(event.packet.log_pos))
        elif isinstance(event, RotateEvent) and event.timestamp:
            self._end(str(event.next_binlog), int(event.position))
        elif isinstance(event, MariadbGtidEvent):
            self._within = 0

    def _end(self, file: str, at: int) -> None:
        if at:
            self.place = _Place(file, at, 0, self.place.reading)
        self._within = self._skipped = 0

    def _told(self, event: "RowsEvent") -> Iterator[Change]:
        from pymysqlreplication.row_event import DeleteRowsEvent, UpdateRowsEvent

        at = datetime.fromtimestamp(event.timestamp, UTC)
        names = tuple(str(column.name) for column in event.columns)

        def change(values: Mapping[str, object], sources: Mapping[str, object], operation: Operation) -> Change:
            row = texts_of(event.columns, values, sources, uuids=self._uuids)
            return Change(names, row, operation, self._sorting(self.place, self._within + 1), at)

        key = _names(event.primary_key)
        for row in event.rows:
            if isinstance(event, UpdateRowsEvent):
                old, new = row["before_values"], row["after_values"]
                if any(old[name] != new[name] for name in key):
                    yield change(old, row["before_none_sources"], "delete")
                yield change(new, row["after_none_sources"], "update")
            else:
                operation: Operation = "delete" if isinstance(event, DeleteRowsEvent) else "insert"
                yield change(row["values"], row["none_sources"], operation)


def _connected(**settings: object) -> "pymysql.Connection[pymysql.cursors.Cursor]":
    """Connect as mysql-replication asks, by the name that PyMySQL has for a database now."""
    import pymysql

    if "db" in settings:
        settings["database"] = settings.pop("db")
    return pymysql.connect(**settings)


def _names(key: object) -> Sequence[str]:
    if isinstance(key, str):
        return (key,)
    return tuple(str(name) for name in key) if isinstance(key, list | tuple) else ()
