"""A declared source has a CSV dialect of its own, by every way its files come in."""

import json
from pathlib import Path
from textwrap import dedent

import pytest
from deltalake import DeltaTable

from trunkline.cli import main

pytestmark = pytest.mark.slow


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in, with a use case of calls."""
    plugin = tmp_path / "usecases" / "calls_of_dialects"
    plugin.mkdir(parents=True)
    (plugin / "__init__.py").write_text(
        dedent(
            """
            from typing import ClassVar
            from trunkline.contracts import Contract, Integer, Table, Text, field
            from trunkline.spec import UseCase

            class Call(Contract):
                table: ClassVar[Table] = Table()
                call_id: Text = field()
                seconds: Integer = field(minimum=0)

            usecase = UseCase(name="calls_of_dialects", title="Calls", question="?", datasets={"calls": Call},
                              main="calls", task=None, metric="roc_auc")
            """
        )
    )
    for name in ("odd", "usual"):
        (tmp_path / name).mkdir()
    (tmp_path / "odd" / "a.csv").write_text("made by hand\ncall_id~seconds\na~1\n$b~c$~2\n")
    (tmp_path / "usual" / "b.csv").write_text("call_id^seconds\n$d^e$^3\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TRUNKLINE_PLUGIN_DIR", str(tmp_path / "usecases"))
    monkeypatch.setenv("TRUNKLINE_THREADS", "1")
    return tmp_path


def declare(folder: Path, *, odd: str, general: str = 'quote = "$"\ndelimiter = "^"') -> None:
    """Two sources, of which one says something of its dialect; what it leaves open is as in general."""
    sources = (
        f'[ingest.csv]\n{general}\n[sources.drops]\nusecase = "calls_of_dialects"\n{odd}\n'
        '[sources.drops.csv]\ndelimiter = "~"\nskip_lines = 1\n'
        '[sources.plain]\nkind = "folder"\nusecase = "calls_of_dialects"\npath = "usual"\nsettle_s = 0\n'
    )
    (folder / "trunkline.toml").write_text(sources)


def calls(folder: Path) -> list[tuple[str, int]]:
    rows = DeltaTable(folder / "workspace" / "lake" / "calls_of_dialects" / "calls").to_pyarrow_table().to_pylist()
    return sorted((row["call_id"], row["seconds"]) for row in rows)


@pytest.mark.parametrize("kind", ["folder", "objects"])
def test_each_source_is_read_in_its_own_dialect(folder: Path, kind: str) -> None:
    place = 'path = "odd"' if kind == "folder" else f'url = "file://{folder}/odd/*.csv"'
    declare(folder, odd=f'kind = "{kind}"\n{place}')
    assert main(["ingest", "calls_of_dialects", "drops", "plain"]) == 0
    assert calls(folder) == [("a", 1), ("b~c", 2), ("d^e", 3)]


def test_a_watched_folder_has_it_too_and_its_copies_are_read_in_it(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    declare(folder, odd='kind = "folder"\npath = "odd"\nsettle_s = 0')
    for name in ("drops", "plain"):
        assert main(["watch", "calls_of_dialects", name, "--once"]) == 0
    assert calls(folder) == [("a", 1), ("b~c", 2), ("d^e", 3)]
    capsys.readouterr()
    (receipt,) = [
        row
        for row in DeltaTable(folder / "workspace" / "lake" / "platform" / "receipts").to_pyarrow_table().to_pylist()
        if row["accepted"] == 2
    ]
    (folder / "map.toml").write_text('[columns]\nseconds = "seconds"\n')
    again = ["ingest", "calls_of_dialects", "--again", receipt["batch_id"], "--map", "map.toml", "--json"]
    assert main(again) == 0, capsys.readouterr().err
    assert json.loads(capsys.readouterr().out)["removed"] == 2
    assert calls(folder) == [("a", 1), ("b~c", 2), ("d^e", 3)]


def test_dialects_that_contradict_each_other_are_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    declare(folder, odd='kind = "folder"\npath = "odd"', general='quote = "~"')
    assert main(["ingest", "calls_of_dialects", "drops"]) == 2
    said = capsys.readouterr().err
    assert "drops.csv" in said
    assert "same character" in said
    declare(folder, odd='kind = "rest"\nurl = "https://example.org/calls"')
    assert main(["ingest", "calls_of_dialects", "drops"]) == 2
    assert "answer = 'file'" in capsys.readouterr().err
