"""A durable log that knows what it holds already: for senders who send again what they are not sure of.

Takes messages with marks: an id, and what bears it. Gives them to the log in one transaction with their marks; leaves
out a repeat, that is a message one of whose ids is known with the same content. Places in a log say nothing to a sender
who has none himself (MQTT): the marks are its memory, and it is exactly as durable as the records.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from trunkline.brokers.embedded import EmbeddedLog
from trunkline.brokers.protocol import Message

__all__ = ["Mark", "Marked", "OnceLog"]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_FORGET_ROWS: Final = 5_000
_SEEN: Final = (
    "CREATE TABLE IF NOT EXISTS seen (topic TEXT, id BLOB, content BLOB, at_us INTEGER, PRIMARY KEY (topic, id))",
    "CREATE INDEX IF NOT EXISTS seen_at ON seen (at_us)",
)


class Mark(NamedTuple):
    """By what a message is known again.

    Attributes:
        id: Names it among those of its topic; the newest message of an id takes the place of an older one.
        content: What bears the id; a message of another content is another one.
        may_repeat: Whether this delivery may be one that the log has taken already; otherwise it is a new message,
            whatever the log knows.
    """

    id: bytes
    content: bytes
    may_repeat: bool


class Marked(NamedTuple):
    """A message and its marks; without any it is always new."""

    message: Message
    marks: tuple[Mark, ...] = ()


class OnceLog(EmbeddedLog):
    """An embedded log with a memory of what it took; see :class:`trunkline.brokers.EmbeddedLog`."""

    def publish_once(self, topic: str, messages: Sequence[Marked]) -> int:
        """Store the messages that are no repeats, with all marks, all or none; durable on return.

        Args:
            topic: The topic.
            messages: The messages, in order.

        Returns:
            How many were repeats, and left out.

        Raises:
            InputError: The topic's name is malformed.
            FullError: The log takes nothing now.
            UnavailableError: Nothing was stored.
        """
        at_us = (self._clock() - _EPOCH) // _MICROSECOND
        repeats = 0
        with self._write_lock, self._told():
            self._refuse_full()
            if topic not in self._inserts:
                self._make(topic)
            with self._transaction():
                for message, marks in messages:
                    if any(mark.may_repeat and self._is_seen(topic, mark) for mark in marks):
                        repeats += 1
                        continue
                    value = self._values.sealed(topic, message.value)
                    self._writer.execute(self._inserts[topic], (at_us, message.key, value))
                    self._writer.executemany(
                        "INSERT OR REPLACE INTO seen VALUES (?, ?, ?, ?)",
                        [(topic, mark.id, mark.content, at_us) for mark in marks],
                    )
                self._point("log.before_commit")
            self._point("log.after_commit")
        return repeats

    def forget(self, *, now: datetime) -> int:
        """Let go of marks that are older than the log's retention, in small steps.

        Returns:
            How many went.

        Raises:
            UnavailableError: The file cannot be written.
        """
        cutoff_us = (now - self._settings.retention - _EPOCH) // _MICROSECOND
        statement = (
            "DELETE FROM seen WHERE (topic, id) IN (SELECT topic, id FROM seen WHERE at_us < ? ORDER BY at_us LIMIT ?)"
        )
        gone = 0
        while True:
            with self._write_lock, self._told():
                count = self._writer.execute(statement, (cutoff_us, _FORGET_ROWS)).rowcount
            gone += count
            if count < _FORGET_ROWS:
                return gone

    def _is_seen(self, topic: str, mark: Mark) -> bool:
        rows = self._writer.execute(
            "SELECT 1 FROM seen WHERE topic = ? AND id = ? AND content = ?", (topic, mark.id, mark.content)
        ).fetchall()
        return bool(rows)

    def _prepare(self) -> str:
        log_id = super()._prepare()
        with self._transaction():
            for statement in _SEEN:
                self._writer.execute(statement)
        return log_id
