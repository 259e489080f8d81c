"""A pull of a table or query of BigQuery: what it would cost, its rows as Arrow, pieces cut where nothing is lost."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from trunkline.errors import SourceError
from trunkline.ingest.sources.bigquery.address import Clients, clients, refuse_missing_libraries
from trunkline.ingest.sources.bigquery.faults import told
from trunkline.ingest.sources.bigquery.texts import columns_of, text_rows
from trunkline.ingest.sources.following import CursorValue, Digest, follow
from trunkline.ingest.sources.protocol import Position, Pulled
from trunkline.ingest.sources.sql.cursors import Cursor, no_time
from trunkline.ingest.sources.sql.databases import CursorKind
from trunkline.ingest.sources.sql.pieces import Pieces, TextRow, row_hash
from trunkline.spec.stores import BigQuerySource

if TYPE_CHECKING:
    from google.api_core.retry import Retry
    from google.cloud.bigquery import QueryJobConfig, SchemaField, Table
    from google.cloud.bigquery.table import RowIterator

__all__ = ["BigQueryReader"]

_logger = logging.getLogger(__name__)

_GIB: Final = 1 << 30
_QUEUED_BATCHES: Final = 4
_KINDS: Final[dict[str, CursorKind]] = {
    "INTEGER": "integer",
    "INT64": "integer",
    "NUMERIC": "number",
    "BIGNUMERIC": "number",
    "DATE": "day",
    "DATETIME": "instant",
    "TIMESTAMP": "instant",
    "STRING": "text",
}
_SINCE: Final = "trunkline_since"


@dataclass(frozen=True)
class _Query:
    """A query with the value of its only parameter.

    Attributes:
        sql: GoogleSQL.
        since: Type and text of the parameter; None where it has none.
    """

    sql: str
    since: tuple[str, str] | None = None


class BigQueryReader:
    """A declared table or query as a source.

    Args:
        name: Its name.
        declared: What is said of it.

    Raises:
        MissingExtraError: Google's libraries are not installed.
    """

    def __init__(self, name: str, declared: BigQuerySource) -> None:
        refuse_missing_libraries()
        self.name = name
        self._declared = declared
        self._where = f"bigquery {declared.table or 'query'}"

    def pull(self, position: Position | None, *, folder: Path) -> Iterator[Pulled]:
        """Read what is new; see :class:`trunkline.ingest.sources.Source`.

        Raises:
            SourceError: No such table or column, refused credentials, a query that is none or would read too much.
            UnavailableError: BigQuery did not answer.
        """
        with told(self._where), clients(self._declared) as asked:
            if self._declared.cursor is None:
                yield from self._all(asked, position, folder)
            else:
                yield from self._newer(asked, self._declared.cursor, position, folder)

    def estimated_bytes(self, position: Position | None) -> int:
        """Give the bytes that a pull would read and be billed for; nothing is read.

        Args:
            position: Of the newest part that landed; None for the first pull.

        Raises:
            SourceError: As for :meth:`pull`.
            UnavailableError: As for :meth:`pull`.
        """
        with told(self._where), clients(self._declared) as asked:
            if self._declared.cursor is None:
                stored = self._stored(asked)
                if stored is not None:
                    return int(stored.num_bytes or 0)
                return self._looked_at(asked, _Query(f"SELECT * FROM {self._from()}"))[0]  # noqa: S608 - as below
            cursor, kind = self._cursor(asked, self._declared.cursor)
            return self._looked_at(asked, self._behind(cursor, kind, _since(position, cursor), order=True))[0]

    # -- everything

    def _all(self, asked: Clients, position: Position | None, folder: Path) -> Iterator[Pulled]:
        whole = self._declared.mode == "snapshot"  # one batch, so that the newest row of a key is found in it
        digest = Digest()
        columns, rows, origin = self._everything(asked)
        pieces = Pieces(folder, columns, origin)
        for row in rows:
            if pieces.rows >= self._declared.piece_rows and not whole:
                yield pieces.cut({"piece": pieces.number})
            digest.add(row_hash(row))
            pieces.add(row)
        if pieces.rows and (pieces.number > 1 or position is None or position.get("digest") != digest.text):
            yield pieces.cut({"piece": pieces.number, "digest": digest.text})

    # -- what lies behind the cursor

    def _newer(self, asked: Clients, column: str, position: Position | None, folder: Path) -> Iterator[Pulled]:
        cursor, kind = self._cursor(asked, column)
        since = _since(position, cursor)

        def scan(since: CursorValue) -> str:
            digest = Digest()
            for row in self._rows(asked, self._behind(cursor, kind, since, order=False))[1]:
                digest.add(row_hash(row))
            return digest.text

        seen = position.get("seen") if position and since is not None else None
        if since is not None and isinstance(seen, str) and ":" in seen and scan(since) == seen:
            return
        columns, rows, origin = self._rows(asked, self._behind(cursor, kind, since, order=True))
        place = columns.index(column)
        yield from follow(
            cursor,
            ((row, cursor.value(row[place]), row_hash(row)) for row in rows),
            position=position,
            since=since,
            pieces=Pieces(folder, columns, origin),
            most_rows=self._declared.piece_rows,
            scan=scan,
        )

    def _cursor(self, asked: Clients, column: str) -> tuple[Cursor, str]:
        """Find the cursor among the columns; gives its order and BigQuery's name of its type."""
        _, schema = self._looked_at(asked, _Query(f"SELECT * FROM {self._from()}"))  # noqa: S608 - as above
        found = next((one for one in schema if one.name == column), None)
        if found is None:
            raise SourceError(
                f"there is no column {column!r} for the cursor",
                where=self._where,
                allowed=[one.name for one in schema],
                next_step="names are taken as they are stored; a field of a record cannot be a cursor",
            )
        kind = _KINDS.get(found.field_type)
        if kind is None or found.mode == "REPEATED":
            raise SourceError(
                f"a column of the type of {column!r} ({found.field_type}) has no order that could be trusted",
                where=self._where,
                allowed=tuple(_KINDS),
            )
        if self._declared.overlap and kind not in {"day", "instant"}:
            raise no_time(column)
        # its parameters are texts, instants as `2026-01-01 00:00:00` in UTC: what BigQuery casts too
        return Cursor(column, kind, "postgresql", self._declared.overlap), found.field_type

    def _behind(self, cursor: Cursor, kind: str, since: CursorValue | None, *, order: bool) -> _Query:
        column = f"`{cursor.column}`"
        condition = f"{column} IS NOT NULL" if since is None else f"{column} >= @{_SINCE}"
        end = f" ORDER BY {column}" if order else ""
        sql = f"SELECT * FROM {self._from()} WHERE {condition}{end}"  # noqa: S608 - names are quoted, the query the user's
        return _Query(sql, None if since is None else (kind, str(cursor.begin(since))))

    def _from(self) -> str:
        declared = self._declared
        if declared.table is not None:
            return f"`{declared.table}`"
        query = (declared.query or "").strip().rstrip(";")
        return f"({query}\n)"  # the line ends a comment

    # -- BigQuery

    def _looked_at(self, asked: Clients, query: _Query) -> "tuple[int, Sequence[SchemaField]]":
        """Ask by a dry run how many bytes a query reads, and for its columns."""
        job = asked.jobs.query(
            query.sql, job_config=self._config(query, dry_run=True), retry=self._retry(), job_retry=None
        )
        return int(job.total_bytes_processed or 0), job.schema or ()

    def _everything(self, asked: Clients) -> tuple[tuple[str, ...], Iterator[TextRow], str]:
        """Read all rows; those of a table as they are stored, without a query that would be billed."""
        stored = self._stored(asked)
        if stored is None:
            return self._rows(asked, _Query(f"SELECT * FROM {self._from()}"))  # noqa: S608 - the user's own
        size = int(stored.num_bytes or 0)
        self._refuse_too_much(size)
        return self._given(asked, asked.jobs.list_rows(stored, retry=self._retry()), size)

    def _stored(self, asked: Clients) -> "Table | None":
        """Give the declared table; None for a query, a view and whatever else has no rows of its own."""
        if self._declared.table is None:
            return None
        table = asked.jobs.get_table(self._declared.table, retry=self._retry())
        return table if table.table_type == "TABLE" else None

    def _rows(self, asked: Clients, query: _Query) -> tuple[tuple[str, ...], Iterator[TextRow], str]:
        """Run a query; gives its columns, its rows, and where they came from, with the bytes that it read."""
        size, _ = self._looked_at(asked, query)
        self._refuse_too_much(size)
        job = asked.jobs.query(
            query.sql, job_config=self._config(query, dry_run=False), retry=self._retry(), job_retry=None
        )
        return self._given(asked, job.result(retry=self._retry(), job_retry=None), size)

    def _given(self, asked: Clients, found: "RowIterator", size: int) -> tuple[tuple[str, ...], Iterator[TextRow], str]:
        _logger.info("bigquery reads", extra={"source": self.name, "bytes": size})
        batches = found.to_arrow_iterable(bqstorage_client=asked.storage, max_queue_size=_QUEUED_BATCHES)

        def rows() -> Iterator[TextRow]:
            for batch in batches:
                yield from text_rows(batch)

        return columns_of(found.schema), rows(), f"{self._where}, {size:,} bytes"

    def _refuse_too_much(self, size: int) -> None:
        if size > self._declared.max_billed_gib * _GIB:
            raise SourceError(
                f"{size / _GIB:,.3g} GiB would be read, and {self._declared.max_billed_gib:g} GiB may be",
                where=self._where,
                next_step="raise `max_billed_gib`, name fewer columns in `query`, or follow a cursor that partitions",
            )

    def _config(self, query: _Query, *, dry_run: bool) -> "QueryJobConfig":
        from google.cloud.bigquery import QueryJobConfig, ScalarQueryParameter

        config = QueryJobConfig(dry_run=dry_run, use_query_cache=not dry_run, use_legacy_sql=False)
        if not dry_run:
            config.maximum_bytes_billed = int(self._declared.max_billed_gib * _GIB)
        if query.since is not None:
            kind, text = query.since
            config.query_parameters = [ScalarQueryParameter(_SINCE, kind, text)]
        return config

    def _retry(self) -> "Retry":
        from google.cloud.bigquery.retry import DEFAULT_RETRY

        return DEFAULT_RETRY.with_timeout(self._declared.timeout_s)


def _since(position: Position | None, cursor: Cursor) -> CursorValue | None:
    if position is None or position.get("cursor") != cursor.column:  # declared anew: everything counts again
        return None
    value = position.get("value")
    return None if value is None else cursor.value(value)
