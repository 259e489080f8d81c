"""One flusher per host for a hot table: gathers small batches, commits at most once a second.

A commit is a file in the table's log, so a table that takes a row per request must not take a commit per request. Rows
come numbered from a durable log (see ``brokers``); a row is safe there until :meth:`Flusher.flush` has committed it,
and what was committed already is passed over when the log is read again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Self

from trunkline.errors import AuthorError
from trunkline.lake.locks import held
from trunkline.lake.tables import Lake
from trunkline.lake.writing import Transaction

if TYPE_CHECKING:
    import pyarrow as pa


class Flusher:
    """Commits what is offered, in order, once in a while. Use it in a ``with`` block, from one thread.

    Args:
        lake: The lake.
        table: The hot table.
        app_id: Name of the log that the rows come from, as in :class:`~trunkline.lake.Transaction`.
        metadata: Noted in each commit.
        monotonic_s: Seconds on a clock that never goes back.
    """

    def __init__(
        self,
        lake: Lake,
        table: str,
        *,
        app_id: str,
        metadata: Mapping[str, str] | None = None,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._lake = lake
        self._table = table
        self._app_id = app_id
        self._metadata = dict(metadata or {})
        self._monotonic_s = monotonic_s
        self._held = ExitStack()
        self._is_open = False
        self._waiting: list[pa.Table] = []
        self._covered: int | None = None
        self._flushed_at_s: float | None = None

    def __enter__(self) -> Self:
        """Become the host's flusher of the table, and find out where the last one stopped.

        Raises:
            BusyError: Another process of this host is; ``holder`` names it.
        """
        lock = self._lake.lock_folder / f"{self._table}.flusher.lock"
        self._held.enter_context(held(lock, what=f"flusher of table {self._table}"))
        self._covered = self._lake.transaction_version(self._table, self._app_id)
        self._is_open = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Commit what waits, unless the block failed, and let another process be the flusher."""
        with self._held:
            self._is_open = False
            if kind is None:
                self._commit()

    @property
    def covered(self) -> int | None:
        """Version of the last offer that was taken or committed; None when there was none. Offer what follows."""
        return self._covered

    @property
    def is_due(self) -> bool:
        """Whether rows wait and the last commit is long enough ago."""
        if not self._waiting:
            return False
        if self._flushed_at_s is None:
            return True
        return self._monotonic_s() - self._flushed_at_s >= self._lake.settings.flush_every_s

    def offer(self, rows: pa.Table, *, version: int) -> bool:
        """Take rows for the next commit.

        Args:
            rows: The rows; all offers between two commits have one schema.
            version: One more than the last offset that they cover.

        Returns:
            False if they, or later ones, were taken or committed before.

        Raises:
            AuthorError: Not inside the ``with`` block.
        """
        if not self._is_open:
            raise AuthorError("a flusher takes rows only inside its with block", where=f"table {self._table}")
        if self._covered is not None and version <= self._covered:
            return False
        self._waiting.append(rows)
        self._covered = version
        return True

    def flush(self) -> int | None:
        """Commit what waits if it is due.

        Returns:
            The version that holds the rows, or None when nothing was committed.

        Raises:
            SchemaError: The rows do not fit the table.
            BusyError: Another writer held the table for too long; the rows go on waiting.
            ConflictError: Writers outside Trunkline won every attempt; the rows go on waiting.
            UnavailableError: The store refused; the rows go on waiting.
        """
        return self._commit() if self.is_due else None

    def _commit(self) -> int | None:
        import pyarrow as pa

        if not self._waiting or self._covered is None:
            return None
        version = self._lake.append(
            self._table,
            pa.concat_tables(self._waiting),
            transaction=Transaction(self._app_id, self._covered),
            metadata=self._metadata,
        )
        self._waiting = []
        self._flushed_at_s = self._monotonic_s()
        return version
