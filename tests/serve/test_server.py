"""The server as its clients see it: a real uvicorn on a free port, a real model, a real lake."""

import html
import http.client
import json
import re
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from trunkline.contracts import Number, field
from trunkline.engine import open_engine
from trunkline.lake import Lake, held
from trunkline.registry import NoTracker, Registry
from trunkline.serve import create_app
from trunkline.serve.metrics import Metrics
from trunkline.serve.one_write import OneWriteProtocol
from trunkline.settings.brokers import BrokerSettings
from trunkline.settings.lake import LakeSettings
from trunkline.settings.registry import RegistrySettings
from trunkline.settings.serve import ServeSettings
from trunkline.spec import UseCase
from trunkline.tasks import Model

MakeLines = Callable[[int, int], pa.Table]
ROW: dict[str, str | int | float | None] = {
    "line_id": "L1",
    "sold_mbps": 50,
    "used_mbps": 20.5,
    "age_months": 12,
    "medium": "fibre",
    "leased": True,
}


def now() -> datetime:
    return datetime.now(UTC)


@dataclass
class Site:
    """A workspace in which a model is live.

    Attributes:
        workspace: The workspace.
        registry: Its registry.
        folders: TrainedRows models, not registered but for the first.
        usecase: What they are models of.
    """

    workspace: Path
    registry: Registry
    folders: tuple[Path, Path]
    usecase: UseCase

    def lake(self) -> Lake:
        return Lake(self.workspace / "lake", engine=open_engine("duckdb"), settings=LakeSettings(), clock=now)

    def promote(self, number: int) -> str:
        version = self.registry.register(
            "lines", self.folders[number], run_id=f"run-{number}", metrics={}, tags={}, evidence=[]
        ).version
        self.registry.promote("lines", version, approver="test", evidence=None)
        return version

    def model(self) -> Model:
        return Model.load(self.registry.folder("lines"))

    def rows_of(self, table: str) -> list[dict[str, Any]]:
        lake = self.lake()
        rows: list[dict[str, Any]] = lake.arrow(table).to_pylist() if lake.exists(table) else []
        lake.engine.close()
        return rows


def made(workspace: Path, trained_folders: tuple[Path, Path], usecase: UseCase) -> Site:
    registry = Registry(workspace, settings=RegistrySettings(), clock=now, follower=NoTracker())
    return Site(workspace, registry, trained_folders, usecase)


@pytest.fixture
def empty_site(tmp_path: Path, trained_folders: tuple[Path, Path], usecase: UseCase) -> Site:
    return made(tmp_path / "workspace", trained_folders, usecase)


@pytest.fixture
def site(empty_site: Site) -> Site:
    empty_site.promote(0)
    return empty_site


@pytest.fixture(scope="module")
def shared_site(tmp_path_factory: pytest.TempPathFactory, trained_folders: tuple[Path, Path], usecase: UseCase) -> Site:
    """A site for the tests that change nothing of it; what they ask is logged there, and none of them looks."""
    site = made(tmp_path_factory.mktemp("shared") / "workspace", trained_folders, usecase)
    site.promote(0)
    return site


@dataclass
class Reply:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        return found


class Client:
    """One kept-alive connection to a server."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)

    def request(self, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None) -> Reply:
        content = body if isinstance(body, bytes) else (None if body is None else json.dumps(body).encode())
        self._connection.request(method, path, content, dict(headers or {}))
        response = self._connection.getresponse()
        return Reply(response.status, {name.lower(): value for name, value in response.getheaders()}, response.read())

    def get(self, path: str, **headers: str) -> Reply:
        return self.request("GET", path, headers=headers)

    def post(self, path: str, body: object, **headers: str) -> Reply:
        return self.request("POST", path, body, headers)

    def close(self) -> None:
        self._connection.close()


@contextmanager
def serving(
    site: Site,
    *,
    settings: ServeSettings | None = None,
    log: BrokerSettings | None = None,
    protocol: type[HttpToolsProtocol] = OneWriteProtocol,
) -> Iterator[Client]:
    """Run the real server in a thread of this process; stops it in the end, as a signal would."""
    app = create_app(
        site.workspace,
        usecases={"lines": site.usecase},
        lake=site.lake,
        clock=now,
        settings=settings or ServeSettings(reload_every_s=0.05),
        log=log,
        flush_every_s=0.05,
    )
    config = uvicorn.Config(
        app, http=protocol, host="127.0.0.1", port=0, access_log=False, log_level="warning", proxy_headers=False
    )
    server = uvicorn.Server(config)
    started = threading.Event()
    original = server.startup

    async def startup(sockets: list[object] | None = None) -> None:
        await original(sockets)  # type: ignore[arg-type]  # handed through
        started.set()

    server.startup = startup  # type: ignore[method-assign, assignment]  # tells when the port is bound
    thread = threading.Thread(target=server.run)
    thread.start()
    assert started.wait(30)
    client = Client(server.servers[0].sockets[0].getsockname()[1])
    try:
        yield client
    finally:
        client.close()
        server.should_exit = True
        thread.join(30)
        assert not thread.is_alive()


@pytest.fixture
def client(site: Site) -> Iterator[Client]:
    with serving(site) as client:
        yield client


@pytest.fixture(scope="module")
def shared_port(shared_site: Site) -> Iterator[int]:
    """The port of the one server over ``shared_site``."""
    with serving(shared_site) as client:
        yield client.port


@pytest.fixture
def shared(shared_port: int) -> Iterator[Client]:
    """A connection of one's own to the server over ``shared_site``."""
    client = Client(shared_port)
    yield client
    client.close()


