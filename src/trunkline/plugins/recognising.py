"""In which form the values of a column are written, where a contract does not read them as they are.

Takes the different values of a column; gives a column of a contract that reads all of them, what it cannot tell, or
nothing. A form that could be another one is never taken: days that may begin with the month or the day, and numbers
whose only mark may be that of thousands or decimals, are left to the author.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Final

from trunkline.contracts import Column
from trunkline.contracts.judging import value_of
from trunkline.contracts.kinds import KindName, Malformed
from trunkline.contracts.written import WRITTEN, WrittenName, form_of

__all__ = ["Recognised", "counted_since_1970", "recognised"]

_SWAPPED: Final[dict[WrittenName, WrittenName]] = {"DD/MM/YYYY": "MM/DD/YYYY", "D/M/YYYY": "M/D/YYYY"}
"""Forms that differ in their order alone."""

_CODE: Final = re.compile(r"0[0-9]")
_MARKS: Final = ((",", None), (None, ","), (",", "."), (",", " "), (None, " "))
_FROM, _TO = 946_684_800, 2_208_988_800
"""2000 and 2040, in seconds since 1970."""

_UNITS: Final[tuple[tuple[WrittenName, int], ...]] = (
    ("epoch_s", 1),
    ("epoch_ms", 10**3),
    ("epoch_us", 10**6),
    ("epoch_ns", 10**9),
)
_SURE: Final = ("epoch_ms",)
"""Counts of so many digits are hardly anything else; others may number customers, cards or messages."""

_TIME: Final = re.compile(
    r"(^|_)(at|on|ts|time|times|date|epoch|when|since|until|from|to|start|started|end|ended|begin|began|created|updated"
    r"|modified|changed|seen|expires|expiry|observed|received|sent|timestamp|timestamps)_*($|_)|time(stamp)?_*$"
)


@dataclass(frozen=True)
class Recognised:
    """A form that was found.

    Attributes:
        column: Reads the values; of the kind that they are.
        unsure: What they may be written like, where nothing tells which; the column is of text then.
    """

    column: Column
    unsure: str = ""


def recognised(distinct: Collection[str], *, is_personal: bool = False) -> Recognised | None:
    """Look for a form of days, instants or numbers that all values have.

    Args:
        distinct: The different values, trimmed, nulls left out; one at least.
        is_personal: Whether they reach or name people, and are no numbers then.
    """
    return _days(distinct) or (None if is_personal else _numbers(distinct))


def counted_since_1970(name: str, distinct: Collection[str]) -> Column | None:
    """Look whether whole numbers are instants of the years 2000 to 2040.

    Args:
        name: The field's name, which has to speak of time where the numbers do not tell enough.
        distinct: The different values, trimmed, nulls left out.
    """
    if not distinct or not all(re.fullmatch(r"[0-9]{10,19}(\.0*)?", value) for value in distinct):
        return None
    counts = [int(value.partition(".")[0]) for value in distinct]
    for unit, factor in _UNITS:
        is_told = unit in _SURE or _TIME.search(name)
        if is_told and all(_FROM * factor <= count < _TO * factor for count in counts):
            return _column("instant", written=unit)
    compact = _column("instant", written="YYYYMMDDHHMMSS", zone="UTC")
    return compact if all(value[:2] in ("19", "20") for value in distinct) and _reads(compact, distinct) else None


def _days(distinct: Collection[str]) -> Recognised | None:
    kinds: tuple[tuple[KindName, str | None], ...] = (("day", None), ("instant", None), ("instant", "UTC"))
    for kind, zone in kinds:
        for written in WRITTEN["day"]:
            column = _column(kind, written=written, zone=zone)
            if not _reads(column, distinct):
                continue
            other = _SWAPPED.get(written)
            if other is not None and _reads(replace(column, written=other), distinct):
                return Recognised(_column("text"), f"{written} or {other}")
            return Recognised(column)
    return None


def _numbers(distinct: Collection[str]) -> Recognised | None:
    if any(_CODE.match(value) for value in distinct):
        return None
    found: list[Column] = []
    for decimal, thousands in _MARKS:
        kinds: tuple[KindName, ...] = ("integer", "number") if thousands else ("number",)
        columns = [_column(kind, decimal=decimal, thousands=thousands) for kind in kinds]
        reading = next((column for column in columns if _reads(column, distinct)), None)
        if reading is not None:
            found.append(reading)
    if not found:
        return None
    if {(",", None), (None, ",")} <= {(column.decimal, column.thousands) for column in found}:
        return Recognised(_column("text"), "1,234 with a comma of thousands or of decimals")
    return Recognised(found[0])


def _reads(column: Column, distinct: Collection[str]) -> bool:
    form = form_of(column)
    assert form is not None, "only columns with a form are asked for"
    for value in distinct:
        try:
            if form.canonical(value) is None:
                return False  # the kind's own texts are no sign of the form
            value_of(column, value)
        except Malformed:
            return False
    return True


def _column(
    kind: KindName,
    *,
    written: WrittenName | None = None,
    zone: str | None = None,
    decimal: str | None = None,
    thousands: str | None = None,
) -> Column:
    return Column("value", kind, nullable=True, written=written, zone=zone, decimal=decimal, thousands=thousands)
