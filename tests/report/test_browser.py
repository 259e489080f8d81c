"""The report in a real browser, from a disk: what people see is there, and it fits a phone."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from trunkline.report import ReportContent, render

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


def test_a_report_opens_from_disk(browser: str, full: ReportContent, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    page.write_text(render(full), encoding="utf-8")
    dom = seen(browser, tmp_path, page.as_uri())
    for part in ("Version 3 is the champion", 'id="chart-roc"', "Confusion matrix", "churn.subscribers"):
        assert part in dom
    assert colours(browser, tmp_path, page.as_uri(), width=1280) > 50


def test_a_report_is_no_wider_than_a_phone(browser: str, full: ReportContent, tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text(render(full), encoding="utf-8")
    phone = tmp_path / "phone.html"
    phone.write_text(
        """<!DOCTYPE html><html><body><iframe id="phone" width="360" height="800"></iframe><p></p><script>
        const phone = document.getElementById("phone");
        phone.onload = () => {
            const page = phone.contentDocument.documentElement;
            document.querySelector("p").textContent = `as wide as ${page.scrollWidth} of ${page.clientWidth}`;
        };
        phone.src = "report.html";
        </script></body></html>"""
    )
    dom = seen(browser, tmp_path, phone.as_uri())
    found = re.search(r"as wide as (\d+) of (\d+)", dom)
    assert found, dom[-300:]
    assert found.group(1) == found.group(2), "the page scrolls sideways"