def messages(table: pa.Table) -> list[dict[str, Any]]:
    """Rows as a client would send them, without the label."""
    return [{name: value for name, value in row.items() if name != "fails"} for row in table.to_pylist()]


def until(condition: Callable[[], bool]) -> None:
    """Wait for what another thread does; half a minute is a failure."""
    waiting = threading.Event()
    for _ in range(1500):
        if condition():
            return
        waiting.wait(0.02)
    raise AssertionError("it never came true")


# Predictions


def test_one_row_is_answered_with_score_decision_and_origin(shared: Client, shared_site: Site) -> None:
    reply = shared.post("/v1/lines/predict", ROW)
    assert reply.status == 200
    assert reply.headers["content-type"] == "application/json"
    found = reply.json
    assert set(found) == {"request_id", "usecase", "model_version", "alias", "rows"}
    assert (found["usecase"], found["model_version"], found["alias"]) == ("lines", "1", "champion")
    [row] = found["rows"]
    assert row["prediction_id"] == f"{found['request_id']}-0"
    threshold = shared_site.model().info.threshold
    assert threshold is not None
    assert row["decision"] == (row["score"] >= threshold)


def test_a_row_with_nothing_that_the_model_reads_is_refused(site: Site) -> None:
    class Loose(site.usecase.contract):  # type: ignore[name-defined,misc]  # a contract like any other
        """The lines, none of whose features has to be there."""

        sold_mbps: Number | None = field(unit="Mbit/s", minimum=0)

    loose = replace(site.usecase, datasets={site.usecase.main: Loose})
    with serving(replace(site, usecase=loose)) as client:
        for row in ({"line_id": "L1"}, {"line_id": "L1", "sold_mbps": None, "medium": None}):
            for sent, place in (([ROW, row], 1), (row, 0)):
                reply = client.post("/v1/lines/predict", sent)
                assert (reply.status, reply.json["errors"]) == (422, [{"row": place, "reasons": ["features.absent"]}])
        assert client.post("/v1/lines/predict", {"line_id": "L1", "leased": True}).status == 200


def test_api_and_batch_agree_to_a_millionth(shared: Client, shared_site: Site, lines: MakeLines) -> None:
    table = lines(300, 9)
    rows = messages(table)
    batch = shared_site.model().predict(table)
    together = shared.post("/v1/lines/predict", {"rows": rows}).json["rows"]
    apart = [shared.post("/v1/lines/predict", row).json["rows"][0] for row in rows[:40]]
    assert [row["score"] for row in together] == pytest.approx(batch["score"].to_pylist(), abs=1e-6)
    assert [row["score"] for row in apart] == pytest.approx(batch["score"].to_pylist()[:40], abs=1e-6)
    assert [row["decision"] for row in together] == batch["decision"].to_pylist()


def test_all_forms_of_a_body_mean_the_same(shared: Client) -> None:
    texts = {
        "LINE_ID": "L1",
        "Sold": " 50 ",
        "used_mbps": "20.5",
        "age_months": "12",
        "medium": "fibre",
        "leased": "Yes",
    }
    bodies: list[object] = [ROW, [ROW], {"rows": [ROW]}, texts, {**ROW, "fails": None}]
    scores = {shared.post("/v1/lines/predict", body).json["rows"][0]["score"] for body in bodies}
    assert len(scores) == 1
    lines = b"\n".join(json.dumps({**ROW, "line_id": name}).encode() for name in "ab")
    assert len(shared.post("/v1/lines/predict", lines).json["rows"]) == 2


def test_reasons_name_what_moved_the_score(shared: Client, shared_site: Site, lines: MakeLines) -> None:
    table = lines(40, 9)
    reply = shared.post("/v1/lines/predict?reasons=3", {"rows": messages(table)})
    assert reply.status == 200
    expected = shared_site.model().explain(table, top=3)["reasons"].to_pylist()
    for row, reasons in zip(reply.json["rows"], expected, strict=True):
        assert [one["feature"] for one in row["reasons"]] == [one["feature"] for one in reasons]
        assert [one["contribution"] for one in row["reasons"]] == pytest.approx(
            [one["contribution"] for one in reasons], abs=1e-9
        )
    assert shared.post("/v1/lines/predict?reasons=51", ROW).status == 400
    assert shared.post("/v1/lines/predict?reasons=x", ROW).status == 400


