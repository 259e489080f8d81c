"""The console in a real browser: what people see is there, without scripts and without a network."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import uvicorn
from fastapi import FastAPI

from trunkline.console import mount

if TYPE_CHECKING:
    from tests.conftest import Browser
    from tests.console.conftest import Console

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def app() -> FastAPI:
    return FastAPI()


@pytest.fixture(scope="module")
def address(app: FastAPI) -> Iterator[str]:
    """Serve the application on a free port of loopback."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_level="error"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]})
        thread.start()
        until(lambda: server.started)
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"
        server.should_exit = True
        thread.join(timeout=20)
        assert not thread.is_alive()


def until(reached: Callable[[], bool], *, seconds: float = 20.0) -> None:
    """Wait for a condition."""
    end = time.monotonic() + seconds
    tick = threading.Event()
    while not reached():
        assert time.monotonic() < end, "not in time"
        tick.wait(0.02)


def test_the_console_is_shown_without_scripts(
    browser: "Browser", app: FastAPI, address: str, console: "Console"
) -> None:
    mount(app, console.reader)
    assert "Who leaves?" in browser.seen(f"{address}/")
    readings = browser.seen(f"{address}/console/readings")
    assert "<polyline" in readings
    assert "C-0001-SECRET" not in browser.seen(f"{address}/console/quarantine")
    assert browser.colours(f"{address}/console/readings", width=1280) > 20


@pytest.mark.parametrize("path", ["/console/quality", "/console/quality/leaving/customers", "/console/tables"])
def test_pages_of_data_fit_a_phone(browser: "Browser", console: "Console", tmp_path: Path, path: str) -> None:
    page = tmp_path / "page.html"
    page.write_text(console.page(path))
    wide, screen = browser.widths(page, width=360)
    assert wide == screen, "the page scrolls sideways"
    assert browser.colours(page.as_uri(), width=1280) > 20
