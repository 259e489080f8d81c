"""Logical replication of a real PostgreSQL: every change once, in the order of the commits."""

import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from tests.servers.processes import program

from trunkline.errors import SourceError
from trunkline.ingest.sources.cdc import postgres

if TYPE_CHECKING:
    from tests.ingest.sql.conftest import Database, Puller, Row

pytestmark = pytest.mark.servers

MakePuller = Callable[..., "Puller"]


@pytest.fixture
def calls(postgresql: "Database") -> "Database":
    postgresql.run("CREATE TABLE calls (call_id int PRIMARY KEY, note text)")
    return postgresql


@pytest.fixture
def puller(calls: "Database", make_puller: MakePuller) -> "Puller":
    return make_puller(calls)


def test_transactions_come_in_the_order_of_their_commits(calls: "Database", puller: "Puller") -> None:
    import psycopg

    puller.rows()
    calls.run("INSERT INTO calls VALUES (0, 'anchor')")
    puller.rows()
    with psycopg.connect(calls.url) as first, psycopg.connect(calls.url) as second:
        first.execute("INSERT INTO calls VALUES (1, 'begun first')")
        second.execute("INSERT INTO calls VALUES (2, 'committed first')")
        second.commit()
        first.commit()
    calls.run("BEGIN; INSERT INTO calls VALUES (3, 'never'); ROLLBACK")
    assert [row["call_id"] for row in puller.rows()] == ["2", "1"]


def test_a_change_has_the_texts_of_a_snapshot(postgresql: "Database", make_puller: MakePuller) -> None:
    postgresql.run("CREATE TYPE state AS ENUM ('open', 'it''s')")
    postgresql.run("CREATE DOMAIN euros AS numeric(9,2); CREATE TYPE cell AS (mcc int, name text)")
    postgresql.run(
        "CREATE TABLE calls (call_id bigint PRIMARY KEY, a numeric, b numeric(12,3), c double precision, d real,"
        " e boolean, f date, g timestamp, h timestamptz, i time, j timetz, k interval, l bytea, m state, n text[],"
        " o jsonb, p json, q uuid, r inet, s bit(5), t char(5), u varchar(9), v money, w euros, x cell, y state[],"
        " z int4range, aa oid, bb text)"
    )
    postgresql.run(
        r"""INSERT INTO calls VALUES (9223372036854775807, 'NaN', -1.5, 0.1, 1e-7, true, 'infinity',
        '2026-07-01 10:00:00.25', '2026-07-01 10:00:00.125+02', '08:15:00.5', '08:15:00+02', '1 mon 2 days -03:00',
        '\x00ff5c', 'it''s', '{a,NULL,"b c"}', '{"a": [1, null]}', '{"b":  1}', '123e4567-e89b-42d3-a456-426655440000',
        '10.0.0.1/8', '10101', 'ab', 'ümläut', 12.3, 4.5, '(262,"x y")', '{open,it''s}', '[1,5)', 77,
        E'tab\t and \\ \n')"""
    )
    postgresql.run("INSERT INTO calls VALUES (1, 1e30, 0, '-Infinity', 'NaN', false, '0044-03-15 BC')")
    puller = make_puller(postgresql)
    before = puller.rows()
    assert len(before) == 2
    postgresql.run("CREATE TABLE copy AS SELECT * FROM calls; DELETE FROM calls")
    postgresql.run("INSERT INTO calls SELECT * FROM copy ORDER BY call_id DESC")
    inserted = [row for row in puller.rows() if row["_op"] == "insert"]
    own = [name for name in before[0] if not name.startswith("_")]
    assert len(own) == 29
    for ours, theirs in zip(before, inserted, strict=True):
        assert {name: ours[name] for name in own} == {name: theirs[name] for name in own}


def test_a_change_that_is_committed_where_a_snapshot_begins_is_newer(
    calls: "Database", make_puller: MakePuller
) -> None:
    import psycopg

    puller = make_puller(calls)
    calls.run("INSERT INTO calls VALUES (1, 'a'), (2, 'b')")
    puller.rows()
    with psycopg.connect(calls.url) as late:
        late.execute("UPDATE calls SET note = 'late' WHERE call_id = 1")
        calls.run("UPDATE calls SET note = 'z' WHERE call_id = 2")
        puller.rows()
        puller.position = None  # as where the slot was made by hand
        (shown, _) = puller.rows(most=1)
        late.commit()
    (change,) = puller.rows()
    assert (change["call_id"], change["note"]) == (shown["call_id"], "late") == ("1", "late")
    assert str(change["_commit_position"]) > str(shown["_commit_position"])