@pytest.mark.slow
def test_bad_rows_are_named_with_all_reasons_and_nothing_is_answered(client: Client, site: Site) -> None:
    bad = {**ROW, "age_months": -1, "medium": "string", "colour": "red"}
    over = {**ROW, "used_mbps": 60}
    reply = client.post("/v1/lines/predict", [ROW, bad, over, "text"])
    assert reply.status == 422
    assert reply.json["errors"] == [
        {"row": 1, "reasons": ["colour.unknown", "age_months.minimum", "medium.category"]},
        {"row": 2, "reasons": ["used_below_sold"]},
        {"row": 3, "reasons": ["row.not_an_object"]},
    ]
    assert "string" not in reply.body.decode()
    assert reply.json["hints"] == {
        "age_months.minimum": {"limit": 0, "unit": "months"},
        "medium.category": {"allowed": ["copper", "fibre", "radio"]},
    }
    missing = client.post("/v1/lines/predict", {"sold_mbps": 1})
    assert missing.json["errors"] == [{"row": 0, "reasons": ["line_id.null"]}]
    assert client.get("/v2/health/ready").json["log"]["waiting"] == 0
    assert site.rows_of("platform.predictions") == []


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"[]", "no row"),
        (b'{"rows": []}', "no row"),
        (b"\xff\xfe", "not JSON"),
    ],
)
def test_a_body_that_holds_no_rows_is_refused(shared: Client, body: bytes, said: str) -> None:
    reply = shared.post("/v1/lines/predict", body)
    assert reply.status == 400
    assert said in reply.json["error"]


def test_unknown_paths_methods_and_use_cases_are_json_too(shared: Client) -> None:
    for reply, status in (
        (shared.get("/nothing"), 404),
        (shared.post("/v1/nobody/predict", ROW), 404),
        (shared.get("/v1/lines/predict"), 405),
        (shared.get("/v2/models/nobody"), 404),
        (shared.post("/v2/models/nobody/infer", {}), 404),
        (shared.get("/v2/models/lines/versions/9"), 404),
    ):
        assert reply.status == status
        assert reply.json["error"]


def test_an_address_that_is_none_names_those_there_are(shared: Client) -> None:
    for path in ("/v1/linse/predict", "/v1/linse/outcomes", "/v1/ingest/linse/lines", "/v1/ingest/lines/linse"):
        reply = shared.post(path, ROW)
        assert (reply.status, reply.json["allowed"]) == (404, ["lines"])
        assert "'linse'" in reply.json["error"]


@pytest.mark.parametrize(
    ("path", "option", "allowed"),
    [
        ("/v1/lines/predict?reason=3", "'reason'", ["?reasons="]),
        ("/v1/lines/predict?reasons=3&top", "'top'", ["?reasons="]),
        ("/v1/lines/outcomes?reasons=3", "'reasons'", None),
        ("/v1/ingest/lines/lines?dataset=x", "'dataset'", None),
    ],
)
def test_a_misspelt_option_is_refused(shared: Client, path: str, option: str, allowed: list[str] | None) -> None:
    reply = shared.post(path, ROW)
    assert (reply.status, reply.json.get("allowed")) == (400, allowed)
    assert option in reply.json["error"]


@pytest.mark.slow
def test_too_much_at_once_is_refused(site: Site) -> None:
    with serving(site, settings=ServeSettings(max_body_mb=0.01, max_rows=3)) as client:
        assert client.post("/v1/lines/predict", [ROW] * 3).status == 200
        reply = client.post("/v1/lines/predict", [ROW] * 4)
        assert (reply.status, "at most 3" in reply.json["next"]) == (413, True)
        reply = client.post("/v1/lines/predict", b" " * 20_000)
        assert (reply.status, "0.01 MiB" in reply.json["next"]) == (413, True)


@pytest.mark.slow
def test_without_a_champion_the_server_says_so(empty_site: Site) -> None:
    with serving(empty_site) as client:
        reply = client.post("/v1/lines/predict", ROW)
        assert reply.status == 503
        assert reply.headers["retry-after"] == "1"
        assert "trunkline run lines" in reply.json["next"]
        assert client.get("/v2/models/lines/ready").status == 503
        empty_site.promote(0)
        until(lambda: client.post("/v1/lines/predict", ROW).status == 200)


# What is written down


