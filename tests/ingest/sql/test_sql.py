"""Tables and queries of SQLite, PostgreSQL and MariaDB under the same tests."""

import json
import subprocess
import sys
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar, Protocol

import pyarrow.parquet as pq
import pytest
from pydantic import SecretStr, ValidationError

from trunkline.contracts import Contract, Day, Flag, Instant, Integer, Number, Table, Text
from trunkline.contracts import field as described
from trunkline.errors import InputError, SourceError, UnavailableError
from trunkline.ingest import Target
from trunkline.ingest.landing import Landing
from trunkline.ingest.pulling import pull
from trunkline.ingest.sources import Position, Pulled, open_source
from trunkline.ingest.sources.sql import declared_from_url
from trunkline.lake import Lake
from trunkline.spec.sources import SqlSource


class Database(Protocol):
    name: str
    url: str
    types: dict[str, str]
    run: Callable[..., object]
    many: Callable[..., None]

    def quote(self, name: str) -> str: ...


def declare(database: Database, **said: object) -> SqlSource:
    return SqlSource.model_validate({"kind": "sql", "usecase": "calls", "url": SecretStr(database.url), **said})


class Puller:
    """Pulls again and again, each time from the position of the last piece that was taken."""

    def __init__(self, declared: SqlSource, folder: Path) -> None:
        self.source = open_source("calls", declared)
        self.folder = folder
        self.position: Position | None = None
        self.pulls = 0

    def pieces(self, most: int | None = None) -> list[list[dict[str, str | None]]]:
        """Take pieces; ``most`` stops after so many, as a process that dies does."""
        self.pulls += 1
        folder = self.folder / str(self.pulls)
        folder.mkdir(parents=True)
        found = []
        stream = self.source.pull(self.position, folder=folder)
        for pulled in stream:
            found.append(self.taken(pulled))
            if len(found) == most:
                break
        stream.close()  # type: ignore[attr-defined]  # sources are generators
        return found

    def rows(self) -> list[dict[str, str | None]]:
        return [row for piece in self.pieces() for row in piece]

    def taken(self, pulled: Pulled) -> list[dict[str, str | None]]:
        self.position = json.loads(json.dumps(pulled.position))
        rows: list[dict[str, str | None]] = pq.read_table(pulled.path).to_pylist()
        assert rows
        return rows


@pytest.fixture
def puller(database: Database, tmp_path: Path) -> Callable[..., Puller]:
    return lambda **said: Puller(declare(database, **said), tmp_path / uuid.uuid4().hex)


def make_calls(database: Database, *, cursor: str = "int") -> None:
    database.run(f"CREATE TABLE calls (call_id varchar(20) PRIMARY KEY, seconds int, seq {cursor})")


def add(database: Database, *rows: tuple[object, ...]) -> None:
    database.many("INSERT INTO calls VALUES (%s, %s, %s)", rows)


class Typed(Contract):
    table: ClassVar[Table] = Table(key=("n",))

    n: Integer
    big: Integer
    price: Number
    ratio: Number
    active: Flag
    born: Day
    local_at: Instant = described(zone="Europe/Paris")
    at: Instant
    note: Text | None
    document: Text
    token: Text
    raw: Text


