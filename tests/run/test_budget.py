"""The reject budget: a batch of which too many rows break the contract leaves nothing behind and can come again."""

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import pytest

from trunkline.contracts import Contract, Integer, Table, field
from trunkline.errors import ContractError, RowsRefusedError
from trunkline.ingest.budget import budget_of, refuse_beyond_budget

Trunkline = Callable[..., tuple[int, str, str]]


@pytest.mark.parametrize(
    ("read", "quarantined", "budget", "fits"),
    [
        (100, 5, 0.05, True),
        (100, 6, 0.05, False),
        (100, 0, 0.0, True),
        (100, 1, 0.0, False),
        (100, 100, 1.0, True),
        (100, 100, None, True),
        (20, 1, 0.05, True),
        (19, 1, 0.05, False),
    ],
)
def test_the_share(read: int, quarantined: int, budget: float | None, fits: bool) -> None:
    if fits:
        refuse_beyond_budget(read, quarantined, {"a.type": quarantined}, budget=budget, where="a.csv")
        return
    with pytest.raises(RowsRefusedError) as told:
        refuse_beyond_budget(read, quarantined, {"a.type": quarantined, "b.null": 9}, budget=budget, where="a.csv")
    assert told.value.reasons == {"a.type": quarantined, "b.null": 9}
    assert "nothing was written" in told.value.next_step
    assert told.value.exit_code == 2


def test_the_contract_wins() -> None:
    assert budget_of(Table(), None) is None
    assert budget_of(Table(), 0.2) == 0.2
    assert budget_of(Table(reject_budget=0.0), 0.2) == 0.0


def test_a_budget_is_a_share() -> None:
    with pytest.raises(ContractError, match="share in"):

        class Wrong(Contract):
            table: ClassVar[Table] = Table(reject_budget=5)
            number: Integer = field()


def test_verdicts_do_not_depend_on_it() -> None:
    class Loose(Contract):
        number: Integer = field()

    class Strict(Contract):
        table: ClassVar[Table] = Table(reject_budget=0.1)
        number: Integer = field()

    assert Loose.fingerprint == Strict.fingerprint


def spoiled(source: Path, path: Path, *, bad: int) -> Path:
    header, *lines = source.read_text().splitlines()
    lines[:bad] = ["," * header.count(",")] * bad
    path.write_text("\n".join([header, *lines]) + "\n")
    return path


def test_a_batch_beyond_its_budget_leaves_nothing(
    trunkline: Trunkline, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = tmp_path / "w"
    path = spoiled(source, tmp_path / "subscribers.csv", bad=30)
    command = ("ingest", "leavers", path, "--workspace", workspace, "--json")
    code, out, err = trunkline(*command, "--reject-budget", "0.05")
    assert code == 2
    assert "30 of 500 rows (6.00%) break the contract, the budget is 5.00%" in err
    assert json.loads(out)["error"]["kind"] == "RowsRefusedError"
    told = {"runs", "attempts", "alerts"}  # that it came, and why nothing of it is here
    assert [path.name for path in (workspace / "lake").rglob("*.parquet") if not told & {*path.parts}] == []
    assert json.loads(trunkline("quarantine", "list", "--workspace", workspace, "--json")[1])["rows"] == 0
    monkeypatch.setenv("TRUNKLINE_INGEST__REJECT_BUDGET", "0.01")
    assert trunkline(*command)[0] == 2
    code, out, err = trunkline(*command, "--reject-budget", "0.06")
    assert code == 0, err
    taken = json.loads(out)["ingest"]
    assert (taken["read"], taken["accepted"], taken["quarantined"], taken["duplicates"]) == (500, 470, 30, 0)


def test_a_budget_out_of_range(trunkline: Trunkline, source: Path, tmp_path: Path) -> None:
    code, _, err = trunkline("ingest", "leavers", source, "--workspace", tmp_path / "w", "--reject-budget", "5")
    assert code == 2
    assert "--reject-budget" in err


@pytest.mark.slow
def test_a_pulled_piece_beyond_its_budget_is_tried_again(
    trunkline: Trunkline, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    header, *lines = spoiled(source, tmp_path / "subscribers.csv", bad=30).read_text().splitlines()
    with sqlite3.connect(tmp_path / "crm.db") as database:
        database.execute(f"CREATE TABLE customers ({', '.join(f'{name} TEXT' for name in header.split(','))})")
        marks = ", ".join("?" * len(header.split(",")))
        rows = [[value.strip('"') for value in line.split(",")] for line in lines]
        database.executemany(f"INSERT INTO customers VALUES ({marks})", rows)
    database.close()
    monkeypatch.chdir(tmp_path)
    url = f"sqlite:///{tmp_path / 'crm.db'}?table=customers"
    command = ("ingest", "leavers", url, "--workspace", tmp_path / "w", "--json")
    code, _, err = trunkline(*command, "--reject-budget", "0.05")
    assert code == 2, err
    assert "the budget is 5.00%" in err
    code, out, err = trunkline(*command)
    assert code == 0, err
    taken = json.loads(out)["ingest"]
    assert (taken["read"], taken["accepted"], taken["quarantined"]) == (500, 470, 30)
