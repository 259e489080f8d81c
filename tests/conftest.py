"""What tests of all packages share: real data, a clock that stands still, a browser, and Hypothesis profiles."""

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests import servers

REPOSITORY = Path(__file__).resolve().parent.parent

# `fast` tries the same few examples every time, so that a change lands or fails by what it changed. `thorough` is for
# the suite `properties`, and `deep` searches for as long as one has: HYPOTHESIS_PROFILE=deep make test-properties
settings.register_profile(
    "fast",
    max_examples=5,
    deadline=None,  # the first example pays for the imports
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile(
    "thorough", parent=settings.get_profile("fast"), max_examples=100, derandomize=bool(os.environ.get("CI"))
)
# a kind of a slow property has a test of its own, and the drill of verdicts tries a million rows
settings.register_profile("brief", parent=settings.get_profile("thorough"), max_examples=12)
settings.register_profile("deep", parent=settings.get_profile("thorough"), max_examples=2000, derandomize=False)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fast"))


def pytest_configure(config: pytest.Config) -> None:
    """Lend the fixtures of ``servers`` to all tests."""
    config.pluginmanager.register(servers, "servers")


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the checkout."""
    return REPOSITORY


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real data, ``TRUNKLINE_DATA`` or ``../shared/data``; skips the test where there is none."""
    folder = Path(os.environ.get("TRUNKLINE_DATA") or REPOSITORY.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"the real data is not here: no folder {folder} (TRUNKLINE_DATA names another)")
    return folder


@pytest.fixture(scope="session")
def fixed_clock() -> Callable[[], datetime]:
    """A clock that stands at 2026-03-01 12:00 UTC, for everything that takes its clock as an argument."""
    instant = datetime(2026, 3, 1, 12, tzinfo=UTC)
    return lambda: instant


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
    "--allow-file-access-from-files",
)


@dataclass(frozen=True)
class Browser:
    """A browser without a window; each page is opened by a process of its own, with a profile of its own."""

    path: str
    profiles: Path

    def _ask(self, *arguments: str) -> str:
        command = [self.path, *QUIET, f"--user-data-dir={self.profiles}", *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout

    def seen(self, address: str) -> str:
        """The page as the browser understood it."""
        return self._ask("--dump-dom", address)

    def colours(self, address: str, *, width: int) -> int:
        """Number of colours in a screenshot: an empty page has one."""
        from PIL import Image

        picture = self.profiles / f"{width}.png"
        self._ask(f"--screenshot={picture}", f"--window-size={width},1600", address)
        with Image.open(picture) as image:
            assert image.width == width
            return len(image.convert("RGB").getcolors(maxcolors=1 << 24) or ())

    def widths(self, page: Path, *, width: int) -> tuple[int, int]:
        """How wide a page is on a screen of so many pixels, and how wide the screen."""
        outer = page.with_name(f"{page.stem}-{width}.html")
        outer.write_text(
            f"""<!DOCTYPE html><html><body><iframe id="screen" width="{width}" height="800"></iframe><p></p><script>
            const screen = document.getElementById("screen");
            screen.onload = () => {{
                const page = screen.contentDocument.documentElement;
                document.querySelector("p").textContent = `as wide as ${{page.scrollWidth}} of ${{page.clientWidth}}`;
            }};
            screen.src = "{page.name}";
            </script></body></html>"""
        )
        found = re.search(r"as wide as (\d+) of (\d+)", self.seen(outer.as_uri()))
        assert found
        return int(found[1]), int(found[2])


@pytest.fixture
def browser(tmp_path_factory: pytest.TempPathFactory) -> Browser:
    """A browser of this machine; skips the test where there is none."""
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip(f"no browser is installed: one of {', '.join(BROWSERS)}")
    return Browser(found, tmp_path_factory.mktemp("profile"))
