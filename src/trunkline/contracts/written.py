"""Values written otherwise than a contract writes them: German dates, decimal commas, counts since 1970.

Each form has one anchored grammar, in the same subset as those of the kinds, and a rewriting of what matches to the
canonical text of its kind; from there on the kind's own grammar and cast apply. So every path does the same three
things: match, rewrite, cast. What is rewritten stays a matter of text: parts of the match, put together anew.

Beside its form, a field of days or instants reads the kind's own texts, which no form can be taken for: typed cells of
spreadsheets and databases have them. Nothing is guessed: 03/04/2026 is the third of April where the field says
DD/MM/YYYY. Numbers have one form, because 1.234 is another number with a decimal comma than without.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Final, Literal

from trunkline.contracts.kinds import CLOCK, GRAMMAR, LOCAL_INSTANT, OFFSET_OF_CLOCK, KindName, Malformed, in_any_case

if TYPE_CHECKING:
    from trunkline.contracts.columns import Column

__all__ = [
    "DECIMALS",
    "MONTHS",
    "THOUSANDS",
    "WRITTEN",
    "Part",
    "Written",
    "WrittenName",
    "form_of",
    "with_named_groups",
    "written_as",
]

WrittenName = Literal[
    "DD.MM.YYYY",
    "D.M.YYYY",
    "DD/MM/YYYY",
    "D/M/YYYY",
    "MM/DD/YYYY",
    "M/D/YYYY",
    "DD-MM-YYYY",
    "DD-MON-YYYY",
    "YYYY/MM/DD",
    "YYYY.MM.DD",
    "YYYYMMDD",
    "YYYYMMDDHHMMSS",
    "epoch_s",
    "epoch_ms",
    "epoch_us",
    "epoch_ns",
]
"""How days and instants may be written. D and M may lack their leading zero; MON is an English month, three letters."""

DECIMALS: Final = (".", ",")
"""Marks before decimals."""

THOUSANDS: Final = (".", ",", " ")
"""Marks between groups of three digits; a space may be one that does not break, too."""

_NAMES: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
MONTHS: Final[Mapping[str, str]] = {name: f"{number:02}" for number, name in enumerate(_NAMES, start=1)}
"""English month names in lower case, and their numbers."""

_Y, _M, _D = "([0-9]{4})", "(0[1-9]|1[0-2])", "(0[1-9]|[12][0-9]|3[01])"
_SHORT_M, _SHORT_D = "(0?[1-9]|1[0-2])", "(0?[1-9]|[12][0-9]|3[01])"
_MON = f"({in_any_case(*MONTHS)})"
_SPACES: Final = (" ", "\u00a0", "\u202f")
_INSIDE: Final = re.compile(r"\((?!\?)")


@dataclass(frozen=True)
class Part:
    """A group of a match, on its way into the canonical text.

    Attributes:
        group: Its number; 1 is the first. A group without a match is empty.
        how: As it is, filled up with zeros to two digits, as the number of a month's name, or 0 where it is empty.
    """

    group: int
    how: Literal["as_is", "two_digits", "month", "or_zero"] = "as_is"


@dataclass(frozen=True)
class Written:
    """One way to write values of a kind.

    Attributes:
        grammar: What texts must match to be rewritten, anchored.
        example: A text that does.
        also: The grammar of the canonical texts that are read as well; empty for none.
        parts: What the canonical text consists of, groups of the match and texts between them; empty: the whole text.
        replaced: Texts replaced everywhere in it before, e.g. a comma by a point.
        counts: Whether the canonical text is a whole number of microseconds since 1970, and not one of its kind.
    """

    grammar: str
    example: str
    parts: tuple[Part | str, ...] = ()
    replaced: tuple[tuple[str, str], ...] = ()
    counts: bool = False
    also: str = ""
    _compiled: re.Pattern[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Compile the grammar."""
        object.__setattr__(self, "_compiled", re.compile(self.grammar))

    @property
    def readable(self) -> str:
        """The grammar of all texts that are read, anchored."""
        return f"^(?:{_body(self.grammar)}|{_body(self.also)})$" if self.also else self.grammar

    def canonical(self, text: str) -> str | None:
        """Rewrite one trimmed text; the vectorised path does the same in :mod:`trunkline.checks.rewriting`.

        Returns:
            The canonical text; None where the text is to be read as it is.

        Raises:
            Malformed: It is outside the grammar, and nothing else is read.
        """
        found = self._compiled.fullmatch(text)
        if found is None:
            if self.also:
                return None
            raise Malformed(f"not written like {self.example}")
        text = "".join([part if isinstance(part, str) else _shaped(part, found) for part in self.parts]) or text
        for old, new in self.replaced:
            text = text.replace(old, new)
        return text


