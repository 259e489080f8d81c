"""The kinds of values a field may hold, and the one written text grammar of each.

Takes a scalar as it arrives (CSV text, a JSON scalar, a typed cell) and gives the Python value, or refuses with a
reason code. Every path judges the *text* of a value: it trims, matches the grammar, then casts. The vectorised path
(``trunkline.checks``) uses the same patterns, so that the verdict on a row is the same at the HTTP edge, on DuckDB and
on Spark. A JSON scalar that is not a string is judged by its canonical text (``true``, ``5``, ``1.5``).

Patterns stay in the subset that RE2, Rust and Java share: ASCII digits, anchors at both ends, no look-around.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Final, Literal
from zoneinfo import ZoneInfo

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

KindName = Literal["text", "integer", "number", "flag", "category", "instant", "day"]

WHITE_SPACE: Final = " \t\n\r\v\f"
"""What is trimmed from both ends of every text, and nothing else."""

TRUE_TOKENS: Final = ("true", "t", "yes", "y", "1")
FALSE_TOKENS: Final = ("false", "f", "no", "n", "0")

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

INTEGER_LIMIT: Final = 10**18
"""Whole numbers are smaller than this in size: 18 digits fit into 64 bits with room for sums."""

_DAY = r"[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
_COMPACT_DAY = r"[0-9]{4}(0[1-9]|1[0-2])(0[1-9]|[12][0-9]|3[01])"
CLOCK: Final = r"([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\.[0-9]{1,6})?)?"
OFFSET_OF_CLOCK: Final = r"(Z|[+-]([01][0-9]|2[0-3])(:?[0-5][0-9])?)"


def in_any_case(*words: str) -> str:
    """Spell out both cases: ``(?i)`` folds some letters beyond ASCII, and not the same ones on every engine."""
    return "|".join("".join(f"[{c.upper()}{c}]" if c.isalpha() else c for c in word) for word in words)


GRAMMAR: Final[Mapping[KindName, str]] = {
    # pandas writes an integer column with nulls as "361.0": a zero fraction is part of the grammar
    "integer": r"^[+-]?[0-9]{1,18}(\.0*)?$",
    "number": r"^[+-]?([0-9]{1,40}(\.[0-9]{0,40})?|\.[0-9]{1,40})([eE][+-]?[0-9]{1,3})?$",
    "flag": rf"^({in_any_case(*TRUE_TOKENS, *FALSE_TOKENS)})$",
    "instant": rf"^{_DAY}[T ]{CLOCK}{OFFSET_OF_CLOCK}$",
    # pandas writes days as midnights, and some registers as 20141013T000000
    "day": rf"^({_DAY}([T ]00:00(:00(\.0*)?)?)?|{_COMPACT_DAY}(T000000)?)$",
}
"""Anchored pattern of each kind after trimming. ``text`` and ``category`` take any text without U+0000."""

LOCAL_INSTANT: Final = rf"^{_DAY}[T ]{CLOCK}{OFFSET_OF_CLOCK}?$"
"""The grammar of an instant whose field names a time zone: the offset may be absent."""

OFFSET: Final = rf"{OFFSET_OF_CLOCK}$"
"""How an instant with an offset ends, unlike one without."""

NUL: Final = "\x00"
"""The one character that no text may hold: databases that rows are published to cannot store it."""

_ARTICLE: Final[Mapping[KindName, str]] = {
    "integer": "a whole number of at most 18 digits",
    "number": "a number",
    "flag": "a yes or no",
    "instant": "an instant with its offset from UTC",
    "day": "a day like 2026-11-22",
}

_COMPILED: Final = {name: re.compile(pattern) for name, pattern in GRAMMAR.items()}
_COMPILED_LOCAL: Final = re.compile(LOCAL_INSTANT)

Scalar = str | int | float | bool | date | datetime
"""A value of any kind, null excluded."""


class Malformed(ValueError):  # noqa: N818 - it never leaves this package as an error; it carries a reason
    """The text of a value is outside its kind's grammar, or cannot be represented."""


