"""The command line as a user meets it: help, versions, forms of output, exit codes."""

import importlib
import importlib.metadata
import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest

import trunkline
from trunkline.cli import COMMANDS, main
from trunkline.cli import doctor as doctoring

PLUGINS = Path(__file__).resolve().parents[1] / "plugins"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TRUNKLINE_PLUGIN_DIR", str(PLUGINS))
    monkeypatch.setenv("TRUNKLINE_REGISTRY__TRACKING_URI", "none")


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"]], ids=["nothing", "long", "short"])
def test_the_overview_names_every_command(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    assert main(arguments) == 0
    shown = capsys.readouterr().out
    for name, _, text in COMMANDS:
        assert f"  {name} " in shown
        assert text in shown
    assert "3 a refused gate" in shown


def test_the_overview_loads_no_heavy_library() -> None:
    code = (
        "import sys; from trunkline.cli import main; main(['--help'])\n"
        "print(sorted({name.partition('.')[0] for name in sys.modules} & "
        "{'cyclopts', 'rich', 'pydantic', 'numpy', 'pyarrow', 'ibis', 'sklearn', 'mlflow'}), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.strip() == trunkline.__version__


def test_a_name_that_the_package_lacks() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = trunkline.nothing


@pytest.mark.parametrize("name", [name for name, _, _ in COMMANDS])
def test_every_command_explains_itself(capsys: pytest.CaptureFixture[str], name: str) -> None:
    assert main([name, "--help"]) == 0
    shown = capsys.readouterr().out
    assert f"trunkline {name}" in shown
    assert "--help" in shown or "--json" in shown


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--from", "churn", "--from-data", "rows.csv"), "either copied or inferred"),
        (("--label", "churn"), "none is given"),
        (("--from", "churn", "--key", "id"), "none is given"),
        (("--no-label",), "none is given"),
        (("--from-data", "rows.csv", "--no-label", "--label", "churn"), "something is predicted or nothing"),
    ],
    ids=["both", "label of nothing", "key of a copy", "no label of nothing", "label and none"],
)
def test_options_of_new_that_do_not_go_together(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], says: str
) -> None:
    assert main(["new", "mine", *arguments]) == 2
    assert says in capsys.readouterr().err


def test_a_mistyped_command_points_at_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rum", "churn"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert '"rum"' in said.err
    assert "trunkline --help" in said.err


def test_a_mistyped_option_points_at_the_help_of_its_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "churn", "--sauce", "x"]) == 2
    assert "`trunkline run --help`" in capsys.readouterr().err


def test_use_cases_are_listed_for_people_and_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["usecases"]) == 0
    assert "Who is about to leave?" in capsys.readouterr().out
    assert main(["usecases", "--json"]) == 0
    found = {entry["name"]: entry for entry in json.loads(capsys.readouterr().out)["usecases"]}
    assert {"churn", "house_prices", "leavers"} <= set(found)
    assert found["leavers"]["simulator"] is True
    assert found["leavers"]["task"] == "classification"


