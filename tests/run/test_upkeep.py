"""What maintenance keeps, what it lets go, and what it does about damage."""

import json
import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from trunkline.lake.locks import held
from trunkline.run import Workspace, execute, utc_now
from trunkline.run.upkeep import Upkeep, maintain
from trunkline.settings import load_settings

Trunkline = Callable[..., tuple[int, str, str]]

TABLE = "leavers.subscribers"


def tidy(workspace: Path, *, later: timedelta = timedelta(0)) -> Upkeep:
    """Maintain a workspace as of now, or of later."""
    with Workspace(load_settings(workspace=workspace), clock=lambda: utc_now() + later) as opened:
        return maintain(opened, progress=lambda _what, _share: None)


def pinned(found: Upkeep) -> tuple[int, ...]:
    (row,) = [row for row in found.tables if row.table == TABLE]
    return row.pinned


@pytest.mark.slow
def test_a_tampered_model_is_told_and_what_it_was_trained_on_is_kept(trunkline: Trunkline, workspace: Path) -> None:
    assert (pinned(tidy(workspace)), tidy(workspace).problems) == ((0,), ())
    model = workspace / "models" / "leavers" / "1" / "model.onnx"
    model.write_bytes(model.read_bytes() + b"x")
    code, out, err = trunkline("maintain", "--workspace", workspace, "--json")
    assert code == 0, err
    found = Upkeep.model_validate(json.loads(out))
    assert len(found.tables) >= 5
    assert pinned(found) == (0,)
    (problem,) = found.problems
    assert "model.onnx" in problem
    assert "DAMAGED" in trunkline("maintain", "--workspace", workspace)[1]


def test_one_maintenance_goes_on_at_a_time(workspace: Path, trunkline: Trunkline) -> None:
    with held(workspace / "locks" / "maintain.lock", what="maintenance"):
        code, _, err = trunkline("maintain", "--workspace", workspace)
        assert (code, f"process {os.getpid()}" in err, "maintenance of this workspace" in err) == (2, True, True)
        assert trunkline("maintain", "--dry-run", "--workspace", workspace)[0] == 0, "a look changes nothing"
    assert trunkline("maintain", "--workspace", workspace)[0] == 0


def test_a_damaged_manifest_keeps_all_that_its_use_case_was_trained_on(workspace: Path) -> None:
    (workspace / "live" / "leavers.json").write_text("{}")
    found = tidy(workspace)
    assert pinned(found) == (0,)
    assert len(found.problems) == 1


@pytest.mark.slow
def test_what_an_unfinished_run_has_read_is_kept(
    environment: None, tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("trunkline.run.steps.evaluating.judge", stop)
    workspace = tmp_path / "w"
    with pytest.raises(KeyboardInterrupt), Workspace(load_settings(workspace=workspace)) as opened:
        execute(opened, "leavers", sources=(str(source),), run_id="stopped", progress=lambda _what, _share: None)
    assert pinned(tidy(workspace)) == (0,)
    assert pinned(tidy(workspace, later=timedelta(hours=2))) == (), "nobody has gone on with it"
    assert [path.name for path in (workspace / "candidates").iterdir()] == ["stopped"]


@pytest.mark.slow
def test_candidates_that_became_versions_go_after_a_while(trunkline: Trunkline, workspace: Path) -> None:
    assert [path.name for path in (workspace / "candidates").iterdir()] == ["first"]
    assert tidy(workspace).candidates_removed == ()
    page = workspace / "runs" / "first" / "report.html"
    before = page.read_bytes()
    assert tidy(workspace, later=timedelta(hours=2)).candidates_removed == ("first",)
    assert list((workspace / "candidates").iterdir()) == []
    assert trunkline("report", "leavers", "--workspace", workspace)[0] == 0
    assert page.read_bytes() == before
