"""Which jobs there are, when they are due, and what is refused before anything waits for it."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.run.scheduling.conftest import PLUGINS

from trunkline.run.scheduling import Job, JobRecord, due_at, jobs_of
from trunkline.run.scheduling.jobs import run_id_of
from trunkline.spec import Schedule

Trunkline = Callable[..., tuple[int, str, str]]

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOURLY = Job("run:leavers", "leavers", ("run", "leavers"), Schedule(cron="5 * * * *"), takes_run_id=True)
EVERY = Job("ingest:crm", "leavers", ("ingest", "leavers", "crm"), Schedule(every=timedelta(hours=2)), True)


def record(job: Job, state: str, *, began: datetime) -> JobRecord:
    return JobRecord.model_validate(
        {
            "job": job.name,
            "slot_at": began,
            "usecase": job.usecase,
            "schedule": "as it is",
            "state": state,
            "changed_at": began,
            "run_id": None,
            "exit_code": None,
            "seconds": None,
            "document": "{}",
        }
    )


def test_when_a_job_is_due() -> None:
    assert due_at(HOURLY, None, now=NOON) == NOON.replace(minute=5)
    assert due_at(EVERY, None, now=NOON) == NOON, "an interval begins at once"
    done = record(HOURLY, "finished", began=NOON - timedelta(hours=5))
    assert due_at(HOURLY, done, now=NOON) == NOON.replace(hour=7, minute=5), "overdue since"
    assert due_at(HOURLY, record(HOURLY, "failed", began=NOON), now=NOON) == NOON.replace(minute=5)
    for state in ("started", "stopped"):
        assert due_at(EVERY, record(EVERY, state, began=NOON), now=NOON) == NOON, "it is gone on with"
    assert due_at(EVERY, record(EVERY, "finished", began=NOON), now=NOON) == NOON + timedelta(hours=2)


def test_ids_of_runs_are_ids_that_the_command_takes() -> None:
    job = Job("ingest:a source/of näme." + "x" * 60, "u", ("ingest",), HOURLY.schedule, takes_run_id=True)
    found = run_id_of(job, NOON)
    assert len(found) <= 64
    assert found.replace("-", "").replace("_", "").isalnum()
    assert found.isascii()
    assert run_id_of(job, NOON) != run_id_of(job, NOON + timedelta(milliseconds=1))


CRM = '[sources.crm]\nkind = "folder"\nusecase = "leavers"\npath = "drop"\n'


@pytest.fixture
def listed(environment: None, tmp_path: Path, trunkline: Trunkline, monkeypatch: pytest.MonkeyPatch) -> Trunkline:
    """List the jobs that settings give; gives the exit code, the document and stderr."""

    def ask(settings: str) -> tuple[int, str, str]:
        monkeypatch.chdir(tmp_path)
        (tmp_path / "trunkline.toml").write_text(settings)
        return trunkline("schedule", "list", "--json", "--workspace", tmp_path / "w")

    return ask


def test_sources_plans_and_maintenance_have_their_jobs(listed: Trunkline) -> None:
    code, out, err = listed(
        '[sources.crm]\nkind = "sql"\nusecase = "leavers"\nurl = "sqlite:///crm.db"\ntable = "t"\n'
        'schedule = { cron = "*/15 * * * *", zone = "Asia/Tokyo" }\n'
        '[sources.drop]\nkind = "folder"\nusecase = "leavers"\npath = "drop"\nschedule = { every = "PT10M" }\n'
        '[sources.by_hand]\nkind = "folder"\nusecase = "leavers"\npath = "hand"\n'
        '[scheduler]\nmaintain = { cron = "30 3 * * *" }\nsources = { every = "PT15M" }\nskip = ["run:churn"]\n'
        '[scheduler.runs.leavers]\nevery = "PT1H"\n[scheduler.runs.churn]\nevery = "PT1H"\n'
        '[scheduler.alarms.towers]\nevery = "PT15M"\n'
    )
    assert code == 0, err
    found = json.loads(out)
    assert found["running"] is False
    assert [(job["job"], job["command"], job["schedule"], job["state"]) for job in found["jobs"]] == [
        ("ingest:crm", "trunkline ingest leavers crm", "cron */15 * * * * in Asia/Tokyo", "never"),
        ("ingest:drop", "trunkline watch leavers drop --once", "every 0:10:00", "never"),
        ("run:leavers", "trunkline run leavers", "every 1:00:00", "never"),
        ("alarms:towers", "trunkline alarms towers", "every 0:15:00", "never"),
        ("sources", "trunkline sources check", "every 0:15:00", "never"),
        ("maintain", "trunkline maintain", "cron 30 3 * * * in UTC", "never"),
    ]
    assert all(job["next_at"] is not None for job in found["jobs"])


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        ('[scheduler.runs.nothing]\nevery = "PT1H"', "no use case 'nothing'"),
        ('[scheduler.alarms.leavers]\nevery = "PT1H"', "watches no series"),
        ('[scheduler.runs.leavers]\ncron = "0 0 30 2 *"', "scheduler.runs.leavers.cron is not allowed: the cron line"),
        ('[scheduler]\nmaintain = { cron = "0 0 31 4,6 *" }', "scheduler.maintain.cron is not allowed: the cron line"),
        ('[scheduler]\nsources = { cron = "0 0 31 11 *" }', "a day that never comes"),
        ('[scheduler.alarms.towers]\ncron = "0 0 30 2 *"', "a day that never comes"),
        (CRM + 'schedule = { cron = "0 6 31 2 *" }', "sources.crm.schedule.cron is not allowed: the cron line"),
        ('[scheduler.runs.leavers]\ncron = "61 * * * *"', "'61' of a cron line cannot be read"),
        (CRM + 'schedule = { cron = "5 4 * * MON" }', "sources.crm.schedule.cron is not allowed: the field 'MON'"),
        (CRM + 'schedule = { every = "15 minutes" }', "sources.crm.schedule.every is not allowed: it is no duration"),
        ('[scheduler]\nskip = ["run:leavers"]', "no job 'run:leavers' to skip"),
        ('[scheduler]\nmaintain = { every = "PT1H", cron = "5 * * * *" }', "scheduler.maintain is not allowed"),
    ],
    ids=[
        "use case",
        "watches nothing",
        "never",
        "maintain",
        "check",
        "alarms",
        "source",
        "cron",
        "whose cron",
        "duration",
        "skip",
        "both",
    ],
)
def test_schedules_that_mean_nothing_are_refused(listed: Trunkline, settings: str, what: str) -> None:
    code, _, err = listed(settings)
    assert code == 2
    assert what in err


def test_a_use_case_may_carry_its_schedule(environment: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace

    from trunkline.plugins import load_usecase
    from trunkline.run import Workspace
    from trunkline.settings import load_settings

    declared = replace(load_usecase("leavers", plugin_dir=PLUGINS), schedule=Schedule(cron="7 * * * *"))
    with Workspace(load_settings(workspace=tmp_path / "w")) as workspace:
        monkeypatch.setattr(workspace, "usecase", lambda _name: declared)
        monkeypatch.setattr(workspace, "usecases", lambda: ("leavers",))
        (job,) = jobs_of(workspace)
    assert (job.name, job.schedule.cron) == ("run:leavers", "7 * * * *")
