"""The embedded broker: a durable log in one SQLite file, for one host.

Takes messages, gives them back in order; a topic is a table with one partition. The file is in WAL mode: a commit is
one write to the end of the ``-wal`` file, which survives ``kill -9``; with ``synchronous=FULL`` it is also forced to
the disk and survives a power cut. Moving the WAL into the database (a checkpoint, which needs fsync) is not left to the
commit that happens to fill it but done by :meth:`EmbeddedLog.checkpoint` on a thread that nobody waits for.

Several processes may use one log. A file system that other hosts serve is refused. Records that a consumer group has
not committed are never removed; a full log refuses new ones instead.
"""

import os
import sqlite3
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from trunkline.brokers.local_disk import refuse_far_disk
from trunkline.brokers.protocol import MAX_BYTES, Capabilities, Message, Record, Trimmed, refuse_malformed
from trunkline.brokers.sealed_values import SealedValues
from trunkline.errors import FullError, InputError, TamperedError, UnavailableError
from trunkline.settings import drills
from trunkline.settings.brokers import BrokerSettings

if TYPE_CHECKING:
    from trunkline.lake import Keyring

__all__ = ["CRASH_POINTS", "EmbeddedLog"]

CRASH_POINTS: tuple[str, ...] = (
    "log.before_commit",
    "log.after_commit",
    "log.before_group_commit",
    "log.after_group_commit",
    "log.before_trim",
    "log.after_trim",
    "log.before_checkpoint",
    "log.after_checkpoint",
)
"""Points at which a fault drill may kill a process that uses the log."""

_TRIM_ROWS = 500
_ERASE_ROWS = 1_000
_LONGEST_WAL_PAGES = 16_384
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS log (id TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS topics (topic TEXT PRIMARY KEY) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS groups (topic TEXT, name TEXT, committed INTEGER, PRIMARY KEY (topic, name))",
)

# {table} is a topic's table: a name cannot be a parameter of a statement, so `_table` lets only harmless ones through.
_MAKE = (
    'CREATE TABLE IF NOT EXISTS {table} ("offset" INTEGER PRIMARY KEY, at_us INTEGER NOT NULL, key BLOB, '
    "value BLOB NOT NULL)"
)
_INSERT = "INSERT INTO {table} (at_us, key, value) VALUES (?, ?, ?)"
_NEWEST = 'SELECT max("offset") FROM {table}'
_READ = 'SELECT "offset", value, key, at_us FROM {table} WHERE "offset" > ? ORDER BY "offset" LIMIT ?'
_MEND = 'UPDATE {table} SET value = ? WHERE "offset" = ?'
_TRIM = (
    'DELETE FROM {table} WHERE "offset" IN (SELECT "offset" FROM (SELECT "offset", at_us FROM {table} '
    'WHERE "offset" <= ? ORDER BY "offset" LIMIT ?) WHERE ? IS NULL OR at_us < ?)'
)


