"""Runs told to a lineage server of the tests' own, to a file, and to servers that fail; nothing is told unasked."""

import json
import threading
import uuid
from collections.abc import Callable, Iterator
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("openlineage.client", reason="the extra `lineage` is not installed")

from trunkline.contracts.records import Receipt
from trunkline.run import Workspace
from trunkline.run.watch_events import watch_events
from trunkline.settings import Settings

Trunkline = Callable[..., tuple[int, str, str]]


class Server:
    """Takes events on the loopback interface, as Marquez does; answers by ``status``, after ``delay_s``."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.paths: list[str] = []
        self.status = 201
        self.gate = threading.Event()
        self.gate.set()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.events.append(json.loads(body))
                outer.headers.append(dict(self.headers))
                outer.paths.append(self.path)
                outer.gate.wait(30)
                self.send_response(outer.status)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def close(self) -> None:
        self.gate.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(5)


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.close()


def spoiled(source: Path, path: Path) -> Path:
    """The file with two rows that break the contract."""
    header, *lines = source.read_text().splitlines()
    lines[0] = "," * header.count(",")
    path.write_text("\n".join([header, *lines, "ragged"]) + "\n")
    return path


def assert_valid(event: dict[str, Any]) -> None:
    """What OpenLineage.json 2-0-2 requires of a RunEvent, of its datasets, and of every facet."""
    assert datetime.fromisoformat(event["eventTime"]).tzinfo is not None
    assert event["schemaURL"].startswith("https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent")
    assert event["producer"].startswith("urn:")  # a URI, and no address of anybody
    assert event["eventType"] in ("START", "COMPLETE", "FAIL")
    uuid.UUID(event["run"]["runId"])
    assert event["job"]["namespace"] == "trunkline"
    assert event["job"]["name"]
    facets = [*event["run"]["facets"].values(), *event["job"]["facets"].values()]
    for side, own in (("inputs", "inputFacets"), ("outputs", "outputFacets")):
        for dataset in event[side]:
            assert dataset["namespace"]
            assert dataset["name"]
            facets += [*dataset.get("facets", {}).values(), *dataset.get(own, {}).values()]
    for facet in facets:
        assert facet["_producer"].startswith("urn:")
        assert facet["_schemaURL"].startswith("https://openlineage.io/spec/")


@pytest.mark.slow
def test_every_step_of_a_run_is_told(
    trunkline: Trunkline, source: Path, tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRUNKLINE_LINEAGE__OPENLINEAGE_URL", server.url)
    monkeypatch.setenv("TRUNKLINE_LINEAGE__OPENLINEAGE_API_KEY", "k3y")
    monkeypatch.setenv("TRUNKLINE_LINEAGE__OPENLINEAGE_FILE", str(tmp_path / "events.ndjson"))
    path = spoiled(source, tmp_path / "subscribers.csv")
    code, out, err = trunkline(
        "run", "leavers", "--source", path, "--workspace", tmp_path / "w", "--run-id", "told", "--json"
    )
    assert code == 0, err
    for event in server.events:
        assert_valid(event)
    assert set(server.paths) == {"/api/v1/lineage"}
    assert {headers["Authorization"] for headers in server.headers} == {"Bearer k3y"}
    assert "k3y" not in out + err
    told = [(event["job"]["name"], event["eventType"]) for event in server.events]
    steps = [name for name, kind in told if kind == "START"]
    assert steps[:5] == ["leavers.ingest", "leavers.train", "leavers.evaluate", "leavers.register", "leavers.rollout"]
    assert told == [(name, kind) for name in steps for kind in ("START", "COMPLETE")]
    runs = {event["job"]["name"]: event["run"]["runId"] for event in server.events}
    assert len(set(runs.values())) == len(steps), "one run of its own per step"
    assert all(event["run"]["runId"] == runs[event["job"]["name"]] for event in server.events)
    parents = {json.dumps(event["run"]["facets"]["parent"]["run"]) for event in server.events}
    assert len(parents) == 1
    done = {event["job"]["name"]: event for event in server.events if event["eventType"] == "COMPLETE"}
    (taken,) = done["leavers.ingest"]["inputs"]
    assert taken["namespace"] == "file"
    assert taken["name"] == str(path)
    assert taken["inputFacets"]["dataQualityMetrics"]["rowCount"] == 501
    counts = json.loads(out)["ingest"]
    assertions = {each["name"]: each for each in taken["inputFacets"]["dataQualityAssertions"]["assertions"]}
    assert {name: int(assertions[name]["actual"]) for name in ("accepted", "quarantined", "duplicates")} == {
        name: counts[name] for name in ("accepted", "quarantined", "duplicates")
    }
    assert assertions["line.malformed"]["success"] is False
    outputs = {dataset["name"]: dataset for dataset in done["leavers.ingest"]["outputs"]}
    assert set(outputs) == {"leavers.subscribers", "platform.quarantine"}
    rows = outputs["leavers.subscribers"]
    assert rows["outputFacets"]["outputStatistics"]["rowCount"] == counts["accepted"]
    assert outputs["platform.quarantine"]["outputFacets"]["outputStatistics"]["rowCount"] == 2
    assert rows["facets"]["dataSource"]["uri"] == f"file://{tmp_path / 'w' / 'lake'}"
    fields = {each["name"]: each["type"] for each in rows["facets"]["schema"]["fields"]}
    assert len(fields) > 3
    (learned,) = done["leavers.train"]["inputs"]
    assert learned["facets"]["version"] == rows["facets"]["version"] | {}
    (made,) = done["leavers.register"]["outputs"]
    assert made["name"].startswith("models/leavers/")
    filed = [json.loads(line) for line in (tmp_path / "events.ndjson").read_text().splitlines()]
    assert filed == server.events


def ingested(trunkline: Trunkline, source: Path, workspace: Path) -> tuple[int, str, str]:
    return trunkline("ingest", "leavers", source, "--workspace", workspace)


def test_a_step_that_fails_is_told(
    trunkline: Trunkline, tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRUNKLINE_LINEAGE__OPENLINEAGE_URL", server.url)
    broken = tmp_path / "broken.csv"
    broken.write_text("subscriber,other\n1,2\n")
    code, _, err = ingested(trunkline, broken, tmp_path / "w")
    assert code == 2
    assert [event["eventType"] for event in server.events] == ["START", "FAIL"]
    assert_valid(server.events[1])
    message = server.events[1]["run"]["facets"]["errorMessage"]
    assert message["message"].startswith("SchemaError: the source lacks")
    assert message["programmingLanguage"] == "Python"
    assert "lacks" in err


def test_what_a_step_that_fails_has_taken_in_is_told(
    trunkline: Trunkline, source: Path, tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRUNKLINE_LINEAGE__OPENLINEAGE_URL", server.url)
    broken = tmp_path / "broken.csv"
    broken.write_text("subscriber,other\n1,2\n")
    code, _, err = trunkline("ingest", "leavers", broken, source, "--workspace", tmp_path / "w")
    assert code == 2, err
    failed = server.events[1]
    assert_valid(failed)
    assert failed["eventType"] == "FAIL"
    assert [one["name"] for one in failed["inputs"]] == [str(source)]
    (table,) = failed["outputs"]
    assert table["outputFacets"]["outputStatistics"]["rowCount"] == 500


def test_a_server_that_refuses_fails_nothing(
    trunkline: Trunkline,
    source: Path,
    tmp_path: Path,
    server: Server,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    server.status = 500
    monkeypatch.setenv("TRUNKLINE_LINEAGE__OPENLINEAGE_URL", server.url)
    code, _, err = ingested(trunkline, source, tmp_path / "w")
    assert code == 0, err
    assert len(server.events) == 1, "neither tried again nor sent the next one"
    assert [record.message for record in caplog.records if record.name == "trunkline.run.openlineage"] == [
        "lineage: the http transport failed (HTTPError); this run sends no more events by it"
    ]


@pytest.mark.slow
def test_a_server_that_hangs_or_is_gone_fails_nothing(
    trunkline: Trunkline,
    source: Path,
    tmp_path: Path,
    server: Server,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    server.gate.clear()
    monkeypatch.setenv("TRUNKLINE_LINEAGE__OPENLINEAGE_TIMEOUT_S", "0.2")
    monkeypatch.setenv("TRUNKLINE_LINEAGE__OPENLINEAGE_URL", server.url)
    code, _, err = ingested(trunkline, source, tmp_path / "w")
    assert code == 0, err
    assert not server.gate.is_set(), "the server has answered nothing"
    assert len(server.events) == 1, "one that was waited for would have been followed by the next"
    assert [record.message for record in caplog.records if record.name == "trunkline.run.openlineage"] == [
        "lineage: the http transport failed (ReadTimeout); this run sends no more events by it"
    ]
    server.close()
    assert ingested(trunkline, source, tmp_path / "other")[0] == 0


def test_nothing_is_told_unasked(
    trunkline: Trunkline, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trunkline.run.openlineage._transports", lambda _settings: pytest.fail("asked for"))
    assert ingested(trunkline, source, tmp_path / "w")[0] == 0


def test_each_turn_of_a_watch_is_told_as_an_ingest_step(
    trunkline: Trunkline, source: Path, tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRUNKLINE_LINEAGE__OPENLINEAGE_URL", server.url)
    monkeypatch.setattr("trunkline.ingest.watching._MOST_AT_ONCE", 1)  # each file is a turn of its own
    inbox = tmp_path / "in"
    inbox.mkdir()
    path = spoiled(source, inbox / "a.csv")
    (inbox / "broken.csv").write_text("subscriber,other\n1,2\n")
    watch = ["watch", "leavers", inbox, "--once", "--settle", "0", "--workspace", tmp_path / "w", "--json"]
    code, out, err = trunkline(*watch)
    assert code == 2, err
    for event in server.events:
        assert_valid(event)
        assert event["job"]["name"] == "leavers.ingest"
    assert [event["eventType"] for event in server.events] == ["START", "COMPLETE", "START", "FAIL"]
    runs = [event["run"]["runId"] for event in server.events]
    assert runs[0] == runs[1] != runs[2] == runs[3]
    assert len({json.dumps(event["run"]["facets"]["parent"]["run"]) for event in server.events}) == 1
    (taken,) = server.events[1]["inputs"]
    assert taken["name"] == str(path)
    (receipt,) = [one["receipt"] for one in json.loads(out)["files"] if one["receipt"]]
    assert taken["inputFacets"]["dataQualityMetrics"]["rowCount"] == receipt["read"] == 501
    assert {one["name"] for one in server.events[1]["outputs"]} == {"leavers.subscribers", "platform.quarantine"}
    assert server.events[3]["run"]["facets"]["errorMessage"]["message"].startswith("SchemaError: the source lacks")


def test_a_watch_leaves_a_server_alone_that_fails(
    trunkline: Trunkline, source: Path, tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.status = 500
    monkeypatch.setenv("TRUNKLINE_LINEAGE__OPENLINEAGE_URL", server.url)
    monkeypatch.setattr("trunkline.ingest.watching._MOST_AT_ONCE", 1)
    inbox = tmp_path / "in"
    inbox.mkdir()
    for name in ("a.csv", "b.csv", "c.csv"):
        (inbox / name).write_bytes(source.read_bytes())
    code, _, err = trunkline("watch", "leavers", inbox, "--once", "--settle", "0", "--workspace", tmp_path / "w")
    assert code == 0, err
    assert len(server.events) == 1


def test_the_chunks_of_a_watched_topic_are_told_together(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch, environment: None
) -> None:
    seconds = 0.0
    monkeypatch.setattr("trunkline.run.watch_events.monotonic", lambda: seconds)
    settings = Settings.model_validate({"workspace": tmp_path / "w", "lineage": {"openlineage_url": server.url}})
    with Workspace(settings) as workspace:
        usecase = workspace.usecase("leavers")
        receipt = Receipt.model_construct(
            usecase="leavers",
            dataset="subscribers",
            source="kafka://broker:9092/calls",
            reasons='{"age.above": 1}',
            read=3,
            accepted=2,
            quarantined=1,
            duplicates=0,
            table_version=1,
        )
        with watch_events(workspace, usecase, run_id="r") as events:
            events.took(receipt)
            events.took(receipt)
            seconds = 59.0
            events.end(after_s=60.0)
            assert [event["eventType"] for event in server.events] == ["START"]
            seconds = 61.0
            events.end(after_s=60.0)
            events.took(receipt)

        def lost() -> None:
            with watch_events(workspace, usecase, run_id="r") as events:
                events.took(receipt)
                raise ValueError("lost")

        with pytest.raises(ValueError, match="lost"):
            lost()
    assert [event["eventType"] for event in server.events] == ["START", "COMPLETE"] * 2 + ["START", "FAIL"]
    inputs, outputs = server.events[1]["inputs"], server.events[1]["outputs"]
    assert [(one["namespace"], one["name"]) for one in inputs] == [("kafka://broker:9092", "calls")]
    facets = inputs[0]["inputFacets"]
    assert facets["dataQualityMetrics"]["rowCount"] == 6
    told = {one["name"]: int(one["actual"]) for one in facets["dataQualityAssertions"]["assertions"]}
    assert told == {"accepted": 4, "quarantined": 2, "duplicates": 0, "age.above": 2}
    assert [one["outputFacets"]["outputStatistics"]["rowCount"] for one in outputs] == [4, 2]
