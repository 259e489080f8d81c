"""Real and simulated rows are learned from and scored together only where somebody names both."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from trunkline.run import Workspace
from trunkline.settings import load_settings

Trunkline = Callable[..., tuple[int, str, str]]
Subscribers = Callable[..., pa.Table]


def trained_on(workspace: Path, run_id: str) -> dict[str, object]:
    with Workspace(load_settings(workspace=workspace)) as opened:
        (row,) = opened.lake.arrow(
            "platform.steps", where=lambda table: (table["run_id"] == run_id) & (table["step"] == "train")
        ).to_pylist()
    document: dict[str, object] = json.loads(row["document"])
    return document


@pytest.fixture
def mixed(tmp_path: Path, trunkline: Trunkline, source: Path) -> Path:
    """A lake with 600 simulated rows, and then 500 real ones."""
    workspace = tmp_path / "w"
    for given in ((), ("--source", source)):
        code, _, err = trunkline("run", "leavers", *given, "--until", "ingest", "--workspace", workspace)
        assert code == 0, err
    with Workspace(load_settings(workspace=workspace)) as opened:
        assert opened.lake.arrow("leavers.subscribers").num_rows == 1100
    return workspace


@pytest.mark.slow
@pytest.mark.parametrize("command", ["run", "train"])
def test_real_rows_are_learned_from_without_the_simulated_ones(trunkline: Trunkline, mixed: Path, command: str) -> None:
    until = ("--until", "evaluate") if command == "run" else ()
    code, _, err = trunkline(command, "leavers", *until, "--run-id", "later", "--workspace", mixed)
    assert code == 0, err
    document = trained_on(mixed, "later")
    assert (document["rows"], document["batches"]) == (500, [])
    with Workspace(load_settings(workspace=mixed)) as opened:
        receipts = opened.lake.arrow("platform.receipts").to_pylist()
    assert document["left_out"] == [row["batch_id"] for row in receipts if "tmp/simulated" in row["source"]]


def test_a_simulated_run_learns_from_simulated_rows(trunkline: Trunkline, tmp_path: Path) -> None:
    asked = ("run", "leavers", "--until", "train", "--run-id", "made", "--workspace", tmp_path)
    assert trunkline(*asked)[0] == 0
    document = trained_on(tmp_path, "made")
    assert (document["rows"], document["left_out"]) == (600, [])


@pytest.mark.slow
def test_the_champion_scores_no_simulated_rows_beside_real_ones(
    trunkline: Trunkline, workspace: Path, subscribers: Subscribers
) -> None:
    made = workspace / "tmp" / "simulated" / "leavers-subscribers-50-9.parquet"
    made.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(subscribers(50, seed=9), made)
    assert trunkline("ingest", "leavers", made, "--workspace", workspace)[0] == 0
    code, out, err = trunkline("predict", "leavers", "--workspace", workspace, "--json")
    assert code == 0, err
    assert json.loads(out)["predictions"]["rows"] == 500
    asked = ("run", "leavers", "--source", made, "--until", "train", "--run-id", "asked", "--workspace", workspace)
    assert trunkline(*asked)[0] == 0
    assert trained_on(workspace, "asked")["rows"] == 50, "who names simulated rows gets them"


def test_simulated_rows_are_known_as_such_when_the_workspace_has_moved(trunkline: Trunkline, tmp_path: Path) -> None:
    for name in ("old", "new"):
        code, out, err = trunkline("run", "leavers", "--until", "ingest", "--workspace", tmp_path / name, "--json")
        assert code == 0, err
        assert json.loads(out)["ingest"]["read"] == 600
        if name == "old":
            shutil.move(tmp_path / "old", tmp_path / "new")
