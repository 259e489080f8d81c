"""A refused gate ends in exit code 3 with its evidence, a fault in exit code 1 with one text; the champion stays."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pytest

Trunkline = Callable[..., tuple[int, str, str]]
Subscribers = Callable[..., pa.Table]


def replaced(rows: pa.Table, name: str, values: object) -> pa.Table:
    return rows.set_column(rows.column_names.index(name), name, values)


def random_labels(rows: pa.Table) -> pa.Table:
    return replaced(rows, "left", pa.array(np.random.default_rng(1).random(rows.num_rows) < 0.4))


def leaking_column(rows: pa.Table) -> pa.Table:
    left = rows["left"].to_numpy().astype(float)
    return replaced(rows, "dropped_calls", pa.array(left * 10 + np.random.default_rng(1).random(rows.num_rows)))


@pytest.mark.parametrize(("champion", "said"), [(None, "there is still no champion"), ("3", "the champion stays")])
def test_a_refusal_says_who_is_champion(champion: str | None, said: str) -> None:
    from trunkline.errors import GateRefusedError
    from trunkline.run.steps.evaluating import refuse_failed
    from trunkline.train import EvaluateDocument, GateResult

    failed = GateResult(name="minimum_metric", passed=False, value=0.5, limit=0.6, detail="roc_auc")
    document = EvaluateDocument(gates=(failed,), passed=False, paired=None, champion=champion)
    with pytest.raises(GateRefusedError) as refused:
        refuse_failed(document, usecase="leavers", run_id="r")
    assert refused.value.next_step.startswith(said)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("made", "gate"),
    [
        pytest.param(random_labels, "minimum_metric", id="random labels"),
        pytest.param(leaking_column, "leakage", id="leaking column", marks=pytest.mark.slow),
    ],
)
def test_a_candidate_that_fails_its_evidence_is_refused(
    trunkline: Trunkline,
    workspace: Path,
    tmp_path: Path,
    subscribers: Subscribers,
    made: Callable[[pa.Table], pa.Table],
    gate: str,
) -> None:
    path = tmp_path / "rows.csv"
    pa_csv.write_csv(made(subscribers(400, seed=5)), path)
    live = (workspace / "live" / "leavers.json").read_bytes()
    common = ("--workspace", workspace, "--json")

    code, out, err = trunkline("run", "leavers", "--source", path, "--run-id", "refused", *common)
    assert code == 3
    document = json.loads(out)
    (failed,) = [found for found in document["gates"] if found["name"] == gate]
    assert failed["passed"] is False
    assert f"{gate}: {failed['value']:.4g} against {failed['limit']:.4g}" in err
    assert document["model"]["version"] is None
    assert "refused" in Path(document["report"]["path"]).read_text()
    predictions = document["predictions"]
    assert (predictions["rows"], predictions["model_version"]) == (400, "1"), "the standing champion answers"
    assert document["monitor"]["readings"]

    assert (workspace / "live" / "leavers.json").read_bytes() == live, "the champion stays"
    versions = json.loads(trunkline("models", "list", "leavers", *common)[1])["versions"]
    assert [version["version"] for version in versions] == ["1"]
    events = [json.loads(line)["event"] for line in (workspace / "ledger.jsonl").read_text().splitlines()]
    assert events == ["registered", "promoted", "refused"]

    assert trunkline("run", "leavers", "--run-id", "refused", *common)[0] == 3, "again: the same verdict"
    assert trunkline("register", "leavers", "--run-id", "refused", *common)[0] == 3, "no way around the gate"
    assert trunkline("report", "leavers", "--run-id", "refused", *common)[0] == 0
    versions = json.loads(trunkline("models", "list", "leavers", *common)[1])["versions"]
    assert [version["version"] for version in versions] == ["1"]
    events = [json.loads(line)["event"] for line in (workspace / "ledger.jsonl").read_text().splitlines()]
    assert events == ["registered", "promoted", "refused"]


@pytest.mark.slow
def test_without_a_champion_a_refused_run_answers_nothing(
    trunkline: Trunkline, tmp_path: Path, subscribers: Subscribers
) -> None:
    path = tmp_path / "rows.csv"
    pa_csv.write_csv(random_labels(subscribers(400, seed=5)), path)
    code, out, _ = trunkline("run", "leavers", "--source", path, "--workspace", tmp_path / "w", "--json")
    assert code == 3
    document = json.loads(out)
    assert {"predictions", "monitor"}.isdisjoint(document)
    assert "refused" in Path(document["report"]["path"]).read_text()


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, repository: Path) -> str:
    """A copy of the use case whose simulator fails."""
    text = (repository / "tests" / "plugins" / "leavers" / "__init__.py").read_text()
    folder = tmp_path / "plugins" / "broken"
    folder.mkdir(parents=True)
    text = text.replace('name="leavers"', 'name="broken"').replace(
        "    import numpy as np\n", '    raise RuntimeError("the tank is empty\\nand so am I")\n', 1
    )
    (folder / "__init__.py").write_text(text)
    monkeypatch.setenv("TRUNKLINE_PLUGIN_DIR", str(folder.parent))
    return "broken"


@pytest.mark.slow
def test_what_nobody_foresaw_is_one_text(
    trunkline: Trunkline, tmp_path: Path, broken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, out, err = trunkline("run", broken, "--workspace", tmp_path / "w", "--json")
    assert code == 1
    assert json.loads(out)["error"]["what"] == "something unforeseen: RuntimeError: the tank is empty"
    assert "Traceback" not in err
    assert "TRUNKLINE_DEBUG=1" in err
    monkeypatch.setenv("TRUNKLINE_DEBUG", "1")
    code, _, err = trunkline("run", broken, "--workspace", tmp_path / "w")
    assert code == 1
    assert "Traceback" in err
    assert "and so am I" in err


def test_a_failed_run_says_so_in_its_records(trunkline: Trunkline, tmp_path: Path, broken: str) -> None:
    from trunkline.run import Workspace
    from trunkline.run.records import past_run
    from trunkline.settings import load_settings

    trunkline("run", broken, "--workspace", tmp_path / "w", "--run-id", "mine")
    with Workspace(load_settings(workspace=tmp_path / "w")) as workspace:
        past = past_run(workspace, "mine")
    assert past is not None
    assert (past.usecase, past.state) == ("broken", "failed")


def test_a_plug_in_that_cannot_be_imported_is_named_with_its_line(
    trunkline: Trunkline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "plugins" / "torn"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("import math\n\nmath.nothing\n")
    monkeypatch.setenv("TRUNKLINE_PLUGIN_DIR", str(folder.parent))
    code, out, err = trunkline("run", "torn", "--workspace", tmp_path / "w", "--json")
    assert code == 2
    assert "line 3" in json.loads(out)["error"]["where"]
    assert "Traceback" not in err


def test_a_workspace_that_cannot_be_made(trunkline: Trunkline, tmp_path: Path, source: Path) -> None:
    (tmp_path / "file").write_text("mine")
    asked = ("run", "leavers", "--source", source, "--workspace", tmp_path / "file" / "below", "--json")
    code, out, err = trunkline(*asked)
    assert code == 1
    error = json.loads(out)["error"]
    assert error["kind"] == "UnavailableError"
    assert str(tmp_path / "file") in error["where"]
    assert "Traceback" not in err


LIMITED = """
import resource, signal, sys
resource.setrlimit(resource.RLIMIT_FSIZE, ({size}, {size}))
from trunkline.cli import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("size", [4_000, 60_000])
def test_a_disk_that_takes_no_more_stops_the_run_and_a_repeat_completes_it(
    trunkline: Trunkline, tmp_path: Path, source: Path, size: int
) -> None:
    """Files cannot grow beyond ``size`` bytes, as on a disk that has run full."""
    asked = [str(part) for part in ("run", "leavers", "--source", source, "--workspace", tmp_path / "w", "--json")]
    done = subprocess.run(
        [sys.executable, "-c", LIMITED.format(size=size), *asked],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert json.loads(done.stdout)["error"]["what"]
    code, out, err = trunkline(*asked)
    assert code == 0, err
    found = json.loads(out)
    assert (found["ingest"]["read"], found["ingest"]["accepted"]) == (500, 500)
    assert found["predictions"]["rows"] == 500
    assert trunkline("models", "verify", "--workspace", tmp_path / "w")[0] == 0
