"""docs/airflow.md: its settings are settings, its table of DAGs is the plan's, its two lines run."""

import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from trunkline.dags import pipelines_of
from trunkline.plan import plan_of
from trunkline.plugins import load_usecase
from trunkline.settings import DagsSettings

Trunkline = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def page(repository: Path) -> str:
    return (repository / "docs" / "airflow.md").read_text(encoding="utf-8")


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page, flags=re.DOTALL)


def test_every_block_of_settings_is_taken(page: str) -> None:
    found = blocks(page, "toml")
    assert len(found) == 2
    for block in found:
        said = DagsSettings.model_validate(tomllib.loads(block)["dags"])
        assert said != DagsSettings()


def test_the_table_of_dags_is_what_the_plan_gives(page: str) -> None:
    usecase = load_usecase("churn")
    rows = re.findall(r"^\| `churn_(\w+)` \| (.*?) \| .*? \| `churn\.(\w+)` \|$", page, flags=re.MULTILINE)
    told = [(name, tuple(re.findall(r"`(\w+)`", steps)), leaves) for name, steps, leaves in rows]
    pipelines = pipelines_of(plan_of(usecase), usecase.derived)
    assert told == [(one.name, tuple(task.step for task in one.tasks), one.leaves) for one in pipelines]


@pytest.mark.slow
def test_the_two_lines_of_a_batch_are_the_command(page: str, tmp_path: Path) -> None:
    (lines,) = blocks(page, "python")
    (tmp_path / "step.py").write_text(lines, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, tmp_path / "step.py", "dags", "nothing", "--out", tmp_path / "d.py"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 2
    assert "allowed:" in done.stderr
