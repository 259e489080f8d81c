"""A pull of a table or query: one read-only transaction, rows as they come, pieces cut where nothing is lost."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from trunkline.errors import SourceError
from trunkline.ingest.sources.following import Digest, follow
from trunkline.ingest.sources.protocol import Position, Pulled
from trunkline.ingest.sources.sql.address import Address
from trunkline.ingest.sources.sql.connecting import left_early, session
from trunkline.ingest.sources.sql.cursors import Cursor, CursorValue, no_time
from trunkline.ingest.sources.sql.databases import ToText, database
from trunkline.ingest.sources.sql.faults import told
from trunkline.ingest.sources.sql.pieces import Pieces, TextRow, row_hash
from trunkline.spec.sources import SqlSource

if TYPE_CHECKING:
    from sqlalchemy import Connection, CursorResult

__all__ = ["SqlReader", "quoted_table"]

_FETCHED_ROWS: Final = 2_000
_PART: Final = re.compile(r'"((?:[^"]|"")+)"|([^".]+)')
_PARAMETER: Final = "\x00"


@dataclass(frozen=True)
class _Rows:
    """An open result: names, and batches of rows as texts with the values of the driver beside them."""

    columns: tuple[str, ...]
    batches: Iterator[tuple[list[TextRow], Sequence[Sequence[object]]]]

    def each(self) -> Iterator[tuple[TextRow, Sequence[object]]]:
        for texts, given in self.batches:
            yield from zip(texts, given, strict=True)


class SqlReader:
    """A declared table or query as a source.

    Args:
        name: Its name.
        declared: What is said of it.
        address: Where the database is.
    """

    def __init__(self, name: str, declared: SqlSource, address: Address) -> None:
        self._name, self._declared, self._address = name, declared, address
        self._database = database(address.database)

    @property
    def name(self) -> str:
        """Its name."""
        return self._name

    def pull(self, position: Position | None, *, folder: Path) -> Iterator[Pulled]:
        """Read what is new; see :class:`trunkline.ingest.sources.Source`.

        Raises:
            SourceError: No such table or column, a wrong password, a query that is none.
            UnavailableError: The server did not answer, or the connection was cut.
        """
        with told(self._address, where=self._declared.table or "query"), session(self._address) as connection:
            for statement in self._database.begin:
                connection.exec_driver_sql(statement)
            if self._declared.cursor is None:
                yield from self._all(connection, position, folder)
            else:
                yield from self._newer(connection, self._declared.cursor, position, folder)

    # -- everything

    def _all(self, connection: "Connection", position: Position | None, folder: Path) -> Iterator[Pulled]:
        whole = self._declared.mode == "snapshot"  # one batch, so that the newest row of a key is found in it
        everything = f"SELECT * FROM {self._from()}"  # noqa: S608 - names are quoted, the query is the user's own
        digest = Digest()
        with self._select(connection, everything) as rows:
            pieces = Pieces(folder, rows.columns, self._origin())
            for text, _ in rows.each():
                if pieces.rows >= self._declared.piece_rows and not whole:
                    yield pieces.cut({"piece": pieces.number})
                digest.add(row_hash(text))
                pieces.add(text)
        if pieces.rows and (pieces.number > 1 or position is None or position.get("digest") != digest.text):
            yield pieces.cut({"piece": pieces.number, "digest": digest.text})

    # -- what lies behind the cursor

    def _newer(
        self, connection: "Connection", column: str, position: Position | None, folder: Path
    ) -> Iterator[Pulled]:
        cursor, place, ordered = self._cursor(connection, column)
        since = _since(position, cursor)
        seen = position.get("seen") if position and since is not None else None
        if isinstance(seen, str) and ":" in seen and self._scan(connection, cursor, ordered, since) == seen:
            return

        def scan(newest: CursorValue) -> str:
            return self._scan(connection, cursor, ordered, newest)

        with self._select(connection, *self._behind(cursor, ordered, since, order=ordered)) as rows:
            yield from follow(
                cursor,
                _followed(cursor, rows, place),
                position=position,
                since=since,
                pieces=Pieces(folder, rows.columns, self._origin()),
                most_rows=self._declared.piece_rows,
                scan=scan,
            )

    def _cursor(self, connection: "Connection", column: str) -> tuple[Cursor, int, str]:
        """Find the cursor among the columns: what it is, its place, and the expression that orders it."""
        nothing = f"SELECT * FROM {self._from()} WHERE 1 = 0"  # noqa: S608 - as above
        result = connection.exec_driver_sql(self._escaped(nothing), ())
        names, codes = _described(result)
        result.close()
        if column not in names:
            raise SourceError(
                f"there is no column {column!r} for the cursor",
                where=self._origin(),
                allowed=names,
                next_step="names are taken as they are stored",
            )
        place = names.index(column)
        kind = self._database.cursor_kind(codes[place])
        if kind is None:
            raise SourceError(
                f"a column of the type of {column!r} has no order that could be trusted",
                where=self._origin(),
                allowed=("whole numbers", "decimals", "dates", "instants", "text"),
            )
        if self._declared.overlap and kind not in {"day", "instant", "any"}:
            raise no_time(column)
        cursor = Cursor(column, kind, self._address.database, self._declared.overlap)
        return cursor, place, self._database.ordered(self._quoted(column), kind)

    def _behind(
        self, cursor: Cursor, ordered: str, since: CursorValue | None, *, order: str = ""
    ) -> tuple[str, tuple[object, ...]]:
        column = self._quoted(cursor.column)
        conditions = [f"{column} IS NOT NULL", self._database.bounded(column, cursor.kind)]
        parameters: tuple[object, ...] = ()
        if since is not None:
            conditions.append(f"{ordered} >= {_PARAMETER}")
            parameters = (cursor.begin(since),)
        told_conditions = " AND ".join(condition for condition in conditions if condition)
        end = f" ORDER BY {order}" if order else ""
        return f"SELECT * FROM {self._from()} WHERE {told_conditions}{end}", parameters  # noqa: S608 - as above

    def _scan(self, connection: "Connection", cursor: Cursor, ordered: str, since: CursorValue | None) -> str:
        """Digest the rows that the next pull would read again."""
        digest = Digest()
        with self._select(connection, *self._behind(cursor, ordered, since)) as rows:
            for text, _ in rows.each():
                digest.add(row_hash(text))
        return digest.text

    # -- statements

    @contextmanager
    def _select(self, connection: "Connection", sql: str, parameters: tuple[object, ...] = ()) -> Iterator[_Rows]:
        streaming = connection.execution_options(stream_results=True, max_row_buffer=_FETCHED_ROWS)
        result = streaming.exec_driver_sql(self._escaped(sql), parameters)
        with left_early(connection, result):
            names, codes = _described(result)
            twins = sorted({name for name in names if names.count(name) > 1})
            if twins:
                raise SourceError(
                    f"two columns are called {twins[0]!r}", where=self._origin(), next_step="name them apart with AS"
                )
            yield _Rows(names, _batches(result, [self._database.to_text(code) for code in codes]))

    def _escaped(self, sql: str) -> str:
        """Put the driver's parameters in; a percent sign would be one to drivers that write them ``%s``."""
        plain = sql.replace("%", "%%") if self._database.placeholder == "%s" else sql
        return plain.replace(_PARAMETER, self._database.placeholder)

    def _from(self) -> str:
        declared = self._declared
        if declared.table is not None:
            return quoted_table(declared.table, self._address)
        query = (declared.query or "").strip().rstrip(";")
        return f"({query}\n) AS trunkline_rows"  # the line ends a comment

    def _quoted(self, name: str) -> str:
        return _quoted(name, self._address)

    def _origin(self) -> str:
        return f"{self._address.shown}, {self._declared.table or 'query'}"


