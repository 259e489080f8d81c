"""A level shift makes errors of forecasts drift: learning anew is offered, or done by setting, through the gates; one
command goes back."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest

Trunkline = Callable[..., tuple[int, str, str]]

pytestmark = pytest.mark.slow

HOURS, DRIFTED, HOUR = 420, 300, 1
SLOWER = 3.0
QUICK = {"trials": 1, "evaluation_days": 7, "retrain_days": 60}
GATES = 6 + 6 + 1
"""Each hour ahead against simpler ways and against the champion, and the intervals."""


def shifted(hours: pa.Table) -> pa.Table:
    """From one hour on every server is three times as slow, and stays so."""
    factor = np.where(np.arange(len(hours)) >= HOURS, SLOWER, 1.0)
    for place, name in enumerate(hours.column_names):
        if name == "main_ms" or name.startswith("sub_"):
            values = hours.column(name).to_numpy(zero_copy_only=False) * factor
            hours = hours.set_column(place, name, pa.array(values, from_pandas=True))
    return hours


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory, trunkline: Trunkline) -> dict[str, Any]:
    """What the commands of one workspace printed, in their order."""
    place = tmp_path_factory.mktemp("drifted")
    workspace = ("--workspace", place / "workspace", "--json")
    runs: dict[str, Any] = {}

    def do(name: str, *command: object) -> None:
        code, out, err = trunkline(*command, *workspace)
        assert code == 0, err
        runs[name] = json.loads(out)

    def run(name: str, first: int, count: int) -> None:
        source: Path = place / f"{name}.csv"
        pa_csv.write_csv(hours.slice(first, count), source)
        do(name, "run", "response_time", "--source", source)

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRUNKLINE_USECASES", json.dumps({"response_time": QUICK}))
        do("simulated", "simulate", "response_time", "--rows", HOURS + DRIFTED + HOUR, "--out", place)
        hours = shifted(pq.read_table(runs["simulated"]["files"]["hours"]))
        run("first", 0, HOURS)
        run("drifted", HOURS, DRIFTED)
        for step in ("train", "evaluate", "register", "rollout"):
            do(step, step, "response_time", "--run-id", "by_hand")
        do("back", "models", "rollback", "response_time")
        do("shown", "models", "show", "response_time")
        patch.setenv("TRUNKLINE_USECASES", json.dumps({"response_time": {**QUICK, "retrain_on_drift": True}}))
        run("anew", HOURS + DRIFTED, HOUR)
        do("back_again", "models", "rollback", "response_time")
        do("shown_again", "models", "show", "response_time")
    return runs


def test_errors_and_data_beyond_their_limits_are_told_and_learning_is_offered(told: dict[str, Any]) -> None:
    crossed = {(one["family"], one["metric"]) for one in told["drifted"]["monitor"]["crossed"]}
    assert {("performance", f"mase_h{ahead}") for ahead in (1, 6)} <= crossed
    assert any(family == "drift" for family, _ in crossed)
    offered = [one["text"] for one in told["drifted"]["monitor"]["alerts"] if "retrain_on_drift" in one["text"]]
    assert offered
    assert all("trunkline train response_time" in text for text in offered)
    assert told["drifted"]["model"] == {**told["first"]["model"], "unchanged": True, "kept": True}, (
        "nothing is learned unasked"
    )


def test_the_commands_that_are_offered_lead_through_the_gates(told: dict[str, Any]) -> None:
    gates = told["evaluate"]["gates"]
    assert len(gates) == GATES
    assert all(gate["passed"] for gate in gates)
    assert told["rollout"]["model"]["alias"] == "champion"
    assert told["rollout"]["model"]["version"] != told["first"]["model"]["version"]


def test_one_command_goes_back(told: dict[str, Any]) -> None:
    back = told["shown"]["version"]
    assert (back["version"], back["aliases"]) == (told["first"]["model"]["version"], ["champion"])


def test_where_it_is_set_the_next_run_learns_through_the_gates(told: dict[str, Any]) -> None:
    anew = told["anew"]
    assert anew["model"]["version"] not in (told["first"]["model"]["version"], told["rollout"]["model"]["version"])
    assert "unchanged" not in anew["model"]
    assert len(anew["gates"]) == GATES
    assert all(gate["passed"] for gate in anew["gates"])
    assert anew["predictions"]["rows"] == 8 * 6
    assert told["shown_again"]["version"]["version"] == told["first"]["model"]["version"]
