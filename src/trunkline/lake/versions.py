"""Versions of rows: which row of a key is the newest one, and which say that their key is gone.

Takes Ibis tables and gives Ibis tables, lazily. Refuses tables that lack a column.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from trunkline.checks import arrow_type
from trunkline.contracts import Contract, Table
from trunkline.contracts.kinds import parse
from trunkline.errors import SchemaError

if TYPE_CHECKING:
    import ibis.expr.types as ir

__all__ = ["current_rows", "demand", "newest", "present", "with_whole_key"]

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


def current_rows(rows: ir.Table, contract: type[Contract], *, table: str) -> ir.Table:
    """Keep of each key the newest row, as its contract orders versions, unless that row says that the key is gone.

    Args:
        rows: All rows, with those columns that say when each came.
        contract: The contract. Without a key every row stands for itself.
        table: The table's name, for messages.

    Raises:
        SchemaError: A column is missing.
    """
    said = contract.table
    if not said.key:
        return rows
    whole = with_whole_key(rows, contract)
    return present(newest(whole, key=said.key, newest_by=said.version_order, table=table), said)


def with_whole_key(rows: ir.Table, contract: type[Contract]) -> ir.Table:
    """Give rows that are older than a field of their key what the contract imputes where a source lacks that field.

    Args:
        rows: Rows of a table of the contract; the field is null in them, or the table has no such column yet.
        contract: The contract. A field of the key that imputes nothing stays as it is.
    """
    import ibis

    filled: dict[str, ir.Value] = {}
    for column in contract.columns:
        if column.name in contract.table.key and column.impute is not None:
            imputed = ibis.literal(
                parse(column.kind, column.impute, zone=column.zone), ibis.dtype(arrow_type(column.kind))
            )
            filled[column.name] = rows[column.name].coalesce(imputed) if column.name in rows.columns else imputed
    return rows.mutate(**filled) if filled else rows


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