def test_types_get_the_verdicts_of_the_contract(database: Database, tmp_path: Path, lake: Lake) -> None:
    kind = database.types
    database.run(
        f"CREATE TABLE typed (n int PRIMARY KEY, big bigint, price decimal(20,4), ratio double precision,"
        f" active {kind['flag']}, born date, local_at {kind['instant']}, at {kind['zoned']}, note varchar(40),"
        f" document {kind['json']}, token {kind['uuid']}, raw {kind['bytes']})"
    )
    zoned = "2026-07-01T08:15:00.250000Z" if database.name == "sqlite" else "2026-07-01 08:15:00.25"
    first = (1, 999_999_999_999_999_999, "1234567890.1234", 0.1, True, "2026-02-28", "2026-07-01 10:00:00", zoned,
             "50 % of 'ümläut'", '{"a": 1}', "0e37df36-f698-11e6-8dd4-cb9ced3df976", b"\x00\xff")  # fmt: skip
    second = (2, -5, "-0.5", 1e20, False, "1970-01-01", "2026-01-01 00:00:00", zoned, None, "[]",
              "0e37df36-f698-11e6-8dd4-cb9ced3df977", b"1")  # fmt: skip
    places = ", ".join(["%s"] * 12)
    database.many(f"INSERT INTO typed VALUES ({places})", [first, second])

    (taken,) = pull(
        open_source("typed", declare(database, table="typed")),
        Target("calls", "typed", Typed),
        landing=Landing(tmp_path / "landing", clock=now),
        locks=tmp_path / "locks",
        lake=lake,
        run_id="r",
        clock=now,
    )
    assert (taken.receipt.accepted, taken.receipt.reasons) == (2, "{}")
    one, two = sorted(lake.arrow("calls.typed").to_pylist(), key=lambda row: int(row["n"]))
    assert (one["big"], one["ratio"], one["active"]) == (999_999_999_999_999_999, 0.1, True)
    assert one["price"] == pytest.approx(1234567890.1234, abs=1e-6)
    assert one["born"].isoformat() == "2026-02-28"
    assert one["local_at"] == datetime(2026, 7, 1, 8, tzinfo=UTC)  # ten in Paris
    assert one["at"] == datetime(2026, 7, 1, 8, 15, 0, 250_000, tzinfo=UTC)
    assert (one["note"], json.loads(one["document"]), one["raw"]) == ("50 % of 'ümläut'", {"a": 1}, "00ff")
    assert one["token"] == "0e37df36-f698-11e6-8dd4-cb9ced3df976"
    assert (two["big"], two["price"], two["ratio"], two["active"], two["note"]) == (-5, -0.5, 1e20, False, None)


def test_full_gives_everything_in_pieces_and_the_order_of_columns(
    database: Database, puller: Callable[..., Puller]
) -> None:
    make_calls(database)
    add(database, *[(f"c{number}", number, number) for number in range(5)])
    source = puller(table="calls", piece_rows=2)
    pieces = source.pieces()
    assert [len(piece) for piece in pieces] == [2, 2, 1]
    assert list(pieces[0][0]) == ["call_id", "seconds", "seq"]
    assert len(source.rows()) == 5


@pytest.mark.parametrize("mode", ["full", "snapshot"])
def test_unchanged_content_of_one_piece_is_nothing_new(
    mode: str, database: Database, puller: Callable[..., Puller]
) -> None:
    make_calls(database)
    add(database, ("a", 1, 1), ("b", 2, 2))
    source = puller(table="calls", mode=mode)
    assert len(source.rows()) == 2
    assert source.rows() == []
    database.run("UPDATE calls SET seconds = 3 WHERE call_id = 'a'")
    assert {row["call_id"]: row["seconds"] for row in source.rows()} == {"a": "3", "b": "2"}


def test_a_snapshot_is_one_piece(database: Database, puller: Callable[..., Puller]) -> None:
    make_calls(database)
    add(database, *[(f"c{number}", number, number) for number in range(5)])
    assert [len(piece) for piece in puller(table="calls", mode="snapshot", piece_rows=2).pieces()] == [5]


def test_an_empty_table_is_nothing_new(database: Database, puller: Callable[..., Puller]) -> None:
    make_calls(database)
    assert puller(table="calls").rows() == []
    assert puller(table="calls", mode="incremental", cursor="seq").rows() == []


MOMENTS: list[object] = [
    "2026-01-09 08:00:00",
    "2026-01-09 08:00:00.000001",
    "2026-01-10 00:00:00",
    "2026-10-01 00:00:00",
]
CURSORS: dict[str, tuple[str, list[object]]] = {
    "whole numbers": ("bigint", [2**60 + 1, 2**60 + 2, 2**60 + 3, 2**60 + 4]),
    "decimals": ("decimal(12,2)", ["1.10", "1.20", "2.00", "10.00"]),
    "days": ("date", ["2026-01-09", "2026-01-10", "2026-02-01", "2026-10-01"]),
    "local instants": ("instant", MOMENTS),
    "zoned instants": ("zoned", MOMENTS),
    "text": ("varchar(10)", ["A", "B", "a", "é"]),
}  # fmt: skip