def _body(grammar: str) -> str:
    return grammar.removeprefix("^").removesuffix("$")


def _shaped(part: Part, found: re.Match[str]) -> str:
    text = found[part.group] or ""
    if part.how == "two_digits":
        return text.rjust(2, "0")
    if part.how == "month":
        return MONTHS[text.lower()]
    return text or "0" if part.how == "or_zero" else text


@dataclass(frozen=True)
class _Day:
    """A form of days: its grammar with one group each for year, month and day, and the parts that give 2026-11-22."""

    grammar: str
    example: str
    parts: tuple[Part | str, ...]


def _day(grammar: str, example: str, *, order: str, how: Literal["as_is", "two_digits"] = "as_is") -> _Day:
    year, month, day = (order.index(letter) + 1 for letter in "ymd")
    named = Part(month, "month" if _MON in grammar else how)
    return _Day(grammar, example, (Part(year), "-", named, "-", Part(day, how)))


_DAYS: Final[Mapping[WrittenName, _Day]] = {
    "DD.MM.YYYY": _day(rf"{_D}\.{_M}\.{_Y}", "22.11.2026", order="dmy"),
    "D.M.YYYY": _day(rf"{_SHORT_D}\.{_SHORT_M}\.{_Y}", "2.1.2026", order="dmy", how="two_digits"),
    "DD/MM/YYYY": _day(f"{_D}/{_M}/{_Y}", "22/11/2026", order="dmy"),
    "D/M/YYYY": _day(f"{_SHORT_D}/{_SHORT_M}/{_Y}", "22/1/2026", order="dmy", how="two_digits"),
    "MM/DD/YYYY": _day(f"{_M}/{_D}/{_Y}", "11/22/2026", order="mdy"),
    "M/D/YYYY": _day(f"{_SHORT_M}/{_SHORT_D}/{_Y}", "1/22/2026", order="mdy", how="two_digits"),
    "DD-MM-YYYY": _day(f"{_D}-{_M}-{_Y}", "22-11-2026", order="dmy"),
    "DD-MON-YYYY": _day(f"{_D}-{_MON}-{_Y}", "22-Nov-2026", order="dmy"),
    "YYYY/MM/DD": _day(f"{_Y}/{_M}/{_D}", "2026/11/22", order="ymd"),
    "YYYY.MM.DD": _day(rf"{_Y}\.{_M}\.{_D}", "2026.11.22", order="ymd"),
    "YYYYMMDD": _day(f"{_Y}{_M}{_D}", "20261122", order="ymd"),
}
_COMPACT: Final = rf"{_Y}{_M}{_D}([01][0-9]|2[0-3])([0-5][0-9])([0-5][0-9])"
_COMPACT_PARTS: Final = (Part(1), "-", Part(2), "-", Part(3), "T", Part(4), ":", Part(5), ":", Part(6), Part(7))
_COUNTS: Final[Mapping[WrittenName, Written]] = {
    "epoch_s": Written(r"^([+-]?[0-9]{1,12})(\.0*)?$", "1795342500", (Part(1), "000000"), counts=True),
    "epoch_ms": Written(r"^([+-]?[0-9]{1,15})(\.0*)?$", "1795342500000", (Part(1), "000"), counts=True),
    "epoch_us": Written(r"^([+-]?[0-9]{1,18})(\.0*)?$", "1795342500000000", (Part(1),), counts=True),
    # what is finer than a microsecond is cut off, towards 1970
    "epoch_ns": Written(
        r"^(([+-]?[0-9]{1,18})[0-9]{3}|[+-]?[0-9]{1,3})(\.0*)?$",
        "1795342500000000000",
        (Part(2, "or_zero"),),
        counts=True,
    ),
}

