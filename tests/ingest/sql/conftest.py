"""One database after the other under the same tests, each test in a database of its own."""

import json
import sqlite3
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Literal

import pyarrow.parquet as pq
import pytest
from pydantic import SecretStr, TypeAdapter

from trunkline.contracts import Contract
from trunkline.contracts.records import Receipt
from trunkline.ingest import Target
from trunkline.ingest.landing import Landing
from trunkline.ingest.pulling import pull
from trunkline.ingest.sources import Position, open_source
from trunkline.lake import Lake
from trunkline.spec.sources import AnySource, MariadbChanges, PostgresChanges

DatabaseName = Literal["sqlite", "postgresql", "mariadb"]


Row = dict[str, str | None]


def receipts_of(lake: Lake, declared: Mapping[str, object], contract: type[Contract], *, folder: Path) -> list[Receipt]:
    """Pull the table ``calls`` into a lake as ``u.calls``; gives the receipts."""

    def now() -> datetime:
        return datetime.now(UTC)

    said: AnySource = TypeAdapter(AnySource).validate_python(declared)
    landing, target = Landing(folder / "landing", clock=now), Target("u", "calls", contract)
    source, locks = open_source("calls", said), folder / "locks"
    taken = pull(source, target, landing=landing, locks=locks, lake=lake, run_id="r", clock=now)
    return [one.receipt for one in taken]


@dataclass
class Database:
    """A fresh database with a superuser's connection that commits each statement."""

    name: DatabaseName
    url: str
    run: Callable[..., object]
    many: Callable[[str, Sequence[Sequence[object]]], None]
    admin_url: str = ""
    types: dict[str, str] = field(default_factory=dict)

    def quote(self, name: str) -> str:
        return f"`{name}`" if self.name == "mariadb" else f'"{name}"'


class Puller:
    """Pulls a table's changes again and again, each time from the position of the last piece that was taken.

    Args:
        database: Where the table ``calls`` is.
        folder: For the pieces.
        said: What is declared of the source, beside what every one needs.
    """

    def __init__(self, database: Database, folder: Path, **said: object) -> None:
        kind, own = "mariadb_changes", {}
        if database.name == "postgresql":
            kind, own = "postgres_changes", {"slot": self.slot_of(database)}
        self.declared = {"kind": kind, "usecase": "u", "url": SecretStr(database.url), "table": "calls", **own, **said}
        self.database, self.folder = database, folder
        self.position: Position | None = None
        self.ends: list[tuple[str | None, list[Row]]] = []
        self.pulls = 0

    @staticmethod
    def slot_of(database: Database) -> str:
        """A slot of its own: slots are the server's, not the database's."""
        return f"s_{database.url.rsplit('_', 1)[1]}"

    def pieces(self, most: int | None = None) -> Iterator[list[Row]]:
        self.pulls += 1
        folder = self.folder / str(self.pulls)
        folder.mkdir()
        kinds: dict[str, type[MariadbChanges | PostgresChanges]] = {
            "mariadb_changes": MariadbChanges,
            "postgres_changes": PostgresChanges,
        }
        spec = kinds[str(self.declared["kind"])].model_validate(self.declared)
        stream = open_source("calls", spec).pull(self.position, folder=folder)
        number = 0
        for pulled in stream:
            self.position = json.loads(json.dumps(pulled.position))
            if pulled.ends:
                self.ends.append((pulled.whole, pq.read_table(pulled.path).to_pylist()))
                continue
            yield pq.read_table(pulled.path).to_pylist()
            number += 1
            if number == most:
                break
        stream.close()  # type: ignore[attr-defined]  # sources are generators

    def rows(self, most: int | None = None) -> list[Row]:
        return [row for piece in self.pieces(most) for row in piece]

    @staticmethod
    def said(rows: list[Row]) -> list[tuple[str | None, ...]]:
        """What was done with which row."""
        return [(row["_op"], row["call_id"], row["note"]) for row in rows]

    @staticmethod
    def state(rows: list[Row]) -> dict[str | None, str | None]:
        """What the rows make of an empty table."""
        held: dict[str | None, str | None] = {}
        for row in rows:
            if row["_deleted"] == "true":
                held.pop(row["call_id"], None)
            else:
                held[row["call_id"]] = row["note"]
        return held


@pytest.fixture
def make_puller(tmp_path: Path) -> Callable[..., Puller]:
    """Makes a puller of the changes of a database: ``make_puller(database, piece_rows=3)``."""

    def make(database: Database, **said: object) -> Puller:
        folder = tmp_path / f"pulls-{next(numbers)}"
        folder.mkdir()
        return Puller(database, folder, **said)

    numbers = count()
    return make