class EmbeddedLog:
    """A broker in one file; safe to share between threads.

    Args:
        path: The file; made, with its folder, if need be.
        settings: Durability, retention, size.
        clock: Gives the present instant, UTC.
        keys: The keys of the workspace; None where nothing is encrypted.
        seals: Whether the values of new records are encrypted, bound to this log and their topic.

    Raises:
        InputError: It would not lie on a disk of this host, and the settings do not allow that.
        TamperedError: The file is not a log, or is damaged.
        UnavailableError: It cannot be opened.
    """

    def __init__(
        self,
        path: Path,
        *,
        settings: BrokerSettings,
        clock: Callable[[], datetime],
        keys: "Keyring | None" = None,
        seals: bool = False,
    ) -> None:
        self._path = path
        self._settings = settings
        self._clock = clock
        self._is_full = False
        self._inserts: dict[str, str] = {}
        # A drill names its point before the log is opened; without one, nothing is looked up on the way of a record.
        self._point: Callable[[str], None] = drills.point if os.environ.get(drills.VARIABLE) else _pass
        self._closed = False
        if settings.network_disk == "refuse":
            refuse_far_disk(path.parent)
        path.parent.mkdir(parents=True, exist_ok=True)
        with self._told():
            # Two connections: readers of the second never wait for a writer of the first (WAL).
            self._writer, self._write_lock = self._connect(), threading.Lock()
            self._reader, self._read_lock = self._connect(), threading.Lock()
            self._id = self._prepare()
        self._values = SealedValues(keys, seals=seals, where=str(path), log_id=self._id)

    @property
    def capabilities(self) -> Capabilities:
        """One partition; quick unless each commit goes to the disk."""
        full = self._settings.synchronous == "FULL"
        return Capabilities(partitions=1, quick_commit=not full, survives_power_loss=full)

    def publish(self, batches: Mapping[str, Sequence[Message]]) -> Mapping[str, int]:
        """Store messages, all or none; see :class:`Broker`."""
        at_us = (self._clock() - _EPOCH) // _MICROSECOND
        with self._write_lock:
            try:
                return self._publish(batches, at_us)
            except sqlite3.Error as error:
                raise self._explained(error) from error

    def _publish(self, batches: Mapping[str, Sequence[Message]], at_us: int) -> Mapping[str, int]:
        self._refuse_full()
        inserts = self._inserts
        for topic in batches:
            if topic not in inserts:
                self._make(topic)
        if len(batches) == 1:
            ((topic, messages),) = batches.items()
            if len(messages) == 1:  # the way of one request: one statement is a transaction of its own
                value, key = messages[0]
                if self._values.seals or value[:1] == b"\x00":
                    value = self._values.sealed(topic, value)
                self._point("log.before_commit")
                cursor = self._writer.execute(inserts[topic], (at_us, key, value))
                self._point("log.after_commit")
                return {topic: cursor.lastrowid or 0}
        ends = {}
        with self._transaction():
            for topic, messages in batches.items():
                rows = [(at_us, key, self._values.sealed(topic, value)) for value, key in messages]
                self._writer.executemany(inserts[topic], rows)
                newest = "SELECT last_insert_rowid()" if messages else _on(_NEWEST, _table(topic))
                ends[topic] = self._writer.execute(newest).fetchall()[0][0] or 0
            self._point("log.before_commit")
        self._point("log.after_commit")
        return ends

    def read(
        self, topic: str, *, after: int, limit: int, max_bytes: int = MAX_BYTES, partition: int = 0
    ) -> Sequence[Record]:
        """Read records in order; see :class:`Broker`."""
        table = _table(topic, partition)
        found: list[Record] = []
        with self._reading(topic) as is_known:
            if is_known:
                cursor = self._reader.execute(_on(_READ, table), (after, limit))
                for offset, value, key, at_us in cursor:
                    found.append(Record(offset, self._values.opened(topic, value), key, at_us))
                    max_bytes -= len(found[-1].value)
                    if max_bytes <= 0:
                        break
                cursor.close()
        return found

    def partitions(self, topic: str) -> int:
        """One."""
        _table(topic)
        return 1

    def end(self, topic: str, *, partition: int = 0) -> int:
        """Offset of the newest record; 0 when there is none."""
        table = _table(topic, partition)
        with self._reading(topic) as is_known:
            newest = self._reader.execute(_on(_NEWEST, table)).fetchall()[0][0] if is_known else None
        return int(newest or 0)

    def commit(self, topic: str, *, group: str, offset: int, partition: int = 0) -> None:
        """Note how far a group is; see :class:`Broker`."""
        _table(topic, partition)
        with self._write_lock, self._told(), self._transaction():
            self._writer.execute(
                "INSERT INTO groups VALUES (?, ?, ?) "
                "ON CONFLICT DO UPDATE SET committed = max(committed, excluded.committed)",
                (topic, group, offset),
            )
            self._point("log.before_group_commit")
        self._point("log.after_group_commit")

    def committed(self, topic: str, *, group: str, partition: int = 0) -> int:
        """Up to where a group is done; 0 when it never committed."""
        _table(topic, partition)
        with self._read_lock, self._told():
            rows = self._reader.execute(
                "SELECT committed FROM groups WHERE topic = ? AND name = ?", (topic, group)
            ).fetchall()
        return int(rows[0][0]) if rows else 0

    def source_id(self, topic: str, *, partition: int = 0) -> str:
        """Name the topic of this very file."""
        return f"log:{self._id}:{topic}:{partition}"

    def trim(self, *, now: datetime) -> Trimmed:
        """Remove consumed records that are old, or any consumed ones while the log is too large.

        The newest record of a topic stays: it is what keeps offsets from being used again.
        """
        cutoff_us = (now - self._settings.retention - _EPOCH) // _MICROSECOND
        removed = 0
        for topic in self.topics():
            while count := self._trim_some(topic, before_us=cutoff_us):
                removed += count
        for topic in self.topics():
            while self._size() > self._settings.max_mb << 20 and (count := self._trim_some(topic, before_us=None)):
                removed += count
        size = self._size()
        self._is_full = size > self._settings.max_mb << 20
        self._point("log.after_trim")
        return Trimmed(removed=removed, bytes=size)

    def erase(self, topic: str, without: Callable[[bytes], bytes]) -> int:
        """Take something out of all records of a topic, whoever has consumed them, and its traces out of the file.

        Args:
            topic: The topic.
            without: Gives the value of a record without what is to be erased, the same where there is nothing; an
                empty value stays in its place, so that offsets do.

        Returns:
            How many records changed.

        Raises:
            InputError: The topic's name is malformed.
            UnavailableError: The file cannot be read or written.
        """
        after, changed = 0, 0
        while records := self.read(topic, after=after, limit=_ERASE_ROWS):
            after = records[-1].offset
            mended = [(without(record.value), record) for record in records]
            shorter = [
                (self._values.sealed(topic, value), record.offset) for value, record in mended if value != record.value
            ]
            if shorter:
                with self._write_lock, self._told(), self._transaction():
                    self._writer.executemany(_on(_MEND, _table(topic)), shorter)
                changed += len(shorter)
        if changed:
            with self._write_lock, self._told():
                self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        return changed

    def checkpoint(self) -> None:
        """Move the WAL into the database; call it about once a second, on a thread that may wait for the disk.

        Producers go on meanwhile. Only a WAL that readers and writers kept from ever being emptied is cut by force.
        """
        self._point("log.before_checkpoint")
        with self._read_lock, self._told():
            pages = self._reader.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()[0][1]
            if pages > _LONGEST_WAL_PAGES:
                self._reader.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        self._point("log.after_checkpoint")

    def topics(self) -> list[str]:
        """List the topics that somebody wrote to, sorted."""
        with self._read_lock, self._told():
            return [row[0] for row in self._reader.execute("SELECT topic FROM topics ORDER BY topic").fetchall()]

    def close(self) -> None:
        """Close the file; closing twice is allowed."""
        with self._write_lock, self._read_lock:
            if not self._closed:
                self._closed = True
                self._writer.close()
                self._reader.close()

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self._path, isolation_level=None, check_same_thread=False, timeout=self._settings.busy_timeout_s
        )
        connection.execute(f"PRAGMA synchronous={self._settings.synchronous}")
        connection.execute("PRAGMA journal_mode=WAL").fetchall()
        connection.execute("PRAGMA secure_delete=ON").fetchall()
        connection.execute("PRAGMA wal_autocheckpoint=0").fetchall()
        return connection

    def _prepare(self) -> str:
        with self._transaction():
            for statement in _SCHEMA:
                self._writer.execute(statement)
            self._writer.execute("INSERT INTO log SELECT ? WHERE NOT EXISTS (SELECT 1 FROM log)", (uuid.uuid4().hex,))
        return str(self._writer.execute("SELECT id FROM log").fetchall()[0][0])

    def _refuse_full(self) -> None:
        if self._is_full:
            raise FullError(
                "the durable log is full of records that no consumer has taken yet",
                where=str(self._path),
                next_step="let the consumer catch up, or raise broker.max_mb",
            )

    def _make(self, topic: str) -> None:
        """Make a topic's table if need be, and keep its statement ready."""
        table = _table(topic)
        with self._transaction():
            self._writer.execute(_on(_MAKE, table))
            self._writer.execute("INSERT OR IGNORE INTO topics VALUES (?)", (topic,))
        self._inserts[topic] = _on(_INSERT, table)

    @contextmanager
    def _reading(self, topic: str) -> Iterator[bool]:
        """Hold the reader; says whether anybody ever wrote to the topic."""
        with self._read_lock, self._told():
            yield bool(self._reader.execute("SELECT 1 FROM topics WHERE topic = ?", (topic,)).fetchall())

    def _trim_some(self, topic: str, *, before_us: int | None) -> int:
        """Remove a few of a topic's oldest records, if they may go; gives their number."""
        table = _table(topic)
        self._point("log.before_trim")
        with self._write_lock, self._told(), self._transaction():
            done = self._writer.execute("SELECT min(committed) FROM groups WHERE topic = ?", (topic,)).fetchall()
            newest = self._writer.execute(_on(_NEWEST, table)).fetchall()[0][0] or 0
            last = newest - 1 if done[0][0] is None else min(done[0][0], newest - 1)
            return self._writer.execute(_on(_TRIM, table), (last, _TRIM_ROWS, before_us, before_us)).rowcount

    def _size(self) -> int:
        """Bytes of the database that hold something."""
        with self._read_lock, self._told():
            pages, free, page = (
                self._reader.execute(f"PRAGMA {name}").fetchall()[0][0]
                for name in ("page_count", "freelist_count", "page_size")
            )
        return int((pages - free) * page)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._writer.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._writer.execute("COMMIT")
        except BaseException:
            if self._writer.in_transaction:
                self._writer.execute("ROLLBACK")
            raise

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Turn SQLite's errors into ours."""
        try:
            yield
        except sqlite3.Error as error:
            raise self._explained(error) from error

    def _explained(self, error: sqlite3.Error) -> Exception:
        """Say what an error of SQLite means here; one that is a fault of ours stays as it is."""
        if isinstance(error, sqlite3.OperationalError):
            return UnavailableError(
                f"the durable log did not take or give a record ({error.sqlite_errorname})",
                where=str(self._path),
                next_step="see that the disk is not full and that no other process keeps the file locked",
            )
        if type(error) is sqlite3.DatabaseError:
            return TamperedError(
                "the durable log is damaged",
                where=str(self._path),
                next_step="move the file away and keep it: a new one is made; what no table holds yet is in it",
            )
        return error


def _pass(_name: str) -> None:
    """Do nothing."""


def _on(statement: str, table: str) -> str:
    return statement.replace("{table}", table)


def _table(topic: str, partition: int = 0) -> str:
    """Quoted table name of a topic.

    Raises:
        InputError: The name is malformed, or the partition is not the only one.
    """
    refuse_malformed(topic)
    if partition != 0:
        raise InputError(f"the embedded log has no partition {partition}", where=topic, allowed=("0",))
    return f'"topic:{topic}"'
