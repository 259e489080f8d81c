"""The report in a real browser, from a disk: what people see is there, and it fits a phone."""

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from trunkline.report import ReportContent, render

if TYPE_CHECKING:
    from tests.conftest import Browser

pytestmark = pytest.mark.browser


def test_a_report_opens_from_disk(browser: "Browser", full: ReportContent, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    page.write_text(render(full), encoding="utf-8")
    dom = browser.seen(page.as_uri())
    for part in ("Version 3 is the champion", 'id="chart-roc"', "Confusion matrix", "churn.subscribers"):
        assert part in dom
    assert browser.colours(page.as_uri(), width=1280) > 50


def test_a_report_is_no_wider_than_a_phone(browser: "Browser", full: ReportContent, tmp_path: Path) -> None:
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
    dom = browser.seen(phone.as_uri())
    found = re.search(r"as wide as (\d+) of (\d+)", dom)
    assert found, dom[-300:]
    assert found.group(1) == found.group(2), "the page scrolls sideways"
