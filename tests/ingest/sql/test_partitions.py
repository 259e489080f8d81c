"""Tables with partitions on real servers: changes come under the table's name, and the lake equals the server."""

import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import pytest
from pydantic import SecretStr
from tests.ingest.sql.conftest import receipts_of

from trunkline.contracts import Contract, Flag, Integer, Table, Text
from trunkline.contracts import field as described
from trunkline.errors import SourceError
from trunkline.lake import Lake
from trunkline.lake.versions import current_rows

if TYPE_CHECKING:
    from tests.ingest.sql.conftest import Database, Puller, Row

pytestmark = pytest.mark.servers

MakePuller = Callable[..., "Puller"]


class Call(Contract):
    """A call as the database has it, by its changes."""

    table: ClassVar[Table] = Table(key=("call_id",), ordered_by="position", deleted="deleted", unique="table")

    call_id: Integer = described()
    day: Integer | None = described()
    note: Text | None = described()
    deleted: Flag = described(aliases=("_deleted",))
    position: Text = described(aliases=("_commit_position",))


@dataclass
class Site:
    """Takes the changes of the table ``calls`` into a lake, by the number of the call alone."""

    database: "Database"
    declared: dict[str, object]
    folder: Path
    lake: Lake

    def take(self, **said: object) -> int:
        """Pull; gives the number of rows read."""

        taken = receipts_of(self.lake, {**self.declared, **said}, Call, folder=self.folder)
        return sum(receipt.read for receipt in taken)

    @property
    def is_equal(self) -> bool:
        """Whether the lake holds what the server does, row for row."""
        rows = current_rows(self.lake.read("u.calls"), Call, table="u.calls")
        kept = self.lake.engine.arrow(rows.order_by("call_id").select("call_id", "day", "note")).to_pylist()
        return [tuple(row.values()) for row in kept] == rows_of(self.database)


def rows_of(database: "Database") -> Sequence[object]:
    """What the server holds."""
    found = database.run("SELECT call_id, day, note FROM calls ORDER BY call_id")
    rows = found.fetchall() if hasattr(found, "fetchall") else found
    assert isinstance(rows, list)
    return rows


@pytest.fixture
def calls(postgresql: "Database") -> "Database":
    """Calls by day: days 1 to 9, 10 to 19, one partition of its own partitions, and a default."""
    postgresql.run("CREATE TABLE calls (call_id int, day int, note text, PRIMARY KEY (call_id, day))" + BY_DAY)
    postgresql.run("CREATE TABLE low PARTITION OF calls FOR VALUES FROM (1) TO (10)")
    postgresql.run("CREATE TABLE high PARTITION OF calls FOR VALUES FROM (10) TO (20)")
    postgresql.run("CREATE TABLE later PARTITION OF calls FOR VALUES FROM (20) TO (40) PARTITION BY HASH (call_id)")
    for part in range(2):
        postgresql.run(f"CREATE TABLE later_{part} PARTITION OF later FOR VALUES WITH (MODULUS 2, REMAINDER {part})")
    postgresql.run("CREATE TABLE other PARTITION OF calls DEFAULT")
    postgresql.run("INSERT INTO calls SELECT n, n, 'first' FROM generate_series(1, 45) n")
    return postgresql


BY_DAY = " PARTITION BY RANGE (day)"


@pytest.fixture
def site(calls: "Database", make_puller: MakePuller, tmp_path: Path, lake: Lake) -> Site:
    return Site(calls, {**make_puller(calls).declared, "piece_rows": 10}, tmp_path, lake)


def test_changes_across_partitions_come_under_the_name_of_the_table(calls: "Database", site: Site) -> None:
    assert site.take() == 45
    assert site.is_equal
    calls.run("INSERT INTO calls SELECT n, n, 'more' FROM generate_series(46, 50) n")
    calls.run("UPDATE calls SET note = 'same partition' WHERE call_id IN (1, 11, 21, 22, 41)")
    calls.run("UPDATE calls SET day = day + 10 WHERE call_id IN (2, 12, 32)")  # to another partition
    calls.run("UPDATE calls SET day = day - 1 WHERE call_id = 3")  # within it, of a row that is named by its day, too
    calls.run("DELETE FROM calls WHERE call_id % 7 = 0")
    calls.run("BEGIN; UPDATE calls SET day = 15 WHERE call_id = 4; UPDATE calls SET day = 4 WHERE call_id = 4; COMMIT")
    site.take()
    assert site.is_equal
    assert site.take() == 0


