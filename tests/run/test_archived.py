"""Files that a watched folder moved into its archive are looked into when a person is erased."""

import io
import json
import os
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from trunkline.run import Workspace
from trunkline.run.archived import ARCHIVED, ArchivedFiles
from trunkline.settings import load_settings

Trunkline = Callable[..., tuple[int, str, str]]

PERSON, NEIGHBOUR = "L0-000007", "L0-000008"


@pytest.fixture
def archive(trunkline: Trunkline, source: Path, tmp_path: Path) -> Path:
    """An archive: a file with the person, one with a neighbour, and a packed archive with both."""
    header, *lines = source.read_text().splitlines()
    inbox = tmp_path / "in"
    inbox.mkdir()

    def rows(*people: str, first: int) -> str:
        found = [line for line in lines if any(person in line for person in people)]
        others = [line for line in lines if not any(one in line for one in (PERSON, NEIGHBOUR))][first : first + 3]
        return "\n".join([header, *found, *others]) + "\n"

    (inbox / "theirs.csv").write_text(rows(PERSON, first=0))
    (inbox / "others.csv").write_text(rows(NEIGHBOUR, first=3))
    with tarfile.open(inbox / "both.tgz", "w:gz") as packed:
        for name, content in (("a.csv", rows(NEIGHBOUR, first=6)), ("b.csv", rows(PERSON, first=9))):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            packed.addfile(info, io.BytesIO(content.encode()))
    code, _, err = trunkline(*watching(tmp_path))
    assert code == 0, err
    assert not list(inbox.iterdir())
    (day,) = (tmp_path / "archive").iterdir()
    return day


def watching(folder: Path) -> list[object]:
    said = ["watch", "leavers", folder / "in", "--once", "--settle", "0", "--archive", folder / "archive"]
    return [*said, "--workspace", folder / "w"]


def erased(trunkline: Trunkline, folder: Path) -> dict[str, Any]:
    code, out, err = trunkline("maintain", "--erase", f"subscriber={PERSON}", "--workspace", folder / "w", "--json")
    assert code == 0, err
    found: dict[str, Any] = json.loads(out)
    return found


def test_archived_files_that_hold_the_person_go(trunkline: Trunkline, archive: Path, tmp_path: Path) -> None:
    found = erased(trunkline, tmp_path)
    assert found["archived"] == [str(archive / "both.tgz"), str(archive / "theirs.csv")]
    assert found["files"] == []
    assert [path.name for path in archive.iterdir()] == ["others.csv"]
    again = erased(trunkline, tmp_path)
    assert (again["archived"], again["files"]) == ([], [])


def test_they_are_listed_where_they_are_to_stay(
    trunkline: Trunkline, archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRUNKLINE_LANDING__ARCHIVED_FILES", "list")
    for _ in range(2):
        found = erased(trunkline, tmp_path)
        assert found["archived"] == []
        assert found["files"] == [str(archive / "both.tgz"), str(archive / "theirs.csv")]
    assert len(list(archive.iterdir())) == 3


def test_what_is_no_longer_what_was_moved_there_is_listed(trunkline: Trunkline, archive: Path, tmp_path: Path) -> None:
    theirs = archive / "theirs.csv"
    theirs.write_text(theirs.read_text() + "\n")
    (archive / "both.tgz").write_bytes(b"\x1f\x8b")
    found = erased(trunkline, tmp_path)
    assert (found["archived"], found["files"]) == ([], [str(theirs)])
    assert str(archive / "both.tgz") in found["unread"]


def test_what_cannot_be_seen_is_told_and_found_when_it_is_back(
    trunkline: Trunkline, archive: Path, tmp_path: Path
) -> None:
    share, away = tmp_path / "archive", tmp_path / "away"
    inside = sorted(map(str, archive.iterdir()))
    share.rename(away)
    found = erased(trunkline, tmp_path)
    assert (found["archived"], found["files"], found["unread"]) == ([], [], inside)
    archive.mkdir(parents=True)  # what is left of a share that is not mounted, written to by a watch
    assert erased(trunkline, tmp_path)["unread"] == inside
    archive.rmdir()
    share.rmdir()
    away.rename(share)
    found = erased(trunkline, tmp_path)
    assert (found["archived"], found["unread"]) == ([str(archive / "both.tgz"), str(archive / "theirs.csv")], [])


def test_a_file_on_its_way_is_told_and_found_when_it_has_arrived(
    trunkline: Trunkline, archive: Path, tmp_path: Path
) -> None:
    path, target = tmp_path / "in" / "late.csv", archive / "late.csv"
    (archive / "theirs.csv").rename(path)
    with Workspace(load_settings(workspace=tmp_path / "w")) as workspace:
        files = ArchivedFiles(workspace.root)
        tables = {path: ["leavers.subscribers"]}
        with files.moving({path: target}, archive=archive.parent, tables=tables, csv=workspace.settings.ingest.csv):
            assert str(target) in erased(trunkline, tmp_path)["unread"]
            path.rename(target)
    found = erased(trunkline, tmp_path)
    assert (found["archived"], found["unread"]) == ([str(target)], [])


def test_what_others_took_out_of_an_archive_that_is_there_is_forgotten(
    trunkline: Trunkline, archive: Path, tmp_path: Path
) -> None:
    (archive / "theirs.csv").rename(tmp_path / "elsewhere.csv")
    assert erased(trunkline, tmp_path)["archived"] == [str(archive / "both.tgz")]
    with Workspace(load_settings(workspace=tmp_path / "w")) as workspace:
        left = ArchivedFiles(workspace.root).of("leavers.subscribers")
    assert [one.path.name for one in left] == ["others.csv"]


def test_a_name_that_is_there_already_is_noted_as_the_file_is_called_then(
    trunkline: Trunkline, archive: Path, tmp_path: Path
) -> None:
    (tmp_path / "in" / "others.csv").write_text((archive / "theirs.csv").read_text() + "\n\n")
    os.remove(archive / "theirs.csv")  # noqa: PTH107 - somebody else's doing
    code, _, err = trunkline(*watching(tmp_path))
    assert code == 0, err
    (moved,) = archive.glob("others-*.csv")
    assert str(moved) in erased(trunkline, tmp_path)["archived"]
    assert (tmp_path / "w" / ARCHIVED).exists()
    assert sorted(path.name for path in archive.iterdir()) == ["others.csv"]
