"""What a lake is opened with: its keys, clock, settings and locks, and the places where tables may be written.

A table is written under its lock only, and only at a place that is its own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path

from trunkline.engine import Engine
from trunkline.errors import AuthorError, InputError
from trunkline.lake import names
from trunkline.lake.keys import Keyring
from trunkline.lake.leases import PostgresLeases
from trunkline.lake.locks import FileLocks, TableLocks
from trunkline.lake.place import Place
from trunkline.lake.reading import LakeReader
from trunkline.settings.lake import LakeSettings

_LOCKS_FOLDER = ".locks"


class OpenLake(LakeReader):
    """A lake that can be written; see :class:`~trunkline.lake.Lake`."""

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

    def alone_with(self, table: str, work: str) -> AbstractContextManager[None]:
        """Keep whoever would do the same work for a table away for a ``with`` block, wherever the lake's writers are.

        Args:
            table: The table, which others go on writing.
            work: Names the work; what is named otherwise waits for nothing.

        Entering it raises ``BusyError`` where somebody else does it for longer than ``lock_timeout_s``.
        """
        return self._locks.alone(f"{table}.work-{hashlib.sha256(work.encode()).hexdigest()[:32]}")

    def _existing(self, table: str) -> Place:
        self._open(table, None)
        return self._place(table)

    def _writable(self, table: str) -> Place:
        """A place for a table that is not inside another one: vacuum takes every file below its folder."""
        place = self._place(table)
        if not place.exists():
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
