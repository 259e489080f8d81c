"""Files of several datasets in one folder: each goes where its columns belong, by hand, when watched, from a store."""

import json
import tarfile
from pathlib import Path

import pytest

from trunkline.cli import main
from trunkline.run import Workspace
from trunkline.settings import load_settings

CELLS = "cell,band\na,B3\nb,B7\n"
HOURS = "cell,at,load\na,2026-05-01T00:00:00Z,1\nc,2026-05-01T00:00:00Z,2\n"
FOREIGN = "cell,colour\na,red\n"

USECASE = """
from typing import ClassVar
from trunkline.contracts import Contract, Instant, Number, Reference, Table, Text, field
from trunkline.spec import UseCase

class Cell(Contract):
    table: ClassVar[Table] = Table(key=("cell",))
    cell: Text = field()
    band: Text | None = field()

class Hour(Contract):
    table: ClassVar[Table] = Table(key=("cell", "at"), event_at="at",
                                   references=(Reference(("cell",), "cells", ("cell",)),))
    cell: Text = field()
    at: Instant = field()
    load: Number | None = field()

usecase = UseCase(name="sorted_cells", title="Cells", question="?", datasets={"hours": Hour, "cells": Cell},
                  main="hours", task=None, metric="roc_auc")
"""


@pytest.fixture
def inbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "usecases" / "sorted_cells").mkdir(parents=True)
    (tmp_path / "usecases" / "sorted_cells" / "__init__.py").write_text(USECASE)
    monkeypatch.setenv("TRUNKLINE_PLUGIN_DIR", str(tmp_path / "usecases"))
    monkeypatch.chdir(tmp_path)
    inbox = tmp_path / "in"
    inbox.mkdir()
    (inbox / "a_hours.csv").write_text(HOURS)
    (inbox / "b_foreign.csv").write_text(FOREIGN)
    (inbox / "c_cells.csv").write_text(CELLS)
    return inbox


