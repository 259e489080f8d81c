"""What each sink has, and what it is still owed: written down before the first byte leaves, and after the last.

One SQLite file of the workspace. An entry names versions of the lake's tables, not rows: the same versions give the
same rows, so a delivery that died half-way is made again under the same batch id, and sinks know it by that.
"""

import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

__all__ = ["Memory", "Outbox", "Owed", "Plan", "Position"]

_WAIT_S: Final = 10.0
_KEPT_DAYS: Final = 30
_TABLES: Final = (
    """CREATE TABLE IF NOT EXISTS positions (sink TEXT, usecase TEXT, publication TEXT, position TEXT NOT NULL,
    delivered_at TEXT NOT NULL, PRIMARY KEY (sink, usecase, publication))""",
    """CREATE TABLE IF NOT EXISTS owed (sink TEXT, usecase TEXT, publication TEXT, plan TEXT, error TEXT NOT NULL,
    attempts INTEGER NOT NULL, since TEXT NOT NULL, PRIMARY KEY (sink, usecase, publication))""",
    "CREATE TABLE IF NOT EXISTS sent (sink TEXT, batch_id TEXT, part INTEGER, PRIMARY KEY (sink, batch_id, part))",
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
    """

    since: Mapping[str, int] | None
    until: Position
    run_id: str
    made_at: datetime

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
    """Which parts of a delivery one sink has: for sinks that cannot say so themselves.

    Args:
        outbox: Keeps it.
        sink: Name of the sink in the settings.
    """

    def __init__(self, outbox: "Outbox", sink: str) -> None:
        self._outbox, self._sink = outbox, sink

    def has(self, batch_id: str) -> frozenset[int]:
        """Number the parts that were delivered."""
        return self._outbox.sent(self._sink, batch_id)

    def add(self, batch_id: str, part: int) -> None:
        """Note that a part was delivered."""
        self._outbox.note_sent(self._sink, batch_id, part)


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
            position: Up to where it has the rows; None forgets what was planned, and nothing else.
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
                connection.execute("DELETE FROM sent WHERE sink = ? AND batch_id = ?", (sink, batch_id))
            if position is not None:
                connection.execute(
                    "INSERT OR REPLACE INTO positions VALUES (?, ?, ?, ?, ?)",
                    (sink, usecase, publication, position.to_json(), at.astimezone(UTC).isoformat()),
                )

    def sent(self, sink: str, batch_id: str) -> frozenset[int]:
        """Number the parts of a delivery that a sink has."""
        rows = self._read("SELECT part FROM sent WHERE sink = ? AND batch_id = ?", (sink, batch_id))
        return frozenset(int(str(part)) for (part,) in rows)

    def note_sent(self, sink: str, batch_id: str, part: int) -> None:
        """Note that a sink has a part of a delivery."""
        with self._writing() as connection:
            connection.execute("INSERT OR IGNORE INTO sent VALUES (?, ?, ?)", (sink, batch_id, part))

    def sinks(self) -> tuple[str, ...]:
        """Name the sinks to which something was delivered."""
        return tuple(str(name) for (name,) in self._read("SELECT DISTINCT sink FROM positions ORDER BY 1", ()))

    def versions(self) -> Iterator[tuple[str, int]]:
        """Name tables and versions that deliveries to come rest on; a sink that gets nothing for long is let go of."""
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
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")  # rows must not arrive twice after a power cut either
        for statement in _TABLES:
            connection.execute(statement)
        return connection
