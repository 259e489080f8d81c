"""Many small files: each a batch of its own, in shared commits, exactly once."""

import json
import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar

import pyarrow as pa
import pytest

from trunkline.contracts import Contract, Instant, Integer, Table, Text, field
from trunkline.errors import RowsRefusedError, SchemaError, SourceError
from trunkline.ingest import FileResult, Target, ingest_file, ingest_files
from trunkline.ingest.files import DEFAULT_LIMITS
from trunkline.lake import Lake
from trunkline.settings.ingest import IngestSettings

Write = Callable[[str, bytes | str], Path]

FIRST = "call_id,seconds,at\nk1,1,2026-01-01T00:00Z\nk1,2,2026-01-02T00:00Z\nk2,-1,\nshort\nk3,x,\n"


class Call(Contract):
    table: ClassVar[Table] = Table(key=("call_id",), event_at="at")

    call_id: Text = field(max_length=10)
    seconds: Integer = field(minimum=0)
    at: Instant | None = field()


class UniqueCall(Call):
    table: ClassVar[Table] = Table(key=("call_id",), event_at="at", unique="table")


def now() -> datetime:
    return datetime.now(UTC)


def take(
    lake: Lake, paths: list[Path], contract: type[Contract] = Call, *, limits: IngestSettings = DEFAULT_LIMITS
) -> list[FileResult]:
    target = Target("calls", "calls", contract)
    return list(ingest_files(paths, target, lake=lake, run_id="r1", clock=now, limits=limits))


def rows_of(lake: Lake, table: str, *columns: str) -> list[tuple[object, ...]]:
    found = lake.arrow(table, columns=columns)
    return sorted(zip(*(found.column(name).to_pylist() for name in columns), strict=True), key=repr)


def accounted(result: FileResult) -> tuple[int, int, int, int]:
    assert result.ingested is not None
    receipt = result.ingested.receipt
    return receipt.read, receipt.accepted, receipt.quarantined, receipt.duplicates


@pytest.fixture
def folder(write: Write) -> list[Path]:
    """Files of all sorts, in an order in which they disturb each other if they can."""
    return [
        write("a.csv", FIRST),
        write("no_column.csv", "call_id\nk1\n"),
        write("b.csv", "SECONDS,call_id\n7,k1\n8,k1\n9,k9\n"),
        write("same_as_a.csv", FIRST),
        write("header.csv", "call_id,seconds,at\n"),
        write("all_bad.csv", "call_id,seconds,at\nk1,x,\n,1,\n"),
        write("cut.csv", "call_id,seconds,at\nk1,1,\nk2,1"),
        write("c.ndjson", '{"call_id": "k1", "seconds": 5}\n{"call_id": "k5", "seconds": 6}\n'),
    ]  # fmt: skip


def test_a_bad_file_does_not_stop_the_others(lake: Lake, folder: list[Path], tmp_path: Path) -> None:
    folder.insert(3, tmp_path / "missing.csv")
    results = take(lake, folder)
    assert [result.path for result in results] == folder
    errors = [None if result.error is None else type(result.error) for result in results]
    assert errors == [
        None, SchemaError, None, SourceError, None, SourceError, RowsRefusedError, SourceError, None,
    ]  # fmt: skip
    assert [result.ingested is None for result in results] == [
        False, True, False, True, False, True, False, True, False,
    ]  # fmt: skip
    assert [accounted(results[place]) for place in (0, 2, 6, 8)] == [
        (5, 1, 3, 1), (3, 2, 0, 1), (2, 0, 2, 0), (2, 2, 0, 0),
    ]  # fmt: skip
    assert results[4].ingested is not None
    assert results[4].ingested.known
    assert results[0].ingested is not None
    assert results[4].ingested.receipt == results[0].ingested.receipt
    assert json.loads(results[0].ingested.receipt.reasons) == {
        "line.malformed": 1, "seconds.minimum": 1, "seconds.type": 1,
    }  # fmt: skip
    assert [(row[0], row[1], row[2]) for row in rows_of(lake, "calls.calls", "call_id", "seconds", "_row")] == [
        ("k1", 2, 2), ("k1", 5, 1), ("k1", 8, 2), ("k5", 6, 2), ("k9", 9, 3),
    ]  # fmt: skip


@pytest.mark.slow
def test_a_group_leaves_what_its_files_leave_one_by_one(make_lake: Callable[[], Lake], folder: list[Path]) -> None:
    together, apart = make_lake(), make_lake()
    take(together, folder)
    for path in folder:
        try:
            ingest_file(path, Target("calls", "calls", Call), lake=apart, run_id="r1", clock=now)
        except (SourceError, SchemaError, RowsRefusedError):
            continue
    for table, columns in (
        ("calls.calls", ("call_id", "seconds", "at", "_batch_id", "_row", "_run_id")),
        ("platform.quarantine", ("quarantine_id", "batch_id", "row_number", "reasons", "row", "source", "state")),
        ("platform.receipts", (
            "batch_id", "read", "accepted", "quarantined", "duplicates", "absent_columns", "extra_columns",
            "content_sha256", "source", "contract_fingerprint",
        )),
    ):  # fmt: skip
        assert rows_of(together, table, *columns) == rows_of(apart, table, *columns)
    assert {table: together.version(table) for table in together.tables()} == dict.fromkeys(together.tables(), 0)


