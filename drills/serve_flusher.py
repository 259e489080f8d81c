"""Kill -9 of a prediction server at every point of its log and its flusher, while clients ask and send outcomes.

A real server process answers several connections until it dies at the named point. It is started again, asked a little
more and told to stop. Then the lake's files are read with PyArrow: every answer and every outcome that a client was
told of must be there, once, with the score the client got; a request that was cut may be there or not, but never twice.
All points use one workspace, which grows. ``make drill ONLY=serve_flusher`` prints one JSON line; with arguments this
file is the server: ``serve_flusher.py WORKSPACE SYNCHRONOUS``.
"""

import http.client
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar

import numpy as np
import pyarrow as pa

from trunkline.brokers.embedded import CRASH_POINTS as LOG_POINTS
from trunkline.contracts import Contract, Flag, Number, Table, Text
from trunkline.contracts import field as column
from trunkline.serve.flusher import CRASH_POINTS as FLUSHER_POINTS
from trunkline.settings.drills import VARIABLE
from trunkline.spec import UseCase
from trunkline.tasks import Classification, Learner, features_of

CLIENTS = 4
REQUESTS_AFTERWARDS = 12
LONGEST_S = 60
_VISITS = {"log.before_commit": 25, "log.after_commit": 25, "log.before_group_commit": 6, "log.after_group_commit": 6}
POINTS = [
    *((f"{point}:{_VISITS.get(point, 2)}", "NORMAL") for point in (*FLUSHER_POINTS, *LOG_POINTS)),
    ("lake.before_commit:2", "NORMAL"),
    ("lake.after_commit:2", "NORMAL"),
    ("serve.before_flush", "NORMAL"),
    ("serve.after_flush", "NORMAL"),
    ("serve.after_flush_commit:5", "NORMAL"),
    ("log.before_commit:9", "FULL"),
    ("log.after_commit:9", "FULL"),
    ("serve.after_flush:3", "FULL"),
]
"""Where the server is killed (at which visit of the point), and how durable its log is."""


class Line(Contract):
    """One row per access line."""

    table: ClassVar[Table] = Table(key=("line_id",))

    line_id: Text = column(max_length=40)
    load: Number | None = column(minimum=0)
    fails: Flag | None = column("Fails within a month")


USECASE = UseCase(
    name="lines",
    title="Lines",
    question="Which lines fail?",
    datasets={"lines": Line},
    main="lines",
    task=Classification(
        label="fails",
        features=features_of(Line, without=("fails",)),
        learners=(Learner(name="logistic", kind="logistic_regression"),),
        folds=2,
        tune="none",
    ),
    metric="roc_auc",
)


def now() -> datetime:
    """The present instant."""
    return datetime.now(UTC)


def prepare(workspace: Path) -> None:
    """Train and promote the model that answers."""
    from trunkline.registry import NoTracker, Registry
    from trunkline.settings.registry import RegistrySettings

    random = np.random.default_rng(0)
    load = random.random(300)
    fails = random.random(300) < load
    names = [f"L{number}" for number in range(300)]
    assert USECASE.task is not None
    model = USECASE.task.train(pa.table({"line_id": names, "load": load, "fails": fails}), seed=0).model
    model.save(workspace / "trained")
    registry = Registry(workspace, settings=RegistrySettings(), clock=now, follower=NoTracker())
    version = registry.register(
        "lines", workspace / "trained", run_id="drill", metrics={}, tags={}, evidence=[]
    ).version
    registry.promote("lines", version, approver="drill", evidence=None)


def serve(workspace: Path, synchronous: str) -> None:
    """Be the server: flush as often as can be, keep nothing that was flushed."""
    from trunkline.engine import open_engine
    from trunkline.lake import Lake
    from trunkline.serve import create_app, listen
    from trunkline.settings.brokers import BrokerSettings
    from trunkline.settings.lake import LakeSettings
    from trunkline.settings.serve import ServeSettings

    app = create_app(
        workspace,
        usecases={"lines": USECASE},
        lake=lambda: Lake(workspace / "lake", engine=open_engine("duckdb"), settings=LakeSettings(), clock=now),
        clock=now,
        log=BrokerSettings.model_validate({"synchronous": synchronous, "retention": 0}),
        flush_every_s=0.02,
    )
    listen(app, settings=ServeSettings(port=0), announce=lambda url: print(url, flush=True))