def test_simulated_rows_are_the_same_for_a_seed(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = []
    for folder, seed in (("a", "3"), ("b", "3"), ("c", "4")):
        monkeypatch.setenv("TRUNKLINE_SEED", seed)
        assert main(["simulate", "leavers", "--rows", "50", "--out", str(tmp_path / folder), "--json"]) == 0
        document = json.loads(capsys.readouterr().out)
        assert 0.5 < document["best_score"]["roc_auc"] <= 1
        written.append(Path(document["files"]["subscribers"]).read_bytes())
    assert written[0] == written[1] != written[2]


def test_looking_at_a_workspace_that_is_not_there_makes_none(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for command in (["models", "list"], ["quarantine", "list"], ["usecases"], ["doctor"]):
        assert main([*command, "--workspace", str(tmp_path / "absent"), "--json"]) == 0, command
        json.loads(capsys.readouterr().out)
    assert main(["lineage", "nothing", "--workspace", str(tmp_path / "absent"), "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["error"]["kind"] == "UnknownNameError"
    assert not (tmp_path / "absent").exists()


def test_the_workspace_comes_from_the_environment(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("mine")
    monkeypatch.setenv("TRUNKLINE_WORKSPACE", str(tmp_path / "file"))
    assert main(["usecases"]) == 2
    assert str(tmp_path / "file") in capsys.readouterr().err
    assert main(["usecases", "--workspace", str(tmp_path / "other")]) == 0, "the argument wins"


def test_the_doctor_finds_a_healthy_machine(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["doctor", "--workspace", str(tmp_path / "w"), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["healthy"] is True
    parts = {finding["part"]: finding["state"] for finding in document["findings"]}
    assert parts["python"] == "ok"
    assert parts["workspace"] == "absent"


def test_the_doctor_finds_a_broken_ledger(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "VERSION").write_text("1\n")
    (tmp_path / "ledger.jsonl").write_text('{"not": "an entry"}\n')
    assert main(["doctor", "--workspace", str(tmp_path), "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["healthy"] is False


def test_the_doctor_names_what_an_extra_lacks(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["doctor", "--workspace", str(tmp_path / "w"), "--json"]) == 0
    found = {finding["part"]: finding for finding in json.loads(capsys.readouterr().out)["findings"]}
    formats, vision = found["extra formats"], found["extra vision"]
    assert (formats["state"], formats["detail"], formats["mend"]) == ("ok", "fastavro, python-calamine", "")
    assert "extra dev" not in found, "for the developers of Trunkline"
    missing = [name for name in ("torch", "torchvision", "pillow") if not installed(name)]
    assert all(name in vision["detail"] for name in missing)
    assert vision["mend"] == ("pip install 'trunkline[vision]'" if missing else "")


def test_the_doctor_says_which_sources_could_be_asked(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as here:
        port = here.getsockname()[1]
        sources: dict[str, dict[str, str]] = {
            "near": {"kind": "rest", "url": f"http://127.0.0.1:{port}/calls"},
            "far": {"kind": "sql", "url": "postgresql://crm:n0t-shown@127.0.0.1:9/crm", "table": "calls"},
            "inbox": {"kind": "folder", "path": str(tmp_path / "none")},
            "store": {"kind": "objects", "url": "s3://bucket/*.csv"},
            "wrong": {"kind": "objects", "url": "s3://bucket/*.csv", "dataset": "calls"},
            "stream": {"kind": "topic", "url": f"kafka://127.0.0.1:{port},127.0.0.1:9/calls"},
        }
        told = json.dumps({name: {"usecase": "churn", **said} for name, said in sources.items()})
        monkeypatch.setenv("TRUNKLINE_SOURCES", told)
        monkeypatch.setattr(doctoring, "_installed", lambda name: name != "confluent-kafka")
        assert main(["doctor", "--workspace", str(tmp_path / "w"), "--json"]) == 1
    out = capsys.readouterr().out
    found = {one["part"]: one for one in json.loads(out)["findings"]}
    assert {name: found[f"source {name}"]["state"] for name in sources} == {
        "near": "ok", "far": "broken", "inbox": "broken", "store": "ok", "wrong": "broken", "stream": "broken"
    }  # fmt: skip
    assert "127.0.0.1:9 does not answer" in found["source far"]["detail"]
    assert found["source stream"]["mend"] == "pip install 'trunkline[kafka]'"
    assert "names the dataset 'calls'" in found["source wrong"]["detail"]
    assert "n0t-shown" not in out


def installed(distribution: str) -> bool:
    return any(True for _ in importlib.metadata.distributions(name=distribution))


def simulated(capsys: pytest.CaptureFixture[str], folder: Path, *, rows: int) -> str:
    capsys.readouterr()
    assert main(["simulate", "leavers", "--rows", str(rows), "--out", str(folder), "--json"]) == 0
    path: str = json.loads(capsys.readouterr().out)["files"]["subscribers"]
    return path


def test_an_interrupted_command_says_how_to_go_on(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    source = simulated(capsys, tmp_path, rows=20)
    given = ["--workspace", str(tmp_path / "w"), "--run-id", "mine"]
    monkeypatch.setattr(importlib.import_module("trunkline.run.execute"), "_under_lock", lambda *_, **__: stopped())
    assert main(["ingest", "leavers", source, *given]) == 130
    assert "trunkline ingest leavers --run-id mine" in capsys.readouterr().err
    monkeypatch.setattr("trunkline.run.Workspace.__enter__", stopped)
    assert main(["quarantine", "list", "--workspace", str(tmp_path / "w")]) == 130
    assert "repeat the command" in capsys.readouterr().err


def test_the_newest_ids_are_listed(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    source = simulated(capsys, tmp_path, rows=20)
    given = ["--workspace", str(tmp_path / "w")]
    assert main(["ingest", "leavers", source, "--run-id", "mine", *given]) == 0
    capsys.readouterr()
    assert main(["lineage", "--json", *given]) == 0
    listed = json.loads(capsys.readouterr().out)["recent"]
    assert {one["kind"] for one in listed} == {"run", "batch"}
    for one in listed:
        assert main(["lineage", one["identity"], *given]) == 0, "each of them can be asked for"
        assert one["identity"] in capsys.readouterr().out
    assert "20 read = 20 accepted" in next(one["about"] for one in listed if one["kind"] == "batch")
    assert main(["lineage", *given]) == 0
    assert "mine" in capsys.readouterr().out
