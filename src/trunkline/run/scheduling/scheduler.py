"""The built-in scheduler: APScheduler tells when, processes of their own do the work.

One scheduler per workspace. Jobs of one use case run one after the other, those of different ones side by side. What
was due while nobody ran is made up for once, not as often as it was missed; a job that is still at work when it is due
again is not started a second time.
"""

import logging
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from threading import Event, Thread
from typing import TYPE_CHECKING, Final, Protocol

from trunkline.errors import BusyError, TrunklineError
from trunkline.lake.locks import held, is_held
from trunkline.monitor.schedules import due_after
from trunkline.run.scheduling.jobs import Job, jobs_of
from trunkline.run.scheduling.record import JobBook, JobRecord
from trunkline.run.scheduling.runner import UNFINISHED, JobRunner
from trunkline.spec import Schedule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trunkline.run.workspace import Workspace

__all__ = ["SchedulerThread", "due_at", "is_scheduling", "run_due", "run_scheduler"]

_LOCK: Final = "scheduler.lock"
_ASK_AGAIN_S: Final = 5.0
_logger = logging.getLogger(__name__)


def due_at(job: Job, newest: JobRecord | None, *, now: datetime) -> datetime | None:
    """Say when a job is due next.

    Args:
        job: The job.
        newest: Its newest record under this schedule; None where there is none.
        now: UTC.

    Returns:
        UTC; in the past where it is overdue, or was interrupted. A job that never ran is due at once by an interval, by
        a cron line at its next time.
    """
    if newest is None:
        return now if job.schedule.every is not None else due_after(job.schedule, now)
    if newest.state in UNFINISHED:
        return newest.slot_at
    return due_after(job.schedule, newest.slot_at)


def is_scheduling(workspace: "Workspace") -> bool:
    """Tell whether a scheduler runs in the workspace."""
    return is_held(workspace.root / "locks" / _LOCK)


def run_scheduler(
    workspace: "Workspace", *, again: "Callable[[], Workspace]", stop: Event, begun: Callable[[Sequence[Job]], None]
) -> dict[str, int]:
    """Run every job when it is due, until told to stop; running jobs have a grace, then they are ended.

    Args:
        workspace: The workspace.
        again: Opens it once more, for another thread.
        stop: Set to end.
        begun: Told the jobs as soon as the first may start.

    Returns:
        How many jobs ended, by state.

    Raises:
        BusyError: A scheduler runs in the workspace already.
        InputError: A schedule cannot be read.
        UnknownNameError: A schedule names a use case that is not installed.
    """
    from apscheduler.executors.pool import ThreadPoolExecutor
    from apscheduler.schedulers.background import BackgroundScheduler

    jobs = jobs_of(workspace)
    with _only_one(workspace), JobBook(again) as book:
        runner = _runner(workspace, book, jobs, stop=stop)
        # its own warnings would say every time that a job is still at work
        logging.getLogger("apscheduler").setLevel(logging.ERROR)
        scheduler = BackgroundScheduler(
            timezone=UTC,
            executors={name: ThreadPoolExecutor(1) for name in {_lane(job) for job in jobs}},
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
        )
        now = workspace.clock()
        for job in jobs:
            first = due_at(job, runner.newest(job), now=now)
            if first is not None:
                scheduler.add_job(
                    runner.run, _trigger(job.schedule, max(first, now)), (job,), id=job.name, executor=_lane(job)
                )
        scheduler.start()
        begun(jobs)
        try:
            stop.wait()
        finally:
            stop.set()
            scheduler.shutdown(wait=True)
        return dict(runner.ended)


def run_due(
    workspace: "Workspace", *, again: "Callable[[], Workspace]", stop: Event, told: Callable[[JobRecord], None]
) -> dict[str, int]:
    """Run what is due now, one after the other, and end.

    Args:
        workspace: The workspace.
        again: Opens it once more, for another thread.
        stop: Set to end early.
        told: Told of each job that ended.

    Returns:
        How many jobs ended, by state.

    Raises:
        BusyError: A scheduler runs in the workspace already.
        InputError: A schedule cannot be read.
        UnknownNameError: A schedule names a use case that is not installed.
    """
    jobs = jobs_of(workspace)
    with _only_one(workspace), JobBook(again) as book:
        runner = _runner(workspace, book, jobs, stop=stop)
        now = workspace.clock()
        for job in jobs:
            due = due_at(job, runner.newest(job), now=now)
            record = runner.run(job) if due is not None and due <= now else None
            if record is not None:
                told(record)
        return dict(runner.ended)


class SchedulerThread:
    """The scheduler beside something else, such as the server; where another one runs, it waits for its end.

    Args:
        workspace: Opens the workspace; called in threads of this object.
    """

    def __init__(self, workspace: "Callable[[], Workspace]") -> None:
        self._open = workspace
        self._stop = Event()
        self._thread = Thread(target=self._run, name="trunkline-scheduler", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End, and wait until running jobs have ended; nothing where it was never started."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        try:
            with self._open() as workspace:
                while not self._stop.is_set():
                    try:
                        run_scheduler(
                            workspace,
                            again=self._open,
                            stop=self._stop,
                            begun=lambda jobs: _logger.info("the scheduler runs %d jobs", len(jobs)),
                        )
                    except BusyError:
                        self._stop.wait(_ASK_AGAIN_S)
        except TrunklineError as error:
            _logger.error("the scheduler does not run: %s", error.what)  # noqa: TRY400 - a sentence says it


@contextmanager
def _only_one(workspace: "Workspace") -> "Iterator[None]":
    with held(workspace.folder("locks") / _LOCK, what="scheduler of this workspace", clock=workspace.clock):
        yield


def _runner(workspace: "Workspace", book: JobBook, jobs: Sequence[Job], *, stop: Event) -> JobRunner:
    """Make the runner, and note the jobs that are new, or have a new schedule."""
    runner = JobRunner(
        book,
        root=workspace.root,
        settings=workspace.settings.scheduler,
        stop=stop,
        clock=workspace.clock,
    )
    for job in jobs:
        if runner.newest(job) is None and job.schedule.cron is not None:
            runner.plan(job, since=workspace.clock())
    return runner


def _lane(job: Job) -> str:
    return job.usecase or job.name


class _Trigger(Protocol):
    """What APScheduler asks of a trigger."""

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime | None:
        """Give the next time."""
        ...


def _trigger(schedule: Schedule, first: datetime) -> _Trigger:
    """Due by the one reading of schedules that sources are judged late by, too."""
    from apscheduler.triggers.base import BaseTrigger

    class Due(BaseTrigger):  # type: ignore[misc]  # apscheduler has no types
        """First at an instant, then by the schedule."""

        def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime | None:  # noqa: ARG002 - APScheduler's signature
            """Give the next time."""
            if previous_fire_time is None:
                return first
            return due_after(schedule, previous_fire_time.astimezone(UTC))

    return Due()
