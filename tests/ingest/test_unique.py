"""Keys that are unique in their table: what it holds already counts as a duplicate, exactly and once."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from trunkline.contracts import Contract, Instant, Integer, Table, Text, field
from trunkline.contracts.records import Receipt
from trunkline.errors import ContractError
from trunkline.ingest import Target, ingest_file
from trunkline.lake import Lake

Write = Callable[[str, bytes | str], Path]
Row = tuple[str, int, str]
"""Key, value, event time (a day of January, or empty)."""


class Last(Contract):
    table: ClassVar[Table] = Table(key=("name",), event_at="at", unique="table")

    name: Text
    value: Integer
    at: Instant | None = field()


class First(Last):
    table: ClassVar[Table] = Table(key=("name",), event_at="at", unique="table", keep="first")


class Placed(Last):
    table: ClassVar[Table] = Table(key=("name",), event_at="at", ordered_by="value", unique="table")


class Arriving(Last):
    table: ClassVar[Table] = Table(key=("name",), unique="table")


def take(lake: Lake, path: Path, contract: type[Contract]) -> Receipt:
    target = Target("u", "rows", contract)
    return ingest_file(path, target, lake=lake, run_id="r1", clock=lambda: datetime.now(UTC)).receipt


def text_of(rows: list[Row]) -> str:
    return "name,value,at\n" + "".join(f"{name},{value},{at}\n" for name, value, at in rows)


def held(lake: Lake) -> list[tuple[str, int]]:
    return sorted((row["name"], row["value"]) for row in lake.arrow("u.rows").to_pylist())


def day(number: int) -> str:
    return f"2026-01-{number:02}T00:00:00Z"


def test_the_declared_order_says_what_is_newer(make_lake: Callable[[], Lake], write: Write) -> None:
    lake = make_lake()
    take(lake, write("one.csv", text_of([("a", 2, day(5)), ("a", 5, day(1)), ("b", 3, "")])), Placed)
    assert held(lake) == [("a", 5), ("b", 3)], "within a batch"
    late = take(lake, write("two.csv", text_of([("a", 4, day(9)), ("b", 4, day(1)), ("b", 3, day(9))])), Placed)
    assert (late.accepted, late.duplicates) == (1, 2)
    assert held(lake) == [("a", 5), ("b", 3), ("b", 4)], "against the table"


def test_what_the_table_holds_counts_as_a_duplicate(make_lake: Callable[[], Lake], write: Write) -> None:
    one = write("one.csv", text_of([("a", 1, day(5)), ("b", 2, ""), ("c", 3, day(5))]))
    two = write("two.csv", text_of([("a", 4, day(5)), ("b", 5, day(1)), ("c", 6, ""), ("d", 7, ""), ("d", 8, "")]))
    for contract, taken, left in (
        (Last, (2, 3), [("a", 1), ("b", 2), ("b", 5), ("c", 3), ("d", 8)]),
        (First, (1, 4), [("a", 1), ("b", 2), ("c", 3), ("d", 7)]),
        (Arriving, (4, 1), [("a", 1), ("a", 4), ("b", 2), ("b", 5), ("c", 3), ("c", 6), ("d", 8)]),
    ):
        lake = make_lake()
        take(lake, one, contract)
        receipt = take(lake, two, contract)
        assert ((receipt.accepted, receipt.duplicates), held(lake)) == (taken, left)
        assert receipt.read == receipt.accepted + receipt.duplicates


def test_a_file_that_brings_nothing_new_is_no_failure(lake: Lake, write: Write) -> None:
    take(lake, write("one.csv", text_of([("a", 1, ""), ("b", 1, "")])), First)
    version = lake.version("u.rows")
    receipt = take(lake, write("two.csv", text_of([("b", 2, ""), ("a", 2, "")])), First)
    assert (receipt.read, receipt.accepted, receipt.duplicates, receipt.table_version) == (2, 0, 2, None)
    assert lake.version("u.rows") == version
    assert take(lake, write("two.csv", text_of([("b", 2, ""), ("a", 2, "")])), First) == receipt


@pytest.mark.slow
def test_a_batch_that_takes_anothers_place_is_not_compared_with_it(make_lake: Callable[[], Lake], write: Write) -> None:
    path = write("one.csv", text_of([("a", 1, day(5)), ("b", 2, day(5))]))
    other = write("two.csv", text_of([("b", 3, day(6)), ("c", 3, day(6))]))
    for contract, accepted in ((Last, 1), (First, 2), (Arriving, 2)):
        lake = make_lake()
        old = take(lake, path, contract)
        take(lake, other, contract)
        new = ingest_file(
            path,
            Target("u", "rows", contract),
            lake=lake,
            run_id="r2",
            clock=lambda: datetime.now(UTC),
            instead=old.batch_id,
        ).receipt
        assert (new.accepted, new.duplicates) == (accepted, 2 - accepted), "only what others hold is a duplicate"
        lake.remove("u.rows", "_batch_id", old.batch_id)
        assert {name for name, _ in held(lake)} == {"a", "b", "c"}


rows_of_files = st.lists(
    st.lists(
        st.tuples(st.sampled_from("abcd"), st.integers(0, 99), st.sampled_from(["", day(1), day(2), day(3)])),
        min_size=1,
        max_size=8,
    ),
    min_size=2,
    max_size=4,
    unique_by=str,
)


def by_hand(files: list[list[Row]], *, keep: str) -> list[tuple[str, int]]:
    """What the table holds, from the contract's prose: each file first on its own, then against what is there."""
    table: list[Row] = []
    for rows in files:
        kept: dict[str, tuple[str, int, Row]] = {}
        for number, row in enumerate(rows):
            name, _, at = row
            mine = (at if keep == "last" else at or "~", number, row)  # null is oldest for last, and last for first
            best = kept.get(name)
            if best is None or (mine[:2] > best[:2] if keep == "last" else mine[:2] < best[:2]):
                kept[name] = mine
        for _, _, row in kept.values():
            there = [other[2] for other in table if other[0] == row[0]]
            if not there or (keep == "last" and row[2] > max(there)):
                table.append(row)
    return sorted((name, value) for name, value, _ in table)


