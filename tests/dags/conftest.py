"""Rendered files, and an Airflow of its own to read them: never the environment that Trunkline runs in."""

import json
import os
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from trunkline.dags import render
from trunkline.run import Workspace
from trunkline.settings import load_settings

_ROOT = Path(__file__).resolve().parents[2]
_AIRFLOW = _ROOT / ".venv-airflow" / "bin" / "python"


@pytest.fixture(scope="session")
def airflow_python() -> Path:
    """The Python of the environment that has Airflow; made when it is not there."""
    installed = subprocess.run(["sh", "scripts/airflow.sh"], cwd=_ROOT, capture_output=True, text=True, check=False)
    if installed.returncode:
        pytest.skip(f"Airflow cannot be installed here: {installed.stderr[-300:]}")
    return _AIRFLOW


@pytest.fixture
def rendered(tmp_path: Path) -> Callable[..., str]:
    """Render with settings, for a workspace below the test's folder."""

    def make(*usecases: str, **given: object) -> str:
        with Workspace(load_settings(workspace=tmp_path / "workspace", **given)) as workspace:
            return render(workspace, usecases)

    return make


def environment(home: Path, **more: str) -> dict[str, str]:
    """The variables of a small, quiet Airflow whose folder is ``home``."""
    quiet = {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_FOLDER": str(home / "dags"),
        "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "WARNING",
    }
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "TRUNKLINE"))}
    return {**kept, **quiet, **more}


Asked = Callable[..., Mapping[str, object]]


@pytest.fixture
def ask_airflow(airflow_python: Path, tmp_path: Path) -> Asked:
    """Run a script with Airflow's Python; it prints one JSON document as its last line."""

    def ask(script: str, *arguments: str, **variables: str) -> Mapping[str, object]:
        home = tmp_path / "airflow"
        (home / "dags").mkdir(parents=True, exist_ok=True)
        done = subprocess.run(
            [airflow_python, "-c", script, *arguments],
            capture_output=True,
            text=True,
            check=False,
            env=environment(home, **variables),
            cwd=tmp_path,
        )
        assert done.returncode == 0, done.stderr[-4000:]
        document: Mapping[str, object] = json.loads(done.stdout.splitlines()[-1])
        return document

    return ask