@pytest.fixture(
    params=[
        "sqlite",
        pytest.param("postgresql", marks=pytest.mark.servers),
        pytest.param("mariadb", marks=pytest.mark.servers),
        pytest.param("mysql", marks=pytest.mark.servers),
    ]
)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    if request.param == "sqlite":
        yield from _sqlite(tmp_path)
    elif request.param == "postgresql":
        yield from _postgresql(request.getfixturevalue("postgres_url"))
    elif request.param == "mysql":  # whose server of the tests is older than MySQL's JSON, and has no UUID
        yield from _mariadb(request.getfixturevalue("mysql_url"), json="longtext", uuid="char(36)")
    else:
        yield from _mariadb(request.getfixturevalue("mariadb_url"))


@pytest.fixture
def postgresql(postgres_url: str) -> Iterator[Database]:
    yield from _postgresql(postgres_url)


@pytest.fixture
def mariadb(mariadb_url: str) -> Iterator[Database]:
    yield from _mariadb(mariadb_url)


def _sqlite(folder: Path) -> Iterator[Database]:
    path = folder / "source.db"
    connection = sqlite3.connect(path, isolation_level=None)
    types = {"instant": "TEXT", "zoned": "TEXT", "flag": "BOOLEAN", "bytes": "BLOB", "json": "TEXT", "uuid": "TEXT"}

    def many(sql: str, rows: Sequence[Sequence[object]]) -> None:
        connection.execute("BEGIN")
        connection.executemany(sql.replace("%s", "?"), rows)
        connection.execute("COMMIT")

    yield Database("sqlite", f"sqlite:///{path}", connection.execute, many, types=types)
    connection.close()


def _postgresql(url: str) -> Iterator[Database]:
    import psycopg

    name = f"t_{uuid.uuid4().hex}"
    types = {
        "instant": "timestamp",
        "zoned": "timestamptz",
        "flag": "boolean",
        "bytes": "bytea",
        "json": "jsonb",
        "uuid": "uuid",
    }
    with psycopg.connect(url, autocommit=True) as admin:
        admin.execute(f'CREATE DATABASE "{name}"')  # type: ignore[call-overload,unused-ignore]  # plain str is refused
        own = f"{url.rsplit('/', 1)[0]}/{name}"
        with psycopg.connect(own, autocommit=True) as connection:

            def many(sql: str, rows: Sequence[Sequence[object]]) -> None:
                with connection.transaction(), connection.cursor() as cursor:
                    cursor.executemany(sql, rows)  # type: ignore[arg-type,unused-ignore]  # as above

            yield Database("postgresql", own, connection.execute, many, admin_url=url, types=types)
        slots = "SELECT slot_name, active_pid FROM pg_replication_slots WHERE database = %s"
        for slot, _ in admin.execute(slots, (name,)).fetchall():
            admin.execute("SELECT pg_drop_replication_slot(%s)", (slot,))
        admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')  # type: ignore[call-overload,unused-ignore]  # as above


def _mariadb(url: str, **other_types: str) -> Iterator[Database]:
    import pymysql
    from sqlalchemy import make_url

    name = f"t_{uuid.uuid4().hex}"
    types = {
        "instant": "datetime(6)",
        "zoned": "timestamp(6) NULL",
        "flag": "boolean",
        "bytes": "varbinary(20)",
        "json": "json",
        "uuid": "uuid",
        **other_types,
    }
    at = make_url(url)
    assert at.host is not None
    assert at.port is not None
    connection = pymysql.connect(
        host=at.host, port=at.port, user=at.username, password=str(at.password), autocommit=True
    )

    def run(sql: str, parameters: object = None) -> Sequence[object]:
        with connection.cursor() as cursor:
            cursor.execute(sql, parameters)
            return list(cursor.fetchall())

    def many(sql: str, rows: Sequence[Sequence[object]]) -> None:
        with connection.cursor() as cursor:
            cursor.execute("BEGIN")
            cursor.executemany(sql, rows)
            cursor.execute("COMMIT")

    run(f"CREATE DATABASE {name}")
    run(f"USE {name}")
    run("SET time_zone = '+00:00'")
    yield Database("mariadb", f"{url.rsplit('/', 1)[0]}/{name}", run, many, admin_url=url, types=types)
    run(f"DROP DATABASE {name}")
    connection.close()
