"""Types of the platform's columns on each database, as the migrations write them down for good."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sqlalchemy.types import TypeEngine

__all__ = ["instant", "long_text", "options", "text"]


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
