"""How the databases differ, as data: how a session begins, how a column becomes text, how a cursor is compared."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from trunkline.ingest.sources.sql.address import DatabaseName

__all__ = ["CursorKind", "Database", "ToText", "database"]

ToText = Callable[[Iterable[object]], Sequence[str | None]]
"""Turns the values of a column, as the driver gives them, into texts."""

CursorKind = Literal["integer", "number", "day", "instant", "text", "any"]
"""How a cursor is ordered; ``any`` where the database has no types of columns."""


@dataclass(frozen=True)
class Database:
    """One database's ways.

    Attributes:
        session: Statements at the beginning of a session, outside any transaction.
        begin: Statements that begin one read-only transaction in which all reads see the same rows.
        placeholder: How the driver writes a parameter.
        to_text: Turns a column into texts, by the driver's code of its type; None is a type without a text.
        cursor_kind: How a column is ordered, by the driver's code of its type; None is a type that cannot be a cursor.
        ordered: Writes the expression by which a cursor of a kind is compared exactly and in one order.
        bounded: Writes a condition that keeps out values after which nothing could ever come.
    """

    session: tuple[str, ...]
    begin: tuple[str, ...]
    placeholder: str
    to_text: Callable[[object], ToText]
    cursor_kind: Callable[[object], CursorKind | None]
    ordered: Callable[[str, CursorKind], str]
    bounded: Callable[[str, CursorKind], str]


def database(name: DatabaseName) -> Database:
    """Give a database's ways."""
    return _DATABASES[name]


# -- texts


def _as_is(values: Iterable[object]) -> list[str | None]:
    return [value if isinstance(value, str) else _text(value) for value in values]


def _text(value: object) -> str | None:
    """The text of a Python value, for SQLite, whose columns hold anything."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).hex()
    return float.__repr__(value) if isinstance(value, float) else str(value)


def _moments(suffix: str) -> ToText:
    """``2026-01-31 08:15:00+00`` as ``2026-01-31T08:15:00Z``; what is no such moment (infinity) stays as it is."""

    def texts(values: Iterable[object]) -> list[str | None]:
        return [None if value is None else _moment(str(value), suffix) for value in values]

    return texts


def _moment(text: str, suffix: str) -> str:
    head = text.removesuffix("+00").replace(" ", "T", 1)
    return head + suffix if head[-1:].isdigit() else text


def _truths(values: Iterable[object]) -> list[str | None]:
    return [None if value is None else "true" if value == "t" else "false" for value in values]


def _pg_bytes(values: Iterable[object]) -> list[str | None]:
    return [None if value is None else str(value).removeprefix("\\x") for value in values]


def _bits(values: Iterable[object]) -> list[str | None]:
    return [str(int.from_bytes(value, "big")) if isinstance(value, bytes) else _text(value) for value in values]


# -- PostgreSQL: every value comes as the server's text

_PG_TEXTS: Final[Mapping[object, ToText]] = {16: _truths, 17: _pg_bytes, 1114: _moments(""), 1184: _moments("Z")}
_PG_CURSORS: Final[Mapping[object, CursorKind]] = {
    **dict.fromkeys((20, 21, 23, 26), "integer"),
    **dict.fromkeys((700, 701, 1700), "number"),
    1082: "day",
    1114: "instant",
    1184: "instant",
    **dict.fromkeys((19, 25, 1042, 1043), "text"),
    2950: "any",
}


def _pg_bounded(column: str, kind: CursorKind) -> str:
    if kind in {"day", "instant"}:
        return f"{column} < '10000-01-01'"
    return f"{column} <> 'NaN'" if kind == "number" else ""


# -- MariaDB: every value comes as the server's text, or as bytes

_MARIADB_TEXTS: Final[Mapping[object, ToText]] = {7: _moments("Z"), 12: _moments(""), 16: _bits}
_MARIADB_CURSORS: Final[Mapping[object, CursorKind]] = {
    **dict.fromkeys((1, 2, 3, 8, 9, 13), "integer"),
    **dict.fromkeys((0, 5, 246), "number"),  # FLOAT is shown rounded: no cursor
    10: "day",
    **dict.fromkeys((7, 12), "instant"),
    **dict.fromkeys((15, 253, 254), "text"),
}


def _mariadb_bounded(column: str, kind: CursorKind) -> str:
    return f"{column} > '0001-01-01'" if kind in {"day", "instant"} else ""


_DATABASES: Final[Mapping[DatabaseName, Database]] = {
    "postgresql": Database(
        session=(
            "SET TimeZone = 'UTC'",
            "SET DateStyle = 'ISO, YMD'",
            "SET IntervalStyle = 'iso_8601'",
            "SET extra_float_digits = 1",
            "SET bytea_output = 'hex'",
            "SET idle_in_transaction_session_timeout = 0",  # a piece is taken in while the next one waits
            "SET statement_timeout = 0",
        ),
        begin=("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY",),
        placeholder="%s",
        to_text=lambda code: _PG_TEXTS.get(code, _as_is),
        cursor_kind=_PG_CURSORS.get,
        ordered=lambda column, kind: f'{column} COLLATE "C"' if kind == "text" else column,
        bounded=_pg_bounded,
    ),
    "mariadb": Database(
        session=(
            "SET SESSION time_zone = '+00:00'",
            "SET SESSION net_write_timeout = 86400",  # a piece is taken in while the next one waits (seconds)
            "SET SESSION wait_timeout = 86400",
            "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ",
        ),
        begin=("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY",),
        placeholder="%s",
        to_text=lambda code: _MARIADB_TEXTS.get(code, _as_is),
        cursor_kind=_MARIADB_CURSORS.get,
        ordered=lambda column, kind: f"BINARY CONVERT({column} USING utf8mb4)" if kind == "text" else column,
        bounded=_mariadb_bounded,
    ),
    "sqlite": Database(
        session=("PRAGMA query_only = 1",),
        begin=("BEGIN",),
        placeholder="?",
        to_text=lambda _: _as_is,
        cursor_kind=lambda _: "any",
        ordered=lambda column, _: f"{column} COLLATE BINARY",
        bounded=lambda _column, _kind: "",
    ),
}
