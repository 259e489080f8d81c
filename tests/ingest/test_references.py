"""Rows that name what is not there, and sources whose columns changed."""

import json
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import ClassVar, Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trunkline.contracts import Contract, Integer, Reference, Table, Text, field
from trunkline.contracts.records import Receipt
from trunkline.engine import Engine
from trunkline.errors import BatchBusyError, BusyError, ContractError, RowsRefusedError, SchemaError, UseCaseError
from trunkline.ingest import Target, batch, ingest_file, ingest_files
from trunkline.lake import Lake
from trunkline.settings.ingest import IngestSettings
from trunkline.settings.lake import LakeSettings
from trunkline.spec import UseCase

Write = Callable[[str, bytes | str], Path]
Clock = Callable[[], datetime]


class Cell(Contract):
    """One row per cell and technology."""

    table: ClassVar[Table] = Table(key=("cell_id", "band"))

    cell_id: Text = field()
    band: Integer = field()


class Call(Contract):
    """One row per call."""

    table: ClassVar[Table] = Table(
        key=("call_id",),
        references=(
            Reference(("cell_id", "band"), "cells", ("cell_id", "band")),
            Reference(("cell_id",), "sites", ("cell_id",), missing="report"),
        ),
    )

    call_id: Text = field()
    cell_id: Text | None = field()
    band: Integer | None = field(minimum=1)


CELLS, CALLS = Target("calls", "cells", Cell), Target("calls", "calls", Call)


def take(lake: Lake, path: Path, target: Target, clock: Clock) -> Receipt:
    return ingest_file(path, target, lake=lake, run_id="r", clock=clock).receipt


def test_rows_whose_reference_is_missing_are_quarantined_or_reported(
    lake: Lake, write: Write, fixed_clock: Clock
) -> None:
    take(lake, write("cells.csv", "cell_id,band\na,1\nb,2\n"), CELLS, fixed_clock)
    rows = "call_id,cell_id,band\n1,a,1\n2,a,2\n3,c,0\n4,,\n5,a,\n6,b,2\n7,b,x\n"
    receipt = take(lake, write("calls.csv", rows), CALLS, fixed_clock)
    assert (receipt.read, receipt.accepted, receipt.quarantined) == (7, 4, 3)
    assert json.loads(receipt.reasons) == {
        "reference.sites": 6, "reference.cells": 2, "band.minimum": 1, "band.type": 1
    }  # fmt: skip
    refused = {row["row_number"]: json.loads(row["reasons"]) for row in lake.arrow("platform.quarantine").to_pylist()}
    assert refused == {2: ["reference.cells"], 3: ["band.minimum", "reference.cells"], 7: ["band.type"]}


@pytest.mark.slow
@pytest.mark.parametrize("cut_at", ["ingest.after_quarantine", "ingest.after_rows"])
def test_what_an_interrupted_call_found_stays_true(
    make_lake: Callable[[], Lake], write: Write, fixed_clock: Clock, monkeypatch: pytest.MonkeyPatch, cut_at: str
) -> None:
    cells = write("cells.csv", "cell_id,band\na,1\nb,2\n")
    others = write("others.csv", "cell_id,band\na,2\nc,1\n")
    calls = write("calls.csv", "call_id,cell_id,band\n1,a,1\n2,a,2\n3,c,0\n4,,\n4,,\n6,b,2\n7,b,x\n")
    sites = Target("calls", "sites", Cell)
    plain = make_lake()
    take(plain, cells, CELLS, fixed_clock)
    right = take(plain, calls, CALLS, fixed_clock)
    for is_there in (False, True):  # what is there appears, or what was there goes
        lake = make_lake()
        first = take(lake, cells, CELLS, fixed_clock)

        def cut(name: str) -> None:
            if name == cut_at:
                raise KeyboardInterrupt

        monkeypatch.setattr(batch, "point", cut)
        with pytest.raises(KeyboardInterrupt):
            take(lake, calls, CALLS, fixed_clock)
        monkeypatch.undo()
        if is_there:
            take(lake, others, CELLS, fixed_clock)
        else:
            lake.remove("calls.cells", "_batch_id", first.batch_id)
        if cut_at == "ingest.after_rows":
            take(lake, others, sites, fixed_clock)
        limits = IngestSettings(reject_budget=0.0)
        receipt = ingest_file(calls, CALLS, lake=lake, run_id="r", clock=fixed_clock, limits=limits).receipt
        assert json.loads(receipt.reasons) == json.loads(right.reasons)
        assert receipt.model_copy(update={"reasons": right.reasons}) == right
        for name in ("calls.calls", "platform.quarantine"):
            found, wanted = (one.arrow(name).to_pylist() for one in (lake, plain))
            assert sorted(map(str, found)) == sorted(map(str, wanted))


