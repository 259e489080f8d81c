"""What every declared source says: where its rows go, how its columns are called, and when it is asked."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, Field, field_validator, model_validator

from trunkline.spec.cron import cron_line
from trunkline.spec.dialect import CsvDialect

__all__ = ["DocumentMode", "FileSpec", "RowMode", "Schedule", "SourceSpec", "refuse_loose_cursor"]

RowMode = Annotated[
    Literal["full", "incremental", "snapshot"],
    Field(
        description="full: everything each time; incremental: what lies after the cursor's newest value; snapshot: "
        "everything, the newest row per key."
    ),
]
"""What is read each time of a table or a query."""

DocumentMode = Annotated[
    Literal["full", "incremental"],
    Field(description="full: everything each time; incremental: what lies after the cursor's newest value."),
]
"""What is read each time of a collection."""


class Schedule(BaseModel, frozen=True, extra="forbid"):
    """When a source is asked: every so often, or at the times of a cron line.

    Attributes:
        every: Time between two pulls; None where ``cron`` says when.
        cron: Five fields: minute, hour, day of month, month, day of week.
        zone: IANA zone in which ``cron`` is read.
    """

    every: timedelta | None = Field(None, gt=timedelta(0), description="Time between two pulls.")
    cron: str | None = Field(None, description="Minute, hour, day of month, month, day of week, e.g. '5 * * * *'.")
    zone: str = Field("UTC", description="IANA zone in which the cron line is read.")

    @model_validator(mode="after")
    def _one(self) -> "Schedule":
        if (self.every is None) == (self.cron is None):
            raise ValueError("say either `every` or `cron`")
        return self

    @field_validator("cron")
    @classmethod
    def _readable(cls, cron: str | None) -> str | None:
        if cron is not None:
            cron_line(cron)
        return cron

    @field_validator("zone")
    @classmethod
    def _known(cls, zone: str) -> str:
        try:
            ZoneInfo(zone)
        except (KeyError, ValueError, OSError):
            raise ValueError(f"{zone[:40]!r} is no IANA time zone") from None
        return zone


class SourceSpec(BaseModel, frozen=True, extra="forbid"):
    """What all sources have in common.

    Attributes:
        usecase: The use case its rows belong to.
        dataset: The dataset; None is the main one, or for files the one that their columns tell.
        columns: Source column to field name, beside the contract's own aliases.
        schedule: When it is asked; None only when somebody asks for it.
    """

    usecase: str = Field(description="The use case its rows belong to.")
    dataset: str | None = Field(
        None, description="The dataset of its rows; none: the main one, of files as columns tell."
    )
    columns: Mapping[str, str] = Field({}, description="Source column to field name, beside the contract's aliases.")
    schedule: Schedule | None = Field(None, description="When it is asked; none only when somebody asks for it.")


class FileSpec(SourceSpec):
    """What sources of files have in common.

    Attributes:
        csv: The dialect of its CSV files; what it leaves open is as ``ingest.csv`` of the settings says.
    """

    csv: CsvDialect = Field(
        CsvDialect(), description="The dialect of its CSV files, in the names of `ingest.csv`, over which it goes."
    )


def refuse_loose_cursor(mode: str, cursor: str | None) -> None:
    """Refuse a cursor that nothing follows, and a pull that would follow none.

    Raises:
        ValueError: Only one of the two is there; a validator turns it into a ``ValidationError``.
    """
    if (mode == "incremental") != (cursor is not None):
        raise ValueError("`cursor` belongs to mode = 'incremental', and only to it")