def test_a_row_that_moves_is_a_deletion_and_an_insertion(calls: "Database", make_puller: MakePuller) -> None:
    puller = make_puller(calls)
    puller.rows()
    calls.run("UPDATE calls SET day = 15 WHERE call_id = 2")
    told = puller.rows()
    assert [(row["_op"], row["call_id"], row["day"]) for row in told] == [("delete", "2", "2"), ("insert", "2", "15")]
    assert str(told[0]["_commit_position"]) < str(told[1]["_commit_position"])


def test_rows_of_a_partition_that_is_attached_are_read_once(calls: "Database", site: Site) -> None:
    site.take()
    calls.run("CREATE TABLE next (note text, day int NOT NULL, call_id int NOT NULL, PRIMARY KEY (call_id, day))")
    calls.run("INSERT INTO next SELECT 'before', 50, n FROM generate_series(100, 124) n")  # which no log tells
    calls.run("BEGIN; DELETE FROM calls WHERE call_id = 45; INSERT INTO next VALUES ('moved by hand', 50, 45)")
    calls.run("ALTER TABLE calls ATTACH PARTITION next FOR VALUES FROM (50) TO (60); COMMIT")
    calls.run("UPDATE calls SET note = 'after' WHERE call_id IN (1, 100)")
    calls.run("CREATE TABLE new PARTITION OF calls FOR VALUES FROM (60) TO (70)")
    calls.run("INSERT INTO calls VALUES (200, 60, 'new')")
    assert site.take() == 1 + 2 + 1 + 26 + 1
    assert site.is_equal
    assert site.take() == 0, "they are known by now"
    calls.run("DELETE FROM calls WHERE day = 50; UPDATE calls SET note = 'known' WHERE call_id = 200")
    assert site.take() == 27
    assert site.is_equal


