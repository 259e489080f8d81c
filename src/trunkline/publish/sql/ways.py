"""How the databases differ, as data: types of columns, how a session begins, and how values are handed over."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any, Final

from trunkline.contracts.kinds import KindName
from trunkline.ingest.sources.sql.address import DatabaseName
from trunkline.publish.protocol import TargetColumn

if TYPE_CHECKING:
    from sqlalchemy.types import TypeEngine

__all__ = ["LONGEST_NAME", "Ways", "ways"]

LONGEST_NAME: Final = 63
"""Characters of a table's name that all databases take."""

_SHORT_TEXT: Final = 64
_KEY_CHARACTERS: Final = 768  # InnoDB's 3,072 bytes of a key, by 4 bytes a character


@dataclass(frozen=True)
class Ways:
    """One database's ways.

    Attributes:
        session: Statements at the beginning of a session.
        swaps: Whether a table is filled beside the old one and takes its name, because a transaction holds no table
            being made; else all happens in one transaction.
        instant: Turns an instant into what the driver takes.
        options: Options of the tables that are made, as SQLAlchemy names them.
    """

    session: tuple[str, ...]
    swaps: bool
    instant: Callable[[datetime], object]
    options: dict[str, str]


def ways(name: DatabaseName) -> Ways:
    """Give a database's ways."""
    return _WAYS[name]


def column_type(name: DatabaseName, column: TargetColumn, *, key: Sequence[str]) -> "TypeEngine[Any]":
    """Give the type of a column.

    Args:
        name: The database.
        column: The column.
        key: The key of its table: of texts in it MariaDB wants to know how long they can be.
    """
    import sqlalchemy as sa
    from sqlalchemy.dialects import mysql

    plain: dict[KindName, TypeEngine[Any]] = {
        "integer": sa.BigInteger(),
        "number": sa.Double(),
        "flag": sa.Boolean(),
        "day": sa.Date(),
        "instant": sa.DateTime(timezone=True),
    }
    if name == "sqlite" and column.kind in ("instant", "day"):
        return sa.Text()
    if name == "mariadb" and column.kind == "instant":
        return mysql.DATETIME(fsp=6)
    if column.kind in plain:
        return plain[column.kind]
    if name != "mariadb":
        return sa.Text()
    if column.name in key:
        return sa.String(min(column.max_length or _KEY_CHARACTERS, _KEY_CHARACTERS // len(key)))
    if column.max_length is not None and column.max_length <= _SHORT_TEXT:
        return sa.String(column.max_length)
    return mysql.LONGTEXT()


def _naive(instant: datetime) -> datetime:
    return instant.astimezone(UTC).replace(tzinfo=None)


def _written(instant: datetime) -> str:
    """Fixed width, so that texts sort as instants do: ``2026-11-22 10:15:00.000000``, in UTC."""
    return _naive(instant).isoformat(sep=" ", timespec="microseconds")


def value_of(name: DatabaseName, kind: KindName) -> Callable[[object], object] | None:
    """Give what turns a value into one that the driver takes; None where it takes all as they are."""
    if kind == "instant":
        to = _WAYS[name].instant
        return lambda value: to(value) if isinstance(value, datetime) else value
    if kind == "day" and name == "sqlite":
        return lambda value: value.isoformat() if isinstance(value, date) else value
    if kind == "flag" and name == "sqlite":
        return lambda value: int(value) if isinstance(value, bool) else value
    return None


_WAYS: Final[dict[DatabaseName, Ways]] = {
    "mariadb": Ways(
        session=(
            "SET SESSION time_zone = '+00:00'",
            "SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ZERO_DATE,NO_ZERO_IN_DATE,ERROR_FOR_DIVISION_BY_ZERO'",
            "SET SESSION lock_wait_timeout = 30",  # a reader that never ends must not hold a refresh up for ever (s)
        ),
        swaps=True,
        instant=_naive,
        # texts are equal where their characters are, trailing spaces included, as in the lake
        options={"mariadb_engine": "InnoDB", "mariadb_charset": "utf8mb4", "mariadb_collate": "utf8mb4_nopad_bin"},
    ),
    "postgresql": Ways(
        session=("SET TimeZone = 'UTC'", "SET lock_timeout = '30s'"),
        swaps=False,
        instant=lambda instant: instant,
        options={},
    ),
    "sqlite": Ways(session=("PRAGMA busy_timeout = 30000",), swaps=False, instant=_written, options={}),
}
