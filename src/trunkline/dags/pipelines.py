"""The five pipelines: which steps of a plan belong together, as data.

Takes a plan, gives its pipelines in their order with the tasks of each. A step that no pipeline names (one that the
plan has got since) belongs to the last, so that it is never lost. Pure.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal

from trunkline.plan import Plan
from trunkline.spec.derived import Derived

__all__ = ["PIPELINES", "Pipeline", "PipelineKind", "PipelineTask", "pipelines_of"]


@dataclass(frozen=True)
class PipelineKind:
    """A pipeline before it meets a plan.

    Attributes:
        name: Its name, and the end of its DAG's id.
        title: What it does, for people.
        leaves: What it leaves for the next: the name of its asset.
        groups: Step to the group in which it is shown.
    """

    name: str
    title: str
    leaves: str
    groups: Mapping[str, str]


PIPELINES: Final[tuple[PipelineKind, ...]] = (
    PipelineKind("ingest", "take rows in by contract, refresh derived tables", "data", {"ingest": "validate"}),
    PipelineKind("train", "learn a candidate and track it", "candidate", {"train": "learn"}),
    PipelineKind(
        "evaluate",
        "hold the candidate against its gates; promote or refuse it",
        "verdict",
        {"evaluate": "judge", "register": "promote", "rollout": "promote"},
    ),
    PipelineKind(
        "predict",
        "score the rows by the champion, bring the scores to the sinks, look for drift",
        "predictions",
        {"predict": "score", "monitor": "watch"},
    ),
    PipelineKind("report", "write the page, let results out", "report", {"report": "report", "publish": "publish"}),
)
"""The pipelines in their order, with the steps that belong to each."""

_TRANSFORM: Final = "transform"
_SKIPPED: Final = ("register", "rollout", "predict", "monitor")
_REFRESHING: Final = "ingest"
_WATCHING: Final = "alarms"
_SCORING: Final = "predict"


@dataclass(frozen=True)
class PipelineTask:
    """One task: a command of Trunkline.

    Attributes:
        name: Its id within the pipeline.
        group: The group in which it is shown.
        title: What it does, for people.
        arguments: Of ``trunkline``, without ``--run-id``, ``--json`` and ``--workspace``.
        after: Tasks of the pipeline that must have ended.
        step: The step of the plan that it does, or is part of; ``alarms`` is none, and stands beside runs.
        refused: What exit code 3, a refused gate, means: ``pass`` goes on, ``skip`` skips the task and those after it.
        takes_sources: Whether it is handed the sources of the run.
        computes: Whether the engine of the settings computes it, so that it may run where Spark is.
        is_awaited: Whether what the pipeline leaves waits for it; what a sink is owed, and alarms, stop nobody.
        takes_run_id: Whether it is part of a run, whose id it is given.
    """

    name: str
    group: str
    title: str
    arguments: tuple[str, ...]
    after: tuple[str, ...]
    step: str
    refused: Literal["pass", "skip"] = "pass"
    takes_sources: bool = False
    computes: bool = False
    is_awaited: bool = True
    takes_run_id: bool = True


@dataclass(frozen=True)
class Pipeline:
    """Steps of a plan that Airflow runs as one DAG.

    Attributes:
        name: ``ingest``, ``train``, ``evaluate``, ``predict`` or ``report``; or what ``trunkline.dags.timed`` calls it.
        title: What it does, for people.
        leaves: What it leaves for the next pipeline; empty for nothing.
        tasks: In an order that respects ``after``.
    """

    name: str
    title: str
    leaves: str
    tasks: tuple[PipelineTask, ...]


def pipelines_of(plan: Plan, derived: Mapping[str, Derived]) -> tuple[Pipeline, ...]:
    """Sort the steps of a plan into pipelines; one that gets no step is left out.

    Args:
        plan: The plan.
        derived: The derived tables of its use case: each, and each step that leads to it, becomes a task.
    """
    home = {step: kind.name for kind in PIPELINES for step in kind.groups}
    found = []
    for kind in PIPELINES:
        names = [step.name for step in plan.steps if home.get(step.name, PIPELINES[-1].name) == kind.name]
        tasks: list[PipelineTask] = []
        for step in plan.steps:
            if step.name not in names:
                continue
            after = tuple(name for name in step.after if name in names)
            tasks += _tasks(plan, derived, kind, step.name, title=step.title, after=after)
        if tasks:
            found.append(Pipeline(kind.name, kind.title, kind.leaves, tuple(tasks)))
    return tuple(found)


def _tasks(
    plan: Plan, derived: Mapping[str, Derived], kind: PipelineKind, step: str, *, title: str, after: tuple[str, ...]
) -> list[PipelineTask]:
    own = PipelineTask(
        name=step,
        group=kind.groups.get(step, step),
        title=title,
        arguments=(step, plan.usecase),
        after=after,
        step=step,
        refused="skip" if step in _SKIPPED else "pass",
        takes_sources=step == _REFRESHING,
        computes=step == _REFRESHING,
    )
    if step == _SCORING and plan.is_published:
        delivered = PipelineTask(
            name="deliver",
            group=own.group,
            title="bring the scores to the sinks",
            arguments=("publish", plan.usecase),
            after=(step,),
            step="publish",
            is_awaited=False,
        )
        return [own, delivered]
    if step != _REFRESHING:
        return [own]
    return [*_refreshing(plan, derived, own), *_watching(plan)]


def _watching(plan: Plan) -> list[PipelineTask]:
    """The evaluation of alarms as soon as rows are there: it needs no model, and no model waits for it."""
    if not plan.is_watched:
        return []
    return [
        PipelineTask(
            name=_WATCHING,
            group="watch",
            title="judge what is watched; raise, update and clear alarms",
            arguments=("alarms", plan.usecase, "--if-any"),
            after=(_REFRESHING,),
            step=_WATCHING,
            computes=True,
            is_awaited=False,
        )
    ]


def _refreshing(plan: Plan, derived: Mapping[str, Derived], own: PipelineTask) -> list[PipelineTask]:
    """The intake, and each derived table with the steps that lead to it."""
    step = own.step
    if not plan.derived:
        return [own]
    tasks = [replace(own, title="take rows in by contract", arguments=(step, plan.usecase, "--refresh", "none"))]
    for table in plan.derived:
        before = tuple(one for one in derived[table].inputs if one in plan.derived) or (step,)
        for name in plan.derivations[table]:
            led_to = [other for other in plan.derived if name in plan.derivations[other]]
            if table == led_to[0]:  # a step that several tables begin with is shown once
                way = f"compute {name}, on the way to {' and '.join(led_to)}"
                tasks.append(
                    PipelineTask(
                        name=name,
                        group=_TRANSFORM,
                        title=f"refresh the table {name}" if name == table else way,
                        arguments=(step, plan.usecase, "--refresh", name),
                        after=before,
                        step=step,
                        computes=True,
                    )
                )
            before = (name,)
    return tasks
