"""The quarantine: listed, shown, handed in again after the contract has changed, discarded; no row twice."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from trunkline.errors import SchemaError, UnknownNameError
from trunkline.ingest import Target, ingest_file
from trunkline.lake import Lake
from trunkline.run import Workspace
from trunkline.run.refused import discard_batch, open_batches, refused_rows, replay_batch
from trunkline.settings import Settings

USECASE = """
from typing import ClassVar

from trunkline.contracts import Contract, Integer, Table, Text, field
from trunkline.spec import UseCase


class Call(Contract):
    table: ClassVar[Table] = Table(key=("call_id",))

    call_id: Text = field(max_length={length})
    seconds: Integer = field(minimum={minimum})


usecase = UseCase(
    name="calls", title="Calls", question="None.", metric="r2", task=None,
    datasets={{"{dataset}": Call}}, main="{dataset}",
)
"""

Open = Callable[..., Workspace]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Open]:
    """Open the workspace with a contract of its own; each opening is another process's view."""
    made: list[Workspace] = []

    def open_workspace(*, minimum: int = 0, length: int = 5, dataset: str = "calls") -> Workspace:
        plugins = tmp_path / f"plugins_{minimum}_{length}_{dataset}" / "calls"
        plugins.mkdir(parents=True, exist_ok=True)
        (plugins / "__init__.py").write_text(USECASE.format(minimum=minimum, length=length, dataset=dataset))
        workspace = Workspace(Settings(workspace=tmp_path / "w", plugin_dir=plugins.parent, threads=1))
        made.append(workspace)
        return workspace

    yield open_workspace
    for workspace in made:
        workspace.close()


SOURCE = 'No,"Talk, s"\nc1,5\nc2,-3\nc3,x\nshort\ntoolong,7\nc4,-1\n'
MAPPING = {"No": "call_id", "Talk, s": "seconds"}


def take(workspace: Workspace, tmp_path: Path) -> str:
    path = tmp_path / "calls.csv"
    path.write_text(SOURCE)
    target = Target("calls", "calls", workspace.usecase("calls").datasets["calls"])
    return ingest_file(
        path, target, lake=workspace.lake, run_id="r1", clock=workspace.clock, mapping=MAPPING
    ).receipt.batch_id


def accepted(lake: Lake) -> list[str]:
    return sorted(str(row["call_id"]) for row in lake.arrow("calls.calls").to_pylist())


def test_what_lies_there(opened: Open, tmp_path: Path) -> None:
    workspace = opened()
    assert open_batches(workspace) == ()
    batch = take(workspace, tmp_path)
    (found,) = open_batches(workspace)
    assert (found.batch_id, found.usecase, found.dataset, found.rows) == (batch, "calls", "calls", 5)
    assert found.source.endswith("calls.csv")
    assert found.reasons == {"seconds.minimum": 2, "seconds.type": 1, "line.malformed": 1, "call_id.length": 1}
    assert open_batches(workspace, usecase="other") == ()
    rows = refused_rows(workspace, batch)
    assert [(row.row_number, row.reasons, row.state) for row in rows] == [
        (2, ("seconds.minimum",), "open"),
        (3, ("seconds.type",), "open"),
        (4, ("line.malformed",), "open"),
        (5, ("call_id.length",), "open"),
        (6, ("seconds.minimum",), "open"),
    ]
    assert rows[0].row == {"No": "c2", "Talk, s": "-3"}
    assert rows[2].row == {"line": "short"}


def test_replay_under_the_same_contract_changes_nothing(opened: Open, tmp_path: Path) -> None:
    workspace = opened()
    batch = take(workspace, tmp_path)
    versions = {table: workspace.lake.version(table) for table in workspace.lake.tables()}
    assert replay_batch(workspace, batch).model_dump() == {"accepted": 0, "still_refused": 5}
    assert {table: workspace.lake.version(table) for table in workspace.lake.tables()} == versions
    assert list(workspace.folder("tmp").glob("replay*")) == []


