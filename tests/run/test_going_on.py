"""A run gone on with under its id: the files that were handed over are told by their bytes, archives among them."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.run.test_archives import calls, made, packed, rows

from trunkline.cli import main
from trunkline.contracts.records import Receipt
from trunkline.ingest.files import content_sha256
from trunkline.run import Workspace
from trunkline.run.steps import IngestDocument, ingesting
from trunkline.run.steps.context import StepContext
from trunkline.settings.drills import VARIABLE

MEMBERS = {"a.csv": calls(1), "b.csv": calls(2, rows=2)}


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    return made(tmp_path, monkeypatch)


def ingest(workspace: Workspace, *sources: object, run_id: str = "mine") -> int:
    place = ["--dataset", "calls", "--workspace", str(workspace.root)]
    return main(["ingest", "calls", *map(str, sources), "--run-id", run_id, *place])


def told(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().err


@pytest.mark.parametrize("suffix", [".tgz", ".zip"])
def test_the_same_archive_goes_on_and_another_of_the_same_files_does_not(
    workspace: Workspace, tmp_path: Path, suffix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    archive = packed(tmp_path / f"day{suffix}", MEMBERS)
    assert ingest(workspace, archive) == 0
    moved = shutil.copy(archive, tmp_path / f"moved{suffix}")
    for same in (archive, moved, f"{archive}#b.csv"):
        assert ingest(workspace, same) == 0, told(capsys)
    other = packed(tmp_path / "day.tar", MEMBERS)
    capsys.readouterr()
    assert ingest(workspace, other) == 2
    assert "has taken in other files" in (said := told(capsys))
    assert "told by their bytes" in said
    packed(archive, {**MEMBERS, "c.csv": calls(3)})
    assert ingest(workspace, archive) == 2, "its name does not vouch for what is in it"
    assert ingest(workspace, archive, run_id="new") == 0
    assert rows(workspace) == ["1-0", "2-0", "2-1", "3-0"]


def test_one_file_of_an_archive_and_a_folder_are_gone_on_with(workspace: Workspace, tmp_path: Path) -> None:
    archive = packed(tmp_path / "in.zip", MEMBERS)
    assert ingest(workspace, f"{archive}#a.csv") == 0
    assert ingest(workspace, f"{archive}#a.csv") == 0
    assert ingest(workspace, f"{archive}#b.csv") == 2
    assert ingest(workspace, archive) == 2
    folder = tmp_path / "folder"
    folder.mkdir()
    packed(folder / "day.tgz", MEMBERS)
    for name in ("c.csv", "README.md"):
        (folder / name).write_text(calls(3))
    assert ingest(workspace, folder, run_id="folder") == 0
    (folder / "README.md").write_text("another text")
    assert ingest(workspace, folder, run_id="folder") == 0
    (folder / "d.csv").write_text(calls(4))
    assert ingest(workspace, folder, run_id="folder") == 2
    assert rows(workspace) == ["1-0", "2-0", "2-1", "3-0"]


def test_a_recording_is_gone_on_with(tmp_path: Path) -> None:
    inside = {
        "Metadata.csv": "device id,recording epoch time\np1,1700000000000\n",
        "Battery.csv": "time,seconds_elapsed,batteryLevel\n1700000000000000000,0.0,0.5\n",
    }
    said = ["ingest", "sensors", "--run-id", "mine", "--workspace", str(tmp_path / "w")]
    ride = packed(tmp_path / "ride.zip", inside)
    assert [main([*said, str(ride)]), main([*said, str(ride)])] == [0, 0]
    assert main([*said, str(packed(tmp_path / "ride.zip", {**inside, "Other.csv": "x\n"}))]) == 2


def test_a_failed_run_goes_on_with_its_archive_mended(workspace: Workspace, tmp_path: Path) -> None:
    archive = packed(tmp_path / "day.tgz", {"a.csv": calls(1), "b.csv": "no,of,use\n1,2,3\n"})
    assert ingest(workspace, archive) == 2
    packed(archive, MEMBERS)
    assert ingest(workspace, archive) == 0
    assert rows(workspace) == ["1-0", "2-0", "2-1"]


@pytest.mark.slow
def test_a_killed_run_goes_on_with_its_archive_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = made(tmp_path, monkeypatch)
    archive = packed(tmp_path / "day.tgz", MEMBERS)
    said = [sys.executable, "-m", "trunkline", "ingest", "calls", str(archive), "--dataset", "calls", "--json"]
    killed, done = (
        subprocess.run(
            [*said, "--run-id", "mine", "--workspace", str(workspace.root)],
            cwd=tmp_path,
            env={**os.environ, VARIABLE: at},
            capture_output=True,
            check=False,
        )
        for at in ("run.after_ingest", "")
    )
    assert killed.returncode < 0
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["ingest"]["accepted"] == 3
    assert ingest(workspace, packed(tmp_path / "other.tgz", {**MEMBERS, "c.csv": calls(3)})) == 2


def test_documents_that_kept_no_hashes_are_told_by_receipts(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trunkline.run.steps.handed.HandedFiles.sha256", lambda _files: None)
    archive = packed(tmp_path / "day.tgz", MEMBERS)
    (tmp_path / "c.csv").write_text(calls(3))
    assert ingest(workspace, archive, tmp_path / "c.csv") == 0
    assert ingest(workspace, archive, tmp_path / "c.csv") == 0
    assert ingest(workspace, packed(tmp_path / "other.tgz", MEMBERS)) == 2
    assert IngestDocument.model_validate_json('{"receipts": [], "known": [], "batches": []}').handed is None


def test_plain_files_are_read_once_and_each_archive_is_hashed_once(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = packed(tmp_path / "day.tgz", {f"{number}.csv": calls(number) for number in range(4)})
    plain = [tmp_path / f"plain{number}.csv" for number in range(5, 8)]
    for number, path in enumerate(plain, start=5):
        path.write_text(calls(number))
    hashed: list[Path] = []

    def counted(path: Path) -> str:
        hashed.append(path)
        return content_sha256(path)

    monkeypatch.setattr("trunkline.run.steps.handed.content_sha256", counted)
    some = [f"{archive}#{number}.csv" for number in range(3)]
    assert ingest(workspace, *some, *plain) == 0
    assert hashed == [archive]
    assert ingest(workspace, *some, *plain) == 0, "whoever goes on is held against their bytes"
    assert sorted(hashed) == sorted([archive, archive, *plain])
    assert ingest(workspace, f"{archive}#3.csv") == 2
    assert rows(workspace) == [f"{number}-0" for number in (0, 1, 2, 5, 6, 7)]


def test_an_archive_that_changed_while_it_was_taken_in_is_not_gone_on_with(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = packed(tmp_path / "day.tgz", MEMBERS)
    refreshed = ingesting._refreshed

    def changing(context: StepContext) -> tuple[Receipt, ...]:
        packed(archive, {**MEMBERS, "c.csv": calls(3, rows=3)})
        return refreshed(context)

    with monkeypatch.context() as while_taken:
        while_taken.setattr(ingesting, "_refreshed", changing)
        assert ingest(workspace, archive) == 0
    assert ingest(workspace, archive) == 2
    assert ingest(workspace, archive, run_id="new") == 0
    assert "3-2" in rows(workspace)
