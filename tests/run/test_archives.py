"""Archives of several files taken in: file by file, each a batch of its own, by command, by a watched folder, again."""

import gzip
import io
import json
import os
import subprocess
import sys
import tarfile
import threading
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from textwrap import dedent

import pytest

from trunkline.cli import main
from trunkline.errors import TrunklineError
from trunkline.ingest import Ingested
from trunkline.ingest.beside_data import Beside
from trunkline.ingest.byte_stream import ByteStream, Soundness
from trunkline.run import Arrived, Workspace, watch_folder
from trunkline.run.again import ingest_again
from trunkline.run.outcomes import Outcome, PassedOver, passed_over
from trunkline.run.previewing import preview
from trunkline.run.resolving import resolve
from trunkline.run.taking import take
from trunkline.settings import Settings
from trunkline.settings.drills import VARIABLE
from trunkline.spec.sources import FolderSource

USECASE = dedent(
    """
    from typing import ClassVar
    from trunkline.contracts import Contract, Integer, Reference, Table, Text, field
    from trunkline.spec import UseCase

    class Cell(Contract):
        table: ClassVar[Table] = Table(key=("cell",))
        cell: Text = field()
        vendor: Text = field()

    class Call(Contract):
        table: ClassVar[Table] = Table(key=("call_id",), references=REFERENCES)
        call_id: Text = field()
        cell: Text = field()
        seconds: Integer = field(minimum=0)

    usecase = UseCase(name="calls", title="Calls", question="?", datasets={"calls": Call, "cells": Cell}, main="calls",
                      task=None, metric="roc_auc")
    """
)
REFERS = '(Reference(("cell",), "cells", ("cell",)),)'