@contextmanager
def unconfirmed(calls: "Database", statement: str) -> Iterator[None]:
    """Commit a statement that waits for a standby which does not answer: the log has it, and nobody sees it."""
    import psycopg

    def settle(*said: str) -> None:
        for one in said:
            calls.run(one)
        calls.run("SELECT pg_reload_conf()")

    def commit() -> None:
        with psycopg.connect(calls.url, autocommit=True) as other:
            other.execute("SET synchronous_commit = on")
            other.execute(statement.encode())

    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
    settle("ALTER SYSTEM SET synchronous_commit = local", "ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
    thread = threading.Thread(target=commit)
    confirms = threading.Timer(0.5, settle, ["ALTER SYSTEM RESET synchronous_standby_names"])
    try:
        thread.start()
        until = time.monotonic() + 30
        while calls.run(waiting).fetchone() != (1,):  # type: ignore[attr-defined]  # psycopg's cursor
            assert time.monotonic() < until
            threading.Event().wait(0.05)
        confirms.start()
        yield
    finally:
        if confirms.ident is not None:
            confirms.join()
        settle("ALTER SYSTEM RESET synchronous_standby_names", "ALTER SYSTEM RESET synchronous_commit")
        thread.join()


def test_a_new_partition_is_read_when_what_the_log_told_of_can_be_seen(
    calls: "Database", make_puller: MakePuller
) -> None:
    puller = make_puller(calls)
    puller.rows()
    calls.run("CREATE TABLE new PARTITION OF calls FOR VALUES FROM (60) TO (70)")
    calls.run("INSERT INTO calls VALUES (200, 60, 'old')")
    with unconfirmed(calls, "UPDATE calls SET note = 'newer' WHERE call_id = 200"):
        told = puller.rows()
    assert [(row["_op"], row["note"]) for row in told] == [
        ("insert", "old"),
        ("update", "newer"),
        ("snapshot", "newer"),
    ]


def test_a_partition_of_a_table_that_had_none_is_read(
    postgresql: "Database", make_puller: MakePuller, tmp_path: Path, lake: Lake
) -> None:
    postgresql.run("CREATE TABLE calls (call_id int, day int, note text, PRIMARY KEY (call_id, day))" + BY_DAY)
    postgresql.run("CREATE TABLE lone (LIKE calls INCLUDING ALL); INSERT INTO lone VALUES (1, 1, 'a')")
    site = Site(postgresql, make_puller(postgresql).declared, tmp_path, lake)
    site.take()
    postgresql.run("ALTER TABLE calls ATTACH PARTITION lone DEFAULT")
    site.take()
    assert site.is_equal


def test_reading_a_new_partition_goes_on_where_it_was_cut(calls: "Database", make_puller: MakePuller) -> None:
    puller = make_puller(calls, piece_rows=10)
    given = puller.rows()
    calls.run("CREATE TABLE next (LIKE calls INCLUDING ALL)")
    calls.run("INSERT INTO next SELECT n, 50, 'x' FROM generate_series(100, 124) n")
    calls.run("ALTER TABLE calls ATTACH PARTITION next FOR VALUES FROM (50) TO (60)")
    calls.run("DELETE FROM calls WHERE call_id < 9")
    given += puller.rows(most=2)  # the deletions, and ten of the rows
    calls.run("DELETE FROM calls WHERE call_id = 120")
    given += puller.rows()
    assert puller.state(given).keys() == {str(number) for number in (*range(9, 46), *range(100, 120), *range(121, 125))}
    assert puller.rows() == []


@pytest.mark.parametrize("seed", range(4))
def test_whatever_happens_between_pulls_that_are_cut_the_newest_of_each_key_is_what_the_server_has(
    seed: int, calls: "Database", make_puller: MakePuller
) -> None:
    draw, puller = random.Random(seed), make_puller(calls, piece_rows=5)
    given: list[Row] = []
    days, numbers = list(range(1, 50)), list(range(1, 46))

    def fresh() -> int:
        numbers.append(numbers[-1] + 1)
        return numbers[-1]

    def some(count: int) -> str:
        return ", ".join(str(draw.choice(numbers)) for _ in range(count))

    def attach() -> None:
        """A table with rows of its own, and with some that were taken out of others by hand, becomes a partition."""
        day = days[-1] + 1
        days.extend(range(day, day + 5))
        calls.run(f"CREATE TABLE own_{day} (LIKE calls INCLUDING ALL)")
        calls.run(f"INSERT INTO own_{day} VALUES ({fresh()}, {day}, 'attached'), ({fresh()}, {day}, 'too')")
        calls.run("BEGIN")
        calls.run(f"CREATE TEMP TABLE taken ON COMMIT DROP AS SELECT * FROM calls WHERE call_id IN ({some(9)})")
        calls.run("DELETE FROM calls WHERE call_id IN (SELECT call_id FROM taken)")
        calls.run(f"INSERT INTO own_{day} SELECT call_id, {day}, 'by hand' FROM taken")
        calls.run(f"ALTER TABLE calls ATTACH PARTITION own_{day} FOR VALUES FROM ({day}) TO ({day + 5})")
        calls.run("COMMIT")

    def create() -> None:
        day = days[-1] + 1
        days.extend(range(day, day + 5))
        calls.run(f"CREATE TABLE new_{day} PARTITION OF calls FOR VALUES FROM ({day}) TO ({day + 5})")

    def cut() -> None:
        given.extend(puller.rows(most=draw.randrange(1, 4)))

    does: list[Callable[[], object]] = [
        lambda: calls.run(f"INSERT INTO calls VALUES ({fresh()}, {draw.choice(days)}, 'new')"),
        lambda: calls.run(f"UPDATE calls SET note = '{fresh()}' WHERE call_id IN ({some(4)})"),
        lambda: calls.run(f"UPDATE calls SET day = {draw.choice(days)} WHERE call_id IN ({some(4)})"),
        lambda: calls.run(f"DELETE FROM calls WHERE call_id = {some(1)}"),
        attach,
        create,
        cut,
    ]
    for _ in range(60):
        draw.choices(does, weights=[5, 5, 5, 2, 1, 1, 4])[0]()
    while rows := puller.rows():
        given += rows
    newest = {row["call_id"]: row for row in sorted(given, key=lambda row: str(row["_commit_position"]))}
    held = sorted(
        (int(str(row["call_id"])), int(str(row["day"])), row["note"])
        for row in newest.values()
        if row["_deleted"] == "false"
    )
    assert held == rows_of(calls)


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("TRUNCATE low", "emptied by TRUNCATE"),
        ("ALTER TABLE calls DETACH PARTITION low", "detached or dropped"),
        ("DROP TABLE later_1", "detached or dropped"),
        ("VACUUM FULL high", "written anew"),
        ("TRUNCATE calls", "emptied by TRUNCATE"),
        ("TRUNCATE later", "emptied by TRUNCATE"),
    ],
)
def test_what_becomes_of_a_partition_as_a_whole_asks_for_a_new_snapshot(
    statement: str, told: str, calls: "Database", site: Site
) -> None:
    site.take()
    calls.run("UPDATE calls SET note = 'before' WHERE call_id = 11")
    calls.run(statement)
    calls.run("INSERT INTO calls VALUES (301, 11, 'after'), (302, 45, 'after')")
    with pytest.raises(SourceError, match=told):
        site.take()
    with pytest.raises(SourceError, match=told) as caught:
        site.take()
    assert "SNAPSHOT=2" in caught.value.next_step
    site.take(snapshot=2)
    assert site.is_equal
    calls.run("UPDATE calls SET note = 'since' WHERE call_id = 301")
    assert site.take() == 1
    assert site.is_equal


