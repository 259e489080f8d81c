"""Sources as people name them: paths, folders, globs, URLs, names from the settings; and folders that are watched."""

import json
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import pytest

from trunkline.cli import main
from trunkline.errors import BusyError, InputError, SourceError
from trunkline.ingest.landing import Landed, Landing
from trunkline.lake import held
from trunkline.run import Arrived, Workspace, watch_folder
from trunkline.run.resolving import Handed, recorded, resolve, source_files
from trunkline.run.taking import take
from trunkline.settings import Settings
from trunkline.spec.sources import FolderSource


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    declared = {
        "crm": {"kind": "sql", "usecase": "churn", "url": "sqlite:///crm.db", "table": "customers"},
        "inbox": {
            "kind": "folder",
            "usecase": "churn",
            "path": str(tmp_path / "in"),
            "columns": {"no": "subscriber_id"},
        },
        "sales": {"kind": "sql", "usecase": "house_prices", "url": "sqlite:///crm.db", "table": "sales"},
    }
    return Workspace(Settings.model_validate({"workspace": tmp_path / "w", "sources": declared}))


def test_files_folders_and_globs(tmp_path: Path) -> None:
    for name in ("b.csv", "a.parquet", "notes.md", ".hidden.csv", "deep/c.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    assert [path.name for path in source_files([str(tmp_path)])] == ["a.parquet", "b.csv"]
    assert [path.name for path in source_files([f"{tmp_path}/**/*.csv"])] == ["b.csv", "c.csv"]
    assert source_files([f"file://{tmp_path}/b.csv"]) == (tmp_path / "b.csv",)
    for missing in (str(tmp_path / "no.csv"), f"{tmp_path}/*.avro", str(tmp_path / "deep" / "x")):
        with pytest.raises(SourceError):
            source_files([missing])


def test_gaps_are_not_asked_for_again_where_rows_have_no_key(tmp_path: Path) -> None:
    since = {"param": "since", "field": "at", "step": "PT1H"}
    declared = {
        "kind": "rest",
        "usecase": "towers",
        "dataset": "thresholds",
        "url": "http://127.0.0.1:9/",
        "since": since,
    }
    settings = Settings.model_validate({"workspace": tmp_path / "w", "sources": {"oss": declared}})
    with Workspace(settings) as workspace:
        usecase = workspace.usecase("towers")
        handed = resolve(workspace, usecase, ["oss"], dataset=None, mapping={})
        (outcome,) = take(workspace, usecase, handed, run_id="r", progress=lambda *_: None)
    assert isinstance(outcome.error, SourceError)
    assert "has no key" in str(outcome.error)


def test_a_declared_source_is_found_by_its_name(workspace: Workspace, tmp_path: Path) -> None:
    usecase = workspace.usecase("churn")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.csv").write_text("x")
    crm, file = resolve(workspace, usecase, ["crm", "inbox"], dataset=None, mapping={"x": "plan"})
    assert (crm.name, crm.path, crm.dataset) == ("crm", None, usecase.main)
    assert (file.path, file.mapping) == (tmp_path / "in" / "a.csv", {"no": "subscriber_id", "x": "plan"})
    with pytest.raises(InputError, match="belongs to the use case 'house_prices'"):
        resolve(workspace, usecase, ["sales"], dataset=None, mapping={})
    with pytest.raises(SourceError) as told:
        resolve(workspace, usecase, ["cmr"], dataset=None, mapping={})
    assert told.value.allowed == ("crm", "inbox")  # those of the use case alone


@pytest.mark.parametrize("recursive", [False, True])
def test_of_a_declared_folder_the_files_that_it_watches_for_are_taken(tmp_path: Path, recursive: bool) -> None:
    inbox = tmp_path / "in"
    (inbox / "deep").mkdir(parents=True)
    for name in ("a.dat", "b.csv", "README.dat", "c.dat.md5", ".d.dat", "e.dat.part", "e.dat.done", "deep/f.dat"):
        (inbox / name).write_text("x")

    def found(pattern: str) -> list[Handed]:
        declared = {"kind": "folder", "usecase": "churn", "path": str(inbox), "recursive": recursive}
        settings = {"workspace": tmp_path / "w", "sources": {"inbox": {**declared, "pattern": pattern}}}
        with Workspace(Settings.model_validate(settings)) as workspace:
            return resolve(workspace, workspace.usecase("churn"), ["inbox"], dataset=None, mapping={})

    below = ["deep/f.dat"] * recursive
    assert sorted(one.name for one in found("*.dat")) == ["README.dat", "a.dat", *below]
    assert sorted(one.name for one in found("*")) == ["README.dat", "a.dat", "b.csv", "c.dat.md5", *below]
    assert [one.name for one in found("*") if one.beside] == ["c.dat.md5"]
    with pytest.raises(SourceError, match="no data file"):
        found("*.md5")


_OF_NOBODY = ("__MACOSX/a.csv", "lost+found/b.csv", "deep/System Volume Information/c.csv")


@pytest.mark.parametrize("form", ["glob", "declared"])
def test_folders_of_systems_and_hidden_ones_hold_no_data_below_a_folder(tmp_path: Path, form: str) -> None:
    inbox = tmp_path / ".in" / "__MACOSX"  # whoever names such a folder means it
    for name in ("a.csv", "deep/d.csv", ".hidden/e.csv", "deep/.hidden/f.csv", *_OF_NOBODY):
        (inbox / name).parent.mkdir(parents=True, exist_ok=True)
        (inbox / name).write_text("x")
    declared = {"kind": "folder", "usecase": "churn", "path": str(inbox), "recursive": True}
    source = {"glob": str(inbox / "**" / "*.csv"), "declared": "inbox"}[form]
    with Workspace(Settings.model_validate({"workspace": tmp_path / "w", "sources": {"inbox": declared}})) as workspace:
        found = resolve(workspace, workspace.usecase("churn"), [source], dataset=None, mapping={})
    paths = {one.path.relative_to(inbox).as_posix(): one.beside for one in found if one.path}
    assert paths == {"a.csv": None, "deep/d.csv": None, **dict.fromkeys(_OF_NOBODY, "file of an operating system")}


def test_a_password_is_never_written_down(tmp_path: Path) -> None:
    assert recorded("postgresql://crm:s3cret@db/x?table=t") == "postgresql://crm:***@db/x?table=t"
    assert recorded("crm") == "crm"
    (tmp_path / "a.csv").write_text("x")
    assert recorded(str(tmp_path / "a.csv")) == str(tmp_path / "a.csv")


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        (
            "https://api.example.com/v1/calls?api_key=s3cret&page=2",
            "https://api.example.com/v1/calls?api_key=***&page=2",
        ),
        ("postgresql://crm@db/x?table=t&password=s3cret", "postgresql://crm@db/x?table=t&password=***"),
        ("sqlite:///x.db?table=t", "sqlite:///x.db?table=t"),
    ],
)
def test_what_may_be_a_credential_is_not_written_down(url: str, kept: str) -> None:
    assert recorded(url) == kept


