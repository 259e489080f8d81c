"""What the steps of taking in and of letting out leave in the lake."""

from pydantic import BaseModel, ConfigDict

from trunkline.contracts.records import Receipt
from trunkline.run.outcomes import PassedOver

__all__ = ["IngestDocument", "RegisterDocument", "RolloutDocument"]


class _Document(BaseModel):
    model_config = ConfigDict(frozen=True)


class IngestDocument(_Document):
    """What was taken in.

    Attributes:
        receipts: One per batch; files of the same content are one batch.
        known: Batches of those that had been ingested by an earlier run.
        known_files: Files whose content had been ingested before, by an earlier run or under another name in this one.
        batches: Batches of the main dataset, in the order of the files.
        derived: One per derived table that was refreshed.
        simulated: Whether the rows come from the simulator.
        best_score: The best score possible on simulated rows.
        handed: SHA-256 of each file that was handed over, see :class:`trunkline.run.steps.handed.HandedFiles`; None in
            documents of versions that kept none.
        passed_over: Files that surely hold no rows and that nobody named, by what they are.
        unreachable: Declared sources that could not be reached, where the run goes on with what the lake has.
    """

    receipts: tuple[Receipt, ...]
    known: tuple[str, ...]
    batches: tuple[str, ...]
    known_files: int = 0
    derived: tuple[Receipt, ...] = ()
    simulated: bool = False
    best_score: float | None = None
    unreachable: tuple[str, ...] = ()
    handed: tuple[str, ...] | None = None
    passed_over: tuple[PassedOver, ...] = ()

    @property
    def totals(self) -> dict[str, int]:
        """Rows read, accepted, quarantined and duplicate over all receipts."""
        return {
            name: sum(getattr(receipt, name) for receipt in self.receipts)
            for name in ("read", "accepted", "quarantined", "duplicates")
        }


class RegisterDocument(_Document):
    """Which version the candidate became.

    Attributes:
        version: The version.
        unchanged: Whether the candidate equals the champion, so that no version was made: ``version`` is the champion.
    """

    version: str
    unchanged: bool = False


class RolloutDocument(_Document):
    """Which alias the version was given.

    Attributes:
        version: The version.
        alias: The alias.
        previous: The version that had the alias before; None for the first.
    """

    version: str
    alias: str
    previous: str | None
