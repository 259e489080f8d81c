"""One object for all tables of a lake: read, append, replace, maintain, erase.

Takes a root, an engine, settings and a clock. Every read and write of a table in Trunkline goes through here, which is
why the rules of the lake hold: the log's schema is imposed on what is read, writers wait for each other, an append that
was done already is not done again.

Read downwards: ``opened`` says what a lake is opened with and holds its locks, ``changing`` brings rows in, replaces
and removes them, and ``keeping`` folds, cleans, retires and erases.
"""

from __future__ import annotations

from trunkline.lake import aging, erasure, maintenance
from trunkline.lake.tables.keeping import Lake, Upsert

__all__ = ["CRASH_POINTS", "Lake", "Upsert"]

CRASH_POINTS: tuple[str, ...] = (
    "lake.lock_taken",
    "lake.before_commit",
    "lake.after_commit",
    "lake.replace.before_commit",
    "lake.replace.after_commit",
    "lake.rewrite.before_commit",
    "lake.rewrite.after_commit",
    *maintenance.CRASH_POINTS,
    *aging.CRASH_POINTS,
    *erasure.CRASH_POINTS,
)
"""Points at which a fault drill may kill a process that uses the lake."""
