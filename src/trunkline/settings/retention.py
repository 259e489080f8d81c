"""Settings of retention: how long tables keep their rows, and where archives go."""

from collections.abc import Mapping

from pydantic import BaseModel, Field, SecretStr, field_validator

from trunkline.contracts.retention import Aging, KeepRows

__all__ = ["RetentionSettings", "TableRetention"]


class TableRetention(BaseModel, frozen=True, extra="forbid"):
    """How long one table keeps its rows; wins over its contract."""

    days: float | None = Field(gt=0, description="Age at which rows go (days); none keeps them for ever.")
    by: Aging = Field(
        "event",
        description="From when on the age counts: event is the contract's event time, where that is null and in "
        "ingestion always the time the row came.",
    )
    archive: bool = Field(default=True, description="Whether rows are archived, and found whole there, before they go.")

    @property
    def keep_rows(self) -> KeepRows | None:
        """The same as a contract says it."""
        return None if self.days is None else KeepRows(days=self.days, by=self.by, archive=self.archive)


class RetentionSettings(BaseModel, frozen=True, extra="forbid"):
    """What `trunkline maintain` lets go of, and where it goes."""

    archive: str = Field(
        "",
        description="Where archives go: a folder, or s3://bucket/folder/, gs://..., abfss://...; empty means `archive` "
        "in the workspace. Archives that were made stay where they are when it changes.",
    )
    archive_options: Mapping[str, SecretStr] = Field(
        {}, description="Options of the store, e.g. endpoint_override; else its own environment variables count."
    )
    tables: Mapping[str, TableRetention] = Field(
        {},
        description='Retention by table, e.g. `[retention.tables."churn.calls"]` with `days = 400`; also of '
        "platform.predictions, .outcomes, .readings, .alerts, .quarantine, .jobs and .exports.",
    )

    @field_validator("archive")
    @classmethod
    def _of_a_store(cls, archive: str) -> str:
        if "://" in archive and not archive.startswith(("s3://", "gs://", "abfs://", "abfss://", "file:///")):
            raise ValueError("it must be a folder, or begin with s3://, gs://, abfss:// or file:///")
        return archive
