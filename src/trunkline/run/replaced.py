"""Batches that were taken in again: what took the place of what, as the receipts note it.

A batch none of whose rows was good takes no place, for the rows before it stay.
"""

import json

from trunkline.checks import arrow_schema
from trunkline.contracts.records import RECEIPTS, Receipt
from trunkline.ingest.receipts import INSTEAD
from trunkline.lake import Lake

__all__ = ["Replacements"]


class Replacements:
    """What took the place of what.

    Args:
        lake: The lake.
    """

    def __init__(self, lake: Lake) -> None:
        rows = (
            lake.arrow(
                RECEIPTS,
                columns=["batch_id", "read", "accepted", "duplicates", "notes", "finished_at"],
                schema=arrow_schema(Receipt),
                where=lambda table: table["notes"].contains(f'"{INSTEAD}"'),
            ).to_pylist()
            if lake.exists(RECEIPTS)
            else []
        )
        rows.sort(key=lambda row: row["finished_at"])
        self._before: dict[str, str] = {row["batch_id"]: json.loads(row["notes"])[INSTEAD] for row in rows}
        self._newest: dict[str, str] = {}
        for row in rows:
            if row["accepted"] or row["duplicates"] or not row["read"]:
                self._newest |= dict.fromkeys(self.before(row["batch_id"]), row["batch_id"])

    def before(self, batch_id: str) -> tuple[str, ...]:
        """Give the batches whose place a batch took, the one just before it first."""
        found: list[str] = []
        while (earlier := self._before.get(batch_id)) is not None:
            found.append(earlier)
            batch_id = earlier
        return tuple(found)

    def newest(self, batch_id: str) -> str | None:
        """Give the newest batch that took the place of a batch; None where none did."""
        return self._newest.get(batch_id)
