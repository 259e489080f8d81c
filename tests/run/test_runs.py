"""What a run means: known files, single steps, a second candidate, going back, resuming, and the same again."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest

from trunkline.plan import STEPS
from trunkline.run import Workspace
from trunkline.settings import load_settings
from trunkline.settings.drills import VARIABLE

Trunkline = Callable[..., tuple[int, str, str]]
Subscribers = Callable[..., pa.Table]


def done(result: tuple[int, str, str]) -> dict[str, object]:
    code, out, err = result
    assert code == 0, err
    document: dict[str, object] = json.loads(out)
    return document


def lake(workspace: Path, table: str) -> list[dict[str, object]]:
    with Workspace(load_settings(workspace=workspace)) as opened:
        found: list[dict[str, object]] = opened.lake.arrow(table).to_pylist()
    return found


def scores(path: Path) -> npt.NDArray[np.float64]:
    table = pq.read_table(path)
    found: npt.NDArray[np.float64] = table.sort_by("subscriber_id").column("score").to_numpy()
    return found


def test_a_run_prints_what_it_did(first_run: tuple[Path, str]) -> None:
    found = json.loads(first_run[1])
    assert found["usecase"] == "leavers"
    counts = found["ingest"]
    assert (counts["read"], counts["accepted"], counts["quarantined"], counts["duplicates"]) == (500, 500, 0, 0)
    assert found["model"] == {"name": "blend", "version": "1", "alias": "champion"}
    assert {"roc_auc", "average_precision", "ece"} <= set(found["metrics"])
    for interval in found["metrics"].values():
        assert interval["low"] <= interval["high"]
    assert [gate["passed"] for gate in found["gates"]] == [True] * 7
    assert {"name", "passed", "value", "limit"} <= set(found["gates"][0])
    assert found["predictions"]["rows"] == 500
    assert Path(found["report"]["path"]).read_text().startswith("<!")
    assert found["seconds"] > 0


def test_every_row_and_answer_is_there_once(trained: Path, subscribers: Subscribers) -> None:
    rows = lake(trained, "leavers.subscribers")
    expected = sorted(subscribers(500).column("subscriber_id").to_pylist())
    assert sorted(str(row["subscriber_id"]) for row in rows) == expected
    assert {row["_run_id"] for row in rows} == {"first"}
    answers = lake(trained, "platform.predictions")
    assert sorted(str(answer["entity_key"]) for answer in answers) == expected
    assert {answer["model_version"] for answer in answers} == {"1"}
    assert set(json.loads(str(answers[0]["features"]))) >= {"tenure_months", "region"}
    steps = sorted(lake(trained, "platform.steps"), key=lambda row: str(row["finished_at"]))
    assert tuple(row["step"] for row in steps) == STEPS
    states = sorted(lake(trained, "platform.runs"), key=lambda row: str(row["changed_at"]))
    assert [row["state"] for row in states if row["run_id"] == "first"] == ["started", "finished"]


@pytest.mark.slow
def test_a_file_that_is_known_is_not_taken_in_twice(trunkline: Trunkline, workspace: Path, source: Path) -> None:
    found = done(trunkline("run", "leavers", "--source", source, "--workspace", workspace, "--json"))
    assert isinstance(found["ingest"], dict)
    assert found["ingest"]["known"] == found["ingest"]["batches"]
    assert len(lake(workspace, "leavers.subscribers")) == 500
    assert len(lake(workspace, "platform.receipts")) == 1
    assert found["model"] == {"name": "blend", "version": "1", "alias": "champion", "unchanged": True}
    shown = done(trunkline("models", "list", "leavers", "--workspace", workspace, "--json"))
    assert isinstance(shown["versions"], list)
    assert len(shown["versions"]) == 1, "the same rows, recipe and code make no new version"
    code, out, _ = trunkline("report", "leavers", "--workspace", workspace)
    assert code == 0
    assert "version 1 is champion, unchanged" in out


@pytest.mark.slow
def test_another_seed_is_another_version(
    trunkline: Trunkline, workspace: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRUNKLINE_SEED", "5")
    asked = ("run", "leavers", "--source", source, "--until", "register", "--workspace", workspace, "--json")
    found = done(trunkline(*asked))
    assert found["model"] == {"name": "blend", "version": "2", "alias": None}


@pytest.mark.slow
def test_a_run_ends_where_it_is_told(trunkline: Trunkline, tmp_path: Path, source: Path) -> None:
    common = ("--workspace", tmp_path, "--json")
    found = done(trunkline("run", "leavers", "--source", source, "--until", "train", "--run-id", "mine", *common))
    assert "metrics" in found
    assert "gates" not in found
    assert not (tmp_path / "live").exists() or not list((tmp_path / "live").iterdir())
    # going on under its id does the rest, without naming the source again
    found = done(trunkline("run", "leavers", "--run-id", "mine", *common))
    assert found["run_id"] == "mine"
    assert isinstance(found["model"], dict)
    assert found["model"]["alias"] == "champion"
    assert len(lake(tmp_path, "leavers.subscribers")) == 500


@pytest.mark.slow
def test_a_workspace_may_be_named_by_a_link_or_by_its_neighbour(
    trunkline: Trunkline, tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "beside").mkdir()
    monkeypatch.chdir(tmp_path / "beside")
    found = done(trunkline("run", "leavers", "--source", source, "--workspace", "../w", "--json"))
    assert Path(found["report"]["path"]).is_relative_to(tmp_path / "w")  # type: ignore[index]  # of JSON
    (tmp_path / "link").symlink_to(tmp_path / "w")
    again = done(trunkline("run", "leavers", "--source", source, "--workspace", tmp_path / "link", "--json"))
    assert again["model"]["version"] == found["model"]["version"]  # type: ignore[index]  # likewise


@pytest.mark.slow
def test_a_killed_run_is_listed_as_unfinished_until_it_is_gone_on_with(
    trunkline: Trunkline, tmp_path: Path, source: Path
) -> None:
    asked = ["ingest", "leavers", str(source), "--workspace", str(tmp_path), "--run-id", "mine"]
    killed = subprocess.run(
        [sys.executable, "-m", "trunkline", *asked],
        env={**os.environ, VARIABLE: "ingest.after_rows"},
        capture_output=True,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL
    hint = "unfinished; it goes on by trunkline run leavers --run-id mine"
    assert hint in trunkline("lineage", "--workspace", tmp_path)[1]
    assert trunkline(*asked)[0] == 0
    assert hint not in trunkline("lineage", "--workspace", tmp_path)[1]


def test_what_a_file_lacks_is_said(trunkline: Trunkline, tmp_path: Path, subscribers: Subscribers) -> None:
    path = tmp_path / "part.csv"
    pa_csv.write_csv(subscribers(20).drop_columns(["region"]), path)
    code, out, _ = trunkline("ingest", "leavers", path, "--workspace", tmp_path / "w")
    assert (code, "fields that no column fills: region" in out) == (0, True)


@pytest.mark.slow
def test_steps_one_by_one_make_a_run(trunkline: Trunkline, tmp_path: Path, source: Path) -> None:
    common = ("--workspace", tmp_path, "--json")
    found = done(trunkline("ingest", "leavers", source, *common))
    run_id = found["run_id"]
    for step in ("train", "evaluate", "register", "rollout", "predict", "monitor", "report"):
        # a step that needs another finds the run that has it by itself
        chosen = () if step in ("evaluate", "register", "rollout", "report") else ("--run-id", run_id)
        found = done(trunkline(step, "leavers", *chosen, *common))
        assert found["run_id"] == run_id, step
    assert {"ingest", "model", "metrics", "gates", "predictions", "monitor", "report"} <= set(found)


def test_a_run_takes_no_other_files_under_its_id(trunkline: Trunkline, workspace: Path, tmp_path: Path) -> None:
    (tmp_path / "other.csv").write_text("subscriber_id,tenure_months\nA,1\n")
    asked = (
        "run",
        "leavers",
        "--source",
        tmp_path / "other.csv",
        "--run-id",
        "first",
        "--workspace",
        workspace,
        "--json",
    )
    code, out, _ = trunkline(*asked)
    assert code == 2
    assert "other.csv" in json.loads(out)["error"]["where"]


@pytest.mark.slow
def test_without_a_source_the_rows_of_the_lake_are_taken_and_none_simulated(
    trunkline: Trunkline, workspace: Path
) -> None:
    found = done(trunkline("run", "leavers", "--until", "train", "--workspace", workspace, "--json"))
    assert isinstance(found["ingest"], dict)
    assert found["ingest"]["read"] == 0
    assert len(lake(workspace, "leavers.subscribers")) == 500


@pytest.mark.slow
def test_simulated_rows_are_the_same_at_every_run(trunkline: Trunkline, tmp_path: Path) -> None:
    for _ in range(2):
        found = done(trunkline("run", "leavers", "--until", "ingest", "--workspace", tmp_path, "--json"))
        assert isinstance(found["ingest"], dict)
        assert found["ingest"]["read"] == 600
    assert len(lake(tmp_path, "leavers.subscribers")) == 600


@pytest.mark.slow
def test_one_run_of_a_use_case_at_a_time(
    trunkline: Trunkline, workspace: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    holder = (
        "import sys\n"
        "from trunkline.run import Workspace\n"
        "from trunkline.settings import load_settings\n"
        f"with Workspace(load_settings(workspace={str(workspace)!r})) as workspace:\n"
        "    with workspace.run_lock('leavers'):\n"
        "        print('held', flush=True)\n"
        "        sys.stdin.readline()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", holder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        code, out, err = trunkline("run", "leavers", "--source", source, "--workspace", workspace, "--json")
        other.communicate("\n", timeout=30)
    assert code == 2
    error = json.loads(out)["error"]
    assert error["kind"] == "BusyError"
    assert f"process {other.pid} since 20" in error["where"]
    assert os.uname().nodename in error["where"]
    assert f"process {other.pid}" in err
    assert len(lake(workspace, "platform.steps")) == len(STEPS), "the second did nothing"


def test_a_run_that_goes_on_is_not_read_before_it_has_ended(
    trunkline: Trunkline, workspace: Path, tmp_path: Path
) -> None:
    (tmp_path / "other.csv").write_text("subscriber_id,tenure_months\nA,1\n")
    asked = ("run", "leavers", "--run-id", "first", "--source", tmp_path / "other.csv", "--workspace", workspace)
    with Workspace(load_settings(workspace=workspace)) as opened, opened.run_lock("leavers"):
        assert opened.is_running("leavers")
        code, out, _ = trunkline(*asked, "--json")
        assert (code, json.loads(out)["error"]["kind"]) == (2, "BusyError")
    code, out, _ = trunkline(*asked, "--json")
    assert (code, json.loads(out)["error"]["kind"]) == (2, "InputError")


@pytest.mark.slow
def test_the_report_is_of_the_newest_run_and_not_of_a_look(trunkline: Trunkline, workspace: Path, source: Path) -> None:
    common = ("--workspace", workspace, "--json")
    done(trunkline("monitor", "leavers", "--source", source, "--run-id", "look", *common))
    found = done(trunkline("report", "leavers", *common))
    assert found["report"] == {"path": str(workspace / "runs" / "first" / "report.html")}
    assert not (workspace / "runs" / "look").exists()


@pytest.mark.slow
def test_the_second_candidate_is_compared_on_rows_that_neither_has_seen(
    trunkline: Trunkline, tmp_path: Path, subscribers: Subscribers
) -> None:
    common = ("--workspace", tmp_path / "w", "--json")
    for seed in (1, 2):
        path = tmp_path / f"{seed}.csv"
        pa_csv.write_csv(subscribers(2600, seed), path)
        done(trunkline("run", "leavers", "--source", path, "--run-id", f"run{seed}", "--until", "rollout", *common))
    (judged,) = [
        json.loads(str(row["document"]))
        for row in lake(tmp_path / "w", "platform.steps")
        if row["run_id"] == "run2" and row["step"] == "evaluate"
    ]
    assert judged["paired"]["unseen"] is True
    assert judged["paired"]["rows"] == 520, "the test rows of the second file"
    assert judged["paired"]["champion"] == "1"
    assert judged["paired"]["low"] <= judged["paired"]["difference"] <= judged["paired"]["high"]


def changed_usecase(folder: Path, repository: Path, old: str, new: str) -> Path:
    """A folder of plug-ins whose ``leavers`` has another text in its code."""
    shutil.copytree(repository / "tests" / "plugins" / "leavers", folder / "leavers")
    code = folder / "leavers" / "__init__.py"
    text = code.read_text()
    assert old in text
    code.write_text(text.replace(old, new))
    return folder


def champion_gate(found: dict[str, object]) -> dict[str, object]:
    gates: list[dict[str, object]] = found["gates"]  # type: ignore[assignment]  # a list in the document
    return next(gate for gate in gates if gate["name"] == "not_worse_than_champion")


@pytest.mark.slow
def test_the_second_candidate_is_refitted_beside_the_champion_where_rows_are_few(
    trunkline: Trunkline,
    workspace: Path,
    tmp_path: Path,
    subscribers: Subscribers,
    repository: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = tmp_path / "second.csv"
    pa_csv.write_csv(subscribers(400, seed=3), path)
    other = changed_usecase(tmp_path / "plugins", repository, '{"C": 0.3}', '{"C": 0.5}')
    monkeypatch.setenv("TRUNKLINE_PLUGIN_DIR", str(other))
    asked = ("run", "leavers", "--source", path, "--run-id", "second", "--until", "evaluate", "--workspace", workspace)
    gate = champion_gate(done(trunkline(*asked, "--json")))
    assert "the same folds, both refitted" in str(gate["detail"])
    assert "against version 1 on 400" in str(gate["detail"])


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["pass", "refuse"])
def test_where_rows_are_few_one_recipe_is_no_evidence_of_two_models(
    trunkline: Trunkline,
    workspace: Path,
    tmp_path: Path,
    source: Path,
    subscribers: Subscribers,
    repository: Path,
    monkeypatch: pytest.MonkeyPatch,
    policy: str,
) -> None:
    path = tmp_path / "second.csv"
    pa_csv.write_csv(subscribers(400, seed=3), path)
    gate = f'NotWorseThanChampion(metric="roc_auc", on_thin_evidence="{policy}")'
    plugins = changed_usecase(tmp_path / "plugins", repository, 'NotWorseThanChampion(metric="roc_auc")', gate)
    monkeypatch.setenv("TRUNKLINE_PLUGIN_DIR", str(plugins))
    common = ("--until", "evaluate", "--workspace", workspace, "--json")
    code, out, err = trunkline("run", "leavers", "--source", path, "--run-id", "second", *common)
    assert code == (3 if policy == "refuse" else 0), err
    found = champion_gate(json.loads(out))
    assert (found["passed"], found["value"]) == (policy == "pass", None)
    assert "same recipe refitted on 400 rows, which says nothing of the two models" in str(found["detail"])
    assert trunkline("report", "leavers", "--run-id", "second", "--workspace", workspace)[0] == 0
    assert "equal by nature" in (workspace / "runs" / "second" / "report.html").read_text()


@pytest.mark.slow
def test_a_rollback_brings_back_the_whole_pipeline(
    trunkline: Trunkline, workspace: Path, tmp_path: Path, source: Path, subscribers: Subscribers
) -> None:
    common = ("--workspace", workspace, "--json")

    def predictions(name: str) -> npt.NDArray[np.float64]:
        out = tmp_path / f"{name}.parquet"
        done(trunkline("predict", "leavers", "--source", source, "--out", out, *common))
        return scores(out)

    first = predictions("first")
    # other units and another share of nulls: medians, scales and vocabulary of the second version differ
    rows = subscribers(450, seed=4)
    charges = pa.array([value * 100 for value in rows["monthly_charges"].to_pylist()])
    rows = rows.set_column(rows.column_names.index("monthly_charges"), "monthly_charges", charges)
    pa_csv.write_csv(rows, tmp_path / "second.csv")
    asked = ("run", "leavers", "--source", tmp_path / "second.csv", "--until", "register", "--run-id", "second")
    done(trunkline(*asked, *common))
    done(trunkline("models", "promote", "leavers", "2", *common))
    second = predictions("second")
    assert np.abs(first - second).max() > 1e-3
    done(trunkline("models", "rollback", "leavers", *common))
    np.testing.assert_allclose(predictions("back"), first, rtol=0, atol=1e-12)


def test_each_version_records_what_it_rests_on(trunkline: Trunkline, trained: Path) -> None:
    found = json.loads(json.dumps(done(trunkline("models", "show", "leavers", "--workspace", trained, "--json"))))
    model, lineage = found["model"], found["model"]["lineage"]
    assert model["seed"] == 0
    assert {"scikit-learn", "lightgbm", "onnxruntime", "numpy"} <= set(model["packages"])
    assert lineage["run_id"] == "first"
    assert lineage["code_version"].startswith("0.")
    assert len(lineage["contract:subscribers"]) >= 16
    assert int(lineage["table:leavers.subscribers"]) >= 0
    stored = json.loads((trained / "models" / "leavers" / "1" / "model.json").read_text())
    (logistic,) = [part for part in stored["info"]["learners"] if part["name"] == "logistic_regression"]
    assert logistic["preprocessing"]["scale"] == "standard"
    assert [entry["event"] for entry in found["ledger"]] == ["registered", "promoted"]


def test_an_evaluation_leaves_out_what_the_champion_has_seen(
    trunkline: Trunkline, trained: Path, tmp_path: Path, source: Path, subscribers: Subscribers
) -> None:
    common = ("--workspace", trained)
    found = done(trunkline("evaluate", "leavers", "--source", source, *common, "--json"))
    assert (found["rows"], found["seen"]) == (100, 400), "only the test rows are new to the champion"
    new = tmp_path / "new.csv"
    rows = subscribers(300, seed=7)
    rows = rows.set_column(
        rows.column_names.index("left"), "left", pa.array([None] * 20 + rows["left"].to_pylist()[20:])
    )
    pa_csv.write_csv(rows, new)
    found = done(trunkline("evaluate", "leavers", "--source", new, *common, "--json"))
    assert (found["rows"], found["seen"], found["unlabelled"], found["refused"]) == (280, 0, 20, 0)
    metrics = found["metrics"]
    assert isinstance(metrics, dict)
    assert 0.55 < metrics["roc_auc"]["low"] < metrics["roc_auc"]["high"] < 1
    assert isinstance(found["ece_noise"], dict)
    assert found["drawn_by"] == "rows"
    code, out, _ = trunkline("evaluate", "leavers", "--source", new, *common)
    assert code == 0
    assert "noise floor of ece" in out


@pytest.mark.parametrize("suffix", ["csv", "parquet", "ndjson"])
def test_a_file_is_scored_with_reasons(
    trunkline: Trunkline, trained: Path, tmp_path: Path, source: Path, suffix: str
) -> None:
    out = tmp_path / f"scores.{suffix}"
    asked = ("predict", "leavers", "--source", source, "--out", out, "--reasons", "2", "--workspace", trained, "--json")
    found = done(trunkline(*asked))
    assert (found["rows"], found["scored"], found["refused"]) == (500, 500, 0)
    if suffix == "csv":
        rows = pa_csv.read_csv(out).to_pylist()
    elif suffix == "parquet":
        rows = pq.read_table(out).to_pylist()
    else:
        rows = [json.loads(line) for line in out.read_text().splitlines()]
    answers = lake(trained, "platform.predictions")
    logged = {str(answer["entity_key"]): answer for answer in answers if answer["request_id"] != found["run_id"]}
    own = {str(answer["entity_key"]): answer for answer in answers if answer["request_id"] == found["run_id"]}
    assert len(rows) == len(own) == 500, "scores of a file are logged under a run id of their own"
    for row in rows:
        assert own[row["subscriber_id"]]["reasons"] == row["reasons"]
        assert row["score"] == pytest.approx(logged[row["subscriber_id"]]["score"], abs=1e-12)
        assert row["decision"] == logged[row["subscriber_id"]]["decision"]
    reasons = json.loads(rows[0]["reasons"])
    assert len(reasons) == 2
    assert set(tmp_path.iterdir()) == {out}


@pytest.mark.slow
def test_every_file_under_a_run_id_is_logged_and_each_once(
    trunkline: Trunkline, workspace: Path, tmp_path: Path, subscribers: Subscribers
) -> None:
    def scored(name: str, code: int = 0, run_id: str = "mine") -> str:
        asked = ("--source", tmp_path / name, "--out", tmp_path / "o.csv", "--run-id", run_id)
        found, _, err = trunkline("predict", "leavers", *asked, "--workspace", workspace)
        assert found == code, err
        return err

    def logged() -> list[str]:
        answers = lake(workspace, "platform.predictions")
        return sorted(str(row["prediction_id"]) for row in answers if row["request_id"] == "mine")

    for seed, name in ((8, "a.csv"), (9, "b.csv")):
        pa_csv.write_csv(subscribers(30, seed=seed), tmp_path / name)
    scored("a.csv")
    scored("b.csv")
    assert len(set(logged())) == 60
    before = logged()
    scored("a.csv")
    assert logged() == before, "the same rows are not logged twice"
    assert "'first' is the id of a run" in scored("a.csv", 2, "first")
    assert "a run id is letters" in scored("a.csv", 2, "no/id")


def test_scores_that_cannot_be_written_are_not_logged(
    trunkline: Trunkline, workspace: Path, tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("this system has no device that is always full")
    before = len(lake(workspace, "platform.predictions"))
    monkeypatch.setattr("trunkline.files.secrets.token_hex", lambda _size: "full")
    (tmp_path / f".o.csv.{os.getpid()}-full.part").symlink_to(full)
    asked = ("--source", source, "--out", tmp_path / "o.csv", "--workspace", workspace)
    code, _, err = trunkline("predict", "leavers", *asked)
    assert (code, "the output cannot be written" in err) == (2, True)
    assert len(lake(workspace, "platform.predictions")) == before


@pytest.mark.slow
def test_rows_of_the_lake_are_scored_with_reasons(trunkline: Trunkline, workspace: Path) -> None:
    asked = ("predict", "leavers", "--run-id", "again", "--reasons", "2", "--workspace", workspace, "--json")
    document = json.dumps(done(trunkline(*asked))["predictions"])
    assert json.loads(document)["rows"] == 500
    own = [answer for answer in lake(workspace, "platform.predictions") if answer["request_id"] == "again"]
    assert [len(json.loads(str(answer["reasons"]))) for answer in own] == [2] * 500


def test_a_file_that_lacks_what_the_model_reads_is_scored_with_a_warning(
    trunkline: Trunkline, trained: Path, tmp_path: Path, subscribers: Callable[..., pa.Table]
) -> None:
    pa_csv.write_csv(subscribers(30).drop_columns(["monthly_charges", "region"]), tmp_path / "slim.csv")
    code, _, err = trunkline(
        "predict", "leavers", "--source", tmp_path / "slim.csv", "--out", tmp_path / "o.csv", "--workspace", trained
    )
    assert code == 0
    assert "2 columns that the model reads" in err
    assert "monthly_charges, region" in err


@pytest.mark.slow
def test_a_report_rendered_again_has_the_same_bytes(trunkline: Trunkline, workspace: Path) -> None:
    page = workspace / "runs" / "first" / "report.html"
    before = page.read_bytes()
    page.unlink()
    found = done(trunkline("report", "leavers", "--workspace", workspace, "--json"))
    assert found["report"] == {"path": str(page)}
    assert page.read_bytes() == before


@pytest.mark.slow
def test_a_report_rendered_by_other_code_has_the_same_bytes(
    trunkline: Trunkline, workspace: Path, tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = workspace / "runs" / "first" / "report.html"
    before = page.read_bytes()
    executing = sys.modules["trunkline.run.execute"]  # the package gives its function that name
    monkeypatch.setattr(executing, "code_version", lambda: "99.0+another")
    other = changed_usecase(tmp_path / "plugins", repository, "Who is about to leave?", "Who will stay?")
    monkeypatch.setenv("TRUNKLINE_PLUGIN_DIR", str(other))
    done(trunkline("report", "leavers", "--workspace", workspace, "--json"))
    assert page.read_bytes() == before


def test_other_code_of_a_use_case_is_another_version(
    trunkline: Trunkline,
    workspace: Path,
    tmp_path: Path,
    source: Path,
    repository: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first = json.loads((workspace / "models" / "leavers" / "1" / "model.json").read_text())["info"]["lineage"]
    other = changed_usecase(tmp_path / "plugins", repository, "Make subscribers", "Draw subscribers")
    monkeypatch.setenv("TRUNKLINE_PLUGIN_DIR", str(other))
    asked = ("run", "leavers", "--source", source, "--until", "register", "--workspace", workspace, "--json")
    found = done(trunkline(*asked))
    assert found["model"] == {"name": "blend", "version": "2", "alias": None}
    second = json.loads((workspace / "models" / "leavers" / "2" / "model.json").read_text())["info"]["lineage"]
    assert {name for name in first if first[name] != second[name]} == {"run_id", "usecase_code"}
    assert len(first["usecase_code"]) == len(second["usecase_code"]) == 64


@pytest.mark.slow
def test_the_same_file_and_seed_give_the_same_model(
    trunkline: Trunkline, trained: Path, tmp_path: Path, source: Path
) -> None:
    found = done(
        trunkline("run", "leavers", "--source", source, "--workspace", tmp_path, "--run-id", "first", "--json")
    )
    ours, theirs = (folder / "models" / "leavers" / "1" for folder in (tmp_path, trained))
    assert sorted(path.name for path in ours.iterdir()) == sorted(path.name for path in theirs.iterdir())
    for path in ours.iterdir():
        assert path.read_bytes() == (theirs / path.name).read_bytes(), path.name
    first = done(trunkline("models", "list", "leavers", "--workspace", trained, "--json"))
    second = done(trunkline("models", "list", "leavers", "--workspace", tmp_path, "--json"))
    assert isinstance(first["versions"], list)
    assert isinstance(second["versions"], list)
    assert first["versions"][0]["metrics"] == second["versions"][0]["metrics"]
    assert found["run_id"] == "first"
