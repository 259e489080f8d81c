"""What becomes of a file, or of a piece of a pulled source, that was handed over; and what was passed over, counted."""

from dataclasses import dataclass

from pydantic import BaseModel

from trunkline.errors import TrunklineError
from trunkline.ingest import Ingested
from trunkline.ingest.archives import archive_of
from trunkline.ingest.beside_data import Beside
from trunkline.run.resolving import Handed

__all__ = ["Outcome", "PassedOver", "passed_over"]


@dataclass(frozen=True)
class Outcome:
    """What became of a file, or of a piece of a pulled source.

    Attributes:
        handed: The source.
        ingested: The receipt; None where nothing was written.
        error: What was wrong; a batch of which every row was refused has both.
        member: Which file of an archive it was; empty for any other, and for what is wrong with the archive itself.
        beside: What it is where it surely holds no rows and was passed over; there is neither receipt nor error.
        files: How many files were passed over, of one kind; ``member`` is the first.
        is_part: Whether what was taken in was unpacked: the receipt is of that, not of the bytes of the source.
    """

    handed: Handed
    ingested: Ingested | None
    error: TrunklineError | None
    member: str = ""
    beside: Beside | None = None
    files: int = 1
    is_part: bool = False

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


class PassedOver(BaseModel, frozen=True):
    """Files that surely hold no rows.

    Attributes:
        kind: What they are.
        files: How many.
        first: The name of the first one.
    """

    kind: Beside
    files: int
    first: str

    def __str__(self) -> str:
        """In words.

        >>> str(PassedOver(kind="checksum", files=2, first="pm.tgz#a.csv.md5"))
        'checksum (2, the first: pm.tgz#a.csv.md5)'
        """
        several = f"{self.files}, the first: " if self.files > 1 else ""
        return f"{self.kind} ({several}{self.first})"


def passed_over(before: tuple[PassedOver, ...], outcome: Outcome) -> tuple[PassedOver, ...]:
    """Count files that were passed over to those before them; one entry for each kind."""
    if outcome.beside is None:
        return before
    counted = {one.kind: one for one in before}
    known = counted.get(outcome.beside)
    name = outcome.member if outcome.handed.path is None else outcome.handed.name
    first = name if known is None else known.first
    files = outcome.files + (known.files if known else 0)
    counted[outcome.beside] = PassedOver(kind=outcome.beside, files=files, first=first)
    return tuple(counted.values())
