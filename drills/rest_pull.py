"""Kill -9 of a process that pulls a REST API, at every point it passes and at moments drawn by chance.

The server misbehaves all the time: it is busy, fails, cuts answers off and lets tokens expire. A child process pulls
its pages and dies; a new one goes on, then the server gets more rows and a third takes those. In the end the lake has
the server's good rows, each once, the quarantine its bad ones, and every receipt adds up. What is right comes from the
server's own list. Prints one JSON line.
"""

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar, Final
from urllib.parse import parse_qsl, urlsplit

from trunkline.contracts import Contract, Instant, Integer, Table, Text, field
from trunkline.engine import Engine, open_engine
from trunkline.ingest import CRASH_POINTS as INGEST_POINTS
from trunkline.ingest import Target
from trunkline.ingest.landing import CRASH_POINTS as LANDING_POINTS
from trunkline.ingest.landing import Landing
from trunkline.ingest.pulling import CRASH_POINTS as PULL_POINTS
from trunkline.ingest.pulling import pull
from trunkline.ingest.sources.rest import Timing, open_source
from trunkline.ingest.sources.rest.exchange import real_timing
from trunkline.lake import Lake
from trunkline.settings.drills import VARIABLE
from trunkline.settings.lake import LakeSettings
from trunkline.spec.sources import RestSource

PAGE_ROWS: Final = 30
FIRST_ROWS: Final = 170
LATER_ROWS: Final = 40
MOMENTS: Final = 12
BEGIN: Final = datetime(2026, 3, 1, tzinfo=UTC)
# the first and a later visit: nothing landed yet, and some pages already
POINTS: Final = tuple(
    f"{point}:{visit}" for point in (*PULL_POINTS, *LANDING_POINTS, *INGEST_POINTS) for visit in (1, 4)
)

Row = Mapping[str, object]


class Call(Contract):
    """One row per call."""

    table: ClassVar[Table] = Table(key=("call_id",))

    call_id: Text = field("Identifier", max_length=6)
    seconds: Integer = field("Length", unit="s", minimum=0)
    ended_at: Instant = field("When it ended")


TARGET: Final = Target("calls", "calls", Call)


def made_rows(first: int, count: int) -> list[Row]:
    """Make rows in the order of time; one in eleven breaks the contract."""
    return [
        {
            "call_id": f"c{number}",
            "seconds": -1 if number % 11 == 7 else number,
            "ended_at": (BEGIN + timedelta(seconds=number)).isoformat(),
        }
        for number in range(first, first + count)
    ]


class Api:
    """What the server has, and how it fails: by the number of the request, so that no page is spared for ever."""

    def __init__(self) -> None:
        self.begin_again()

    def begin_again(self) -> None:
        """Forget what was asked; the rows are those of the beginning."""
        self.rows = made_rows(0, FIRST_ROWS)
        self.asked, self.token, self.first_asked = 0, 0, threading.Event()

    def add(self) -> None:
        """Get more rows."""
        self.rows = [*self.rows, *made_rows(len(self.rows), LATER_ROWS)]

    def answer(
        self, path: str, query: Mapping[str, str], authorization: str
    ) -> tuple[int, bytes, dict[str, str], bool]:
        """Give status, body, headers, and whether the body breaks off."""
        self.asked += 1
        self.first_asked.set()
        if path == "/token":
            self.token += 1
            return 200, json.dumps({"access_token": f"t{self.token}", "expires_in": 600}).encode(), {}, False
        if self.asked % 17 == 0:
            self.token += 1  # whoever holds the token before has to fetch a new one
        if authorization != f"Bearer t{self.token}":
            return 401, b"{}", {}, False
        if self.asked % 5 == 0:
            return 503, b"busy", {}, False
        if self.asked % 7 == 0:
            return 429, b"slowly", {"Retry-After": "1"}, False
        since, page = query.get("since", ""), int(query["page"])
        found = [row for row in self.rows if str(row["ended_at"]) > since.replace("Z", "+00:00")]
        body = json.dumps({"calls": found[PAGE_ROWS * (page - 1) : PAGE_ROWS * page]}).encode()
        return 200, body, {}, self.asked % 6 == 0


