"""The live page: what came in within two minutes, renewed by events; its script runs, and no other does."""

import asyncio
import json
import re
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
import uvicorn
from fastapi import FastAPI

from trunkline.checks import table_from_rows
from trunkline.console import live_page, mount
from trunkline.contracts.records import RECORDS
from trunkline.report.page import style

if TYPE_CHECKING:
    from tests.conftest import Browser
    from tests.console.conftest import Console


def came(console: "Console", *, accepted: int) -> None:
    """Put a receipt into the lake that is as old as the console's clock."""
    now = console.reader._clock()
    row = {
        "batch_id": f"live-{accepted}",
        "run_id": "r",
        "usecase": "leaving",
        "dataset": "customers",
        "source": "topic",
        "content_sha256": "ab",
        "contract_fingerprint": "cd",
        "read": accepted + 3,
        "accepted": accepted,
        "quarantined": 3,
        "duplicates": 0,
        "reasons": "{}",
        "absent_columns": "[]",
        "extra_columns": "[]",
        "table_version": 0,
        "started_at": now - timedelta(seconds=5),
        "finished_at": now - timedelta(seconds=4),
    }
    console.lake.append("platform.receipts", table_from_rows(RECORDS["platform.receipts"], [row]))


def test_the_page_tells_rate_refusals_and_age(console: "Console") -> None:
    came(console, accepted=12_340)
    answer = console.client.get("/console/live")
    assert answer.status_code == 200
    text = re.sub(r"<[^>]+>", " ", answer.text.replace(style(), ""))
    assert "leaving.customers" in text
    assert re.search(r"\b1,23[4-9]\b", text)  # rows a second over ten seconds, with those that were there
    assert re.search(r"\b[0-4] s ago", text)
    nonce = re.search(r"script-src 'nonce-([^']+)'", answer.headers["content-security-policy"])
    assert nonce is not None
    assert answer.text.count("<script") == answer.text.count(f'<script nonce="{nonce[1]}"') == 1


def test_events_bring_pictures_and_end(console: "Console", monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_page, "_EVENTS", 2)
    monkeypatch.setattr(live_page, "_EVERY_S", 0.01)
    answer = console.client.get("/console/live/events")
    assert answer.headers["content-type"].startswith("text/event-stream")
    pictures = [json.loads(line[6:]) for line in answer.text.split("\n") if line.startswith("data: ")]
    assert len(pictures) == 2
    assert all("UTC" in picture for picture in pictures)


def test_no_more_than_so_many_look(console: "Console", monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_page, "_MOST_VIEWERS", 0)
    assert console.client.get("/console/live/events").status_code == 503


@pytest.fixture
def address(console: "Console") -> Iterator[str]:
    app = FastAPI()
    app.get("/v2/health/ready")(lambda: {"log": {"waiting": 1_234}})
    mount(app, console.reader)
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    deadline = time.monotonic() + 20
    while not server.started and time.monotonic() < deadline:
        threading.Event().wait(0.02)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    server.force_exit = True
    thread.join(20)


@pytest.mark.browser
def test_a_browser_renews_the_page(browser: "Browser", console: "Console", address: str) -> None:
    came(console, accepted=50)

    async def asked() -> str:
        from websockets.asyncio.client import connect

        with tempfile.TemporaryDirectory() as profile:
            command = [browser.path, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={profile}"]
            process = subprocess.Popen(  # noqa: ASYNC220 - nothing else waits for this loop
                [*command, "--remote-debugging-port=0", f"{address}/console/live"], stderr=subprocess.PIPE, text=True
            )
            try:
                assert process.stderr is not None
                lines = iter(process.stderr.readline, "")
                told = next(line for line in lines if "DevTools listening on" in line)
                async with connect(told.split()[-1], max_size=None) as socket:
                    return await renewed(socket)
            finally:
                process.kill()
                process.communicate()

    async def renewed(socket: object) -> str:
        """What the page says once its script has had an event."""
        number = 0

        async def call(method: str, session: str = "", **parameters: object) -> dict[str, object]:
            nonlocal number
            number += 1
            said = {"id": number, "method": method, "params": parameters, **({"sessionId": session} if session else {})}
            await socket.send(json.dumps(said))  # type: ignore[attr-defined]  # a connection
            while True:
                answer = json.loads(await socket.recv())  # type: ignore[attr-defined]  # as above
                if answer.get("id") == number:
                    return dict(answer["result"])

        targets = await call("Target.getTargets")
        (page,) = [one for one in targets["targetInfos"] if one["url"].endswith("/console/live")]  # type: ignore[attr-defined]  # a list
        attached = await call("Target.attachToTarget", targetId=page["targetId"], flatten=True)
        deadline, text = time.monotonic() + 20, ""
        while "every second: live" not in text or "1,234" not in text:
            assert time.monotonic() < deadline, text
            found = await call("Runtime.evaluate", str(attached["sessionId"]), expression="document.body.innerText")
            text = str(found["result"].get("value", ""))  # type: ignore[attr-defined]  # an object
            await asyncio.sleep(0.1)
        return text

    assert "leaving.customers" in asyncio.run(asked())
