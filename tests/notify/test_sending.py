"""Why a target did not take a notice: each sender hears its own target, and nobody else hears anything."""

import logging
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from pydantic import SecretStr

from trunkline.notify.notices import Notice
from trunkline.notify.sending import Sender
from trunkline.notify.words import Words
from trunkline.settings.notify import NotifyTarget

WORDS = Words("title", "text")
NOTICE = Notice(
    notice_id="n",
    kind="run.failed",
    usecase="churn",
    severity="info",
    title="title",
    text="text",
    at=datetime(2026, 1, 1, tzinfo=UTC),
    run_id="r",
)


class Refusing(BaseHTTPRequestHandler):
    """Answers with the code that its path names."""

    def do_POST(self) -> None:
        self.send_response(int(self.path.strip("/")))
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def port() -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


@pytest.fixture
def seen() -> Iterator[list[logging.LogRecord]]:
    """What comes to the root logger, where a program's own handlers are."""
    records: list[logging.LogRecord] = []

    class Keeping(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            records.append(record)

    handler = Keeping()
    logging.root.addHandler(handler)
    yield records
    logging.root.removeHandler(handler)


def test_senders_at_one_time_hear_their_own_target(port: int, seen: list[logging.LogRecord]) -> None:
    codes = [200, 404, 500, 403] * 4
    senders = [Sender("t", NotifyTarget(url=SecretStr(f"json://127.0.0.1:{port}/{code}"))) for code in codes]
    with ThreadPoolExecutor(len(senders)) as pool:
        reasons = list(pool.map(lambda sender: sender.send(NOTICE, WORDS), senders))
    for code, reason in zip(codes, reasons, strict=True):
        if code == 200:
            assert reason is None
        else:
            assert reason is not None
            assert f"error={code}" in reason
            assert "127.0.0.1" not in reason
    assert [record.name for record in seen if record.name.startswith("apprise")] == []