@pytest.mark.slow
@pytest.mark.parametrize("contract", [Last, First])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=6, phases=[Phase.generate])
@given(files=rows_of_files)
def test_any_files_one_after_the_other(
    contract: type[Contract], files: list[list[Row]], make_lake: Callable[[], Lake], write: Write
) -> None:
    lake = make_lake()
    for number, rows in enumerate(files):
        receipt = take(lake, write(f"{number}.csv", text_of(rows)), contract)
        assert receipt.read == len(rows) == receipt.accepted + receipt.duplicates
    assert held(lake) == by_hand(files, keep=contract.table.keep)


def test_a_call_that_was_cut_short_has_the_receipt_it_would_have_had(
    lake: Lake, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    take(lake, write("one.csv", text_of([("a", 1, ""), ("b", 1, "")])), First)
    two = write("two.csv", text_of([("b", 2, ""), ("c", 2, ""), ("d", 2, "")]))
    append = lake.append

    def cut(name: str, *args: object, **kwargs: object) -> int:
        if name == "platform.receipts":
            raise RuntimeError("power cut")
        return append(name, *args, **kwargs)  # type: ignore[arg-type]  # handed through

    monkeypatch.setattr(lake, "append", cut)
    with pytest.raises(RuntimeError, match="power cut"):
        take(lake, two, First)
    monkeypatch.undo()
    take(lake, write("three.csv", text_of([("e", 3, ""), ("c", 3, "")])), First)
    receipt = take(lake, two, First)
    assert (receipt.accepted, receipt.duplicates, receipt.table_version) == (2, 1, 1)
    assert held(lake) == [("a", 1), ("b", 1), ("c", 2), ("d", 2), ("e", 3)]


def test_others_that_write_between_comparison_and_commit(
    lake: Lake, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    take(lake, write("one.csv", text_of([("a", 1, "")])), First)
    other = write("other.csv", text_of([("b", 9, ""), ("c", 9, "")]))
    append_staged = lake.append_staged

    def late(name: str, *args: object, **kwargs: object) -> int:
        monkeypatch.undo()
        take(lake, other, First)
        return append_staged(name, *args, **kwargs)  # type: ignore[arg-type]  # handed through

    monkeypatch.setattr(lake, "append_staged", late)
    receipt = take(lake, write("two.csv", text_of([("a", 2, ""), ("b", 2, ""), ("d", 2, "")])), First)
    assert (receipt.accepted, receipt.duplicates) == (1, 2)
    assert held(lake) == [("a", 1), ("b", 9), ("c", 9), ("d", 2)]


def test_it_takes_a_key() -> None:
    with pytest.raises(ContractError, match="without a key"):

        class Keyless(Contract):
            table: ClassVar[Table] = Table(unique="table")

            name: Text


def test_the_fingerprint_says_so() -> None:
    class Same(Last):
        table: ClassVar[Table] = Table(key=("name",), event_at="at")

    assert Same.fingerprint != Last.fingerprint