@contextmanager
def serving(api: Api) -> Iterator[str]:
    """Run the server on loopback; gives its address."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - named by the base class
            """Say nothing."""

        def do_GET(self) -> None:
            """Answer."""
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            parts = urlsplit(self.path)
            status, body, headers, breaks_off = api.answer(
                parts.path, dict(parse_qsl(parts.query)), self.headers.get("Authorization", "")
            )
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body[: len(body) // 2] if breaks_off else body)
            self.close_connection = breaks_off

        do_POST = do_GET  # noqa: N815 - named by the base class

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: object, client_address: object) -> None:
            """A client that dies is what this is about."""

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def open_lake(root: Path, engine: Engine) -> Lake:
    """Open the lake as a command would."""
    return Lake(root / "lake", engine=engine, settings=LakeSettings(), clock=lambda: datetime.now(UTC))


def pull_all(root: Path, url: str) -> None:
    """Pull what is new: what the child does. It waits a fiftieth of what it should."""
    declared = RestSource.model_validate(
        {
            "kind": "rest",
            "usecase": "calls",
            "url": f"{url}/calls",
            "auth": {"kind": "oauth2", "token_url": f"{url}/token", "client_id": "drill", "client_secret": "drill"},
            "paging": {"kind": "page", "size": PAGE_ROWS},
            "since": {"param": "since", "field": "ended_at"},
        }
    )
    real = real_timing()
    timing = Timing(real.now, real.monotonic, lambda seconds: time.sleep(seconds / 50), real.draw)
    with open_engine("duckdb", threads=1) as engine:
        for _ in pull(
            open_source("api", declared, timing=timing),
            TARGET,
            landing=Landing(root / "landing", clock=lambda: datetime.now(UTC)),
            locks=root / "locks",
            lake=open_lake(root, engine),
            run_id=f"run-{os.getpid()}",
            clock=lambda: datetime.now(UTC),
        ):
            """Each piece is in the lake."""


def started(root: Path, url: str, *, crash_at: str = "") -> subprocess.Popen[bytes]:
    """Start the child."""
    environment = {**os.environ, VARIABLE: crash_at}
    return subprocess.Popen([sys.executable, __file__, str(root), url], env=environment)


def killed_in_between(root: Path, url: str, api: Api, *, after_s: float) -> bool:
    """Kill the child some time after its first request; gives whether it was still at work."""
    child = started(root, url)
    api.first_asked.wait(60)
    try:
        return child.wait(after_s) == -signal.SIGKILL
    except subprocess.TimeoutExpired:
        child.kill()
        return child.wait() == -signal.SIGKILL


def compare(lake: Lake, rows: Sequence[Row]) -> tuple[int, int, list[str]]:
    """Compare the lake with the server.

    Returns:
        Rows that are lost, rows that are doubled, and what else is wrong.
    """
    sent = [(str(row["call_id"]), int(str(row["seconds"]))) for row in rows]
    good, bad = (Counter(row for row in sent if (row[1] >= 0) is is_good) for is_good in (True, False))
    found = Counter((row["call_id"], row["seconds"]) for row in lake.arrow("calls.calls").to_pylist())
    held = [json.loads(row["row"]) for row in lake.arrow("platform.quarantine").to_pylist()]
    refused = Counter((row["call_id"], int(row["seconds"])) for row in held)
    lost = sum((good - found).values()) + sum((bad - refused).values())
    doubled = sum((found - good).values()) + sum((refused - bad).values())
    receipts = lake.arrow("platform.receipts").to_pylist()
    wrong = [
        f"the receipt of {one['piece']} does not add up"
        for one in receipts
        if one["read"] != one["accepted"] + one["quarantined"] + one["duplicates"]
    ]
    pieces = Counter(one["piece"] for one in receipts)
    wrong += [f"{piece} has {times} receipts" for piece, times in pieces.items() if times > 1]
    sums = tuple(sum(one[name] for one in receipts) for name in ("read", "accepted", "quarantined"))
    expected = (len(rows), sum(good.values()), sum(bad.values()))
    wrong += [f"receipts say {sums}, the server {expected}"] * (sums != expected)
    return lost, doubled, wrong


def drill(scratch: Path, *, points: Sequence[str] = POINTS, moments: int = MOMENTS) -> dict[str, object]:
    """Kill, go on, take what came meanwhile, and once more, which must change nothing."""
    api, draw = Api(), random.Random(11)
    lost, doubled, wrong = 0, 0, list[str]()
    with serving(api) as url, open_engine("duckdb", threads=1) as engine:

        def finish(root: Path, what: str) -> None:
            nonlocal lost, doubled
            codes = [started(root, url).wait()]
            api.add()
            codes += [started(root, url).wait() for _ in range(2)]
            wrong.extend(f"{what}: a run failed with code {code}" for code in codes if code)
            missing, twice, others = compare(open_lake(root, engine), api.rows)
            lost, doubled = lost + missing, doubled + twice
            wrong.extend(f"{what}: {other}" for other in others)

        for number, point in enumerate(points):
            api.begin_again()
            root = scratch / f"point{number}"
            if (code := started(root, url, crash_at=point).wait()) != -signal.SIGKILL:
                wrong.append(f"never came to {point} (code {code})")
            finish(root, point)
        longest_s = 0.0
        if moments:
            api.begin_again()
            child = started(scratch / "whole", url)
            api.first_asked.wait(60)
            begun_s = time.monotonic()
            child.wait()
            longest_s = time.monotonic() - begun_s
        done = 0
        for number in range(3 * moments):
            if done == moments:
                break
            api.begin_again()
            root = scratch / f"moment{number}"
            after_s = longest_s * draw.uniform(0, 0.8)
            done += killed_in_between(root, url, api, after_s=after_s)
            finish(root, f"after {after_s:.2f} s")
        if done < moments:
            wrong.append(f"only {done} of {moments} moments came before the end")
    for line in wrong:
        print(line, file=sys.stderr)
    passed = not (lost or doubled or wrong)
    return {
        "drill": "rest_pull",
        "points": len(points),
        "moments": moments,
        "lost": lost,
        "duplicated": doubled,
        "passed": passed,
    }


if __name__ == "__main__":
    if len(sys.argv) == 3:
        pull_all(Path(sys.argv[1]), sys.argv[2])
        sys.exit(0)
    with tempfile.TemporaryDirectory() as folder:
        result = drill(Path(folder))
    print(json.dumps(result))
    sys.exit(not result["passed"])