@pytest.mark.slow
def test_answers_and_outcomes_arrive_in_the_lake_once(client: Client, site: Site, lines: MakeLines) -> None:
    rows = messages(lines(50, 3))
    answers = client.post("/v1/lines/predict", rows).json
    single = client.post("/v1/lines/predict", ROW).json
    outcome = {"entity_key": "L1", "value": 1, "observed_at": "2026-02-01T00:00:00+01:00"}
    ids = [client.post("/v1/lines/outcomes", outcome).json["outcome_ids"] for _ in range(2)]
    assert ids[0] == ids[1]
    until(lambda: client.get("/v2/health/ready").json["log"]["waiting"] == 0)
    logged = {row["prediction_id"]: row for row in site.rows_of("platform.predictions")}
    assert len(logged) == len(site.rows_of("platform.predictions")) == 51
    for position, (sent, answer) in enumerate(zip(rows, answers["rows"], strict=True)):
        row = logged[f"{answers['request_id']}-{position}"]
        assert row["score"] == answer["score"]
        assert row["decision"] == answer["decision"]
        assert row["entity_key"] == sent["line_id"]
        assert json.loads(row["features"]) == {
            name: sent[name] for name in ("age_months", "leased", "medium", "sold_mbps", "used_mbps")
        }
    [row] = [row for row in logged.values() if row["request_id"] == single["request_id"]]
    assert (row["usecase"], row["model_version"], row["alias"], row["channel"]) == ("lines", "1", "champion", "api")
    assert abs((now() - row["predicted_at"]).total_seconds()) < 60
    truths = site.rows_of("platform.outcomes")
    assert [row["outcome_id"] for row in truths] == [ids[0][0]] * 2  # folded by key when they are read
    assert (truths[0]["entity_key"], truths[0]["value"]) == ("L1", 1.0)
    assert truths[0]["observed_at"] == datetime(2026, 1, 31, 23, tzinfo=UTC)


def test_outcomes_are_checked(shared: Client) -> None:
    good = {"entity_key": "L1", "value": 1, "observed_at": "2026-02-01T00:00:00Z"}
    reply = shared.post("/v1/lines/outcomes", [good, {**good, "value": 0.5}, {**good, "value": 2}])
    assert reply.status == 422
    assert reply.json["errors"] == [{"row": 1, "reasons": ["value.class"]}, {"row": 2, "reasons": ["value.class"]}]
    assert reply.json["hints"] == {"value.class": {"allowed": ["0", "1"]}}
    assert "no row was accepted" in reply.json["error"]
    reply = shared.post("/v1/lines/outcomes", {**good, "observed_at": "2026-02-01T00:00:00"})
    assert "no row was accepted" in reply.json["error"]
    assert reply.json["errors"] == [{"row": 0, "reasons": ["observed_at.type"]}]
    soon, late = ((now() + timedelta(hours=hours)).isoformat() for hours in (20, 30))
    reply = shared.post("/v1/lines/outcomes", [{**good, "observed_at": soon}, {**good, "observed_at": late}])
    assert (reply.status, reply.json["errors"]) == (422, [{"row": 1, "reasons": ["observed_at.future"]}])
    mine = shared.post("/v1/lines/outcomes", {**good, "outcome_id": "mine"})
    assert (mine.status, mine.json["accepted"], mine.json["outcome_ids"]) == (200, 1, ["mine"])


@pytest.mark.slow
def test_one_server_of_a_workspace_flushes_and_the_next_takes_over(site: Site) -> None:
    with held(site.workspace / "locks" / "flusher.lock", what="flusher"), serving(site) as client:
        assert client.post("/v1/lines/predict", [ROW] * 5).status == 200
        state = client.get("/v2/health/ready").json["log"]
        assert (state["is_flushing"], state["waiting"]) == (False, 1)
    assert site.rows_of("platform.predictions") == []
    with serving(site) as client:
        until(lambda: client.get("/v2/health/ready").json["log"]["waiting"] == 0)
        assert client.get("/v2/health/ready").json["log"]["is_flushing"]
    assert len(site.rows_of("platform.predictions")) == 5


@pytest.mark.slow
def test_stopping_flushes_what_is_there(site: Site) -> None:
    with serving(site) as client:
        client.post("/v1/lines/predict", [ROW] * 5)
    assert len(site.rows_of("platform.predictions")) == 5


# Models that change


@pytest.mark.slow
def test_a_promotion_is_taken_over_without_losing_a_request(client: Client, site: Site) -> None:
    seen: list[str] = []
    statuses: set[int] = set()
    stop = threading.Event()

    def ask() -> None:
        mine = Client(client.port)
        while not stop.is_set():
            reply = mine.post("/v1/lines/predict", ROW)
            statuses.add(reply.status)
            seen.append(reply.json["model_version"])
        mine.close()

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    until(lambda: len(seen) > 30)
    site.promote(1)
    until(lambda: seen[-1] == "2")
    site.registry.rollback("lines", approver="test")
    until(lambda: seen[-1] == "1")
    stop.set()
    for thread in threads:
        thread.join()
    assert statuses == {200}
    assert set(seen) == {"1", "2"}


