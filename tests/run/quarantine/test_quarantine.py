"""The quarantine: listed, shown, mended, handed in again after the contract has changed, discarded; no row twice."""

import csv
import json
import os
import stat
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from trunkline.cli import main
from trunkline.errors import BusyError, InputError, RowsRefusedError, SchemaError, UnknownNameError
from trunkline.ingest import Target, ingest_file
from trunkline.lake import Lake, held
from trunkline.run import Workspace
from trunkline.run.quarantine import (
    Edits,
    Replayed,
    discard_batch,
    export_batch,
    overview,
    refused_rows,
    replay_batch,
    replaying,
)
from trunkline.settings import Settings
from trunkline.settings.drills import VARIABLE
from trunkline.settings.ingest import IngestSettings

USECASE = """
from typing import ClassVar

from trunkline.contracts import Contract, Integer, Table, Text, field
from trunkline.spec import UseCase


class Call(Contract):
    table: ClassVar[Table] = Table(key=("call_id",))

    call_id: Text = field(max_length={length})
    seconds: Integer = field(minimum={minimum})
    cell: Text | None = field(max_length=3, aliases=("Cell name",))


usecase = UseCase(
    name="calls", title="Calls", question="None.", metric="r2", task=None,
    datasets={{"{dataset}": Call}}, main="{dataset}",
)
"""

Open = Callable[..., Workspace]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Open]:
    """Open the workspace with a contract of its own; each opening is another process's view."""
    made: list[Workspace] = []

    def open_workspace(*, minimum: int = 0, length: int = 5, dataset: str = "calls") -> Workspace:
        plugins = tmp_path / f"plugins_{minimum}_{length}_{dataset}" / "calls"
        plugins.mkdir(parents=True, exist_ok=True)
        (plugins / "__init__.py").write_text(USECASE.format(minimum=minimum, length=length, dataset=dataset))
        workspace = Workspace(Settings(workspace=tmp_path / "w", plugin_dir=plugins.parent, threads=1))
        made.append(workspace)
        return workspace

    yield open_workspace
    for workspace in made:
        workspace.close()


SOURCE = 'No,"Talk, s"\nc1,5\nc2,-3\nc3,x\nshort\ntoolong,7\nc4,-1\nc5longer,-9\n'
MAPPING = {"No": "call_id", "Talk, s": "seconds"}


def take(workspace: Workspace, tmp_path: Path, source: str = SOURCE) -> str:
    path = tmp_path / "calls.csv"
    path.write_text(source)
    target = Target("calls", "calls", workspace.usecase("calls").datasets["calls"])
    return ingest_file(
        path, target, lake=workspace.lake, run_id="r1", clock=workspace.clock, mapping=MAPPING
    ).receipt.batch_id


def accepted(lake: Lake) -> list[str]:
    return sorted(str(row["call_id"]) for row in lake.arrow("calls.calls").to_pylist())


def versions(lake: Lake) -> dict[str, int | None]:
    return {table: lake.version(table) for table in lake.tables()}


def counts(found: Replayed) -> tuple[int, int, int]:
    return found.accepted, found.still_refused, found.edited


def test_what_lies_there(opened: Open, tmp_path: Path) -> None:
    workspace = opened()
    assert overview(workspace).batches == ()
    batch = take(workspace, tmp_path)
    found = overview(workspace)
    assert found.rows == 6
    (one,) = found.batches
    assert (one.batch_id, one.usecase, one.dataset, one.rows) == (batch, "calls", "calls", 6)
    assert one.source.endswith("calls.csv")
    assert one.reasons == {"seconds.minimum": 3, "call_id.length": 2, "line.malformed": 1, "seconds.type": 1}
    assert [(count.reason, count.rows, count.alone, count.batches) for count in found.reasons] == [
        ("seconds.minimum", 3, 2, 1),
        ("call_id.length", 2, 1, 1),
        ("line.malformed", 1, 1, 1),
        ("seconds.type", 1, 1, 1),
    ]
    (pair,) = found.pairs
    assert (pair.reasons, pair.rows, pair.share) == (("call_id.length", "seconds.minimum"), 1, 0.5)
    assert overview(workspace, usecase="other").rows == 0
    page = refused_rows(workspace, batch)
    assert page.total == 6
    assert [(row.row_number, row.reasons, row.state) for row in page.rows] == [
        (2, ("seconds.minimum",), "open"),
        (3, ("seconds.type",), "open"),
        (4, ("line.malformed",), "open"),
        (5, ("call_id.length",), "open"),
        (6, ("seconds.minimum",), "open"),
        (7, ("call_id.length", "seconds.minimum"), "open"),
    ]
    assert page.rows[0].row == {"No": "c2", "Talk, s": "-3"}
    assert page.rows[2].row == {"line": "short"}
    part = refused_rows(workspace, batch, reason="seconds.minimum", limit=1, offset=1)
    assert (part.total, [row.row_number for row in part.rows]) == (3, [6])
    for asked in (refused_rows, replay_batch, discard_batch):
        with pytest.raises(UnknownNameError, match=r"seconds\.minimum"):
            asked(workspace, batch, reason="seconds.min")


