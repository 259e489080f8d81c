"""One thing in a chain of lineage."""

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict

__all__ = ["Link"]


class Link(BaseModel):
    """One thing in a chain of lineage.

    Attributes:
        kind: answer, version, run, batch, row, superseded row, refused row, table version or training.
        identity: Its id.
        facts: What is known of it.
    """

    model_config = ConfigDict(frozen=True)

    kind: str
    identity: str
    facts: Mapping[str, str]