@pytest.mark.slow
def test_a_rollback_brings_the_whole_model_back(client: Client, site: Site, lines: MakeLines) -> None:
    rows = messages(lines(20, 5))
    before = client.post("/v1/lines/predict", rows).json["rows"]
    site.promote(1)
    until(lambda: client.get("/v2/models/lines").json["versions"] == ["2"])
    between = client.post("/v1/lines/predict", rows).json["rows"]
    assert [row["score"] for row in between] != [row["score"] for row in before]
    site.registry.rollback("lines", approver="test")
    until(lambda: client.get("/v2/models/lines").json["versions"] == ["1"])
    after = client.post("/v1/lines/predict", rows).json["rows"]
    assert [row["score"] for row in after] == [row["score"] for row in before]


@pytest.mark.slow
def test_a_tampered_champion_is_not_loaded_and_the_old_one_answers(client: Client, site: Site) -> None:
    version = site.registry.register("lines", site.folders[1], run_id="r", metrics={}, tags={}, evidence=[])
    site.registry.promote("lines", version.version, approver="test", evidence=None)
    until(lambda: client.get("/v2/models/lines").json["versions"] == ["2"])
    site.registry.rollback("lines", approver="test")
    until(lambda: client.get("/v2/models/lines").json["versions"] == ["1"])
    graph = version.folder / "model.onnx"
    content = graph.read_bytes()
    live = site.workspace / "live" / "lines.json"
    kept = live.read_bytes()
    site.registry.promote("lines", version.version, approver="test", evidence=None)
    wanted = live.read_bytes()
    until(lambda: client.get("/v2/models/lines").json["versions"] == ["2"])
    live.write_bytes(kept)
    until(lambda: client.get("/v2/models/lines").json["versions"] == ["1"])
    graph.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    live.write_bytes(wanted)
    until(lambda: bool(client.get("/v2/health/ready").json["usecases"]["lines"]["problem"]))
    ready = client.get("/v2/health/ready")
    assert ready.status == 200
    assert ready.json["usecases"]["lines"] == {"version": "1", "problem": "a file of a model was changed"}
    assert client.post("/v1/lines/predict", ROW).json["model_version"] == "1"
    live.write_bytes(b"{")
    until(lambda: "manifest" in client.get("/v2/health/ready").json["usecases"]["lines"]["problem"])
    assert client.post("/v1/lines/predict", ROW).status == 200


@pytest.mark.slow
def test_a_server_that_starts_on_a_tampered_model_is_not_ready(site: Site) -> None:
    (site.registry.folder("lines") / "model.json").write_bytes(b"{}")
    with serving(site) as client:
        ready = client.get("/v2/health/ready")
        assert (ready.status, ready.json["ready"]) == (503, False)
        assert client.get("/v2/health/live").status == 200
        assert client.post("/v1/lines/predict", ROW).status == 503


# Open Inference Protocol


def test_named_tensors_give_the_same_scores(shared: Client, lines: MakeLines) -> None:
    rows = messages(lines(10, 4))
    kinds = {"line_id": "BYTES", "sold_mbps": "FP64", "used_mbps": "FP64", "age_months": "INT64", "medium": "BYTES"}
    inputs = [
        {
            "name": name,
            "datatype": kind,
            "shape": [10, 1] if name == "medium" else [10],
            "data": [r[name] for r in rows],
        }
        for name, kind in kinds.items()
    ]
    inputs.append({"name": "leased", "datatype": "BOOL", "shape": [10], "data": [row["leased"] for row in rows]})
    plain = shared.post("/v1/lines/predict", rows).json["rows"]
    reply = shared.post("/v2/models/lines/infer", {"id": "mine", "inputs": inputs})
    assert reply.status == 200
    found = reply.json
    assert (found["model_name"], found["model_version"], found["id"]) == ("lines", "1", "mine")
    score, decision = found["outputs"]
    assert (score["name"], score["datatype"], score["shape"]) == ("score", "FP64", [10])
    assert score["data"] == [row["score"] for row in plain]
    assert (decision["name"], decision["datatype"]) == ("decision", "BOOL")
    assert decision["data"] == [row["decision"] for row in plain]
    only = shared.post("/v2/models/lines/versions/1/infer", {"inputs": inputs, "outputs": [{"name": "decision"}]})
    assert [output["name"] for output in only.json["outputs"]] == ["decision"]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"inputs": []},
        {"inputs": [{"name": "sold_mbps", "datatype": "FP64", "shape": [2], "data": [1.0]}]},
        {"inputs": [{"name": "sold_mbps", "datatype": "FP64", "shape": [1, 2], "data": [1.0, 2.0]}]},
        {"inputs": [{"name": "sold_mbps", "datatype": "FP64", "shape": [0], "data": []}]},
        {"inputs": [{"name": "sold_mbps", "datatype": "FP64", "shape": [1], "data": [1.0]}] * 2},
        {"inputs": [{"name": "sold_mbps", "datatype": "FP65", "shape": [1], "data": [1.0]}]},
        {
            "inputs": [{"name": "sold_mbps", "datatype": "FP64", "shape": [1], "data": [1.0]}],
            "outputs": [{"name": "other"}],
        },
    ],
)
def test_malformed_inference_requests_are_refused(shared: Client, body: object) -> None:
    reply = shared.post("/v2/models/lines/infer", body)
    assert reply.status == 400
    assert reply.json["error"]