def packed(path: Path, files: Mapping[str, str]) -> Path:
    """Write an archive; its form is told by its name."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as parts:
            for name, content in files.items():
                parts.writestr(name, content)
        return path
    with tarfile.open(path, "w:gz" if path.suffix in (".gz", ".tgz") else "w") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content.encode()))
    return path


def calls(number: int, *, cell: str = "c1", rows: int = 1) -> str:
    return "call_id,cell,seconds\n" + "".join(f"{number}-{row},{cell},{row}\n" for row in range(rows))


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    return made(tmp_path, monkeypatch)


def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, references: str = "()") -> Workspace:
    folder = tmp_path / "usecases" / "calls"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text(USECASE.replace("REFERENCES", references))
    monkeypatch.setenv("TRUNKLINE_PLUGIN_DIR", str(tmp_path / "usecases"))
    return Workspace(Settings.model_validate({"workspace": tmp_path / "w"}))


def taken(workspace: Workspace, *sources: object, dataset: str | None = None) -> list[Outcome]:
    usecase = workspace.usecase("calls")
    handed = resolve(workspace, usecase, [str(source) for source in sources], dataset=dataset, mapping={})
    return list(take(workspace, usecase, handed, run_id="r", progress=lambda _what, _share: None))


def rows(workspace: Workspace) -> list[str]:
    return sorted(workspace.lake.arrow("calls.calls").column("call_id").to_pylist())


@pytest.mark.parametrize("name", ["day.tar", "day.tgz", "day.tar.gz", "day.zip"])
def test_each_file_of_an_archive_is_a_batch_of_its_own(workspace: Workspace, tmp_path: Path, name: str) -> None:
    archive = packed(tmp_path / name, {"a.csv": calls(1), "deep/b.csv": calls(2, rows=2), "broken.csv": "call_id\n"})
    outcomes = taken(workspace, archive, dataset="calls")
    receipts = {one.member: one.ingested.receipt for one in outcomes if one.ingested}
    assert {member: (one.source, one.accepted) for member, one in receipts.items()} == {
        "a.csv": (f"{archive}#a.csv", 1),
        "deep/b.csv": (f"{archive}#deep/b.csv", 2),
    }
    (refused,) = [one for one in outcomes if one.error]
    assert isinstance(refused.error, TrunklineError)
    assert (refused.member, refused.error.where) == ("broken.csv", f"{archive}#broken.csv")
    assert rows(workspace) == ["1-0", "2-0", "2-1"]
    assert not list((tmp_path / "w" / "tmp").glob("unpacked-*")), "what was unpacked is gone"
    again = taken(workspace, archive, dataset="calls")
    assert [one.ingested.known for one in again if one.ingested] == [True, True]
    (tmp_path / "other.csv").write_text(calls(2, rows=2))
    (alone,) = taken(workspace, tmp_path / "other.csv", dataset="calls")
    assert alone.ingested is not None
    assert alone.ingested.known, "the file itself, unpacked, is the same batch"
    (one,) = taken(workspace, f"{archive}#deep/b.csv", dataset="calls")
    assert one.ingested is not None
    assert one.ingested.known


def test_a_batch_of_an_archive_is_taken_in_again_from_its_copy(workspace: Workspace, tmp_path: Path) -> None:
    archive = packed(tmp_path / "day.tgz", {"a.csv": "no,cell,seconds\n1,c1,2\n", "b.csv": "no,cell,seconds\n2,c1,2\n"})
    usecase = workspace.usecase("calls")
    handed = resolve(workspace, usecase, [str(archive)], dataset="calls", mapping={"no": "call_id"})
    first, _ = take(workspace, usecase, handed, run_id="r", progress=lambda _what, _share: None)
    archive.unlink()
    assert first.ingested is not None
    again = ingest_again(
        workspace,
        "calls",
        first.ingested.receipt.batch_id,
        run_id="r2",
        mapping={"seconds": "call_id", "no": "seconds"},
    )
    assert again.receipt.source == f"{archive}#a.csv"
    assert (again.receipt.accepted, again.removed, rows(workspace)) == (1, 1, ["2", "2"])


def test_files_of_an_archive_go_to_the_datasets_they_fit_and_those_referred_to_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = made(tmp_path, monkeypatch, references=REFERS)
    files = {"calls.csv": calls(1), "cells.csv": "cell,vendor\nc1,x\n", "odd.csv": "x,y\n1,2\n"}
    one = packed(tmp_path / "a.zip", files)
    other = packed(tmp_path / "b.tgz", {"calls.csv": calls(2, cell="c2"), "cells.csv": "cell,vendor\nc2,x\n"})
    outcomes = taken(workspace, one, other)
    assert [one.member for one in outcomes if one.error] == ["odd.csv"]
    assert {one.handed.dataset for one in outcomes if one.member == "cells.csv"} == {"cells"}
    assert all(one.ingested.receipt.quarantined == 0 for one in outcomes if one.ingested)
    assert rows(workspace) == ["1-0", "2-0"]


def test_an_archive_that_breaks_off_gives_what_it_can(workspace: Workspace, tmp_path: Path) -> None:
    archive = packed(tmp_path / "day.tar", {"a.csv": calls(1), "b.csv": calls(2)})
    archive.write_bytes(archive.read_bytes()[:1550])
    (tmp_path / "c.csv").write_text(calls(3))
    first, *others = taken(workspace, archive, tmp_path / "c.csv", dataset="calls")
    broken = first if first.error else others[0]
    assert "breaks off" in str(broken.error)
    assert rows(workspace) == ["1-0", "3-0"]


def test_nothing_of_a_damaged_archive_is_taken_in(workspace: Workspace, tmp_path: Path) -> None:
    archive = packed(tmp_path / "day.tgz", {f"{number}.csv": calls(number, rows=200) for number in range(6)})
    data = bytearray(archive.read_bytes())
    data[len(data) // 2] ^= 4
    archive.write_bytes(data)
    (tmp_path / "c.csv").write_text(calls(9))
    outcomes = taken(workspace, archive, tmp_path / "c.csv", dataset="calls")
    (error,) = [one.error for one in outcomes if one.error]
    assert error.what == "the archive is damaged"
    assert rows(workspace) == ["9-0"]


def test_files_that_are_named_one_by_one_have_their_archive_checked_once(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = packed(tmp_path / "day.tgz", {f"{n}.csv": calls(n) for n in range(4)})
    checked: list[Path] = []
    soundness = ByteStream.soundness

    def noted(stream: ByteStream) -> Soundness:
        checked.append(stream.path)
        return soundness(stream)

    monkeypatch.setattr(ByteStream, "soundness", noted)
    taken(workspace, *(f"{archive}#{n}.csv" for n in range(4)), dataset="calls")
    assert checked == [archive]
    assert len(rows(workspace)) == 4
    taken(workspace, archive, dataset="calls")
    assert checked == [archive, archive], "each call looks anew"


def test_a_pull_keeps_what_it_passed_over_by_kind(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    def pull(*_args: object, passed: Callable[[str, Beside], None], **_named: object) -> Iterator[Ingested]:
        for number in range(1_000):
            passed(f"day.tgz#{number}.md5", "checksum")
        passed("day.tgz#README", "readme or licence")
        yield from ()

    monkeypatch.setattr("trunkline.run.taking.pull", pull)
    outcomes = taken(workspace, "s3://store/day.tgz", dataset="calls")
    assert [(one.beside, one.files, one.member) for one in outcomes] == [
        ("checksum", 1_000, "day.tgz#0.md5"),
        ("readme or licence", 1, "day.tgz#README"),
    ]
    counted: tuple[PassedOver, ...] = ()
    for outcome in (*outcomes, *outcomes):
        counted = passed_over(counted, outcome)
    assert [(one.files, one.first) for one in counted] == [(2_000, "day.tgz#0.md5"), (2, "day.tgz#README")]


def test_windows_bound_what_lies_unpacked(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trunkline.run.unpacking._WINDOW_FILES", 3)
    archive = packed(tmp_path / "day.tgz", {f"{n}.csv": calls(n) for n in range(8)})
    usecase = workspace.usecase("calls")
    handed = resolve(workspace, usecase, [str(archive)], dataset="calls", mapping={})
    most = 0
    for outcome in take(workspace, usecase, handed, run_id="r", progress=lambda _what, _share: None):
        assert outcome.error is None
        most = max(most, len(list((tmp_path / "w" / "tmp").glob("unpacked-*/*/*"))))
    assert 1 <= most <= 3
    assert len(rows(workspace)) == 8


def test_what_is_in_an_archive_is_shown_before_it_is_read(workspace: Workspace, tmp_path: Path) -> None:
    archive = packed(tmp_path / "day.zip", {"calls.csv": calls(1), "cells.csv": "cell,vendor\nc1,x\n"})
    told = preview(workspace, "calls", [str(archive)], dataset=None, mapping={})
    assert {(one.source, one.dataset, one.size_bytes) for one in told.sources} == {
        (f"{archive}#calls.csv", "calls", len(calls(1))),
        (f"{archive}#cells.csv", "cells", 17),
    }
    assert not workspace.lake.exists("calls.calls")


def arrived(workspace: Workspace, inbox: Path, **said: object) -> list[Arrived]:
    """Watch a folder until nothing is left to look at; what goes out of it goes into an archive beside it."""
    put = {"afterwards": "archive", "archive": inbox.parent / "done"} if "afterwards" not in said else {}
    declared = FolderSource.model_validate(
        {"kind": "folder", "usecase": "calls", "dataset": "calls", "path": inbox, "settle_s": 0, **put, **said}
    )
    usecase = workspace.usecase("calls")
    return list(watch_folder(workspace, usecase, declared, run_id="r", stop=threading.Event(), once=True))


def watched(workspace: Workspace, inbox: Path) -> dict[str, str]:
    found = arrived(workspace, inbox)
    return {one.name.removeprefix(f"{inbox}/"): one.error.what if one.error else "" for one in found}


def test_a_watched_archive_is_put_away_when_all_of_it_is_accounted_for(workspace: Workspace, tmp_path: Path) -> None:
    inbox = tmp_path / "in"
    inbox.mkdir()
    packed(inbox / "good.tgz", {"a.csv": calls(1), "b.csv": calls(2)})
    packed(inbox / "half.zip", {"a.csv": calls(3), "b.csv": "no,of,use\n1,2,3\n"})
    (inbox / "cut.tar.gz").write_bytes(gzip.compress(b"cut")[:-3])
    found = watched(workspace, inbox)
    good = {name for name, error in found.items() if not error}
    assert good == {"good.tgz#a.csv", "good.tgz#b.csv", "half.zip#a.csv"}
    assert sorted(path.name for path in inbox.iterdir()) == ["cut.tar.gz", "half.zip"]
    packed(inbox / "half.zip", {"a.csv": calls(3), "b.csv": calls(4)})
    (inbox / "cut.tar.gz").unlink()
    assert watched(workspace, inbox) == {"half.zip#a.csv": "", "half.zip#b.csv": ""}
    assert not list(inbox.iterdir())
    assert rows(workspace) == ["1-0", "2-0", "3-0", "4-0"]


BESIDE = {"README.md": "x,y\n1,2\n", "a.csv.sha256": "0  a.csv\n", "b.csv.sha256": "0  b.csv\n"}


def test_what_holds_no_rows_in_a_watched_folder_is_told_and_keeps_no_archive(
    workspace: Workspace, tmp_path: Path
) -> None:
    inbox = tmp_path / "in"
    inbox.mkdir()
    packed(inbox / "good.tgz", {"a.csv": calls(1), **BESIDE, "b.csv": calls(2)})
    packed(inbox / "odd.zip", {"a.csv": calls(3), "odd.dat": "no,of,use\n1,2,3\n", **BESIDE})
    packed(inbox / "empty.zip", BESIDE)
    for name, content in {"LICENSE": "do as you like", "plain.dat": calls(4), "a.csv.md5": "0", ".a.csv": "x"}.items():
        (inbox / name).write_text(content)
    found = arrived(workspace, inbox)
    told = {one.path.name: [(some.kind, some.files) for some in one.passed_over] for one in found if one.passed_over}
    inside = [("readme or licence", 1), ("checksum", 2)]
    loose = {"LICENSE": [("readme or licence", 1)], "a.csv.md5": [("checksum", 1)]}
    assert told == {"good.tgz": inside, "odd.zip": inside, "empty.zip": inside, **loose}
    errors = {one.name.rpartition("/")[2]: one.error.what for one in found if one.error}
    assert sorted(errors) == ["empty.zip", "odd.zip#odd.dat"]
    left = [".a.csv", "LICENSE", "a.csv.md5", "empty.zip", "odd.zip"]
    assert sorted(path.name for path in inbox.iterdir()) == left
    assert rows(workspace) == ["1-0", "2-0", "3-0", "4-0"]
    noted = workspace.lake.arrow("platform.attempts").to_pylist()
    assert {Path(one["source"]).name: one["passed_over"] for one in noted} == {
        "good.tgz": 3,
        "odd.zip": 3,
        "empty.zip": 3,
        "plain.dat": 0,
    }


def test_an_archive_is_deleted_only_where_no_text_was_passed_over(workspace: Workspace, tmp_path: Path) -> None:
    inbox = tmp_path / "in"
    inbox.mkdir()
    aside = {"README.txt": "x", ".b.csv": calls(9), "notes.md": "x", "a.csv.asc": "x", "a.csv.md5": "0", "map.png": "x"}
    for number, (name, content) in enumerate(aside.items()):
        packed(inbox / f"{number}{Path(name).suffix}.tgz", {"a.csv": calls(number), name: content})
    packed(inbox / "9.tgz", {"ReadMetrics_20260202.txt": calls(10), "readmeters": calls(11)})
    assert not [one.error for one in arrived(workspace, inbox, afterwards="delete") if one.error]
    assert sorted(path.name for path in inbox.iterdir()) == ["0.txt.tgz", "1.csv.tgz", "2.md.tgz", "3.asc.tgz"]
    assert rows(workspace) == sorted([*(f"{number}-0" for number in range(6)), "10-0", "11-0"])


def test_a_recursive_watch_passes_over_what_lies_in_folders_of_systems(workspace: Workspace, tmp_path: Path) -> None:
    inbox = tmp_path / "lost+found"
    for number, name in enumerate(("a.csv", "deep/b.csv", "__MACOSX/c.csv", "deep/lost+found/d.csv")):
        (inbox / name).parent.mkdir(parents=True, exist_ok=True)
        (inbox / name).write_text(calls(number))
    found = arrived(workspace, inbox, recursive=True, afterwards="delete")
    passed = [one.path.name for one in found for some in one.passed_over if some.kind == "file of an operating system"]
    assert sorted(passed) == sorted(path.name for path in inbox.rglob("*.csv")) == ["c.csv", "d.csv"]
    assert rows(workspace) == ["0-0", "1-0"]


def test_a_declared_folder_with_nothing_but_a_readme_has_answered(workspace: Workspace, tmp_path: Path) -> None:
    inbox = tmp_path / "in"
    inbox.mkdir()
    (inbox / "README.md").write_text("x")
    declared = FolderSource(kind="folder", usecase="calls", dataset="calls", path=inbox, settle_s=0)
    settings = workspace.settings.model_copy(update={"sources": {"inbox": declared}})
    with Workspace(settings) as told:
        (one,) = watch_folder(told, told.usecase("calls"), declared, run_id="r", stop=threading.Event(), once=True)
        assert [some.kind for some in one.passed_over] == ["readme or licence"]
        noted = told.lake.arrow("platform.attempts").to_pylist()
    (answer,) = [one for one in noted if one["outcome"] != "declared"]
    assert (answer["source"], answer["outcome"], answer["taken"], answer["refused"]) == ("inbox", "taken", 0, 0)


def test_what_holds_no_rows_is_told_by_a_watch(
    workspace: Workspace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    inbox = tmp_path / "in"
    inbox.mkdir()
    packed(inbox / "a.tgz", {"a.csv": calls(1), **BESIDE})
    place = ["--dataset", "calls", "--workspace", str(workspace.root), "--once", "--settle", "0"]
    assert main(["watch", "calls", str(inbox), *place]) == 0
    passed, taken = capsys.readouterr().out.splitlines()
    assert passed == (
        "a.tgz: passed over, as they hold no rows by their names: "
        "readme or licence (a.tgz#README.md), checksum (2, the first: a.tgz#a.csv.sha256)"
    )
    assert taken.startswith("a.tgz#a.csv: 1 read")
    assert main(["watch", "calls", str(inbox), *place, "--json"]) == 0
    files = json.loads(capsys.readouterr().out)["files"]
    assert [(one["path"], [some["files"] for some in one.get("passed_over", [])]) for one in files] == [
        (str(inbox / "a.tgz"), [1, 2]),
        (f"{inbox / 'a.tgz'}#a.csv", []),
    ]


def test_what_holds_no_rows_is_told_by_the_command(
    workspace: Workspace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "day"
    folder.mkdir()
    packed(folder / "a.tgz", {"a.csv": calls(1), **BESIDE})
    for name, content in {"README.txt": "x", "plain.dat": calls(2), "c.csv": calls(3), "c.csv.part": calls(4)}.items():
        (folder / name).write_text(content)
    place = ["--dataset", "calls", "--workspace", str(workspace.root)]
    assert main(["ingest", "calls", str(folder), *place, "--dry-run", "--json"]) == 0
    previews = json.loads(capsys.readouterr().out)["sources"]
    kinds = sorted(one["kind"] for one in previews if one["dataset"] is None)
    assert kinds == ["checksum"] * 2 + ["readme or licence"] * 2 + ["unfinished file"]
    assert main(["ingest", "calls", str(folder), *place, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)["ingest"]
    assert {one["kind"]: (one["files"], one["first"]) for one in document["passed_over"]} == {
        "readme or licence": (2, "README.txt"),
        "checksum": (2, "a.tgz#a.csv.sha256"),
        "unfinished file": (1, "c.csv.part"),
    }
    assert rows(workspace) == ["1-0", "2-0", "3-0"]
    assert main(["ingest", "calls", str(folder), *place]) == 0
    assert "checksum (2, the first: a.tgz#a.csv.sha256)" in capsys.readouterr().out
    assert main(["ingest", "calls", str(folder / "README.txt"), *place]) == 2, "whoever names a file means it"
    assert main(["ingest", "calls", str(folder / "c.csv.part"), *place]) == 0
    assert rows(workspace)[-1] == "4-0"


@pytest.mark.slow
@pytest.mark.parametrize("crash_at", ["ingest.after_rows", "landing.after_file:3", "lake.after_commit:2"])
def test_killed_in_the_middle_and_called_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, crash_at: str) -> None:
    workspace = made(tmp_path, monkeypatch)
    archive = packed(tmp_path / "day.tgz", {f"{n}.csv": calls(n, rows=3) for n in range(6)})
    said = [sys.executable, "-m", "trunkline", "ingest", "calls", str(archive), "--json", "--workspace", "w"]
    killed, done = (
        subprocess.run(said, cwd=tmp_path, env={**os.environ, VARIABLE: at}, capture_output=True, check=False)
        for at in (crash_at, "")
    )
    assert killed.returncode < 0
    assert done.returncode == 0, done.stderr
    counted = json.loads(done.stdout)["ingest"]
    assert (counted["read"], counted["accepted"]) == (18, 18)
    assert rows(workspace) == sorted(f"{n}-{row}" for n in range(6) for row in range(3))
    assert not list((tmp_path / "w" / "tmp").glob("unpacked-*")), "what the killed call unpacked is gone"


def test_a_use_case_is_drafted_from_a_file_of_an_archive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TRUNKLINE_PLUGIN_DIR", str(tmp_path / "own"))
    archive = packed(tmp_path / "day.tgz", {"a.csv": calls(1, rows=20), "cells.csv": "mast,vendor\nm1,x\nm2,y\n"})
    for name, source, expected in (("drafted", str(archive), "call_id"), ("masts", f"{archive}#cells.csv", "mast")):
        assert main(["new", name, "--from-data", source, "--no-label"]) == 0
        assert "one file of the archive" in capsys.readouterr().out
        assert expected in (tmp_path / "own" / name / "contracts.py").read_text()


def test_what_a_draft_is_made_from_is_unpacked_in_the_workspace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRUNKLINE_PLUGIN_DIR", str(tmp_path / "own"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "nowhere"))  # the system's folder is not asked for
    archive = packed(tmp_path / "day.tgz", {"a.csv": calls(1, rows=20)})
    left = tmp_path / "w" / "tmp" / "drafting-killed"
    left.mkdir(parents=True)
    said = ["new", "drafted", "--from-data", str(archive), "--no-label", "--workspace", str(tmp_path / "w")]
    assert main(said) == 0
    assert list(left.parent.iterdir()) == []


def test_the_recordings_of_a_use_case_go_first(tmp_path: Path) -> None:
    metadata = "device id,recording epoch time\np1,1700000000000\n"
    battery = "time,seconds_elapsed,batteryLevel\n1700000000000000000,0.0,0.5\n"
    recording = packed(tmp_path / "ride.zip", {"Metadata.csv": metadata, "Battery.csv": battery})
    with Workspace(Settings.model_validate({"workspace": tmp_path / "w"})) as workspace:
        usecase = workspace.usecase("sensors")
        handed = resolve(workspace, usecase, [str(recording)], dataset=None, mapping={})
        (one,) = take(workspace, usecase, handed, run_id="r", progress=lambda _what, _share: None)
        assert one.ingested is not None
        assert (one.member, one.ingested.receipt.source) == ("", str(recording))
