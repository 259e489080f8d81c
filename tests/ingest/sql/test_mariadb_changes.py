"""The binary log of a real MariaDB: every change once, in the order of the commits."""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pydantic import SecretStr

from trunkline.errors import SourceError
from trunkline.ingest.sources import open_source
from trunkline.spec.sources import MariadbChanges

if TYPE_CHECKING:
    from tests.ingest.sql.conftest import Database, Puller

pytestmark = pytest.mark.servers

MakePuller = Callable[..., "Puller"]


@pytest.fixture
def calls(mariadb: "Database") -> "Database":
    mariadb.run("CREATE TABLE calls (call_id int PRIMARY KEY, note varchar(40))")
    return mariadb


@pytest.fixture
def puller(calls: "Database", make_puller: MakePuller) -> "Puller":
    return make_puller(calls)


def test_transactions_come_in_the_order_of_their_commits(calls: "Database", puller: "Puller") -> None:
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


def test_the_log_goes_on_in_another_file(calls: "Database", puller: "Puller") -> None:
    calls.run("INSERT INTO calls VALUES (1, 'a')")
    puller.rows()
    calls.run("INSERT INTO calls VALUES (2, 'b')")
    calls.run("FLUSH BINARY LOGS")
    calls.run("CREATE TABLE other (n int)")
    calls.run("INSERT INTO other VALUES (1)")
    calls.run("INSERT INTO calls VALUES (3, 'c')")
    assert puller.said(puller.rows()) == [("insert", "2", "b"), ("insert", "3", "c")]
    assert puller.rows() == []


def test_a_change_has_the_texts_of_a_snapshot(mariadb: "Database", make_puller: MakePuller) -> None:
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
    puller = make_puller(mariadb)
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


def test_a_purged_log_is_told_with_what_to_do(calls: "Database", puller: "Puller") -> None:
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
    puller.declared["snapshot"] = 2
    assert puller.said(puller.rows()) == [("snapshot", "1", "missed")]
    assert puller.rows() == []


@pytest.mark.parametrize("rows", [1, 60])
def test_a_log_that_was_begun_anew_is_told_and_the_new_snapshot_is_newer(
    rows: int, calls: "Database", puller: "Puller"
) -> None:
    calls.run("FLUSH BINARY LOGS")
    calls.run("RESET MASTER")
    calls.run("INSERT INTO calls SELECT seq, 'old' FROM seq_1_to_20")
    calls.run("UPDATE calls SET note = 'older' WHERE call_id > 1")
    before = puller.rows()
    calls.run("UPDATE calls SET note = 'last' WHERE call_id = 1")
    before += puller.rows()
    calls.run("RESET MASTER")
    for number in range(rows):  # its file has the name of the one before, and is shorter, or longer
        calls.run(f"INSERT INTO calls VALUES ({100 + number}, 'new')")
    with pytest.raises(SourceError, match="no longer holds") as caught:
        puller.rows()
    assert "snapshot = 2" in caught.value.next_step
    puller.declared["snapshot"] = 2
    after = puller.rows()
    assert len(after) == 20 + rows
    assert min(str(row["_commit_position"]) for row in after) > max(str(row["_commit_position"]) for row in before)


@pytest.mark.parametrize(
    "statement",
    [
        "TRUNCATE calls",
        "TRUNCATE TABLE `calls`",
        "DROP TABLE calls",
        "ALTER TABLE calls ADD COLUMN m int, RENAME TO gone",
        "ALTER TABLE calls TRUNCATE PARTITION low",
        "CREATE OR REPLACE TABLE calls (call_id int PRIMARY KEY)",
        "RENAME TABLES calls TO gone",
        "# nightly\nTRUNCATE TABLE calls",
        "/*M!100000 TRUNCATE TABLE calls */",
        "SET STATEMENT lock_wait_timeout = 9 FOR DROP TABLES calls",
    ],
)
def test_an_emptied_table_asks_for_a_new_snapshot(statement: str, calls: "Database", puller: "Puller") -> None:
    calls.run("CREATE TABLE recalls (n int)")
    calls.run("ALTER TABLE calls PARTITION BY RANGE (call_id) (PARTITION low VALUES LESS THAN (9))")
    calls.run("INSERT INTO calls VALUES (1, 'a')")
    puller.rows()
    calls.run("TRUNCATE recalls")
    calls.run("ALTER TABLE calls RENAME COLUMN note TO notes, COMMENT 'RENAME TO DROP PARTITION'")
    calls.run("ALTER TABLE calls RENAME  COLUMN notes TO note")
    calls.run("ALTER TABLE recalls RENAME TO others")
    assert puller.rows() == []
    calls.run(statement)
    with pytest.raises(SourceError, match="emptied") as caught:
        puller.rows()
    assert "snapshot = 2" in caught.value.next_step


def test_a_log_that_names_no_columns_is_told(calls: "Database", puller: "Puller") -> None:
    calls.run("SET GLOBAL binlog_row_metadata = 'NO_LOG'")
    try:
        with pytest.raises(SourceError, match="binlog_row_metadata is NO_LOG") as caught:
            puller.rows()
        assert "binlog_row_metadata = FULL" in caught.value.next_step
    finally:
        calls.run("SET GLOBAL binlog_row_metadata = 'FULL'")


def test_the_log_of_mysql_is_not_read(mysql_url: str, tmp_path: Path) -> None:
    said = {"kind": "mariadb_changes", "usecase": "u", "url": SecretStr(mysql_url), "table": "calls"}
    with pytest.raises(SourceError, match="is no MariaDB") as caught:
        list(open_source("calls", MariadbChanges.model_validate(said)).pull(None, folder=tmp_path))
    assert 'kind = "sql"' in caught.value.next_step
