"""The whole lake: beside reading and changing, what keeps tables small, and what takes people out of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from trunkline.errors import AuthorError
from trunkline.lake import aging, delta, erasure, maintenance, writing
from trunkline.lake.erasure import Erasure
from trunkline.lake.maintenance import Upkeep
from trunkline.lake.tables.changing import BATCH_ROWS, LakeWriter
from trunkline.lake.versions import demand
from trunkline.lake.writing import Transaction


@dataclass(frozen=True)
class Upsert:
    """How the rows of a table supersede each other.

    Attributes:
        key: Columns that name a thing.
        newest_by: Columns that order the rows of a key, most important first.
    """

    key: tuple[str, ...]
    newest_by: tuple[str, ...]


class Lake(LakeWriter):
    """Delta tables below one root.

    Reads are lazy Ibis tables over one snapshot; when files of an old snapshot may vanish before the expression runs,
    use :meth:`arrow` or :meth:`collect`, which take a new snapshot and try once more.

    A lake, like its engine, belongs to one thread. A process that has used one must not fork: start others by spawn.

    Args:
        root: A local folder, or the URL of an object store (``s3://``, ``gs://``, ``abfss://``), whose credentials
            come from the environment variables of its own tools.
        engine: What computes the expressions.
        settings: Retention, locks, compaction.
        clock: The current instant, with a zone.
        keys: The keys of its workspace; None where no contract protects anything.
    """

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
                    kept = self._engine.batches(rows, rows=BATCH_ROWS)
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

    def texts(self, table: str, column: str, *, unless: str) -> Iterator[str]:
        """Give the texts that a column has in any version, to find those that are to be erased.

        Args:
            table: The table.
            column: A column of text.
            unless: Texts that begin with it are left out.

        Yields:
            Texts, each at least once.

        Raises:
            UnknownNameError: There is no such table.
            UnavailableError: The store refused.
        """
        return erasure.texts(self._existing(table), column, unless=unless, engine=self._engine)

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
                kept = reader.batches(erasure.lacking(rows, column, wanted, engine=reader), rows=BATCH_ROWS)
                noted = {"erased_rows": str(count)}
                maintenance.rewrite(place, kept, base=base, event="erase.", metadata=noted, settings=self._settings)
            gone = erasure.purge(place)
            return Erasure(table=table, rows=count, version=int(place.newest().version()), gone=gone)
