"""What every sink must do: one body of checks over all of them, for authors of sinks and for Trunkline's own.

Takes a stage, which opens the sink as often as a check asks and reads by other means what arrived, and raises
``AssertionError`` with what does not hold::

    @pytest.mark.parametrize("check", SINK_CHECKS, ids=lambda check: check.__name__)
    def test_sink(check: SinkCheck, stage: SinkStage) -> None:
        check(stage)

A check asks only for what the sink declares in its capabilities. Targets have names of their own, from ``stage.name``.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Final, Protocol

from trunkline.errors import InputError, TrunklineError, UnavailableError
from trunkline.publish import ROW_ID, Delivery, Latest, Rows, Sink, Target, TargetColumn

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["SINK_CHECKS", "SinkCheck", "SinkStage"]

Row = Mapping[str, object]

_AT: Final = datetime(2026, 3, 1, 12, 0, 0, 1, tzinfo=UTC)
_COLUMNS: Final = (
    TargetColumn("id", "text", nullable=False, max_length=40, description="Names the row"),
    TargetColumn("Größe MB", "number", nullable=True, description="100 % of it", unit="MB"),
    TargetColumn("calls", "integer", nullable=True),
    TargetColumn("note", "text", nullable=True),
    TargetColumn("is_open", "flag", nullable=True),
    TargetColumn("seen_on", "day", nullable=True),
    TargetColumn("seen_at", "instant", nullable=True),
)


class SinkStage(Protocol):
    """What an author brings along."""

    def open(self) -> Sink:
        """Open the sink once more, as another process would; the stage closes what it opened."""
        ...

    def name(self, name: str) -> str:
        """Give the name of a target that is not there yet, and the same one for the same name."""
        ...

    def rows(self, target: Target) -> Sequence[Row] | None:
        """Read what readers see of a target now, in any order, with Python's values; None where it is not there."""
        ...

    def shown(self, latest: Latest) -> Sequence[Row] | None:
        """Read what readers see under the name of a view; None where the sink has no views."""
        ...

    def drop(self, target: Target) -> None:
        """Take a target away behind the sink's back."""
        ...

    def unavailable(self) -> Sink:
        """Give a sink that cannot be reached, or raise as opening it does."""
        ...


SinkCheck = Callable[[SinkStage], None]
"""Checks one promise; raises ``AssertionError`` where it is not kept."""


def _hold(condition: bool, otherwise: str) -> None:
    if not condition:
        raise AssertionError(otherwise)


def _target(stage: SinkStage, name: str, mode: str) -> Target:
    key = () if mode == "append" else ("id",)
    return Target(stage.name(name), "checks", _COLUMNS, key, mode, "One row per check")  # type: ignore[arg-type]  # one of the modes


def _row(name: str, **more: object) -> dict[str, object]:
    return {
        "id": name,
        "Größe MB": 0.1,
        "calls": 7,
        "note": f"note of {name}",
        "is_open": True,
        "seen_on": date(2026, 2, 28),
        "seen_at": _AT,
    } | more