@pytest.mark.slow
def test_the_same_files_in_any_grouping_change_nothing(lake: Lake, folder: list[Path]) -> None:
    take(lake, folder[:4])
    before = rows_of(lake, "calls.calls", "_batch_id", "_row")
    random.Random(0).shuffle(folder)
    take(lake, folder)
    after = rows_of(lake, "calls.calls", "_batch_id", "_row")
    assert set(before) < set(after)
    assert len(after) == len(set(after)) == 5
    versions = {table: lake.version(table) for table in lake.tables()}
    results = take(lake, folder)
    assert all(result.ingested.known for result in results if result.ingested is not None)
    assert {table: lake.version(table) for table in lake.tables()} == versions


@pytest.mark.parametrize("table", ["calls.calls", pytest.param("platform.receipts", marks=pytest.mark.slow)])
def test_a_group_that_was_cut_short_is_completed(
    table: str, make_lake: Callable[[], Lake], folder: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, lake = make_lake(), make_lake()
    take(whole, folder)
    append, append_staged = lake.append, lake.append_staged

    def cut(name: str, *args: object, **kwargs: object) -> int:
        if name == table:
            raise RuntimeError("power cut")
        call = append_staged if name == "calls.calls" else append
        return call(name, *args, **kwargs)  # type: ignore[arg-type]  # handed through

    monkeypatch.setattr(lake, "append", cut)
    monkeypatch.setattr(lake, "append_staged", cut)
    with pytest.raises(RuntimeError, match="power cut"):
        take(lake, folder)
    monkeypatch.undo()
    take(lake, folder[2:])  # another grouping
    take(lake, folder)
    for name, columns in (
        ("calls.calls", ("call_id", "seconds", "_batch_id", "_row")),
        ("platform.quarantine", ("quarantine_id", "reasons", "row")),
        ("platform.receipts", ("batch_id", "read", "accepted", "quarantined", "duplicates")),
    ):
        assert rows_of(lake, name, *columns) == rows_of(whole, name, *columns)


@pytest.mark.slow
def test_another_process_that_takes_the_same_files_meanwhile(
    make_lake: Callable[[], Lake], folder: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = make_lake()
    append_staged = lake.append_staged

    def late(name: str, *args: object, **kwargs: object) -> int:
        monkeypatch.undo()
        take(lake, folder[2:3])
        return append_staged(name, *args, **kwargs)  # type: ignore[arg-type]  # handed through

    monkeypatch.setattr(lake, "append_staged", late)
    results = take(lake, folder)
    assert [accounted(result) for result in results if result.ingested is not None][:2] == [(5, 1, 3, 1), (3, 2, 0, 1)]
    found = rows_of(lake, "calls.calls", "_batch_id", "_row")
    assert len(found) == len(set(found)) == 5
    receipts = rows_of(lake, "platform.receipts", "batch_id")
    assert len(receipts) == len(set(receipts)) == 4


def test_a_file_beyond_its_budget_leaves_nothing(lake: Lake, folder: list[Path]) -> None:
    results = take(lake, folder, limits=IngestSettings(reject_budget=0.5))
    assert isinstance(results[0].error, RowsRefusedError)
    assert results[0].ingested is None
    assert results[5].ingested is None
    assert rows_of(lake, "calls.calls", "call_id", "seconds") == [("k1", 5), ("k1", 8), ("k5", 6), ("k9", 9)]
    assert not lake.exists("platform.quarantine")
    assert len(rows_of(lake, "platform.receipts", "batch_id")) == 2


def test_files_of_a_table_with_unique_keys(lake: Lake, folder: list[Path]) -> None:
    results = take(lake, folder, UniqueCall)
    taken = {result.path.name: accounted(result) for result in results if result.ingested is not None}
    assert taken["a.csv"] == (5, 1, 3, 1)
    assert taken["b.csv"] == (3, 1, 0, 2), "k1 without an event time is not newer"
    assert rows_of(lake, "calls.calls", "call_id", "seconds") == [("k1", 2), ("k5", 6), ("k9", 9)]


@pytest.mark.slow
def test_results_are_given_as_groups_are_committed(lake: Lake, write: Write) -> None:
    paths = [write(f"f{number}.csv", f"call_id,seconds\nk,{number}\n") for number in range(3)]
    large = write("large.csv", "call_id,seconds\n" + "k,1\n" * 1_200_000)
    results: Iterator[FileResult] = ingest_files(
        [*paths, large], Target("calls", "calls", Call), lake=lake, run_id="r1", clock=now
    )
    assert next(results).path == paths[0]
    assert lake.arrow("platform.receipts").num_rows == 3
    assert [result.path for result in results] == [*paths[1:], large]
    assert pa.compute.sum(lake.arrow("platform.receipts", columns=["duplicates"]).column(0)).as_py() == 1_199_999