@pytest.mark.parametrize("end", ["DROP TABLE brief", "ALTER TABLE calls DETACH PARTITION brief", "TRUNCATE brief"])
def test_a_partition_that_came_and_went_between_two_pulls_is_told_until_a_new_snapshot(
    end: str, calls: "Database", site: Site
) -> None:
    site.take()
    calls.run("CREATE TABLE brief PARTITION OF calls FOR VALUES FROM (50) TO (60)")
    calls.run("INSERT INTO calls SELECT n, 1, 'landed' FROM generate_series(100, 115) n")
    calls.run("INSERT INTO calls VALUES (400, 55, 'brief')")
    calls.run(end)
    for _ in range(2):
        with pytest.raises(SourceError, match=r"came and went|new partition was emptied"):
            site.take()
    site.take(snapshot=2)
    assert site.is_equal


def test_a_publication_that_names_partitions_is_refused_with_what_to_run(
    calls: "Database", make_puller: MakePuller, tmp_path: Path, lake: Lake
) -> None:
    calls.run("CREATE PUBLICATION theirs FOR TABLE calls")
    site = Site(calls, make_puller(calls, publication="theirs").declared, tmp_path, lake)
    with pytest.raises(SourceError, match="by their partitions, and not by the table") as caught:
        site.take()
    calls.run(caught.value.next_step.split(";")[0])
    assert site.take() == 45
    calls.run("UPDATE calls SET note = 'told' WHERE call_id IN (5, 15)")
    assert site.take() == 2
    calls.run("ALTER PUBLICATION theirs SET (publish_via_partition_root = false)")
    calls.run("UPDATE calls SET note = 'not told' WHERE call_id IN (6, 16)")
    calls.run("ALTER PUBLICATION theirs SET (publish_via_partition_root = true)")
    for _ in range(2):
        with pytest.raises(SourceError, match="for a while"):
            site.take()
    site.take(snapshot=2)
    assert site.is_equal


@pytest.mark.parametrize("partitions", [2, 5])
def test_partitions_without_a_key_are_refused_with_what_to_run(
    partitions: int, postgresql: "Database", make_puller: MakePuller, tmp_path: Path, lake: Lake
) -> None:
    postgresql.run("CREATE TABLE calls (call_id int NOT NULL, day int, note text) PARTITION BY LIST (day)")
    for day in range(partitions):
        postgresql.run(f'CREATE TABLE "Day {day}" PARTITION OF calls FOR VALUES IN ({day})')
    postgresql.run("INSERT INTO calls VALUES (1, 0, 'a'), (2, 1, 'b'); ALTER TABLE calls REPLICA IDENTITY FULL")
    site = Site(postgresql, make_puller(postgresql).declared, tmp_path, lake)
    with pytest.raises(SourceError, match=f"{partitions} of {partitions} partitions have no key") as caught:
        site.take()
    assert "ALTER TABLE" in str(caught.value)
    postgresql.run("UPDATE calls SET note = 'c'")  # which the server refuses where the table is published
    postgresql.run(caught.value.next_step.partition("which all partitions get, or ")[2])
    site.take()
    postgresql.run("UPDATE calls SET day = 1, note = 'd' WHERE call_id = 1; DELETE FROM calls WHERE call_id = 2")
    site.take()
    assert site.is_equal


