"""One object for all tables of a lake: read, append, replace, maintain, erase.

Takes a root, an engine, settings and a clock. Every read and write of a table in Trunkline goes through here, which is
why the rules of the lake hold: the log's schema is imposed on what is read, writers wait for each other, an append that
was done already is not done again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from trunkline.engine import Engine
from trunkline.errors import AuthorError, InputError
from trunkline.lake import aging, delta, erasure, maintenance, names, writing
from trunkline.lake.erasure import Erasure
from trunkline.lake.keys import Keyring
from trunkline.lake.leases import PostgresLeases
from trunkline.lake.locks import FileLocks, TableLocks
from trunkline.lake.maintenance import Upkeep
from trunkline.lake.place import Place
from trunkline.lake.reading import LakeReader, demand
from trunkline.lake.staging import StagedRows
from trunkline.lake.writing import Transaction
from trunkline.settings.lake import LakeSettings

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import pyarrow as pa

CRASH_POINTS: tuple[str, ...] = (
    "lake.lock_taken",
    "lake.before_commit",
    "lake.after_commit",
    "lake.replace.before_commit",
    "lake.replace.after_commit",
    "lake.rewrite.before_commit",
    "lake.rewrite.after_commit",
    *maintenance.CRASH_POINTS,
    *aging.CRASH_POINTS,
    *erasure.CRASH_POINTS,
)
"""Points at which a fault drill may kill a process that uses the lake."""

_LOCKS_FOLDER = ".locks"
_BATCH_ROWS = 131_072


@dataclass(frozen=True)
class Upsert:
    """How the rows of a table supersede each other.

    Attributes:
        key: Columns that name a thing.
        newest_by: Columns that order the rows of a key, most important first.
    """

    key: tuple[str, ...]
    newest_by: tuple[str, ...]


class Lake(LakeReader):
    """Delta tables below one root.

    Reads are lazy Ibis tables over one snapshot; when files of an old snapshot may vanish before the expression runs,
    use :meth:`arrow` or :meth:`collect`, which take a new snapshot and try once more.

    A lake, like its engine, belongs to one thread. A process that has used one must not fork: start others by spawn.

    Args:
        root: A local folder, or the URL of an object store (``s3://``, ``gs://``, ``abfss://``), whose credentials
            come from the environment variables of its own tools. The URL path runs through the same code and is tested
            with ``file://`` URLs only, not against a real object store.
        engine: What computes the expressions.
        settings: Retention, locks, compaction.
        clock: The current instant, with a zone.
        keys: The keys of its workspace; None where no contract protects anything.
    """

    def __init__(
        self,
        root: Path | str,
        *,
        engine: Engine,
        settings: LakeSettings,
        clock: Callable[[], datetime],
        keys: Keyring | None = None,
    ) -> None:
        super().__init__(root, engine=engine)
        self._keys = keys
        self._settings = settings
        self._clock = clock
        self._lock_store: TableLocks | None = None

    # Writing

    def append(
        self,
        table: str,
        rows: pa.Table | pa.RecordBatchReader,
        *,
        transaction: Transaction | Sequence[Transaction] | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> int:
        """Add rows in one commit; the first append makes the table.

        New columns are added to the table and are NULL in older rows; columns that the rows lack are NULL in them. All
        columns are nullable here: what may be null is the contract's business.

        Args:
            table: The table.
            rows: Rows; none are fine, too, and make an empty table.
            transaction: What the rows cover. If the table has this version of the source or a later one already,
                nothing is written. A batch that is covered in part is not cut: start after
                :meth:`transaction_version`. Several, where the rows are of several sources; the table may have all
                of them or none.
            metadata: Noted in the commit, e.g. the run id; keys in lower case.

        Returns:
            The version of the table that holds the rows.

        Raises:
            InputError: The name is malformed, or a metadata key is.
            SchemaError: A column changes its type, an instant has no zone, a value does not fit.
            BusyError: Another writer held the table for longer than ``lock_timeout_s``.
            ConflictError: Writers outside Trunkline won every attempt.
            UnavailableError: The store refused.
        """
        place = self._writable(table)
        with self._locks.held(table):
            return writing.write(
                place,
                rows,
                mode="append",
                transactions=_each(transaction),
                metadata=metadata or {},
                settings=self._settings,
                event="",
            )

    def staged(self, table: str, schema: pa.Schema) -> StagedRows:
        """Begin an append whose rows are written as they come, by several threads if need be.

        Args:
            table: The table; it need not exist.
            schema: Of the rows, in the lake's types.

        Returns:
            Takes the rows; leave its ``with`` block, and the rows that :meth:`append_staged` did not commit are gone.

        Raises:
            InputError: The name is malformed.
        """
        return StagedRows(self._writable(table), schema)

    def append_staged(
        self,
        table: str,
        staged: StagedRows,
        *,
        transaction: Transaction | Sequence[Transaction] | None = None,
        metadata: Mapping[str, str] | None = None,
        base: int | None = None,
    ) -> int:
        """Commit staged rows; otherwise like :meth:`append`.

        Args:
            table: The table for which they were staged.
            staged: The rows.
            transaction: As for :meth:`append`.
            metadata: As for :meth:`append`.
            base: The version against which the rows were checked (-1: there was no table); None takes any.

        Returns:
            The version of the table that holds the rows.

        Raises:
            InputError: A metadata key is malformed.
            SchemaError: A column changes its type.
            BusyError: Another writer held the table for longer than ``lock_timeout_s``.
            ConflictError: The table is not at ``base`` any more, or writers outside Trunkline won every attempt.
            UnavailableError: The store refused.
        """
        place = self._writable(table)
        with self._locks.held(table):
            return writing.write_staged(
                place,
                staged,
                transactions=_each(transaction),
                metadata=metadata or {},
                settings=self._settings,
                base=base,
            )

    def replace(
        self, table: str, rows: pa.Table | pa.RecordBatchReader, *, metadata: Mapping[str, str] | None = None
    ) -> int:
        """Replace all rows in one commit: readers see the old rows or the new ones. For small derived tables.

        Args:
            table: The table; made if need be.
            rows: The new rows; their columns and types become the table's.
            metadata: Noted in the commit.

        Returns:
            The version of the table that holds the rows.

        Raises:
            InputError: The name is malformed, or a metadata key is.
            SchemaError: A column has a type that the lake does not store.
            BusyError: Another writer held the table for longer than ``lock_timeout_s``.
            ConflictError: Writers outside Trunkline won every attempt.
            UnavailableError: The store refused.
        """
        place = self._writable(table)
        with self._locks.held(table):
            return writing.write(
                place,
                rows,
                mode="overwrite",
                transactions=(),
                metadata=metadata or {},
                settings=self._settings,
                event="replace.",
            )

    def rewrite(
        self, table: str, change: Callable[[ir.Table], ir.Table], *, metadata: Mapping[str, str] | None = None
    ) -> int:
        """Replace all rows by what an expression makes of them, in one commit; older versions keep the rows they had.

        Args:
            table: The table.
            change: Makes the new rows of the old ones; the columns stay the same.
            metadata: Noted in the commit.

        Returns:
            The version of the table that holds the rows.

        Raises:
            UnknownNameError: There is no such table.
            BusyError: Another writer held the table for longer than ``lock_timeout_s``.
            ConflictError: Writers outside Trunkline won every attempt.
            UnavailableError: The store refused.
        """
        place = self._existing(table)
        with self._locks.held(table):
            for attempt in writing.attempts(self._settings.commit_attempts):
                with attempt:
                    base = int(place.newest().version())
                    rows = self._engine.batches(change(self.read(table, version=base)), rows=_BATCH_ROWS)
                    return maintenance.rewrite(
                        place, rows, base=base, event="rewrite.", metadata=metadata or {}, settings=self._settings
                    )
        raise AssertionError("attempts either return or raise")

    def remove(self, table: str, column: str, value: str, *, metadata: Mapping[str, str] | None = None) -> int:
        """Take the rows with one text out of the newest version, in one commit; older versions keep them.

        Args:
            table: The table.
            column: A column of text, e.g. ``_batch_id``.
            value: The text.
            metadata: Noted in the commit.

        Returns:
            How many rows went.

        Raises:
            UnknownNameError: There is no such table.
            SchemaError: The table lacks the column.
            BusyError: Another writer held the table for longer than ``lock_timeout_s``.
            ConflictError: Writers outside Trunkline won every attempt.
            UnavailableError: The store refused.
        """
        place = self._existing(table)
        demand(delta.schema(place.newest()).names, [column], table=table)
        with self._locks.held(table):
            for attempt in writing.attempts(self._settings.commit_attempts):
                with attempt:
                    return maintenance.remove(place, column, value, metadata=metadata or {})
        raise AssertionError("attempts either return or raise")

    # Keeping

    def compact(self, table: str, *, key: Sequence[str] | None = None, newest_by: Sequence[str] | None = None) -> int:
        """Fold small files, and, if a key is given, rows that newer ones of their key supersede.

        Older versions stay readable until :meth:`vacuum` takes their files.

        Args:
            table: The table.
            key: As in :meth:`current`; None keeps every row.
            newest_by: As in :meth:`current`.

        Returns:
            The newest version.

        Raises:
            UnknownNameError: There is no such table.
            AuthorError: One of ``key`` and ``newest_by`` is missing.
            SchemaError: The table lacks one of the columns.
            BusyError: Another writer held the table for longer than ``lock_timeout_s``.
            ConflictError: Writers outside Trunkline won every attempt.
            UnavailableError: The store refused.
        """
        if (key is None) != (newest_by is None):
            raise AuthorError("to fold rows takes both, a key and what orders its rows", where=f"table {table}")
        place = self._existing(table)
        with self._locks.held(table):
            if key is None or newest_by is None:
                return maintenance.fold_files(place, settings=self._settings)
            for attempt in writing.attempts(self._settings.commit_attempts):
                with attempt:
                    base = int(place.newest().version())
                    rows = self.current(table, key=key, newest_by=newest_by, version=base)
                    kept = self._engine.batches(rows, rows=_BATCH_ROWS)
                    return maintenance.rewrite(
                        place, kept, base=base, event="compact.", metadata={}, settings=self._settings
                    )
        raise AssertionError("attempts either return or raise")

    def vacuum(self, table: str, *, pins: Mapping[str, Sequence[int]]) -> int:
        """Remove data files that nobody needs any more.

        Args:
            table: The table.
            pins: Versions that active runs and live models need, by table; they stay readable.

        Returns:
            How many files were removed. Files younger than the grace, and than the table's retention, stay.

        Raises:
            UnknownNameError: There is no such table.
            BusyError: Another writer held the table for longer than ``lock_timeout_s``.
            ConflictError: A writer outside Trunkline won.
            UnavailableError: The store refused.
        """
        place = self._existing(table)
        with self._locks.held(table):
            return maintenance.vacuum(place, pins=pins.get(table, ()), settings=self._settings)

    def removable(self, table: str, *, pins: Sequence[int]) -> list[str]:
        """Name the data files that :meth:`vacuum` would remove now.

        Args:
            table: The table.
            pins: Versions that stay readable.

        Raises:
            UnknownNameError: There is no such table.
            UnavailableError: The store refused.
        """
        return maintenance.removable(self._existing(table), pins=pins, settings=self._settings)

    def maintain(
        self,
        *,
        pins: Mapping[str, Sequence[int]],
        tables: Sequence[str] | None = None,
        upserts: Mapping[str, Upsert] | None = None,
    ) -> list[Upkeep]:
        """Compact tables with many files, vacuum, and clean their logs.

        Args:
            pins: Versions that active runs and live models need, by table; they stay readable.
            tables: Which tables; None is all.
            upserts: Tables whose superseded rows are folded as well.

        Returns:
            What was done, one entry per table.

        Raises:
            UnknownNameError: There is no such table.
            BusyError: Another writer held a table for longer than ``lock_timeout_s``.
            ConflictError: Writers outside Trunkline won every attempt.
            UnavailableError: The store refused.
        """
        done = []
        for table in self.tables() if tables is None else tables:
            place = self._existing(table)
            before = len(delta.files(place.newest()))
            if before > self._settings.compact_after_files:
                upsert = (upserts or {}).get(table)
                if upsert is None:
                    self.compact(table)
                else:
                    self.compact(table, key=upsert.key, newest_by=upsert.newest_by)
            with self._locks.held(table):
                maintenance.sync_properties(place, settings=self._settings)
                after = len(delta.files(place.newest()))
                pinned = pins.get(table, ())
                files = maintenance.vacuum(place, pins=pinned, settings=self._settings)
                logs = maintenance.clean_log(place, pins=pinned, now=self._clock(), settings=self._settings)
                version = int(place.newest().version())
            done.append(
                Upkeep(
                    table=table,
                    version=version,
                    folded_files=before - after,
                    removed_files=files,
                    removed_log_files=logs,
                )
            )
        return done

    def retire(
        self,
        table: str,
        *,
        columns: Sequence[str],
        before: datetime,
        transaction: Transaction,
        ready: Callable[[int], bool],
        metadata: Mapping[str, str] | None = None,
    ) -> int | None:
        """Take the rows that are past their time out of the newest version, in one commit; older versions keep them.

        Args:
            table: The table.
            columns: Instants or days; the first that is not null counts, and a row where all are null stays.
            before: Rows from earlier go; UTC.
            transaction: Which removal it is; one that the table has noted is not done again.
            ready: Asked under the table's lock, with the version from which the rows would go, whether they may.
            metadata: Noted in the commit.

        Returns:
            How many rows went, 0 where that was done before; None where they may not go.

        Raises:
            UnknownNameError: There is no such table.
            SchemaError: The table lacks a column.
            BusyError: Another writer held the table for longer than ``lock_timeout_s``.
            ConflictError: A writer outside Trunkline won.
            UnavailableError: The store refused.
        """
        place = self._existing(table)
        demand(delta.schema(place.newest()).names, columns, table=table)
        with self._locks.held(table):
            if (self.transaction_version(table, transaction.app_id) or 0) >= transaction.version:
                return 0
            if not ready(int(place.newest().version())):
                return None
            return aging.remove_aged(place, columns, before, transaction=transaction, metadata=metadata or {})

    def erase(self, table: str, column: str, values: Sequence[object]) -> Erasure:
        """Erase every row that has one of the values, from all versions, beyond recovery.

        The newest version is rewritten without the rows. Then everything before it is removed, data files and log,
        whatever pins it: an older version cannot be kept in part. If no version of the table has the values, nothing
        is touched. Killed on the way, it is finished by doing it again.

        Args:
            table: The table.
            column: The column that holds the values.
            values: Values of the column's type; none match NULL.

        Returns:
            How many rows went, and which versions with them.

        Raises:
            UnknownNameError: There is no such table.
            SchemaError: The table lacks the column, or a value is not of its type.
            BusyError: Another writer held the table for longer than ``lock_timeout_s``.
            ConflictError: A writer outside Trunkline won.
            UnavailableError: The store refused.
        """
        place = self._existing(table)
        wanted = erasure.typed(values, delta.schema(place.newest()), table=table, column=column)
        with self._locks.held(table):
            reader = self._engine
            if not erasure.is_anywhere(place, column, wanted, engine=reader):
                return Erasure(table=table, rows=0, version=int(place.newest().version()), gone=())
            base = int(place.newest().version())
            rows = self.read(table, version=base)
            count = erasure.count(erasure.having(rows, column, wanted, engine=reader), engine=reader)
            if count:
                kept = reader.batches(erasure.lacking(rows, column, wanted, engine=reader), rows=_BATCH_ROWS)
                noted = {"erased_rows": str(count)}
                maintenance.rewrite(place, kept, base=base, event="erase.", metadata=noted, settings=self._settings)
            gone = erasure.purge(place)
            return Erasure(table=table, rows=count, version=int(place.newest().version()), gone=gone)

    # Inside

    @property
    def keys(self) -> Keyring:
        """The keys of its workspace.

        Raises:
            AuthorError: It was opened without.
        """
        if self._keys is None:
            raise AuthorError(
                "a contract protects personal data, and the lake was opened without keys",
                where=str(self._root),
                next_step="open it by a workspace, or give Lake its keys",
            )
        return self._keys

    @property
    def has_keys(self) -> bool:
        """Whether it was opened with keys."""
        return self._keys is not None

    @property
    def clock(self) -> Callable[[], datetime]:
        """Gives the current instant."""
        return self._clock

    @property
    def settings(self) -> LakeSettings:
        """Retention, locks, compaction."""
        return self._settings

    @property
    def lock_folder(self) -> Path:
        """The folder of this host's lock files.

        Raises:
            AuthorError: The lake is on an object store and the settings name no folder.
        """
        if self._settings.lock_folder is not None:
            return self._settings.lock_folder
        if self._is_url:
            raise AuthorError(
                "a lake on an object store needs locks before it can be written",
                where=self._root,
                allowed=("lake.lock_folder for one host", "lake.lease_url for several"),
            )
        return Path(self._root) / _LOCKS_FOLDER

    @property
    def _locks(self) -> TableLocks:
        if self._lock_store is None:
            lease_url = self._settings.lease_url
            timeout_s = self._settings.lock_timeout_s
            if lease_url is None:
                self._lock_store = FileLocks(self.lock_folder, timeout_s=timeout_s, clock=self._clock)
            else:
                url = lease_url.get_secret_value()
                self._lock_store = PostgresLeases(url, scope=self._root, timeout_s=timeout_s)
        return self._lock_store

    def _existing(self, table: str) -> Place:
        self._open(table, None)
        return self._place(table)

    def _writable(self, table: str) -> Place:
        """A place for a table that is not inside another one: vacuum takes every file below its folder."""
        place = self._place(table)
        if place.open() is None:
            clashes = [other for other in names.ancestors(table) if self.exists(other)]
            # not the table itself, which another process may have made in between
            clashes += [other for other in self._tables_below(names.parts(table)) if other != table]
            if clashes:
                raise InputError(
                    "a table's folder cannot lie inside another table's",
                    where=f"table {table}",
                    allowed=(f"a name that does not begin like {clashes[0]}",),
                )
        return place


def _each(transaction: Transaction | Sequence[Transaction] | None) -> Sequence[Transaction]:
    if transaction is None:
        return ()
    return (transaction,) if isinstance(transaction, Transaction) else transaction