def test_two_that_take_one_batch_in_do_not_split_it_differently(
    tmp_path: Path, engine: Engine, write: Write, fixed_clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def opened() -> Lake:  # each as a process of its own would
        return Lake(tmp_path / "lake", engine=engine, settings=LakeSettings(lock_timeout_s=0.1), clock=fixed_clock)

    cells, others = write("cells.csv", "cell_id,band\na,1\n"), write("others.csv", "cell_id,band\nb,2\n")
    calls = write("calls.csv", "call_id,cell_id,band\n1,a,1\n2,b,2\n")
    more = write("more.csv", "call_id,cell_id,band\n3,a,1\n")
    take(opened(), cells, CELLS, fixed_clock)
    busy: list[BusyError] = []

    def meanwhile(name: str) -> None:
        if name == "ingest.before_quarantine" and not busy:  # the first has judged: call 2 names what is not there
            busy.append(BusyError("so that this happens once", holder="nobody"))
            take(opened(), others, CELLS, fixed_clock)
            lake = opened()
            results = list(ingest_files([calls, more], CALLS, lake=lake, run_id="r", clock=fixed_clock))
            assert isinstance(results[0].error, BatchBusyError)
            assert results[1].error is None, "another batch waits for nothing"
            busy[0] = results[0].error

    monkeypatch.setattr(batch, "point", meanwhile)
    receipt = take(opened(), calls, CALLS, fixed_clock)
    assert "calls.calls" in str(busy[0])
    assert (receipt.read, receipt.accepted, receipt.quarantined) == (2, 1, 1)
    assert take(opened(), calls, CALLS, fixed_clock) == receipt, "the second finds it done"
    lake = opened()
    assert sorted(lake.arrow("calls.calls").column("call_id").to_pylist()) == ["1", "3"]
    assert not [path.name for path in lake.lock_folder.iterdir() if ".work-" in path.name], "no lock stays"
    assert [row["row_number"] for row in lake.arrow("platform.quarantine").to_pylist()] == [2]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    cells=st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 3)), min_size=1, max_size=6),
    calls=st.lists(st.tuples(st.sampled_from(["a", "b", "c", ""]), st.sampled_from(["", "1", "2"])), min_size=1),
)
@pytest.mark.slow
def test_it_is_what_a_loop_finds(
    cells: list[tuple[str, int]],
    calls: list[tuple[str, str]],
    make_lake: Callable[[], Lake],
    tmp_path_factory: pytest.TempPathFactory,
    fixed_clock: Clock,
) -> None:
    lake, folder = make_lake(), tmp_path_factory.mktemp("files")
    (folder / "cells.csv").write_text("cell_id,band\n" + "".join(f"{name},{band}\n" for name, band in cells))
    lines = [f"{place},{name},{band}\n" for place, (name, band) in enumerate(calls)]
    (folder / "calls.csv").write_text("call_id,cell_id,band\n" + "".join(lines))
    take(lake, folder / "cells.csv", CELLS, fixed_clock)
    with suppress(RowsRefusedError):  # where none is good
        take(lake, folder / "calls.csv", CALLS, fixed_clock)
    there = {(name, str(band)) for name, band in cells}
    right = sum(1 for name, band in calls if name and band and (name, band) not in there)
    found = lake.arrow("platform.receipts", where=lambda table: table["dataset"] == "calls").to_pylist()
    assert Counter(json.loads(found[0]["reasons"]))["reference.cells"] == right


def contract(table: Table) -> type[Contract]:
    class Row(Contract):
        """One row."""

        a: Text = field()
        b: Integer | None = field()

    return type("Said", (Row,), {"table": table, "__doc__": "One row.", "__module__": __name__})


USECASE = UseCase(
    name="calls",
    title="Calls",
    question="How busy?",
    datasets={"calls": Call, "cells": Cell, "sites": Cell},
    main="calls",
    task=None,
    metric="",
)