def test_a_partition_whose_changes_no_log_holds_is_refused(calls: "Database", make_puller: MakePuller) -> None:
    calls.run("CREATE UNLOGGED TABLE scratch (LIKE calls INCLUDING ALL)")
    calls.run("ALTER TABLE calls ATTACH PARTITION scratch FOR VALUES FROM (50) TO (60)")
    puller = make_puller(calls)
    with pytest.raises(SourceError, match="partition scratch is a foreign or an unlogged table") as caught:
        puller.rows()
    calls.run(caught.value.next_step.split(", or ")[0])
    assert len(puller.rows()) == 45


def test_the_right_to_read_the_table_is_enough_for_its_new_partitions(
    calls: "Database", make_puller: MakePuller
) -> None:
    user = f"reader_{calls.url[-8:]}"
    calls.run(f"CREATE ROLE {user} LOGIN REPLICATION PASSWORD 'n0t-shown'; GRANT SELECT ON calls TO {user}")
    calls.run("CREATE PUBLICATION ours FOR TABLE calls WITH (publish_via_partition_root = true)")
    puller = make_puller(calls, publication="ours", url=SecretStr(calls.url.replace("trunkline:", f"{user}:")))
    assert len(puller.rows()) == 45
    calls.run("CREATE TABLE new PARTITION OF calls FOR VALUES FROM (60) TO (70)")
    calls.run("INSERT INTO calls VALUES (9, 61, 'a')")
    assert [row["_op"] for row in puller.rows()] == ["insert", "snapshot"]
    calls.run(f"DROP OWNED BY {user}; DROP ROLE {user}")


def test_partitions_of_mariadb_are_no_matter_to_its_log(
    mariadb: "Database", make_puller: MakePuller, tmp_path: Path, lake: Lake
) -> None:
    mariadb.run(
        "CREATE TABLE calls (call_id int, day int, note varchar(40), PRIMARY KEY (call_id, day))" + BY_DAY + " ("
        "PARTITION low VALUES LESS THAN (10), PARTITION high VALUES LESS THAN (20),"
        "PARTITION rest VALUES LESS THAN (40))"
    )
    mariadb.run("INSERT INTO calls SELECT seq, seq, 'first' FROM seq_1_to_35")
    site = Site(mariadb, {**make_puller(mariadb).declared, "piece_rows": 10}, tmp_path, lake)
    assert site.take() == 35
    mariadb.run("INSERT INTO calls SELECT seq, 39, 'more' FROM seq_36_to_40")
    mariadb.run("UPDATE calls SET note = 'same partition' WHERE call_id IN (1, 11, 21)")
    mariadb.run("UPDATE calls SET day = day + 10 WHERE call_id IN (2, 12, 3)")
    mariadb.run("DELETE FROM calls WHERE call_id % 7 = 0")
    mariadb.run("ALTER TABLE calls ADD PARTITION (PARTITION new VALUES LESS THAN (50))")
    mariadb.run("INSERT INTO calls VALUES (50, 45, 'new')")
    mariadb.run("ALTER TABLE calls REORGANIZE PARTITION low, high INTO (PARTITION joined VALUES LESS THAN (20))")
    mariadb.run("UPDATE calls SET note = 'after' WHERE call_id IN (4, 50)")
    site.take()
    assert site.is_equal
    mariadb.run("ALTER TABLE calls TRUNCATE PARTITION rest")
    with pytest.raises(SourceError) as caught:
        site.take()
    assert "SNAPSHOT=2" in caught.value.next_step
    site.take(snapshot=2)
    assert site.is_equal
