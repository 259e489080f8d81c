"""Indicators of groups of rows, and what counters need before: units, running totals, gaps. Pure and lazy."""

from collections.abc import Mapping, Sequence
from functools import reduce
from operator import add, and_, mul, or_
from typing import TYPE_CHECKING, Final, cast

from trunkline.errors import UnknownNameError, UseCaseError
from trunkline.features.kpi.counters import COUNTERS, UNITS, column_of
from trunkline.features.kpi.formulas import KPIS, PERIOD, Formula, Maximum, Mean, Product, Ratio, Total

if TYPE_CHECKING:
    import ibis.expr.types as ir

__all__ = ["converted", "increments", "kpis", "missed_periods", "row_kpis", "unusable"]

_NEAR: Final = 0.1
"""A running total has wrapped where it went from the last tenth of its range to the first; else it began anew."""


def kpis(rows: "ir.Table", names: Sequence[str], *, by: Sequence[str], period: str = "granularity_s") -> "ir.Table":
    """Compute indicators, one row per group.

    A period counts for a ratio only if it has all counters of that ratio, so that a gap in one of them moves nothing.

    Args:
        rows: One row per measured object and period; columns as :func:`column_of` names them.
        names: Indicators, of :data:`KPIS`.
        by: Columns that make a group, e.g. the cell and the hour.
        period: Column with the length of the period (seconds).

    Returns:
        The columns of ``by`` and a 64-bit float per indicator; null where a denominator is zero, where no period has
        the counters, or where the table lacks a counter.

    Raises:
        UnknownNameError: There is no such indicator.
    """
    if unknown := [name for name in names if name not in KPIS]:
        raise UnknownNameError(f"there is no indicator {unknown[0]!r}", allowed=KPIS)
    import ibis

    lacking = unusable(rows, names)
    usable = [name for name in names if name not in lacking]
    values = {name: _value(rows, KPIS[name].formula, period) * KPIS[name].scale for name in usable}
    grouped = rows.group_by(*by).aggregate(**values)
    return grouped.mutate(**{name: ibis.null("float64") for name in lacking}).select(*by, *names)


def row_kpis(rows: "ir.Table", names: Sequence[str], *, period: str = "granularity_s") -> "ir.Table":
    """Compute indicators of each row by itself, where a row is all there is of an object and period.

    What :func:`kpis` gives grouped by object and period, without the grouping.

    Args:
        rows: One row per measured object and period; columns as :func:`column_of` names them.
        names: Indicators, of :data:`KPIS`.
        period: Column with the length of the period (seconds).

    Returns:
        The rows with a 64-bit float per indicator; null as in :func:`kpis`.

    Raises:
        UnknownNameError: There is no such indicator.
    """
    if unknown := [name for name in names if name not in KPIS]:
        raise UnknownNameError(f"there is no indicator {unknown[0]!r}", allowed=KPIS)
    import ibis

    lacking = unusable(rows, names)
    return rows.mutate(
        **{
            name: ibis.null("float64")
            if name in lacking
            else _value(rows, KPIS[name].formula, period, by_row=True) * KPIS[name].scale
            for name in names
        }
    )


def unusable(rows: "ir.Table", names: Sequence[str]) -> Mapping[str, tuple[str, ...]]:
    """Say which indicators a table cannot give, and the counters that it lacks for them.

    Args:
        rows: A table of counters.
        names: Indicators, of :data:`KPIS`.
    """
    lacking = {
        name: tuple(counter for counter in KPIS[name].counters if column_of(counter) not in rows.columns)
        for name in names
    }
    return {name: counters for name, counters in lacking.items() if counters}


def converted(rows: "ir.Table", units: Mapping[str, str]) -> "ir.Table":
    """Bring counters from a vendor's units to those of the specifications.

    Args:
        rows: A table of counters.
        units: Counter to the unit that its column has.

    Raises:
        UnknownNameError: There is no such counter or unit.
        UseCaseError: The unit measures something else.
    """
    changed: dict[str, ir.Value] = {}
    for name, unit in units.items():
        if name not in COUNTERS:
            raise UnknownNameError(f"there is no counter {name!r}", allowed=COUNTERS)
        if unit not in UNITS:
            raise UnknownNameError(f"there is no unit {unit!r}", allowed=UNITS)
        (measures, size), (wanted, one) = UNITS[unit], UNITS[COUNTERS[name].unit]
        if measures != wanted:
            raise UseCaseError(
                f"{name} is counted in {COUNTERS[name].unit or 'events'}, which is never {unit}",
                where="units of counters",
                allowed=[other for other, (kind, _) in UNITS.items() if kind == wanted],
            )
        changed[column_of(name)] = _number(rows, name) * (size / one)
    return rows.mutate(**changed)


