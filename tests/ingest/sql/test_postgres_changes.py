"""Logical replication of a real PostgreSQL: every change once, in the order of the commits."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar, Protocol

import pyarrow.parquet as pq
import pytest
from pydantic import SecretStr

from trunkline.contracts import Contract, Flag, Integer, Table, Text
from trunkline.contracts import field as described
from trunkline.errors import SourceError
from trunkline.ingest import Target
from trunkline.ingest.landing import Landing
from trunkline.ingest.pulling import pull
from trunkline.ingest.sources import Position, open_source
from trunkline.lake import Lake
from trunkline.spec.sources import PostgresChanges

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
        own = self.database.url.rsplit("_", 1)[1]  # slots are the server's, not the database's
        said = {"usecase": "u", "url": SecretStr(self.database.url), "table": "calls", "slot": f"s_{own}", **self.said}
        stream = open_source("calls", PostgresChanges.model_validate({"kind": "postgres_changes", **said})).pull(
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
def calls(postgresql: Database) -> Database:
    postgresql.run("CREATE TABLE calls (call_id int PRIMARY KEY, note text)")
    return postgresql


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
    calls.run("BEGIN; INSERT INTO calls VALUES (3, 'ü'); UPDATE calls SET note = 'b' WHERE call_id = 2; COMMIT")
    calls.run("DELETE FROM calls WHERE call_id = 1")
    calls.run("UPDATE calls SET call_id = 4 WHERE call_id = 3")
    then = puller.rows()
    assert said(then) == [
        ("insert", "3", "ü"),
        ("update", "2", "b"),
        ("delete", "1", None),
        ("delete", "3", None),
        ("update", "4", "ü"),
    ]
    places = [str(row["_commit_position"]) for row in first + then]
    assert places == sorted(places)
    assert [row["_deleted"] for row in then] == ["false", "false", "true", "true", "false"]
    assert then[0]["_committed_at"] == then[1]["_committed_at"]
    assert str(then[0]["_committed_at"]).endswith("Z")
    assert puller.rows() == []


def test_transactions_come_in_the_order_of_their_commits(calls: Database, puller: Puller) -> None:
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


def test_pieces_are_bounded_and_a_restart_goes_on_within_a_transaction(calls: Database, tmp_path: Path) -> None:
    puller = Puller(calls, tmp_path, piece_rows=3)
    calls.run("INSERT INTO calls SELECT n, 'first' FROM generate_series(1, 7) n")
    assert [len(piece) for piece in puller.pieces()] == [3, 3, 1]
    calls.run("INSERT INTO calls SELECT n, 'one transaction' FROM generate_series(10, 19) n")
    calls.run("INSERT INTO calls SELECT n, 'another' FROM generate_series(20, 24) n")
    given: list[Row] = []
    while rows := puller.rows(most=1):
        assert len(rows) <= 3
        given += rows
    assert [row["call_id"] for row in given] == [str(number) for number in range(10, 25)]


def test_a_snapshot_that_was_cut_ends_in_the_true_state(calls: Database, tmp_path: Path) -> None:
    puller = Puller(calls, tmp_path, piece_rows=2)
    calls.run("INSERT INTO calls SELECT n, 'old' FROM generate_series(1, 5) n")
    given = puller.rows(most=1)
    calls.run("DELETE FROM calls WHERE call_id = 1")
    calls.run("UPDATE calls SET note = 'new' WHERE call_id = 2")
    given += puller.rows()
    assert state(given) == {"2": "new", "3": "old", "4": "old", "5": "old"}


def test_changes_while_the_snapshot_is_read_are_not_lost(calls: Database, tmp_path: Path) -> None:
    puller = Puller(calls, tmp_path, piece_rows=2)
    calls.run("INSERT INTO calls SELECT n, 'old' FROM generate_series(1, 5) n")
    given: list[Row] = []
    for number, piece in enumerate(puller.pieces()):
        given += piece
        if number == 0:
            calls.run("DELETE FROM calls WHERE call_id = 5")
    assert state(given + puller.rows()) == {str(number): "old" for number in range(1, 5)}


def test_other_tables_of_the_publication_do_not_stop_it(calls: Database, tmp_path: Path) -> None:
    calls.run("CREATE TABLE other (n int PRIMARY KEY); CREATE PUBLICATION pair FOR TABLE calls, other")
    calls.run("INSERT INTO calls VALUES (1, 'a')")
    puller = Puller(calls, tmp_path, piece_rows=2, publication="pair")
    puller.rows()
    for number in range(10):
        calls.run(f"INSERT INTO other VALUES ({number})")
    assert puller.rows() == []
    calls.run("INSERT INTO calls VALUES (2, 'b')")
    assert said(puller.rows()) == [("insert", "2", "b")]


def test_a_column_that_is_added_begins_a_piece(calls: Database, puller: Puller) -> None:
    calls.run("INSERT INTO calls VALUES (1, 'a')")
    puller.rows()
    calls.run("INSERT INTO calls VALUES (2, 'b')")
    calls.run("ALTER TABLE calls ADD COLUMN seconds int")
    calls.run("INSERT INTO calls VALUES (3, 'c', 9)")
    narrow, wide = puller.pieces()
    assert "seconds" not in narrow[0]
    assert wide[0]["seconds"] == "9"


def test_large_values_that_stay_are_told_or_refused(calls: Database, puller: Puller) -> None:
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


def slot_of(puller: Puller) -> str:
    return f"s_{puller.database.url.rsplit('_', 1)[1]}"


def test_a_slot_that_is_gone_is_told_with_what_to_do(calls: Database, puller: Puller) -> None:
    calls.run("INSERT INTO calls VALUES (1, 'a')")
    puller.rows()
    calls.run(f"SELECT pg_drop_replication_slot('{slot_of(puller)}')")
    calls.run("UPDATE calls SET note = 'missed'")
    with pytest.raises(SourceError, match="is gone") as caught:
        puller.rows()
    assert "snapshot = 2" in caught.value.next_step
    puller.said["snapshot"] = 2
    assert said(puller.rows()) == [("snapshot", "1", "missed")]
    assert puller.rows() == []


def test_a_slot_that_somebody_moved_on_is_told(calls: Database, puller: Puller) -> None:
    calls.run("INSERT INTO calls VALUES (1, 'a')")
    puller.rows()
    calls.run("UPDATE calls SET note = 'missed'")
    calls.run(f"SELECT pg_replication_slot_advance('{slot_of(puller)}', pg_current_wal_lsn())")
    with pytest.raises(SourceError, match="moved on by somebody else"):
        puller.rows()


def test_an_emptied_table_asks_for_a_new_snapshot(calls: Database, puller: Puller) -> None:
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
def test_a_wrong_declaration_is_told(change: dict[str, object], match: str, calls: Database, tmp_path: Path) -> None:
    calls.run("CREATE PUBLICATION other")
    with pytest.raises(SourceError, match=match):
        Puller(calls, tmp_path, **change).rows()


def test_a_user_without_replication_is_told(calls: Database, tmp_path: Path) -> None:
    user = f"reader_{calls.url[-8:]}"
    calls.run(f"CREATE ROLE {user} LOGIN PASSWORD 'n0t-shown'; GRANT SELECT ON calls TO {user}")
    calls.run("CREATE PUBLICATION ours FOR TABLE calls")
    puller = Puller(calls, tmp_path, publication="ours", url=SecretStr(calls.url.replace("trunkline:", f"{user}:")))
    with pytest.raises(SourceError, match="may not") as caught:
        puller.rows()
    assert "REPLICATION" in caught.value.next_step
    calls.run(f"DROP OWNED BY {user}; DROP ROLE {user}")


class Call(Contract):
    table: ClassVar[Table] = Table(key=("call_id", "position"))

    call_id: Integer
    note: Text | None
    deleted: Flag = described(aliases=("_deleted",))
    position: Text = described(aliases=("_commit_position",))


def test_the_newest_change_of_a_key_is_its_state_in_the_lake(calls: Database, tmp_path: Path, lake: Lake) -> None:
    own = calls.url.rsplit("_", 1)[1]
    declared = PostgresChanges(
        kind="postgres_changes", usecase="u", url=SecretStr(calls.url), table="calls", slot=f"s_{own}", piece_rows=2
    )

    def now() -> datetime:
        return datetime.now(UTC)

    def take() -> int:
        landing = Landing(tmp_path / "landing", clock=now)
        source, target = open_source("calls", declared), Target("u", "calls", Call)
        taken = pull(source, target, landing=landing, locks=tmp_path / "locks", lake=lake, run_id="r", clock=now)
        return sum(one.receipt.accepted for one in taken)

    calls.run("INSERT INTO calls VALUES (1, 'a'), (2, 'b'), (3, 'c')")
    assert take() == 3
    calls.run("UPDATE calls SET note = 'z' WHERE call_id = 2")
    calls.run("DELETE FROM calls WHERE call_id = 1")
    calls.run("INSERT INTO calls VALUES (4, 'd')")
    calls.run("DELETE FROM calls WHERE call_id = 4")
    calls.run("INSERT INTO calls VALUES (4, 'e')")
    assert take() == 5
    assert take() == 0
    rows = lake.current("u.calls", key=("call_id",), newest_by=("position",))
    left = lake.engine.arrow(rows.filter(~rows["deleted"]).order_by("call_id").select("call_id", "note")).to_pylist()
    assert [(row["call_id"], row["note"]) for row in left] == [(2, "z"), (3, "c"), (4, "e")]
