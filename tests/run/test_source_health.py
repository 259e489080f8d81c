"""Health of sources in a workspace: read from real receipts, by the settings and contracts that are installed."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from trunkline.run import Workspace
from trunkline.run.execute import execute
from trunkline.run.source_health import recent_receipts, source_health
from trunkline.settings import Settings

START = datetime(2026, 3, 1, 6, tzinfo=UTC)


def row(number: int, tenure: str) -> str:
    return f"C{number},{tenure},29.5\n"


def take(root: Path, day: int, *, good: int, bad: int = 0) -> None:
    """Take a file in on a day."""
    source = root / f"customers-2026-03-{day:02d}.csv"
    lines = [row(1000 * day + number, "3") for number in range(good)]
    lines += [row(1000 * day + 500 + number, "-1") for number in range(bad)]
    source.write_text("customerID,tenure,MonthlyCharges\n" + "".join(lines))
    settings = Settings.model_validate({"workspace": root / "w", "plugin_dir": root / "none"})
    with Workspace(settings, clock=lambda: START + timedelta(days=day)) as workspace:
        execute(workspace, "churn", sources=(str(source),), only="ingest", progress=lambda _what, _share: None)


@pytest.mark.slow
def test_late_and_over_budget_are_told_from_receipts(tmp_path: Path) -> None:
    for day in range(1, 5):
        take(tmp_path, day, good=20)
    take(tmp_path, 5, good=18, bad=2)
    settings = Settings.model_validate(
        {"workspace": tmp_path / "w", "plugin_dir": tmp_path / "none", "ingest": {"reject_budget": 0.05}}
    )
    with Workspace(settings) as workspace:
        usecase = workspace.usecase("churn")
        (found,) = source_health(workspace, usecase, now=START + timedelta(days=6))
        assert [finding.problem for finding in found.findings] == ["over_budget"]
        assert found.key.label == "customers-*.csv"
        (later,) = source_health(workspace, usecase, now=START + timedelta(days=9))
        assert [finding.problem for finding in later.findings] == ["late", "over_budget"]
        assert len(recent_receipts(workspace.lake, now=START + timedelta(days=9), usecase="churn")) == 5
        assert recent_receipts(workspace.lake, now=START + timedelta(days=9), usecase="other") == []
        assert recent_receipts(workspace.lake, now=START + timedelta(days=500)) == []