def test_another_password_is_no_other_source(workspace: Workspace) -> None:
    usecase = workspace.usecase("churn")
    names = {
        resolve(workspace, usecase, [f"sqlite://u:{word}@/x.db?table=t"], dataset=None, mapping={})[0].name
        for word in ("old", "new")
    }
    assert len(names) == 1
    with pytest.raises(InputError, match="lacks its credentials"):
        resolve(workspace, usecase, ["sqlite://u:***@/x.db?table=t"], dataset=None, mapping={})


def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, table: str = "") -> Workspace:
    """A workspace with a use case of one's own that takes calls in."""
    folder = tmp_path / "usecases" / f"calls_{tmp_path.name[-8:].replace('-', '_').lower()}"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text(
        dedent(
            f"""
            from typing import ClassVar
            from trunkline.contracts import Contract, Integer, Table, Text, field
            from trunkline.spec import UseCase

            class Call(Contract):
                table: ClassVar[Table] = Table({table})
                call_id: Text = field()
                seconds: Integer = field(minimum=0)

            usecase = UseCase(name={folder.name!r}, title="Calls", question="?", datasets={{"calls": Call}},
                              main="calls", task=None, metric="roc_auc")
            """
        )
    )
    monkeypatch.setenv("TRUNKLINE_PLUGIN_DIR", str(tmp_path / "usecases"))
    return Workspace(Settings.model_validate({"workspace": tmp_path / "w", "lake": {"lock_timeout_s": 0.2}}))


