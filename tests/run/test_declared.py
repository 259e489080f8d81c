"""Declared sources against the use cases that there are, and an ingestion that has nothing to ingest."""

import json
from datetime import UTC, datetime
from pathlib import Path
from zipfile import ZipFile

import pytest

from trunkline.cli import main
from trunkline.run import Workspace
from trunkline.run.attempts import recent_attempts
from trunkline.settings import Settings


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def declare(folder: Path, **said: str) -> None:
    keys = {"kind": "folder", "usecase": "churn", "path": "in", **said}
    (folder / "trunkline.toml").write_text(
        "[sources.crm]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in keys.items())
    )


def test_nothing_to_ingest_is_bad_input(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ingest", "churn", "--workspace", "w"]) == 2
    said = capsys.readouterr().err
    assert "there is nothing to ingest for 'churn'" in said
    assert "trunkline ingest churn FILE|FOLDER|URL" in said
    assert "trunkline run churn simulates rows" in said
    assert not (folder / "w").exists(), "nothing is made for it"
    assert main(["ingest", "towers", "--workspace", "w"]) == 2, "nor are derived tables a reason to simulate rows"
    assert "there is nothing to ingest for 'towers'" in capsys.readouterr().err
    assert not (folder / "w").exists()


@pytest.mark.parametrize("options", [[], ["--dry-run"]])
def test_watched_sources_are_named_where_nothing_else_is_declared(
    options: list[str], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    declare(folder)
    assert main(["ingest", "churn", *options, "--workspace", "w"]) == 2
    said = capsys.readouterr().err
    assert "1 watched source is declared (crm)" in said
    assert "trunkline watch churn crm --once, or trunkline ingest churn crm" in said
    (folder / "trunkline.toml").write_text(
        '[sources.calls]\nkind = "topic"\nusecase = "churn"\nurl = "kafka://h:1/calls"\n'
        '[sources.crm]\nkind = "folder"\nusecase = "churn"\npath = "in"\n'
        '[sources.masts]\nkind = "folder"\nusecase = "towers"\npath = "masts"\n'
    )
    assert main(["ingest", "churn", *options, "--workspace", "w"]) == 2
    said = capsys.readouterr().err
    assert "2 watched sources are declared (calls, crm)" in said
    assert "trunkline watch churn calls --once, or trunkline ingest churn crm" in said
    assert "none is declared" not in said


@pytest.mark.slow
def test_without_a_source_derived_tables_are_refreshed_and_nothing_is_simulated(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "customers.csv").write_text("Index,CellTower,tenure\n5000,a,12\n")
    assert main(["ingest", "towers", "customers.csv", "--workspace", "w", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["ingest"]["accepted"] == 1
    assert main(["ingest", "towers", "--workspace", "w", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["ingest"]
    assert (told["read"], told["accepted"]) == (0, 0)
    assert not (folder / "w" / "tmp" / "simulated").exists()


@pytest.mark.parametrize("command", [("ingest", "churn"), ("ingest", "churn", "crm"), ("run", "churn")])
@pytest.mark.parametrize(
    ("wrong", "words", "allowed"),
    [({"usecase": "chrun"}, "names the use case 'chrun'", "churn"), ({"dataset": "tikets"}, "names the dataset", "")],
)
def test_a_misspelt_name_in_a_declaration_is_refused(
    command: tuple[str, ...],
    wrong: dict[str, str],
    words: str,
    allowed: str,
    folder: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    declare(folder, **wrong)
    assert main([*command, "--workspace", "w"]) == 2
    said = capsys.readouterr().err
    assert words in said
    assert "[sources.crm] of trunkline.toml" in said
    assert "allowed:" in said
    assert allowed in said


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (("watch", "churn", "nope"), ("neither a folder nor a declared source of 'churn'", "allowed: inbox, calls\n")),
        (("watch", "churn", "./nope"), ("neither a folder", "allowed: inbox, calls\n")),
        (("watch", "churn", "in/nope"), ("there is no such folder", "make it")),
        (("watch", "towers", "nope"), ("there is no such folder", "make it")),
        (("watch", "churn", "crm"), ("'crm' is pulled and not watched", "trunkline ingest churn crm")),
        (("watch", "churn", "inbox"), ("the folder of the source 'inbox' is not there: in", "[sources.inbox]")),
        (("ingest", "churn", "inbox"), ("the folder of the source 'inbox' is not there: in", "[sources.inbox]")),
    ],
)
def test_a_folder_that_is_not_there_is_told_with_what_is_declared(
    command: tuple[str, ...], told: tuple[str, ...], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "trunkline.toml").write_text(
        '[sources.inbox]\nkind = "folder"\nusecase = "churn"\npath = "in"\n'
        '[sources.crm]\nkind = "sql"\nusecase = "churn"\nurl = "sqlite:///crm.db"\ntable = "t"\n'
        '[sources.calls]\nkind = "topic"\nusecase = "churn"\nurl = "mqtt://127.0.0.1:1/calls"\n'
    )
    assert main([*command, "--workspace", "w"]) == 2
    said = capsys.readouterr().err
    assert [words for words in told if words not in said] == []


def test_a_missing_file_is_told_with_the_sources_of_its_use_case_alone(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "trunkline.toml").write_text(
        '[sources.crm]\nkind = "folder"\nusecase = "churn"\npath = "in"\n'
        '[sources.masts]\nkind = "folder"\nusecase = "towers"\npath = "masts"\n'
    )
    assert main(["ingest", "churn", "nope.csv", "--workspace", "w", "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["error"]["allowed"] == ["crm"]


def test_a_dry_run_takes_nothing_in(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "in").mkdir()
    (folder / "in" / "a.csv").write_text("customerID\na\n")
    declare(folder)
    assert main(["ingest", "churn", "crm", "--dry-run", "--json", "--workspace", "w"]) == 0
    (found,) = json.loads(capsys.readouterr().out)["sources"]
    assert (found["kind"], found["size_bytes"]) == ("file", 13)
    assert not (folder / "w").exists()
    assert main(["ingest", "churn", "sqlite:///crm.db?table=t", "--dry-run", "--workspace", "w"]) == 0
    assert "not told" in capsys.readouterr().out
    assert main(["ingest", "churn", "--dry-run", "--workspace", "w"]) == 2


@pytest.mark.slow
@pytest.mark.parametrize("command", ["watch", "ingest"])
def test_what_a_declared_folder_delivers_counts_for_it(
    command: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "trunkline.toml").write_text(
        '[sources.crm]\nkind = "folder"\nusecase = "churn"\npath = "in"\nrecursive = true\nsettle_s = 0\n'
        'afterwards = "archive"\narchive = "done"\nschedule = { every = "PT2S" }\n'
    )
    below = folder / "in" / "below"
    below.mkdir(parents=True)
    (folder / "in" / "part-1.csv").write_text("customerID,tenure,MonthlyCharges\na,1,2\n")
    with ZipFile(below / "clean.zip", "w") as archive:
        archive.writestr("b.csv", "customerID,tenure,MonthlyCharges\nb,1,2\n")
    once = ["--once"] if command == "watch" else []
    for _ in range(2):  # the second time a watch has put the files away
        assert main([command, "churn", "crm", *once, "--workspace", "w"]) == 0
    with Workspace(Settings.model_validate({"workspace": "w"})) as workspace:
        noted = recent_attempts(workspace.lake, since=datetime(2020, 1, 1, tzinfo=UTC))
    assert [attempt.source for attempt in noted] == ["crm", "crm"], "one attempt per source and call"
    capsys.readouterr()
    assert main(["sources", "check", "churn", "--workspace", "w", "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)["sources"]
    assert (found["source"], found["problems"]) == ("crm", [])
    assert found["last_batch_at"] is not None
