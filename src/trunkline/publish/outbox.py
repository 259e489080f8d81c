"""What each sink has, and what it is still owed: written down before the first byte leaves, and after the last.

One SQLite file of the workspace. An entry names versions of the lake's tables, not rows: the same versions give the
same rows, so a delivery that died half-way is made again under the same batch id, and sinks know it by that.
"""

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from trunkline.publish.protocol import ROW_ID, Delivery

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Memory", "Outbox", "Owed", "Plan", "Position"]

_WAIT_S: Final = 10.0
_KEPT_DAYS: Final = 30
_TABLES: Final = (
    """CREATE TABLE IF NOT EXISTS positions (sink TEXT, usecase TEXT, publication TEXT, position TEXT NOT NULL,
    delivered_at TEXT NOT NULL, PRIMARY KEY (sink, usecase, publication))""",
    """CREATE TABLE IF NOT EXISTS owed (sink TEXT, usecase TEXT, publication TEXT, plan TEXT, error TEXT NOT NULL,
    attempts INTEGER NOT NULL, since TEXT NOT NULL, PRIMARY KEY (sink, usecase, publication))""",
    """CREATE TABLE IF NOT EXISTS sent_rows (sink TEXT, row_id BLOB, batch_id TEXT NOT NULL,
    PRIMARY KEY (sink, row_id)) WITHOUT ROWID""",
)


@dataclass(frozen=True)
class Position:
    """Up to where a sink has the rows of a publication.

    Attributes:
        recipe: Hash of what was declared of it.
        identities: Delta's names of the tables: others of the same name begin anew.
        versions: Their versions.
        batch_id: The delivery that brought it there; empty before it is planned.
    """

    recipe: str
    identities: Mapping[str, str]
    versions: Mapping[str, int]
    batch_id: str = ""

    def to_json(self) -> str:
        """Give it as text."""
        return json.dumps(
            {
                "recipe": self.recipe,
                "identities": dict(self.identities),
                "versions": dict(self.versions),
                "batch_id": self.batch_id,
            },
            sort_keys=True,
        )

    @classmethod
    def from_json(cls, text: str) -> "Position":
        """Read it from text."""
        said = json.loads(text)
        versions = {name: int(version) for name, version in said["versions"].items()}
        return cls(str(said["recipe"]), dict(said["identities"]), versions, str(said["batch_id"]))


@dataclass(frozen=True)
class Plan:
    """One delivery, before it begins.

    Attributes:
        since: Versions after which rows are new; None delivers all rows as a whole.
        until: Where the sink will be then.
        run_id: The run that planned it.
        made_at: When.
        chunk_rows: Rows of a piece: made again, a delivery has the pieces that it had, whatever the settings say then.
    """

    since: Mapping[str, int] | None
    until: Position
    run_id: str
    made_at: datetime
    chunk_rows: int = 10_000

    @property
    def batch_id(self) -> str:
        """Names the delivery for good."""
        return self.until.batch_id

    def to_json(self) -> str:
        """Give it as text."""
        return json.dumps(
            {
                "since": None if self.since is None else dict(self.since),
                "until": self.until.to_json(),
                "run_id": self.run_id,
                "made_at": self.made_at.astimezone(UTC).isoformat(),
                "chunk_rows": self.chunk_rows,
            },
            sort_keys=True,
        )

    @classmethod
    def from_json(cls, text: str) -> "Plan":
        """Read it from text."""
        said = json.loads(text)
        since = said["since"]
        return cls(
            since=None if since is None else {name: int(version) for name, version in since.items()},
            until=Position.from_json(said["until"]),
            run_id=str(said["run_id"]),
            made_at=datetime.fromisoformat(said["made_at"]),
            chunk_rows=int(said.get("chunk_rows", 10_000)),
        )