def test_a_reference_names_what_there_is() -> None:
    with pytest.raises(UseCaseError, match="no dataset 'sites'"):
        replace(USECASE, datasets={"calls": Call, "cells": Cell})
    said = contract(Table(references=(Reference(("a",), "cells", ("cell",)),)))
    with pytest.raises(UseCaseError, match="'cells' has no field 'cell'"):
        replace(USECASE, datasets={**USECASE.datasets, "said": said})
    said = contract(Table(references=(Reference(("a",), "cells", ("band",)),)))
    with pytest.raises(UseCaseError, match="'a' is text, 'band' is integer"):
        replace(USECASE, datasets={**USECASE.datasets, "said": said})


@pytest.mark.parametrize(
    ("references", "words"),
    [
        ((Reference(("a", "b"), "cells", ("cell_id",)),), "as many fields"),
        ((Reference((), "cells", ()),), "one at least"),
        ((Reference(("c",), "cells", ("cell_id",)),), "unknown field 'c'"),
        ((Reference(("a",), "cells", ("cell_id",)), Reference(("b",), "cells", ("band",))), "a name of its own"),
    ],
    ids=["lengths", "none", "unknown", "same name"],
)
def test_a_malformed_reference_is_refused(references: tuple[Reference, ...], words: str) -> None:
    with pytest.raises(ContractError, match=words):
        contract(Table(references=references))


Policy = Literal["null", "quarantine", "refuse"]


@pytest.mark.parametrize("policy", ["null", "quarantine"])
def test_a_missing_column_that_may_be_null_is(policy: Policy, lake: Lake, write: Write, fixed_clock: Clock) -> None:
    target = Target("calls", "said", contract(Table(on_missing_column=policy)))
    receipt = take(lake, write("said.csv", "a\n1\n2\n"), target, fixed_clock)
    assert (receipt.accepted, json.loads(receipt.absent_columns)) == (2, ["b"])


@pytest.mark.parametrize(("policy", "header", "missing"), [("null", "b", "a"), ("refuse", "a", "b")])
def test_a_missing_column_refuses_the_source(
    policy: Policy, header: str, missing: str, lake: Lake, write: Write, fixed_clock: Clock
) -> None:
    target = Target("calls", "said", contract(Table(on_missing_column=policy)))
    with pytest.raises(SchemaError, match=f"lacks the column for: {missing}"):
        take(lake, write("said.csv", f"{header}\n1\n2\n"), target, fixed_clock)
    assert lake.tables() == []


def test_a_missing_column_quarantines_every_row(lake: Lake, write: Write, fixed_clock: Clock) -> None:
    target = Target("calls", "said", contract(Table(on_missing_column="quarantine")))
    with pytest.raises(RowsRefusedError) as refused:
        take(lake, write("said.csv", "b\n1\n2\n"), target, fixed_clock)
    assert refused.value.reasons == {"a.null": 2}
    assert lake.arrow("platform.quarantine").num_rows == 2


def test_a_new_column_is_reported_or_refused(lake: Lake, write: Write, fixed_clock: Clock) -> None:
    path = write("said.csv", "a,b,c\n1,2,3\n")
    receipt = take(lake, path, Target("calls", "said", contract(Table())), fixed_clock)
    assert json.loads(receipt.extra_columns) == ["c"]
    with pytest.raises(SchemaError, match="columns that the contract does not know: c"):
        take(lake, path, Target("calls", "other", contract(Table(on_new_column="refuse"))), fixed_clock)
    assert not lake.exists("calls.other")


def test_a_retyped_column_is_refused_beyond_its_share(lake: Lake, write: Write, fixed_clock: Clock) -> None:
    target = Target("calls", "said", contract(Table(most_malformed=0.5)))
    with pytest.raises(SchemaError, match=r"b \(2 of 3 rows\)"):
        take(lake, write("bad.csv", "a,b\n1,x\n2,x\n3,3\n"), target, fixed_clock)
    assert lake.tables() == []
    receipt = take(lake, write("good.csv", "a,b\n1,x\n2,2\n"), target, fixed_clock)
    assert (receipt.accepted, json.loads(receipt.reasons)) == (1, {"b.type": 1})
    with pytest.raises(ContractError, match="share in"):
        contract(Table(most_malformed=1.5))
