"""Derived tables in a run: refreshed by ingestion, read by training, found by lineage."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pa_csv
import pytest

from trunkline.plan import plan_of
from trunkline.plugins import load_usecase

Trunkline = Callable[..., tuple[int, str, str]]

MODULE = '''"""Calls of an operator, and how busy its cells are."""

from typing import ClassVar

from trunkline.contracts import Contract, Integer, Table, Text, field
from trunkline.spec import Derived, Incremental, UseCase


class Call(Contract):
    """One row per call."""

    table: ClassVar[Table] = Table(key=("call_id",))

    call_id: Text = field()
    cell_id: Text = field(pii="subscriber")


class CellLoad(Contract):
    """One row per cell."""

    table: ClassVar[Table] = Table(key=("cell_id",))

    cell_id: Text = field(pii="subscriber", max_length=3)
    calls: Integer = field()


def cell_load(tables):
    calls = tables["calls"]
    return calls.group_by("cell_id").aggregate(calls=calls.count())


usecase = UseCase(
    name="busy",
    title="Busy cells",
    question="How busy is a cell?",
    datasets={"calls": Call},
    derived={
        "cell_load": Derived(
            contract=CellLoad, inputs=("calls",), expression=cell_load, refresh=Incremental(by=("cell_id",))
        )
    },
    main="calls",
    task=None,
    metric="",
)
'''


@pytest.fixture(scope="module")
def plugins(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("plugins")
    (folder / "busy").mkdir()
    (folder / "busy" / "__init__.py").write_text(MODULE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRUNKLINE_PLUGIN_DIR", str(folder))
        yield folder


def calls(path: Path, cells: list[str], first: int = 0) -> Path:
    table = pa.table({"call_id": [f"k{first + place}" for place in range(len(cells))], "cell_id": cells})
    pa_csv.write_csv(table, path)
    return path


@pytest.mark.slow
def test_ingestion_refreshes_them_and_lineage_finds_them(
    environment: None, plugins: Path, trunkline: Trunkline, tmp_path: Path
) -> None:
    root = tmp_path / "workspace"
    first = calls(tmp_path / "first.csv", ["a", "a", "b", "too long"])
    code, out, err = trunkline("ingest", "busy", first, "--workspace", root, "--run-id", "one", "--json")
    assert code == 0, err
    code, out, err = trunkline("lineage", "one", "--workspace", root, "--json")
    assert code == 0, err
    assert "derived from busy.calls@0" in out
    code, out, err = trunkline("quarantine", "list", "--workspace", root, "--json")
    assert code == 0, err
    assert "cell_load" in out
    second = calls(tmp_path / "second.csv", ["b"], first=10)
    code, out, err = trunkline("ingest", "busy", second, "--workspace", root, "--json", "--run-id", "two")
    assert code == 0, err
    code, out, _ = trunkline("lineage", "two", "--workspace", root, "--json")
    batches = [link for link in json.loads(out)["lineage"] if link["kind"] == "batch"]
    assert [(link["facts"]["read"], link["facts"]["accepted"]) for link in batches] == [("1", "1"), ("1", "1")]


def test_they_are_part_of_the_plan(environment: None, plugins: Path) -> None:
    plan = plan_of(load_usecase("busy", plugin_dir=plugins))
    assert plan.derived == ("cell_load",)
    assert "derived tables" in plan.steps[0].title