@dataclass(frozen=True)
class Owed:
    """What a sink has not got yet.

    Attributes:
        sink: Name of the sink in the settings.
        usecase: The use case.
        publication: What it is owed.
        plan: The delivery that was begun; None where nothing of it was.
        error: Why it did not arrive, one sentence; empty where the process died.
        attempts: How often it was tried.
        since: When it was owed first.
    """

    sink: str
    usecase: str
    publication: str
    plan: Plan | None
    error: str
    attempts: int
    since: datetime


class Memory:
    """Which rows one sink took: for sinks that keep none, and cannot say so themselves.

    Args:
        outbox: Keeps it.
        sink: Name of the sink in the settings.
    """

    def __init__(self, outbox: "Outbox", sink: str) -> None:
        self._outbox, self._sink = outbox, sink

    def lacks(self, batch: "pa.RecordBatch") -> "pa.RecordBatch":
        """Give the rows that it has not acknowledged.

        Args:
            batch: Rows with :data:`~trunkline.publish.protocol.ROW_ID`.
        """
        import pyarrow as pa

        ids = batch.column(ROW_ID).to_pylist()
        known = self._outbox.sent(self._sink, ids)
        return batch.filter(pa.array([one not in known for one in ids], pa.bool_()))

    def add(self, delivery: Delivery, batch: "pa.RecordBatch") -> None:
        """Note that it acknowledged rows; of what goes as a whole each time, until the delivery is done.

        Args:
            delivery: What they belong to.
            batch: Rows with :data:`~trunkline.publish.protocol.ROW_ID`.
        """
        ids = batch.column(ROW_ID).to_pylist()
        self._outbox.note_sent(self._sink, ids, batch_id=delivery.batch_id if delivery.whole else "")