def increments(
    rows: "ir.Table", counters: Sequence[str], *, by: Sequence[str], at: str, bits: int | None = None
) -> "ir.Table":
    """Turn running totals, as some vendors export them, into what was counted since the row before.

    Args:
        rows: One row per measured object and period.
        counters: Counters whose columns hold running totals.
        by: Columns that name the measured object.
        at: Column that orders its rows.
        bits: Width of the totals, after which they begin at 0 again; None where they never wrap.

    Returns:
        The rows, with increments in place of totals, and ``is_reset``: a total of this row is lower than before and has
        not wrapped, so its element was restarted. What it counts since then is its increment, and is less than what
        happened. The first row of an object has none: null. A null total counts with the row before it: the next known
        total holds what was counted since the last known one.
    """
    import ibis

    modulus = None if bits is None else float(2**bits)
    known = rows
    before = [f"_before_{column_of(name)}" for name in counters]
    for name, column in zip(counters, before, strict=True):
        known = _with_last_known(known, _number(known, name), column, by=by, at=at)
    values: dict[str, ir.Value] = {}
    resets: list[ir.BooleanValue] = []
    for name, column in zip(counters, before, strict=True):
        total, last = _number(known, name), cast("ir.FloatingValue", known[column])
        fell = total < last
        grown = cast("ir.FloatingValue", total - last)
        if modulus is None:
            values[column_of(name)] = fell.ifelse(total, grown)
            resets.append(fell)
            continue
        wrapped = fell & (last >= modulus * (1 - _NEAR)) & (total <= modulus * _NEAR)
        values[column_of(name)] = ibis.cases((wrapped, grown + modulus), (fell, total), else_=grown)
        resets.append(fell & ~wrapped)
    return known.mutate(**values, is_reset=reduce(or_, (reset.fill_null(False) for reset in resets))).drop(*before)


def _with_last_known(
    rows: "ir.Table", total: "ir.FloatingValue", column: str, *, by: Sequence[str], at: str
) -> "ir.Table":
    """Add the last known total before each row; engines differ in how a window leaves nulls out, so none has to."""
    import ibis

    until = ibis.window(group_by=list(by), order_by=at, preceding=None, following=0)
    counted = rows.mutate(_total=total, _known=total.count().over(until))
    filled = counted.mutate(_filled=counted["_total"].max().over(group_by=[*by, "_known"]))
    last = filled["_filled"].lag().over(group_by=list(by), order_by=at)
    return filled.mutate(**{column: last}).drop("_total", "_known", "_filled")


def missed_periods(
    rows: "ir.Table", *, by: Sequence[str], begin_at: str = "begin_at", period: str = "granularity_s"
) -> "ir.Table":
    """Flag gaps: how many periods of an object are missing right before each of its rows.

    Args:
        rows: One row per measured object and period.
        by: Columns that name the measured object.
        begin_at: Column with the begin of the period, an instant.
        period: Column with the length of the period (seconds).

    Returns:
        The rows with ``missed_periods``, 0 where none is missing, and for the first row of an object.
    """
    import ibis

    begin = cast("ir.TimestampValue", rows[begin_at])
    window = ibis.window(group_by=list(by), order_by=begin)
    since = begin.epoch_seconds() - cast("ir.TimestampValue", begin.lag().over(window)).epoch_seconds()
    missed = (since / cast("ir.NumericValue", rows[period])).round().cast("int64") - 1
    return rows.mutate(missed_periods=ibis.greatest(missed.fill_null(0), 0))


def _number(rows: "ir.Table", counter: str) -> "ir.FloatingValue":
    return cast("ir.FloatingValue", rows[column_of(counter)].cast("float64"))


def _value(rows: "ir.Table", formula: Formula, period: str, *, by_row: bool = False) -> "ir.FloatingValue":
    import ibis

    def number(counter: str) -> "ir.FloatingValue":
        return cast("ir.FloatingValue", rows[period].cast("float64")) if counter == PERIOD else _number(rows, counter)

    def total(weights: Mapping[str, float], where: "ir.BooleanValue") -> "ir.FloatingValue":
        terms = (number(name) * weight for name, weight in weights.items())
        if by_row:
            return cast("ir.FloatingValue", where.ifelse(reduce(add, terms), ibis.null("float64")))
        return cast("ir.FloatingValue", reduce(add, terms).sum(where=where))

    def whole(names: Sequence[str]) -> "ir.BooleanValue":
        return cast("ir.BooleanValue", reduce(and_, (number(name).notnull() for name in names)))

    match formula:
        case Ratio(above, below):
            where = whole((*above, *below))
            return cast("ir.FloatingValue", total(above, where) / total(below, where).nullif(0.0))
        case Product(ratios):
            return cast(
                "ir.FloatingValue", reduce(mul, (_value(rows, ratio, period, by_row=by_row) for ratio in ratios))
            )
        case Mean(counter):
            if by_row:
                return cast(
                    "ir.FloatingValue", number(PERIOD).nullif(0.0).isnull().ifelse(ibis.null(), number(counter))
                )
            where = whole((counter, PERIOD))
            weighted = (number(counter) * number(PERIOD)).sum(where=where)
            return cast("ir.FloatingValue", weighted / number(PERIOD).sum(where=where).nullif(0.0))
        case Maximum(counter):
            return number(counter) if by_row else cast("ir.FloatingValue", number(counter).max())
        case Total(counters):
            return total(counters, whole(tuple(counters)))