def test_changes_while_the_snapshot_is_read_are_not_lost(calls: "Database", make_puller: MakePuller) -> None:
    puller = make_puller(calls, piece_rows=2)
    calls.run("INSERT INTO calls SELECT n, 'old' FROM generate_series(1, 5) n")
    given: list[Row] = []
    for number, piece in enumerate(puller.pieces()):
        given += piece
        if number == 0:
            calls.run("DELETE FROM calls WHERE call_id = 5")
    assert puller.state(given + puller.rows()) == {str(number): "old" for number in range(1, 5)}


def test_other_tables_of_the_publication_do_not_stop_it(calls: "Database", make_puller: MakePuller) -> None:
    calls.run("CREATE TABLE other (n int PRIMARY KEY); CREATE PUBLICATION pair FOR TABLE calls, other")
    calls.run("INSERT INTO calls VALUES (1, 'a')")
    puller = make_puller(calls, piece_rows=2, publication="pair")
    puller.rows()
    for number in range(10):
        calls.run(f"INSERT INTO other VALUES ({number})")
    assert puller.rows() == []
    calls.run("INSERT INTO calls VALUES (2, 'b')")
    assert puller.said(puller.rows()) == [("insert", "2", "b")]


def test_large_values_that_stay_are_told_or_refused(calls: "Database", puller: "Puller") -> None:
    calls.run("ALTER TABLE calls ADD COLUMN seconds int, ALTER COLUMN note SET STORAGE EXTERNAL")
    large = "x" * 20_000
    calls.run(f"INSERT INTO calls VALUES (1, '{large}', 1)")
    puller.rows()
    calls.run("ALTER TABLE calls REPLICA IDENTITY FULL")
    calls.run("UPDATE calls SET seconds = 2")
    (row,) = puller.rows()
    assert (row["note"], row["seconds"]) == (large, "2")
    calls.run("DELETE FROM calls")
    (row,) = puller.rows()
    assert (row["_op"], row["note"]) == ("delete", large)
    calls.run(f"INSERT INTO calls VALUES (1, '{large}', 1)")
    puller.rows()
    calls.run("ALTER TABLE calls REPLICA IDENTITY DEFAULT")
    calls.run("UPDATE calls SET seconds = 3")
    with pytest.raises(SourceError, match="REPLICA IDENTITY FULL"):
        puller.rows()
    calls.run("ALTER TABLE calls REPLICA IDENTITY FULL")
    puller.declared["snapshot"] = 2  # begins behind the update that could not be told
    (row,) = puller.rows()
    assert (row["_op"], row["note"], row["seconds"]) == ("snapshot", large, "3")


def test_a_deleted_row_is_told_by_its_key(calls: "Database", puller: "Puller") -> None:
    calls.run("INSERT INTO calls VALUES (1, 'a'), (2, 'b')")
    puller.rows()
    calls.run("DELETE FROM calls WHERE call_id = 1")
    assert puller.said(puller.rows()) == [("delete", "1", None)]


@pytest.mark.parametrize("identity", ["DEFAULT", "NOTHING"])
def test_a_table_without_a_key_is_refused_before_it_is_published(
    identity: str, postgresql: "Database", make_puller: MakePuller
) -> None:
    postgresql.run(
        f"CREATE TABLE calls (call_id int NOT NULL, note text); ALTER TABLE calls REPLICA IDENTITY {identity}"
    )
    puller = make_puller(postgresql)
    with pytest.raises(SourceError, match="no key") as caught:
        puller.rows()
    assert "REPLICA IDENTITY FULL" in caught.value.next_step
    postgresql.run("INSERT INTO calls VALUES (1, 'a')")
    postgresql.run("DELETE FROM calls")  # which the server refuses where the table is published
    postgresql.run("ALTER TABLE calls REPLICA IDENTITY FULL")
    assert puller.rows() == []
    postgresql.run("INSERT INTO calls VALUES (1, 'a')")
    postgresql.run("DELETE FROM calls")
    assert puller.said(puller.rows()) == [("insert", "1", "a"), ("delete", "1", "a")]


def test_a_unique_index_may_be_the_key(postgresql: "Database", make_puller: MakePuller) -> None:
    postgresql.run("CREATE TABLE calls (call_id int NOT NULL, note text); CREATE UNIQUE INDEX one ON calls (call_id)")
    postgresql.run("ALTER TABLE calls REPLICA IDENTITY USING INDEX one; INSERT INTO calls VALUES (1, 'a')")
    puller = make_puller(postgresql)
    puller.rows()
    postgresql.run("UPDATE calls SET call_id = 2")
    assert puller.said(puller.rows()) == [("delete", "1", None), ("update", "2", "a")]


def test_a_key_that_was_renamed_since_its_change_is_still_the_key(calls: "Database", puller: "Puller") -> None:
    calls.run("INSERT INTO calls VALUES (1, 'a')")
    puller.rows()
    calls.run("UPDATE calls SET call_id = 2")
    calls.run("ALTER TABLE calls RENAME COLUMN call_id TO id")
    assert puller.said(puller.rows()) == [("delete", "1", None), ("update", "2", "a")]


