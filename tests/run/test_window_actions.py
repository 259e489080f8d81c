"""When a window ... then an action: a webhook is called and an event published, as the rule says, by a real server."""

import json
import os
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from trunkline.brokers import EmbeddedLog
from trunkline.cli import main
from trunkline.settings.brokers import BrokerSettings

PLUGIN = """
from datetime import timedelta
from typing import ClassVar
from trunkline.contracts import Contract, Instant, Number, Table, Text, col, field
from trunkline.features.windows import END, START
from trunkline.spec import UseCase, Windowed, WindowRule, Windows


class Sample(Contract):
    '''One row per meter and instant.'''
    table: ClassVar[Table] = Table(key=("meter", "at"), event_at="at")
    meter: Text = field()
    at: Instant = field()
    watts: Number = field()


class Load(Contract):
    '''One row per meter and minute.'''
    table: ClassVar[Table] = Table(key=("meter", "window_start_at"))
    meter: Text = field()
    window_start_at: Instant = field()
    window_end_at: Instant = field()
    watts: Number = field()


def load(samples):
    return samples.group_by("meter", START, END).aggregate(watts=samples.watts.max())


usecase = UseCase(
    name="meters", title="Meters", question="?", datasets={"samples": Sample}, main="samples", task=None, metric="",
    windows={"load": Windowed(
        contract=Load, dataset="samples", by=("meter",), windows=Windows(length=timedelta(minutes=1)), expression=load,
        rules={
            "high": WindowRule(when=col("watts") > 100, title="too much power", actions=("gate", "events")),
            "low": WindowRule(when=col("watts") < 10, title="hardly any power"),
        },
    )},
)
"""


class Hook:
    """A webhook that keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []
        told = self.told

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                said = json.loads(self.rfile.read(int(self.headers["content-length"])))
                told.append(f"{said['title']}: {said['message']}")
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the signature of the library
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"json://127.0.0.1:{self.server.server_address[1]}/"


@pytest.fixture
def hooks() -> Iterator[tuple[Hook, Hook]]:
    made = (Hook(), Hook())
    threads = [threading.Thread(target=one.server.serve_forever, args=(0.01,), daemon=True) for one in made]
    for thread in threads:
        thread.start()
    yield made
    for one, thread in zip(made, threads, strict=True):
        one.server.shutdown()
        one.server.server_close()
        thread.join()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in [name for name in os.environ if name.startswith("TRUNKLINE_")]:
        monkeypatch.delenv(name)
    (tmp_path / "plugins" / "meters").mkdir(parents=True)
    (tmp_path / "plugins" / "meters" / "__init__.py").write_text(PLUGIN)
    monkeypatch.setenv("TRUNKLINE_PLUGIN_DIR", str(tmp_path / "plugins"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def finding(capsys: pytest.CaptureFixture[str], rule: str) -> list[str]:
    capsys.readouterr()
    main(["doctor", "--json", "--workspace", "w"])
    return [one["detail"] for one in json.loads(capsys.readouterr().out)["findings"] if one["part"] == rule]


def test_the_doctor_names_actions_that_the_settings_lack(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert finding(capsys, "rule meters.load.high") == ["nobody is called 'gate'", "nobody is called 'events'"]
    (folder / "trunkline.toml").write_text(
        '[notify]\nevents_topic = "acts"\n[notify.targets.gate]\nurl = "json://127.0.0.1:1/"\n'
    )
    assert finding(capsys, "rule meters.load.high") == []


@pytest.mark.slow
def test_a_rule_calls_its_webhook_and_publishes_its_event(folder: Path, hooks: tuple[Hook, Hook]) -> None:
    pytest.importorskip("apprise", reason="the extra notify is not installed")
    gate, team = hooks
    (folder / "trunkline.toml").write_text(
        f'[notify]\nevents_topic = "acts"\n[notify.targets.gate]\nurl = "{gate.url}"\nleast = "critical"\n'
        f'[notify.targets.team]\nurl = "{team.url}"\nkinds = ["alert"]\n'
    )
    server = subprocess.Popen(
        [sys.executable, "-m", "trunkline", "serve", "--port", "0", "--workspace", "w"],
        cwd=folder,
        stderr=subprocess.PIPE,
        text=True,
    )
    log = EmbeddedLog(folder / "w" / "log" / "log.db", settings=BrokerSettings(), clock=lambda: datetime.now(UTC))
    try:
        assert server.stderr is not None
        told = next(line for line in server.stderr if line.startswith("trunkline serves http"))
        url = f"{told.strip().removeprefix('trunkline serves ')}/v1/ingest/meters/samples"
        now = datetime.now(UTC).isoformat()
        rows = [{"meter": name, "at": now, "watts": watts} for name, watts in (("a", 150), ("b", 200), ("c", 5))]
        body = "\n".join(map(json.dumps, rows)).encode()
        deadline = time.monotonic() + 60
        while True:
            try:
                request = urllib.request.Request(url, body, {"Content-Type": "application/x-ndjson"})
                with urllib.request.urlopen(request, timeout=30) as answer:
                    assert json.load(answer)["accepted"] == 3
                break
            except OSError:  # it does not listen yet
                assert time.monotonic() < deadline
                threading.Event().wait(0.1)
        while len(gate.told) < 2 or not team.told or log.end("acts") < 3:
            assert time.monotonic() < deadline, (gate.told, team.told, log.end("acts"))
            threading.Event().wait(0.1)
    finally:
        server.terminate()
        server.communicate(timeout=60)
    with closing(log):
        events = [json.loads(record.value) for record in log.read("acts", after=0, limit=99)]
    assert sorted(text.partition(" UTC")[0].partition(", window")[0] for text in gate.told) == [
        "meters: too much power: high: watts 150; device a",
        "meters: too much power: high: watts 200; device b",
    ]  # both devices, though the target is told nothing of that severity otherwise
    assert [text.partition(":")[2].partition(":")[0] for text in team.told] == [" hardly any power"]
    alerts = {event["data"]["about"]: event["data"]["title"] for event in events if event["type"] == "trunkline.alert"}
    assert alerts == {"a": "meters: too much power", "b": "meters: too much power", "c": "meters: hardly any power"}
