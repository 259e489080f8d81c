"""Texts as typed values, vectorised: match the kind's written grammar, then cast; null where either fails.

Takes a trimmed text column whose nulls are NULL. No engine's own idea of a number, a truth or a date is asked: it only
sees texts that the grammar has let through.
"""

import math
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, cast

from trunkline.checks.rewriting import rewritten
from trunkline.contracts import Column
from trunkline.contracts.kinds import GRAMMAR, INTEGER_LIMIT, LOCAL_INSTANT, NUL, OFFSET, TRUE_TOKENS
from trunkline.contracts.written import form_of

if TYPE_CHECKING:
    import ibis.expr.types as ir

__all__ = ["grammar_of", "matches", "typed_value"]

_FIRST: Final = datetime(1, 1, 1, tzinfo=UTC)
_SECOND: Final = 10**6
_HOUR: Final = 3600
_LAST: Final = datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)


def grammar_of(column: Column) -> str | None:
    """Give the grammar that texts of a column must match; None for text and categories, which have none."""
    form = form_of(column)
    if form is not None:
        return form.readable
    if column.scale is not None:
        return GRAMMAR["number"]
    if column.kind == "instant" and column.zone is not None:
        return LOCAL_INSTANT
    return GRAMMAR.get(column.kind)


def matches(text: "ir.StringValue", grammar: str) -> "ir.BooleanValue":
    """Match whole texts against a grammar."""
    # \z and not $: in Java $ also matches before a line separator at the end
    return cast("ir.BooleanValue", text.re_search(grammar.removesuffix("$") + r"\z"))


def typed_value(column: Column, text: "ir.StringValue", *, known: "ir.BooleanValue | None" = None) -> "ir.Value":
    """Type a text column; see :func:`trunkline.contracts.judging.value_of` for the same on one value.

    Args:
        column: Says the kind, scale and zone.
        text: Trimmed, null tokens and mapping applied.
        known: True where the text is known to match the column's grammar, which is then not asked again.

    Returns:
        A value of the kind's type; null where the text is null or malformed.
    """
    import ibis

    grammar = grammar_of(column)
    if grammar is None:
        return cast("ir.Value", ibis.ifelse(text.re_search(rf"\x{ord(NUL):02x}"), ibis.null("string"), text))
    branches = [] if known is None else [(known, text)]
    matched = cast("ir.StringValue", ibis.cases(*branches, (matches(text, grammar), text), else_=ibis.null("string")))
    form = form_of(column)
    if form is not None:
        is_written = matches(matched, form.grammar)
        if form.counts:
            count = rewritten(form, cast("ir.StringValue", ibis.ifelse(is_written, matched, ibis.null("string"))))
            usual = cast("ir.StringValue", ibis.ifelse(is_written, ibis.null("string"), matched))
            return _in_years(_since_1970(_whole(count)).fill_null(_moment(column, usual)))
        text = rewritten(form, matched)
        matched = cast("ir.StringValue", ibis.ifelse(is_written, text, matched)) if form.also else text
    if column.scale is not None:
        return _scaled(column, matched, scale=column.scale)
    if column.kind == "flag":
        return cast("ir.Value", ibis.ifelse(matched.isnull(), ibis.null("boolean"), matched.lower().isin(TRUE_TOKENS)))
    if column.kind == "integer":
        return _whole(matched)
    if column.kind == "number":
        return _finite(matched.try_cast("float64"))
    if column.kind == "day":
        return _day(matched)
    return _in_years(_moment(column, matched))


def _whole(matched: "ir.StringValue") -> "ir.Value":
    """Cast what is before the point; the grammar lets only zeros follow it, and not every engine reads those."""
    import ibis

    before_point = matched.left(matched.find("."))
    return cast("ir.Value", ibis.ifelse(matched.contains("."), before_point, matched).try_cast("int64"))


def _finite(number: "ir.Value") -> "ir.Value":
    return number.nullif(math.inf).nullif(-math.inf)


def _scaled(column: Column, matched: "ir.StringValue", *, scale: float) -> "ir.Value":
    import ibis

    number = cast("ir.NumericValue", _finite(matched.try_cast("float64")))
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


def _since_1970(micros: "ir.Value") -> "ir.Value":
    """Read whole numbers of microseconds since 1970, less than 10^18 of them."""
    import ibis

    start = ibis.literal(datetime(1970, 1, 1, tzinfo=UTC), "timestamp('UTC', 6)")
    # engines multiply intervals by 32 bits only, so the count is taken apart; rests have its sign on every engine
    count = cast("ir.IntegerValue", micros)
    rest = count % _SECOND
    seconds = ((count - rest) / _SECOND).round().cast("int64")
    short = seconds % _HOUR
    hours = ((seconds - short) / _HOUR).round().cast("int64")
    whole = start + ibis.interval(hours=1) * hours + ibis.interval(seconds=1) * short
    return cast("ir.Value", whole + ibis.interval(microseconds=1) * rest)


def _in_years(moment: "ir.Value") -> "ir.Value":
    """Null beyond the years 1 to 9999, which neither Python nor the lake can hold."""
    import ibis

    inside = moment.between(ibis.literal(_FIRST), ibis.literal(_LAST))
    return cast("ir.Value", ibis.ifelse(inside, moment, ibis.null("timestamp('UTC', 6)")))


def _moment(column: Column, matched: "ir.StringValue") -> "ir.Value":
    """Read texts with an offset by it, others as local times of the column's zone.

    Date and clock are cast, the offset is taken apart here: engines differ in the offsets that they read.
    """
    import ibis

    offset = cast("ir.StringValue", matched.re_extract(OFFSET.removesuffix("$") + r"\z", 0))
    clock = cast("ir.StringValue", matched.left(matched.length() - offset.length()))
    hours, minutes = offset.substr(1, 2).try_cast("int64"), offset.right(2).try_cast("int64")
    size = ibis.ifelse(offset.length() > len("+hh"), hours * 60 + minutes, hours * 60)
    ahead = ibis.cases((offset == "Z", 0), (offset.startswith("-"), -size), else_=size)
    moment = clock.try_cast("timestamp('UTC', 6)") - ibis.interval(minutes=1) * ahead
    if column.zone is None:
        return cast("ir.Value", moment)
    local = _instant_at()(column.zone, clock.try_cast("timestamp(6)"))
    return cast("ir.Value", ibis.ifelse(offset == "", local, moment))


def _instant_at() -> "Callable[[str, ir.Value], ir.Value]":
    """The engine's ``instant_at(zone, clock)``, see :attr:`trunkline.engine.Engine.connection`."""
    import ibis

    def instant_at(zone: str, clock: object) -> None:
        """Stand for the builtin; it has no body here."""

    signature = (("string", "timestamp(6)"), "timestamp('UTC', 6)")
    return cast("Callable[[str, ir.Value], ir.Value]", ibis.udf.scalar.builtin(instant_at, signature=signature))