def test_replay_under_the_same_contract_changes_nothing(opened: Open, tmp_path: Path) -> None:
    workspace = opened()
    batch = take(workspace, tmp_path)
    before = versions(workspace.lake)
    assert counts(replay_batch(workspace, batch)) == (0, 6, 0)
    assert versions(workspace.lake) == before
    assert [path for path in workspace.folder("landing").rglob("*") if path.is_file()] == []


@pytest.mark.slow
def test_replay_after_the_contract_has_changed(opened: Open, tmp_path: Path) -> None:
    batch = take(opened(), tmp_path)
    looser = opened(minimum=-2)
    first = replay_batch(looser, batch)
    assert counts(first) == (1, 5, 0)
    assert accepted(looser.lake) == ["c1", "c4"]
    assert counts(replay_batch(looser, batch)) == (0, 5, 0)
    loosest = opened(minimum=-5, length=10)
    assert counts(replay_batch(loosest, batch)) == (2, 3, 0)
    assert counts(replay_batch(loosest, batch)) == (0, 3, 0)
    assert accepted(loosest.lake) == ["c1", "c2", "c4", "toolong"]
    states = Counter(row.state for row in refused_rows(loosest, batch).rows)
    assert states == {"replayed": 3, "open": 3}
    (left,) = overview(loosest).batches
    assert (left.batch_id, left.rows) == (batch, 3)
    receipts = loosest.lake.arrow("platform.receipts").sort_by("finished_at").to_pylist()
    assert [(row["read"], row["accepted"], row["quarantined"], row["duplicates"]) for row in receipts] == [
        (7, 1, 6, 0),
        (1, 1, 0, 0),
        (2, 2, 0, 0),
    ]
    assert [row["source"] for row in receipts[1:]] == [f"quarantine {batch}"] * 2
    assert [row["batch_id"] for row in receipts[1:2]] == list(first.batches)


@pytest.mark.slow
def test_an_edit_by_the_columns_name_or_the_field(opened: Open, tmp_path: Path) -> None:
    workspace = opened()
    batch = take(workspace, tmp_path)
    found = replay_batch(workspace, batch, edits=Edits({"talk, S ": "0"}), reason="seconds.minimum")
    assert counts(found) == (2, 1, 1), "row 7 has a new text and is still too long"
    rows = {row.row_number: row for row in refused_rows(workspace, batch).rows}
    assert (rows[2].state, rows[2].row) == ("replayed", {"No": "c2", "Talk, s": "0"})
    assert (rows[7].state, rows[7].reasons) == ("open", ("call_id.length",))
    assert rows[7].row == {"No": "c5longer", "Talk, s": "0"}
    assert (rows[3].state, rows[3].row["Talk, s"]) == ("open", "x"), "another reason: left as it is"
    again = replay_batch(workspace, batch, edits=Edits({"seconds": "0"}), reason="call_id.length")
    assert counts(again) == (0, 2, 1)
    assert counts(replay_batch(workspace, batch, edits=Edits({"seconds": "0", "call_id": "c9"}))) == (1, 1, 0)
    taken = {row["call_id"]: row["seconds"] for row in workspace.lake.arrow("calls.calls").to_pylist()}
    assert taken == {"c1": 5, "c2": 0, "c4": 0, "c9": 0}
    (left,) = overview(workspace).batches
    assert left.reasons == {"line.malformed": 1}
    history = workspace.lake.arrow("platform.quarantine").to_pylist()
    texts = [row["row"] for row in history if row["row_number"] == 2]
    assert sorted(map(json.loads, texts), key=str) == [{"No": "c2", "Talk, s": "-3"}, {"No": "c2", "Talk, s": "0"}]
    receipts = workspace.lake.arrow("platform.receipts").to_pylist()
    assert sorted((row["read"], row["accepted"], row["duplicates"]) for row in receipts) == [
        (2, 2, 0),
        (3, 1, 2),
        (7, 1, 0),
    ]