@pytest.mark.slow
def test_what_is_refused_is_not_logged_as_answered(client: Client, site: Site) -> None:
    one = [
        {"name": name, "datatype": kind, "shape": [1], "data": [ROW[name]]}
        for name, kind in (("sold_mbps", "INT64"), ("used_mbps", "FP64"), ("age_months", "INT64"), ("medium", "BYTES"))
    ]
    one.append({"name": "leased", "datatype": "BOOL", "shape": [1], "data": [True]})
    asked = "/v2/models/lines/infer"
    assert client.post(asked, {"inputs": one, "outputs": [{"name": "other"}]}).status == 400
    assert client.post(asked, {"inputs": one, "id": "answered"}).status == 200
    until(lambda: client.get("/v2/health/ready").json["log"]["waiting"] == 0)
    assert len(site.rows_of("platform.predictions")) == 1


def test_an_absurd_number_of_reasons_is_a_bad_request(shared: Client) -> None:
    for text in ("51", "-1", "1" * 5000, "x"):
        assert shared.post(f"/v1/lines/predict?reasons={text}", ROW).status == 400


def test_models_describe_themselves(shared: Client) -> None:
    found = shared.get("/v2/models/lines").json
    assert (found["name"], found["versions"], found["platform"]) == ("lines", ["1"], "onnxruntime_onnx")
    assert {one["name"]: one["datatype"] for one in found["inputs"]} == {
        "line_id": "BYTES",
        "sold_mbps": "FP64",
        "used_mbps": "FP64",
        "age_months": "INT64",
        "medium": "BYTES",
        "leased": "BOOL",
    }
    assert [one["name"] for one in found["outputs"]] == ["score", "decision"]
    assert shared.get("/v2/models/lines/versions/1").json == found
    assert shared.get("/v2/models/lines/versions/1/ready").json == {"name": "lines", "ready": True}
    assert shared.get("/v2/models/lines/versions/2/ready").status == 503
    assert shared.get("/v2").json["name"] == "trunkline"


# Ways through the server


@pytest.mark.slow
def test_any_asgi_server_gives_the_same_answers(client: Client, site: Site) -> None:
    ours = client.post("/v1/lines/predict", ROW)
    with serving(site, protocol=HttpToolsProtocol) as other:
        theirs = other.post("/v1/lines/predict", ROW)
    assert theirs.json["rows"][0]["score"] == ours.json["rows"][0]["score"]
    assert set(theirs.json) == set(ours.json)
    names = {"content-type", "content-length", "date", "server"}
    assert set(ours.headers) | {"server"} == set(theirs.headers) | {"server"} == names


def test_requests_sent_without_waiting_are_answered_in_their_order(shared: Client, shared_site: Site) -> None:
    bodies = [json.dumps({**ROW, "sold_mbps": 50 + number}).encode() for number in range(5)]
    bodies[2] = b"[]"
    bodies[3] = json.dumps([ROW] * 3).encode()
    with socket.create_connection(("127.0.0.1", shared.port)) as connection:
        for number, body in enumerate(bodies):
            close = b"Connection: close\r\n" if number == len(bodies) - 1 else b""
            connection.sendall(
                b"POST /v1/lines/predict HTTP/1.1\r\nHost: localhost\r\n%bContent-Length: %d\r\n\r\n%b"
                % (close, len(body), body)
            )
        received = b"".join(iter(lambda: connection.recv(1 << 16), b""))
    heads = [part.split(b"\r\n\r\n")[0] for part in received.split(b"HTTP/1.1 ")[1:]]
    assert [head[:3] for head in heads] == [b"200", b"200", b"400", b"200", b"200"]
    answers = [json.loads(part.split(b"\r\n\r\n")[1]) for part in received.split(b"HTTP/1.1 ")[1:]]
    scores = [answers[number]["rows"][0]["score"] for number in (0, 1, 4)]
    model = shared_site.model()
    assert scores == [model.predict_row({**ROW, "sold_mbps": 50.0 + number}) for number in (0, 1, 4)]
    assert b"connection: close" in heads[-1]


