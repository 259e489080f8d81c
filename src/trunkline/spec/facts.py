"""What a use case says of itself, as data: stored with a run, so that its report needs no code of that day.

Takes a :class:`~trunkline.spec.UseCase`, gives a frozen record that goes into JSON and back.
"""

from collections.abc import Mapping
from typing import Self

from pydantic import BaseModel, ConfigDict

from trunkline.spec.usecase import UseCase

__all__ = ["FieldFacts", "UseCaseFacts"]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class FieldFacts(_Record):
    """One field of the main contract, for people.

    Attributes:
        name: Its name.
        kind: Kind of its values.
        description: What it means; empty where the contract does not say.
        unit: Unit of a number; empty for pure numbers.
    """

    name: str
    kind: str = ""
    description: str = ""
    unit: str = ""


class UseCaseFacts(_Record):
    """What the use case says of itself.

    Attributes:
        name: Its name on the command line.
        title: A few words for people.
        question: The question it answers.
        metric: Scorer name of the headline metric.
        fields: Fields of the main contract.
        horizon_days: How far ahead the label looks.
        label_delay_days: Days after the horizon until the label is known.
        justified: Columns that may post-date the observation, each with the written reason.
        profit_value: What a contacted row of class True is worth; None where no profit is declared.
        profit_cost: What any contact costs, same unit.
    """

    name: str
    title: str
    question: str
    metric: str
    fields: tuple[FieldFacts, ...] = ()
    horizon_days: float = 0.0
    label_delay_days: float = 0.0
    justified: Mapping[str, str] = {}
    profit_value: float | None = None
    profit_cost: float | None = None

    @classmethod
    def of(cls, usecase: UseCase) -> Self:
        """Read the facts off a use case."""
        profit = getattr(usecase.task, "profit", None)
        return cls(
            name=usecase.name,
            title=usecase.title,
            question=usecase.question,
            metric=usecase.metric,
            fields=tuple(
                FieldFacts(name=column.name, kind=column.kind, description=column.description, unit=column.unit)
                for column in usecase.contract.columns
            ),
            horizon_days=usecase.horizon_days,
            label_delay_days=usecase.label_delay_days,
            justified=dict(usecase.justified or {}),
            profit_value=getattr(profit, "value", None),
            profit_cost=getattr(profit, "cost", None),
        )

    def field(self, name: str) -> FieldFacts:
        """Find a field; one that the contract does not know has its name only."""
        return next((field for field in self.fields if field.name == name), FieldFacts(name=name))