@pytest.mark.slow
def test_an_edit_of_a_field_that_the_source_lacks(opened: Open, tmp_path: Path) -> None:
    workspace = opened(minimum=-9, length=10)
    batch = take(workspace, tmp_path, 'No,"Talk, s"\nc1,5\nc2,x\n')
    found = replay_batch(workspace, batch, edits=Edits({"Cell name": "A", "seconds": "7"}))
    assert counts(found) == (1, 0, 0)
    (row,) = workspace.lake.arrow("calls.calls", where=lambda table: table["call_id"] == "c2").to_pylist()
    assert (row["cell"], row["seconds"]) == ("A", 7)


@pytest.mark.slow
def test_an_edit_of_an_unknown_column(opened: Open, tmp_path: Path) -> None:
    workspace = opened()
    batch = take(workspace, tmp_path)
    with pytest.raises(UnknownNameError, match="there is no column 'secs'") as told:
        replay_batch(workspace, batch, edits=Edits({"secs": "1"}))
    assert told.value.allowed == ("No", "Talk, s")


@pytest.mark.slow
@pytest.mark.parametrize("form", ["csv", "ndjson"])
def test_a_corrected_file(opened: Open, tmp_path: Path, form: str) -> None:
    workspace = opened()
    batch = take(workspace, tmp_path)
    path = tmp_path / f"mend.{form}"
    assert export_batch(workspace, batch, path) == 6
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(InputError, match="the file exists"):
        export_batch(workspace, batch, path)
    before = versions(workspace.lake)
    assert counts(replay_batch(workspace, batch, edits=Edits(file=path))) == (0, 6, 0), "nothing was mended yet"
    assert versions(workspace.lake) == before
    if form == "csv":
        with path.open(newline="") as stream:
            lines: list[dict[str, str]] = list(csv.DictReader(stream))
    else:
        lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["_row"] for line in lines] == ["2", "3", "4", "5", "6", "7"]
    assert lines[2]["_line"] == "short"
    assert lines[5]["_reasons"] == "call_id.length seconds.minimum"
    lines[1]["Talk, s"] = "33"
    lines[2] |= {"No": "c8", "Talk, s": "8"}
    lines[5]["No"] = "c5"
    mended = [lines[1], lines[2], lines[5]]
    target = tmp_path / f"mended.{form}"
    with target.open("w", newline="") as stream:
        if form == "csv":
            writer = csv.DictWriter(stream, list(lines[0]))
            writer.writeheader()
            writer.writerows(mended)
        else:
            stream.writelines(json.dumps(line) + "\n" for line in mended)
    assert counts(replay_batch(workspace, batch, edits=Edits(file=target))) == (2, 4, 1)
    assert counts(replay_batch(workspace, batch, edits=Edits(file=target))) == (0, 4, 0)
    assert accepted(workspace.lake) == ["c1", "c3", "c8"]
    rows = {row.row_number: row for row in refused_rows(workspace, batch).rows}
    assert rows[4].row == {"No": "c8", "Talk, s": "8"}
    assert (rows[7].state, rows[7].row["No"], rows[7].reasons) == ("open", "c5", ("seconds.minimum",))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("No,seconds\nc1,1\n", "no column _row"),
        ("_row,seconds\n2,1\n99,1\n", "never held row 99"),
        ("_row,seconds\n2,1\n2,3\n", "a number occurs twice"),
        ("_row,seconds\ntwo,1\n", "holds what is no row number"),
        ("_row,seconds\n,1\n", "holds what is no row number"),
        ("_row,seconds\n2,1\n3\n", "1 lines of the corrected file are no rows"),
        ('_row,seconds,"Talk, s"\n2,1,2\n', "two columns of the corrected file mean one"),
        ("_row,secs\n2,1\n", "there is no column 'secs'"),
    ],
)
def test_a_corrected_file_that_does_not_fit(opened: Open, tmp_path: Path, text: str, said: str) -> None:
    workspace = opened()
    batch = take(workspace, tmp_path)
    before = versions(workspace.lake)
    path = tmp_path / "mended.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=said):
        replay_batch(workspace, batch, edits=Edits(file=path))
    assert versions(workspace.lake) == before


