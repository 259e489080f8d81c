"""Table locks for a lake that several hosts write: advisory locks of one PostgreSQL server.

The server lets go of a lock when its connection ends, so a killed writer, or one whose host is lost, blocks nobody for
longer than the keep-alive finds out. Should a connection break while its holder still writes, Delta's own check of
commits keeps the table whole, and an application transaction that two writers race for may be committed by both: keep
lease server and writers on a network that you trust.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING

from trunkline.errors import BusyError, MissingExtraError, UnavailableError
from trunkline.settings import drills

if TYPE_CHECKING:
    import psycopg

_HOLDER = """
SELECT a.application_name || coalesce(' at ' || host(a.client_addr), '')
       || ' since ' || to_char(a.backend_start AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"+00:00"')
FROM pg_locks AS l JOIN pg_stat_activity AS a USING (pid)
WHERE l.locktype = 'advisory' AND l.granted
  AND (l.classid::bigint << 32) | l.objid::bigint = hashtextextended(%s, 0)
"""


class PostgresLeases:
    """Table locks as advisory locks in a PostgreSQL database; enough for any number of hosts.

    Args:
        url: ``postgresql://user:password@host/database``; the user needs no rights but to connect.
        scope: What keeps lakes on one server apart, e.g. the lake's URL.
        timeout_s: Longest wait for another writer, in seconds.
    """

    def __init__(self, url: str, *, scope: str, timeout_s: float) -> None:
        self._url = url
        self._scope = scope
        self._timeout_s = timeout_s

    @contextmanager
    def held(self, table: str) -> Iterator[None]:
        """Hold the table's lock for a ``with`` block.

        Raises:
            BusyError: Another writer held it all the time.
            UnavailableError: The server did not answer.
            MissingExtraError: ``psycopg`` is not installed.
        """
        try:
            import psycopg
        except ModuleNotFoundError:
            raise MissingExtraError("psycopg", extra="sql") from None

        name = f"trunkline {self._scope} {table}"
        me = f"{socket.gethostname()} process {os.getpid()}"
        try:
            connection = psycopg.connect(
                self._url,
                autocommit=True,
                application_name=me[:63],
                connect_timeout=10,
                keepalives_idle=5,
                keepalives_interval=5,
                keepalives_count=3,
            )
        except psycopg.OperationalError:  # its message may show the URL
            raise UnavailableError("the lease server did not answer", where="settings: lake.lease_url") from None
        with connection:
            self._take(connection, name, table)
            drills.point("lake.lock_taken")
            yield

    def alone(self, work: str) -> AbstractContextManager[None]:
        """Hold the lock of work that is done once; raises as :meth:`held`."""
        return self.held(work)

    def _take(self, connection: psycopg.Connection, name: str, table: str) -> None:
        """Take the lock for this session; it is let go with the connection's end."""
        import psycopg

        wait_ms = max(1, round(self._timeout_s * 1000))
        try:
            connection.execute("SELECT set_config('lock_timeout', %s, false)", (f"{wait_ms}ms",))
            connection.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", (name,))
        except psycopg.errors.LockNotAvailable:
            rows = connection.execute(_HOLDER, (name,)).fetchall()
            holder = str(rows[0][0]) if rows else "an unknown process"
            raise BusyError(
                f"somebody else holds the table {table}",
                holder=holder,
                where=f"lease server, held by {holder}",
                next_step="wait until it has ended, or end that process",
            ) from None
