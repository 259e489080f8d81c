"""Derived tables hold what their expression gives on all current rows, whatever came in which order."""

import json
import runpy
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, cast

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trunkline.contracts import Contract, Integer, Number, Rule, Table, Text, col, field
from trunkline.contracts.records import Receipt
from trunkline.errors import UseCaseError
from trunkline.ingest import Target, ingest_file
from trunkline.ingest.derived import CRASH_POINTS, refresh_tables
from trunkline.lake import Lake
from trunkline.spec import Derived, Full, Incremental, UseCase
from trunkline.train import main_table

if TYPE_CHECKING:
    import ibis.expr.types as ir


class Call(Contract):
    """One row per call."""

    table: ClassVar[Table] = Table(key=("call_id",))

    call_id: Text = field()
    cell_id: Text = field()
    kind: Integer = field("1 is voice, 2 is video, 9 is a test call")
    seconds: Integer = field(unit="s", minimum=0)


class Cell(Contract):
    """One row per cell."""

    table: ClassVar[Table] = Table(key=("cell_id",))

    cell_id: Text = field()
    city: Text | None = field()


class CellLoad(Contract):
    """One row per cell and kind of call."""

    table: ClassVar[Table] = Table(
        key=("cell_id", "kind"), rules=(Rule("not_too_long", col("minutes") < 100, "a cell holds 100 minutes"),)
    )

    cell_id: Text = field()
    kind: Literal["voice", "video"] = field()
    city: Text | None = field()
    calls: Integer = field(minimum=1)
    minutes: Number = field(unit="min", minimum=0)


class CityLoad(Contract):
    """One row per city."""

    table: ClassVar[Table] = Table(key=("city",))

    city: Text = field()
    calls: Integer = field()


def cell_load(tables: "Mapping[str, ir.Table]") -> "ir.Table":
    calls, cells = tables["calls"], tables["cells"]
    calls = calls.filter(calls.kind != 9).mutate(kind=calls.kind.cases((1, "voice"), (2, "video"), else_="other"))
    joined = calls.left_join(cells, "cell_id")
    return joined.group_by("cell_id", "kind", "city").aggregate(
        calls=joined.count(), minutes=joined.seconds.sum() / 60.0
    )


def city_load(tables: "Mapping[str, ir.Table]") -> "ir.Table":
    load = tables["cell_load"]
    return load.filter(load.city.notnull()).group_by("city").aggregate(calls=load.calls.sum())


USECASE = UseCase(
    name="calls",
    title="Calls",
    question="How busy is a cell?",
    datasets={"calls": Call, "cells": Cell},
    derived={
        "city_load": Derived(contract=CityLoad, inputs=("cell_load",), expression=city_load),
        "cell_load": Derived(
            contract=CellLoad, inputs=("calls", "cells"), expression=cell_load, refresh=Incremental(by=("cell_id",))
        ),
    },
    main="calls",
    task=None,
    metric="",
)