def test_the_form_of_an_export(opened: Open, tmp_path: Path) -> None:
    workspace = opened()
    batch = take(workspace, tmp_path)
    with pytest.raises(InputError, match="form of the file is not known"):
        export_batch(workspace, batch, tmp_path / "a.xlsx")
    assert export_batch(workspace, batch, tmp_path / "a.csv", reason="seconds.type") == 1
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == ["a.csv", "calls.csv"]


@pytest.mark.slow
def test_discarding(opened: Open, tmp_path: Path) -> None:
    workspace = opened()
    batch = take(workspace, tmp_path)
    assert discard_batch(workspace, batch, reason="seconds.type") == 1
    assert discard_batch(workspace, batch) == 5
    assert discard_batch(workspace, batch) == 0
    assert overview(workspace).batches == ()
    assert counts(replay_batch(opened(minimum=-5), batch)) == (0, 0, 0)
    assert {row.state for row in refused_rows(workspace, batch).rows} == {"discarded"}
    assert accepted(workspace.lake) == ["c1"]


@pytest.mark.slow
def test_one_at_a_time(opened: Open, tmp_path: Path) -> None:
    workspace = opened()
    batch = take(workspace, tmp_path)
    with held(workspace.folder("locks") / f"quarantine-{batch}.lock", what="batch"):
        for act in (replay_batch, discard_batch):
            with pytest.raises(BusyError):
                act(workspace, batch)


def test_what_is_not_there(opened: Open, tmp_path: Path) -> None:
    workspace = opened()
    for act in (refused_rows, replay_batch, discard_batch):
        with pytest.raises(UnknownNameError, match="holds nothing of batch 'nope'"):
            act(workspace, "nope")
    batch = take(workspace, tmp_path)
    with pytest.raises(UnknownNameError) as caught:
        refused_rows(workspace, "nope")
    assert caught.value.allowed == (batch,)
    with pytest.raises(UnknownNameError, match="no dataset 'calls' any more"):
        replay_batch(opened(dataset="others"), batch)


@pytest.mark.slow
def test_values_of_json_that_are_no_scalars(opened: Open, tmp_path: Path) -> None:
    workspace = opened()
    path = tmp_path / "calls.ndjson"
    path.write_text('{"call_id": "c1", "seconds": 1}\n{"call_id": {"a": 1}, "seconds": 2}\n')
    contract = workspace.usecase("calls").datasets["calls"]
    batch = ingest_file(
        path, Target("calls", "calls", contract), lake=workspace.lake, run_id="r", clock=workspace.clock
    ).receipt.batch_id
    (row,) = refused_rows(workspace, batch).rows
    assert row.reasons == ("call_id.type",)
    assert row.row == {"call_id": '{"a":1}', "seconds": "2"}
    assert replay_batch(workspace, batch).accepted == 0
    exported = tmp_path / "mend.csv"
    export_batch(workspace, batch, exported)
    assert counts(replay_batch(workspace, batch, edits=Edits(file=exported))) == (0, 1, 0), "still the object it was"