def test_replay_after_the_contract_has_changed(opened: Open, tmp_path: Path) -> None:
    batch = take(opened(), tmp_path)
    looser = opened(minimum=-2)
    assert replay_batch(looser, batch).model_dump() == {"accepted": 1, "still_refused": 4}
    assert accepted(looser.lake) == ["c1", "c4"]
    assert replay_batch(looser, batch).model_dump() == {"accepted": 0, "still_refused": 4}
    loosest = opened(minimum=-5, length=10)
    assert replay_batch(loosest, batch).model_dump() == {"accepted": 2, "still_refused": 2}
    assert replay_batch(loosest, batch).model_dump() == {"accepted": 0, "still_refused": 2}
    assert accepted(loosest.lake) == ["c1", "c2", "c4", "toolong"]
    states = Counter(row.state for row in refused_rows(loosest, batch))
    assert states == {"replayed": 3, "open": 2}
    (found,) = open_batches(loosest)
    assert (found.batch_id, found.rows) == (batch, 2)
    receipts = loosest.lake.arrow("platform.receipts").to_pylist()
    assert sorted((row["read"], row["accepted"], row["quarantined"]) for row in receipts) == [
        (1, 1, 0),
        (2, 2, 0),
        (6, 1, 5),
    ]


def test_a_replay_that_was_interrupted_is_completed(
    opened: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = take(opened(), tmp_path)
    looser = opened(minimum=-5)

    def cut(*args: object, **kwargs: object) -> None:
        raise RuntimeError("power cut")

    monkeypatch.setattr("trunkline.run.refused._mark", cut)
    with pytest.raises(RuntimeError):
        replay_batch(looser, batch)
    monkeypatch.undo()
    assert replay_batch(looser, batch).model_dump() == {"accepted": 2, "still_refused": 3}
    assert accepted(looser.lake) == ["c1", "c2", "c4"]


def test_discarding(opened: Open, tmp_path: Path) -> None:
    workspace = opened()
    batch = take(workspace, tmp_path)
    assert discard_batch(workspace, batch) == 5
    assert discard_batch(workspace, batch) == 0
    assert open_batches(workspace) == ()
    assert replay_batch(opened(minimum=-5), batch).model_dump() == {"accepted": 0, "still_refused": 0}
    assert {row.state for row in refused_rows(workspace, batch)} == {"discarded"}
    assert accepted(workspace.lake) == ["c1"]


def test_what_is_not_there(opened: Open, tmp_path: Path) -> None:
    workspace = opened()
    for act in (refused_rows, replay_batch, discard_batch):
        with pytest.raises(UnknownNameError, match="holds nothing of batch 'nope'"):
            act(workspace, "nope")
    batch = take(workspace, tmp_path)
    with pytest.raises(UnknownNameError) as caught:
        refused_rows(workspace, "nope")
    assert caught.value.allowed == (batch,)
    with pytest.raises(UnknownNameError, match="no dataset 'calls' any more"):
        replay_batch(opened(dataset="others"), batch)


def test_values_of_json_that_are_no_scalars(opened: Open, tmp_path: Path) -> None:
    workspace = opened()
    path = tmp_path / "calls.ndjson"
    path.write_text('{"call_id": "c1", "seconds": 1}\n{"call_id": {"a": 1}, "seconds": 2}\n')
    contract = workspace.usecase("calls").datasets["calls"]
    receipt = ingest_file(
        path, Target("calls", "calls", contract), lake=workspace.lake, run_id="r", clock=workspace.clock
    ).receipt
    (row,) = refused_rows(workspace, receipt.batch_id)
    assert row.reasons == ("call_id.type",)
    assert row.row == {"call_id": '{"a":1}', "seconds": "2"}
    assert replay_batch(workspace, receipt.batch_id).accepted == 0


def test_the_mapping_is_in_the_receipt(opened: Open, tmp_path: Path) -> None:
    workspace = opened()
    take(workspace, tmp_path)
    (receipt,) = workspace.lake.arrow("platform.receipts").to_pylist()
    assert json.loads(receipt["mapping"]) == MAPPING
    with pytest.raises(SchemaError, match="an absent column 'gone'"):
        ingest_file(
            tmp_path / "calls.csv",
            Target("calls", "calls", workspace.usecase("calls").datasets["calls"]),
            lake=workspace.lake,
            run_id="r",
            clock=workspace.clock,
            mapping={"gone": "call_id"},
        )