class Site:
    """A lake with a clock that moves a second at each look."""

    def __init__(self, lake: Lake, folder: Path) -> None:
        self.lake, self.folder, self.files = lake, folder, 0
        self.now = datetime(2026, 3, 1, tzinfo=UTC)

    def clock(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now

    def take(self, dataset: str, rows: list[tuple[object, ...]]) -> None:
        contract = USECASE.datasets[dataset]
        self.files += 1
        path = self.folder / f"{self.files}.csv"
        lines = [",".join(contract.model_fields), *(",".join(map(str, row)) for row in rows)]
        path.write_text("\n".join(lines) + "\n")
        target = Target("calls", dataset, contract)
        ingest_file(path, target, lake=self.lake, run_id="r", clock=self.clock)

    def refresh(self, usecase: UseCase = USECASE) -> dict[str, Receipt]:
        found = refresh_tables(
            usecase, lake=self.lake, locks=self.folder / "locks", run_id=f"run{self.files}", clock=self.clock
        )
        return {receipt.dataset: receipt for receipt in found}

    def rows(self, name: str) -> list[dict[str, object]]:
        contract = USECASE.contract_of(name)
        table = self.lake.current(f"calls.{name}", key=contract.table.key, newest_by=("_ingested_at", "_row"))
        rows: list[dict[str, object]] = self.lake.engine.arrow(
            table.select(*contract.model_fields).order_by(list(contract.table.key))
        ).to_pylist()
        return rows

    def versions(self) -> dict[str, int | None]:
        return {table: self.lake.version(table) for table in self.lake.tables()}

    def open_refusals(self, name: str) -> list[tuple[dict[str, str], list[str]]]:
        if not self.lake.exists("platform.quarantine"):
            return []
        table = self.lake.current("platform.quarantine", key=("quarantine_id",), newest_by=("changed_at",))
        rows = self.lake.engine.arrow(table.filter((table.dataset == name) & (table.state == "open"))).to_pylist()
        return sorted(
            ((json.loads(row["row"]), json.loads(row["reasons"])) for row in rows), key=lambda found: str(found[0])
        )


@pytest.fixture
def site(lake: Lake, tmp_path: Path) -> Site:
    return Site(lake, tmp_path)


def test_it_is_judged_written_and_accounted_for(site: Site) -> None:
    site.take("cells", [("a", "Graz"), ("b", "Linz")])
    site.take("calls", [(1, "a", 1, 60), (2, "a", 1, 120), (3, "b", 9, 60), (4, "b", 7, 60), (5, "b", 2, 9000)])
    receipts = site.refresh()
    assert site.rows("cell_load") == [{"cell_id": "a", "kind": "voice", "city": "Graz", "calls": 2, "minutes": 3.0}]
    receipt = receipts["cell_load"]
    assert (receipt.read, receipt.accepted, receipt.quarantined, receipt.duplicates) == (3, 1, 2, 0)
    assert json.loads(receipt.reasons) == {"kind.category": 1, "not_too_long": 1}
    assert receipt.source == "derived from calls.calls@0, calls.cells@0"
    assert receipt.table_version == site.lake.version("calls.cell_load")
    assert [reasons for _, reasons in site.open_refusals("cell_load")] == [["kind.category"], ["not_too_long"]]
    assert site.rows("city_load") == [{"city": "Graz", "calls": 2}]
    assert receipts["city_load"].source == f"derived from calls.cell_load@{receipt.table_version}"


def test_the_same_refresh_again_changes_nothing(site: Site) -> None:
    site.take("cells", [("a", "Graz")])
    site.take("calls", [(1, "a", 1, 60)])
    assert len(site.refresh()) == 2
    before = site.versions()
    assert site.refresh() == {}
    site.lake.compact("calls.calls")
    site.lake.compact("calls.cell_load")
    before |= {name: site.lake.version(name) for name in ("calls.calls", "calls.cell_load")}
    assert site.refresh() == {}
    assert site.versions() == before


@pytest.mark.slow
def test_only_touched_groups_are_computed_again(site: Site) -> None:
    site.take("cells", [("a", "Graz"), ("b", "Linz")])
    site.take("calls", [(1, "a", 1, 60), (2, "b", 1, 60)])
    site.refresh()
    site.take("calls", [(3, "b", 2, 30)])
    receipt = site.refresh()["cell_load"]
    assert (receipt.read, receipt.accepted) == (2, 2)  # both kinds of cell b, none of cell a
    stored = site.lake.arrow("calls.cell_load", columns=["cell_id"]).column("cell_id").to_pylist()
    assert Counter(stored) == {"a": 1, "b": 3}
    assert [row["calls"] for row in site.rows("cell_load")] == [1, 1, 1]


@pytest.mark.slow
def test_a_row_that_moves_to_another_group_leaves_its_old_one(site: Site) -> None:
    site.take("cells", [("a", "Graz"), ("b", "Linz")])
    site.take("calls", [(1, "a", 1, 60)])
    site.refresh()
    site.take("calls", [(1, "b", 1, 60)])
    site.refresh()
    assert [(row["cell_id"], row["calls"]) for row in site.rows("cell_load")] == [("b", 1)]
    assert site.rows("city_load") == [{"city": "Linz", "calls": 1}]


@pytest.mark.slow
def test_refused_rows_are_closed_when_their_group_is_judged_again(site: Site) -> None:
    site.take("cells", [("a", "Graz"), ("b", "Linz")])
    site.take("calls", [(1, "a", 1, 9000), (2, "b", 1, 9000)])
    site.refresh()
    assert [row["cell_id"] for row, _ in site.open_refusals("cell_load")] == ["a", "b"]
    site.take("calls", [(1, "a", 1, 60)])
    site.refresh()
    assert [row["cell_id"] for row, _ in site.open_refusals("cell_load")] == ["b"]
    assert [row["cell_id"] for row in site.rows("cell_load")] == ["a"]


@pytest.mark.slow
def test_a_removed_batch_leaves_the_derived_rows_too(site: Site) -> None:
    site.take("cells", [("a", "Graz")])
    site.take("calls", [(1, "a", 1, 60)])
    site.take("calls", [(2, "a", 1, 60)])
    site.refresh()
    batches = site.lake.arrow("calls.calls", where=lambda table: table["call_id"] == "2").column("_batch_id")
    site.lake.remove("calls.calls", "_batch_id", str(batches[0].as_py()))
    site.refresh()
    assert [row["calls"] for row in site.rows("cell_load")] == [1]


@pytest.mark.slow
def test_what_was_erased_is_computed_without(site: Site) -> None:
    site.take("cells", [("a", "Graz"), ("b", "Linz")])
    site.take("calls", [(1, "a", 1, 60), (2, "b", 1, 60)])
    site.refresh()
    site.lake.erase("calls.calls", "call_id", ["2"])
    receipt = site.refresh()["cell_load"]
    assert receipt.read == 1
    assert [row["cell_id"] for row in site.rows("cell_load")] == ["a"]


@pytest.mark.slow
def test_another_expression_or_contract_computes_everything_anew(site: Site) -> None:
    site.take("cells", [("a", "Graz")])
    site.take("calls", [(1, "a", 1, 60), (2, "a", 9, 60)])
    site.refresh()

    def all_as_voice(tables: "Mapping[str, ir.Table]") -> "ir.Table":
        import ibis

        calls = tables["calls"].mutate(kind=ibis.literal("voice"))
        return calls.group_by("cell_id", "kind").aggregate(calls=calls.count(), minutes=calls.count() * 0.0)

    other = replace(USECASE.derived["cell_load"], expression=all_as_voice)
    receipt = site.refresh(replace(USECASE, derived={**USECASE.derived, "cell_load": other}))["cell_load"]
    assert receipt.read == 1
    assert json.loads(receipt.absent_columns) == ["city"]
    assert [row["calls"] for row in site.rows("cell_load")] == [2]


@pytest.mark.slow
def test_constants_in_an_expression_belong_to_it(site: Site) -> None:
    import ibis

    def mapped(*cities: str) -> UseCase:
        def expression(tables: "Mapping[str, ir.Table]") -> "ir.Table":
            codes = ibis.memtable(pa.table({"city": list(cities)}))
            return codes.mutate(calls=1)

        table = Derived(contract=CityLoad, inputs=("cells",), expression=expression)
        return replace(USECASE, derived={"city_load": table})

    site.take("cells", [("a", "Graz")])
    assert site.refresh(mapped("Graz"))["city_load"].accepted == 1
    assert site.refresh(mapped("Graz")) == {}
    assert site.refresh(mapped("Graz", "Linz"))["city_load"].accepted == 2


@pytest.mark.slow
def test_features_read_them_by_name(site: Site) -> None:
    site.take("cells", [("a", "Graz")])
    site.take("calls", [(1, "a", 1, 60)])
    site.refresh()
    site.take("calls", [(2, "a", 1, 60)])
    site.refresh()

    def features(tables: "Mapping[str, ir.Table]") -> "ir.Table":
        return tables["calls"].join(tables["cell_load"].select("cell_id", "minutes"), "cell_id")

    rows, versions = main_table(replace(USECASE, table_features=features), site.lake)
    assert rows.select(["call_id", "minutes"]).sort_by("call_id").to_pylist() == [
        {"call_id": "1", "minutes": 2.0},
        {"call_id": "2", "minutes": 2.0},
    ]
    assert versions["calls.cell_load"] == site.lake.version("calls.cell_load")


@pytest.mark.slow
def test_nothing_is_derived_from_nothing(site: Site) -> None:
    assert site.refresh() == {}
    site.take("calls", [(1, "a", 1, 60)])  # the cells have not come yet: an empty table
    site.refresh()
    assert [row["city"] for row in site.rows("cell_load")] == [None]
    site.take("cells", [("a", "Graz")])
    site.refresh()
    assert [row["city"] for row in site.rows("cell_load")] == ["Graz"]


CALLS = st.lists(
    st.tuples(st.integers(1, 6), st.sampled_from("abc"), st.sampled_from([1, 2, 9]), st.sampled_from([30, 60, 7000])),
    min_size=1,
    max_size=5,
)
CELLS = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["Graz", "Linz", ""])), min_size=1, max_size=3)


