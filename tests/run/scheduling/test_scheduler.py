"""The scheduler with real processes and schedules of a second; every wait is for a condition."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from tests.run.scheduling.conftest import Site

from trunkline.lake.locks import held, is_held
from trunkline.run.scheduling import Job
from trunkline.run.scheduling.jobs import run_id_of
from trunkline.run.scheduling.process import run_process
from trunkline.run.scheduling.record import JobBook
from trunkline.run.scheduling.runner import JobRunner
from trunkline.settings.scheduler import SchedulerSettings
from trunkline.spec import Schedule

pytestmark = pytest.mark.slow

Until = Callable[[Callable[[], object]], None]

HOURLY = Schedule(cron="5 * * * *")


def test_what_is_due_runs_and_never_twice_at_once(site: Site, inbox: Path, until: Until) -> None:
    (inbox / "bad.csv").write_text("nothing,of,that\n1,2,3\n")
    (inbox / "other").mkdir()
    site.declare(
        '[sources.other]\nkind = "folder"\nusecase = "leavers"\npath = "inbox/other"\nsettle_s = 0\n'
        'schedule = { every = "PT1S" }\n[scheduler]\nstop_grace = "PT60S"\n'
    )
    with site.running("schedule", "run") as scheduler:
        until(lambda: len(site.ended("ingest:inbox")) >= 2 and len(site.ended("ingest:other")) >= 2)
        assert "runs 2 jobs" in site.said()
        second = site.run("schedule", "run")
        assert second.returncode == 2
        assert f"process {scheduler.pid}" in second.stderr
        listed = json.loads(site.run("schedule", "list", "--json").stdout)
        assert listed["running"] is True
        scheduler.send_signal(signal.SIGTERM)
        assert scheduler.wait(90) == 0
    assert json.loads(site.run("schedule", "list", "--json").stdout)["running"] is False
    records = sorted(
        [row for row in site.table("platform.jobs") if row["seconds"] is not None], key=lambda row: str(row["slot_at"])
    )
    for before, after in pairwise(records):
        assert str(before["changed_at"]) <= str(after["slot_at"]), "jobs of one use case run one after the other"
    assert {row["state"] for row in site.ended("ingest:other")} == {"finished"}
    assert {row["state"] for row in site.ended("ingest:inbox")} == {"failed"}
    assert "bad.csv" in json.loads(str(site.ended("ingest:inbox")[0]["document"]))["error"]
    titles = [str(alert["title"]) for alert in site.table("platform.alerts")]
    assert len(titles) == len(set(titles)), "one alert, however often it fails"
    assert "the scheduled job ingest:inbox failed" in titles
    assert any(title.endswith("source other is empty") for title in titles), "the look that found nothing is told"
    (receipt,) = site.table("platform.receipts")
    assert receipt["read"] == 500


def test_it_runs_beside_the_server_and_ends_with_it(site: Site, inbox: Path, until: Until) -> None:
    site.declare("[scheduler]\nenabled = true\n")
    with site.running("serve", "--port", "0") as server:
        until(lambda: site.ended("ingest:inbox"))
        server.send_signal(signal.SIGTERM)
        assert server.wait(90) == 0
    assert site.ended("ingest:inbox")[0]["state"] == "finished"
    assert "serves http://127.0.0.1" in site.said()
    assert len(site.table("platform.receipts")) == 1


def test_what_was_missed_is_made_up_for_once(site: Site, inbox: Path) -> None:
    site.declare('[scheduler]\nskip = ["ingest:inbox"]\nmaintain = { cron = "0 * * * *" }\n')
    first = site.run("schedule", "run", "--once", "--json")
    assert (first.returncode, json.loads(first.stdout)) == (0, {"ended": {}}), "it is due at the next full hour"
    (planned,) = site.table("platform.jobs")
    assert planned["state"] == "planned"
    job = Job("maintain", "", ("maintain",), Schedule(cron="0 * * * *"), takes_run_id=False)
    with JobBook(site.workspace) as book:
        runner(book, site).plan(job, since=datetime.now(UTC) - timedelta(days=3, hours=1))
    # a record of before, written now, is the newest
    again = site.run("schedule", "run", "--once", "--json")
    assert json.loads(again.stdout) == {"ended": {"finished": 1}}, again.stderr
    assert site.run("schedule", "run", "--once").stdout.startswith("nothing is due")


def runner(book: JobBook, site: Site, *, stop: threading.Event | None = None, **settings: object) -> JobRunner:
    return JobRunner(
        book,
        root=site.folder / "workspace",
        settings=SchedulerSettings.model_validate(settings),
        stop=stop or threading.Event(),
        clock=lambda: datetime.now(UTC),
    )


@pytest.fixture
def here(site: Site, environment: None, monkeypatch: pytest.MonkeyPatch) -> Site:
    """The site as the current folder, so that jobs of this process find its settings."""
    monkeypatch.chdir(site.folder)
    return site


def ingestion(source: Path) -> Job:
    return Job("ingest:crm", "leavers", ("ingest", "leavers", str(source)), HOURLY, takes_run_id=True)


def test_a_job_that_was_interrupted_is_gone_on_with_under_its_run(here: Site, source: Path) -> None:
    job, stop = ingestion(source), threading.Event()
    with JobBook(here.workspace) as book:
        stopping = runner(book, here, stop=stop, stop_grace="PT0S")
        threading.Timer(0.3, stop.set).start()
        record = stopping.run(job)
        assert record is not None
        assert record.state == "stopped"
        assert stopping.run(job) is None, "nothing begins once it is told to stop"
    assert json.loads(here.run("schedule", "list", "--json").stdout)["jobs"] == []
    with JobBook(here.workspace) as book:
        done = runner(book, here).run(job)
    assert done is not None
    assert (done.state, done.slot_at, done.run_id) == ("finished", record.slot_at, record.run_id)
    (receipt,) = here.table("platform.receipts")
    assert receipt["run_id"] == record.run_id


def test_a_job_waits_for_a_run_that_somebody_else_has_started(here: Site, source: Path, until: Until) -> None:
    job, said = ingestion(source), here.folder / "workspace" / "schedule" / "ingest-crm.json"
    with JobBook(here.workspace) as book:
        with here.workspace() as workspace, workspace.run_lock("leavers"):
            refused = runner(book, here, busy_wait="PT0S").run(job)
            assert refused is not None
            assert refused.state == "failed"
            assert "somebody else holds the use case 'leavers'" in refused.error
            said.unlink()
            patient = runner(book, here, busy_wait="PT90S")
            found: list[object] = []
            thread = threading.Thread(target=lambda: found.append(patient.run(job)))
            thread.start()
            until(lambda: said.exists() and b"BusyError" in said.read_bytes())
        thread.join(90)
    assert patient.ended == {"finished": 1}, found


def test_a_job_whose_sources_are_refused_says_how_many_and_what_it_took_in(here: Site, source: Path) -> None:
    for name in ("a.csv", "b.csv"):
        (here.folder / name).write_text("subscriber_id\n")
    arguments = ("ingest", "leavers", str(here.folder / "a.csv"), str(source), str(here.folder / "b.csv"))
    with JobBook(here.workspace) as book:
        record = runner(book, here).run(Job("ingest:crm", "leavers", arguments, HOURLY, takes_run_id=True))
    assert record is not None
    assert (record.state, record.exit_code) == ("failed", 2)
    assert record.error.startswith(
        "2 sources were refused, the first because: the source lacks the column for: tenure_months"
    )
    assert str(here.folder / "b.csv") in record.error
    assert json.loads(record.document)["ingest"]["accepted"] == 500


def test_a_job_waits_for_a_source_that_somebody_else_pulls(here: Site, source: Path, until: Until) -> None:
    """The other source is refused for good; the one that is busy is worth the wait all the same."""
    (here.folder / "a.csv").write_text("subscriber_id\n")
    here.declare(f'[sources.store]\nkind = "objects"\nusecase = "leavers"\nurl = "file://{source}"\n')
    said = here.folder / "workspace" / "schedule" / "ingest-crm.json"
    arguments = ("ingest", "leavers", str(here.folder / "a.csv"), "store")
    with JobBook(here.workspace) as book, here.workspace() as workspace:
        patient = runner(book, here, busy_wait="PT90S")
        with held(workspace.folder("locks") / "pull-leavers.subscribers-store.lock", what="test"):
            job = Job("ingest:crm", "leavers", arguments, HOURLY, takes_run_id=True)
            thread = threading.Thread(target=patient.run, args=(job,))
            thread.start()
            until(lambda: said.exists() and b"BusyError" in said.read_bytes())
        thread.join(90)
    assert patient.ended == {"failed": 1}
    (receipt,) = here.table("platform.receipts")
    assert receipt["accepted"] == 500


def test_a_job_that_hangs_is_ended_and_told(here: Site, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    job = Job("ingest:drop", "leavers", ("watch", "leavers", str(tmp_path / "empty")), HOURLY, takes_run_id=False)
    with JobBook(here.workspace) as book:
        record = runner(book, here, longest="PT2S").run(job)
    assert record is not None
    assert (record.state, record.error) == ("failed", "it took longer than 0:00:02 and was ended")


@contextmanager
def left_behind(folder: Path, *command: str) -> Iterator[None]:
    """A process that runs on although the scheduler that started it was killed."""
    said = folder / "workspace" / "schedule" / "left.json"
    code = (
        "import os, pathlib, signal, sys, threading\n"
        "from trunkline.run.scheduling.process import run_process\n"
        "lock = pathlib.Path(sys.argv[1]).with_suffix('.lock')\n"
        "stop = threading.Event()\n"
        "run = lambda: run_process(sys.argv[2:], said=pathlib.Path(sys.argv[1]), stop=stop, longest_s=600, grace_s=0)\n"
        "threading.Thread(target=run, daemon=True).start()\n"
        "while not (lock.exists() and lock.read_text()): stop.wait(0.01)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed = subprocess.run([sys.executable, "-c", code, str(said), *command], check=False, timeout=90)
    assert killed.returncode == -signal.SIGKILL
    _, number = said.with_suffix(".lock").read_text().split()
    try:
        yield
    finally:
        with suppress(ProcessLookupError):
            os.killpg(int(number), signal.SIGKILL)


def test_what_a_killed_scheduler_has_left_is_waited_for(here: Site, source: Path) -> None:
    job = ingestion(source)
    slot_at = datetime.now(UTC)
    run_id = run_id_of(job, slot_at)
    arguments = (*job.command, "--json", "--workspace", str(here.folder / "workspace"), "--run-id", run_id)
    with left_behind(here.folder, *arguments), JobBook(here.workspace) as book:
        schedule = here.folder / "workspace" / "schedule"
        # the files of that job, under the name that the scheduler gives them
        (schedule / "left.lock").rename(schedule / "ingest-crm.lock")
        before = runner(book, here)
        before.plan(job, since=slot_at)
        planned = before.newest(job)
        assert planned is not None
        began = {"state": "started", "run_id": run_id, "changed_at": planned.changed_at + timedelta(microseconds=1)}
        book.write(planned.model_copy(update=began))
        done = runner(book, here, busy_wait="PT0S").run(job)
    assert done is not None
    assert (done.state, done.run_id, done.error) == ("finished", run_id, "")
    (receipt,) = here.table("platform.receipts")
    assert receipt["run_id"] == run_id


def test_what_a_killed_scheduler_has_left_is_listed_as_running(site: Site, inbox: Path) -> None:
    (site.folder / "workspace" / "schedule").mkdir(parents=True)
    assert site.run("schedule", "run", "--once", "--json").returncode == 0

    def state() -> str:
        (job,) = json.loads(site.run("schedule", "list", "--json").stdout)["jobs"]
        return str(job["state"])

    assert state() == "finished"
    with JobBook(site.workspace) as book:
        (ended,) = book.newest().values()
        book.write(ended.model_copy(update={"state": "started", "changed_at": ended.changed_at + timedelta(seconds=1)}))
    assert state() == "interrupted"
    with left_behind(site.folder, "watch", "leavers", str(inbox)):
        schedule = site.folder / "workspace" / "schedule"
        (schedule / "left.lock").rename(schedule / "ingest-inbox.lock")
        assert state() == "running"
    assert state() == "interrupted"


@pytest.mark.parametrize("why", ["late", "told"])
def test_what_a_killed_scheduler_has_left_is_ended_as_its_own(here: Site, tmp_path: Path, why: str) -> None:
    (tmp_path / "empty").mkdir()
    stop = threading.Event()
    with left_behind(here.folder, "watch", "leavers", str(tmp_path / "empty")):
        said = here.folder / "workspace" / "schedule" / "left.json"
        assert is_held(said.with_suffix(".lock"))
        if why == "told":
            stop.set()
        ended = run_process(["--version"], said=said, stop=stop, longest_s=0 if why == "late" else 600, grace_s=0)
        assert (ended.why, ended.exit_code) == (why, -signal.SIGTERM)
        assert not is_held(said.with_suffix(".lock")), "it lives no more"
        assert said.read_bytes() == b"", "nothing else was started"


def test_a_number_from_another_machine_is_left_alone(tmp_path: Path) -> None:
    other = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, start_new_session=True)
    lock = tmp_path / "said.lock"
    with held(lock, what="test"):
        lock.write_text(f"elsewhere {other.pid}")
        ended = run_process(["--version"], said=tmp_path / "said.json", stop=threading.Event(), longest_s=0, grace_s=0)
    assert (ended.why, other.poll()) == ("late", None)
    other.communicate(b"\n")


STUBBORN = """
import fcntl, signal, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
signal.alarm(300)  # where the test fails, it is not there for ever
lock = open(sys.argv[1], "w")
fcntl.flock(lock, fcntl.LOCK_EX)
while True:
    signal.pause()
"""


def test_what_a_job_has_started_ends_with_it_whatever_it_ignores(
    here: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, until: Until
) -> None:
    package, lock, stop = tmp_path / "stand-in" / "trunkline", tmp_path / "stubborn.lock", threading.Event()
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "__main__.py").write_text(
        "import signal, subprocess, sys\n"
        "subprocess.Popen([sys.executable, '-c', sys.argv[1], sys.argv[2]])\n"
        "while True:\n"
        "    signal.pause()\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(package.parent))

    def tell() -> None:
        until(lambda: is_held(lock))
        stop.set()

    told = threading.Thread(target=tell)
    told.start()
    ended = run_process([STUBBORN, str(lock)], said=tmp_path / "said.json", stop=stop, longest_s=60, grace_s=0)
    told.join()
    assert ended.why == "told"
    until(lambda: not is_held(lock))


def test_what_is_no_command_of_trunkline_is_told(here: Site) -> None:
    ended = run_process(["nonsense"], said=here.folder / "said.json", stop=threading.Event(), longest_s=60, grace_s=0)
    assert (ended.exit_code, ended.why, ended.document) == (2, "itself", {})
    assert "nonsense" in (here.folder / "said.log").read_text()
