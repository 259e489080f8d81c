"""The binary log of a real MariaDB: every change once, in the order of the commits."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import pyarrow.parquet as pq
import pytest
from pydantic import SecretStr

from trunkline.errors import SourceError
from trunkline.ingest.sources import Position, open_source
from trunkline.spec.sources import MariadbChanges

pytestmark = pytest.mark.servers

Row = dict[str, str | None]


class Database(Protocol):
    name: str
    url: str
    run: Callable[..., object]


class Puller:
    """Pulls again and again, each time from the position of the last piece that was taken."""

    def __init__(self, database: Database, folder: Path, **said: object) -> None:
        self.database, self.folder, self.said = database, folder, said
        self.position: Position | None = None
        self.pulls = 0

    def pieces(self, most: int | None = None) -> Iterator[list[Row]]:
        self.pulls += 1
        folder = self.folder / str(self.pulls)
        folder.mkdir()
        said = {"usecase": "u", "url": SecretStr(self.database.url), "table": "calls", **self.said}
        stream = open_source("calls", MariadbChanges.model_validate({"kind": "mariadb_changes", **said})).pull(
            self.position, folder=folder
        )
        for number, pulled in enumerate(stream, 1):
            self.position = json.loads(json.dumps(pulled.position))
            yield pq.read_table(pulled.path).to_pylist()
            if number == most:
                break
        stream.close()  # type: ignore[attr-defined]  # sources are generators

    def rows(self, most: int | None = None) -> list[Row]:
        return [row for piece in self.pieces(most) for row in piece]


@pytest.fixture
def calls(mariadb: Database) -> Database:
    mariadb.run("CREATE TABLE calls (call_id int PRIMARY KEY, note varchar(40))")
    return mariadb


@pytest.fixture
def puller(calls: Database, tmp_path: Path) -> Puller:
    return Puller(calls, tmp_path)


def said(rows: list[Row]) -> list[tuple[str | None, ...]]:
    return [(row["_op"], row["call_id"], row["note"]) for row in rows]


def state(rows: list[Row]) -> dict[str | None, str | None]:
    """What the rows make of an empty table."""
    held: dict[str | None, str | None] = {}
    for row in rows:
        if row["_deleted"] == "true":
            held.pop(row["call_id"], None)
        else:
            held[row["call_id"]] = row["note"]
    return held


def test_the_snapshot_comes_first_and_then_every_change(calls: Database, puller: Puller) -> None:
    calls.run("INSERT INTO calls VALUES (1, 'a'), (2, NULL)")
    first = puller.rows()
    assert said(first) == [("snapshot", "1", "a"), ("snapshot", "2", None)]
    assert puller.rows() == []
    calls.run("BEGIN")
    calls.run("INSERT INTO calls VALUES (3, 'ü')")
    calls.run("UPDATE calls SET note = 'b' WHERE call_id = 2")
    calls.run("COMMIT")
    calls.run("DELETE FROM calls WHERE call_id = 1")
    calls.run("UPDATE calls SET call_id = 4 WHERE call_id = 3")
    then = puller.rows()
    assert said(then) == [
        ("insert", "3", "ü"),
        ("update", "2", "b"),
        ("delete", "1", "a"),
        ("delete", "3", "ü"),
        ("update", "4", "ü"),
    ]
    places = [str(row["_commit_position"]) for row in first + then]
    assert places == sorted(places)
    assert [row["_deleted"] for row in then] == ["false", "false", "true", "true", "false"]
    assert str(then[0]["_committed_at"]).endswith("Z")
    assert puller.rows() == []


def test_transactions_come_in_the_order_of_their_commits(calls: Database, puller: Puller) -> None:
    import pymysql
    from sqlalchemy import make_url

    at = make_url(calls.url)

    def connected() -> "pymysql.Connection[pymysql.cursors.Cursor]":
        assert at.host is not None
        assert at.port is not None
        return pymysql.connect(
            host=at.host, port=at.port, user=at.username, password=str(at.password), database=at.database
        )

    calls.run("INSERT INTO calls VALUES (0, 'anchor')")
    puller.rows()
    with connected() as first, connected() as second:
        first.cursor().execute("INSERT INTO calls VALUES (1, 'begun first')")
        second.cursor().execute("INSERT INTO calls VALUES (2, 'committed first')")
        second.commit()
        first.commit()
        second.cursor().execute("INSERT INTO calls VALUES (3, 'never')")
        second.rollback()
    assert [row["call_id"] for row in puller.rows()] == ["2", "1"]


def test_pieces_are_bounded_and_a_restart_goes_on_within_a_transaction(calls: Database, tmp_path: Path) -> None:
    puller = Puller(calls, tmp_path, piece_rows=3)
    calls.run("INSERT INTO calls SELECT seq, 'first' FROM seq_1_to_7")
    assert [len(piece) for piece in puller.pieces()] == [3, 3, 1]
    calls.run("INSERT INTO calls SELECT seq, 'one transaction' FROM seq_10_to_19")
    calls.run("INSERT INTO calls SELECT seq, 'another' FROM seq_20_to_24")
    given: list[Row] = []
    while rows := puller.rows(most=1):
        assert len(rows) <= 3
        given += rows
    assert [row["call_id"] for row in given] == [str(number) for number in range(10, 25)]


def test_a_snapshot_that_was_cut_ends_in_the_true_state(calls: Database, tmp_path: Path) -> None:
    puller = Puller(calls, tmp_path, piece_rows=2)
    calls.run("INSERT INTO calls SELECT seq, 'old' FROM seq_1_to_5")
    given = puller.rows(most=1)
    calls.run("DELETE FROM calls WHERE call_id = 1")
    calls.run("UPDATE calls SET note = 'new' WHERE call_id = 2")
    given += puller.rows()
    assert state(given) == {"2": "new", "3": "old", "4": "old", "5": "old"}


def test_the_log_goes_on_in_another_file(calls: Database, puller: Puller) -> None:
    calls.run("INSERT INTO calls VALUES (1, 'a')")
    puller.rows()
    calls.run("INSERT INTO calls VALUES (2, 'b')")
    calls.run("FLUSH BINARY LOGS")
    calls.run("CREATE TABLE other (n int)")
    calls.run("INSERT INTO other VALUES (1)")
    calls.run("INSERT INTO calls VALUES (3, 'c')")
    assert said(puller.rows()) == [("insert", "2", "b"), ("insert", "3", "c")]
    assert puller.rows() == []


def test_a_column_that_is_added_begins_a_piece(calls: Database, puller: Puller) -> None:
    calls.run("INSERT INTO calls VALUES (1, 'a')")
    puller.rows()
    calls.run("INSERT INTO calls VALUES (2, 'b')")
    calls.run("ALTER TABLE calls ADD COLUMN seconds int")
    calls.run("INSERT INTO calls VALUES (3, 'c', 9)")
    narrow, wide = puller.pieces()
    assert "seconds" not in narrow[0]
    assert wide[0]["seconds"] == "9"


def test_a_change_has_the_texts_of_a_snapshot(mariadb: Database, tmp_path: Path) -> None:
    mariadb.run(
        "CREATE TABLE calls (call_id bigint unsigned PRIMARY KEY, a tinyint, b decimal(20,4), c double, d boolean,"
        " e date, f datetime(6), g timestamp(3) NULL, h time(2), i year, j bit(5), k enum('x', 'y'), l set('p', 'q'),"
        " m varchar(20), n text, o json, p varbinary(10), q blob, r char(5), s smallint, t datetime, u date, v uuid,"
        " w binary(4))"
    )
    mariadb.run("SET sql_mode = ''")
    mariadb.run(
        "INSERT INTO calls VALUES (18446744073709551615, -5, -1.5, 0.1, true, '2026-02-28', '2026-07-01 10:00:00.25',"
        " '2026-07-01 08:15:00.125', '-101:02:03.5', 1999, b'10101', 'y', 'p,q', 'ümläut', '', '{\"a\": [1]}', x'00ff',"
        " x'0102', 'ab', -300, '2026-07-01 10:00:00', '0000-00-00',"
        " '0e37df36-f698-11e6-8dd4-cb9ced3df976', x'01000000')"
    )
    mariadb.run("INSERT INTO calls (call_id, l, v) VALUES (1, '', '123e4567-e89b-42d3-a456-426655440000')")
    puller = Puller(mariadb, tmp_path)
    before = puller.rows()
    assert len(before) == 2
    mariadb.run("UPDATE calls SET s = 1 WHERE call_id = 1")
    mariadb.run("CREATE TABLE copy AS SELECT * FROM calls")
    mariadb.run("DELETE FROM calls")
    mariadb.run("INSERT INTO calls SELECT * FROM copy ORDER BY call_id")
    inserted = [row for row in puller.rows() if row["_op"] == "insert"]
    own = [name for name in before[0] if not name.startswith("_")]
    before[0]["s"] = "1"
    for ours, theirs in zip(before, inserted, strict=True):
        assert {name: ours[name] for name in own} == {name: theirs[name] for name in own}


def test_a_purged_log_is_told_with_what_to_do(calls: Database, puller: Puller) -> None:
    calls.run("INSERT INTO calls VALUES (1, 'a')")
    puller.rows()
    calls.run("UPDATE calls SET note = 'missed'")
    calls.run("CREATE TABLE other (n int)")
    assert puller.position is not None
    until = time.monotonic() + 30
    while str(puller.position["file"]) in str(calls.run("SHOW BINARY LOGS")):
        assert time.monotonic() < until
        calls.run("INSERT INTO other VALUES (1)")  # the server keeps a file until InnoDB, which lags, has no use for it
        calls.run("FLUSH ENGINE LOGS")
        calls.run("FLUSH BINARY LOGS")
        status = calls.run("SHOW MASTER STATUS")
        assert isinstance(status, list)
        calls.run(f"PURGE BINARY LOGS TO '{status[0][0]}'")
        threading.Event().wait(0.05)
    with pytest.raises(SourceError, match="purged") as caught:
        puller.rows()
    assert "snapshot = 2" in caught.value.next_step
    puller.said["snapshot"] = 2
    assert said(puller.rows()) == [("snapshot", "1", "missed")]
    assert puller.rows() == []


@pytest.mark.parametrize("statement", ["TRUNCATE calls", "TRUNCATE TABLE `calls`", "DROP TABLE calls"])
def test_an_emptied_table_asks_for_a_new_snapshot(statement: str, calls: Database, puller: Puller) -> None:
    calls.run("CREATE TABLE recalls (n int)")
    calls.run("INSERT INTO calls VALUES (1, 'a')")
    puller.rows()
    calls.run("TRUNCATE recalls")
    assert puller.rows() == []
    calls.run(statement)
    with pytest.raises(SourceError, match="emptied") as caught:
        puller.rows()
    assert "snapshot = 2" in caught.value.next_step


def test_a_log_that_names_no_columns_is_told(calls: Database, puller: Puller) -> None:
    calls.run("SET GLOBAL binlog_row_metadata = 'NO_LOG'")
    try:
        with pytest.raises(SourceError, match="binlog_row_metadata is NO_LOG") as caught:
            puller.rows()
        assert "binlog_row_metadata = FULL" in caught.value.next_step
    finally:
        calls.run("SET GLOBAL binlog_row_metadata = 'FULL'")


def test_a_user_without_replication_is_told(calls: Database, tmp_path: Path) -> None:
    user = f"reader_{calls.url[-8:]}"
    calls.run(f"CREATE USER {user}@'%' IDENTIFIED BY 'n0t-shown'")
    calls.run(f"GRANT SELECT ON calls TO {user}")
    puller = Puller(calls, tmp_path, url=SecretStr(calls.url.replace("trunkline:", f"{user}:")))
    calls.run("INSERT INTO calls VALUES (1, 'a')")
    with pytest.raises(SourceError, match="may not") as caught:
        puller.rows()
    assert "REPLICATION" in caught.value.next_step
    assert "n0t-shown" not in str(caught.value)
    calls.run(f"DROP USER {user}")