def test_a_folder_of_several_datasets(inbox: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ingest", "sorted_cells", "in", "--dry-run", "--workspace", "w"]) == 2, "one of them fits nothing"
    (inbox / "b_foreign.csv").rename(inbox.parent / "foreign.csv")
    capsys.readouterr()
    assert main(["ingest", "sorted_cells", "in", "--dry-run", "--workspace", "w", "--json"]) == 0
    planned = json.loads(capsys.readouterr().out)["sources"]
    assert [one["dataset"] for one in planned] == ["cells", "hours"]
    assert main(["ingest", "sorted_cells", "in", "--workspace", "w", "--json"]) == 0
    counted = json.loads(capsys.readouterr().out)["ingest"]
    # a row of the hours names a cell that is not there: the cells were taken in before
    assert (counted["read"], counted["accepted"], counted["quarantined"]) == (4, 3, 1)
    assert main(["ingest", "sorted_cells", "foreign.csv", "--workspace", "w"]) == 2
    said = capsys.readouterr().err
    assert "fit no dataset of 'sorted_cells'" in said
    assert "foreign.csv" in said
    assert "hours (" in said
    assert "--dataset" in said
    assert main(["ingest", "sorted_cells", "foreign.csv", "--dataset", "cells", "--workspace", "w"]) == 0, (
        "as it is told"
    )


def test_one_content_that_comes_twice_is_counted_once(inbox: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (inbox / "b_foreign.csv").unlink()
    with tarfile.open(inbox / "d.tar.gz", "w:gz") as archive:
        for content in ("a_hours.csv", "c_cells.csv"):
            archive.add(inbox / content, content)
    said = ["ingest", "sorted_cells", "in", "--workspace", "w"]
    assert main([*said, "--json"]) == 0
    counted = json.loads(capsys.readouterr().out)["ingest"]
    assert (counted["read"], counted["accepted"], counted["quarantined"]) == (4, 3, 1)
    assert len(set(counted["batches"])) == len(counted["batches"]) == 2
    assert (counted["known"], counted["known_files"]) == ([], 2)
    assert main([*said, "--json"]) == 0
    again = json.loads(capsys.readouterr().out)["ingest"]
    assert (again["read"], again["known"], again["known_files"]) == (4, again["batches"], 4)
    assert sorted(again["batches"]) == sorted(counted["batches"])
    assert main(said) == 0
    assert "4 read = 3 accepted + 1 quarantined + 0 duplicates (files that were taken in before: 4)" in (
        capsys.readouterr().out
    )


def test_a_watched_folder_of_several_datasets(inbox: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = ["watch", "sorted_cells", "in", "--once", "--settle", "0", "--delete", "--workspace", "w", "--json"]
    assert main(said) == 2
    files = {Path(one["path"]).name: one for one in json.loads(capsys.readouterr().out)["files"]}
    assert files["c_cells.csv"]["receipt"]["dataset"] == "cells"
    assert files["a_hours.csv"]["receipt"]["dataset"] == "hours"
    assert files["a_hours.csv"]["receipt"]["quarantined"] == 1
    assert "fit no dataset" in files["b_foreign.csv"]["error"]
    assert [path.name for path in inbox.iterdir()] == ["b_foreign.csv"]


def test_a_store_of_several_datasets(inbox: Path, capsys: pytest.CaptureFixture[str]) -> None:
    declared = '[sources.hours]\nkind = "objects"\nusecase = "sorted_cells"\n'
    Path("trunkline.toml").write_text(f'{declared}url = "file://{inbox}/"\n')
    assert main(["ingest", "sorted_cells", "hours", "--workspace", "w", "--json"]) == 2
    assert "fit no dataset" in capsys.readouterr().err, "a cell's name alone does not tell that it is no broken file"
    Path("trunkline.toml").write_text(f'{declared}dataset = "cells"\nurl = "file://{inbox}/c_*"\n')
    assert main(["ingest", "sorted_cells", "hours", "--workspace", "w", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["ingest"]["accepted"] == 2


@pytest.mark.parametrize("foreign", [HOURS, "colour,shape\nred,round\n"])
def test_what_is_foreign_in_a_store_blocks_nothing_where_the_last_to_arrive_wins(
    foreign: str, inbox: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plugin = inbox.parent / "usecases" / "sorted_cells" / "__init__.py"
    plugin.write_text(plugin.read_text().replace('main="hours"', 'main="cells"').replace("sorted_", "stored_"))
    plugin.parent.rename(plugin.parent.with_name("stored_cells"))
    (inbox / "b_foreign.csv").unlink()
    (inbox / "a_hours.csv").write_text(foreign)
    said = f'[sources.bucket]\nkind = "objects"\nusecase = "stored_cells"\nurl = "file://{inbox}/"\n'
    Path("trunkline.toml").write_text(said)
    assert main(["ingest", "stored_cells", "bucket", "--workspace", "w"]) == 2
    assert "its columns are those of another dataset" in capsys.readouterr().err
    (inbox / "d_cells.csv").write_text("cell,band\nc,B1\n")
    assert main(["ingest", "stored_cells", "bucket", "--workspace", "w"]) == 2, "it is told until it is gone"
    with Workspace(load_settings(workspace=Path("w"))) as workspace:
        cells = workspace.lake.arrow("stored_cells.cells").column("cell").to_pylist()
    assert sorted(cells) == ["a", "b", "c"]


def test_one_mapping_serves_a_folder_of_several_datasets(inbox: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (inbox / "b_foreign.csv").unlink()
    (inbox / "a_hours.csv").write_text(HOURS.replace("cell,at,load", "cell,at,Last"))
    (inbox / "c_cells.csv").write_text(CELLS.replace("cell,band", "Zelle,Band_Nr"))
    mapping = inbox.parent / "names.toml"
    mapping.write_text('[columns]\nLast = "load"\nZelle = "cell"\nBand_Nr = "band"\n')
    said = ["ingest", "sorted_cells", "in", "--map", str(mapping), "--workspace", "w", "--json"]
    assert main([*said, "--dry-run"]) == 0, capsys.readouterr().err
    capsys.readouterr()
    assert main(said) == 0
    assert json.loads(capsys.readouterr().out)["ingest"]["accepted"] == 3
    with Workspace(load_settings(workspace=Path("w"))) as workspace:
        assert workspace.lake.arrow("sorted_cells.hours").column("load").to_pylist() == [1.0]
        assert workspace.lake.arrow("sorted_cells.cells").column("band").to_pylist() == ["B3", "B7"]
    mapping.write_text('[columns]\nLast = "lod"\n')
    assert main(said) == 2
    assert "unknown field 'lod'" in capsys.readouterr().err
