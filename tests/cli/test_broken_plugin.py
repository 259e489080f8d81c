"""A plug-in that cannot be imported: it is named and left out, and stops nobody else; by its own name it is refused."""

import json
from pathlib import Path

import pytest

from trunkline.cli import main
from trunkline.errors import UseCaseError
from trunkline.plugins import load_usecase, load_usecases
from trunkline.plugins.scaffold import copy_usecase

Run = tuple[int, str, str]


@pytest.fixture
def plugins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of a good plug-in and of one whose ``features.py`` is no Python."""
    folder = tmp_path / "plugins"
    copy_usecase("x3", copy_of="house_prices", into=folder)
    copy_usecase("x4", copy_of="house_prices", into=folder)
    (folder / "x4" / "features.py").write_text("A = 1\nROW_FEATURES = {\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TRUNKLINE_PLUGIN_DIR", str(folder))
    monkeypatch.setenv("TRUNKLINE_REGISTRY__TRACKING_URI", "none")
    return folder


def ran(capsys: pytest.CaptureFixture[str], *arguments: str) -> Run:
    capsys.readouterr()
    code = main(arguments)
    said = capsys.readouterr()
    return code, said.out, said.err


@pytest.mark.parametrize("command", [("usecases",), ("models", "list")], ids=" ".join)
def test_lists_leave_it_out_and_name_it(
    plugins: Path, capsys: pytest.CaptureFixture[str], command: tuple[str, ...]
) -> None:
    code, out, err = ran(capsys, *command, "--json")
    assert code == 0, err
    document = json.loads(out)
    (broken,) = document["broken"]
    assert (broken["name"], broken["where"]) == ("x4", f"{plugins / 'x4' / 'features.py'}, line 2")
    if command == ("usecases",):
        assert {"churn", "x3"} <= {row["name"] for row in document["usecases"]}
    assert "left out the use case 'x4'" in err
    assert "Traceback" not in err
    assert ran(capsys, *command)[0] == 0


def test_commands_that_name_it_refuse_with_its_file_and_line(plugins: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = ran(capsys, "run", "x4", "--json")
    assert code == 2
    error = json.loads(out)["error"]
    assert error["where"] == f"{plugins / 'x4' / 'features.py'}, line 2"
    assert "SyntaxError" in error["what"]
    assert "frozen" not in err
    assert ran(capsys, "models", "list", "x4")[0] == 2
    assert ran(capsys, "models", "list", "x3")[0] == 0


def test_the_doctor_names_it_and_goes_on(plugins: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = ran(capsys, "doctor", "--json")
    assert code == 1
    findings = {finding["part"]: finding for finding in json.loads(out)["findings"]}
    assert findings["use case x4"]["state"] == "broken"
    assert "features.py, line 2" in findings["use case x4"]["detail"]
    assert findings["use cases"]["state"] == "ok"
    assert "x3" in findings["use cases"]["detail"]


def test_what_runs_by_itself_and_maintenance_go_on(plugins: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("trunkline.toml").write_text('[scheduler.runs.x3]\nevery = "PT1H"\n')
    code, out, err = ran(capsys, "schedule", "list", "--json")
    assert code == 0, err
    assert [job["job"] for job in json.loads(out)["jobs"]] == ["run:x3"]
    assert "x4 has no schedule" in err
    code, out, err = ran(capsys, "maintain", "--json")
    assert code == 0, err
    (problem,) = json.loads(out)["problems"]
    assert "'x4' cannot be imported" in problem


@pytest.mark.slow
def test_the_server_serves_the_others(plugins: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from starlette.testclient import TestClient

    from trunkline.cli.server import build_app
    from trunkline.settings import load_settings

    app, reader = build_app(load_settings())
    assert "left out the use case 'x4'" in capsys.readouterr().err
    with TestClient(app, base_url="http://127.0.0.1") as client:
        ready = client.get("/v2/health/ready")
        assert ready.status_code == 200
        assert "SyntaxError" in ready.json()["usecases"]["x4"]["problem"]
        assert ready.json()["usecases"]["x3"]["problem"] == ""
        assert client.get("/v2/models/x4").json()["error"] == "the use case 'x4' is broken"
        page = client.get("/").text
        assert "<code>x4</code> is broken" in page
        assert "<code>x3</code>" in page
    reader.close()


@pytest.mark.parametrize(
    ("text", "line"),
    [
        pytest.param("import no_such_module_anywhere\n", 1, id="absent module"),
        pytest.param("import json\njson.loads(7)\n", 2, id="fails inside a library"),
        pytest.param("import sys\n\nsys.exit(3)\n", 3, id="ends the process"),
    ],
)
def test_what_a_plug_in_raises_is_said_with_its_line(plugins: Path, text: str, line: int) -> None:
    file = plugins / "x4" / "features.py"
    file.write_text(text)
    with pytest.raises(UseCaseError, match="cannot be imported") as refused:
        load_usecase("x4", plugin_dir=plugins)
    assert refused.value.where == f"{file}, line {line}"
    assert list(load_usecases(plugin_dir=plugins).broken) == ["x4"]
