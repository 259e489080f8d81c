"""A declared source has a CSV dialect of its own, by every way its files come in."""

import hashlib
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


def receipts(folder: Path) -> dict[str, dict[str, object]]:
    """By the batch they are of."""
    table = DeltaTable(folder / "workspace" / "lake" / "platform" / "receipts").to_pyarrow_table()
    return {row["batch_id"]: row for row in table.to_pylist()}


def test_a_batch_is_taken_in_again_in_the_dialect_it_was_read_in_whatever_the_settings_say_now(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    declare(folder, odd='kind = "folder"\npath = "odd"')
    assert main(["ingest", "calls_of_dialects", "drops"]) == 0
    ((batch, receipt),) = receipts(folder).items()
    said = {"delimiter": "~", "quote": "$", "skip_lines": 1}
    assert json.loads(str(receipt["notes"])) == {"csv": said}
    (folder / "trunkline.toml").unlink()
    again = ["ingest", "calls_of_dialects", "--again", batch, "--json"]
    capsys.readouterr()
    assert main(again) == 0
    assert json.loads(capsys.readouterr().out)["unchanged"]
    (folder / "map.toml").write_text('[columns]\nseconds = "seconds"\n')
    assert main([*again, "--map", "map.toml"]) == 0
    assert calls(folder) == [("a", 1), ("b~c", 2)]


def test_a_corrected_dialect_takes_no_file_in_beside_what_it_was_read_as(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "c.csv").write_text("call_id;seconds\n'x;y';1\nz;2\n")
    ingest = ["ingest", "calls_of_dialects", "c.csv", "--json"]
    monkeypatch.setenv("TRUNKLINE_INGEST__CSV__QUOTE", "")
    assert main(ingest) == 0
    assert json.loads(capsys.readouterr().out)["ingest"]["quarantined"] == 1
    assert main(ingest) == 0
    assert json.loads(capsys.readouterr().out)["ingest"]["accepted"] == 1, "what was said stays, so it is known"
    assert len(receipts(folder)) == 1
    monkeypatch.setenv("TRUNKLINE_INGEST__CSV__QUOTE", "'")
    assert main(ingest) == 2
    (refused,) = json.loads(capsys.readouterr().out)["refused"]
    (batch,) = receipts(folder)
    assert "holds the rows of this file already, under another dialect" in refused["what"]
    assert f"--again {batch}" in refused["next"]
    assert calls(folder) == [("z", 2)]


def test_a_batch_takes_the_place_of_one_that_was_read_in_a_wrong_dialect(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "c.csv").write_text("call_id;seconds\n'x;y';1\nz;2\n")
    monkeypatch.setenv("TRUNKLINE_INGEST__CSV__QUOTE", "")
    assert main(["ingest", "calls_of_dialects", "c.csv"]) == 0
    (batch,) = receipts(folder)
    again = ["ingest", "calls_of_dialects", "--again", batch, "--csv", "quote='"]
    capsys.readouterr()
    assert main([*again, "--json"]) == 0
    done = json.loads(capsys.readouterr().out)
    assert (done["removed"], done["discarded"]) == (1, 1)
    assert calls(folder) == [("x;y", 1), ("z", 2)]
    assert json.loads(done["receipt"]["notes"]) == {"csv": {"quote": "'"}, "instead": batch}
    for wrong, why in (
        ("quote", "each option once"),
        ("letters=x", "letters: there is no such key"),
        ("quote=xyz", "quote: it must be one ASCII character, or empty"),
        ("delimiter=", "delimiter: it must be one ASCII character\n"),
        ("encoding=x", "encoding: no encoding"),
    ):
        assert main([*again[:-1], wrong]) == 2
        assert f"--csv says nothing of a dialect: {why}" in capsys.readouterr().err
    assert main([*again[:3], done["receipt"]["batch_id"], "--csv", "delimiter='"]) == 2
    said = capsys.readouterr().err
    assert "`delimiter` and `quote` are the same character" in said
    assert "--csv 'delimiter=;'" in said
    monkeypatch.setenv("TRUNKLINE_INGEST__CSV__DELIMITER", "~~")
    assert main(["ingest", "calls_of_dialects", "c.csv"]) == 2
    assert "ingest.csv.delimiter is not allowed: it must be one ASCII character\n" in capsys.readouterr().err


def test_a_call_says_the_dialect_of_its_files_over_what_sources_and_settings_say(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    declare(folder, odd='kind = "folder"\npath = "odd"')
    (folder / "c.csv").write_text("call_id;seconds\n'x;y';1\nz;2\n")
    (folder / "odd" / "a.csv").write_text("call_id;seconds\na;1\n")
    ingest = ["ingest", "calls_of_dialects", "c.csv", "drops", "--csv", "delimiter=;", "--csv", "quote='"]
    skips = ["--csv", "skip_lines=0"]
    assert main([*ingest, *skips, "--dry-run"]) == 0, capsys.readouterr().err
    assert main([*ingest, *skips]) == 0, capsys.readouterr().err
    assert calls(folder) == [("a", 1), ("x;y", 1), ("z", 2)]
    said = [json.loads(str(one["notes"]))["csv"] for one in receipts(folder).values()]
    assert said == [{"delimiter": ";", "quote": "'", "skip_lines": 0}] * 2
    capsys.readouterr()
    assert main(["ingest", "calls_of_dialects", "c.csv", "--csv", "delimiter=$"]) == 2
    err = capsys.readouterr().err
    assert "`delimiter` and `quote` are the same character" in err
    assert "--csv 'delimiter=;' --csv 'quote=~'" in err


def test_a_run_that_is_gone_on_with_reads_in_the_dialect_it_was_started_with(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "good.csv").write_text("call_id^seconds\na^1\n")
    (folder / "late.csv").write_text("call_id^seconds\n")
    files = ["good.csv", "late.csv", "--csv", "delimiter=^"]
    assert main(["ingest", "calls_of_dialects", *files, "--run-id", "first"]) == 2
    (folder / "late.csv").write_text("call_id^seconds\nb^2\n")
    capsys.readouterr()
    assert main(["ingest", "calls_of_dialects", "--run-id", "first", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["ingest"]["known_files"] == 1
    assert calls(folder) == [("a", 1), ("b", 2)]


@pytest.mark.parametrize("fields", [1, 2])
def test_a_file_of_an_unusual_delimiter_is_told_what_to_say(
    folder: Path, capsys: pytest.CaptureFixture[str], fields: int
) -> None:
    if fields == 2:  # a use case of several datasets looks whose rows they are first
        plugin = folder / "usecases" / "calls_of_dialects" / "__init__.py"
        text = plugin.read_text().replace('{"calls": Call}', '{"calls": Call, "cells": Cell}')
        cell = "class Cell(Contract):\n    cell: Text = field()\n    vendor: Text = field()\n\n\nusecase ="
        plugin.write_text(text.replace("usecase =", cell, 1).replace("calls_of_dialects", "cells_of_dialects"))
        plugin.parent.rename(plugin.parent.with_name("cells_of_dialects"))
    name = "calls_of_dialects" if fields == 1 else "cells_of_dialects"
    (folder / "c.csv").write_text("call_id^seconds\na^1\n")
    assert main(["ingest", name, "c.csv"]) == 2
    said = capsys.readouterr().err
    assert "'^' seems to divide its columns: say --csv 'delimiter=^'" in said
    assert main(["ingest", name, "c.csv", "--csv", "delimiter=^"]) == 0
    assert main(["ingest", name, "c.csv", "--csv", "delimiter=^", "--refresh", "calls"]) == 2
    assert "takes nothing in" in capsys.readouterr().err


def test_ids_stay_where_nothing_is_said_or_nothing_said_matters(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "d.ndjson").write_text('{"call_id": "n", "seconds": 1}\n')
    (folder / "e.csv").write_text("call_id,seconds\ne,1\n")
    ingest = ["ingest", "calls_of_dialects", "d.ndjson", "e.csv", "--json"]
    assert main(ingest) == 0
    document, csv = json.loads(capsys.readouterr().out)["receipts"]
    monkeypatch.setenv("TRUNKLINE_INGEST__CSV__QUOTE", "$")
    assert main(ingest) == 2
    told = json.loads(capsys.readouterr().out)
    assert [one["batch_id"] for one in told["receipts"]] == [document["batch_id"]]
    assert [one["source"].rpartition("/")[2] for one in told["refused"]] == ["e.csv"]
    parts = [csv["content_sha256"], "calls_of_dialects.calls", csv["contract_fingerprint"], []]
    assert csv["batch_id"] == hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:24]
