"""What becomes of a file, or of a piece of a pulled source, that was handed over."""

from dataclasses import dataclass

from trunkline.errors import TrunklineError
from trunkline.ingest import Ingested
from trunkline.ingest.archives import archive_of
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

    @property
    def source(self) -> str:
        """What receipts name it by: a file's path, ``ARCHIVE#FILE``, or the name of a source that is pulled."""
        if self.ingested is not None:
            return self.ingested.receipt.source
        if self.handed.path is None:
            return self.handed.name
        if self.member:
            return f"{archive_of(self.handed.path)[0]}#{self.member}"
        return self.handed.origin or str(self.handed.path)
