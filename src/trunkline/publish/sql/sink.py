"""A database as a sink: rows and the note of their delivery become visible in one moment, or not at all.

PostgreSQL and SQLite do everything in one transaction. MariaDB ends a transaction at each CREATE TABLE, so a table that
is replaced is filled beside the old one, carries the batch in its comment, and takes the old one's name by one RENAME,
which is atomic; whoever comes next reads the comment, should the process have died before it noted the delivery.
"""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING, Final

from trunkline.errors import UnavailableError
from trunkline.publish.protocol import Capabilities, Delivery, Latest, Rows, Target
from trunkline.publish.sql import migrations, tables
from trunkline.publish.sql.address import Address, writable_address
from trunkline.publish.sql.faults import told
from trunkline.publish.sql.inserting import insert, staged
from trunkline.publish.sql.owners import Owners
from trunkline.publish.sql.ways import ways
from trunkline.settings.drills import point

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

__all__ = ["CRASH_POINTS", "SqlSink"]

CRASH_POINTS: Final = (
    "publish.sql.begun",
    "publish.sql.half",
    "publish.sql.before_commit",
    "publish.sql.after_commit",
    "publish.sql.before_swap",
    "publish.sql.after_swap",
)
"""Points at which a drill kills the publishing process, or the database."""

_CONNECT_S: Final = 10
_LOCK_S: Final = 30


