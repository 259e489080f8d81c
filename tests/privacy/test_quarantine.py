"""Refused rows are encrypted at rest, masked for people, and clear to nobody but a replay."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from trunkline.checks.sealing import is_sealed_text
from trunkline.contracts.records import QUARANTINE
from trunkline.run import Workspace

Trunkline = Callable[..., tuple[int, str, str]]

BEN = "0171-7654321"


@pytest.fixture
def batch(trunkline: Trunkline, lines: Path) -> str:
    """A batch with two refused rows of which one can be mended, and a line that is no row."""
    (lines / "a.csv").write_text(f"msisdn,email,seconds\n{BEN},ben@example.org,x\n{BEN}0,,-1\n{BEN},a,b,c\n0170,,1\n")
    assert trunkline("ingest", "lines", lines / "a.csv")[0] == 0
    code, out, _ = trunkline("quarantine", "list", "--json")
    assert code == 0
    return str(json.loads(out)["batches"][0]["batch_id"])


def held(workspace: Workspace) -> pa.Table:
    return workspace.lake.arrow(QUARANTINE)


def test_raw_rows_lie_encrypted_and_are_shown_masked(trunkline: Trunkline, batch: str, workspace: Workspace) -> None:
    rows = held(workspace).column("row").to_pylist()
    assert len(rows) == 3
    assert all(map(is_sealed_text, rows))
    code, out, err = trunkline("quarantine", "show", batch, "--json")
    assert code == 0, err
    assert "7654321" not in out
    assert "ben@" not in out
    assert json.loads(out)["rows"][0]["row"] == {"msisdn": "(hidden)", "email": "(hidden)", "seconds": "x"}


@pytest.mark.slow
def test_a_replay_reads_them_and_leaves_none_in_clear(trunkline: Trunkline, batch: str, workspace: Workspace) -> None:
    code, out, err = trunkline(
        "quarantine", "replay", batch, "--set", "seconds=5", "--reason", "seconds.type", "--json"
    )
    assert code == 0, err
    assert json.loads(out)["accepted"] == 1
    code, out, _ = trunkline("quarantine", "replay", batch, "--set", "seconds=-7", "--json")
    assert (code, json.loads(out)["edited"]) == (0, 1)
    rows = held(workspace)
    assert sorted(rows.column("state").to_pylist()) == ["open", "open", "open", "open", "replayed"]
    assert pc.all(pc.starts_with(rows.column("row"), "sealed:")).as_py()
    mended = workspace.lake.arrow("lines.lines", where=lambda rows: rows["seconds"] == 5)
    assert mended.column("msisdn").to_pylist() == [workspace.keys.pseudonyms(_line(workspace)).value("msisdn", BEN)]  # type: ignore[union-attr]  # the contract protects it


@pytest.mark.slow
def test_an_export_has_to_be_asked_for_and_comes_back_mended(
    trunkline: Trunkline, batch: str, lines: Path, workspace: Workspace
) -> None:
    code, _, err = trunkline("quarantine", "export", batch, "--out", lines / "out.csv")
    assert (code, "--in-clear" in err) == (2, True)
    assert trunkline("quarantine", "export", batch, "--out", lines / "out.csv", "--in-clear")[0] == 0
    with (lines / "out.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [row["msisdn"] for row in rows] == [BEN, f"{BEN}0", ""]
    (lines / "back.csv").write_text(f"_row,seconds\n{rows[0]['_row']},1\n{rows[1]['_row']},2\n")
    code, out, err = trunkline("quarantine", "replay", batch, "--file", lines / "back.csv", "--json")
    assert code == 0, err
    assert json.loads(out)["accepted"] == 2
    assert workspace.lake.arrow("lines.lines").num_rows == 3


def test_a_row_that_stands_in_another_place_does_not_open(
    trunkline: Trunkline, batch: str, workspace: Workspace
) -> None:
    rows = held(workspace)
    swapped = rows.set_column(
        rows.schema.get_field_index("row"), "row", pc.take(rows.column("row"), pa.array([1, 0, 2]))
    )
    workspace.lake.replace(QUARANTINE, swapped)
    code, _, err = trunkline("quarantine", "show", batch)
    assert code == 2
    assert "does not open where it stands" in err
    assert "Traceback" not in err


def test_a_discarded_row_stays_encrypted(trunkline: Trunkline, batch: str, workspace: Workspace) -> None:
    code, out, _ = trunkline("quarantine", "discard", batch, "--json")
    assert (code, json.loads(out)["discarded"]) == (0, 3)
    assert pc.all(pc.starts_with(held(workspace).column("row"), "sealed:")).as_py()


@pytest.mark.parametrize(
    "lost",
    ["master.key", "another", *(pytest.param(lost, marks=pytest.mark.slow) for lost in ("keyring.json", "both"))],
)
def test_a_lost_key_is_told_and_what_to_do(
    trunkline: Trunkline, batch: str, lines: Path, workspace: Workspace, lost: str
) -> None:
    folder = workspace.keys.folder
    if lost == "another":
        (folder / "master.key").write_text("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n")
    for name in ("master.key", "keyring.json"):
        if lost in (name, "both"):
            (folder / name).unlink()
    (lines / "b.csv").write_text("msisdn,seconds\n0172 1,1\n")
    for command in (
        ("quarantine", "show", batch),
        ("quarantine", "replay", batch),
        ("ingest", "lines", lines / "b.csv"),
    ):
        code, _, err = trunkline(*command)
        assert code == 2, (command, err)
        assert "put it back from a backup" in err
        assert "Traceback" not in err
    assert workspace.lake.arrow("lines.lines").num_rows == 1


def _line(workspace: Workspace) -> type:
    return workspace.usecase("lines").contracts["lines"]
