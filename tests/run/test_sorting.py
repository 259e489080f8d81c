"""Files of several datasets in one folder: each goes where its columns belong, by hand, when watched, from a store."""

import json
from pathlib import Path

import pytest

from trunkline.cli import main

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
    said = capsys.readouterr()
    assert "fit no dataset" in said.err or "its columns are those of 'cells'" in said.err
    Path("trunkline.toml").write_text(f'{declared}dataset = "cells"\nurl = "file://{inbox}/c_*"\n')
    assert main(["ingest", "sorted_cells", "hours", "--workspace", "w", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["ingest"]["accepted"] == 2
