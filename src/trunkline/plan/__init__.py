"""From a use case to its steps, as data: what ``trunkline run`` executes here and the DAG renderer hands to Airflow.

A plan is a pure function of the use case. Steps do not call each other; each reads what earlier ones left in the lake.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Literal

from trunkline.errors import UnknownNameError
from trunkline.spec import UseCase
from trunkline.spec.derived import refresh_order

__all__ = ["STEPS", "Plan", "Step", "StepName", "plan_of"]

StepName = Literal["ingest", "train", "evaluate", "register", "rollout", "predict", "monitor", "report", "publish"]
"""Name of a step, also of its command."""

STEPS: Final[tuple[StepName, ...]] = (
    "ingest",
    "train",
    "evaluate",
    "register",
    "rollout",
    "predict",
    "monitor",
    "report",
    "publish",
)
"""Every step there is, in their order."""

_TITLES: Final[dict[StepName, str]] = {
    "ingest": "take rows in by contract",
    "train": "learn a candidate",
    "evaluate": "judge it by the gates",
    "register": "put it into the registry",
    "rollout": "let it out",
    "predict": "score the rows",
    "monitor": "read drift and performance",
    "report": "write the report",
    "publish": "bring tables to the sinks",
}


@dataclass(frozen=True)
class Step:
    """One step of a plan.

    Attributes:
        name: Its name, also the command's.
        title: What it does, for people.
        after: Steps that must have finished.
    """

    name: StepName
    title: str
    after: tuple[StepName, ...]


@dataclass(frozen=True)
class Plan:
    """The ordered steps of a use case.

    Attributes:
        usecase: The use case's name.
        steps: In an order that respects ``after``.
        derived: Derived tables in the order in which the ingest step refreshes them.
        derivations: The steps that lead to each of them, the last of which is the table.
        is_published: Whether the use case declares what its sinks get.
        is_watched: Whether it watches series, whose alarms are evaluated beside its runs.
    """

    usecase: str
    steps: tuple[Step, ...]
    derived: tuple[str, ...] = ()
    derivations: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    is_published: bool = False
    is_watched: bool = False

    def until(self, last: str | None) -> "Plan":
        """Cut the plan after a step.

        Raises:
            UnknownNameError: The plan has no such step.
        """
        if last is None:
            return self
        names = [step.name for step in self.steps]
        if last not in names:
            raise UnknownNameError(f"there is no step {last!r} in the plan of {self.usecase!r}", allowed=names)
        return replace(self, steps=self.steps[: names.index(last) + 1])


def plan_of(usecase: UseCase) -> Plan:
    """Lay out the steps of a use case.

    Args:
        usecase: The use case; one without a task is taken in and reported: it has no model to make, or to watch. It
            is published where it declares what.
    """
    published: tuple[StepName, ...] = ("publish",) if usecase.publish else ()
    names: tuple[StepName, ...] = STEPS if usecase.task is not None else ("ingest", "report", *published)
    steps = []
    for position, name in enumerate(names):
        title = f"{_TITLES[name]}, refresh derived tables" if name == "ingest" and usecase.derived else _TITLES[name]
        steps.append(Step(name, title, names[position - 1 : position] if position else ()))
    derived = refresh_order(usecase.derived)
    return Plan(
        usecase.name,
        tuple(steps),
        derived,
        {name: (*usecase.derived[name].steps, name) for name in derived},
        is_published=bool(usecase.publish),
        is_watched=usecase.watched is not None,
    )
