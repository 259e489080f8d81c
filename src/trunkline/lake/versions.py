"""Versions of rows: which row of a key is the newest one, and which say that their key is gone.

Takes Ibis tables and gives Ibis tables, lazily. Refuses tables that lack a column.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from trunkline.contracts import Table
from trunkline.errors import SchemaError

if TYPE_CHECKING:
    import ibis.expr.types as ir

__all__ = ["current_rows", "demand", "newest", "present"]

_LINEAGE = ("_ingested_at", "_batch_id", "_row")


def newest(rows: ir.Table, *, key: Sequence[str], newest_by: Sequence[str], table: str) -> ir.Table:
    """Keep the newest row of each key; see :meth:`Lake.current`.

    Raises:
        SchemaError: A column is missing.
    """
    import ibis

    demand(rows.columns, [*key, *newest_by], table=table)
    ties = [name for name in _LINEAGE if name in rows.columns and name not in newest_by]
    order = [rows[name].desc(nulls_first=False) for name in (*newest_by, *ties)]
    rank = ibis.row_number().over(group_by=list(key), order_by=order)
    return rows.filter(rank == 0)


def current_rows(rows: ir.Table, said: Table, *, table: str) -> ir.Table:
    """Keep of each key the newest row, as its contract orders versions, unless that row says that the key is gone.

    Args:
        rows: All rows, with those columns that say when each came.
        said: What the contract says of the table. Without a key every row stands for itself.
        table: The table's name, for messages.

    Raises:
        SchemaError: A column is missing.
    """
    if not said.key:
        return rows
    return present(newest(rows, key=said.key, newest_by=said.version_order, table=table), said)


def present(rows: ir.Table, said: Table) -> ir.Table:
    """Leave out rows that say that their key is gone."""
    return rows if said.deleted is None else rows.filter(~rows[said.deleted].fill_null(False))


def demand(present: Sequence[str], wanted: Sequence[str], *, table: str) -> None:
    """Refuse a table that lacks a column.

    Args:
        present: The table's columns.
        wanted: Columns that it must have.
        table: The table's name, for messages.

    Raises:
        SchemaError: One of them is missing; the first is named.
    """
    missing = [name for name in wanted if name not in present]
    if missing:
        raise SchemaError(
            f"the table lacks the column {missing[0]}", where=f"table {table}", allowed=sorted(map(str, present))
        )