def test_rows_that_vanish_beside_others_of_their_refresh_vanish_from_what_is_derived_of_them(site: Site) -> None:
    site.take("cells", [("c", "Graz")])
    site.take("calls", [(1, "b", 1, 30), (2, "c", 2, 30)])
    site.refresh()
    assert site.rows("city_load") == [{"city": "Graz", "calls": 1}]
    site.take("calls", [(3, "c", 2, 7000)])  # too long: the rows of c are refused, and b's are the only ones left
    site.refresh()
    assert [row["cell_id"] for row in site.rows("cell_load")] == ["b"]
    assert site.rows("city_load") == []


@pytest.mark.slow
@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(steps=st.lists(st.one_of(CALLS, CELLS), min_size=1, max_size=5))
def test_bit_by_bit_is_the_same_as_all_at_once(
    steps: list[list[tuple[object, ...]]], make_lake: Callable[[], Lake], tmp_path_factory: pytest.TempPathFactory
) -> None:
    bit_by_bit = Site(make_lake(), tmp_path_factory.mktemp("bits"))
    at_once = Site(make_lake(), tmp_path_factory.mktemp("once"))
    for step in steps:
        dataset = "calls" if len(step[0]) == 4 else "cells"
        bit_by_bit.take(dataset, step)
        at_once.take(dataset, step)
        bit_by_bit.refresh()
    at_once.refresh()
    for name in USECASE.derived:
        if at_once.lake.exists(f"calls.{name}"):
            assert bit_by_bit.rows(name) == at_once.rows(name)
            assert bit_by_bit.open_refusals(name) == at_once.open_refusals(name)


