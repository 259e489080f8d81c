"""What a driver's error means while rows are written: whose fault it is, in our own words, without SQL or values."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from trunkline.errors import InputError, TrunklineError, UnavailableError
from trunkline.ingest.sources.sql.faults import caught
from trunkline.publish.sql.address import Address

__all__ = ["told"]

_AGAIN: Final = "nothing is lost: the next delivery brings what is owed once the database answers"
_LOGIN: Final = (
    "the database refused the login",
    "check user and password of the sink's URL, or MYSQL_PWD, PGPASSWORD",
)
_NO_DATABASE: Final = ("there is no such database", "make it, or check the last part of the sink's URL")
_DENIED: Final = (
    "the user may not write there",
    "grant SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, DROP, INDEX and CREATE VIEW on the database",
)
_GONE: Final = ("a table was dropped meanwhile", "publish once more: it is made and filled again")
_UNFIT: Final = (
    "the database's table cannot hold a value that the contract allows",
    "drop or rename the table there, it is filled again; or set another `prefix`",
)
_FILE: Final = ("the file cannot be written as a SQLite database", "check the path and the rights of the file")
_MYSQL: Final = ("the server is MySQL, to which nothing is published", "name one of MariaDB or of PostgreSQL")
_FULL: Final = "the database's disk is full"

_STATES: Final = (  # PostgreSQL; the first that fits counts
    ("28", _LOGIN),
    ("3D000", _NO_DATABASE),
    ("42501", _DENIED),
    ("42P01", _GONE),
    ("22", _UNFIT),
    ("23", _UNFIT),
)
_NUMBERS: Final = {  # MariaDB and MySQL
    **dict.fromkeys((1045, 1698), _LOGIN),
    1049: _NO_DATABASE,
    **dict.fromkeys((1044, 1142, 1143, 1227, 1370), _DENIED),
    **dict.fromkeys((1051, 1146), _GONE),
    **dict.fromkeys((1048, 1062, 1264, 1265, 1292, 1366, 1406, 1071, 1118), _UNFIT),
}
_FULL_NUMBERS: Final = frozenset((3, 1021, 1026, 1030, 1041, 1114))
_WORLD_NUMBERS: Final = frozenset(
    (
        *(0, 1040, 1053, 1152, 1158, 1159, 1160, 1161, 1180, 1203, 1205, 1213, 1226, 1290, 1836, 1927),
        *(2002, 2003, 2005, 2006, 2013, 2014, 2055),
    )
)
_TEXTS: Final = (  # where a driver gives no code: libpq before a login, SQLite, and SQLAlchemy
    ("no such table", _GONE),
    ("unable to open database file", _FILE),
    ("file is not a database", _FILE),
    ("readonly database", _FILE),
    ("constraint failed", _UNFIT),
    ("password authentication failed", _LOGIN),
    ("no password supplied", _LOGIN),
    ("no pg_hba.conf entry", _LOGIN),
    ("does not exist", _NO_DATABASE),
    ("is not a mariadb variant", _MYSQL),
)


@contextmanager
def told(address: Address, *, where: str = "") -> Iterator[None]:
    """Turn errors of SQLAlchemy and of drivers into the project's own.

    Args:
        address: The database.
        where: The table.

    Raises:
        InputError: Login, rights, database or table are wrong.
        UnavailableError: The server did not answer, the connection was cut, or the disk is full.
    """
    with caught(address, lambda error: _ours(error, f"{address.shown}{f', table {where}' if where else ''}")):
        yield


def _ours(error: BaseException, where: str) -> TrunklineError:
    code, meaning, full, world = _meaning(error)
    said = f" ({code})" if code else ""
    if full:
        return UnavailableError(f"{_FULL}{said}", where=where, next_step=f"make room there; {_AGAIN}")
    if meaning is not None:
        what, next_step = meaning
        return InputError(f"{what}{said}", where=where, next_step=next_step)
    if world:
        return UnavailableError(
            f"the database did not answer, or cut the connection{said}", where=where, next_step=_AGAIN
        )
    return InputError(
        f"the database refused to write that{said}", where=where, next_step="see the database's own log for why"
    )


def _meaning(error: BaseException) -> tuple[str, tuple[str, str] | None, bool, bool]:
    """Give the server's code, what it means, whether its disk is full, and whether to try again."""
    text = str(error).lower()
    number = error.args[0] if error.args and isinstance(error.args[0], int) else None
    state = getattr(error, "sqlstate", None)
    if isinstance(number, int):
        full = number in _FULL_NUMBERS and (number not in (3, 1026, 1030) or "28" in text or "space" in text)
        return str(number), None if full else _NUMBERS.get(number), full, number in _WORLD_NUMBERS
    if isinstance(state, str):
        found = next((meaning for start, meaning in _STATES if state.startswith(start)), None)
        return state, found, state in ("53100", "58030"), state[:2] in {"08", "40", "53", "55", "57", "58", "XX"}
    if "disk is full" in text or "no space left" in text:
        return "", None, True, True
    found = next((meaning for part, meaning in _TEXTS if part in text), None)
    return "", found, False, type(error).__name__ in {"OperationalError", "InterfaceError", "InternalError"}
