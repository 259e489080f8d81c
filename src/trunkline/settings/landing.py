"""Settings of the landing zone: whether raw files are kept, and for how long."""

from datetime import timedelta

from pydantic import BaseModel, Field

__all__ = ["LandingSettings"]


class LandingSettings(BaseModel, frozen=True, extra="forbid"):
    """What is kept of the raw files and pages that come in."""

    keep_files: bool = Field(
        True,
        description="Keep a compressed copy of each file that is handed over by its path, so that it can be taken in "
        "again. What is pulled from SQL, REST and object stores always lands.",
    )
    retention: timedelta | None = Field(
        timedelta(days=90),
        ge=timedelta(0),
        description="Time for which raw files are kept (days); none keeps them for ever. `trunkline maintain` removes "
        "older ones.",
    )