def quoted_table(table: str, address: Address) -> str:
    """Quote a table's name with its schema; a part with a point is written in double quotes.

    Raises:
        SourceError: It is no name.
    """
    parts = [(whole.replace('""', '"') if whole else bare) for whole, bare in _PART.findall(table)]
    if not parts or ".".join(parts) != table.replace('"', ""):
        raise SourceError("the name of the table cannot be read", where=table, next_step='write schema.table or "a.b"')
    return ".".join(_quoted(part, address) for part in parts)


def _quoted(name: str, address: Address) -> str:
    sign = "`" if address.database == "mariadb" else '"'
    return f"{sign}{name.replace(sign, sign * 2)}{sign}"


def _described(result: "CursorResult[tuple[object, ...]]") -> tuple[tuple[str, ...], tuple[object, ...]]:
    """Names and codes of the types, as the driver gives them."""
    description = result.cursor.description
    return tuple(item[0] for item in description), tuple(item[1] for item in description)


def _batches(
    result: "CursorResult[tuple[object, ...]]", to_text: Sequence[ToText]
) -> Iterator[tuple[list[TextRow], Sequence[Sequence[object]]]]:
    for rows in result.partitions(_FETCHED_ROWS):
        columns = [texts(values) for texts, values in zip(to_text, zip(*rows, strict=True), strict=True)]
        yield list(zip(*columns, strict=True)), rows


def _followed(cursor: Cursor, rows: _Rows, place: int) -> Iterator[tuple[TextRow, CursorValue, str]]:
    for text, given in rows.each():
        yield text, cursor.value(given[place] if cursor.kind == "any" else text[place]), row_hash(text)


def _since(position: Position | None, cursor: Cursor) -> CursorValue | None:
    if position is None:
        return None
    if position.get("cursor") != cursor.column:  # declared anew: everything counts again
        return None
    value = position.get("value")
    return None if value is None else cursor.value(value)