def watched(workspace: Workspace, inbox: Path, stop: threading.Event, *, once: bool) -> Iterator[Arrived]:
    (name,) = [name for name in workspace.usecases() if name.startswith("calls_")]
    declared = FolderSource(kind="folder", usecase=name, path=inbox, settle_s=0, afterwards="delete")
    return watch_folder(workspace, workspace.usecase(name), declared, run_id="r", stop=stop, once=once)


def test_a_file_beyond_its_reject_budget_stays_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inbox = tmp_path / "in"
    inbox.mkdir()
    (inbox / "bad.csv").write_text("call_id,seconds\na,-1\nb,1\n")
    (inbox / "good.csv").write_text("call_id,seconds\nc,1\nd,1\n")
    with calls(tmp_path, monkeypatch, table="reject_budget=0.1") as workspace:
        found = {one.path.name: one for one in watched(workspace, inbox, threading.Event(), once=True)}
    assert "budget" in str(found["bad.csv"].error)
    assert [path.name for path in inbox.iterdir()] == ["bad.csv"]


def test_a_file_that_a_busy_table_kept_out_is_taken_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inbox, stop = tmp_path / "in", threading.Event()
    inbox.mkdir()
    (inbox / "a.csv").write_text("call_id,seconds\na,1\n")
    with calls(tmp_path, monkeypatch) as workspace:
        (name,) = [name for name in workspace.usecases() if name.startswith("calls_")]
        arrived = watched(workspace, inbox, stop, once=False)
        with held(workspace.lake.lock_folder / f"{name}.calls.lock", what="test"):
            assert isinstance(next(arrived).error, BusyError)
        assert next(arrived).error is None
        stop.set()


def test_what_is_judged_is_the_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = [tmp_path / "a.csv", tmp_path / "b.csv"]
    for path in files:
        path.write_text(f"call_id,seconds\n{path.stem},1\n")
    with calls(tmp_path, monkeypatch) as workspace:
        (name,) = [name for name in workspace.usecases() if name.startswith("calls_")]
        usecase = workspace.usecase(name)
        keep = Landing.keep

        def kept(landing: Landing, path: Path, **said: object) -> Landed:
            piece = keep(landing, path, **said)  # type: ignore[arg-type]  # handed through
            path.write_text("call_id,seconds\nanother,1\n")  # right after it was copied
            return piece

        monkeypatch.setattr(Landing, "keep", kept)
        handed = resolve(workspace, usecase, [str(path) for path in files], dataset=None, mapping={})
        list(take(workspace, usecase, handed, run_id="r", progress=lambda _what, _share: None))
        assert sorted(workspace.lake.arrow(f"{name}.calls").column("call_id").to_pylist()) == ["a", "b"]


def test_a_file_that_goes_stops_none_of_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = [tmp_path / name for name in ("a.csv", "b.csv", "c.csv")]
    for path in files:
        path.write_text(f"call_id,seconds\n{path.stem},1\n")
    with calls(tmp_path, monkeypatch) as workspace:
        (name,) = [name for name in workspace.usecases() if name.startswith("calls_")]
        usecase = workspace.usecase(name)
        handed = resolve(workspace, usecase, [str(path) for path in files], dataset=None, mapping={})
        files[1].unlink()
        found = list(take(workspace, usecase, handed, run_id="r", progress=lambda _what, _share: None))
        assert [one.error is None for one in found] == [True, False, True]


