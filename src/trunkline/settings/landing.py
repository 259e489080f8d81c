"""Settings of the landing zone: whether raw files are kept, and for how long."""

from datetime import timedelta
from typing import Literal

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
    archived_files: Literal["remove", "list"] = Field(
        "remove",
        description="What an erasure does with a file that holds the person and that a watched folder moved into its "
        "archive: `remove` it as a whole, like a raw copy, or `list` it, where a law demands that the file stays.",
    )
