"""Rows that are past their time: which they are, and how they leave a table.

The same condition is said twice, to the engine that counts and archives, and to Delta that deletes: the first of some
columns that is not null lies before an instant. Every function works on one table whose lock the caller holds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from trunkline.lake import delta, writing
from trunkline.lake.log import Commit
from trunkline.lake.place import Place
from trunkline.lake.writing import Transaction
from trunkline.settings import drills

if TYPE_CHECKING:
    import ibis.expr.types as ir

CRASH_POINTS: tuple[str, ...] = ("lake.retire.before_commit", "lake.retire.after_commit")

_INSTANT = 'Timestamp(Microsecond, Some("UTC"))'


_BEFORE = "retired_before"
_BY = "retired_by"


@dataclass(frozen=True)
class Retirement:
    """Rows past their time that left a table, by one commit.

    Attributes:
        columns: What their age was counted from; the first that is not null.
        before: They were from earlier than this; UTC.
    """

    columns: tuple[str, ...]
    before: datetime


def retirements(commits: Iterable[Commit], *, since: int, until: int) -> list[Retirement]:
    """Read off commits which rows past their time they took out.

    Args:
        commits: Commits of one table, in any order.
        since: Only commits after this version.
        until: Only commits up to this version.
    """
    return [
        Retirement(tuple(commit.metadata[_BY].split(",")), datetime.fromisoformat(commit.metadata[_BEFORE]))
        for commit in commits
        if since < commit.version <= until and _BEFORE in commit.metadata and _BY in commit.metadata
    ]


def aged(rows: ir.Table, columns: Sequence[str], before: datetime) -> ir.BooleanValue:
    """Say which rows are past their time.

    Args:
        rows: The table's rows.
        columns: Instants or days; the first that is not null counts. A row where all are null never ages.
        before: Rows from earlier are past their time; UTC.
    """
    import ibis

    instants = [rows[name].cast("timestamp('UTC', 6)") for name in columns]
    return ibis.coalesce(*instants) < ibis.literal(before.astimezone(UTC), type="timestamp('UTC', 6)")


def remove_aged(
    place: Place, columns: Sequence[str], before: datetime, *, transaction: Transaction, metadata: Mapping[str, str]
) -> int:
    """Take the rows that are past their time out of the newest version, in one commit; older versions keep them.

    Args:
        place: The table.
        columns: As in :func:`aged`.
        before: As in :func:`aged`.
        transaction: Noted in the commit: which removal it was.
        metadata: Noted in the commit.

    Returns:
        How many rows went.

    Raises:
        ConflictError: A writer outside Trunkline won.
        UnavailableError: The store refused.
    """
    instants = ", ".join(f"arrow_cast(\"{name}\", '{_INSTANT}')" for name in columns)
    limit = f"arrow_cast('{before.astimezone(UTC).isoformat()}', '{_INSTANT}')"
    said = {_BEFORE: before.astimezone(UTC).isoformat(), _BY: ",".join(columns)}
    commit = writing.commit_properties({**metadata, **said}, (transaction,))
    drills.point("lake.retire.before_commit")
    with delta.translated(place.uri):
        told = place.newest().delete(f"coalesce({instants}) < {limit}", commit_properties=commit)
    drills.point("lake.retire.after_commit")
    return int(told["num_deleted_rows"] or 0)
