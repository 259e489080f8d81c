"""Where rows come from, said as data: what a use case declares, and the settings file under ``[sources]``.

A source is named, goes to one dataset of one use case, and may carry a schedule that the built-in scheduler and the
generated DAGs share. Secrets are ``SecretStr``; nothing here connects to anything, ``trunkline.ingest`` does.
"""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, Field, SecretStr, field_validator, model_validator

__all__ = [
    "AnySource",
    "FolderSource",
    "ObjectSource",
    "Schedule",
    "SourceSpec",
    "SqlSource",
]


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
        if self.cron is not None and len(self.cron.split()) != 5:
            raise ValueError("a cron line has five fields: minute, hour, day of month, month, day of week")
        return self

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
        dataset: The dataset; None is the main one.
        columns: Source column to field name, beside the contract's own aliases.
        schedule: When it is asked; None only when somebody asks for it.
    """

    usecase: str = Field(description="The use case its rows belong to.")
    dataset: str | None = Field(None, description="The dataset its rows belong to; none is the main one.")
    columns: Mapping[str, str] = Field({}, description="Source column to field name, beside the contract's aliases.")
    schedule: Schedule | None = Field(None, description="When it is asked; none only when somebody asks for it.")


class SqlSource(SourceSpec):
    """A table or query of a database that SQLAlchemy reaches: PostgreSQL, MariaDB, MySQL, SQLite.

    Attributes:
        url: SQLAlchemy URL with its credentials.
        table: Table to read, with its schema where it needs one.
        query: A SELECT instead of a table.
        mode: ``full`` reads everything each time; ``incremental`` what lies after the cursor's newest value;
            ``snapshot`` everything, the newest row per key of the contract.
        cursor: Column that only grows, for ``incremental``.
        overlap: How far an incremental pull goes back behind the newest value of a time cursor, for late commits.
        piece_rows: Rows per landed piece.
    """

    kind: Literal["sql"]
    url: SecretStr = Field(description="SQLAlchemy URL with its credentials, e.g. postgresql+psycopg://user@host/db.")
    table: str | None = Field(None, description="Table to read, with its schema where it needs one.")
    query: str | None = Field(None, description="A SELECT instead of a table.")
    mode: Literal["full", "incremental", "snapshot"] = Field(
        "full",
        description="full: everything each time; incremental: what lies after the cursor's newest value; snapshot: "
        "everything, the newest row per key.",
    )
    cursor: str | None = Field(None, description="Column that only grows, for incremental pulls.")
    overlap: timedelta = Field(
        timedelta(0), ge=timedelta(0), description="How far an incremental pull goes back, for rows committed late."
    )
    piece_rows: int = Field(1_000_000, ge=1, description="Rows per landed piece (rows).")

    @model_validator(mode="after")
    def _whole(self) -> "SqlSource":
        if (self.table is None) == (self.query is None):
            raise ValueError("say either `table` or `query`")
        if (self.mode == "incremental") != (self.cursor is not None):
            raise ValueError("`cursor` belongs to mode = 'incremental', and only to it")
        return self


class ObjectSource(SourceSpec):
    """Files in an object store: each new or changed object is a batch.

    Attributes:
        url: ``s3://bucket/prefix/*.csv``, ``gs://...`` or ``abfss://...``; ``*`` and ``**`` as in a shell.
        options: Options of the store, e.g. ``endpoint_override``; without them the usual environment variables count.
    """

    kind: Literal["objects"]
    url: str = Field(description="s3://bucket/prefix/*.csv, gs://... or abfss://...; * and ** as in a shell.")
    options: Mapping[str, SecretStr] = Field(
        {}, description="Options of the store, e.g. endpoint_override; else its own environment variables count."
    )


class FolderSource(SourceSpec):
    """A folder of this machine in which files appear.

    Attributes:
        path: The folder.
        pattern: Which of its files, as in a shell.
        settle_s: A file is whole when its size and time have not changed for so long, in seconds.
        done_marker: Suffix of an empty file that says that its namesake is whole; empty for none.
        afterwards: What becomes of a file that was taken in.
        archive: Folder for ``afterwards = "archive"``.
    """

    kind: Literal["folder"]
    path: Path = Field(description="The folder.")
    pattern: str = Field("*", description="Which of its files, as in a shell.")
    settle_s: float = Field(
        2.0, ge=0, description="A file is whole when its size and time have not changed for so long (seconds)."
    )
    done_marker: str = Field("", description="Suffix of the empty file that says that its namesake is whole.")
    afterwards: Literal["keep", "archive", "delete"] = Field(
        "keep", description="What becomes of a file that was taken in."
    )
    archive: Path | None = Field(None, description="Folder for afterwards = 'archive'.")

    @model_validator(mode="after")
    def _whole(self) -> "FolderSource":
        if (self.afterwards == "archive") != (self.archive is not None):
            raise ValueError("`archive` belongs to afterwards = 'archive', and only to it")
        return self


AnySource = Annotated[SqlSource | ObjectSource | FolderSource, Field(discriminator="kind")]
"""Any declared source, told apart by ``kind``."""
