"""Notices of real runs, by the real command, to a server on loopback and to the broker."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pytest

from trunkline.brokers import EmbeddedLog
from trunkline.lake import held
from trunkline.plan import STEPS
from trunkline.run import notifying
from trunkline.settings.brokers import BrokerSettings

Trunkline = Callable[..., tuple[int, str, str]]


class Hook:
    """A webhook that keeps what it is told, and can be told to refuse."""

    def __init__(self) -> None:
        self.told: list[dict[str, str]] = []
        self.asked = 0
        self.refuses = False
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                hook.asked += 1
                if not hook.refuses:
                    hook.told.append(json.loads(body))
                self.send_response(503 if hook.refuses else 200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the signature of the library
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]


@pytest.fixture
def hook() -> Iterator[Hook]:
    made = Hook()
    thread = threading.Thread(target=made.server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield made
    made.server.shutdown()
    made.server.server_close()
    thread.join()


@pytest.fixture
def team(hook: Hook, environment: None, monkeypatch: pytest.MonkeyPatch) -> Hook:
    """The hook as the target ``team``, which wants everything."""
    monkeypatch.setenv("TRUNKLINE_NOTIFY__TARGETS__TEAM__URL", f"json://127.0.0.1:{hook.port}/")
    monkeypatch.setenv("TRUNKLINE_NOTIFY__TARGETS__TEAM__LEAST", "info")
    monkeypatch.setenv("TRUNKLINE_NOTIFY__ATTEMPTS", "2")
    return hook


def states(trunkline: Trunkline, workspace: Path, *options: str) -> list[tuple[str, str]]:
    code, out, err = trunkline("notify", *options, "--workspace", workspace, "--json")
    found = [(one["target"], one["state"]) for one in json.loads(out)["notices"]]
    assert code == (1 if ("team", "failed") in found else 0), err
    return found


def test_nobody_is_told_where_nobody_is_named(trunkline: Trunkline, tmp_path: Path, environment: None) -> None:
    code, out, _ = trunkline("notify", "--workspace", tmp_path / "w")
    assert code == 0
    assert out.startswith("nobody is to be told")
    code, _, err = trunkline("notify", "--test", "--workspace", tmp_path / "w")
    assert (code, "trunkline.toml of the current folder" in err) == (2, True)


def test_an_ingestion_is_told_when_it_ends_once(trunkline: Trunkline, tmp_path: Path, source: Path, team: Hook) -> None:
    workspace = tmp_path / "workspace"
    asked = ("ingest", "leavers", source, "--workspace", workspace, "--run-id", "first")
    assert trunkline(*asked)[0] == 0
    (told,) = team.told
    assert told["title"] == "leavers: run first has finished"
    assert states(trunkline, workspace) == []
    assert trunkline(*asked)[0] == 0, "the run is known, and nothing is told of it twice"
    assert len(team.told) == 1


@pytest.mark.slow
def test_a_run_whose_steps_are_started_one_by_one_is_told_when_the_last_is_done(
    trunkline: Trunkline, tmp_path: Path, source: Path, team: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRUNKLINE_RUN_STEPWISE", "true")
    workspace = tmp_path / "workspace"

    def done(step: str, *given: object) -> None:
        code, _, err = trunkline(step, "leavers", *given, "--workspace", workspace, "--run-id", "stepwise")
        assert code == 0, err

    done("ingest", source)
    *before_last, last = STEPS[1:]
    for step in ("train", "publish", *(one for one in before_last if one != "train")):  # as its DAGs start them
        done(step)
        assert [told["title"] for told in team.told if "finished" in told["title"]] == []
    done(last)
    assert [told["title"] for told in team.told if "finished" in told["title"]] == [
        "leavers: run stepwise has finished"
    ]
    done(last)
    assert sum("finished" in told["title"] for told in team.told) == 1


def test_a_failed_run_is_told_and_its_exit_code_stays(trunkline: Trunkline, tmp_path: Path, team: Hook) -> None:
    broken = tmp_path / "broken.csv"
    broken.write_text("a,b\n1,2\n")
    code, _, _ = trunkline("ingest", "leavers", broken, "--workspace", tmp_path / "workspace", "--run-id", "broken")
    assert code == 2
    (told,) = [told for told in team.told if "has failed" in told["title"]]
    assert told["title"] == "leavers: run broken has failed"
    assert told["type"] == "failure"
    assert [one["title"] for one in team.told if one != told and "broken.csv is failing" not in one["title"]] == []


@pytest.mark.slow
def test_a_target_that_is_down_costs_no_run_and_is_told_later(
    trunkline: Trunkline, tmp_path: Path, source: Path, team: Hook
) -> None:
    workspace = tmp_path / "workspace"
    team.refuses = True
    for run in ("first", "second"):
        assert trunkline("ingest", "leavers", source, "--workspace", workspace, "--run-id", run)[0] == 0
    assert team.told == []
    asked = team.asked
    assert states(trunkline, workspace) == [("team", "failed")] * 2
    assert team.asked == asked + 2, "one notice was tried twice, the other not at all: nobody answers"
    team.refuses = False
    assert states(trunkline, workspace, "--dry-run") == [("team", "send")] * 2
    assert team.told == []
    assert states(trunkline, workspace) == [("team", "sent")] * 2
    assert [one["title"].split()[2] for one in team.told] == ["first", "second"]
    assert states(trunkline, workspace) == []


def test_a_notice_for_trying_reaches_every_target(trunkline: Trunkline, tmp_path: Path, team: Hook) -> None:
    assert states(trunkline, tmp_path / "workspace", "--test") == [("team", "sent")]
    assert team.told[0]["title"] == "Trunkline can tell you"
    team.refuses = True
    assert states(trunkline, tmp_path / "workspace", "--test") == [("team", "failed")]
    _, out, _ = trunkline("notify", "--test", "--workspace", tmp_path / "workspace")
    (why,) = [line for line in out.splitlines() if line.startswith("team did not take it: ")]
    assert "error=503" in why
    assert str(team.port) not in why, "addresses are not shown"


def test_notices_are_events_in_the_broker(
    trunkline: Trunkline, tmp_path: Path, source: Path, environment: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRUNKLINE_NOTIFY__EVENTS_TOPIC", "trunkline.events")
    workspace = tmp_path / "workspace"
    for _ in range(2):
        assert trunkline("ingest", "leavers", source, "--workspace", workspace, "--run-id", "first")[0] == 0
    log = EmbeddedLog(workspace / "log" / "log.db", settings=BrokerSettings(), clock=lambda: datetime.now(UTC))
    (record,) = log.read("trunkline.events", after=0, limit=10)
    log.close()
    event = json.loads(record.value)
    assert (event["specversion"], event["type"], event["id"]) == ("1.0", "trunkline.run.finished", "run:first:finished")
    assert datetime.now(UTC) - datetime.fromisoformat(event["time"]) < timedelta(minutes=10)


@pytest.mark.slow
def test_a_refused_candidate_and_drift_are_events_of_their_own(
    trunkline: Trunkline,
    workspace: Path,
    tmp_path: Path,
    subscribers: Callable[..., pa.Table],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TRUNKLINE_NOTIFY__EVENTS_TOPIC", "trunkline.events")
    rows = subscribers(400, seed=5)
    noise = pa.array(np.random.default_rng(1).random(rows.num_rows) < 0.4)
    young = pa.array([value // 6 for value in rows["tenure_months"].to_pylist()])
    for name, values in (("left", noise), ("tenure_months", young)):
        rows = rows.set_column(rows.column_names.index(name), name, values)
    pa_csv.write_csv(rows, tmp_path / "odd.csv")
    asked = ("run", "leavers", "--source", tmp_path / "odd.csv", "--workspace", workspace, "--run-id", "odd")
    assert trunkline(*asked)[0] == 3
    with closing(EmbeddedLog(workspace / "log" / "log.db", settings=BrokerSettings(), clock=_now)) as log:
        events = [json.loads(record.value) for record in log.read("trunkline.events", after=0, limit=100)]
    of_the_run = {event["type"]: event for event in events if event["subject"] == "odd"}
    assert set(of_the_run) == {"trunkline.gate.refused", "trunkline.alert"}
    assert {event["source"] for event in of_the_run.values()} == {"urn:trunkline:usecase:leavers"}
    assert any("tenure_months" in event["data"]["text"] for event in events if event["type"] == "trunkline.alert")


def _now() -> datetime:
    return datetime.now(UTC)


def test_a_target_or_broker_that_cannot_be_used_keeps_nobody_else_from_being_told(
    trunkline: Trunkline, tmp_path: Path, source: Path, team: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRUNKLINE_NOTIFY__TARGETS__A__URL", "nothing://127.0.0.1")
    monkeypatch.setenv("TRUNKLINE_NOTIFY__TARGETS__A__LEAST", "info")
    monkeypatch.setenv("TRUNKLINE_NOTIFY__EVENTS_TOPIC", "trunkline.events")
    workspace = tmp_path / "workspace"
    (workspace / "log" / "log.db").mkdir(parents=True)  # nothing that a broker could open
    asked = ("ingest", "leavers", source, "--workspace", workspace, "--run-id", "first")
    assert trunkline(*asked)[0] == 0
    assert [one["title"] for one in team.told] == ["leavers: run first has finished"]
    code, _, err = trunkline("notify", "--workspace", workspace)
    assert code != 0
    assert "nothing://" in err or "log.db" in err


def test_who_cannot_look_says_so(
    trunkline: Trunkline, tmp_path: Path, team: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = tmp_path / "workspace"
    (workspace / "locks").mkdir(parents=True)
    monkeypatch.setattr(notifying, "_LONGEST_WAIT_S", 0.0)
    with held(workspace / "locks" / "notify.lock", what="notices of this workspace"):
        code, _, err = trunkline("notify", "--workspace", workspace)
    assert code == 2
    assert "somebody else holds the notices of this workspace" in " ".join(err.split())


@pytest.mark.parametrize(
    ("url", "said"),
    [("nothing://127.0.0.1", "does not know such a URL (nothing://...)"), ("team@example.org", "a URL of Apprise")],
)
def test_a_target_that_cannot_be_is_told_with_what_to_do(
    trunkline: Trunkline, tmp_path: Path, environment: None, monkeypatch: pytest.MonkeyPatch, url: str, said: str
) -> None:
    monkeypatch.setenv("TRUNKLINE_NOTIFY__TARGETS__TEAM__URL", url)
    code, _, err = trunkline("notify", "--test", "--workspace", tmp_path / "workspace")
    assert code == 2
    assert said in " ".join(err.split())
