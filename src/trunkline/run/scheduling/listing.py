"""How every job stands: when it last ran, what came of it, when it is due next."""

from datetime import datetime
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from trunkline.run.scheduling.jobs import jobs_of, said
from trunkline.run.scheduling.process import is_running, output_of
from trunkline.run.scheduling.record import JobRecord, newest_records
from trunkline.run.scheduling.runner import UNFINISHED
from trunkline.run.scheduling.scheduler import due_at, is_scheduling

if TYPE_CHECKING:
    from trunkline.run.workspace import Workspace

__all__ = ["JobState", "job_states"]


class JobState(BaseModel):
    """How a job stands.

    Attributes:
        job: ``ingest:SOURCE``, ``run:USECASE`` or ``maintain``.
        usecase: The use case; None for maintenance.
        command: What it runs.
        schedule: When.
        state: ``never`` (ran), ``running``, ``finished``, ``refused`` (by the gates), ``failed``, or ``interrupted``:
            gone on with at the next start of a scheduler.
        last_at: When it last began, UTC.
        seconds: What that took; None while it runs.
        run_id: The run that it made.
        next_at: When it is due, UTC; in the past where nobody runs what is due. None while it runs.
        error: What was wrong; empty when nothing was.
    """

    model_config = ConfigDict(frozen=True)

    job: str
    usecase: str | None
    command: str
    schedule: str
    state: str
    last_at: datetime | None
    seconds: float | None
    run_id: str | None
    next_at: datetime | None
    error: str


def job_states(workspace: "Workspace") -> tuple[JobState, ...]:
    """List the jobs of a workspace.

    Raises:
        InputError: A schedule cannot be read.
        UnknownNameError: A schedule names a use case that is not installed.
    """
    runs = is_scheduling(workspace)
    records = newest_records(workspace.lake)
    found = []
    for job in jobs_of(workspace):
        last = records.get(job.name)
        schedule = said(job.schedule)
        counts = last if last is not None and last.schedule == schedule else None
        state = _state(last, runs=runs, lives=is_running(output_of(workspace.root, job.name)))
        ran = last is not None and state != "never"
        next_at = None if state == "running" else due_at(job, counts, now=workspace.clock())
        found.append(
            JobState(
                job=job.name,
                usecase=job.usecase or None,
                command=" ".join(("trunkline", *job.command)),
                schedule=schedule,
                state=state,
                last_at=last.slot_at if last is not None and ran else None,
                seconds=last.seconds if last is not None else None,
                run_id=last.run_id if last is not None else None,
                next_at=next_at,
                error=last.error if last is not None else "",
            )
        )
    return tuple(found)


def _state(last: JobRecord | None, *, runs: bool, lives: bool) -> str:
    if last is None or last.state == "planned":
        return "never"
    if last.state in UNFINISHED:
        return "running" if lives or (runs and last.state == "started") else "interrupted"
    return last.state
