"""Steps executed one by one under one run id, as an orchestrator does: they end as the whole run would."""

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pytest

from trunkline.errors import BusyError
from trunkline.run import Workspace
from trunkline.settings import load_settings

Trunkline = Callable[..., tuple[int, str, str]]
Subscribers = Callable[..., pa.Table]

MODULE = '''"""Calls of an operator, how busy its cells are, and how many are."""

from typing import ClassVar

from trunkline.contracts import Contract, Integer, Table, Text, field
from trunkline.spec import Derived, UseCase


class Call(Contract):
    """One row per call."""

    table: ClassVar[Table] = Table(key=("call_id",))

    call_id: Text = field()
    cell_id: Text = field()
    dropped: Integer = field()


class CellLoad(Contract):
    """One row per cell."""

    table: ClassVar[Table] = Table(key=("cell_id",))

    cell_id: Text = field()
    calls: Integer = field()


class Network(Contract):
    """One row."""

    table: ClassVar[Table] = Table(key=("cells",))

    cells: Integer = field()


def carried(tables):
    return tables["calls"].filter(tables["calls"].dropped == 0)


def cell_load(tables):
    return tables["carried"].group_by("cell_id").aggregate(calls=tables["carried"].count())


def network(tables):
    return tables["cell_load"].aggregate(cells=tables["cell_load"].count())


usecase = UseCase(
    name="cells",
    title="Cells",
    question="How busy is a cell?",
    datasets={"calls": Call},
    derived={
        "network": Derived(contract=Network, inputs=("cell_load",), expression=network),
        "cell_load": Derived(contract=CellLoad, inputs=("calls",), steps={"carried": carried}, expression=cell_load),
    },
    main="calls",
    task=None,
    metric="",
)
'''


@pytest.fixture
def cells(tmp_path: Path, trunkline: Trunkline, monkeypatch: pytest.MonkeyPatch) -> Callable[..., object]:
    """Run ``ingest cells`` with options; gives its document."""
    plugins = tmp_path / "plugins"
    (plugins / "cells").mkdir(parents=True)
    (plugins / "cells" / "__init__.py").write_text(MODULE, encoding="utf-8")
    monkeypatch.setenv("TRUNKLINE_PLUGIN_DIR", str(plugins))
    source = tmp_path / "calls.csv"
    source.write_text("call_id,cell_id,dropped\n1,a,0\n2,a,0\n3,b,1\n4,c,0\n", encoding="utf-8")

    def ingest(*options: object, expected: int = 0) -> object:
        code, out, _ = trunkline("ingest", "cells", *options, "--workspace", tmp_path / "workspace", "--json")
        assert code == expected
        return json.loads(out)

    ingest(source, "--refresh", "none", "--run-id", "r1")
    return ingest


def tables(folder: Path) -> set[str]:
    with Workspace(load_settings(workspace=folder)) as workspace:
        return {name for name in workspace.lake.tables() if name.startswith("cells.")}


def test_derived_tables_are_refreshed_one_by_one(cells: Callable[..., object], tmp_path: Path) -> None:
    assert tables(tmp_path / "workspace") == {"cells.calls"}, "nothing is derived yet"
    step = cells("--refresh", "carried", "--run-id", "r1")
    assert isinstance(step, dict)
    assert (step["table"], step["rows"], step["receipts"]) == ("cell_load", 3, [])
    assert tables(tmp_path / "workspace") == {"cells.calls"}, "a step is no table"
    for name, accepted in (("cell_load", 2), ("network", 1)):
        table = cells("--refresh", name, "--run-id", "r1")
        assert isinstance(table, dict)
        assert [receipt["accepted"] for receipt in table["receipts"]] == [accepted]
        assert table["receipts"][0]["run_id"] == "r1"
    again = cells("--refresh", "network", "--run-id", "r1")
    assert isinstance(again, dict)
    assert again["receipts"] == [], "nothing it reads has changed"


def test_what_is_no_derived_table_is_named(cells: Callable[..., object], tmp_path: Path) -> None:
    refused = cells("--refresh", "loads", expected=2)
    assert isinstance(refused, dict)
    assert {"all", "none", "carried", "cell_load", "network"} == set(refused["error"]["allowed"])
    refused = cells(tmp_path / "calls.csv", "--refresh", "network", expected=2)
    assert isinstance(refused, dict)
    assert "takes nothing in" in refused["error"]["what"]


@pytest.mark.slow
def test_a_refused_candidate_without_a_champion_stops_each_step_that_needs_one(
    trunkline: Trunkline, tmp_path: Path, subscribers: Subscribers
) -> None:
    rows = subscribers(300, seed=5)
    noise = pa.array(np.random.default_rng(1).random(rows.num_rows) < 0.4)
    source, folder = tmp_path / "rows.csv", tmp_path / "workspace"
    pa_csv.write_csv(rows.set_column(rows.column_names.index("left"), "left", noise), source)
    common = ("leavers", "--run-id", "r1", "--workspace", folder, "--json")

    def state() -> str:
        with Workspace(load_settings(workspace=folder)) as workspace:
            from trunkline.run.records import newest_states

            (run,) = newest_states(workspace)
            return run.state

    assert trunkline("ingest", "leavers", source, *common[1:])[0] == 0
    assert trunkline("train", *common)[0] == 0
    assert state() == "finished"
    for step in ("evaluate", "register", "rollout", "predict", "monitor"):
        code, out, err = trunkline(step, *common)
        assert (step, code) == (step, 3), err
        document = json.loads(out)
        assert "predictions" not in document
        assert "monitor" not in document
    assert trunkline("report", *common)[0] == 0
    assert state() == "refused"
    assert "refused" in (folder / "runs" / "r1" / "report.html").read_text()


def test_a_run_waits_for_another_one_of_its_use_case_where_the_settings_say_so(tmp_path: Path) -> None:
    def workspace(**given: object) -> Workspace:
        return Workspace(load_settings(workspace=tmp_path / "workspace", **given))

    holds, let_go = threading.Event(), threading.Event()

    def other() -> None:
        with workspace() as mine, mine.run_lock("churn"):
            holds.set()
            let_go.wait(30)

    thread = threading.Thread(target=other)
    thread.start()
    try:
        assert holds.wait(30)
        with workspace() as impatient, pytest.raises(BusyError), impatient.run_lock("churn"):
            pass
        threading.Timer(0.3, let_go.set).start()
        began = time.monotonic()
        with workspace(run_wait="PT30S") as patient, patient.run_lock("churn"):
            assert let_go.is_set()
        assert time.monotonic() - began < 30
    finally:
        let_go.set()
        thread.join()


@pytest.mark.slow
def test_what_a_use_case_publishes_of_its_derived_tables_stays_declared_while_none_is_refreshed(
    trunkline: Trunkline, tmp_path: Path
) -> None:
    common = ("ingest", "towers", "--run-id", "r1", "--workspace", tmp_path / "workspace", "--json", "--refresh")
    code, out, err = trunkline(*common, "none")
    assert code == 0, err
    assert "derived" not in json.loads(out)
    names = ("customers_thresholds", "customers_services", "customer_service_metrics", "cell_tower_performance")
    found = {name: json.loads(trunkline(*common, name)[1]) for name in names}
    assert all(found[name]["rows"] for name in names[:2])
    assert all(found[name]["receipts"][0]["accepted"] for name in names[2:])