def test_a_table_that_was_made_anew_asks_for_a_new_snapshot(calls: "Database", make_puller: MakePuller) -> None:
    calls.run("CREATE PUBLICATION everything FOR ALL TABLES")
    calls.run("INSERT INTO calls VALUES (1, 'a'), (2, 'b')")
    puller = make_puller(calls, publication="everything")
    puller.rows()
    calls.run("DROP TABLE calls; CREATE TABLE calls (call_id int PRIMARY KEY, note text)")
    calls.run("INSERT INTO calls VALUES (2, 'c')")
    with pytest.raises(SourceError, match="made anew") as caught:
        puller.rows()
    assert "snapshot = 2" in caught.value.next_step
    puller.declared["snapshot"] = 2
    assert puller.said(puller.rows()) == [("snapshot", "2", "c")]


def test_a_slot_that_is_gone_is_told_with_what_to_do(calls: "Database", puller: "Puller") -> None:
    calls.run("INSERT INTO calls VALUES (1, 'a')")
    puller.rows()
    calls.run(f"SELECT pg_drop_replication_slot('{puller.slot_of(calls)}')")
    calls.run("UPDATE calls SET note = 'missed'")
    with pytest.raises(SourceError, match="is gone") as caught:
        puller.rows()
    assert "snapshot = 2" in caught.value.next_step
    puller.declared["snapshot"] = 2
    assert puller.said(puller.rows()) == [("snapshot", "1", "missed")]
    assert puller.rows() == []
    puller.declared["snapshot"] = 1  # asked for once, by a command: the settings still say what they said
    assert puller.rows() == []
    calls.run(f"SELECT pg_drop_replication_slot('{puller.slot_of(calls)}')")
    with pytest.raises(SourceError, match="is gone") as again:
        puller.rows()
    assert "__SNAPSHOT=3 trunkline ingest" in again.value.next_step


@contextmanager
def held(database: "Database", slot: str) -> "Iterator[subprocess.Popen[bytes]]":
    """Let another process hold a slot, and tell the server nothing that would move it on."""
    said = ["-o", "proto_version=1", "-o", f"publication_names={slot}", "-f", os.devnull, "-s", "0", "-F", "0"]
    command = [program("pg_recvlogical", "postgresql"), "-d", database.url, "-S", slot, "--start", *said]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        until = time.monotonic() + 30
        while not is_active(database, slot):
            assert time.monotonic() < until
            threading.Event().wait(0.05)
        yield process
        process.kill()


def is_active(database: "Database", slot: str) -> bool:
    import psycopg

    with psycopg.connect(database.url) as look:
        found = look.execute("SELECT active FROM pg_replication_slots WHERE slot_name = %s", (slot,)).fetchone()
    return found == (True,)


def test_a_slot_that_a_killed_pull_still_holds_is_waited_for(calls: "Database", puller: "Puller") -> None:
    calls.run("INSERT INTO calls VALUES (1, 'a')")
    puller.rows()
    calls.run("INSERT INTO calls VALUES (2, 'b')")
    with held(calls, puller.slot_of(calls)) as other:
        threading.Timer(0.5, other.kill).start()
        assert puller.said(puller.rows()) == [("insert", "2", "b")]


def test_a_slot_that_stays_in_use_is_told(calls: "Database", puller: "Puller", monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "_FREE_WITHIN_S", 0.2)
    puller.rows()
    with held(calls, puller.slot_of(calls)), pytest.raises(SourceError, match="is in use") as caught:
        puller.rows()
    assert "one source, one slot" in caught.value.next_step


def test_a_slot_that_somebody_moved_on_is_told(calls: "Database", puller: "Puller") -> None:
    calls.run("INSERT INTO calls VALUES (1, 'a')")
    puller.rows()
    calls.run("UPDATE calls SET note = 'missed'")
    calls.run(f"SELECT pg_replication_slot_advance('{puller.slot_of(calls)}', pg_current_wal_lsn())")
    with pytest.raises(SourceError, match="moved on by somebody else"):
        puller.rows()


def test_an_emptied_table_asks_for_a_new_snapshot(calls: "Database", puller: "Puller") -> None:
    calls.run("INSERT INTO calls VALUES (1, 'a')")
    puller.rows()
    calls.run("TRUNCATE calls")
    with pytest.raises(SourceError, match="TRUNCATE") as caught:
        puller.rows()
    assert "snapshot = 2" in caught.value.next_step


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"table": "absent"}, "no such table"),
        ({"publication": "other"}, "does not hold the table"),
    ],
)
def test_a_wrong_declaration_is_told(
    change: dict[str, object], match: str, calls: "Database", make_puller: MakePuller
) -> None:
    calls.run("CREATE PUBLICATION other")
    with pytest.raises(SourceError, match=match):
        make_puller(calls, **change).rows()
