"""From both forms to one: rows of server, metric, instant and value, and percentiles by hour of the day. Ibis, lazy."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from trunkline.usecases.response_time.contracts import APPLICATION, COLUMNS, RESPONSE_TIME

if TYPE_CHECKING:
    import ibis.expr.types as ir

__all__ = ["PERCENTILES", "long_form", "percentiles"]

PERCENTILES = (50, 60, 75, 90, 99)
"""Percentiles of the response time that are shown by server and hour of the day."""


def long_form(tables: "Mapping[str, ir.Table]") -> "ir.Table":
    """Put all that is known into long form; what both forms tell counts as the long one tells it.

    Args:
        tables: ``hours`` and ``metrics``, or one of them.
    """
    import ibis

    parts = []
    if "metrics" in tables:
        parts.append(tables["metrics"].select("application", "server", "metric", "at", "value"))
    if "hours" in tables:
        parts.append(_melted(tables["hours"]))
    if len(parts) == 1:
        return parts[0]
    told = parts[0].select("server", "metric", hour=parts[0]["at"].truncate("h")).distinct()
    wide = parts[1].anti_join(
        told,
        [
            parts[1]["server"] == told["server"],
            parts[1]["metric"] == told["metric"],
            parts[1]["at"].truncate("h") == told["hour"],
        ],
    )
    return ibis.union(parts[0], wide.select("application", "server", "metric", "at", "value"))


def _melted(hours: "ir.Table") -> "ir.Table":
    import ibis

    values = ibis.array([ibis.struct({"column": name, "value": hours[name].cast("float64")}) for name in COLUMNS])
    melted = hours.select("at", one=values).unnest("one")
    melted = melted.select("at", column=melted["one"]["column"], value=melted["one"]["value"])
    melted = melted.filter(melted["value"].notnull())
    server, metric = (
        melted["column"].cases(*((name, said[place]) for name, said in COLUMNS.items())) for place in (0, 1)
    )
    return melted.select(application=ibis.literal(APPLICATION), server=server, metric=metric, at="at", value="value")


def percentiles(tables: "Mapping[str, ir.Table]") -> "ir.Table":
    """Percentiles of the response time by server and hour of the day (UTC).

    Args:
        tables: As in :func:`long_form`.
    """
    rows = long_form(tables)
    rows = rows.filter(rows["metric"] == RESPONSE_TIME)
    rows = rows.mutate(hour_of_day=rows["at"].hour().cast("int64"))
    return rows.group_by("application", "server", "hour_of_day").aggregate(
        hours=rows.count(),
        **{f"p{percent}_ms": rows["value"].quantile(percent / 100) for percent in PERCENTILES},
    )
