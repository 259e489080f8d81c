"""Databases as sinks: MariaDB, PostgreSQL and SQLite, by SQLAlchemy and Alembic."""

from trunkline.publish.sql.sink import CRASH_POINTS, SqlSink

__all__ = ["CRASH_POINTS", "SqlSink"]
