"""Every line of docs/schedule.md that starts Trunkline from outside is one that its scheduler takes."""

import re
import shlex
import shutil
import subprocess
import tomllib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from trunkline.cli import app
from trunkline.monitor.schedules import due_after
from trunkline.settings import Settings
from trunkline.spec import Schedule

HOME = "/opt/trunkline"


@pytest.fixture(scope="module")
def page(repository: Path) -> str:
    return (repository / "docs" / "schedule.md").read_text(encoding="utf-8")


def blocks(page: str, language: str) -> list[str]:
    found = re.findall(rf"^```{language}\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert found, f"the page has no {language}"
    return found


def assert_is_a_command(tokens: list[str]) -> None:
    """Parse a command line as the program itself does; nothing is run."""
    command, bound, _ = app().parse_args(tokens, exit_on_error=False, print_error=False)
    assert callable(command)
    assert bound is not None


def test_cron_lines_mean_the_same_to_cron_and_to_us(page: str) -> None:
    from apscheduler.triggers.cron import CronTrigger

    for line in blocks(page, "cron"):
        fields, command = line.strip().split(maxsplit=5)[:5], line.strip().split(maxsplit=5)[5]
        theirs = CronTrigger.from_crontab(" ".join(fields), timezone=UTC)
        at = datetime(2026, 2, 28, 22, 58, 30, tzinfo=UTC)
        for _ in range(200):
            expected = theirs.get_next_fire_time(at, at)
            found = due_after(Schedule(cron=" ".join(fields)), at)
            assert found == expected
            at = found
        assert "%" not in command, "cron would make a line of it"
        first, _, rest = command.partition(" && ")
        assert first == f"cd {HOME}"
        program, *tokens = shlex.split(rest.partition(" >> ")[0])
        assert program == ".venv/bin/trunkline"
        assert_is_a_command(tokens)


def test_airflow_is_handed_its_file_by_a_command(page: str) -> None:
    for line in "".join(blocks(page, "sh")).splitlines():
        program, *tokens = shlex.split(line)
        assert program == "trunkline"
        assert_is_a_command(tokens)


def test_the_settings_are_settings(page: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (text,) = blocks(page, "toml")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "trunkline.toml").write_text(text)
    settings = Settings()
    assert settings.scheduler.runs["churn"].cron == "0 6 * * 1-5"
    assert tomllib.loads(text)["sources"]["crm"]["schedule"] == {"every": "PT15M"}
    assert settings.sources["crm"].schedule is not None


def test_systemd_takes_the_units(page: str, tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    names = ["trunkline-schedule.service", "trunkline-churn.service", "trunkline-churn.timer"]
    units = blocks(page, "ini")
    assert len(units) == len(names)
    home = tmp_path / "home"
    program = home / ".venv" / "bin" / "trunkline"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    for name, unit in zip(names, units, strict=True):
        (tmp_path / name).write_text(unit.replace(HOME, str(home)))
        for line in unit.splitlines():
            if line.startswith("ExecStart="):
                called, *tokens = shlex.split(line.removeprefix("ExecStart="))
                assert called == f"{HOME}/.venv/bin/trunkline"
                assert_is_a_command(tokens)
    if analyze is None:
        pytest.skip("systemd-analyze is not installed: the units are parsed by nobody")
    done = subprocess.run(
        [analyze, "verify", "--man=no", *(str(tmp_path / name) for name in names)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    ours = [line for line in done.stderr.splitlines() if "trunkline" in line]
    assert ours == []
    (calendar,) = re.findall(r"^OnCalendar=(.+)$", units[2], re.MULTILINE)
    told = subprocess.run(
        [analyze, "calendar", "--iterations=3", calendar], capture_output=True, text=True, check=False, timeout=60
    )
    assert told.returncode == 0, told.stderr
    assert len(re.findall(r":05:00 UTC", told.stdout)) >= 3, told.stdout


def test_the_cron_job_is_one(page: str) -> None:
    (text,) = blocks(page, "yaml")
    job: dict[str, Any] = yaml.safe_load(text)
    assert (job["apiVersion"], job["kind"]) == ("batch/v1", "CronJob")
    spec = job["spec"]
    assert spec["concurrencyPolicy"] == "Forbid"
    at = datetime(2026, 3, 1, 12, tzinfo=UTC)
    assert due_after(Schedule(cron=spec["schedule"], zone=spec["timeZone"]), at) == at.replace(minute=5)
    pod = spec["jobTemplate"]["spec"]["template"]["spec"]
    assert pod["restartPolicy"] in ("Never", "OnFailure"), "a job's pod has no other"
    (container,) = pod["containers"]
    assert_is_a_command(container["args"])
    assert all(isinstance(each, str) for each in container["args"])
    assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}
