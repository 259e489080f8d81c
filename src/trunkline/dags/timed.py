"""What has a schedule of its own: each source that is taken in by one, the look after all sources, and maintenance.

Takes the jobs of the built-in scheduler, gives pipelines: the same commands, due by the same schedules. Pure.
"""

import hashlib
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from trunkline.dags.pipelines import Pipeline, PipelineTask
from trunkline.run.scheduling import INGEST, MAINTAIN, RUN, SOURCES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trunkline.run.scheduling import Job
    from trunkline.spec import Schedule

__all__ = ["Timed", "kept_of", "schedule_of", "timed_of"]

_LONGEST_NAME: Final = 80
_DIGITS: Final = 6


@dataclass(frozen=True)
class Timed:
    """A pipeline with a schedule of its own.

    Attributes:
        pipeline: Its tasks.
        schedule: When it is due.
        begins_plan: Whether what it leaves triggers what follows ingestion: where the plan has no schedule itself.
    """

    pipeline: Pipeline
    schedule: "Schedule"
    begins_plan: bool


def schedule_of(jobs: "Sequence[Job]", usecase: str) -> "Schedule | None":
    """Say when the whole plan of a use case is due.

    Args:
        jobs: Every job of the workspace.
        usecase: The use case.
    """
    return next((job.schedule for job in jobs if job.name == f"{RUN}{usecase}"), None)


def timed_of(jobs: "Sequence[Job]", usecase: str, *, ingest: Pipeline) -> tuple[Timed, ...]:
    """Give the pipelines of a use case that have schedules of their own.

    Args:
        jobs: Every job of the workspace.
        usecase: The use case.
        ingest: Its pipeline of ingestion; that of a source is the same for this source alone.
    """
    is_planned = schedule_of(jobs, usecase) is not None
    found = [
        # what watch takes in belongs to no run that the plan could go on with
        Timed(_pulled(job, ingest), job.schedule, begins_plan=job.takes_run_id and not is_planned)
        for job in jobs
        if job.usecase == usecase and job.name.startswith(INGEST)
    ]
    found += [Timed(_checked(usecase), job.schedule, begins_plan=False) for job in jobs if job.name == SOURCES]
    return tuple(found)


def kept_of(jobs: "Sequence[Job]") -> tuple[Timed, ...]:
    """Give the pipelines of the whole workspace that have schedules.

    Args:
        jobs: Every job of the workspace.
    """
    title = "compact tables, move to archives what is past its time, remove what retention lets go"
    task = PipelineTask(
        name=MAINTAIN,
        group="keep",
        title=title,
        arguments=(MAINTAIN,),
        after=(),
        step=MAINTAIN,
        takes_run_id=False,
    )
    kept = Pipeline(MAINTAIN, title, "", (task,))
    return tuple(Timed(kept, job.schedule, begins_plan=False) for job in jobs if job.name == MAINTAIN)


def _pulled(job: "Job", ingest: Pipeline) -> Pipeline:
    source = job.name.removeprefix(INGEST)
    intake, *others = ingest.tasks
    if not job.takes_run_id:  # watch refreshes derived tables itself
        others = [task for task in others if task.step != intake.step]
        intake = replace(intake, arguments=job.command, takes_run_id=False, computes=False)
    else:
        intake = replace(intake, arguments=(*job.command, *intake.arguments[2:]))
    name = f"source.{_plain(source)}"
    own = replace(intake, title=f"take in {source} by contract", takes_sources=False)
    return Pipeline(name, f"take in {source} by its own schedule", name, (own, *others))


def _checked(usecase: str) -> Pipeline:
    title = "say which sources are late, empty, unusually small, over their reject budget or failing"
    task = PipelineTask(
        name="check",
        group="watch",
        title=title,
        arguments=("sources", "check", usecase),
        after=(),
        step="sources",
        takes_run_id=False,
    )
    return Pipeline("sources", title, "", (task,))


def _plain(name: str) -> str:
    """Give a name as the id of a DAG may have it; two names never give one."""
    plain = re.sub(r"[^A-Za-z0-9_-]+", "-", name)[:_LONGEST_NAME]
    return plain if plain == name else f"{plain}.{hashlib.sha256(name.encode()).hexdigest()[:_DIGITS]}"