@pytest.mark.slow
@pytest.mark.parametrize("point", ["derived.after_rows", "derived.after_quarantine:2"])
def test_killed_and_started_again(point: str, tmp_path: Path, repository: Path) -> None:
    drill = runpy.run_path(str(repository / "drills" / "derived_kill.py"))
    found = drill["drill"](tmp_path, points=[point])
    assert found == {"drill": "derived_kill", "points": 1, "lost": 0, "duplicated": 0, "passed": True}


def test_the_drill_knows_every_point(repository: Path) -> None:
    assert set(CRASH_POINTS) <= set(runpy.run_path(str(repository / "drills" / "derived_kill.py"))["POINTS"])


DERIVED = USECASE.derived["cell_load"]


@pytest.mark.parametrize(
    ("derived", "words"),
    [
        ({"calls": DERIVED}, "dataset of that name"),
        ({"Cell Load": DERIVED}, "lower-case"),
        ({"load": replace(DERIVED, inputs=("call",))}, "'call' does not exist"),
        ({"load": replace(DERIVED, inputs=())}, "has inputs"),
        ({"load": replace(DERIVED, refresh=Incremental(by=("city",)))}, "cannot be refreshed by city"),
        ({"load": replace(DERIVED, refresh=Incremental(by=()))}, "cannot be refreshed by nothing"),
        ({"load": replace(DERIVED, refresh=Incremental(by=("kind",)))}, "'kind' is integer in 'calls'"),
        (
            {
                "one": replace(DERIVED, inputs=("two",), refresh=Full()),
                "two": replace(DERIVED, inputs=("one",), refresh=Full()),
            },
            "in a circle",
        ),
    ],
    ids=["taken", "malformed", "unknown", "none", "no key", "by nothing", "another kind", "circle"],
)
def test_what_could_not_be_derived_is_refused(derived: dict[str, Derived], words: str) -> None:
    with pytest.raises(UseCaseError, match=words):
        replace(USECASE, derived=derived)


def test_an_expression_that_fails_or_lacks_a_column_says_so(site: Site) -> None:
    site.take("calls", [(1, "a", 1, 60)])

    def with_expression(expression: Callable[..., object]) -> UseCase:
        table = replace(USECASE.derived["cell_load"], expression=cast("Callable[..., ir.Table]", expression))
        return replace(USECASE, derived={"cell_load": table})

    with pytest.raises(UseCaseError, match="cannot be built"):
        site.refresh(with_expression(lambda tables: tables["calls"].nothing))
    with pytest.raises(UseCaseError, match="int instead of a table"):
        site.refresh(with_expression(lambda _tables: 5))
    with pytest.raises(UseCaseError, match="lacks the column"):
        site.refresh(with_expression(lambda tables: tables["calls"].select("cell_id")))
