"""A use case whose customers are known by pseudonyms, its workspace, and the real command in this process."""

import io
import os
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from trunkline.cli import main
from trunkline.run import Workspace
from trunkline.settings import load_settings

Trunkline = Callable[..., tuple[int, str, str]]

LINES = """
from typing import ClassVar
from trunkline.contracts import Contract, Integer, Pii, Table, Text, field
from trunkline.spec import UseCase


class Line(Contract):
    table: ClassVar[Table] = Table(key=("msisdn",))
    msisdn: Text = field(pii=Pii("msisdn", keep="encrypted", country="49"), aliases=("phone number",))
    email: Text | None = field(pii=Pii("email", keep="pseudonym"))
    seconds: Integer = field(minimum=0)


class Call(Contract):
    table: ClassVar[Table] = Table(key=("call_id",))
    call_id: Text = field()
    caller: Text = field(pii=Pii("msisdn", keep="encrypted", country="49"))
    minutes: Integer = field(minimum=0)


usecase = UseCase(
    name="lines", title="Lines", question="?", datasets={"lines": Line, "calls": Call}, main="lines", task=None,
    metric="roc_auc",
)
"""


@pytest.fixture(scope="session")
def trunkline() -> Trunkline:
    """Run a command; gives its exit code, stdout and stderr."""

    def run(*arguments: object) -> tuple[int, str, str]:
        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err):
            code = main([str(argument) for argument in arguments])
        return code, out.getvalue(), err.getvalue()

    return run


@pytest.fixture(autouse=True)
def lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for files, with the use case ``lines`` beside it."""
    for name in [name for name in os.environ if name.startswith("TRUNKLINE_")]:
        monkeypatch.delenv(name)
    plugin = tmp_path / "plugins" / "lines" / "__init__.py"
    plugin.parent.mkdir(parents=True)
    plugin.write_text(LINES)
    monkeypatch.setenv("TRUNKLINE_PLUGIN_DIR", str(tmp_path / "plugins"))
    monkeypatch.setenv("TRUNKLINE_REGISTRY__TRACKING_URI", "none")
    monkeypatch.setenv("TRUNKLINE_THREADS", "1")
    monkeypatch.setenv("TRUNKLINE_WORKSPACE", str(tmp_path / "w"))
    folder = tmp_path / "in"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def workspace(lines: Path) -> Iterator[Workspace]:
    """The workspace that the commands use, opened."""
    with Workspace(load_settings()) as opened:
        yield opened
