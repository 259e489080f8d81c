"""Columns that changed their type: so many malformed values that the column is another than the contract knows.

Takes counts, gives nothing, or refuses. What a source lacks or has new is found by its header, see
:func:`trunkline.checks.resolve_columns`.
"""

from collections.abc import Mapping

from trunkline.contracts import Table
from trunkline.errors import SchemaError

__all__ = ["refuse_retyped"]


def refuse_retyped(read: int, reasons: Mapping[str, int], *, table: Table, where: str) -> None:
    """Look whether the columns of a batch still have their types.

    Args:
        read: Rows of the batch.
        reasons: How many rows failed for each reason.
        table: Says how large a share of malformed values is too large.
        where: The source.

    Raises:
        SchemaError: A column has a larger one.

    >>> from trunkline.contracts import Table
    >>> refuse_retyped(100, {"age.type": 50}, table=Table(most_malformed=0.5), where="a.csv")
    >>> refuse_retyped(100, {"age.type": 51}, table=Table(most_malformed=0.5), where="a.csv")
    Traceback (most recent call last):
        ...
    trunkline.errors.SchemaError: ...
    """
    if table.most_malformed is None:
        return
    retyped = {
        reason.removesuffix(".type"): count
        for reason, count in reasons.items()
        if reason.endswith(".type") and count > table.most_malformed * read
    }
    if retyped:
        shown = ", ".join(f"{name} ({count} of {read} rows)" for name, count in retyped.items())
        raise SchemaError(
            f"columns have another type than the contract knows: {shown}",
            where=where,
            next_step="nothing was written: mend the export, or give the contract's field its new kind",
        )
