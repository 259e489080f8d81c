"""What a rendered file holds as data: every use case with its schedule, its watched folders and its pipelines.

Where it holds all that are installed, it holds maintenance, too: that is of the workspace, and has to be due once.

Takes a workspace, gives plain values. No secret goes in: of declared sources only names, folders and schedules do.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from trunkline.dags.cron_lines import airflow_line
from trunkline.dags.dataproc import batch_of
from trunkline.dags.pipelines import Pipeline, PipelineTask, pipelines_of
from trunkline.dags.timed import Timed, kept_of, schedule_of, timed_of
from trunkline.errors import InputError
from trunkline.plan import plan_of
from trunkline.run.scheduling import PLATFORM, every_job
from trunkline.settings import SETTINGS_FILE
from trunkline.spec.sources import FolderSource

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trunkline.dags.literals import Value
    from trunkline.run import Workspace
    from trunkline.run.scheduling import Job
    from trunkline.settings import DagsSettings
    from trunkline.spec import Schedule, UseCase

__all__ = ["content_of", "leaves_out"]

_ARRIVALS: Final = "arrivals"
_LONGEST_LOOK: Final = timedelta(days=1)


@dataclass(frozen=True)
class _Subject:
    """Whose a DAG is: a use case's, or the workspace's.

    Attributes:
        name: Part of the ids, and what alerts name.
        title: Its name for people.
        question: What it is there for.
        links: Lines of Markdown.
    """

    name: str
    title: str
    question: str
    links: tuple[str, ...] = ()


_WORKSPACE: Final = _Subject(PLATFORM, "Workspace", "The tables of all use cases.")


def leaves_out(workspace: "Workspace", names: tuple[str, ...]) -> tuple[str, ...]:
    """Name what has a schedule and no DAG in a file of these use cases, because it is of the whole workspace.

    Args:
        workspace: As for :func:`content_of`.
        names: The use cases.
    """
    if set(names).issuperset(workspace.installed().usecases):
        return ()
    return tuple(one.pipeline.name for one in kept_of(every_job(workspace)))


def content_of(workspace: "Workspace", names: tuple[str, ...]) -> "Mapping[str, Value]":
    """Gather what the DAGs of use cases need to know.

    Args:
        workspace: Knows the use cases and the settings.
        names: The use cases, in this order.

    Raises:
        UnknownNameError: There is no such use case, or a schedule is that of one.
        InputError: Airflow has no timetable for a schedule, or a step that does not exist has a longest time.
    """
    settings = workspace.settings.dags
    usecases = [workspace.usecase(name) for name in names]
    jobs = every_job(workspace)
    pipelines = {usecase.name: pipelines_of(plan_of(usecase), usecase.derived) for usecase in usecases}
    kept = () if leaves_out(workspace, names) else kept_of(jobs)
    known = [*(one for some in pipelines.values() for one in some), *(one.pipeline for one in kept_of(jobs))]
    _refuse_unknown_steps(settings, known)
    here = Path.cwd()
    is_read = (here / SETTINGS_FILE).is_file() or (here / workspace.settings.plugin_dir).is_dir()
    folder = settings.folder or (str(here) if is_read else None)
    return {
        "command": list(settings.command),
        "workspace": settings.workspace or str(workspace.root.absolute()),
        "folder": folder,
        "owner": settings.owner,
        "tags": list(settings.tags),
        "retries": settings.retries,
        "retry_delay_s": _seconds(settings.retry_delay),
        "busy_wait_s": _seconds(settings.busy_wait),
        "deadline_s": None if settings.deadline is None else _seconds(settings.deadline),
        "console_url": settings.console_url.rstrip("/"),
        "mlflow_url": settings.mlflow_url.rstrip("/"),
        "usecases": [
            *(_usecase(workspace, usecase, pipelines[usecase.name], jobs) for usecase in usecases),
            *([_workspace(settings, kept)] if kept else []),
        ],
    }


def _usecase(
    workspace: "Workspace", usecase: "UseCase", pipelines: tuple[Pipeline, ...], jobs: "Sequence[Job]"
) -> "Mapping[str, Value]":
    settings = workspace.settings.dags
    of = _Subject(usecase.name, usecase.title, usecase.question, tuple(_links(settings, usecase)))
    return {
        "name": usecase.name,
        "title": usecase.title,
        "schedule": _said(schedule_of(jobs, usecase.name), of=f"the run of {usecase.name}"),
        "arrivals": _arrivals(workspace, usecase),
        "timed": [_timed(settings, of, one) for one in timed_of(jobs, usecase.name, ingest=pipelines[0])],
        "pipelines": [_pipeline(settings, of, pipeline) for pipeline in pipelines],
    }


def _workspace(settings: "DagsSettings", kept: tuple[Timed, ...]) -> "Mapping[str, Value]":
    """What is of no use case, in the form of one."""
    return {
        "name": _WORKSPACE.name,
        "title": _WORKSPACE.title,
        "schedule": None,
        "arrivals": None,
        "timed": [_timed(settings, _WORKSPACE, one) for one in kept],
        "pipelines": [],
    }


def _timed(settings: "DagsSettings", of: _Subject, one: Timed) -> "Mapping[str, Value]":
    return {
        **_pipeline(settings, of, one.pipeline),
        "schedule": _said(one.schedule, of=one.pipeline.title),
        "begins_plan": one.begins_plan,
    }


def _pipeline(settings: "DagsSettings", of: _Subject, pipeline: Pipeline) -> "Mapping[str, Value]":
    return {
        "name": pipeline.name,
        "title": pipeline.title,
        **_ids(settings.prefix, of.name, pipeline.name, pipeline.leaves),
        "doc": [
            f"### {of.title}: {pipeline.name}",
            "",
            of.question,
            "",
            f"This DAG does one part: {pipeline.title}.",
            "",
            *(f"- `{task.name}`: {task.title}" for task in pipeline.tasks),
            "",
            "Every task is a command of Trunkline that can be repeated: what is done is not done twice.",
            *of.links,
        ],
        "tasks": [_task(settings, of.name, task) for task in pipeline.tasks],
    }


def _links(settings: "DagsSettings", usecase: "UseCase") -> list[str]:
    links = []
    if settings.console_url:
        links.append(f"[runs and reports]({settings.console_url.rstrip('/')}/console/runs?usecase={usecase.name})")
    if settings.mlflow_url:
        links.append(f"[versions in MLflow]({settings.mlflow_url.rstrip('/')}/#/models/{usecase.name})")
    return ["", ", ".join(links)] if links else []


def _task(settings: "DagsSettings", usecase: str, task: PipelineTask) -> "Mapping[str, Value]":
    longest = settings.longest_of.get(task.step, settings.longest)
    said: dict[str, Value] = {
        "name": task.name,
        "group": task.group,
        "title": task.title,
        "arguments": list(task.arguments),
        "after": list(task.after),
        "longest_s": _seconds(longest),
        "refused": task.refused,
        "takes_sources": task.takes_sources,
        "takes_run_id": task.takes_run_id,
        "is_awaited": task.is_awaited,
    }
    if settings.dataproc is not None and task.computes:
        said["batch"] = batch_of(settings.dataproc, usecase, task, longest=longest)
    return said


def _ids(prefix: str, usecase: str, name: str, leaves: str) -> dict[str, "Value"]:
    return {
        "dag_id": f"{prefix}{usecase}_{name}",
        "leaves": f"{prefix}{usecase}.{leaves}" if leaves else "",
        "uri": f"trunkline://{prefix or 'workspace'}/{usecase}/{leaves}",
    }


def _arrivals(workspace: "Workspace", usecase: "UseCase") -> "Value":
    """The folders that are watched for a use case; None where there is none."""
    settings = workspace.settings.dags
    folders: list[dict[str, Value]] = [
        {
            "source": name,
            "address": str(source.path.absolute()),
            "pattern": source.pattern,
            "settle_s": source.settle_s,
            "done_marker": source.done_marker,
        }
        for name, source in workspace.settings.sources.items()
        # one with a schedule is looked into by that
        if isinstance(source, FolderSource) and source.usecase == usecase.name and source.schedule is None
    ]
    if not folders:
        return None
    title, named = "wait for files in watched folders", ", ".join(str(folder["source"]) for folder in folders)
    return {
        "name": _ARRIVALS,
        "title": title,
        **_ids(settings.prefix, usecase.name, _ARRIVALS, _ARRIVALS),
        "doc": [
            f"### {usecase.title}: {_ARRIVALS}",
            "",
            f"This DAG does nothing but {title}: {named}. Files that are whole trigger the DAG of ingestion.",
        ],
        "poll_s": _seconds(settings.poll),
        "longest_s": _seconds(_LONGEST_LOOK),
        "folders": folders,
    }


def _said(schedule: "Schedule | None", *, of: str) -> "Value":
    """Say a schedule as the timetables of Airflow take it.

    Raises:
        InputError: They cannot.
    """
    if schedule is None:
        return None
    if schedule.every is not None:
        return {"every_s": _seconds(schedule.every)}
    assert schedule.cron is not None
    return {"cron": airflow_line(schedule.cron, where=of), "zone": schedule.zone}


def _refuse_unknown_steps(settings: "DagsSettings", pipelines: "Sequence[Pipeline]") -> None:
    steps = {task.step: None for one in pipelines for task in one.tasks}
    if unknown := [name for name in settings.longest_of if name not in steps]:
        raise InputError(f"there is no step {unknown[0][:40]!r}", where="dags.longest_of", allowed=steps)


def _seconds(time: timedelta) -> int:
    return max(1, round(time.total_seconds()))