def test_a_body_that_comes_in_pieces_or_is_large_is_answered(shared: Client) -> None:
    with socket.create_connection(("127.0.0.1", shared.port)) as connection:
        body = json.dumps({"rows": [ROW] * 500}).encode()
        assert len(body) > 1 << 15
        for content in (json.dumps(ROW).encode(), body):
            head = b"POST /v1/lines/predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: %d\r\n\r\n" % len(content)
            for piece in (head, content[:10], content[10:-10], content[-10:]):
                connection.sendall(piece)
                threading.Event().wait(0.02)
            received = b""
            while not received.endswith(b"]}"):
                received += connection.recv(1 << 16)
            assert received.startswith(b"HTTP/1.1 200")


def test_a_client_that_asks_whether_to_go_on_is_told(shared: Client) -> None:
    body = json.dumps(ROW).encode()
    with socket.create_connection(("127.0.0.1", shared.port)) as connection:
        connection.sendall(
            b"POST /v1/lines/predict HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n"
            b"Content-Length: %d\r\n\r\n" % len(body)
        )
        assert connection.recv(100).startswith(b"HTTP/1.1 100")
        connection.sendall(body)
        assert connection.recv(1 << 16).startswith(b"HTTP/1.1 200")


@pytest.mark.slow
def test_one_that_goes_away_in_the_middle_harms_nobody(client: Client, site: Site) -> None:
    for cut in (60, 200):
        with socket.create_connection(("127.0.0.1", client.port)) as connection:
            body = json.dumps(ROW).encode()
            request = b"POST /v1/lines/predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(body)
            connection.sendall((request + body)[:cut])
    assert client.post("/v1/lines/predict", ROW).status == 200


@pytest.mark.slow
def test_many_at_once_each_get_their_own_answer_once(client: Client, site: Site) -> None:
    model, found = site.model(), dict[float, tuple[str, float]]()

    def ask(number: int) -> None:
        own = Client(client.port)
        for sold in range(number * 20 + 1, number * 20 + 21):
            row = own.post("/v1/lines/predict", {**ROW, "used_mbps": 0.5, "sold_mbps": sold}).json["rows"][0]
            found[float(sold)] = row["prediction_id"], row["score"]
        own.close()

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for sold, (_, score) in found.items():
        expected = model.predict_row({**ROW, "used_mbps": 0.5, "sold_mbps": sold})
        assert score == pytest.approx(expected, abs=1e-6)
    until(lambda: len(site.rows_of("platform.predictions")) == len(found))
    logged = {row["prediction_id"]: row["score"] for row in site.rows_of("platform.predictions")}
    assert logged == dict(found.values())


# Keys, other sites, metrics, documentation


@pytest.mark.slow
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"host": "localhost"}, 200),
        ({"host": "127.8.9.10:80"}, 200),
        ({"host": "[::1]:8321"}, 200),
        ({"host": "attacker.example"}, 421),
        ({"host": "localhost.attacker.example:8321"}, 421),
        ({"host": "10.0.0.1"}, 421),
        ({"host": "localhost:80", "origin": "http://localhost:80"}, 200),
        ({"host": "localhost:80", "origin": "http://attacker.example"}, 403),
        ({"host": "localhost:80", "origin": "http://localhost:3000"}, 403),
        ({"host": "localhost:80", "origin": "null"}, 403),
    ],
)
def test_without_keys_other_sites_cannot_ask_through_a_browser(
    shared: Client, headers: dict[str, str], status: int
) -> None:
    for path in ("/v2", "/metrics", "/docs", "/v2/health/live"):
        assert shared.get(path, **headers).status == status
    assert shared.post("/v1/lines/predict", ROW, **headers).status == status
    assert shared.post("/v1/lines/predict", [ROW, ROW], **headers).status == status
    outcome = {"entity_key": "L1", "value": 1, "observed_at": "2026-02-01T00:00:00Z"}
    assert shared.post("/v1/lines/outcomes", outcome, **headers).status == status


def test_with_keys_any_name_of_the_server_will_do(site: Site) -> None:
    settings = ServeSettings.model_validate({"api_keys": [{"name": "crm", "key": "reader-key-0123456789"}]})
    with serving(site, settings=settings) as client:
        headers = {"x-api-key": "reader-key-0123456789", "host": "scores.example", "origin": "https://crm.example"}
        assert client.post("/v1/lines/predict", ROW, **headers).status == 200
        assert client.get("/v2", **headers).status == 200


