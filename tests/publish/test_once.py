"""What keeps no rows gets each row once, whatever becomes of the lake; one process at a time publishes a use case."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pydantic import SecretStr

from trunkline.errors import BusyError, UnavailableError
from trunkline.lake import held
from trunkline.publish import (
    ROW_ID,
    Capabilities,
    Delivery,
    Latest,
    Memory,
    Outbox,
    Plan,
    Position,
    Published,
    Publisher,
    Rows,
    Sink,
    Target,
    TargetColumn,
)
from trunkline.publish.composing import Asking, Composed, streamed
from trunkline.publish.messages import messages_of, row_key
from trunkline.run import Workspace
from trunkline.run.publishing import publisher_of
from trunkline.settings.publish import PublishSettings, SinkSettings
from trunkline.spec import UseCase

Trunkline = Callable[..., tuple[int, str, str]]
Put = Callable[[str, Sequence[str]], None]

CALLS = ("call_id,caller,minutes,called_on", *(f"c{n},0170 {n},{n},2026-01-0{n}" for n in range(1, 5)))
_AT = datetime(2026, 3, 1, tzinfo=UTC)


@dataclass
class Messages:
    """A receiver that keeps nothing and remembers what it was told, id by id; it breaks down where it is told to."""

    memory: Memory
    told: list[tuple[str, str]]
    down_after: int = 1_000
    wholes: list[bool] = field(default_factory=list)
    pieces: list[int] = field(default_factory=list)

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(name="messages", modes=frozenset(("append",)), remembers=False, views=False, keeps=False)

    @property
    def shown(self) -> str:
        return "messages://here"

    def check(self) -> None:
        """It is there."""

    def held(self, target: Target) -> str | None:  # noqa: ARG002 - as the protocol says
        return None

    def deliver(self, delivery: Delivery, rows: Rows) -> int:
        count = 0
        self.wholes.append(delivery.whole)
        for piece in rows():
            batch = self.memory.lacks(piece)
            if not batch.num_rows:
                continue
            if self.down_after == 0:
                raise UnavailableError("not now", where="here", next_step="wait")
            self.down_after -= 1
            for one in messages_of(delivery.target, batch):
                self.told.append((one.message_id, json.loads(one.body).get("call_id", "")))
            self.memory.add(delivery, batch)
            self.pieces.append(batch.num_rows)
            count += batch.num_rows
        return count

    def would(self, delivery: Delivery) -> tuple[str, ...]:
        return (delivery.target.name,)

    def show(self, latest: Latest) -> None:
        """It has no views."""

    def close(self) -> None:
        """Nothing is open."""


@dataclass
class Hearing:
    """Publishes the calls to a receiver, again and again."""

    workspace: Workspace
    outbox: Outbox
    table: str = "call_log"
    told: list[tuple[str, str]] = field(default_factory=list)
    wholes: list[bool] = field(default_factory=list)
    pieces: list[int] = field(default_factory=list)

    def publisher(self, *, chunk_rows: int = 10_000, down_after: int = 1_000) -> Publisher:
        said = SinkSettings(url=SecretStr("https://example.org/"), tables=(self.table,))
        settings = PublishSettings(sinks={"here": said}, attempts=1, chunk_rows=chunk_rows, wait_s=0)
        memory = Memory(self.outbox, "here")

        def opening(*_: object, **__: object) -> Sink:
            return Messages(memory, self.told, down_after, self.wholes, self.pieces)

        return Publisher(
            lake=self.workspace.lake,
            outbox=self.outbox,
            settings=settings,
            clock=self.workspace.clock,
            opening=opening,
        )

    def publish(
        self, *, chunk_rows: int = 10_000, down_after: int = 1_000, usecase: UseCase | None = None
    ) -> Published:
        publisher = self.publisher(chunk_rows=chunk_rows, down_after=down_after)
        (found,) = publisher.publish(usecase or self.workspace.usecase("lines"), run_id="r")
        return found

    def heard(self) -> list[str]:
        return sorted(name for _, name in self.told)


@pytest.fixture
def hearing(put: Put, workspace: Workspace, tmp_path: Path) -> Hearing:
    put("calls", CALLS)
    return Hearing(workspace, Outbox(tmp_path / "outbox.db"))


@pytest.mark.slow
def test_after_an_erasure_nobody_is_told_again(hearing: Hearing, put: Put) -> None:
    assert hearing.publish().rows == 4
    erased = hearing.workspace.lake.erase("lines.calls", "call_id", ["c1"])
    assert erased.rows == 1
    ((said, _),) = hearing.publisher().preview(hearing.workspace.usecase("lines"))
    assert said.rows == 0
    assert hearing.publish().rows == 0
    put("calls", (CALLS[0], "c5,0170 5,5,2026-01-05"))
    assert hearing.publish().rows == 1
    assert hearing.heard() == ["c1", "c2", "c3", "c4", "c5"]
    assert not any(hearing.wholes)


def test_another_form_of_the_rows_is_for_new_rows_alone(hearing: Hearing, put: Put) -> None:
    hearing.publish()
    usecase = hearing.workspace.usecase("lines")
    shorter = [replace(one, columns=("call_id",)) if one.name == "call_log" else one for one in usecase.publish]
    changed = replace(usecase, publish=tuple(shorter))
    assert hearing.publish(usecase=changed).state == "unchanged"
    put("calls", (CALLS[0], "c5,0170 5,5,2026-01-05"))
    assert hearing.publish(usecase=changed).rows == 1
    hearing.workspace.lake.erase("lines.calls", "call_id", ["c5"])
    assert hearing.publish().rows == 0
    assert hearing.heard() == ["c1", "c2", "c3", "c4", "c5"]


def test_what_an_expression_makes_goes_as_a_whole_each_time(hearing: Hearing, put: Put) -> None:
    hearing.table = "callers"
    assert hearing.publish(chunk_rows=1, down_after=2).state == "owed"
    assert hearing.publish(chunk_rows=100).rows == 2  # the other two
    put("calls", (CALLS[0], "c5,0170 5,5,2026-01-05"))
    assert hearing.publish().rows == 5
    assert all(hearing.wholes)
    assert len({name for name, _ in hearing.told}) == len(hearing.told) == 9


def test_a_delivery_that_broke_off_is_finished_with_other_pieces(hearing: Hearing) -> None:
    assert hearing.publish(chunk_rows=1, down_after=1).state == "owed"
    (owed,) = hearing.outbox.owed()
    assert owed.plan is not None
    assert owed.plan.chunk_rows == 1
    assert hearing.publish(chunk_rows=10_000).rows == 3
    assert hearing.pieces == [1, 1, 1, 1]  # one whose acknowledgement was lost comes with the same rows
    assert hearing.heard() == ["c1", "c2", "c3", "c4"]


def test_rows_of_one_key_are_in_one_order_and_named_for_good(workspace: Workspace) -> None:
    import ibis

    target = Target(
        "t",
        "u",
        (TargetColumn("id", "text", nullable=False), TargetColumn("n", "integer", nullable=True)),
        ("id",),
        "append",
    )
    rows = [{"id": "a", "n": n % 700} for n in range(1_400)]

    def given(order: Sequence[dict[str, Any]]) -> tuple[list[int], list[str]]:
        table = ibis.memtable(pa.Table.from_pylist(list(order)))
        named = table.select("id", "n", _trunkline_by_0=table["id"], _trunkline_by_1=table["n"])
        part = Composed(target, named, whole=False, named_by=("id", "n"))
        pieces = streamed(workspace.lake, part, chunk_rows=100, ordered=True, asking=Asking("", ""), place="p")
        found = pa.Table.from_batches(pieces())
        return found.column("n").to_pylist(), found.column(ROW_ID).to_pylist()

    numbers, names = given(rows)
    assert given(rows[::-1]) == (numbers, names)
    assert numbers == sorted(numbers)
    assert len(set(names)) == 1_400


def test_parts_of_a_key_do_not_run_into_one_another() -> None:
    columns = (TargetColumn("a", "text", nullable=False), TargetColumn("b", "text", nullable=False))
    target = Target("t", "u", columns, ("a", "b"), "append")
    assert row_key(target, {"a": "x|y", "b": "z"}) != row_key(target, {"a": "x", "b": "y|z"})


def test_a_plan_keeps_its_pieces_and_one_of_before_is_read() -> None:
    plan = Plan(None, Position("r", {}, {}, "b"), "run", _AT, 7)
    assert Plan.from_json(plan.to_json()) == plan
    old = {name: value for name, value in json.loads(plan.to_json()).items() if name != "chunk_rows"}
    assert Plan.from_json(json.dumps(old)).chunk_rows == 10_000


def test_what_is_asked_for_stays_pinned_however_quiet_it_is(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "outbox.db")
    outbox.settle("s", "u", "quiet", position=Position("r", {}, {"u.quiet": 3}, "b"), at=_AT)
    outbox.settle("s", "u", "gone", position=Position("r", {}, {"u.gone": 4}, "b"), at=_AT)
    for day in range(1, 60):
        at = _AT + timedelta(days=day)
        outbox.settle("s", "u", "quiet", position=None, at=at)
        outbox.settle("s", "u", "busy", position=Position("r", {}, {"u.busy": day}, "b"), at=at)
    assert set(outbox.versions()) == {("u.quiet", 3), ("u.busy", 59)}


def test_one_process_at_a_time_publishes_a_use_case(put: Put, workspace: Workspace, tmp_path: Path) -> None:
    put("calls", CALLS)
    assert workspace.settings.publish.lock_timeout_s == 60
    sinks = {"here": SinkSettings(url=SecretStr(f"file://{tmp_path}/out"))}
    publish = workspace.settings.publish.model_copy(update={"sinks": sinks, "lock_timeout_s": 0.0})
    lock = workspace.folder("locks") / "publish-lines.lock"
    usecase = workspace.usecase("lines")
    with Workspace(workspace.settings.model_copy(update={"publish": publish})) as other:
        with held(lock, what="this test"), pytest.raises(BusyError, match="publishing of lines"):
            publisher_of(other).publish(usecase, run_id="r")
        states = {one.state for one in publisher_of(other).publish(usecase, run_id="r")}
    assert states == {"delivered", "absent"}


def test_two_that_deliver_one_batch_add_it_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the second one learned before the first one delivered does not count: it asks again where it writes."""
    pytest.importorskip("sqlalchemy", reason="the extra sql is not installed")
    import sqlite3

    from trunkline.publish.sql import SqlSink

    url = f"sqlite:///{tmp_path}/out.db"
    target = Target("t", "u", (TargetColumn("id", "text", nullable=False),), (), "append")
    delivery = Delivery(target, "b1", whole=False, run_id="r", source={}, made_at=_AT)
    first, second = SqlSink(url), SqlSink(url)
    learned = second.held(target)
    assert learned is None
    monkeypatch.setattr(second, "held", lambda _: learned)

    def rows() -> Iterator[pa.RecordBatch]:
        yield pa.RecordBatch.from_pylist([{"id": "a"}, {"id": "b"}])

    assert first.deliver(delivery, rows) == 2
    assert second.deliver(delivery, rows) == 0
    with closing(sqlite3.connect(tmp_path / "out.db")) as connection:
        assert connection.execute("SELECT count(*) FROM t").fetchall() == [(2,)]
    first.close()
    second.close()