class SqlSink:
    """A database that rows are published to; see :class:`~trunkline.publish.protocol.Sink`.

    Args:
        url: MariaDB, PostgreSQL or SQLite, with its credentials.
        prefix: Begins the names of the platform's own tables there.
        timeout_s: Longest wait for an answer (seconds).
    """

    def __init__(self, url: str, *, prefix: str = "", timeout_s: float = 30.0) -> None:
        self._address: Address = writable_address(url)
        self._prefix = prefix
        self._ways = ways(self._address.database)
        self._engine = _engine(self._address, timeout_s)
        self._owners = Owners(prefix=prefix, comments=self._ways.swaps, shown=self.shown)
        self._is_migrated = False

    @property
    def capabilities(self) -> Capabilities:
        """In what this sink differs from others."""
        return Capabilities(
            name=self._address.database,
            modes=frozenset(("append", "upsert", "replace")),
            remembers=True,
            views=True,
            keeps=True,
            shares=True,
        )

    @property
    def shown(self) -> str:
        """Its address without the password."""
        return self._address.shown

    def check(self) -> None:
        """Log in, and look at the version of the platform's tables; nothing is written.

        Raises:
            InputError: The login is wrong, or a newer Trunkline made the tables.
            UnavailableError: The server did not answer.
        """
        if self._address.database == "sqlite" and not _file(self._address).exists():
            return
        with told(self._address), self._engine.connect() as connection:
            migrations.refuse_newer(connection, prefix=self._prefix, shown=self.shown)

    def held(self, target: Target) -> str | None:
        """Say which batch a table holds; None where it is not there, or has other columns."""
        with self._session(target.name) as connection:
            return self._held(connection, target)

    def deliver(self, delivery: Delivery, rows: Rows) -> int:
        """Bring rows into a table.

        Raises:
            InputError: Rights or types are wrong, or somebody else's table has that name.
            UnavailableError: The database did not answer, or its disk is full.
        """
        target = delivery.target
        with self._session(target.name) as connection, self._alone(connection, f"{self._prefix}|{target.name}"):
            if self._held(connection, target) == delivery.batch_id:  # asked where nobody else delivers meanwhile
                return 0
            point("publish.sql.begun")
            self._owners.refuse_foreign(connection, target)
            if self._ways.swaps and delivery.whole and not target.shared:
                count = self._swapped(connection, delivery, rows)
            else:
                count = self._in_one_transaction(connection, delivery, rows)
            point("publish.sql.before_commit")
            connection.commit()
            point("publish.sql.after_commit")
        return count

    def would(self, delivery: Delivery) -> tuple[str, ...]:
        """Say which statements :meth:`deliver` would send."""
        from sqlalchemy.schema import CreateTable

        target = delivery.target
        table = tables.declared(target, database=self._address.database)
        made = str(CreateTable(table, if_not_exists=True).compile(self._engine)).strip()
        how = {"append": "INSERT", "upsert": "INSERT, or UPDATE by key", "replace": "put in the place of all rows"}
        return (" ".join(made.split()), f"{how['replace' if delivery.whole else target.mode]}: {target.name}")

    def show(self, latest: Latest) -> None:
        """Make a view of the newest dated table."""
        quoted = self._engine.dialect.identifier_preparer.quote_identifier
        columns = ", ".join(quoted(name) for name in latest.target.names)
        query = f"SELECT {columns} FROM {quoted(latest.target.name)}"  # noqa: S608 - names of ours, quoted
        name = quoted(latest.name)
        with self._session(latest.name) as connection:
            self._owners.refuse_no_view(connection, latest)
            if self._address.database == "mariadb":  # one statement, atomic
                connection.exec_driver_sql(f"CREATE OR REPLACE VIEW {name} AS {query}")
            else:
                connection.exec_driver_sql(f"DROP VIEW IF EXISTS {name}")
                connection.exec_driver_sql(f"CREATE VIEW {name} AS {query}")
            connection.commit()

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()

    # -- inside

    @contextmanager
    def _session(self, where: str = "") -> "Iterator[Connection]":
        """Open a transaction; the first time, the platform's tables are brought to the newest version."""
        with told(self._address, where=where), self._engine.connect() as connection:
            try:
                self._prepare(connection)
                yield connection
            except BaseException:
                connection.invalidate()  # closed as it is: the server rolls back, and one that is down is not asked to
                raise

    def _prepare(self, connection: "Connection") -> None:
        is_sqlite = self._address.database == "sqlite"
        for statement in self._ways.session:
            connection.exec_driver_sql(statement)
        if is_sqlite:
            connection.exec_driver_sql("BEGIN IMMEDIATE")  # the driver begins too late for CREATE TABLE
        else:
            connection.commit()
        if self._is_migrated:
            return
        with self._alone(connection, f"{self._prefix}trunkline"):
            migrations.migrate(connection, prefix=self._prefix, shown=self.shown)
            connection.commit()
        if is_sqlite:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        self._is_migrated = True

    @contextmanager
    def _alone(self, connection: "Connection", what: str) -> Iterator[None]:
        """Hold a lock of the database: of PostgreSQL until the transaction ends; a file of SQLite is locked already.

        Raises:
            UnavailableError: Somebody else holds it for long.
        """
        name = f"trunkline-{hashlib.sha256(what.encode()).hexdigest()[:32]}"
        if self._address.database == "mariadb":
            if connection.exec_driver_sql(f"SELECT GET_LOCK('{name}', {_LOCK_S})").scalar() != 1:
                raise UnavailableError(
                    "another process writes there", where=self.shown, next_step="the next delivery tries it again"
                )
            connection.commit()  # what is read from here on is of now
            yield
            connection.exec_driver_sql(f"SELECT RELEASE_LOCK('{name}')")
            connection.commit()
            return
        if self._address.database == "postgresql":
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock(hashtext('{name}'))")
        yield

    def _held(self, connection: "Connection", target: Target) -> str | None:
        import sqlalchemy as sa

        self._recover(connection, target)
        if not tables.exists(connection, target.name):
            return None
        listed, _ = tables.ledger(self._prefix)
        found = connection.execute(
            sa.select(listed.c.batch_id).where(
                listed.c.name == target.name,
                listed.c.usecase == target.usecase,
                listed.c.fingerprint == target.fingerprint,
            )
        ).scalar()
        return None if found is None else str(found)

    def _in_one_transaction(self, connection: "Connection", delivery: Delivery, rows: Rows) -> int:
        """Add rows, or put them in the place of all, together with the note of it."""
        import sqlalchemy as sa

        target, database = delivery.target, self._address.database
        table = tables.declared(target, database=database, batch_id=delivery.batch_id)
        if not target.shared:
            is_there = tables.exists(connection, target.name)
            if is_there and delivery.whole and not self._is_as_declared(connection, target):
                connection.execute(sa.schema.DropTable(table))
                is_there = False
            if is_there:
                tables.widened(connection, table)
                tables.refuse_unfit(connection, table, shown=self.shown)
            else:
                tables.made(connection, table)
        if delivery.whole:
            gone = sa.delete(table)
            if target.shared:
                gone = gone.where(table.c.usecase == target.usecase)
            connection.execute(gone)
        count = insert(connection, delivery, table, rows, database=database)
        self._note(connection, delivery, count)
        return count

    def _is_as_declared(self, connection: "Connection", target: Target) -> bool:
        import sqlalchemy as sa

        listed, _ = tables.ledger(self._prefix)
        found = connection.execute(sa.select(listed.c.fingerprint).where(listed.c.name == target.name)).scalar()
        return found == target.fingerprint

    def _swapped(self, connection: "Connection", delivery: Delivery, rows: Rows) -> int:
        """Fill a table beside the old one, and give it the old one's name in one moment."""
        import sqlalchemy as sa

        target, database = delivery.target, self._address.database
        quoted = self._engine.dialect.identifier_preparer.quote_identifier
        new, old = f"{target.name}__n", f"{target.name}__o"  # names may have 64 characters, and 61 may be taken
        table = tables.declared(target, database=database, name=new, batch_id=delivery.batch_id)
        for name in (new, old):
            self._owners.refuse_unmade(connection, name)
            connection.exec_driver_sql(f"DROP TABLE IF EXISTS {quoted(name)}")
        tables.made(connection, table)
        count = staged(connection, table, rows, database=database)
        connection.commit()
        point("publish.sql.before_swap")
        if sa.inspect(connection).has_table(target.name):
            named = f"{quoted(target.name)} TO {quoted(old)}, {quoted(new)} TO {quoted(target.name)}"
        else:
            named = f"{quoted(new)} TO {quoted(target.name)}"
        connection.exec_driver_sql(f"RENAME TABLE {named}")
        point("publish.sql.after_swap")
        connection.exec_driver_sql(f"DROP TABLE IF EXISTS {quoted(old)}")
        self._note(connection, delivery, count)
        return count

    def _recover(self, connection: "Connection", target: Target) -> None:
        """Take note of a swap after which the process died."""
        import sqlalchemy as sa

        if not self._ways.swaps or target.shared or not tables.exists(connection, target.name):
            return
        noted = tables.noted(connection, target.name)
        if noted is None:
            return
        batch_id, fingerprint = noted
        listed, deliveries = tables.ledger(self._prefix)
        known = connection.execute(
            sa.select(sa.func.count())
            .select_from(deliveries)
            .where(deliveries.c.name == target.name, deliveries.c.batch_id == batch_id)
        ).scalar()
        if known:
            return
        # filled whole before it was renamed: what is missing is the note alone
        connection.execute(sa.delete(listed).where(listed.c.name == target.name))
        connection.execute(
            sa.insert(listed).values(
                name=target.name,
                usecase=target.usecase,
                fingerprint=fingerprint,
                batch_id=batch_id,
                published_at=sa.func.utc_timestamp(6),
            )
        )
        connection.commit()

    def _note(self, connection: "Connection", delivery: Delivery, count: int) -> None:
        import sqlalchemy as sa

        target = delivery.target
        listed, deliveries = tables.ledger(self._prefix)
        at = self._ways.instant(delivery.made_at.astimezone(UTC))
        connection.execute(sa.delete(listed).where(listed.c.name == target.name, listed.c.usecase == target.usecase))
        connection.execute(
            sa.insert(listed).values(
                name=target.name,
                usecase=target.usecase,
                fingerprint=target.fingerprint,
                batch_id=delivery.batch_id,
                published_at=at,
            )
        )
        named = (deliveries.c.batch_id == delivery.batch_id, deliveries.c.name == target.name)
        connection.execute(sa.delete(deliveries).where(*named))  # a dropped table is filled again by the same batch
        connection.execute(
            sa.insert(deliveries).values(
                batch_id=delivery.batch_id,
                name=target.name,
                usecase=target.usecase,
                run_id=delivery.run_id,
                source=json.dumps(dict(delivery.source), sort_keys=True),
                row_count=count,
                is_whole=delivery.whole,
                published_at=at,
            )
        )


def _file(address: Address) -> Path:
    return Path(address.shown.removeprefix("sqlite:///"))


def _engine(address: Address, timeout_s: float) -> "Engine":
    from sqlalchemy import create_engine
    from sqlalchemy.pool import NullPool

    arguments: dict[str, object] = {}
    if address.database == "postgresql":
        arguments = {"connect_timeout": _CONNECT_S, "client_encoding": "utf8", "keepalives_idle": 30}
        arguments["options"] = f"-c statement_timeout={round(timeout_s * 20_000)}"
    elif address.database == "mariadb":
        arguments = {"connect_timeout": _CONNECT_S, "charset": "utf8mb4"}
        arguments |= {"read_timeout": timeout_s * 20, "write_timeout": timeout_s * 20}
    elif address.database == "sqlite":
        arguments = {"timeout": _CONNECT_S, "isolation_level": None}
    return create_engine(address.url, poolclass=NullPool, connect_args=arguments, hide_parameters=True)
