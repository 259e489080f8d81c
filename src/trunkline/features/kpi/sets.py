"""Counter sets: the counters of one object and period may come as several rows, one per ``measInfo`` of the file.

Takes rows with the name of their set, gives one row per object and period with each counter from the set that has it.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    import ibis.expr.types as ir

__all__ = ["joined_sets"]


def joined_sets(
    rows: "ir.Table",
    *,
    by: Sequence[str] = ("cell_name",),
    at: str = "begin_at",
    counter_set: str = "counter_set",
    period: str = "granularity_s",
) -> "ir.Table":
    """Join the counter sets of each object and period, lazily.

    Objects that have one set are handed on as they are, and cost no grouping.

    Args:
        rows: One row per object, period and set: the newest where one came again. Columns that begin with ``_`` say
            when a row came.
        by: Columns that name the measured object.
        at: Column with the begin of the period.
        counter_set: Column with the name of the set; a table without it has one row per object and period.
        period: Column with the length of the period (seconds).

    Returns:
        One row per object and begin of a period: ``by``, ``at``, ``period`` and the counters. Where sets of one begin
        differ in length, those of the shortest that counted anything are joined: a ratio over two lengths means
        nothing. A counter that several sets have is that of the row that came last and has it (``_ingested_at``,
        ``_batch_id``, ``_row``, where the table has them), and then of the set whose name comes first.
    """
    import ibis

    key = (*by, at)
    came = [name for name in ("_ingested_at", "_batch_id", "_row") if name in rows.columns]
    counters = [name for name in rows.columns if name not in (*key, period, counter_set) and not name.startswith("_")]
    told = [*key, period, *counters]
    if counter_set not in rows.columns:
        return rows.select(told)
    sets = rows.group_by(*by).aggregate(_sets=rows[counter_set].nunique())
    several = sets.filter(sets["_sets"] > 1).select(*by)
    alone = rows.anti_join(several, list(by)).select(told)

    parts = rows.semi_join(several, list(by))
    order = [*(parts[name].desc() for name in came), parts[counter_set]]
    length = cast("ir.NumericColumn", parts[period])
    parts = parts.select(
        *told,
        _place=ibis.row_number().over(group_by=list(key), order_by=order),
        _shortest=length.min(where=ibis.coalesce(*(parts[name] for name in counters)).notnull()).over(
            group_by=list(key)
        ),
    )
    parts = parts.filter((parts[period] == parts["_shortest"]) | parts["_shortest"].isnull())
    joined = parts.group_by(*key).aggregate(
        **{period: cast("ir.NumericColumn", parts[period]).min()},
        **{name: parts[name].argmin(parts["_place"], where=parts[name].notnull()) for name in counters},
    )
    return alone.union(joined.select(told))
