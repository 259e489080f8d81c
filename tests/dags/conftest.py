"""Rendered files, and an Airflow of its own to read them: never the environment that Trunkline runs in."""

import gzip
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from itertools import islice
from pathlib import Path

import pytest
from filelock import FileLock

from trunkline.dags import render
from trunkline.run import Workspace
from trunkline.settings import load_settings

_ROOT = Path(__file__).resolve().parents[2]
_AIRFLOW = _ROOT / ".venv-airflow" / "bin" / "python"

Asked = Callable[..., Mapping[str, object]]


@pytest.fixture(scope="session")
def airflow_python() -> Path:
    """The Python of the environment that has Airflow; made when it is not there."""
    (_ROOT / "build").mkdir(exist_ok=True)
    with FileLock(_ROOT / "build" / "airflow.lock"):  # workers of a suite come at once
        installed = subprocess.run(["sh", "scripts/airflow.sh"], cwd=_ROOT, capture_output=True, text=True, check=False)
    if installed.returncode:
        pytest.skip(f"Airflow cannot be installed here: {installed.stderr[-300:]}")
    return _AIRFLOW


@pytest.fixture
def rendered(tmp_path: Path) -> Callable[..., str]:
    """Render with settings, for a workspace below the test's folder."""

    def make(*usecases: str, **given: object) -> str:
        with Workspace(load_settings(workspace=tmp_path / "workspace", **given)) as workspace:
            return render(workspace, usecases or workspace.usecases())

    return make


@pytest.fixture
def quiet_environment() -> Callable[[Path], dict[str, str]]:
    """Give the variables of an Airflow by its folder."""
    return environment


def environment(home: Path) -> dict[str, str]:
    """The variables of a small, quiet Airflow whose folder is ``home``; nothing of the caller's own settings."""
    quiet = {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_FOLDER": str(home / "dags"),
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "WARNING",
        "TRUNKLINE_REGISTRY__TRACKING_URI": "none",
        "TRUNKLINE_THREADS": "1",
    }
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "TRUNKLINE"))}
    return {**kept, **quiet}


@pytest.fixture(scope="session")
def fresh_home(airflow_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], Path]:
    """Make a folder for an Airflow, with a database that is ready."""
    template = tmp_path_factory.mktemp("airflow-template")
    subprocess.run(
        [airflow_python, "-m", "airflow", "db", "migrate"],
        check=True,
        capture_output=True,
        env=environment(template),
        cwd=template,
    )

    def make(home: Path) -> Path:
        (home / "dags").mkdir(parents=True)
        shutil.copy(template / "airflow.db", home / "airflow.db")
        return home

    return make


@pytest.fixture
def ask_airflow(airflow_python: Path) -> Asked:
    """Run a script with Airflow's Python; it prints one JSON document as its last line."""

    def ask(script: str, *arguments: object, home: Path) -> Mapping[str, object]:
        done = subprocess.run(
            [airflow_python, "-c", script, *map(str, arguments)],
            capture_output=True,
            text=True,
            check=False,
            env=environment(home),
            cwd=home,
        )
        assert done.returncode == 0, f"{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
        document: Mapping[str, object] = json.loads(done.stdout.splitlines()[-1])
        return document

    return ask


@pytest.fixture
def deployed() -> Callable[..., None]:
    """Render a use case into a folder that has a settings file, as a user does: with the command."""

    def deploy(usecase: str, *, folder: Path, out: Path, settings: str = "", dags: str = "") -> None:
        command = json.dumps([sys.executable, "-m", "trunkline"])
        (folder / "trunkline.toml").write_text(
            f'workspace = "{folder / "workspace"}"\n{settings}\n[dags]\ncommand = {command}\nretries = 2\n'
            f'retry_delay = "PT1S"\npoll = "PT2S"\n{dags}\n',
            encoding="utf-8",
        )
        subprocess.run(
            [sys.executable, "-m", "trunkline", "dags", usecase, "--out", out],
            check=True,
            cwd=folder,
            env=environment(folder),
        )

    return deploy


@pytest.fixture
def few_rows() -> Callable[[Path, int, Path], Path]:
    """Copy the first rows of a file of real data, unpacked."""

    def copy(source: Path, rows: int, target: Path) -> Path:
        if not source.is_file():
            pytest.skip(f"the real data is not here: no file {source}")
        with gzip.open(source, "rt") if source.suffix == ".gz" else source.open(encoding="utf-8") as lines:
            target.write_text("".join(islice(lines, rows + 1)), encoding="utf-8")
        return target

    return copy
