"""Rows on their way into a table: as the driver takes them fastest, piece by piece, in the caller's transaction."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from trunkline.ingest.sources.sql.address import DatabaseName
from trunkline.publish.protocol import Delivery, Rows
from trunkline.publish.sql.ways import value_of
from trunkline.settings.drills import point

if TYPE_CHECKING:
    import pyarrow as pa
    from sqlalchemy import Connection, Table

__all__ = ["insert", "staged"]

_BESIDE: Final = "trunkline_rows"


def staged(connection: "Connection", table: "Table", rows: Rows, *, database: DatabaseName) -> int:
    """Fill a table that nobody reads yet, with a commit per piece.

    Args:
        connection: To the database.
        table: The table, empty.
        rows: Its rows.
        database: Which database it is.

    Returns:
        How many there were.
    """
    count = 0
    for batch in rows():
        _add(connection, table, batch, database=database)
        connection.commit()
        count += batch.num_rows
        point("publish.sql.half")
    return count


def insert(connection: "Connection", delivery: Delivery, table: "Table", rows: Rows, *, database: DatabaseName) -> int:
    """Add rows to a table; by key where the target has one, the newer takes the older one's place.

    Args:
        connection: In a transaction.
        delivery: What the rows are.
        table: The table.
        rows: Its rows.
        database: Which database it is.

    Returns:
        How many there were.
    """
    by_key = delivery.target.key if delivery.target.mode == "upsert" and not delivery.whole else ()
    count = 0
    for batch in rows():
        if by_key and database == "postgresql":
            _merge(connection, table, batch, key=by_key)
        else:
            _add(connection, table, batch, database=database, key=by_key)
        count += batch.num_rows
        point("publish.sql.half")
    return count


def _add(
    connection: "Connection",
    table: "Table",
    batch: "pa.RecordBatch",
    *,
    database: DatabaseName,
    key: Sequence[str] = (),
) -> None:
    if database == "postgresql":
        _copy(connection, table, batch, name=_quoted(connection, table.name))
        return
    names = [_quoted(connection, column.name) for column in table.columns]
    mark = "%s" if database == "mariadb" else "?"
    statement = (
        f"INSERT INTO {_quoted(connection, table.name)} ({', '.join(names).replace('%', '%%')})"  # noqa: S608 - quoted
        f" VALUES ({', '.join([mark] * len(names))})"
    )
    if key:
        statement += _or_update(connection, table, key, database=database)
    values = list(_values(batch, table, database))
    if values:
        connection.exec_driver_sql(statement, values)


def _or_update(connection: "Connection", table: "Table", key: Sequence[str], *, database: DatabaseName) -> str:
    others = [_quoted(connection, column.name) for column in table.columns if column.name not in key]
    if database == "mariadb":
        if not others:
            own = _quoted(connection, key[0])
            return f" ON DUPLICATE KEY UPDATE {own} = {own}"
        return " ON DUPLICATE KEY UPDATE " + ", ".join(f"{name} = VALUES({name})" for name in others)
    named = ", ".join(_quoted(connection, name) for name in key)
    if not others:
        return f" ON CONFLICT ({named}) DO NOTHING"
    return f" ON CONFLICT ({named}) DO UPDATE SET " + ", ".join(f"{name} = excluded.{name}" for name in others)


def _merge(connection: "Connection", table: "Table", batch: "pa.RecordBatch", *, key: Sequence[str]) -> None:
    """Bring rows beside the table, and over in one statement: COPY alone knows no keys."""
    name = _quoted(connection, table.name)
    columns = ", ".join(_quoted(connection, column.name) for column in table.columns)
    connection.exec_driver_sql(
        f"CREATE TEMPORARY TABLE {_BESIDE} ON COMMIT DROP AS SELECT {columns} FROM {name} WITH NO DATA"  # noqa: S608
    )
    _copy(connection, table, batch, name=_BESIDE)
    connection.exec_driver_sql(
        f"INSERT INTO {name} ({columns}) SELECT {columns} FROM {_BESIDE}"  # noqa: S608 - quoted names
        + _or_update(connection, table, key, database="postgresql")
    )
    connection.exec_driver_sql(f"DROP TABLE {_BESIDE}")


def _copy(connection: "Connection", table: "Table", batch: "pa.RecordBatch", *, name: str) -> None:
    import psycopg

    driver = connection.connection.driver_connection
    assert isinstance(driver, psycopg.Connection)
    columns = ", ".join(_quoted(connection, column.name) for column in table.columns)
    with driver.cursor() as cursor, cursor.copy(f"COPY {name} ({columns}) FROM STDIN") as stream:
        for row in _values(batch, table, "postgresql"):
            stream.write_row(row)


def _values(batch: "pa.RecordBatch", table: "Table", database: DatabaseName) -> Iterator[tuple[object, ...]]:
    """Give rows in the order of the table's columns."""
    columns = []
    for column in table.columns:
        values = _finite(batch.column(column.name)).to_pylist()
        change = value_of(database, _kind(batch.schema.field(column.name).type))
        columns.append(values if change is None else [change(value) for value in values])
    return zip(*columns, strict=True)


def _kind(kind: "pa.DataType") -> "KindName":
    import pyarrow as pa

    if pa.types.is_timestamp(kind):
        return "instant"
    if pa.types.is_date(kind):
        return "day"
    return "flag" if pa.types.is_boolean(kind) else "text"


def _finite(values: "pa.Array") -> "pa.Array":
    """Turn what is no number into null: not every database has it."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not pa.types.is_floating(values.type):
        return values
    return pc.if_else(pc.is_finite(values), values, pa.scalar(None, values.type))


def _quoted(connection: "Connection", name: str) -> str:
    return connection.dialect.identifier_preparer.quote_identifier(name)


if TYPE_CHECKING:
    from trunkline.contracts.kinds import KindName
