"""Rows that repeat a key, dropped on their way: what is left is what a look at all rows at once leaves."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import ClassVar, Literal

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trunkline.checks import ROW, arrow_schema
from trunkline.contracts import Contract, Day, Flag, Instant, Integer, Number, Table, Text, field
from trunkline.engine import Engine
from trunkline.ingest import Target, ingest_file, sieve
from trunkline.ingest.repeats import KeyOrder, Keys, repeated
from trunkline.ingest.sieve import Sieve
from trunkline.lake import Lake


class Last(Contract):
    table: ClassVar[Table] = Table(key=("number",))

    number: Integer
    word: Text
    day: Day
    share: Number
    flag: Flag
    at: Instant | None = field()


class FirstByWord(Last):
    table: ClassVar[Table] = Table(key=("word",), keep="first")


class LastOfEvent(Last):
    table: ClassVar[Table] = Table(key=("number",), event_at="at")


class FirstOfEvent(Last):
    table: ClassVar[Table] = Table(key=("word", "number"), event_at="at", keep="first")


class OfManyKinds(Last):
    table: ClassVar[Table] = Table(key=("flag", "share", "day"), event_at="day")


START = datetime(2026, 1, 1, tzinfo=UTC)

some_row = st.fixed_dictionaries(
    {
        "number": st.integers(-2, 6),
        "word": st.sampled_from(["a", "b", "é", "ab"]),
        "day": st.integers(0, 2).map(lambda day: date(2026, 1, 1) + timedelta(days=day)),
        "share": st.sampled_from([0.0, -0.0, 0.5]),
        "flag": st.booleans(),
        "at": st.none() | st.integers(0, 3).map(lambda hour: START + timedelta(hours=hour)),
    }
)


def best(rows: list[dict[str, object]], table: Table) -> list[int]:
    """Numbers of the rows to keep, found one by one."""
    kept: dict[tuple[object, ...], tuple[tuple[bool, object, int], int]] = {}
    is_last = table.keep == "last"
    for number, row in enumerate(rows):
        at = row[table.event_at] if table.event_at else 0
        # null is oldest where the last is kept, and last where the first is
        order = (at is not None if is_last else at is None, at or START, number)
        key = tuple(row[name] for name in table.key)
        if key not in kept or (order > kept[key][0] if is_last else order < kept[key][0]):
            kept[key] = order, number
    return sorted(number for _, number in kept.values())


@pytest.mark.slow
@pytest.mark.parametrize("contract", [Last, FirstByWord, LastOfEvent, FirstOfEvent, OfManyKinds])
@pytest.mark.parametrize(("held_bytes", "most_marks"), [(1 << 20, 1 << 20), (300, 1 << 20), (1, 1 << 20), (300, 3)])
def test_what_is_left(
    contract: type[Contract], held_bytes: int, most_marks: int, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sieve, "_HELD_BYTES", held_bytes)
    monkeypatch.setattr(sieve, "_MOST_MARKS", most_marks)
    schema, table = arrow_schema(contract).insert(0, pa.field(ROW, pa.int64())), contract.table
    keys = Keys(contract, engine=engine)

    @settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(rows=st.lists(some_row, max_size=40), size=st.integers(1, 12))
    def prove(rows: list[dict[str, object]], size: int) -> None:
        whole = pa.Table.from_pylist([{ROW: number, **row} for number, row in enumerate(rows)], schema)
        left: list[pa.Table] = [whole.slice(0, 0)]
        order = KeyOrder()
        with Sieve(keys, write=left.append, threads=2) as sifted:
            for start in range(0, len(rows), size):
                part = whole.slice(start, size).combine_chunks()
                order.follow(KeyOrder.of(part, table.key))
                sifted.add(part)
            may_repeat = sifted.finish(order=order)
        found = pa.concat_tables(left)
        again = repeated(engine.table(found), table, engine=engine)
        assert may_repeat or again is None
        doomed = [] if again is None else again.to_pylist()
        assert sorted(set(found.column(ROW).to_pylist()) - set(doomed)) == best(rows, table)
        if held_bytes == 1 << 20 and most_marks == 1 << 20:
            assert not may_repeat

    prove()


class Keyless(Contract):
    word: Literal["a", "b"]


def test_rows_without_a_key_pass(engine: Engine) -> None:
    left: list[pa.Table] = []
    rows = pa.table({ROW: pa.array([1, 2], pa.int64()), "word": ["a", "a"]})
    with Sieve(Keys(Keyless, engine=engine), write=left.append, threads=1) as sifted:
        sifted.add(rows)
        sifted.add(rows)
        assert not sifted.finish(order=KeyOrder())
    assert [part.num_rows for part in left] == [4], "blocks are written together"


def test_what_cannot_be_written_is_told(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sieve, "_HELD_BYTES", 1)

    def full(_rows: pa.Table) -> None:
        raise OSError("no space left")

    rows = pa.table({ROW: pa.array([1, 2], pa.int64()), "word": ["a", "a"]})

    def take() -> None:
        with Sieve(Keys(FirstByWord, engine=engine), write=full, threads=1) as sifted:
            sifted.add(rows)
            sifted.finish(order=KeyOrder(is_growing=False))

    with pytest.raises(OSError, match="no space"):
        take()


def test_repeats_near_and_far_give_one_receipt(
    make_lake: Callable[[], Lake], write: Callable[[str, bytes | str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [f"{number % 700},w,2026-01-01,0.5,yes,\n" for number in range(2_000)]
    path = write("rows.csv", "number,word,day,share,flag,at\n" + "".join(lines))
    monkeypatch.setattr("trunkline.ingest.judged.BLOCK_ROWS", 100)
    for held_bytes in (sieve._HELD_BYTES, 20_000, 1):
        monkeypatch.setattr(sieve, "_HELD_BYTES", held_bytes)
        lake, target = make_lake(), Target("u", "rows", Last)
        receipt = ingest_file(path, target, lake=lake, run_id="r", clock=lambda: START).receipt
        assert (receipt.read, receipt.accepted, receipt.duplicates) == (2_000, 700, 1_300)
        numbers = sorted(lake.arrow("u.rows").column("_row").to_pylist())
        assert numbers == list(range(1_301, 2_001)), "the last of each key is kept"