@dataclass
class Told:
    """What clients know of their requests, through all lives of the server.

    Attributes:
        scores: Answered score by prediction id.
        outcomes: Ids of accepted outcomes.
        cut_outcomes: Ids of outcomes of which nobody knows whether they were accepted.
        cut_rows: Rows to be answered of which nobody knows either.
        wrong: What should not have happened.
    """

    scores: dict[str, float] = field(default_factory=dict)
    outcomes: set[str] = field(default_factory=set)
    cut_outcomes: set[str] = field(default_factory=set)
    cut_rows: int = 0
    wrong: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)


class Client:
    """One kept-alive connection that asks and tells, until it has done its share or the server is gone.

    Args:
        port: Where the server listens.
        name: Told apart from all others, of earlier lives as well.
        requests: How many; 0 is until the server is gone.
        told: Where it notes what it knows.
    """

    def __init__(self, port: int, name: str, *, requests: int, told: Told) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=LONGEST_S)
        self._name = name
        self._requests = requests
        self._told = told

    def run(self, process: "subprocess.Popen[str]") -> None:
        """Send request after request."""
        if not self._connect(process):
            return
        number = 0
        while not self._requests or number < self._requests:
            number += 1
            going_on = self._tell(number) if number % 3 == 0 else self._ask(number, rows=1 + 2 * (number % 3 == 1))
            if not going_on:
                break
        self._connection.close()

    def _connect(self, process: "subprocess.Popen[str]") -> bool:
        """Connect as soon as the server listens; False when it dies before."""
        waiting = threading.Event()
        while process.poll() is None:
            try:
                self._connection.connect()
            except OSError:
                waiting.wait(0.02)
            else:
                return True
        return False

    def _post(self, path: str, document: object) -> dict[str, object] | None:
        """Send one request; None when the server died over it."""
        try:
            self._connection.request("POST", path, json.dumps(document))
            response = self._connection.getresponse()
            body = response.read()
        except (OSError, http.client.HTTPException):
            return None
        if response.status != http.HTTPStatus.OK:
            raise RuntimeError(f"{path}: {response.status} {body[:300]!r}")
        found: dict[str, object] = json.loads(body)
        return found

    def _ask(self, number: int, *, rows: int) -> bool:
        row = {"line_id": f"{self._name}-{number}", "load": number % 100 / 100}
        answer = self._post("/v1/lines/predict", row if rows == 1 else [row] * rows)
        with self._told.lock:
            if answer is None:
                self._told.cut_rows += rows
                return False
            answered = answer["rows"]
            assert isinstance(answered, list)
            assert len(answered) == rows
            self._told.scores.update({one["prediction_id"]: one["score"] for one in answered})
        return True

    def _tell(self, number: int) -> bool:
        ids = {f"{self._name}-{number}-{part}" for part in range(2)}
        outcomes = [
            {"entity_key": "L1", "value": 1, "observed_at": "2026-01-01T00:00:00Z", "outcome_id": one} for one in ids
        ]
        answer = self._post("/v1/lines/outcomes", outcomes)
        with self._told.lock:
            (self._told.cut_outcomes if answer is None else self._told.outcomes).update(ids)
        return answer is not None


