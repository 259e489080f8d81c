"""A PostgreSQL table is looked up and published: what its log has to tell is demanded before anything is read of it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from trunkline.errors import SourceError

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ["PublishedTable", "key_columns", "partition_bounds", "partition_files", "published", "shows"]

_KEY_COLUMNS: Final = (
    "SELECT a.attname FROM pg_class c JOIN pg_index i ON i.indrelid = c.oid"
    " JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = ANY (i.indkey)"
    " WHERE c.oid = {of} AND CASE c.relreplident WHEN 'i' THEN i.indisreplident ELSE i.indisprimary END"
)
_KEY: Final = _KEY_COLUMNS.format(of="%s::oid")
"""The fields by which the log names a row: those of the index that is its identity, or of the primary key."""
_NAMES_ROWS: Final = f"relreplident = 'f' OR relreplident <> 'n' AND EXISTS ({_KEY_COLUMNS.format(of='one.oid')})"
# every text of SQL below is made of constants, and of names that the server quoted
_TABLE: Final = f"SELECT oid, relkind, {_NAMES_ROWS} FROM pg_class one WHERE oid = %s::regclass"  # noqa: S608
_LEAVES: Final = "FROM pg_partition_tree(%s::oid::regclass) JOIN pg_class one ON one.oid = relid WHERE isleaf"
_PARTITIONS: Final = f"SELECT relid::text, relkind, relpersistence, {_NAMES_ROWS} {_LEAVES} ORDER BY 1"
_FILES: Final = f"SELECT one.oid, relfilenode {_LEAVES}"
_LISTED: Final = (
    "SELECT 1 FROM pg_publication_tables WHERE pubname = %s AND (schemaname, tablename) = "
    "(SELECT nspname, relname FROM pg_class one JOIN pg_namespace n ON n.oid = relnamespace WHERE one.oid = %s::oid)"
)
_BY_ROOT_SINCE: Final = 130_000
_MOST_NAMED: Final = 3
_XIDS: Final = 0xFFFF_FFFF


@dataclass(frozen=True)
class PublishedTable:
    """A table whose changes are published.

    Attributes:
        oid: Its number.
        is_partitioned: Whether its rows lie in partitions, whose changes come under its name.
    """

    oid: int
    is_partitioned: bool


def published(connection: "Connection", name: str, *, publication: str, quoted: str, where: str) -> PublishedTable:
    """Find a table, and publish it where it is not published yet.

    Args:
        connection: To the server.
        name: The table, quoted.
        publication: The publication.
        quoted: The same, quoted.
        where: The server and the table, for whoever reads an error.

    Raises:
        SourceError: The log would not name its rows, or the publication does not hold it, or not by its own name.
    """
    oid, kind, names_rows = connection.exec_driver_sql(_TABLE, (name,)).one()
    table = PublishedTable(int(oid), kind == "p")
    if table.is_partitioned:
        _demand_partitions(connection, table, name, where=where)
    elif names_rows != "t":  # once it is published, the server refuses to update and delete its rows
        raise SourceError(
            "the table has no key by which its log names rows",
            where=where,
            next_step=f"ALTER TABLE {name} ADD PRIMARY KEY (...), or ALTER TABLE {name} REPLICA IDENTITY FULL",
        )
    known = connection.exec_driver_sql("SELECT * FROM pg_publication WHERE pubname = %s", (publication,)).first()
    if known is None:
        by_root = " WITH (publish_via_partition_root = true)" if table.is_partitioned else ""
        connection.exec_driver_sql(f"CREATE PUBLICATION {quoted} FOR TABLE {name}{by_root}".replace("%", "%%"), ())
    elif table.is_partitioned and known.pubviaroot != "t":
        raise SourceError(
            f"the publication {publication!r} names changes by their partitions, and not by the table",
            where=where,
            next_step=f"ALTER PUBLICATION {quoted} SET (publish_via_partition_root = true); where others read it, too, "
            "declare another `publication`",
        )
    if connection.exec_driver_sql(_LISTED, (publication, oid)).first() is None:
        raise SourceError(
            f"the publication {publication!r} does not hold the table",
            where=where,
            next_step=f"ALTER PUBLICATION {quoted} ADD TABLE {name}",
        )
    return table


def key_columns(connection: "Connection", oid: int) -> frozenset[str]:
    """Name the columns by which the log names a row of a table."""
    return frozenset(str(row[0]) for row in connection.exec_driver_sql(_KEY, (str(oid),)))


def partition_files(connection: "Connection", table: PublishedTable) -> dict[int, int]:
    """Give the number of each partition that holds rows, with that of its file; none of a table without partitions."""
    if not table.is_partitioned:
        return {}
    return {int(oid): int(file) for oid, file in connection.exec_driver_sql(_FILES, (str(table.oid),))}


def partition_bounds(connection: "Connection", oid: int) -> str:
    """Give the condition that selects the rows of a partition from its table, which needs no right to the partition.

    The bounds let the server leave the other partitions out.
    """
    bounds = connection.exec_driver_sql("SELECT pg_get_partition_constraintdef(%s::oid)", (str(oid),)).scalar_one()
    return f"tableoid = {oid}" + (f" AND ({bounds})" if bounds else "")


def shows(snapshot: str, xids: Iterable[int]) -> bool:
    """Say whether a snapshot shows all of some transactions that were committed.

    Args:
        snapshot: As ``pg_current_snapshot()`` writes it: the first that is running, the first that is not assigned yet,
            those between them that are running.
        xids: Numbers of transactions, of 32 bits.

    >>> shows("748:752:748,750", [749, 751]), shows("748:752:748,750", [749, 750]), shows("748:752:", [752])
    (True, False, False)
    >>> shows("4294967290:4294967300:", [2, 4294967295]), shows("4294967290:4294967300:4294967298", [2])
    (True, False)
    """
    _, first_unassigned, running = snapshot.split(":")
    behind, unseen = int(first_unassigned), {int(xid) & _XIDS for xid in running.split(",") if xid}
    return all(xid not in unseen and (xid - behind) & _XIDS > _XIDS // 2 for xid in xids)


def _demand_partitions(connection: "Connection", table: PublishedTable, name: str, *, where: str) -> None:
    version = int(connection.exec_driver_sql("SHOW server_version_num").scalar_one())
    if version < _BY_ROOT_SINCE:
        raise SourceError(
            "changes of a table with partitions are published under its name from PostgreSQL 13 on",
            where=where,
            next_step="declare a source for each partition",
        )
    found = connection.exec_driver_sql(_PARTITIONS, (str(table.oid),)).all()
    unlogged = [one for one, kind, persistence, _ in found if kind == "f" or persistence != "p"]
    if unlogged:
        raise SourceError(
            f"the partition {unlogged[0]} is a foreign or an unlogged table, whose changes the log does not hold",
            where=where,
            next_step=f"ALTER TABLE {unlogged[0]} SET LOGGED, or ALTER TABLE {name} DETACH PARTITION {unlogged[0]}",
        )
    nameless = [one for one, _, _, names_rows in found if names_rows != "t"]
    if nameless:
        key = f"ALTER TABLE {name} ADD PRIMARY KEY (...), which all partitions get"
        raise SourceError(
            f"{len(nameless)} of {len(found)} partitions have no key by which the log names rows",
            where=where,
            next_step=f"{key}, or {_whole(nameless, name)}",
        )


def _whole(partitions: Sequence[str], name: str) -> str:
    """Give the SQL that lets the log hold whole rows of partitions."""
    if len(partitions) <= _MOST_NAMED:
        return "; ".join(f"ALTER TABLE {one} REPLICA IDENTITY FULL" for one in partitions)
    every = "SELECT relid FROM pg_partition_tree('" + name.replace("'", "''") + "') WHERE isleaf"  # noqa: S608
    each = "EXECUTE format('ALTER TABLE %s REPLICA IDENTITY FULL', one)"
    return f"DO $$ DECLARE one regclass; BEGIN FOR one IN {every} LOOP {each}; END LOOP; END $$"
