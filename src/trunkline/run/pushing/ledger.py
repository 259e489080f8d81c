"""What was pushed to whom: one SQLite file beside the lake, for a push is one row and must be known at once.

A message is claimed before it is pushed and settled after it: of two deliveries of it at one time only one pushes, and
a process that was killed in between leaves a claim that runs out.
"""

import sqlite3
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, Literal

from trunkline.errors import UnavailableError

__all__ = ["LEDGER", "PushLedger", "PushState"]

LEDGER: Final = "push/pushes.db"
"""The file, below the workspace."""

PushState = Literal["pushed", "dropped", "dead"]
"""What became of a message for good."""

_CLAIM: Final = timedelta(minutes=5)
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS pushes (
    message_id TEXT PRIMARY KEY, entity_key TEXT NOT NULL, state TEXT NOT NULL, reason TEXT NOT NULL DEFAULT '',
    deliveries INTEGER NOT NULL DEFAULT 0, changed_at TEXT NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS of_entities ON pushes (entity_key, changed_at) WHERE state IN ('pushed', 'claimed');
"""


class PushLedger:
    """The ledger; usable from any thread.

    Args:
        path: The file; its folder is there.

    Raises:
        UnavailableError: It cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._lock = path, threading.Lock()
        try:
            self._file = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10)
            self._file.execute("PRAGMA journal_mode=WAL").fetchall()
            self._file.execute("PRAGMA synchronous=FULL")
            self._file.executescript(_SCHEMA)
        except sqlite3.Error as error:
            raise UnavailableError(f"the ledger of pushes cannot be opened ({error})", where=str(path)) from None

    def claim(self, message_id: str, entity_key: str, *, cap: int, since: datetime, now: datetime) -> str:
        """Claim a message for pushing.

        Args:
            message_id: The message.
            entity_key: The customer.
            cap: Pushes that the customer may get from ``since`` on.
            since: UTC.
            now: UTC.

        Returns:
            ``claimed``; ``busy`` where somebody else pushes it at this moment; ``capped``; or what became of it before.
        """
        with self._lock, self._file:
            self._file.execute("BEGIN IMMEDIATE")
            before = self._file.execute(
                "SELECT state, changed_at FROM pushes WHERE message_id = ?", (message_id,)
            ).fetchall()
            if before and before[0][0] in ("pushed", "dropped", "dead"):
                return str(before[0][0])
            if before and before[0][0] == "claimed" and before[0][1] > _text(now - _CLAIM):
                return "busy"
            ((count,),) = self._file.execute(
                "SELECT count(*) FROM pushes WHERE entity_key = ? AND changed_at > ? AND message_id <> ? AND "
                "state IN ('pushed', 'claimed')",
                (entity_key, _text(since), message_id),
            ).fetchall()
            if count >= cap:
                return "capped"
            self._file.execute(
                "INSERT INTO pushes VALUES (?, ?, 'claimed', '', 1, ?) ON CONFLICT (message_id) DO UPDATE SET "
                "state = 'claimed', deliveries = deliveries + 1, changed_at = excluded.changed_at",
                (message_id, entity_key, _text(now)),
            )
            return "claimed"

    def settle(self, message_id: str, entity_key: str, state: PushState, *, reason: str = "", now: datetime) -> None:
        """Write down what became of a message for good; what was written down before stands."""
        with self._lock:
            self._file.execute(
                "INSERT INTO pushes VALUES (?, ?, ?, ?, 1, ?) ON CONFLICT (message_id) DO UPDATE SET "
                "state = excluded.state, reason = excluded.reason, changed_at = excluded.changed_at "
                "WHERE pushes.state NOT IN ('pushed', 'dropped', 'dead')",
                (message_id, entity_key, state, reason, _text(now)),
            )

    def outcome(self, message_id: str) -> PushState | None:
        """Say what became of a message for good; None where nothing has yet."""
        with self._lock:
            found = self._file.execute("SELECT state FROM pushes WHERE message_id = ?", (message_id,)).fetchall()
        return found[0][0] if found and found[0][0] in ("pushed", "dropped", "dead") else None

    def release(self, message_id: str, *, give_up_after: int, now: datetime) -> int:
        """Let go of a message that nobody took; after so many deliveries it is a dead letter.

        Returns:
            How often it was delivered.
        """
        with self._lock:
            self._file.execute(
                "UPDATE pushes SET state = CASE WHEN deliveries >= ? THEN 'dead' ELSE 'waits' END, "
                "reason = 'not taken', changed_at = ? WHERE message_id = ?",
                (give_up_after, _text(now), message_id),
            )
            found = self._file.execute("SELECT deliveries FROM pushes WHERE message_id = ?", (message_id,)).fetchall()
        return int(found[0][0]) if found else 0

    def counts(self) -> dict[str, int]:
        """Count messages by what became of them."""
        with self._lock:
            return dict(self._file.execute("SELECT state, count(*) FROM pushes GROUP BY state").fetchall())

    def forget(self, is_theirs: Callable[[str], bool]) -> int:
        """Remove everything about a customer; gives how many messages that were.

        Args:
            is_theirs: Says of an entity's key whether it is the customer's.
        """
        with self._lock:
            keys = self._file.execute("SELECT DISTINCT entity_key FROM pushes").fetchall()
            theirs = [(key,) for (key,) in keys if is_theirs(key)]
            return self._file.executemany("DELETE FROM pushes WHERE entity_key = ?", theirs).rowcount if theirs else 0

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._file.close()


def _text(at: datetime) -> str:
    return at.isoformat(timespec="microseconds")