def life(workspace: Path, name: str, *, synchronous: str, crash_at: str, told: Told) -> None:
    """Let one server live: until it dies at the point, or without one until everybody has done a share."""
    with (workspace / "server.log").open("a") as output:
        process = subprocess.Popen(
            [sys.executable, __file__, str(workspace), synchronous],
            env={**os.environ, VARIABLE: crash_at},
            stdout=subprocess.PIPE,
            stderr=output,
            text=True,
        )
    assert process.stdout is not None
    url = process.stdout.readline().strip()
    port = int(url.rpartition(":")[2]) if url else 0

    def work(number: int) -> None:
        client = Client(port, f"{name}-{number}", requests=0 if crash_at else REQUESTS_AFTERWARDS, told=told)
        try:
            client.run(process)
        except (RuntimeError, AssertionError, TypeError) as error:
            with told.lock:
                told.wrong.append(f"{name}: {error}")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(CLIENTS)] if url else []
    for thread in threads:
        thread.start()
    try:
        if crash_at:
            process.wait(LONGEST_S)
    except subprocess.TimeoutExpired:
        process.terminate()
    for thread in threads:
        thread.join()
    if not crash_at:
        process.terminate()
    try:
        code = process.wait(LONGEST_S)
    except subprocess.TimeoutExpired:
        process.kill()
        code = process.wait()
    process.stdout.close()
    expected = (-signal.SIGKILL,) if crash_at else (0, -signal.SIGTERM)
    if code not in expected:
        told.wrong.append(f"{name} ended with {code}, not with one of {expected}")


def stored(workspace: Path, table: str, columns: Sequence[str]) -> list[dict[str, object]]:
    """Read a table of the platform without the lake's own reader."""
    from deltalake import DeltaTable

    dataset = DeltaTable(str(workspace / "lake" / "platform" / table)).to_pyarrow_dataset()
    rows: list[dict[str, object]] = dataset.to_table(columns=list(columns)).to_pylist()
    return rows


def judge(workspace: Path, told: Told) -> tuple[int, int]:
    """Compare the lake with what the clients know.

    Returns:
        Rows that are lost and rows that are doubled; what else is wrong is added to ``told``.
    """
    predictions = stored(workspace, "predictions", ["prediction_id", "score"])
    answered = Counter(str(row["prediction_id"]) for row in predictions)
    outcomes = Counter(str(row["outcome_id"]) for row in stored(workspace, "outcomes", ["outcome_id"]))
    lost = len(told.scores.keys() - answered.keys()) + len(told.outcomes - outcomes.keys())
    doubled = (answered.total() - len(answered)) + (outcomes.total() - len(outcomes))
    if len(answered.keys() - told.scores.keys()) > told.cut_rows:
        told.wrong.append("the lake holds answers that nobody asked for")
    if outcomes.keys() - told.outcomes - told.cut_outcomes:
        told.wrong.append("the lake holds outcomes that nobody sent")
    if any(told.scores.get(str(row["prediction_id"]), row["score"]) != row["score"] for row in predictions):
        told.wrong.append("the lake holds another score than was answered")
    return lost, doubled


def drill(workspace: Path, *, points: Sequence[tuple[str, str]] = POINTS) -> dict[str, object]:
    """Kill the server at every point, and start it again."""
    prepare(workspace)
    told = Told()
    lost = doubled = 0
    for position, (point, synchronous) in enumerate(points):
        life(workspace, f"{position}a", synchronous=synchronous, crash_at=point, told=told)
        life(workspace, f"{position}b", synchronous=synchronous, crash_at="", told=told)
        missing, twice = judge(workspace, told)
        lost, doubled = lost + missing, doubled + twice
        if missing or twice or told.wrong:
            told.wrong.append(f"... at {point} ({synchronous}): {missing} lost, {twice} doubled")
            break
    for line in told.wrong:
        print(line, file=sys.stderr)
    return {
        "drill": "serve_flusher",
        "points": len(points),
        "acknowledged": len(told.scores) + len(told.outcomes),
        "cut": told.cut_rows + len(told.cut_outcomes),
        "lost": lost,
        "duplicated": doubled,
        "passed": not (lost or doubled or told.wrong),
    }


if __name__ == "__main__":
    if len(sys.argv) == 3:
        serve(Path(sys.argv[1]), sys.argv[2])
        sys.exit(0)
    with tempfile.TemporaryDirectory() as scratch:
        result = drill(Path(scratch))
    print(json.dumps(result))
    sys.exit(not result["passed"])
