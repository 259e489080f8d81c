"""Texts as typed values, vectorised: match the kind's written grammar, then cast; null where either fails.

Takes a trimmed text column whose nulls are NULL. No engine's own idea of a number, a truth or a date is asked: it only
sees texts that the grammar has let through.
"""

import math
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, cast

from trunkline.contracts import Column
from trunkline.contracts.kinds import GRAMMAR, INTEGER_LIMIT, LOCAL_INSTANT, NUL, OFFSET, TRUE_TOKENS

if TYPE_CHECKING:
    import ibis.expr.types as ir

__all__ = ["typed_value"]

_FIRST: Final = datetime(1, 1, 1, tzinfo=UTC)
_LAST: Final = datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)


def typed_value(column: Column, text: "ir.StringValue") -> "ir.Value":
    """Type a text column; see :func:`trunkline.contracts.judging.value_of` for the same on one value.

    Args:
        column: Says the kind, scale and zone.
        text: Trimmed, null tokens and mapping applied.

    Returns:
        A value of the kind's type; null where the text is null or malformed.
    """
    import ibis

    if column.kind in ("text", "category"):
        return cast("ir.Value", ibis.ifelse(text.re_search(rf"\x{ord(NUL):02x}"), ibis.null("string"), text))
    if column.scale is not None:
        return _scaled(column, text, scale=column.scale)
    if column.kind == "flag":
        matched = _matched(text, GRAMMAR["flag"])
        return cast("ir.Value", ibis.ifelse(matched.isnull(), ibis.null("boolean"), matched.lower().isin(TRUE_TOKENS)))
    if column.kind == "integer":
        return _matched(text, GRAMMAR["integer"]).try_cast("int64")
    if column.kind == "number":
        return _finite(_matched(text, GRAMMAR["number"]).try_cast("float64"))
    if column.kind == "day":
        return _day(_matched(text, GRAMMAR["day"]))
    if column.zone is None:
        return _in_years(_matched(text, GRAMMAR["instant"]).try_cast("timestamp('UTC', 6)"))
    return _in_years(_zoned(_matched(text, LOCAL_INSTANT), column.zone))


def _matched(text: "ir.StringValue", grammar: str) -> "ir.StringValue":
    import ibis

    # \z and not $: in Java $ also matches before a line separator at the end
    return cast(
        "ir.StringValue", ibis.ifelse(text.re_search(grammar.removesuffix("$") + r"\z"), text, ibis.null("string"))
    )


def _finite(number: "ir.Value") -> "ir.Value":
    return number.nullif(math.inf).nullif(-math.inf)


def _scaled(column: Column, text: "ir.StringValue", *, scale: float) -> "ir.Value":
    import ibis

    number = cast("ir.NumericValue", _finite(_matched(text, GRAMMAR["number"]).try_cast("float64")))
    scaled = cast("ir.NumericValue", _finite(number * ibis.literal(float(scale), "float64")))
    if column.kind == "number":
        return scaled
    whole = cast("ir.IntegerValue", scaled.try_cast("int64"))
    fits = (whole.cast("float64") == scaled) & (scaled.abs() < float(INTEGER_LIMIT))
    return cast("ir.Value", ibis.ifelse(fits, whole, ibis.null("int64")))


def _day(matched: "ir.StringValue") -> "ir.Value":
    import ibis

    compact = ~matched.contains("-")
    dashed = matched.left(4) + "-" + matched.substr(4, 2) + "-" + matched.substr(6, 2)
    day = ibis.ifelse(compact, dashed, matched.left(10)).try_cast("date")
    return cast("ir.Value", ibis.ifelse(day >= ibis.literal(_FIRST.date()), day, ibis.null("date")))


def _in_years(moment: "ir.Value") -> "ir.Value":
    """Null beyond the years 1 to 9999, which neither Python nor the lake can hold."""
    import ibis

    inside = moment.between(ibis.literal(_FIRST), ibis.literal(_LAST))
    return cast("ir.Value", ibis.ifelse(inside, moment, ibis.null("timestamp('UTC', 6)")))


def _zoned(matched: "ir.StringValue", zone: str) -> "ir.Value":
    """Take texts with an offset as they are, others as local times of a zone.

    Of a local time that exists twice DuckDB takes the later instant; the contract means the earlier one. The earlier
    has the offset that held a day before, if with that offset the clock shows the same local time.
    """
    import ibis

    instant_at = _timezone("timestamp(6)", "timestamp('UTC', 6)")
    clock_at = _timezone("timestamp('UTC', 6)", "timestamp(6)")
    day = ibis.interval(days=1)
    local = matched.try_cast("timestamp(6)")
    later = instant_at(zone, local)
    turned_back = clock_at(zone, later - day) - (local - day)
    earlier = later - turned_back
    in_zone = ibis.ifelse(clock_at(zone, earlier) == local, earlier, later)
    moment = matched.try_cast("timestamp('UTC', 6)")
    return cast("ir.Value", ibis.ifelse(matched.re_search(OFFSET), moment, in_zone))


def _timezone(takes: str, gives: str) -> "Callable[[str, ir.Value], ir.Value]":
    """The engine's ``timezone(zone, time)``: a clock's time to the instant, or an instant to what the clock shows."""
    import ibis

    def timezone(zone: str, time: object) -> None:
        """Stand for the builtin; it has no body here."""

    builtin = ibis.udf.scalar.builtin(timezone, signature=(("string", takes), gives))
    return cast("Callable[[str, ir.Value], ir.Value]", builtin)
