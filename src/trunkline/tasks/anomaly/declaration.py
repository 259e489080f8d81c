"""What is watched for anomalies, declared as data: whose rows, which numbers, compared with which hour of the day."""

from collections.abc import Mapping
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from trunkline.errors import UseCaseError

__all__ = ["Anomalies"]


class Anomalies(BaseModel):
    """Numbers of many alike things by hour of the day, and no labels.

    Attributes:
        entity: Column that names the thing, e.g. the cell.
        at: Column that orders its rows, handed back with the scores: an instant, or a number.
        hour: Column with the hour of the day, 0 to 23; null is an hour of its own.
        values: Columns that are watched.
        amounts: Those of them that grow with the thing, at least 0: traffic, volumes, users. They are compared on a
            logarithmic scale, on which nothing at all is far from little; the others as they are.
        titles: What people call a column; absent ones keep their names.
        units: Units of columns, for people; absent ones are pure numbers.
        enough: Rows of one thing at one hour from which on it is compared with its own hour. With fewer, its usual is
            its level over the day times the fleet's course of the day.
        trees: Trees of the isolation forest.
        sampled: Most things that are learned from, drawn evenly.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    entity: str
    at: str
    hour: str
    values: tuple[str, ...] = Field(min_length=1)
    amounts: tuple[str, ...] = ()
    titles: Mapping[str, str] = {}
    units: Mapping[str, str] = {}
    enough: int = Field(default=12, ge=3)
    trees: int = Field(default=50, ge=1, le=500)
    sampled: int = Field(default=2_000, ge=1)

    @model_validator(mode="after")
    def _refuse_contradictions(self) -> Self:
        names = [self.entity, self.at, self.hour, *self.values]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise UseCaseError(f"columns are named twice: {', '.join(twice)}", where="anomalies")
        if unknown := sorted({*self.titles, *self.units, *self.amounts} - set(self.values)):
            raise UseCaseError(f"these are not watched: {', '.join(unknown)}", where="anomalies", allowed=self.values)
        return self

    def title(self, name: str) -> str:
        """What people call a column."""
        return self.titles.get(name, name)