def test_keys_and_roles(site: Site) -> None:
    settings = ServeSettings.model_validate(
        {
            "api_keys": [
                {"name": "crm", "role": "reader", "key": "reader-key-0123456789"},
                {"name": "billing", "role": "operator", "key": "operator-key-0123456789"},
            ]
        }
    )
    outcome = {"entity_key": "L1", "value": 1, "observed_at": "2026-02-01T00:00:00Z"}
    with serving(site, settings=settings) as client:
        assert client.get("/v2/health/live").status == 200
        for path in ("/v2", "/v2/models/lines", "/metrics"):
            assert client.get(path).status == 401
            assert client.get(path, authorization="Bearer reader-key-0123456789").status == 200
        refused = client.post("/v1/lines/predict", ROW)
        assert (refused.status, refused.json["error"]) == (401, "an API key is needed")
        assert client.post("/v1/lines/predict", ROW, authorization="Bearer reader-key-0123456780").status == 401
        reader = {"x-api-key": "reader-key-0123456789"}
        assert client.post("/v1/lines/predict", ROW, **reader).status == 200
        assert client.post("/v1/lines/outcomes", outcome, **reader).status == 403
        operator = {"authorization": "bearer operator-key-0123456789"}
        assert client.post("/v1/lines/outcomes", outcome, **operator).status == 200
        assert client.post("/v1/lines/predict", ROW, **operator).status == 200


@pytest.mark.slow
def test_metrics_count_what_happened(client: Client) -> None:
    client.post("/v1/lines/predict", [ROW] * 3)
    client.post("/v1/lines/predict", [ROW, {}])
    text = client.get("/metrics").body.decode()
    assert 'trunkline_predictions_total{model_version="1",usecase="lines"} 3.0' in text
    assert 'trunkline_refused_rows_total{usecase="lines"} 1.0' in text
    assert 'trunkline_requests_total{route="predict",status="200"} 1.0' in text
    assert 'trunkline_requests_total{route="predict",status="422"} 1.0' in text
    assert 'trunkline_request_seconds_count{route="predict"} 2.0' in text
    assert "trunkline_log_waiting_records" in text
    types = [line.split()[2:] for line in text.splitlines() if line.startswith("# TYPE")]
    assert [kind for kind in types if not kind[0].endswith("_created")] == [
        ["trunkline_requests_total", "counter"],
        ["trunkline_request_seconds", "histogram"],
        ["trunkline_predictions_total", "counter"],
        ["trunkline_refused_rows_total", "counter"],
        ["trunkline_outcomes_total", "counter"],
        ["trunkline_edge_records_total", "counter"],
        ["trunkline_model_swaps_total", "counter"],
        ["trunkline_log_waiting_records", "gauge"],
    ]
    assert 'trunkline_request_seconds_bucket{le="+Inf",route="predict"} 2.0' in text
    assert 'trunkline_requests_total{route="outcomes",status="200"} 0.0' in text


def test_buckets_hold_what_is_not_above_their_limit() -> None:
    metrics = Metrics(waiting=lambda: 0)
    for seconds in (0.0005, 0.0006, 0.003, 7.0):
        metrics.route("predict").add(200, seconds=seconds)
    text = metrics.text().decode()
    for limit, count in (("0.0005", 1), ("0.001", 2), ("0.002", 2), ("0.003", 3), ("5.0", 3), ("+Inf", 4)):
        assert f'trunkline_request_seconds_bucket{{le="{limit}",route="predict"}} {count}.0' in text
    assert 'trunkline_request_seconds_sum{route="predict"} 7.0041' in text


def test_the_openapi_document_speaks_of_every_route(shared: Client) -> None:
    document = shared.get("/openapi.json").json
    row = document["paths"]["/v1/lines/predict"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert "fails" not in row["anyOf"][0]["properties"]
    assert row["anyOf"][0]["properties"]["sold_mbps"]["x-unit"] == "Mbit/s"
    for path in ("/v1/lines/outcomes", "/v2/models/{model}/infer", "/v2/health/ready", "/metrics"):
        assert path in document["paths"]


def test_the_documentation_page_loads_nothing_from_elsewhere(shared: Client) -> None:
    reply = shared.get("/docs")
    page = reply.body.decode()
    assert reply.status == 200
    assert "default-src 'none'" in reply.headers["content-security-policy"]
    assert re.findall(r"<(?:script|link|img|iframe)|url\(|@import", page) == []
    assert re.findall(r'(?:src|href)="([^"]*)"', page) == ["openapi.json"]
    for said in ("/v1/lines/predict", "/v2/models/{model}/infer", "sold_mbps *", "unit Mbit/s", "copper, fibre, radio"):
        assert said in page
    example = re.search(r"/v1/lines/predict -H .*?-d &#x27;(.*?)&#x27;</pre>", page, re.DOTALL)
    assert example
    assert shared.post("/v1/lines/predict", html.unescape(example[1]).encode()).status == 200


@pytest.mark.slow
def test_full_durability_answers_as_well(site: Site) -> None:
    with serving(site, log=BrokerSettings(synchronous="FULL")) as client:
        assert client.post("/v1/lines/predict", ROW).status == 200
    assert len(site.rows_of("platform.predictions")) == 1