WRITTEN: Final[Mapping[KindName, tuple[WrittenName, ...]]] = {
    "day": tuple(_DAYS),
    "instant": (*_DAYS, "YYYYMMDDHHMMSS", *_COUNTS),
}
"""Which forms a kind has."""


def form_of(column: "Column") -> Written | None:
    """Give the form in which the values of a column are written; None for the kind's own."""
    if column.written is not None:
        return written_as(column.written, column.kind, has_zone=column.zone is not None)
    if column.decimal is None and column.thousands is None:
        return None
    whole = column.kind == "integer" and column.scale is None
    return _number(column.decimal or ".", column.thousands or "", whole=whole)


@lru_cache(maxsize=256)
def written_as(name: WrittenName, kind: KindName, *, has_zone: bool = False) -> Written:
    """Give a form of days or instants by its name.

    Args:
        name: One of ``WRITTEN[kind]``.
        kind: ``day`` or ``instant``.
        has_zone: Whether instants may lack their offset.
    """
    also = LOCAL_INSTANT if has_zone else GRAMMAR[kind]
    if name in _COUNTS:
        return replace(_COUNTS[name], also=also)
    offset = OFFSET_OF_CLOCK + ("?" if has_zone else "")
    end = "" if has_zone else "+01:00"
    if name == "YYYYMMDDHHMMSS":
        return Written(f"^{_COMPACT}({offset})$", f"20261122101500{end}", _COMPACT_PARTS, also=also)
    day = _DAYS[name]
    if kind == "day":
        return Written(rf"^{day.grammar}([T ]00:00(:00(\.0*)?)?)?$", day.example, day.parts, also=also)
    grammar = f"^{day.grammar}([T ]{CLOCK}{offset})$"
    return Written(grammar, f"{day.example} 10:15:00{end}", (*day.parts, Part(4)), also=also)


@lru_cache(maxsize=64)
def _number(decimal: str, thousands: str, *, whole: bool) -> Written:
    """Numbers with a decimal comma or marks between thousands.

    Where no mark is a point, a decimal point is read as well: JSON and typed columns write their numbers with one.
    """
    points = re.escape(decimal) if thousands == "." or decimal == "." else r"[.,]"
    most = 18 if whole else 40
    digits = f"[0-9]{{1,{most}}}"
    if thousands:
        marks = _SPACES if thousands == " " else (re.escape(thousands),)
        mark = f"[{''.join(marks)}]" if thousands == " " else marks[0]
        digits = f"({digits}|[0-9]{{1,3}}({mark}[0-9]{{3}}){{1,{most // 3 - 1}}})"
    if whole:
        grammar, example = rf"^[+-]?{digits}({points}0*)?$", "1234"
    else:
        grammar = rf"^[+-]?({digits}({points}[0-9]{{0,40}})?|{points}[0-9]{{1,40}})([eE][+-]?[0-9]{{1,3}})?$"
        example = "1234.5"
    taken = tuple((mark, "") for mark in (_SPACES if thousands == " " else (thousands,)) if mark)
    grouped = f"1{thousands}{example[1:]}"
    shown = grouped[: -len(".5")] + decimal + "5" if not whole else grouped
    return Written(grammar, shown, replaced=(*taken, *(((decimal, "."),) if decimal != "." else ())))


def with_named_groups(grammar: str) -> str:
    """Name the groups of a form's grammar ``g1``, ``g2``, ..., for engines that hand out groups by name."""
    numbers = iter(range(1, 100))
    return _INSIDE.sub(lambda _: f"(?P<g{next(numbers)}>", grammar)
