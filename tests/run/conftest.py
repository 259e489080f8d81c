"""The real command in this process, and workspaces of the quick use case ``leavers``."""

import io
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pa_csv
import pytest

from trunkline.cli import main
from trunkline.plugins import load_usecase

PLUGINS = Path(__file__).resolve().parents[1] / "plugins"

Trunkline = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="session")
def environment() -> Iterator[None]:
    """What a user would have set: a folder of plug-ins, no MLflow, one thread."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("TRUNKLINE_")]:
            patch.delenv(name)
        patch.setenv("TRUNKLINE_PLUGIN_DIR", str(PLUGINS))
        patch.setenv("TRUNKLINE_REGISTRY__TRACKING_URI", "none")
        patch.setenv("TRUNKLINE_THREADS", "1")
        yield


@pytest.fixture(scope="session")
def trunkline(environment: None) -> Trunkline:
    """Run a command; gives its exit code, stdout and stderr."""

    def run(*arguments: object) -> tuple[int, str, str]:
        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err):
            code = main([str(argument) for argument in arguments])
        return code, out.getvalue(), err.getvalue()

    return run


@pytest.fixture(scope="session")
def subscribers() -> Callable[..., pa.Table]:
    """Simulated rows of ``leavers``: ``subscribers(rows, seed=0)``."""

    def make(rows: int, seed: int = 0) -> pa.Table:
        simulate = load_usecase("leavers", plugin_dir=PLUGINS).simulate
        assert simulate is not None
        return simulate(rows=rows, seed=seed).tables["subscribers"]

    return make


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory, subscribers: Callable[..., pa.Table]) -> Path:
    """A CSV file of 500 subscribers."""
    path = tmp_path_factory.mktemp("source") / "subscribers.csv"
    pa_csv.write_csv(subscribers(500), path)
    return path


@pytest.fixture(scope="session")
def first_run(tmp_path_factory: pytest.TempPathFactory, trunkline: Trunkline, source: Path) -> tuple[Path, str]:
    """A workspace after one run over ``source``, and what the run printed as JSON."""
    workspace = tmp_path_factory.mktemp("trained") / "workspace"
    asked = ("run", "leavers", "--source", source, "--workspace", workspace, "--run-id", "first", "--json")
    code, out, err = trunkline(*asked)
    assert code == 0, err
    return workspace, out


@pytest.fixture(scope="session")
def trained(first_run: tuple[Path, str]) -> Path:
    """The workspace of ``first_run``, for tests that only look at it."""
    return first_run[0]


@pytest.fixture
def workspace(tmp_path: Path, trained: Path) -> Path:
    """A copy of ``trained`` that a test may change."""
    return Path(shutil.copytree(trained, tmp_path / "workspace"))
