"""The logs of real servers under the same tests: every change once, in the order of the commits."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import pytest
from pydantic import SecretStr
from tests.ingest.sql.conftest import receipts_of

from trunkline.contracts import Contract, Flag, Integer, Table, Text
from trunkline.contracts import field as described
from trunkline.contracts.records import Receipt
from trunkline.errors import SourceError
from trunkline.lake import Lake
from trunkline.lake.versions import current_rows

if TYPE_CHECKING:
    from tests.ingest.sql.conftest import Database, Puller, Row

pytestmark = pytest.mark.servers

MakePuller = Callable[..., "Puller"]


@pytest.fixture(params=["postgresql", "mariadb"])
def calls(request: pytest.FixtureRequest) -> "Database":
    database: Database = request.getfixturevalue(request.param)
    database.run("CREATE TABLE calls (call_id int PRIMARY KEY, note varchar(40))")
    return database


@pytest.fixture
def puller(calls: "Database", make_puller: MakePuller) -> "Puller":
    return make_puller(calls)


def insert(calls: "Database", note: str, first: int, last: int) -> None:
    """Insert the numbers from first to last by one statement."""
    numbers = (
        f"SELECT n, '{note}' FROM generate_series({first}, {last}) n"
        if calls.name == "postgresql"
        else f"SELECT seq, '{note}' FROM seq_{first}_to_{last}"
    )
    calls.run(f"INSERT INTO calls {numbers}")


def test_the_snapshot_comes_first_and_then_every_change(calls: "Database", puller: "Puller") -> None:
    calls.run("INSERT INTO calls VALUES (1, 'a'), (2, NULL)")
    first = puller.rows()
    assert puller.said(first) == [("snapshot", "1", "a"), ("snapshot", "2", None)]
    ((whole, (end,)),) = puller.ends
    assert (whole, end["_op"], end["_deleted"]) == ("snapshot-1", "delete", "true")
    assert end["_commit_position"] == first[0]["_commit_position"]
    assert puller.rows() == []
    calls.run("BEGIN")
    calls.run("INSERT INTO calls VALUES (3, 'ü')")
    calls.run("UPDATE calls SET note = 'b' WHERE call_id = 2")
    calls.run("COMMIT")
    calls.run("DELETE FROM calls WHERE call_id = 1")
    calls.run("UPDATE calls SET call_id = 4 WHERE call_id = 3")
    then = puller.rows()
    tells_all = calls.name == "mariadb"  # PostgreSQL's log tells the key of a row that is gone
    assert puller.said(then) == [
        ("insert", "3", "ü"),
        ("update", "2", "b"),
        ("delete", "1", "a" if tells_all else None),
        ("delete", "3", "ü" if tells_all else None),
        ("update", "4", "ü"),
    ]
    places = [str(row["_commit_position"]) for row in first + then]
    assert places == sorted(places)
    assert [row["_deleted"] for row in then] == ["false", "false", "true", "true", "false"]
    if calls.name == "postgresql":  # MariaDB's log has the time of each statement
        assert then[0]["_committed_at"] == then[1]["_committed_at"]
    assert str(then[0]["_committed_at"]).endswith("Z")
    assert puller.rows() == []


def test_pieces_are_bounded_and_a_restart_goes_on_within_a_transaction(
    calls: "Database", make_puller: MakePuller
) -> None:
    puller = make_puller(calls, piece_rows=3)
    insert(calls, "first", 1, 7)
    assert [len(piece) for piece in puller.pieces()] == [3, 3, 1]
    insert(calls, "one transaction", 10, 19)
    insert(calls, "another", 20, 24)
    given: list[Row] = []
    while rows := puller.rows(most=1):
        assert len(rows) <= 3
        given += rows
    assert [row["call_id"] for row in given] == [str(number) for number in range(10, 25)]


def test_a_transaction_with_savepoints_is_followed_from_any_change_of_it(
    calls: "Database", make_puller: MakePuller
) -> None:
    puller = make_puller(calls, piece_rows=1)
    insert(calls, "first", 1, 1)
    puller.rows()
    calls.run("BEGIN")
    for number, after in ((2, "SAVEPOINT a"), (3, "ROLLBACK TO SAVEPOINT a"), (4, "SAVEPOINT b"), (5, "COMMIT")):
        insert(calls, "one transaction", number, number)
        insert(calls, "one transaction", 10 * number, 10 * number + 1)
        calls.run(after)
    given: list[Row] = []
    while rows := puller.rows(most=1):
        given += rows
    assert [row["call_id"] for row in given] == ["2", "20", "21", "4", "40", "41", "5", "50", "51"]
    places = [str(row["_commit_position"]) for row in given]
    assert places == sorted(set(places))


def test_a_snapshot_that_was_cut_ends_in_the_true_state(calls: "Database", make_puller: MakePuller) -> None:
    puller = make_puller(calls, piece_rows=2)
    insert(calls, "old", 1, 5)
    given = puller.rows(most=1)
    calls.run("DELETE FROM calls WHERE call_id = 1")
    calls.run("UPDATE calls SET note = 'new' WHERE call_id = 2")
    given += puller.rows()
    assert puller.state(given) == {"2": "new", "3": "old", "4": "old", "5": "old"}


def test_a_snapshot_that_was_read_is_ended_without_reading_it_again(calls: "Database", puller: "Puller") -> None:
    insert(calls, "old", 1, 3)
    assert len(puller.rows(most=1)) == 3
    assert puller.ends == []
    calls.run("DELETE FROM calls WHERE call_id = 1")
    assert [row["_op"] for row in puller.rows()] == ["delete"]
    assert [whole for whole, _ in puller.ends] == ["snapshot-1"]


def test_a_new_snapshot_is_newer_wherever_the_log_stands(calls: "Database", make_puller: MakePuller) -> None:
    calls.run("INSERT INTO calls VALUES (1, 'a')")
    places = [str(make_puller(calls, snapshot=number).rows()[0]["_commit_position"]) for number in (10, 9, 1)]
    assert places == sorted(places, reverse=True)


def test_a_column_that_is_added_begins_a_piece(calls: "Database", puller: "Puller") -> None:
    calls.run("INSERT INTO calls VALUES (1, 'a')")
    puller.rows()
    calls.run("INSERT INTO calls VALUES (2, 'b')")
    calls.run("ALTER TABLE calls ADD COLUMN seconds int")
    calls.run("INSERT INTO calls VALUES (3, 'c', 9)")
    narrow, wide = puller.pieces()
    assert "seconds" not in narrow[0]
    assert wide[0]["seconds"] == "9"


def test_a_user_without_replication_is_told(calls: "Database", make_puller: MakePuller) -> None:
    user = f"reader_{calls.url[-8:]}"
    more: dict[str, object] = {}
    if calls.name == "postgresql":
        calls.run(f"CREATE ROLE {user} LOGIN PASSWORD 'n0t-shown'; GRANT SELECT ON calls TO {user}")
        calls.run("CREATE PUBLICATION ours FOR TABLE calls")
        more["publication"] = "ours"
    else:
        calls.run(f"CREATE USER {user}@'%' IDENTIFIED BY 'n0t-shown'")
        calls.run(f"GRANT SELECT ON calls TO {user}")
    puller = make_puller(calls, url=SecretStr(calls.url.replace("trunkline:", f"{user}:")), **more)
    calls.run("INSERT INTO calls VALUES (1, 'a')")
    with pytest.raises(SourceError, match="may not") as caught:
        puller.rows()
    assert "REPLICATION" in caught.value.next_step
    assert "n0t-shown" not in str(caught.value)
    calls.run(f"DROP OWNED BY {user}; DROP ROLE {user}" if calls.name == "postgresql" else f"DROP USER {user}")


class Call(Contract):
    """A call as the database has it, by its changes."""

    table: ClassVar[Table] = Table(key=("call_id",), ordered_by="position", deleted="deleted", unique="table")

    call_id: Integer = described()
    note: Text = described()  # which PostgreSQL leaves out of what it says of a deleted row
    deleted: Flag = described(aliases=("_deleted",))
    position: Text = described(aliases=("_commit_position",))


@dataclass
class Site:
    """Takes the changes of a table into a lake."""

    declared: dict[str, object]
    folder: Path
    lake: Lake

    def take(self, **said: object) -> list[Receipt]:
        """Pull, with something else declared; gives the receipts."""

        return receipts_of(self.lake, {**self.declared, **said}, Call, folder=self.folder)

    def state(self) -> list[tuple[object, ...]]:
        """What the lake holds of the table."""
        rows = current_rows(self.lake.read("u.calls"), Call, table="u.calls")
        kept = self.lake.engine.arrow(rows.order_by("call_id").select("call_id", "note")).to_pylist()
        return [tuple(row.values()) for row in kept]


@pytest.fixture
def site(calls: "Database", make_puller: MakePuller, tmp_path: Path, lake: Lake) -> Site:
    return Site({**make_puller(calls).declared, "piece_rows": 2}, tmp_path, lake)


@pytest.mark.parametrize("is_emptied", [False, True])
def test_keys_that_were_deleted_while_changes_were_lost_are_gone(
    is_emptied: bool, calls: "Database", site: Site
) -> None:
    insert(calls, "old", 1, 5)
    first = site.take()
    assert [(one.read, one.accepted) for one in first] == [(2, 2), (2, 2), (1, 1), (0, 0)]
    calls.run("DELETE FROM calls WHERE call_id = 1")
    site.take()
    calls.run("TRUNCATE calls")  # names no rows
    if not is_emptied:
        calls.run("INSERT INTO calls VALUES (2, 'new'), (4, 'old'), (6, 'new')")
    with pytest.raises(SourceError, match="emptied") as caught:
        site.take()
    assert "SNAPSHOT=2" in caught.value.next_step
    again = site.take(snapshot=2)
    kept = [] if is_emptied else [(2, "new"), (4, "old"), (6, "new")]
    gone = 4 if is_emptied else 2
    assert (again[-1].read, again[-1].accepted, again[-1].duplicates) == (gone, gone, 0)
    assert site.state() == kept
    assert site.take() == []  # asked for once, by a command
    calls.run("INSERT INTO calls VALUES (3, 'back')")
    calls.run("DELETE FROM calls WHERE call_id = 4")
    site.take()
    assert site.state() == sorted([(3, "back"), *(row for row in kept if row[0] != 4)])


def test_the_contract_says_which_change_counts_and_what_is_gone(calls: "Database", site: Site) -> None:
    state = site.state

    def take() -> int:
        return sum(one.accepted for one in site.take())

    calls.run("INSERT INTO calls VALUES (1, 'a'), (2, 'b'), (3, 'c')")
    assert take() == 3
    calls.run("UPDATE calls SET note = 'z' WHERE call_id = 2")
    calls.run("DELETE FROM calls WHERE call_id = 1")
    calls.run("INSERT INTO calls VALUES (4, 'd')")
    calls.run("DELETE FROM calls WHERE call_id = 4")
    calls.run("INSERT INTO calls VALUES (4, 'e')")
    # of the two changes of one key in one piece the first counts as a duplicate
    assert take() in (4, 5)
    assert take() == 0
    assert state() == [(2, "z"), (3, "c"), (4, "e")]
    calls.run("DELETE FROM calls WHERE call_id IN (2, 3)")
    assert take() == 2
    assert state() == [(4, "e")]
    calls.run("INSERT INTO calls VALUES (2, 'back')")
    assert take() == 1
    assert state() == [(2, "back"), (4, "e")]
