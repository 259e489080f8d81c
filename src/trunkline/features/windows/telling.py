"""What was known of a thing at an instant: a join as of event time."""

from collections.abc import Mapping, Sequence
from functools import reduce
from operator import and_
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    import ibis.expr.types as ir

__all__ = ["as_of"]


def as_of(
    rows: "ir.Table",
    told: "ir.Table",
    *,
    on: Sequence[str],
    columns: Mapping[str, str],
    at: str,
    valid_from: str | None,
    key: Sequence[str],
) -> "ir.Table":
    """Add to each row what another table told of its thing at the row's instant.

    Args:
        rows: The rows.
        told: Where it is looked up; one row per thing, and per ``valid_from`` where there is one.
        on: Columns that name the thing, in both tables; null finds nothing.
        columns: Name of the added column to the column of ``told``.
        at: Column of ``rows`` with the instant.
        valid_from: Column of ``told`` since when a row is true; the newest of those not after ``at`` counts. None:
            the row of the thing is true for ever.
        key: Columns that name a row of ``rows``.

    Returns:
        As many rows as before, with the columns; null where nothing was known.
    """
    import ibis

    names = {name: f"_told_{place}" for place, name in enumerate((*on, *columns.values()))}
    said = told.select(
        **{names[name]: told[name] for name in names},
        **({"_since": told[valid_from]} if valid_from is not None else {}),
    )
    same = [rows[name] == said[names[name]] for name in on]
    if valid_from is not None:
        same.append(said["_since"] <= rows[at])
    joined = rows.left_join(said, reduce(and_, same))
    if valid_from is not None:
        rank = ibis.row_number().over(
            group_by=[joined[name] for name in key], order_by=joined["_since"].desc(nulls_first=False)
        )
        joined = joined.filter(rank == 0)
    added = {name: joined[names[column]] for name, column in columns.items()}
    return cast("ir.Table", joined.select(*rows.columns, **added))
