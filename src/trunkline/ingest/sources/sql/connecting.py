"""A connection that reads: prepared so that the driver gives every value as the server writes it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from trunkline.ingest.sources.sql.address import Address
from trunkline.ingest.sources.sql.databases import database

if TYPE_CHECKING:
    from sqlalchemy import Connection, CursorResult, Engine

__all__ = ["left_early", "session"]

_CONNECT_S: Final = 10
_SILENT_S: Final = 3_600


@contextmanager
def session(address: Address) -> "Iterator[Connection]":
    """Open a connection that commits nothing by itself, and prepare it for reading texts."""
    engine = _engine(address)
    try:
        with engine.connect() as connection:
            if address.database == "postgresql":
                _take_texts(connection)
            for statement in database(address.database).session:
                connection.exec_driver_sql(statement)
            yield connection
    finally:
        engine.dispose()


@contextmanager
def left_early(connection: "Connection", result: "CursorResult[tuple[object, ...]]") -> Iterator[None]:
    """Close a result after a ``with`` block; one of MariaDB that is left early takes its connection with it.

    PyMySQL would first read all the rows that the server still has to send, or fail at it when the connection is cut.
    """
    cursor = result.cursor
    try:
        yield
    except BaseException:
        unread = getattr(cursor, "_result", None)
        if unread is not None and hasattr(unread, "unbuffered_active"):
            unread.unbuffered_active = False
            cursor.connection = None  # type: ignore[attr-defined]  # PyMySQL's own attribute
            if not connection.invalidated:
                connection.invalidate()
        raise
    finally:
        result.close()


def _engine(address: Address) -> "Engine":
    from sqlalchemy import create_engine
    from sqlalchemy.pool import NullPool

    arguments: dict[str, object] = {}
    if address.database == "postgresql":
        arguments = {"connect_timeout": _CONNECT_S, "client_encoding": "utf8", "keepalives_idle": 30}
    elif address.database == "mariadb":
        import pymysql.converters

        arguments = {
            "connect_timeout": _CONNECT_S,
            "read_timeout": _SILENT_S,
            "charset": "utf8mb4",
            "conv": pymysql.converters.encoders,  # no decoders: every value as the server writes it
        }
    elif address.database == "sqlite":
        arguments = {"timeout": _CONNECT_S, "detect_types": 0}
    return create_engine(
        address.url, poolclass=NullPool, connect_args=arguments, isolation_level="AUTOCOMMIT", hide_parameters=True
    )


def _take_texts(connection: "Connection") -> None:
    """Let psycopg give every value as the server writes it."""
    import psycopg
    from psycopg.types.string import TextLoader

    driver = connection.connection.driver_connection
    assert isinstance(driver, psycopg.Connection)
    driver.adapters.register_loader(0, TextLoader)
    for kind in psycopg.postgres.types:
        for oid in (kind.oid, kind.array_oid):
            if oid:
                driver.adapters.register_loader(oid, TextLoader)