class Outbox:
    """The file.

    Args:
        path: Its path; made if need be, together with its folder.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def position(self, sink: str, usecase: str, publication: str) -> Position | None:
        """Say up to where a sink has a publication; None where nothing was delivered."""
        rows = self._read(
            "SELECT position FROM positions WHERE sink = ? AND usecase = ? AND publication = ?",
            (sink, usecase, publication),
        )
        return Position.from_json(str(rows[0][0])) if rows else None

    def owed(self, *, usecase: str | None = None) -> tuple[Owed, ...]:
        """List what sinks are owed, the oldest first.

        Args:
            usecase: Only of this one.
        """
        rows = self._read(
            "SELECT sink, usecase, publication, plan, error, attempts, since FROM owed"
            " WHERE ? IS NULL OR usecase = ? ORDER BY since, sink, publication",
            (usecase, usecase),
        )
        return tuple(
            Owed(
                str(sink),
                str(of),
                str(name),
                None if plan is None else Plan.from_json(str(plan)),
                str(error),
                int(str(attempts)),
                datetime.fromisoformat(str(since)),
            )
            for sink, of, name, plan, error, attempts, since in rows
        )

    def begin(self, sink: str, usecase: str, publication: str, plan: Plan) -> None:
        """Note a delivery before it begins: whatever happens, the same one is made next."""
        with self._writing() as connection:
            connection.execute(
                "INSERT INTO owed VALUES (?, ?, ?, ?, '', 0, ?) ON CONFLICT (sink, usecase, publication)"
                " DO UPDATE SET plan = excluded.plan",
                (sink, usecase, publication, plan.to_json(), plan.made_at.astimezone(UTC).isoformat()),
            )

    def fail(self, sink: str, usecase: str, publication: str, *, error: str, at: datetime) -> None:
        """Note that it did not arrive; the sink is owed what was planned, or whatever is new by then."""
        with self._writing() as connection:
            connection.execute(
                "INSERT INTO owed VALUES (?, ?, ?, NULL, ?, 1, ?) ON CONFLICT (sink, usecase, publication)"
                " DO UPDATE SET error = excluded.error, attempts = attempts + 1",
                (sink, usecase, publication, error, at.astimezone(UTC).isoformat()),
            )

    def settle(self, sink: str, usecase: str, publication: str, *, position: Position | None, at: datetime) -> None:
        """Note that a sink has what it was owed.

        Args:
            sink: Name of the sink.
            usecase: The use case.
            publication: The publication.
            position: Up to where it has the rows; None forgets what was planned, and notes that it was asked for.
            at: When.
        """
        with self._writing() as connection:
            found = connection.execute(
                "SELECT plan FROM owed WHERE sink = ? AND usecase = ? AND publication = ?",
                (sink, usecase, publication),
            ).fetchone()
            connection.execute(
                "DELETE FROM owed WHERE sink = ? AND usecase = ? AND publication = ?", (sink, usecase, publication)
            )
            if found is not None and found[0] is not None:
                batch_id = Plan.from_json(str(found[0])).batch_id
                connection.execute("DELETE FROM sent_rows WHERE sink = ? AND batch_id = ?", (sink, batch_id))
            if position is None:  # asked for, and found to have all: what it rests on is still needed
                connection.execute(
                    "UPDATE positions SET delivered_at = ? WHERE sink = ? AND usecase = ? AND publication = ?",
                    (at.astimezone(UTC).isoformat(), sink, usecase, publication),
                )
            else:
                connection.execute(
                    "INSERT OR REPLACE INTO positions VALUES (?, ?, ?, ?, ?)",
                    (sink, usecase, publication, position.to_json(), at.astimezone(UTC).isoformat()),
                )

    def sent(self, sink: str, row_ids: Sequence[str]) -> frozenset[str]:
        """Say which of some rows a sink took."""
        found = self._read(
            "SELECT lower(hex(row_id)) FROM sent_rows WHERE sink = ?"
            " AND row_id IN (SELECT unhexed(value) FROM json_each(?))",
            (sink, json.dumps(list(row_ids))),
        )
        return frozenset(str(one) for (one,) in found)

    def note_sent(self, sink: str, row_ids: Sequence[str], *, batch_id: str = "") -> None:
        """Note that a sink took rows.

        Args:
            sink: Name of the sink.
            row_ids: What names them, in hexadecimal digits.
            batch_id: The delivery after which they are forgotten; empty keeps them.
        """
        with self._writing() as connection:
            connection.executemany(
                "INSERT OR IGNORE INTO sent_rows VALUES (?, ?, ?)",
                [(sink, bytes.fromhex(one), batch_id) for one in row_ids],
            )

    def sinks(self) -> tuple[str, ...]:
        """Name the sinks to which something was delivered."""
        return tuple(str(name) for (name,) in self._read("SELECT DISTINCT sink FROM positions ORDER BY 1", ()))

    def versions(self) -> Iterator[tuple[str, int]]:
        """Name tables and versions that deliveries to come rest on; what nobody asked for for long is let go of."""
        for (text,) in self._read(
            "SELECT position FROM positions"
            " WHERE julianday(delivered_at) > (SELECT max(julianday(delivered_at)) FROM positions) - ?",
            (_KEPT_DAYS,),
        ):
            yield from Position.from_json(str(text)).versions.items()
        for (text,) in self._read("SELECT plan FROM owed WHERE plan IS NOT NULL", ()):
            plan = Plan.from_json(str(text))
            yield from plan.until.versions.items()
            yield from (plan.since or {}).items()

    # -- inside

    def _read(self, query: str, values: tuple[object, ...]) -> list[tuple[object, ...]]:
        if not self._path.exists():
            return []
        with closing(self._open()) as connection:
            return connection.execute(query, values).fetchall()

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with closing(self._open()) as connection:
            connection.execute("BEGIN IMMEDIATE")
            yield connection
            connection.execute("COMMIT")

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, timeout=_WAIT_S, isolation_level=None)
        connection.create_function("unhexed", 1, bytes.fromhex, deterministic=True)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")  # rows must not arrive twice after a power cut either
        for statement in _TABLES:
            connection.execute(statement)
        return connection
