"""A workspace with an audience and consents, by the real commands, and a push service on loopback."""

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pyarrow as pa
import pytest

from trunkline.checks import arrow_schema
from trunkline.contracts.records import AudienceMember
from trunkline.run import Workspace
from trunkline.settings import load_settings

Trunkline = Callable[..., tuple[int, str, str]]


@dataclass
class PushService:
    """Takes pushes at ``/devices/CUSTOMER``; refuses the customers that it is told to."""

    pushed: list[tuple[str, str]] = field(default_factory=list)
    refuses: set[str] = field(default_factory=set)
    asked: int = 0
    port: int = 0


@pytest.fixture
def service() -> Iterator[PushService]:
    made = PushService()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            customer = self.path.rpartition("/")[2]
            made.asked += 1
            is_refused = customer in made.refuses
            if not is_refused:
                made.pushed.append((customer, body["title"]))
            self.send_response(503 if is_refused else 200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the signature of the library
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield made
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def settings(environment: None, service: PushService, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRUNKLINE_MESSAGES__PUSH__URL", f"json://127.0.0.1:{service.port}/devices/{{entity_key}}")
    monkeypatch.setenv("TRUNKLINE_MESSAGES__PUSH__ATTEMPTS", "2")
    monkeypatch.setenv("TRUNKLINE_MESSAGES__PUSH__GIVE_UP_AFTER", "3")


@dataclass(frozen=True)
class Campaigns:
    """A workspace to which audiences and consents are added."""

    root: Path
    trunkline: Trunkline

    def open(self) -> Workspace:
        return Workspace(load_settings(workspace=self.root))

    def audience(self, campaign: str, keys: Sequence[str], *, holdout: Sequence[str] = (), days_old: float = 0) -> None:
        """Add the audience of a campaign, the first key the most valuable."""
        rows = [
            {
                "member_id": f"{campaign}-{key}", "usecase": "upgrade", "campaign": campaign, "entity_key": key,
                "segment": "families", "offer": "family_bundle", "score": 0.5, "stays": None,
                "expected_value": 100.0 - place, "cost": 5.0, "holdout": key in holdout, "model_version": "1",
                "companion_version": None, "decided_at": datetime.now(UTC) - timedelta(days=days_old),
            }
            for place, key in enumerate(keys)
        ]  # fmt: skip
        with self.open() as workspace:
            made = pa.Table.from_pylist(rows, schema=arrow_schema(AudienceMember))
            workspace.lake.append("platform.audiences", made)

    def consents(
        self, folder: Path, *said: tuple[str, bool], at: str = "2026-01-01T00:00:00Z", channel: str = "push"
    ) -> None:
        """Take in what customers said, by the command."""
        path = folder / f"consents-{channel}-{at[:10]}.csv"
        lines = [f"{key},{channel},{'yes' if given else 'no'},{at}" for key, given in said]
        path.write_text("\n".join(["CustomerID,channel,given,said_at", *lines]) + "\n")
        code, _, err = self.trunkline("ingest", "upgrade", "--dataset", "consents", path, "--workspace", self.root)
        assert code == 0, err


@pytest.fixture
def campaigns(tmp_path: Path, trunkline: Trunkline, settings: None) -> Campaigns:
    return Campaigns(tmp_path / "workspace", trunkline)
