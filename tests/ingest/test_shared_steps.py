"""Derived tables that begin with the same steps: computed once by one refresh, and side by side by two."""

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import pytest

from trunkline.contracts import Contract, Integer, Table, Text, field
from trunkline.contracts.records import Receipt
from trunkline.engine import Engine, open_engine
from trunkline.errors import BusyError, UseCaseError
from trunkline.ingest import Target, ingest_file
from trunkline.ingest.derived import refresh_tables, refreshing
from trunkline.lake import Lake
from trunkline.settings.lake import LakeSettings
from trunkline.spec import Derived, UseCase

if TYPE_CHECKING:
    import ibis.expr.types as ir

Tables = Mapping[str, "ir.Table"]
AT = datetime(2026, 3, 1, tzinfo=UTC)


class Call(Contract):
    """One row per call."""

    table: ClassVar[Table] = Table(key=("call_id",))

    call_id: Text = field()
    cell_id: Text = field()
    seconds: Integer = field(unit="s", minimum=0)


class CellLoad(Contract):
    """One row per cell."""

    table: ClassVar[Table] = Table(key=("cell_id",))

    cell_id: Text = field()
    calls: Integer = field()


class Total(Contract):
    """One row."""

    seconds: Integer = field(unit="s")


def held_calls(tables: Tables) -> "ir.Table":
    """Calls that somebody took."""
    return tables["calls"].filter(tables["calls"].seconds > 0)


def by_cell(tables: Tables) -> "ir.Table":
    """Calls of each cell."""
    return tables["held_calls"].group_by("cell_id").aggregate(calls=tables["held_calls"].count())


def total(tables: Tables) -> "ir.Table":
    """Seconds of all calls."""
    return tables["held_calls"].aggregate(seconds=tables["held_calls"].seconds.sum())


STEPS = {"held_calls": held_calls}
USECASE = UseCase(
    name="calls",
    title="Calls",
    question="How busy is a cell?",
    datasets={"calls": Call},
    derived={
        "cell_load": Derived(contract=CellLoad, inputs=("calls",), steps=STEPS, expression=by_cell),
        "total": Derived(contract=Total, inputs=("calls",), steps=STEPS, expression=total),
    },
    main="calls",
    task=None,
    metric="",
)


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Callable[[], Lake]]:
    """Open the lake as one more process would: by an engine of its own, waiting for nobody."""
    engines: list[Engine] = []

    def another() -> Lake:
        engines.append(open_engine("duckdb", threads=1))
        settings = LakeSettings(lock_timeout_s=0)
        return Lake(tmp_path / "lake", engine=engines[-1], settings=settings, clock=lambda: AT)

    file = tmp_path / "calls.csv"
    file.write_text("call_id,cell_id,seconds\n1,a,60\n2,a,30\n3,b,0\n4,c,5\n")
    ingest_file(file, Target("calls", "calls", Call), lake=another(), run_id="r", clock=lambda: AT)
    yield another
    for engine in engines:
        engine.close()


def refreshed(lake: Lake, folder: Path, only: str | None = None) -> dict[str, Receipt]:
    found = refresh_tables(USECASE, lake=lake, locks=folder / "locks", run_id="r", clock=lambda: AT, only=only)
    return {receipt.dataset: receipt for receipt in found}


def test_one_refresh_computes_the_step_once(
    opened: Callable[[], Lake], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = opened()
    kept: list[int] = []
    original = lake.engine.kept

    def counted(expr: "ir.Table") -> "ir.Table":
        table = original(expr)
        kept.append(lake.engine.arrow(table).num_rows)
        return table

    monkeypatch.setattr(lake.engine, "kept", counted)
    assert {name: receipt.accepted for name, receipt in refreshed(lake, tmp_path).items()} == {
        "cell_load": 2,
        "total": 1,
    }
    assert kept == [3], "once, for both tables"
    assert lake.arrow("calls.total", columns=["seconds"]).column("seconds").to_pylist() == [95]
    assert refreshed(lake, tmp_path) == {}
    assert kept == [3], "nothing has changed: nothing is computed"


def test_two_refreshes_of_two_tables_do_not_wait_for_each_other_and_two_of_one_do(
    opened: Callable[[], Lake], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_inside, may_go_on = threading.Event(), threading.Event()
    found: dict[str, Receipt] = {}
    slow, quick = opened(), opened()

    def first() -> None:
        found.update(refreshed(slow, tmp_path, "cell_load"))

    thread = threading.Thread(target=first)

    def stopping(name: str) -> None:
        if threading.current_thread() is thread and name == "derived.before_rows":
            is_inside.set()
            assert may_go_on.wait(60)

    monkeypatch.setattr(refreshing, "point", stopping)
    thread.start()
    try:
        assert is_inside.wait(60)
        assert refreshed(quick, tmp_path, "total")["total"].accepted == 1
        with pytest.raises(BusyError, match=r"refresh of the derived table 'calls\.cell_load'"):
            refreshed(quick, tmp_path, "cell_load")
    finally:
        may_go_on.set()
        thread.join()
    assert found["cell_load"].accepted == 2
    assert refreshed(quick, tmp_path) == {}, "both are there"


def test_a_step_that_would_read_other_inputs_is_refused() -> None:
    other = replace(USECASE.derived["total"], in_order=True)
    with pytest.raises(UseCaseError, match="'held_calls' is another one on the way to 'cell_load'"):
        replace(USECASE, derived={**USECASE.derived, "total": other})
