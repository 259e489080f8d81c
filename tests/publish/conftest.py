"""A use case with personal data that publishes in every mode, its workspace, and the real command in this process."""

import io
import json
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import redirect_stderr, redirect_stdout
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from trunkline.cli import main
from trunkline.run import Workspace
from trunkline.settings import load_settings

Trunkline = Callable[..., tuple[int, str, str]]
Put = Callable[[str, Sequence[str]], None]

LINES = """
from typing import ClassVar
from trunkline.contracts import Contract, Day, Integer, Pii, Table, Text, field
from trunkline.spec import Publication, UseCase


class Line(Contract):
    '''One row per telephone line.'''
    table: ClassVar[Table] = Table(key=("msisdn",))
    msisdn: Text = field(pii=Pii("msisdn", keep="encrypted", country="49"))
    email: Text | None = field(pii=Pii("email", keep="pseudonym"))
    plan: Text | None = field(max_length=20)
    seconds: Integer = field(minimum=0)


class Call(Contract):
    '''One row per call.'''
    table: ClassVar[Table] = Table(key=("call_id",), unique="table", keep="first")
    call_id: Text = field()
    caller: Text = field(pii=Pii("msisdn", keep="encrypted", country="49"))
    minutes: Integer = field(minimum=0)
    called_on: Day = field()


class Caller(Contract):
    '''One row per caller.'''
    table: ClassVar[Table] = Table(key=("caller",))
    caller: Text = field(pii=Pii("msisdn", keep="encrypted", country="49"))
    minutes: Integer = field()


def callers(tables):
    calls = tables["calls"]
    return calls.group_by("caller").aggregate(minutes=calls.minutes.sum())


usecase = UseCase(
    name="lines", title="Lines", question="?", datasets={"lines": Line, "calls": Call}, main="lines", task=None,
    metric="roc_auc",
    publish=(
        Publication(name="subscribers", table="lines", mode="upsert", masked=("plan",)),
        Publication(name="call_log", table="calls", mode="append", columns=("call_id", "minutes", "called_on")),
        Publication(name="callers", contract=Caller, rows=callers, inputs=("calls",)),
        Publication(
            name="calls", table="calls", mode="dated", dated_by="called_on", view="latest_calls",
            columns=("call_id", "minutes", "called_on"),
        ),
    ),
)
"""


class Receiver(BaseHTTPRequestHandler):
    """Takes what is posted; fails as often as it is told to, before or after it has taken it."""

    def do_POST(self) -> None:
        server = self.server
        assert isinstance(server, Hook)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        status = server.statuses.pop(0) if server.statuses else 200
        if status < 300 or status == 599:  # 599: taken, and the answer is lost
            server.taken.append((dict(self.headers), body))
        self.send_response(503 if status == 599 else status)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as inherited
        """Say nothing."""


class Hook(ThreadingHTTPServer):
    """A receiver on loopback."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Receiver)
        self.taken: list[tuple[dict[str, str], bytes]] = []
        self.statuses: list[int] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/hook?token=n0t-shown"

    def kept(self) -> list[dict[str, Any]]:
        """What a receiver has that looks at the idempotency keys."""
        by_key = {headers["Idempotency-Key"]: json.loads(body) for headers, body in self.taken}
        return list(by_key.values())


@pytest.fixture
def hook() -> Iterator[Hook]:
    server = Hook()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for files, with the use case ``lines`` beside it and settings that name everything."""
    for name in [name for name in os.environ if name.startswith("TRUNKLINE_")]:
        monkeypatch.delenv(name)
    plugin = tmp_path / "plugins" / "lines" / "__init__.py"
    plugin.parent.mkdir(parents=True)
    plugin.write_text(LINES)
    monkeypatch.setenv("TRUNKLINE_PLUGIN_DIR", str(tmp_path / "plugins"))
    monkeypatch.setenv("TRUNKLINE_REGISTRY__TRACKING_URI", "none")
    monkeypatch.setenv("TRUNKLINE_THREADS", "1")
    monkeypatch.setenv("TRUNKLINE_WORKSPACE", str(tmp_path / "w"))
    monkeypatch.setenv("TRUNKLINE_PUBLISH__ATTEMPTS", "1")
    inside = tmp_path / "in"
    inside.mkdir()
    monkeypatch.chdir(inside)
    return inside


@pytest.fixture
def trunkline(folder: Path) -> Trunkline:
    """Run a command; gives its exit code, stdout and stderr."""

    def run(*arguments: object) -> tuple[int, str, str]:
        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err):
            code = main([str(argument) for argument in arguments])
        return code, out.getvalue(), err.getvalue()

    return run


@pytest.fixture
def put(folder: Path, trunkline: Trunkline) -> Put:
    """Take lines of CSV, the header first, into a dataset."""
    numbers = iter(range(1_000))

    def take(dataset: str, lines: Sequence[str]) -> None:
        file = folder / f"{dataset}-{next(numbers)}.csv"
        file.write_text("\n".join(lines) + "\n")
        code, _, err = trunkline("ingest", "lines", file, "--dataset", dataset, "--json")
        assert code == 0, err

    return take


@pytest.fixture
def workspace(folder: Path) -> Iterator[Workspace]:
    """The workspace that the commands use, opened."""
    with Workspace(load_settings()) as opened:
        yield opened