@pytest.mark.parametrize("kind", CURSORS)
def test_incremental_gives_each_row_once(kind: str, database: Database, puller: Callable[..., Puller]) -> None:
    declared, values = CURSORS[kind]
    make_calls(database, cursor=database.types.get(declared, declared))
    add(database, ("a", 1, values[0]), ("b", 2, values[1]))
    source = puller(table="calls", mode="incremental", cursor="seq")
    assert [row["call_id"] for row in source.rows()] == ["a", "b"]
    assert source.rows() == []
    add(database, ("d", 4, values[3]), ("c", 3, values[2]))
    assert [row["call_id"] for row in source.rows()] == ["c", "d"]
    assert source.rows() == []


def test_rows_that_share_the_newest_value_later_are_found(database: Database, puller: Callable[..., Puller]) -> None:
    make_calls(database)
    add(database, ("a", 1, 7), ("b", 2, 7))
    source = puller(table="calls", mode="incremental", cursor="seq")
    assert len(source.rows()) == 2
    add(database, ("c", 3, 7), ("d", 4, 8))
    assert [row["call_id"] for row in source.rows()] == ["c", "d"]


def test_ties_are_neither_lost_nor_doubled_over_a_restart(database: Database, puller: Callable[..., Puller]) -> None:
    make_calls(database)
    add(database, *[(f"c{number:02d}", number, number // 5) for number in range(30)])
    source = puller(table="calls", mode="incremental", cursor="seq", piece_rows=3)
    given = [row["call_id"] for piece in source.pieces(most=2) for row in piece]
    assert len(given) == 10  # a piece ends between two values
    while rows := [row for piece in source.pieces(most=1) for row in piece]:
        given += [row["call_id"] for row in rows]
    assert sorted(map(str, given)) == [f"c{number:02d}" for number in range(30)]


def test_more_ties_than_a_position_holds(database: Database, puller: Callable[..., Puller]) -> None:
    make_calls(database)
    add(database, *[(f"c{number}", number, 1) for number in range(1_500)])
    source = puller(table="calls", mode="incremental", cursor="seq")
    assert len(source.rows()) == 1_500
    assert source.rows() == []
    add(database, ("late", 0, 1))
    assert "late" in [row["call_id"] for row in source.rows()]  # with the others: the contract's key tells them apart
    assert source.rows() == []


def test_the_overlap_finds_rows_committed_late(database: Database, puller: Callable[..., Puller]) -> None:
    make_calls(database, cursor=database.types["instant"])
    add(database, ("a", 1, "2026-01-01 10:00:00"), ("b", 2, "2026-01-01 12:00:00"))
    source = puller(table="calls", mode="incremental", cursor="seq", overlap="PT1H")
    assert len(source.rows()) == 2
    add(database, ("late", 3, "2026-01-01 11:30:00"), ("too late", 4, "2026-01-01 10:30:00"))
    assert [row["call_id"] for row in source.rows()] == ["late"]
    assert source.rows() == []
    add(database, ("c", 5, "2026-01-01 12:00:01"))
    assert [row["call_id"] for row in source.rows()] == ["c"]


def test_late_rows_that_fill_a_piece_do_not_make_known_ones_come_again(
    database: Database, puller: Callable[..., Puller]
) -> None:
    make_calls(database, cursor=database.types["instant"])
    add(database, ("a", 1, "2026-01-01 10:00:00"), ("b", 2, "2026-01-01 10:20:00"))
    source = puller(table="calls", mode="incremental", cursor="seq", overlap="PT1H", piece_rows=2)
    assert len(source.rows()) == 2
    add(database, ("c", 3, "2026-01-01 10:15:00"), ("d", 4, "2026-01-01 10:16:00"))
    assert [row["call_id"] for row in source.rows()] == ["c", "d"]
    assert source.rows() == []


def test_a_pull_of_late_rows_that_is_cut_goes_on_with_the_rest(
    database: Database, puller: Callable[..., Puller]
) -> None:
    make_calls(database, cursor=database.types["instant"])
    add(database, ("a", 1, "2026-01-01 10:00:00"), ("b", 2, "2026-01-01 10:20:00"))
    source = puller(table="calls", mode="incremental", cursor="seq", overlap="PT1H", piece_rows=1)
    assert len(source.rows()) == 2
    add(database, *[(name, 3, f"2026-01-01 10:{minute}:00") for name, minute in (("c", 15), ("d", 16), ("e", 30))])
    for name in ("c", "d", "e"):
        assert [[row["call_id"] for row in piece] for piece in source.pieces(most=1)] == [[name]]
    assert source.rows() == []


def test_a_newest_row_that_was_deleted_does_not_take_the_source_back(
    database: Database, puller: Callable[..., Puller]
) -> None:
    make_calls(database, cursor=database.types["instant"])
    add(database, ("a", 1, "2026-01-01 10:30:00"), ("b", 2, "2026-01-01 12:00:00"))
    source = puller(table="calls", mode="incremental", cursor="seq", overlap="PT1H")
    assert len(source.rows()) == 2
    database.run("DELETE FROM calls WHERE call_id = 'b'")
    add(database, ("c", 3, "2026-01-01 11:15:00"))
    assert [row["call_id"] for row in source.rows()] == ["c"]
    assert source.rows() == []


def test_an_overlap_of_a_number_is_refused(database: Database, puller: Callable[..., Puller]) -> None:
    make_calls(database)
    add(database, ("a", 1, 1))
    with pytest.raises(SourceError, match="overlap"):
        puller(table="calls", mode="incremental", cursor="seq", overlap="PT1H").rows()


def test_rows_without_a_cursor_are_left_out(database: Database, puller: Callable[..., Puller]) -> None:
    make_calls(database)
    add(database, ("a", 1, None), ("b", 2, 2))
    assert [row["call_id"] for row in puller(table="calls", mode="incremental", cursor="seq").rows()] == ["b"]


def test_a_query_is_read_like_a_table(database: Database, puller: Callable[..., Puller]) -> None:
    make_calls(database)
    add(database, ("50%", 1, 1), ("b", 2, 2), ("c", 3, 3))
    query = "SELECT call_id, seq FROM calls WHERE call_id LIKE '%' AND seq <> 2; -- the end"
    source = puller(query=query.replace("; --", " --"), mode="incremental", cursor="seq")
    assert source.rows() == [{"call_id": "50%", "seq": "1"}, {"call_id": "c", "seq": "3"}]
    assert source.rows() == []
    assert puller(query="SELECT call_id FROM calls WHERE seq = 2;").rows() == [{"call_id": "b"}]


def test_names_survive(database: Database, puller: Callable[..., Puller]) -> None:
    names = ["order", "Group", "with space", "50%", "ümläut", 'quo"te' if database.name == "mariadb" else "quo`te"]
    columns = ", ".join(f"{database.quote(name)} int" for name in names)
    database.run(f"CREATE TABLE {database.quote('select %s')} ({columns})")
    places = ", ".join("1" for _ in names)
    database.run(f"INSERT INTO {database.quote('select %s')} VALUES ({places})")
    (row,) = puller(table="select %s", mode="incremental", cursor="50%").rows()
    assert list(row) == names


def test_two_columns_of_one_name_are_never_taken_for_one(database: Database, puller: Callable[..., Puller]) -> None:
    source = puller(query="SELECT 1 AS a, 2 AS a")
    if database.name == "sqlite":  # which tells them apart by itself
        assert source.rows() == [{"a": "1", "a:1": "2"}]
    else:
        with pytest.raises(SourceError):
            source.rows()


@pytest.mark.parametrize(
    ("said", "match"),
    [
        ({"table": "absent"}, "no such table"),
        ({"query": "SELECT absent FROM calls"}, "no such column"),
        ({"query": "SELEC 1"}, "no SELECT"),
        ({"query": "DELETE FROM calls"}, "no SELECT"),
        ({"table": "calls", "mode": "incremental", "cursor": "absent"}, "no column 'absent'"),
    ],
)
def test_a_wrong_declaration_is_told(
    said: dict[str, object], match: str, database: Database, puller: Callable[..., Puller]
) -> None:
    make_calls(database)
    with pytest.raises(SourceError, match=match) as caught:
        puller(**said).rows()
    assert "n0t-shown" not in str(caught.value)


def test_one_moment_is_read_whatever_happens_meanwhile(database: Database, puller: Callable[..., Puller]) -> None:
    if database.name == "sqlite":
        database.run("PRAGMA journal_mode = WAL")  # else the writer waits for the reader
    make_calls(database)
    add(database, *[(f"c{number}", number, number) for number in range(6_000)])
    source = puller(table="calls", piece_rows=1_000)
    source.folder.mkdir()
    stream = source.source.pull(None, folder=source.folder)
    first = source.taken(next(iter(stream)))
    database.run("DELETE FROM calls")
    assert len(first) + sum(len(source.taken(pulled)) for pulled in stream) == 6_000


def now() -> datetime:
    return datetime.now(UTC)


# -- URLs


def test_a_url_says_what_to_pull() -> None:
    asked = "table=public.calls&cursor=updated_at&sslmode=require&overlap_s=60"
    found = declared_from_url(f"postgresql://me@host:5433/db?{asked}", usecase="calls", dataset="raw")
    assert (found.table, found.mode, found.cursor, found.dataset) == (
        "public.calls",
        "incremental",
        "updated_at",
        "raw",
    )
    assert found.url.get_secret_value() == "postgresql://me@host:5433/db?sslmode=require"
    assert found.overlap.total_seconds() == 60
    local = declared_from_url("sqlite:///relative.db?query=SELECT%201", usecase="calls")
    assert (local.query, local.url.get_secret_value()) == ("SELECT 1", "sqlite:///relative.db")
    absolute = declared_from_url("sqlite:////tmp/x.db?table=t", usecase="calls")
    assert absolute.url.get_secret_value() == "sqlite:////tmp/x.db"


@pytest.mark.parametrize("text", ["sqlite:///x.db", "sqlite:///x.db?table=t&query=q", "sqlite:///x.db?table", "x"])
def test_a_url_that_says_too_little_or_too_much_is_refused(text: str) -> None:
    with pytest.raises(InputError):
        declared_from_url(text, usecase="calls")


@pytest.mark.parametrize(
    "url", ["oracle://u:n0t-shown@h/d", "postgresql://u:n0t-shown@h", "n0t-shown", "mysql+x://u:n0t-shown@h/d"]
)
def test_a_malformed_address_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(InputError) as caught:
        open_source("x", SqlSource(kind="sql", usecase="u", url=SecretStr(url), table="t"))
    assert "n0t-shown" not in str(caught.value)


def test_a_missing_file_is_told_and_not_made(tmp_path: Path) -> None:
    source = open_source("x", declared_from_url(f"sqlite:///{tmp_path}/absent.db?table=t", usecase="u"))
    with pytest.raises(SourceError, match="cannot be opened"):
        list(source.pull(None, folder=tmp_path))
    assert not (tmp_path / "absent.db").exists()


def test_a_declaration_says_table_or_query() -> None:
    with pytest.raises(ValidationError, match="either"):
        SqlSource(kind="sql", usecase="u", url=SecretStr("sqlite:///x"))


@pytest.mark.servers
@pytest.mark.parametrize("server", ["postgres_url", "mariadb_url"])
@pytest.mark.parametrize(
    ("old", "new", "error", "match"),
    [
        ("n0t-shown", "wr0ng", SourceError, "login"),
        ("/trunkline", "/absent", SourceError, "no such database"),
        ("127.0.0.1", "absent.invalid", UnavailableError, "host"),
        (":PORT", ":1", UnavailableError, "did not answer"),
    ],
)
def test_a_wrong_address_is_told_without_its_password(
    server: str, old: str, new: str, error: type[Exception], match: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    url: str = request.getfixturevalue(server)
    head, name = url.rsplit("/", 1)
    parts = {"/trunkline": f"/{name}", ":PORT": f":{head.rsplit(':', 1)[1]}"}
    old = parts.get(old, old)
    changed = f"{head}{new}" if old == f"/{name}" else url.replace(old, new)
    assert changed != url
    declared = SqlSource(kind="sql", usecase="u", url=SecretStr(changed), table="t")
    with pytest.raises(error, match=match) as caught:
        list(open_source("x", declared).pull(None, folder=tmp_path))
    assert "n0t-shown" not in str(caught.value)
    assert "wr0ng" not in str(caught.value)


def cut_connections(database: Database) -> None:
    """End every session but the test's own, as a server that goes down does."""
    if database.name == "postgresql":
        database.run(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE pid <> pg_backend_pid() AND datname = current_database()"
        )
        return
    listed = database.run(
        "SELECT id FROM information_schema.processlist WHERE db = DATABASE() AND id <> CONNECTION_ID()"
    )
    assert isinstance(listed, list)
    for (session,) in listed:
        database.run(f"KILL {session}")


@pytest.mark.servers
@pytest.mark.parametrize("server", ["postgresql", "mariadb"])
def test_what_landed_before_the_connection_was_cut_stays(
    server: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    database: Database = request.getfixturevalue(server)
    series = "seq_0_to_59999" if server == "mariadb" else "generate_series(0, 59999) AS seq"
    database.run(f"CREATE TABLE calls AS SELECT seq, repeat('x', 1000) AS note FROM {series}")  # beyond any buffer
    source = Puller(declare(database, table="calls", mode="incremental", cursor="seq", piece_rows=10_000), tmp_path)
    stream = source.source.pull(None, folder=tmp_path)
    given = source.taken(next(iter(stream)))
    cut_connections(database)
    with pytest.raises(UnavailableError, match="cut the connection"):
        given.extend(row for pulled in stream for row in source.taken(pulled))
    assert 10_000 <= len(given) < 60_000
    given += source.rows()
    assert sorted(int(str(row["seq"])) for row in given) == list(range(60_000))


@pytest.mark.servers
@pytest.mark.parametrize("server", ["postgresql", "mariadb"])
def test_a_user_without_rights_is_told(server: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    database: Database = request.getfixturevalue(server)
    make_calls(database)
    head, name = database.url.split("@")[1].rsplit("/", 1)
    user = f"reader_{name[-8:]}"
    if server == "postgresql":
        database.run(f"CREATE ROLE {user} LOGIN PASSWORD 'n0t-shown'")
    else:
        database.run(f"CREATE USER {user}@'%' IDENTIFIED BY 'n0t-shown'")
        database.run("CREATE TABLE other (n int)")
        database.run(f"GRANT SELECT ON other TO {user}")
    scheme = database.url.split("://")[0]
    database.url = f"{scheme}://{user}:n0t-shown@{head}/{name}"
    with pytest.raises(SourceError, match="may not read") as caught:
        Puller(declare(database, table="calls"), tmp_path).rows()
    assert "n0t-shown" not in str(caught.value)
    database.run(f"DROP {'ROLE' if server == 'postgresql' else 'USER'} {user}")


@pytest.mark.servers
@pytest.mark.parametrize("server", ["postgresql", "mariadb"])
def test_the_password_may_come_from_the_environment(
    server: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database: Database = request.getfixturevalue(server)
    make_calls(database)
    add(database, ("a", 1, 1))
    database.url = database.url.replace(":n0t-shown", "")
    monkeypatch.setenv("PGPASSWORD" if server == "postgresql" else "MYSQL_PWD", "n0t-shown")
    assert len(Puller(declare(database, table="calls"), tmp_path).rows()) == 1


@pytest.mark.servers
def test_what_python_has_no_value_for_arrives_as_text(postgresql: Database, mariadb: Database, tmp_path: Path) -> None:
    postgresql.run(
        "CREATE TABLE odd AS SELECT 'infinity'::timestamptz AS a, '0044-03-15 BC'::date AS b, 'NaN'::numeric AS c,"
        " interval '1 month 2 days' AS d, ARRAY[1, 2] AS e, '12:30:00'::time AS f, '20000-01-01'::timestamp AS g"
    )
    (row,) = Puller(declare(postgresql, table="odd"), tmp_path / "a").rows()
    assert list(row.values()) == [
        "infinity", "0044-03-15 BC", "NaN", "P1M2D", "{1,2}", "12:30:00", "20000-01-01T00:00:00",
    ]  # fmt: skip
    mariadb.run("SET sql_mode = ''")
    mariadb.run("CREATE TABLE odd (a datetime, b date, c time, d year, e bit(3), f enum('x', 'y'), g set('p', 'q'))")
    mariadb.run("INSERT INTO odd VALUES ('0000-00-00', '0000-00-00', '-838:59:59', 1999, b'101', 'y', 'p,q')")
    (row,) = Puller(declare(mariadb, table="odd"), tmp_path / "b").rows()
    assert list(row.values()) == ["0000-00-00T00:00:00", "0000-00-00", "-838:59:59", "1999", "5", "y", "p,q"]


@pytest.mark.servers
def test_infinite_times_do_not_end_an_incremental_source(postgresql: Database, tmp_path: Path) -> None:
    make_calls(postgresql, cursor="timestamptz")
    add(postgresql, ("a", 1, "2026-01-01"), ("never", 2, "infinity"))
    source = Puller(declare(postgresql, table="calls", mode="incremental", cursor="seq"), tmp_path)
    assert [row["call_id"] for row in source.rows()] == ["a"]
    add(postgresql, ("b", 1, "2026-01-02"))
    assert [row["call_id"] for row in source.rows()] == ["b"]


@pytest.mark.servers
def test_a_table_of_a_schema_is_found(postgresql: Database, tmp_path: Path) -> None:
    postgresql.run('CREATE SCHEMA "Net.1"; CREATE TABLE "Net.1".calls AS SELECT 1 AS n')
    assert Puller(declare(postgresql, table='"Net.1".calls'), tmp_path).rows() == [{"n": "1"}]


_MEASURED = """
import json, sys
from pathlib import Path
from pydantic import SecretStr
from tests.memory import own_peak_mb
from trunkline.ingest.sources import open_source
from trunkline.spec.sources import SqlSource

url, table, folder = sys.argv[1:]
rows = 0
for run in ("small", "large"):
    where = "n < 100000" if run == "small" else "1 = 1"
    said = SqlSource(kind="sql", usecase="u", url=SecretStr(url), query=f"SELECT * FROM {table} WHERE {where}",
                     mode="snapshot")
    import pyarrow.parquet as pq
    (Path(folder) / run).mkdir()
    for pulled in open_source("x", said).pull(None, folder=Path(folder) / run):
        rows = pq.ParquetFile(pulled.path).metadata.num_rows
    if run == "small":
        before = own_peak_mb()
print(json.dumps([rows, own_peak_mb() - before]))
"""


@pytest.mark.servers
@pytest.mark.parametrize("server", ["postgresql", "mariadb"])
def test_memory_is_bounded(server: str, request: pytest.FixtureRequest, tmp_path: Path, repository: Path) -> None:
    database: Database = request.getfixturevalue(server)
    if server == "postgresql":
        database.run(
            "CREATE TABLE wide AS SELECT n, repeat(md5(n::text), 10) AS t FROM generate_series(0, 299999) AS n"
        )
    else:
        database.run("CREATE TABLE wide AS SELECT seq AS n, repeat(md5(seq), 10) AS t FROM seq_0_to_299999")
    command = [sys.executable, "-c", _MEASURED, database.url, "wide", str(tmp_path)]
    done = subprocess.run(command, cwd=repository, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rows, grown_mb = json.loads(done.stdout)
    assert rows == 300_000
    assert grown_mb < 40  # the rows that only the second holds are 67 MB of text, twice that as Python's
