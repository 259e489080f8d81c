"""What a driver's error means: whose fault it is, in our own words, without the URL, the SQL or a value.

A server's own words are shown only where they name tables and columns.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from trunkline.errors import SourceError, TrunklineError, UnavailableError
from trunkline.ingest.sources.sql.address import Address

__all__ = ["caught", "told"]

_LOGIN: Final = (
    "the database refused the login",
    "check user, password and database of the URL, or PGPASSWORD, MYSQL_PWD",
)
_NO_DATABASE: Final = ("there is no such database", "check the last part of the URL")
_NO_TABLE: Final = ("there is no such table", "check `table` or `query`; names are taken as they are stored")
_NO_COLUMN: Final = ("there is no such column", "check `cursor` or `query`; names are taken as they are stored")
_DENIED: Final = (
    "the user may not read that",
    "grant SELECT on it; change data capture also needs REPLICATION, see docs/sources.md",
)
_SYNTAX: Final = ("the query is no SELECT that this database understands", "try it in the database's own client")
_NO_FILE: Final = ("the file cannot be opened as a SQLite database", "check the path and the rights of the file")
_NO_HOST: Final = ("the name of the host is not known", "check the host of the URL and the name service")

_SHOWN: Final = frozenset((_NO_TABLE, _NO_COLUMN))

_SQLSTATES: Final = (  # PostgreSQL; the longest match counts
    ("28", _LOGIN),
    ("3D000", _NO_DATABASE),
    ("3F000", _NO_TABLE),
    ("42P01", _NO_TABLE),
    ("42703", _NO_COLUMN),
    ("42501", _DENIED),
    ("42", _SYNTAX),
    ("25006", _SYNTAX),  # it would write
)
_NUMBERS: Final = {  # MariaDB and MySQL
    1044: _LOGIN,
    1045: _LOGIN,
    1698: _LOGIN,
    1049: _NO_DATABASE,
    1146: _NO_TABLE,
    1109: _NO_TABLE,
    1054: _NO_COLUMN,
    1142: _DENIED,
    1143: _DENIED,
    1227: _DENIED,
    1064: _SYNTAX,
    1792: _SYNTAX,  # it would write
}
_WORLD_NUMBERS: Final = frozenset(
    (1040, 1053, 1152, 1158, 1159, 1160, 1161, 1203, 1205, 1213, 1226, 1927, 2002, 2003, 2006, 2013, 2014, 2055)
)
_TEXTS: Final = (  # where a driver gives no code: libpq before a login, and SQLite
    ("no such table", _NO_TABLE),
    ("no such column", _NO_COLUMN),
    ("syntax error", _SYNTAX),
    ("incomplete input", _SYNTAX),
    ("unable to open database file", _NO_FILE),
    ("file is not a database", _NO_FILE),
    ("readonly database", _SYNTAX),
    ("password authentication failed", _LOGIN),
    ("no password supplied", _LOGIN),
    ("no pg_hba.conf entry", _LOGIN),
    ("failed to resolve host", _NO_HOST),
    ("could not translate host name", _NO_HOST),
    ("name or service not known", _NO_HOST),
)
_NOT_THERE: Final = re.compile(r'(database|role) "[^"]*" does not exist')


@contextmanager
def told(address: Address, *, where: str = "") -> Iterator[None]:
    """Turn errors of SQLAlchemy and of drivers into the project's own.

    Args:
        address: The database.
        where: What was read of it.

    Raises:
        SourceError: The declaration, the query or the rights are wrong.
        UnavailableError: The server did not answer, or the connection was cut.
    """
    with caught(address, lambda error: _ours(error, f"{address.shown}{f', {where}' if where else ''}")):
        yield


@contextmanager
def caught(address: Address, ours: Callable[[BaseException], TrunklineError]) -> Iterator[None]:
    """Raise what an error of SQLAlchemy or of the driver of a database means, instead of it.

    Args:
        address: The database.
        ours: Says what the driver's own error means.
    """
    import sqlalchemy.exc

    known: tuple[type[Exception], ...] = (sqlalchemy.exc.SQLAlchemyError, *_driver_errors(address))
    try:
        yield
    except known as error:
        raise ours(getattr(error, "orig", None) or error) from None


def _driver_errors(address: Address) -> tuple[type[Exception], ...]:
    if address.database == "sqlite":
        import sqlite3

        return (sqlite3.Error,)
    if address.database == "mariadb":
        import pymysql

        return (pymysql.Error,)
    import psycopg

    return (psycopg.Error,)


def _ours(error: BaseException, where: str) -> TrunklineError:
    code, meaning, world = _meaning(error)
    suffix = f" ({code})" if code else ""
    if meaning is None:
        if world:
            return UnavailableError(
                f"the database did not answer, or cut the connection{suffix}",
                where=where,
                next_step="check host, port and server; what landed stays, the next pull goes on from there",
            )
        return SourceError(f"the database refused to read that{suffix}", where=where, next_step=_SYNTAX[1])
    what, next_step = meaning
    said = f": {_line(error)}" if meaning in _SHOWN else suffix
    if meaning == _NO_HOST:
        return UnavailableError(what, where=where, next_step=next_step)
    return SourceError(f"{what}{said}", where=where, next_step=next_step)


def _meaning(error: BaseException) -> tuple[str, tuple[str, str] | None, bool]:
    """Give the server's code, what it means (None: no fault of a declaration that is known), and whether to retry."""
    text = str(error).lower()
    state = getattr(error, "sqlstate", None)
    if isinstance(state, str) and not isinstance(error.args[0] if error.args else None, int):
        found = [meaning for start, meaning in _SQLSTATES if state.startswith(start)]
        exact = [meaning for start, meaning in _SQLSTATES if state == start]
        meant = next(iter(exact or found), None)
        return state, meant, state[:2] in {"08", "40", "53", "55", "57", "58", "XX"}
    number = error.args[0] if error.args and isinstance(error.args[0], int) else None
    if isinstance(number, int):
        if number in {2003, 2005} and any(
            part in text for part in ("getaddrinfo", "name or service", "name resolution", "errno -")
        ):
            return str(number), _NO_HOST, True
        return str(number), _NUMBERS.get(number), number in _WORLD_NUMBERS or number == 0
    for part, meaning in _TEXTS:
        if part in text:
            return "", meaning, False
    if _NOT_THERE.search(str(error)):
        return "", _NO_DATABASE if 'database "' in str(error) else _LOGIN, False
    kind = type(error).__name__
    return kind, None, kind in {"OperationalError", "InterfaceError", "InternalError"}


def _line(error: BaseException) -> str:
    """The server's words about a name: one bounded line."""
    diagnosis = getattr(getattr(error, "diag", None), "message_primary", None)
    text = str(diagnosis or (error.args[-1] if error.args else error))
    return " ".join(text.split())[:120]