def test_what_is_refused_is_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for place in ("a", "b"):
        (tmp_path / f"{place}.csv").write_text("customerID,tenure\n")
    monkeypatch.chdir(tmp_path)
    assert main(["ingest", "churn", "a.csv", "--workspace", "w"]) == 2
    said = capsys.readouterr().err
    assert said.count("no rows") == 1
    assert "SourceError" not in said
    assert main(["ingest", "churn", "a.csv", "b.csv", "--workspace", "w"]) == 2
    said = capsys.readouterr().err
    assert said.count("no rows") == 1, "what is alike is said once, with all the places"
    for place in ("a", "b"):
        assert said.count(f"  where:   {tmp_path / place}.csv") == 1
    monkeypatch.setenv("TRUNKLINE_LOG__FORMAT", "json")
    assert main(["ingest", "churn", "a.csv", "--workspace", "w"]) == 2
    assert '"text": "source refused: SourceError"' in capsys.readouterr().err


def test_no_copies_stay_where_none_are_wanted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.csv").write_text("call_id,seconds\na,1\n" + "b,2\n" * 100_000)  # packs more than 250 times
    with calls(tmp_path, monkeypatch) as workspace:
        (name,) = [name for name in workspace.usecases() if name.startswith("calls_")]
        usecase = workspace.usecase(name)
        handed = resolve(workspace, usecase, [str(tmp_path / "a.csv")], dataset=None, mapping={})
        for keeps, more, left in ((False, "", 0), (True, "", 0), (True, "c,3\n", 2)):  # what is known gets none later
            with (tmp_path / "a.csv").open("a") as file:
                file.write(more)
            (one,) = take(workspace, usecase, handed, run_id="r", progress=lambda _what, _share: None, keep_files=keeps)
            assert one.error is None
            assert len([path for path in (tmp_path / "w" / "landing").rglob("*") if path.is_file()]) == left


@pytest.mark.slow
def test_a_folder_is_watched_by_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["simulate", "churn", "--rows", "30", "--out", str(tmp_path / "made")]) == 0
    (made,) = (tmp_path / "made").iterdir()
    (tmp_path / "in").mkdir()
    made.rename(tmp_path / "in" / "may.parquet")
    (tmp_path / "in" / "broken.csv").write_text("nothing,of,use\n1,2,3\n")
    said = ["watch", "churn", str(tmp_path / "in"), "--once", "--settle", "0", "--json"]
    said += ["--workspace", str(tmp_path / "w"), "--archive", str(tmp_path / "archive")]
    capsys.readouterr()
    assert main(said) == 2  # one of them was refused
    files = {Path(one["path"]).name: one for one in json.loads(capsys.readouterr().out)["files"]}
    assert files["may.parquet"]["receipt"]["accepted"] == 30
    assert "lacks the column" in files["broken.csv"]["error"]
    assert [path.name for path in (tmp_path / "in").iterdir()] == ["broken.csv"]
    assert len(list((tmp_path / "archive").glob("*/may.parquet"))) == 1


def test_a_declared_source_is_pulled_by_the_ingest_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("sqlalchemy")
    assert main(["simulate", "churn", "--rows", "20", "--out", str(tmp_path / "made")]) == 0
    import pyarrow.parquet as pq

    (made,) = (tmp_path / "made").iterdir()
    rows = pq.read_table(made)
    with sqlite3.connect(tmp_path / "crm.db") as database:
        database.execute(f"CREATE TABLE customers ({', '.join(rows.column_names)})")
        database.executemany(
            f"INSERT INTO customers VALUES ({', '.join('?' * rows.num_columns)})",
            [tuple(row.values()) for row in rows.to_pylist()],
        )
    monkeypatch.chdir(tmp_path)
    (tmp_path / "trunkline.toml").write_text(
        '[sources.crm]\nkind = "sql"\nusecase = "churn"\nurl = "sqlite:///crm.db"\ntable = "customers"\n'
    )
    capsys.readouterr()
    assert main(["ingest", "churn", "crm", "--json", "--workspace", "w"]) == 0
    counted = json.loads(capsys.readouterr().out)["ingest"]
    assert (counted["read"], counted["accepted"]) == (20, 20)
