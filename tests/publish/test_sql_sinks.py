"""The conformance suite over the databases: SQLite in a file, MariaDB and PostgreSQL as real servers."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from pathlib import Path

import pyarrow as pa
import pytest

pytest.importorskip("sqlalchemy", reason="the extra sql is not installed")
import sqlalchemy as sa

from trunkline.errors import InputError
from trunkline.publish import Delivery, Latest, Sink, Target, TargetColumn
from trunkline.publish.sql import SqlSink
from trunkline.publish.sql.address import writable_address
from trunkline.testing import SINK_CHECKS, SinkCheck, SinkStage

_NUMBERS = itertools.count()


@dataclass
class SqlStage:
    """A database, read by plain SQL through a connection of its own."""

    url: str
    away: str
    opened: list[SqlSink] = field(default_factory=list)
    number: int = field(default_factory=lambda: next(_NUMBERS))

    def open(self) -> Sink:
        self.opened.append(SqlSink(self.url))
        return self.opened[-1]

    def name(self, name: str) -> str:
        return f"c{self.number}_{name}"

    def rows(self, target: Target) -> Sequence[dict[str, object]] | None:
        return self._read(target.name, target.columns)

    def shown(self, latest: Latest) -> Sequence[dict[str, object]] | None:
        return self._read(latest.name, latest.target.columns)

    def _read(self, name: str, columns: Sequence[TargetColumn]) -> Sequence[dict[str, object]] | None:
        engine = sa.create_engine(writable_address(self.url).url, poolclass=sa.pool.NullPool)
        with engine.connect() as connection:
            inspected = sa.inspect(connection)
            if not inspected.has_table(name) and name not in inspected.get_view_names():
                return None
            found = connection.execute(sa.text(f"SELECT * FROM {name}")).mappings().all()
            kinds = {column.name: column.kind for column in columns}
            return [{name: _python(row[name], kinds[name]) for name in row} for row in found]

    def drop(self, target: Target) -> None:
        engine = sa.create_engine(writable_address(self.url).url, poolclass=sa.pool.NullPool)
        with engine.begin() as connection:
            connection.execute(sa.text(f"DROP TABLE {target.name}"))

    def unavailable(self) -> Sink:
        return SqlSink(self.away)

    def close(self) -> None:
        for sink in self.opened:
            sink.close()


def _python(value: object, kind: str) -> object:
    if value is None:
        return None
    if kind == "flag":
        return bool(value)
    if kind == "day":
        return date.fromisoformat(value) if isinstance(value, str) else value
    if kind == "instant":
        instant = datetime.fromisoformat(value) if isinstance(value, str) else value
        assert isinstance(instant, datetime)
        return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)
    return value


@pytest.fixture(
    params=[
        "sqlite",
        pytest.param("mariadb", marks=pytest.mark.servers),
        pytest.param("postgresql", marks=pytest.mark.servers),
    ]
)
def stage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SqlStage]:
    away = "mysql://nobody@127.0.0.1:9/none"
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path}/published.db"
    else:
        url = request.getfixturevalue({"mariadb": "mariadb_url", "postgresql": "postgres_url"}[request.param])
        away = away if request.param == "mariadb" else "postgresql://nobody@127.0.0.1:9/none"
    made = SqlStage(url, away)
    yield made
    made.close()


_TARGET = Target("own", "checks", (TargetColumn("id", "text", nullable=False),), ("id",), "replace")


def _given() -> Iterator[pa.RecordBatch]:
    yield pa.RecordBatch.from_pylist([{"id": "a"}])


def _deliver(sink: Sink, target: Target) -> None:
    sink.deliver(Delivery(target, "b", True, "r", {}, datetime(2026, 3, 1, tzinfo=UTC)), _given)


def test_a_view_of_somebody_else_is_not_replaced(stage: SqlStage) -> None:
    target, view = replace(_TARGET, name=stage.name("own")), stage.name("theirs")
    sink = stage.open()
    _deliver(sink, target)
    engine = sa.create_engine(writable_address(stage.url).url, poolclass=sa.pool.NullPool)
    with engine.begin() as connection:
        connection.execute(sa.text(f"CREATE VIEW {view} AS SELECT 'theirs' AS id"))
    with pytest.raises(InputError, match="there is a view"):
        sink.show(Latest(view, target))
    assert stage.shown(Latest(view, target)) == [{"id": "theirs"}]
    for _ in range(2):
        sink.show(Latest(stage.name("ours"), target))
    assert stage.shown(Latest(stage.name("ours"), target)) == [{"id": "a"}]


def test_a_table_beside_ours_is_not_dropped(stage: SqlStage) -> None:
    target = replace(_TARGET, name=stage.name("beside"))
    names = [f"{target.name}__n", f"{target.name}__o"]
    engine = sa.create_engine(writable_address(stage.url).url, poolclass=sa.pool.NullPool)
    with engine.begin() as connection:
        for name in names:
            connection.execute(sa.text(f"CREATE TABLE {name} (id VARCHAR(10))"))
    if stage.open().capabilities.name == "mariadb":  # the others fill no table beside
        with pytest.raises(InputError, match="was not made by Trunkline"):
            _deliver(stage.open(), target)
    else:
        _deliver(stage.open(), target)
    with engine.connect() as connection:
        assert set(names) <= set(sa.inspect(connection).get_table_names())


@pytest.mark.parametrize("check", SINK_CHECKS, ids=lambda check: check.__name__)
def test_databases_hold_every_promise(check: SinkCheck, stage: SqlStage) -> None:
    watched: SinkStage = stage
    check(watched)


@pytest.mark.servers
def test_mysql_is_refused_in_words(mysql_url: str) -> None:
    """Its collations and ways to exchange tables are not MariaDB's."""
    target = replace(_TARGET, name="refused")
    for url in (mysql_url, mysql_url.replace("mysql://", "mariadb://")):
        with pytest.raises(InputError, match="the server is MySQL"):
            SqlSink(url).check()
        with pytest.raises(InputError, match="the server is MySQL"):
            _deliver(SqlSink(url), target)
    with sa.create_engine(mysql_url.replace("mysql:", "mysql+pymysql:")).connect() as connection:
        assert sa.inspect(connection).get_table_names() == []
