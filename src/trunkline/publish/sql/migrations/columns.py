"""Types of the platform's columns on each database, as the migrations write them down for good."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sqlalchemy.types import TypeEngine

__all__ = ["instant", "long_text", "options", "text", "utc_day"]


def text(length: int) -> "TypeEngine[str]":
    """A text that may be part of a key.

    Args:
        length: Most characters.
    """
    import sqlalchemy as sa

    return sa.String(length)


def long_text() -> "TypeEngine[str]":
    """A text of any length."""
    import sqlalchemy as sa
    from sqlalchemy.dialects import mysql

    return sa.Text().with_variant(mysql.LONGTEXT(), "mysql", "mariadb")


def instant() -> "TypeEngine[Any]":
    """An instant in UTC, to the microsecond; in SQLite a text of fixed width."""
    import sqlalchemy as sa
    from sqlalchemy.dialects import mysql

    kept: TypeEngine[Any] = sa.DateTime(timezone=True)
    return kept.with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb").with_variant(sa.Text(), "sqlite")


def options() -> dict[str, str]:
    """Options of every table, as SQLAlchemy names them."""
    from trunkline.publish.sql.ways import ways

    return ways("mariadb").options


def utc_day(column: str, *, dialect: str) -> str:
    """Write the expression of an instant's day in UTC.

    Args:
        column: The column, as SQL.
        dialect: SQLAlchemy's name of the database.
    """
    return f"DATE({column} AT TIME ZONE 'UTC')" if dialect == "postgresql" else f"DATE({column})"
