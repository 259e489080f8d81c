"""What runs by itself, read off the settings and the installed use cases.

Takes a workspace, gives one job per schedule. A job is a command line of Trunkline, nothing else: whatever starts it
(the built-in scheduler, cron, a person), the same thing happens.
"""

import logging
import re
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final

from trunkline.errors import InputError, TrunklineError, UnknownNameError
from trunkline.spec import Schedule
from trunkline.spec.sources import WATCHED

if TYPE_CHECKING:
    from trunkline.run.workspace import Workspace

__all__ = ["INGEST", "MAINTAIN", "RUN", "SOURCES", "Job", "every_job", "jobs_of", "run_id_of", "said"]

MAINTAIN: Final = "maintain"
"""Name of the job that maintains the workspace."""

SOURCES: Final = "sources"
"""Name of the job that judges the declared sources."""

INGEST: Final = "ingest:"
"""What the name of a job begins with that takes one source in."""

RUN: Final = "run:"
"""What the name of a job begins with that runs a whole plan."""

_LONGEST_NAME: Final = 40
_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Job:
    """One thing that runs by itself.

    Attributes:
        name: ``ingest:SOURCE``, ``run:USECASE``, ``alarms:USECASE``, ``sources`` or ``maintain``.
        usecase: The use case; empty for those of the whole workspace. Jobs of one use case never run at once.
        command: Arguments of ``trunkline``, without ``--json``, ``--workspace`` and ``--run-id``.
        schedule: When it is due.
        takes_run_id: Whether the command goes on with a run whose id it is given.
    """

    name: str
    usecase: str
    command: tuple[str, ...]
    schedule: Schedule
    takes_run_id: bool


def jobs_of(workspace: "Workspace") -> tuple[Job, ...]:
    """List what the built-in scheduler runs, sources first: every job without those that the settings skip.

    A use case that is broken has no schedule of its own: a warning says so, and the others run.

    Raises:
        InputError: A use case watches nothing that raises alarms.
        UnknownNameError: A schedule names a use case that is not installed, or a job to skip that there is not.
    """
    found, broken = _declared(workspace)
    skipped, names = workspace.settings.scheduler.skip, [job.name for job in found]
    if unknown := [name for name in skipped if name not in (*names, *broken)]:
        raise UnknownNameError(f"there is no job {unknown[0][:80]!r} to skip", where="scheduler.skip", allowed=names)
    return tuple(job for job in found if job.name not in skipped)


def every_job(workspace: "Workspace") -> tuple[Job, ...]:
    """List whatever has a schedule, sources first, for a scheduler that is not the built-in one.

    Raises:
        InputError: As for :func:`jobs_of`.
        UnknownNameError: A schedule names a use case that is not installed.
    """
    return _declared(workspace)[0]


def _declared(workspace: "Workspace") -> tuple[tuple[Job, ...], list[str]]:
    """Every job, and the names that the runs of broken use cases would have."""
    settings = workspace.settings
    installed = workspace.usecases()
    found = []
    for name, source in settings.sources.items():
        if source.schedule is None:
            continue
        _refuse_unknown(source.usecase, installed, where=f"sources.{name}")
        # files have to be whole and are dealt with afterwards, topics are shared: that is what watch knows
        watched = isinstance(source, WATCHED)
        command = ("watch", source.usecase, name, "--once") if watched else ("ingest", source.usecase, name)
        found.append(Job(f"{INGEST}{name}", source.usecase, command, source.schedule, takes_run_id=not watched))
    for name in settings.scheduler.runs:
        _refuse_unknown(name, installed, where=f"scheduler.runs.{name}")
    broken = []
    for name in installed:
        try:
            schedule = settings.scheduler.runs.get(name) or workspace.usecase(name).schedule
        except TrunklineError as error:
            _logger.warning("%s has no schedule: %s", name, error.what, extra={"usecase": name})
            broken.append(f"{RUN}{name}")
            continue
        if schedule is not None:
            found.append(Job(f"{RUN}{name}", name, ("run", name), schedule, takes_run_id=True))
    for name, schedule in settings.scheduler.alarms.items():
        _refuse_unknown(name, installed, where=f"scheduler.alarms.{name}")
        if workspace.usecase(name).watched is None:
            raise InputError(f"the use case {name!r} watches no series", where=f"scheduler.alarms.{name}")
        found.append(Job(f"alarms:{name}", name, ("alarms", name), schedule, takes_run_id=False))
    found += _minders(workspace)
    return tuple(found), broken


def _minders(workspace: "Workspace") -> list[Job]:
    """What minds the whole workspace: its sources, and its tables."""
    settings = workspace.settings
    found = []
    if settings.scheduler.sources is not None:
        found.append(Job(SOURCES, "", ("sources", "check"), settings.scheduler.sources, takes_run_id=False))
    if settings.scheduler.maintain is not None:
        found.append(Job(MAINTAIN, "", (MAINTAIN,), settings.scheduler.maintain, takes_run_id=False))
    return found


def run_id_of(job: Job, at: datetime) -> str:
    """Give the id of the run that a job makes when it begins at an instant.

    >>> from datetime import UTC
    >>> job = Job("run:churn", "churn", ("run", "churn"), Schedule(cron="5 * * * *"), True)
    >>> run_id_of(job, datetime(2026, 3, 1, 12, 5, 0, 7000, tzinfo=UTC))
    '20260301T120500007-run-churn'
    """
    name = re.sub(r"[^A-Za-z0-9_]+", "-", job.name)[:_LONGEST_NAME].strip("-")
    return f"{at:%Y%m%dT%H%M%S}{at.microsecond // 1000:03d}-{name}"


def said(schedule: Schedule) -> str:
    """Say a schedule in a few words; the same for the same schedule.

    >>> said(Schedule(cron="5 * * * *", zone="Europe/Rome"))
    'cron 5 * * * * in Europe/Rome'
    """
    if schedule.every is not None:
        return f"every {schedule.every}"
    return f"cron {schedule.cron} in {schedule.zone}"


def _refuse_unknown(usecase: str, installed: tuple[str, ...], *, where: str) -> None:
    if usecase not in installed:
        raise UnknownNameError(f"there is no use case {usecase[:40]!r}", where=where, allowed=installed)
