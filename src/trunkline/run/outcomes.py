"""What becomes of a file, or of a piece of a pulled source, that was handed over."""

from dataclasses import dataclass

from trunkline.errors import TrunklineError
from trunkline.ingest import Ingested
from trunkline.run.resolving import Handed

__all__ = ["Outcome"]


@dataclass(frozen=True)
class Outcome:
    """What became of a file, or of a piece of a pulled source.

    Attributes:
        handed: The source.
        ingested: The receipt; None where nothing was written.
        error: What was wrong; a batch of which every row was refused has both.
        member: Which file of an archive it was; empty for any other, and for what is wrong with the archive itself.
    """

    handed: Handed
    ingested: Ingested | None
    error: TrunklineError | None
    member: str = ""