def canonical_text(value: object) -> str:
    """Give the text by which a scalar is judged.

    Args:
        value: A string, or a scalar as JSON or a typed column delivers it.

    Returns:
        The string itself, ``true``/``false``, ISO 8601 for dates and instants (in UTC where they have a zone), ``repr``
        for numbers. Integers beyond 64 bits are judged as floats, because that is how JSON parsers read them.

    Raises:
        Malformed: For anything that is not a scalar.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        if -(1 << 63) <= value < 1 << 64:
            return int.__repr__(value)
        try:
            return repr(float(value))
        except OverflowError:
            return "inf"
    if isinstance(value, float):
        return float.__repr__(value)
    if isinstance(value, datetime):
        try:
            return (value if value.tzinfo is None else value.astimezone(UTC)).isoformat()
        except OverflowError as error:
            raise Malformed("beyond the years 1 to 9999 in UTC") from error
    if isinstance(value, date):
        return value.isoformat()
    raise Malformed("not a scalar")


def parse(kind: KindName, value: object, *, zone: str | None = None) -> Scalar:
    """Cast a scalar to its kind by the kind's grammar.

    Args:
        kind: The kind to cast to.
        value: Text, or a scalar that is judged by its canonical text; not None.
        zone: For ``instant``: the IANA zone of texts without an offset; without it those are malformed. Of a local time
            that exists twice (clocks set back) the earlier instant is meant; one that never was (clocks set
            forward) counts by the offset that held before.

    Returns:
        ``str``, ``int`` (64 bits), finite ``float``, ``bool``, ``date``, or ``datetime`` in UTC.

    Raises:
        Malformed: The text is outside the grammar, or the value overflows.

    >>> parse("integer", " 361.0 "), parse("flag", "Yes"), parse("number", ".5")
    (361, True, 0.5)
    """
    text = canonical_text(value).strip(WHITE_SPACE)
    if kind in ("text", "category"):
        if NUL in text:
            raise Malformed("text without U+0000")
        return text
    pattern = _COMPILED_LOCAL if kind == "instant" and zone else _COMPILED[kind]
    if not pattern.fullmatch(text):
        raise Malformed(f"not {_ARTICLE[kind]}")
    if kind == "integer":
        return int(text.partition(".")[0])
    if kind == "number":
        return _finite(float(text))
    if kind == "flag":
        return text.lower() in TRUE_TOKENS
    try:
        if kind == "day":
            return date.fromisoformat(text[:10] if "-" in text else text[:8])
        instant = datetime.fromisoformat(text)
        if instant.tzinfo is None:
            instant = instant.replace(tzinfo=ZoneInfo(zone or "UTC"))
        return instant.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise Malformed(f"not {_ARTICLE[kind]}") from error


def parse_scaled(kind: KindName, value: object, *, scale: float) -> Scalar:
    """Cast a scalar to a number, multiplied from the source's unit to the field's.

    Args:
        kind: ``number`` or ``integer``.
        value: A number or its text; not None.
        scale: The factor, in 64-bit floats.

    Returns:
        A finite ``float``; for ``integer`` an ``int`` below 10^18 in size.

    Raises:
        Malformed: Not a number, an overflow, or not whole where the kind is ``integer``.
    """
    scaled = _finite(float(parse("number", value)) * scale)  # type: ignore[arg-type]  # parse("number") gives a float
    if kind != "integer":
        return scaled
    if scaled != math.floor(scaled) or abs(scaled) >= INTEGER_LIMIT:
        raise Malformed(f"not {_ARTICLE['integer']} after scaling")
    return int(scaled)


def parse_micros(text: str) -> datetime:
    """Read a whole number of microseconds since 1970 as an instant in UTC.

    Raises:
        Malformed: It is no whole number, or beyond the years 1 to 9999.
    """
    try:
        return _EPOCH + timedelta(microseconds=int(str(parse("integer", text))))
    except OverflowError as error:
        raise Malformed(f"not {_ARTICLE['instant']}") from error


def _finite(number: float) -> float:
    if not math.isfinite(number):
        raise Malformed("overflow")
    return number


@dataclass(frozen=True)
class Kind:
    """Annotation that makes a Pydantic field parse by the kind's grammar instead of Pydantic's own coercion.

    Attributes:
        name: The kind.
    """

    name: KindName

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Put the grammar before Pydantic's strict schema of the Python type."""
        name = self.name

        def by_grammar(value: object) -> Scalar:
            try:
                return parse(name, value)
            except Malformed as reason:
                raise PydanticCustomError("type", "{reason}", {"reason": str(reason)}) from None

        return core_schema.no_info_before_validator_function(by_grammar, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Describe the Python type; the grammar's text form is accepted as well."""
        return handler(schema)


Text = Annotated[str, Kind("text")]
"""Text of any content; trimmed."""
Integer = Annotated[int, Kind("integer")]
"""A whole number of at most 18 digits."""
Number = Annotated[float, Kind("number")]
"""A finite 64-bit float."""
Flag = Annotated[bool, Kind("flag")]
"""True or false, also as yes/no, y/n, t/f, 1/0 in any case."""
Instant = Annotated[datetime, Kind("instant")]
"""A point in time with its offset, kept in UTC to the microsecond."""
Day = Annotated[date, Kind("day")]
"""A calendar day, ``2026-11-22`` or ``20261122``."""