@pytest.mark.slow
def test_the_mapping_is_in_the_receipt(opened: Open, tmp_path: Path) -> None:
    workspace = opened()
    take(workspace, tmp_path)
    (receipt,) = workspace.lake.arrow("platform.receipts").to_pylist()
    assert json.loads(receipt["mapping"]) == MAPPING
    with pytest.raises(SchemaError, match="an absent column 'gone'"):
        ingest_file(
            tmp_path / "calls.csv",
            Target("calls", "calls", workspace.usecase("calls").datasets["calls"]),
            lake=workspace.lake,
            run_id="r",
            clock=workspace.clock,
            mapping={"gone": "call_id"},
        )


POINTS = (
    "landing.before_file",
    "landing.after_file",
    "landing.after_record",
    "replay.after_piece",
    "replay.after_edits",
    "ingest.before_quarantine",
    "lake.before_commit:2",
    "ingest.after_rows",
    "ingest.after_receipt",
    "replay.after_ingest",
    "replay.after_mark",
)


@pytest.mark.slow
@pytest.mark.parametrize("crash_at", POINTS)
def test_killed_and_called_again_with_other_edits(opened: Open, tmp_path: Path, crash_at: str) -> None:
    workspace = opened()
    batch = take(workspace, tmp_path)
    plugins = workspace.settings.plugin_dir
    environment = {
        **os.environ,
        VARIABLE: crash_at,
        "TRUNKLINE_WORKSPACE": str(tmp_path / "w"),
        "TRUNKLINE_PLUGIN_DIR": str(plugins),
    }
    command = [sys.executable, "-m", "trunkline", "quarantine", "replay", batch, "--set", "seconds=1"]
    died = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, check=False)
    assert died.returncode == -9, died.stderr.decode()
    replay_batch(workspace, batch, edits=Edits({"seconds": "2"}))
    last = replay_batch(workspace, batch, edits=Edits({"seconds": "2"}))
    assert (last.accepted, last.still_refused) == (0, 3)
    rows = workspace.lake.arrow("calls.calls").to_pylist()
    assert sorted(row["call_id"] for row in rows) == ["c1", "c2", "c3", "c4"], "each once"
    landed = crash_at not in POINTS[:2]
    assert {row["seconds"] for row in rows if row["call_id"] != "c1"} == {1 if landed else 2}
    states = Counter(row.state for row in refused_rows(workspace, batch).rows)
    assert states == {"replayed": 3, "open": 3}
    receipts = workspace.lake.arrow("platform.receipts").to_pylist()
    assert sorted((row["read"], row["accepted"], row["quarantined"]) for row in receipts) == [(3, 3, 0), (7, 1, 6)]


