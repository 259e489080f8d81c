"""The reject budget: how large a share of a batch may fail before the batch is stopped as a whole.

Takes counts, gives nothing, or refuses. A batch over its budget leaves nothing behind: no row, no quarantine, no
receipt, so that the same file can come again once its export, its mapping or the budget is mended. That it came stands
among the attempts of its source (:mod:`trunkline.run.attempts`).
"""

from collections.abc import Mapping
from typing import Final

from trunkline.contracts import Table
from trunkline.errors import RowsRefusedError

__all__ = ["budget_of", "refuse_beyond_budget"]

_MOST_REASONS: Final = 8


def budget_of(table: Table, setting: float | None) -> float | None:
    """Give the budget that counts: the contract's own, else the setting's.

    Args:
        table: What the contract says of its table.
        setting: Share in [0, 1]; None is no budget.
    """
    return setting if table.reject_budget is None else table.reject_budget


def refuse_beyond_budget(
    read: int, quarantined: int, reasons: Mapping[str, int], *, budget: float | None, where: str
) -> None:
    """Look whether a batch keeps to its budget.

    Args:
        read: Rows of the batch.
        quarantined: Rows of it that broke their contract.
        reasons: How many rows failed for each reason.
        budget: Largest allowed share of refused rows in [0, 1]; None allows any.
        where: The source.

    Raises:
        RowsRefusedError: More than that share failed.

    >>> refuse_beyond_budget(100, 5, {"age.minimum": 5}, budget=0.05, where="a.csv")
    >>> refuse_beyond_budget(100, 6, {"age.minimum": 6}, budget=0.05, where="a.csv")
    Traceback (most recent call last):
        ...
    trunkline.errors.RowsRefusedError: ...
    """
    if budget is None or quarantined <= budget * read:
        return
    most = sorted(reasons.items(), key=lambda item: (-item[1], item[0]))
    shown = ", ".join(f"{reason} ({count})" for reason, count in most[:_MOST_REASONS])
    raise RowsRefusedError(
        f"{quarantined} of {read} rows ({quarantined / read:.2%}) break the contract, "
        f"the budget is {budget:.2%}: {shown}",
        read=read,
        broken=quarantined,
        budget=budget,
        reasons=dict(most),
        where=where,
        next_step="nothing was written: mend the export or the mapping (--map), or raise the budget "
        "(--reject-budget, ingest.reject_budget, or reject_budget of the contract's table), and hand it in again",
    )