def _given(target: Target, rows: Sequence[Row], *, pieces: int = 2, ids: Sequence[str] = ()) -> Rows:
    import pyarrow as pa

    kinds = {"text": pa.string(), "number": pa.float64(), "integer": pa.int64(), "flag": pa.bool_()}
    kinds |= {"day": pa.date32(), "instant": pa.timestamp("us", tz="UTC")}
    schema = pa.schema([pa.field(column.name, kinds[column.kind]) for column in target.columns])

    def batches() -> "Iterator[pa.RecordBatch]":
        size = max(1, -(-len(rows) // pieces))
        for start in range(0, len(rows), size):
            batch = pa.RecordBatch.from_pylist([dict(row) for row in rows[start : start + size]], schema=schema)
            yield batch.append_column(ROW_ID, pa.array(ids[start : start + size])) if ids else batch

    return batches


def _delivery(target: Target, batch: str, *, whole: bool) -> Delivery:
    batch_id = hashlib.sha256(f"{target.name} {batch}".encode()).hexdigest()[:32]
    return Delivery(target, batch_id, whole, "run-1", {"checks.rows": 3}, _AT)


def _deliver(sink: Sink, target: Target, batch: str, rows: Sequence[Row], *, whole: bool) -> int:
    """Deliver rows; where the sink keeps none, each is named by target, content, and how often that occurred."""
    said = [f"{target.name} {sorted(row.items())}" for row in rows]
    named = [f"{one} {said[:place].count(one)}" for place, one in enumerate(said)]
    ids = [] if sink.capabilities.keeps else [hashlib.sha256(one.encode()).hexdigest()[:32] for one in named]
    return sink.deliver(_delivery(target, batch, whole=whole), _given(target, rows, ids=ids))


def _same(stage: SinkStage, target: Target, wanted: Sequence[Row], otherwise: str) -> None:
    found = stage.rows(target)
    _hold(found is not None, f"{otherwise}: the target is not there")
    assert found is not None
    by_id = [sorted((dict(row) for row in rows), key=lambda row: str(row["id"])) for rows in (found, wanted)]
    _hold(by_id[0] == by_id[1], f"{otherwise}: {by_id[0]} is there, {by_id[1]} was delivered")


def _modes(sink: Sink, *wanted: str) -> bool:
    return set(wanted) <= set(sink.capabilities.modes)


def replaces_all_rows_at_once(stage: SinkStage) -> None:
    """What a target holds is exchanged as a whole, and nobody sees a part of it."""
    sink = stage.open()
    if not _modes(sink, "replace"):
        return
    target = _target(stage, "whole", "replace")
    old = [_row(f"old {number}") for number in range(5)]
    new = [_row(f"new {number}", calls=number) for number in range(4)]
    _hold(_deliver(sink, target, "1", old, whole=True) == 5, "the rows were not counted")
    _same(stage, target, old, "the first rows are not as they were delivered")
    seen: list[object] = []

    def watched() -> "Iterator[pa.RecordBatch]":
        for batch in _given(target, new, pieces=4)():
            yield batch
            rows = stage.rows(target)
            seen.append(None if rows is None else sorted(str(row["id"]) for row in rows))

    sink.deliver(_delivery(target, "2", whole=True), watched)
    _hold(seen == [[f"old {number}" for number in range(5)]] * 4, f"readers saw a half-filled target: {seen}")
    _same(stage, target, new, "the old rows were not replaced")


def adds_rows_once(stage: SinkStage) -> None:
    """Rows are added batch by batch, and a batch that is delivered again adds nothing."""
    sink = stage.open()
    if not _modes(sink, "append"):
        return
    target = _target(stage, "added", "append")
    first, second = [_row("a"), _row("a"), _row("b")], [_row("c")]
    _deliver(sink, target, "1", first, whole=False)
    _deliver(stage.open(), target, "2", second, whole=False)
    _deliver(stage.open(), target, "2", second, whole=False)
    _same(stage, target, [*first, *second], "rows were added twice, or not at all")


def adds_all_rows_of_a_key(stage: SinkStage) -> None:
    """Rows that are added are all there, also those of one key."""
    sink = stage.open()
    if not _modes(sink, "append"):
        return
    target = replace(_target(stage, "repeated", "append"), key=("id",))
    rows = [_row("a", calls=1), _row("a", calls=2), _row("b", calls=3), _row("a", calls=4)]
    _deliver(sink, target, "1", rows[:3], whole=False)
    _deliver(sink, target, "2", rows[3:], whole=False)
    found = sorted(str(row["calls"]) for row in stage.rows(target) or ())
    _hold(found == ["1", "2", "3", "4"], f"of four rows, three of one key, these are there: {found}")


def sends_no_row_again(stage: SinkStage) -> None:
    """What keeps no rows gets each once, whatever delivery brings it: also where all rows are delivered anew."""
    sink = stage.open()
    if sink.capabilities.keeps:
        return
    target = _target(stage, "again", "append")
    first = [_row("a"), _row("b"), _row("c")]
    _hold(_deliver(sink, target, "1", first, whole=False) == 3, "the rows were not counted")
    count = _deliver(stage.open(), target, "2", [_row("new"), *first], whole=False)
    _hold(count == 1, f"of four rows, three of which are known, {count} went")
    _same(stage, target, [*first, _row("new")], "rows were sent again, or not at all")


def newer_rows_take_the_place_of_older_ones(stage: SinkStage) -> None:
    """Rows with a known key take its place, others are added; texts that differ in case or a space are other keys."""
    sink = stage.open()
    if not _modes(sink, "upsert"):
        return
    target = _target(stage, "keyed", "upsert")
    _deliver(sink, target, "1", [_row("a"), _row("A"), _row("a ")], whole=True)
    _deliver(sink, target, "2", [_row("a", calls=8, note=None), _row("b")], whole=False)
    _same(
        stage,
        target,
        [_row("a", calls=8, note=None), _row("A"), _row("a "), _row("b")],
        "rows by key are not as they were delivered",
    )
    _deliver(sink, target, "3", [], whole=False)
    _same(
        stage, target, [_row("a", calls=8, note=None), _row("A"), _row("a "), _row("b")], "a batch of none changed rows"
    )


def keeps_every_value(stage: SinkStage) -> None:
    """Values arrive as they are: quotes, other scripts, percent signs, the ends of numbers and of time, null."""
    sink = stage.open()
    target = _target(stage, "values", "replace" if _modes(sink, "replace") else "append")
    rows = [
        _row("plain"),
        _row("nulls", **{column.name: None for column in _COLUMNS[1:]}),
        _row("texts", note="'; DROP TABLE x; -- %s %(a)s \\ \" ` \t\n\r ö 語 😀 {} ? :name"),
        _row("empty", note=""),
        _row("edges", calls=-(10**18 - 1), **{"Größe MB": -1.7976931348623157e308}),
        _row("small", calls=10**18 - 1, **{"Größe MB": 5e-324}),
        _row("exact", **{"Größe MB": 0.1 + 0.2}),
        _row("times", seen_on=date(1970, 1, 1), seen_at=datetime(2026, 7, 1, 23, 59, 59, 999999, tzinfo=UTC)),
        _row("no", is_open=False),
    ]
    _deliver(sink, target, "1", rows, whole="replace" in sink.capabilities.modes)
    _same(stage, target, rows, "a value did not arrive as it was")


def rows_that_break_off_change_nothing(stage: SinkStage) -> None:
    """Where the rows end in an error, readers see what was there before, and the next delivery goes well."""
    sink = stage.open()
    if not sink.capabilities.keeps:
        return
    mode = "upsert" if _modes(sink, "upsert") else "append"
    whole = mode == "upsert"
    target = _target(stage, "broken", mode)
    old, new = [_row("old")], [_row("new 1"), _row("new 2")]
    _deliver(sink, target, "1", old, whole=whole)

    def broken() -> "Iterator[pa.RecordBatch]":
        yield next(_given(target, new)())
        raise UnavailableError("the lake went away")

    for attempt in (False, whole):
        try:
            sink.deliver(_delivery(target, "2", whole=attempt), broken)
        except UnavailableError:
            pass
        else:
            raise AssertionError("an error of the rows was swallowed")
        _same(stage, target, old, "rows of a delivery that broke off can be seen")
    _deliver(stage.open(), target, "2", new, whole=whole)
    _same(stage, target, new if whole else [*old, *new], "the delivery after one that broke off is not whole")


def knows_what_it_holds(stage: SinkStage) -> None:
    """A sink that remembers says which batch a target holds, and notices when it was taken away."""
    sink = stage.open()
    if not sink.capabilities.keeps:
        return
    target = _target(stage, "held", "replace" if _modes(sink, "replace") else "append")
    first = _delivery(target, "1", whole=True)
    _hold(sink.held(target) is None, "a delivery is held that never came")
    sink.deliver(first, _given(target, [_row("a")]))
    if not sink.capabilities.remembers:
        return
    again = stage.open()
    _hold(again.held(target) == first.batch_id, "a delivery that came is not held")
    stage.drop(target)
    _hold(stage.open().held(target) is None, "a target that was taken away is held")
    stage.open().deliver(first, _given(target, [_row("a")]))
    _same(stage, target, [_row("a")], "a target that was taken away is not filled again")


def follows_new_columns(stage: SinkStage) -> None:
    """A target with another column is filled anew under its name."""
    sink = stage.open()
    if not _modes(sink, "replace"):
        return
    target = _target(stage, "wider", "replace")
    _deliver(sink, target, "1", [_row("a")], whole=True)
    wider = replace(target, columns=(*target.columns, TargetColumn("added", "integer", nullable=True)))
    _hold(sink.held(wider) is None, "a target with other columns is held")
    _deliver(sink, wider, "2", [_row("a", added=5), _row("b", added=None)], whole=True)
    _same(stage, wider, [_row("a", added=5), _row("b", added=None)], "a new column did not arrive")


def shows_the_newest_under_one_name(stage: SinkStage) -> None:
    """A view follows the newest of dated targets."""
    sink = stage.open()
    if not sink.capabilities.views:
        return
    name = stage.name("latest")
    for day, wanted in (("20260101", [_row("a")]), ("20260102", [_row("b"), _row("c")])):
        target = replace(_target(stage, f"day_{day}", "replace"))
        _deliver(sink, target, day, wanted, whole=True)
        sink.show(Latest(name, target))
        found = stage.shown(Latest(name, target))
        _hold(found is not None, "there is no view")
        ids = sorted(str(row["id"]) for row in found or ())
        _hold(ids == [str(row["id"]) for row in wanted], f"the view shows {ids} on {day}")


def says_what_it_would_do(stage: SinkStage) -> None:
    """A dry run says something, names the target, and writes nothing."""
    sink = stage.open()
    target = _target(stage, "dry", "replace" if _modes(sink, "replace") else "append")
    said = sink.would(_delivery(target, "1", whole=True))
    _hold(bool(said) and any(target.name in line for line in said), "nothing is said of what would be done")
    _hold(not stage.rows(target), "a dry run wrote rows")


def says_when_it_cannot_be_reached(stage: SinkStage) -> None:
    """A sink that is away raises ``UnavailableError``, and says where and what to do."""
    target = _target(stage, "away", "append")
    error: TrunklineError | None = None
    try:
        sink = stage.unavailable()
        try:
            sink.check()
            _deliver(sink, target, "1", [_row("a")], whole=False)
        finally:
            sink.close()
    except TrunklineError as raised:
        error = raised
    _hold(isinstance(error, UnavailableError), f"a sink that is away raised {type(error).__name__}")
    _hold(error is not None and bool(error.where) and bool(error.next_step), "nothing is said that could be done")


def refuses_wrong_names_and_closes_twice(stage: SinkStage) -> None:
    """``close`` may be called again; ``shown`` has an address and no password."""
    sink = stage.open()
    sink.check()
    _hold(bool(sink.shown), "a sink has no address")
    _hold("n0t-shown" not in sink.shown, "a password is shown")
    _hold(bool(sink.capabilities.modes), "a sink follows no mode")
    sink.close()
    sink.close()


def refuses_what_is_somebody_elses(stage: SinkStage) -> None:
    """A target of another use case is not overwritten."""
    sink = stage.open()
    if not (sink.capabilities.keeps and _modes(sink, "replace")):
        return
    target = _target(stage, "theirs", "replace")
    _deliver(sink, target, "1", [_row("a")], whole=True)
    error: BaseException | None = None
    try:
        _deliver(sink, replace(target, usecase="others"), "2", [_row("b")], whole=True)
    except InputError as raised:
        error = raised
    _hold(error is not None, "a target of another use case was overwritten")
    _same(stage, target, [_row("a")], "a target of another use case was changed")


SINK_CHECKS: Final[tuple[SinkCheck, ...]] = (
    replaces_all_rows_at_once,
    adds_rows_once,
    adds_all_rows_of_a_key,
    sends_no_row_again,
    newer_rows_take_the_place_of_older_ones,
    keeps_every_value,
    rows_that_break_off_change_nothing,
    knows_what_it_holds,
    follows_new_columns,
    shows_the_newest_under_one_name,
    says_what_it_would_do,
    says_when_it_cannot_be_reached,
    refuses_wrong_names_and_closes_twice,
    refuses_what_is_somebody_elses,
)
"""All checks, each with a stage of its own."""
