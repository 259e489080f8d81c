"""Rows that name what is not there, as an Ibis expression over the rows and the table that they refer to."""

from functools import reduce
from operator import and_
from typing import TYPE_CHECKING, cast

from trunkline.contracts import Reference

if TYPE_CHECKING:
    import ibis.expr.types as ir

__all__ = ["missing_rows"]


def missing_rows(rows: "ir.Table", there: "ir.Table", reference: Reference) -> "ir.Table":
    """Find the rows whose reference is missing.

    Args:
        rows: Typed rows with the reference's fields.
        there: Rows of the dataset that it names, with its fields there.
        reference: The reference.

    Returns:
        The rows that name what is not there. A row in which one of the fields is null names nothing, as in SQL.
    """
    named = rows.filter([rows[name].notnull() for name in reference.columns])
    pairs = zip(reference.columns, reference.to, strict=True)
    condition = reduce(and_, (named[name] == there[to] for name, to in pairs))
    return cast("ir.Table", named.anti_join(there, condition))
