"""A run lets its version out only while what it was judged against is live; and no entity is learned from twice."""

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pa_csv
import pytest

Trunkline = Callable[..., tuple[int, str, str]]
Subscribers = Callable[..., pa.Table]


@pytest.mark.slow
def test_a_version_that_was_taken_back_is_not_let_out_again_by_its_run(
    trunkline: Trunkline, workspace: Path, tmp_path: Path, subscribers: Subscribers
) -> None:
    pa_csv.write_csv(subscribers(400, seed=3), tmp_path / "second.csv")
    common = ("--workspace", workspace)
    asked = ("run", "leavers", "--source", tmp_path / "second.csv", "--run-id", "second", "--until", "register")
    assert trunkline(*asked, *common)[0] == 0
    assert trunkline("models", "promote", "leavers", "2", *common)[0] == 0
    assert trunkline("models", "rollback", "leavers", *common)[0] == 0
    code, _, err = trunkline("rollout", "leavers", "--run-id", "second", *common)
    assert code == 2
    assert "version 2 has been champion and was taken back" in err
    assert "trunkline models promote leavers 2" in err


@pytest.mark.slow
def test_a_later_run_does_not_undo_a_rollback(
    trunkline: Trunkline, workspace: Path, tmp_path: Path, subscribers: Subscribers
) -> None:
    pa_csv.write_csv(subscribers(400, seed=3), tmp_path / "second.csv")
    common = ("--workspace", workspace, "--json")
    asked = ("run", "leavers", "--source", tmp_path / "second.csv", "--until", "rollout")

    def versions() -> list[tuple[str, list[str]]]:
        found = json.loads(trunkline("models", "list", "leavers", *common)[1])["versions"]
        return [(version["version"], version["aliases"]) for version in found]

    code, _, err = trunkline(*asked, *common)
    assert code == 0, err
    assert versions() == [("1", []), ("2", ["champion"])]
    assert trunkline("models", "rollback", "leavers", *common)[0] == 0
    code, _, err = trunkline(*asked, *common)
    assert code == 2
    assert "the candidate is the same model as version 2, which was rolled back from" in err
    assert "trunkline models promote leavers 2" in err
    assert versions() == [("1", ["champion"]), ("2", [])]

    assert trunkline("models", "promote", "leavers", "2", *common)[0] == 0, "a person may"
    code, out, err = trunkline(*asked, *common)
    assert code == 0, err
    assert json.loads(out)["model"]["unchanged"] is True

    assert trunkline("models", "rollback", "leavers", *common)[0] == 0
    assert trunkline("models", "retire", "leavers", "2", *common)[0] == 0
    code, _, err = trunkline(*asked, *common)
    assert code == 2
    assert "version 2, which is retired" in err
    assert "models promote" not in err
    assert versions() == [("1", ["champion"]), ("2", [])]


@pytest.mark.slow
def test_a_version_judged_against_another_champion_is_not_let_out(
    trunkline: Trunkline, workspace: Path, tmp_path: Path, subscribers: Subscribers
) -> None:
    common = ("--workspace", workspace)
    for number, name in ((3, "second"), (4, "third")):
        path = tmp_path / f"{name}.csv"
        pa_csv.write_csv(subscribers(400, seed=number), path)
        asked = ("run", "leavers", "--source", path, "--run-id", name, "--until", "register")
        assert trunkline(*asked, *common)[0] == 0
    assert trunkline("rollout", "leavers", "--run-id", "third", *common)[0] == 0
    code, _, err = trunkline("rollout", "leavers", "--run-id", "second", *common)
    assert code == 2
    assert "was judged against version 1" in err
    assert "version 3 is live now" in err


@pytest.mark.slow
def test_of_two_files_the_later_row_of_a_subscriber_counts(
    trunkline: Trunkline, tmp_path: Path, subscribers: Subscribers
) -> None:
    months = tmp_path / "months"
    months.mkdir()
    january = subscribers(400, seed=7)
    charges = pa.array([None if value is None else value + 1 for value in january["monthly_charges"].to_pylist()])
    february = january.set_column(january.column_names.index("monthly_charges"), "monthly_charges", charges)
    pa_csv.write_csv(january, months / "1-january.csv")
    pa_csv.write_csv(february, months / "2-february.csv")
    code, out, err = trunkline("run", "leavers", "--source", months, "--workspace", tmp_path / "w", "--json")
    assert code == 0, err
    document = json.loads(out)
    assert document["ingest"]["accepted"] == 800
    assert document["predictions"]["rows"] == 400
