"""Files whose bytes a table holds already, as another batch: under an earlier contract, mapping or dialect.

Takes copies of files, gives what is known of them. The rows of such a file would be in the table twice, which no key
shows where the contract has none: ``trunkline ingest --again`` puts the new batch in the place of the old one.
"""

import json
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from trunkline.checks import arrow_schema
from trunkline.contracts.records import RECEIPTS, Receipt
from trunkline.errors import SourceError
from trunkline.ingest import Target
from trunkline.ingest.receipts import CSV, INSTEAD
from trunkline.run.replaced import Replacements

if TYPE_CHECKING:
    from trunkline.lake import Lake

__all__ = ["earlier_batches", "known_batch"]


def earlier_batches(lake: "Lake", target: Target, contents: Collection[str]) -> Mapping[str, Receipt]:
    """Look up the newest batch of each content that has rows in the table.

    Args:
        lake: The lake.
        target: The table.
        contents: SHA-256 of the files.

    Returns:
        Content to receipt; a batch of which nothing was accepted, or whose place another took, is none of them.
    """
    if not contents or not lake.exists(RECEIPTS):
        return {}
    found = lake.arrow(
        RECEIPTS,
        schema=arrow_schema(Receipt),
        where=lambda table: (
            (table["usecase"] == target.usecase)
            & (table["dataset"] == target.dataset)
            & table["content_sha256"].isin(list(contents))
            & (table["accepted"] > 0)
        ),
    ).to_pylist()
    if not found:
        return {}
    replacements = Replacements(lake)
    receipts = sorted((Receipt(**row) for row in found), key=lambda receipt: receipt.finished_at)
    return {one.content_sha256: one for one in receipts if replacements.newest(one.batch_id) is None}


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
