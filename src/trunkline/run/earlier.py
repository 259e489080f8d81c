"""Files that were taken in before: as the batch that they are, or as another one.

Takes content, gives what is known of it. Where the bytes of a file came under an earlier contract, mapping or dialect,
its rows would be in the table twice, which no key shows where the contract has none: ``trunkline ingest --again`` puts
the new batch in the place of the old one.
"""

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from trunkline.checks import arrow_schema
from trunkline.contracts.records import RECEIPTS, Receipt
from trunkline.errors import SourceError
from trunkline.ingest import Target
from trunkline.ingest.identity import Batch
from trunkline.ingest.receipts import CSV, INSTEAD, has_receipt, known_contents
from trunkline.run.replaced import Replacements

if TYPE_CHECKING:
    from trunkline.ingest.landing import Landed
    from trunkline.lake import Lake

__all__ = ["EarlierBatches", "known_batch"]


@dataclass
class EarlierBatches:
    """The batches of a table, as they were when a call began.

    Attributes:
        lake: The lake.
        target: The table.
        batch: Tells the batch that a file is, by the keywords ``path`` and ``piece``.
        is_one: Whether there is but one file: then all receipts are not worth a look.
    """

    lake: "Lake"
    target: Target
    batch: Callable[..., Batch]
    is_one: bool

    def has(self, path: Path, piece: "Landed") -> bool:
        """Say whether a file is a batch that was completed: its content under this contract, mapping and dialect."""
        if not self.is_one and piece.content_sha256 not in self._contents:
            return False
        return has_receipt(self.lake, self.batch(path=path, piece=piece).batch_id)

    def of(self, contents: Collection[str]) -> Mapping[str, Receipt]:
        """Look up the newest batch of each content that has rows in the table.

        Args:
            contents: SHA-256 of files.

        Returns:
            Content to receipt; a batch of which nothing was accepted, or whose place another took, is none of them.
        """
        wanted = set(contents) if self.is_one else self._contents.intersection(contents)
        if not wanted or not self.lake.exists(RECEIPTS):
            return {}
        found = self.lake.arrow(
            RECEIPTS,
            schema=arrow_schema(Receipt),
            where=lambda table: (
                (table["usecase"] == self.target.usecase)
                & (table["dataset"] == self.target.dataset)
                & table["content_sha256"].isin(list(wanted))
                & (table["accepted"] > 0)
            ),
        ).to_pylist()
        if not found:
            return {}
        replacements = Replacements(self.lake)
        receipts = sorted((Receipt(**row) for row in found), key=lambda receipt: receipt.finished_at)
        return {one.content_sha256: one for one in receipts if replacements.newest(one.batch_id) is None}

    @cached_property
    def _contents(self) -> frozenset[str]:
        return known_contents(self.lake, usecase=self.target.usecase, dataset=self.target.dataset)


def known_batch(
    earlier: Receipt, target: Target, *, mapping: Mapping[str, str], said: Mapping[str, object]
) -> Receipt | None:
    """Refuse a file of which a batch has rows in the table under something else than is said now.

    Args:
        earlier: That batch.
        target: The table.
        mapping: Source column to field name.
        said: What is said of the dialect of a CSV.

    Returns:
        The batch where it took the place of another, since the file's own id does not tell; else None.

    Raises:
        SourceError: Its contract, mapping or dialect was another one.
    """
    notes = json.loads(earlier.notes or "{}")
    changed = {
        "contract": earlier.contract_fingerprint != target.contract.fingerprint,
        "mapping": (json.loads(earlier.mapping) if earlier.mapping else {}) != dict(mapping),
        "dialect": notes.get(CSV, {}) != dict(said),
    }
    if not any(changed.values()):
        return earlier if INSTEAD in notes else None
    what = " and ".join(name for name, is_changed in changed.items() if is_changed)
    raise SourceError(
        f"{target.table} holds the rows of this file already, under another {what}; they would be there twice",
        where=f"batch {earlier.batch_id} of {earlier.source}",
        next_step=f"`trunkline ingest {target.usecase} --again {earlier.batch_id}` takes it in by what holds now,"
        " in the place of those rows",
    )