@pytest.mark.slow
def test_the_commands(
    opened: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    workspace = opened()
    batch = take(workspace, tmp_path)
    monkeypatch.setenv("TRUNKLINE_WORKSPACE", str(tmp_path / "w"))
    monkeypatch.setenv("TRUNKLINE_PLUGIN_DIR", str(workspace.settings.plugin_dir))
    monkeypatch.chdir(tmp_path)

    def told(*arguments: str, code: int = 0) -> str:
        assert main(["quarantine", *arguments]) == code
        return capsys.readouterr().out

    listed = told("list")
    assert "call_id.length and seconds.minimum" in listed
    assert "reasons of 6 open rows" in listed
    document = json.loads(told("list", "--json"))
    assert (document["rows"], len(document["reasons"]), len(document["pairs"])) == (6, 4, 1)
    shown = told("show", batch, "--limit", "2", "--offset", "1")
    assert "row 3 (open): seconds.type" in shown
    assert "and 3 more" in shown
    assert "c3" not in shown, "the key is hidden"
    assert "2 rows" not in told("export", batch, "--out", "mend.csv", code=2)
    assert not (tmp_path / "mend.csv").exists()
    assert told("export", batch, "--out", "mend.csv", "--in-clear").startswith("6 rows in mend.csv")
    assert "an edit is" in json.loads(told("replay", batch, "--set", "seconds", "--json", code=2))["error"]["what"]
    replayed = json.loads(told("replay", batch, "--set", "seconds=3", "--reason", "seconds.type", "--json"))
    assert (replayed["accepted"], replayed["still_refused"], len(replayed["batches"])) == (1, 0, 1)
    assert told("replay", batch, "--file", "mend.csv").startswith("0 rows accepted, 5 still refused")
    assert told("discard", batch) == "5 rows discarded\n"
    assert told("replay", batch) == "no open row is left\n"


REFERRING = """
from typing import ClassVar

from trunkline.contracts import Contract, Integer, Reference, Table, Text, field
from trunkline.spec import UseCase


class Cell(Contract):
    table: ClassVar[Table] = Table(key=("cell",))

    cell: Text = field()


class Call(Contract):
    table: ClassVar[Table] = Table(key=("call_id",), references=(Reference(("cell",), "cells", ("cell",)),))

    call_id: Text = field()
    seconds: Integer = field(minimum=0)
    cell: Text = field()


usecase = UseCase(
    name="calls", title="Calls", question="None.", metric="r2", task=None,
    datasets={"calls": Call, "cells": Cell}, main="calls",
)
"""


@pytest.fixture
def referring(tmp_path: Path) -> Iterator[Callable[..., Workspace]]:
    """Open a workspace whose calls refer to cells; of four calls, one's cell is there."""
    plugins = tmp_path / "plugins" / "calls"
    plugins.mkdir(parents=True)
    (plugins / "__init__.py").write_text(REFERRING)
    made: list[Workspace] = []

    def open_workspace(*, budget: float | None) -> Workspace:
        ingest = IngestSettings(reject_budget=budget)
        made.append(Workspace(Settings(workspace=tmp_path / "w", plugin_dir=plugins.parent, threads=1, ingest=ingest)))
        return made[-1]

    yield open_workspace
    for workspace in made:
        workspace.close()


def take_as(workspace: Workspace, path: Path, dataset: str, text: str) -> str:
    path.write_text(text)
    target = Target("calls", dataset, workspace.usecase("calls").datasets[dataset])
    return ingest_file(path, target, lake=workspace.lake, run_id="r", clock=workspace.clock).receipt.batch_id


CALLS = "call_id,seconds,cell\nc1,1,a\nc2,2,b\nc3,-3,b\nc4,4,d\n"


@pytest.mark.slow
def test_a_replay_looks_references_up(referring: Callable[..., Workspace], tmp_path: Path) -> None:
    workspace = referring(budget=None)
    take_as(workspace, tmp_path / "cells.csv", "cells", "cell\na\n")
    batch = take_as(workspace, tmp_path / "calls.csv", "calls", CALLS)
    before = versions(workspace.lake)
    assert counts(replay_batch(workspace, batch)) == (0, 3, 0)
    assert versions(workspace.lake) == before
    strict = referring(budget=0.1)
    take_as(strict, tmp_path / "cells.csv", "cells", "cell\nb\n")
    assert counts(replay_batch(strict, batch)) == (1, 2, 0)
    assert accepted(strict.lake) == ["c1", "c2"]
    rows = {row.row_number: row for row in refused_rows(strict, batch).rows}
    assert {number: row.state for number, row in rows.items()} == {2: "replayed", 3: "open", 4: "open"}


@pytest.mark.slow
def test_a_killed_replay_that_is_refused_by_now_blocks_nothing(
    referring: Callable[..., Workspace], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = referring(budget=0.9)
    take_as(workspace, tmp_path / "cells.csv", "cells", "cell\na\n")
    batch = take_as(workspace, tmp_path / "calls.csv", "calls", CALLS)
    b = take_as(workspace, tmp_path / "b.csv", "cells", "cell\nb\n")

    def killed(name: str) -> None:
        if name == "replay.after_piece":
            raise KeyboardInterrupt

    monkeypatch.setattr(replaying, "point", killed)
    with pytest.raises(KeyboardInterrupt):
        replay_batch(workspace, batch, edits=Edits({"seconds": "7"}))
    monkeypatch.undo()
    workspace.lake.remove("calls.cells", "_batch_id", b)
    strict = referring(budget=0.1)
    with pytest.raises(RowsRefusedError, match="the budget is"):
        replay_batch(strict, batch)
    assert counts(replay_batch(strict, batch)) == (0, 3, 0), "all of them are still open"
    assert counts(replay_batch(strict, batch, edits=Edits({"cell": "a"}))) == (2, 1, 1)
    assert accepted(strict.lake) == ["c1", "c2", "c4"]
