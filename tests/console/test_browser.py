"""The console in a real browser: what people see is there, without scripts and without a network."""

import shutil
import socket
import subprocess
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
    from tests.console.conftest import Console

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
QUIET = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
)

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def browser() -> str:
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip(f"no browser is installed: one of {', '.join(BROWSERS)}")
    return found


def ask(browser: str, profile: Path, *arguments: str) -> str:
    command = [browser, *QUIET, f"--user-data-dir={profile}", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout


def seen(browser: str, profile: Path, address: str) -> str:
    """The page as the browser understood it."""
    return ask(browser, profile, "--dump-dom", address)


def colours(browser: str, profile: Path, address: str, *, width: int) -> int:
    """Number of colours in a screenshot: an empty page has one."""
    from PIL import Image

    picture = profile / f"{width}.png"
    ask(browser, profile, f"--screenshot={picture}", f"--window-size={width},1600", address)
    with Image.open(picture) as image:
        assert image.width == width
        return len(image.convert("RGB").getcolors(maxcolors=1 << 24) or ())


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
    browser: str, app: FastAPI, address: str, console: "Console", tmp_path: Path
) -> None:
    mount(app, console.reader)
    profile = tmp_path / "profile"
    profile.mkdir()
    assert "Who leaves?" in seen(browser, profile, f"{address}/")
    readings = seen(browser, profile, f"{address}/console/readings")
    assert "<polyline" in readings
    assert "C-0001-SECRET" not in seen(browser, profile, f"{address}/console/quarantine")
    assert colours(browser, profile, f"{address}/console/readings", width=1280) > 20
