"""Rows that enter, replace and leave the newest version of a table: one commit each, under the table's lock.

Takes rows or an expression, gives the version that holds them. Older versions keep the rows that they had.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from trunkline.lake import delta, maintenance, writing
from trunkline.lake.staging import StagedRows
from trunkline.lake.tables.opened import OpenLake
from trunkline.lake.versions import demand
from trunkline.lake.writing import Transaction

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import pyarrow as pa

BATCH_ROWS = 131_072
"""Rows of a table that are held at once while it is written anew."""


class LakeWriter(OpenLake):
    """The part of a :class:`~trunkline.lake.Lake` that changes rows."""

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
                    rows = self._engine.batches(change(self.read(table, version=base)), rows=BATCH_ROWS)
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


def _each(transaction: Transaction | Sequence[Transaction] | None) -> Sequence[Transaction]:
    if transaction is None:
        return ()
    return (transaction,) if isinstance(transaction, Transaction) else transaction
