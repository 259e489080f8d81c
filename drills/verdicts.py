"""One verdict on a row, whoever judges it: the edge, Pydantic, blocks of a file, DuckDB and Spark.

Makes rows of text over the grammar of every kind of field: valid, nearly valid, with white space of many sorts, digits
of other scripts, signs, exponents, overflow, dates, instants with offsets and local times around changes of clocks,
null tokens, truths, categories, patterns and lengths. Each row is judged in all five ways; reasons and typed values
(floats to the bit, instants to the microsecond) must be the same. Rows that an engine loses or doubles are counted as
well. Prints one JSON line; the first differences are on standard error.
"""

import argparse
import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Any, ClassVar, Final, Literal, get_args

import pyarrow as pa
from pydantic import ValidationError, create_model

from trunkline.checks import (
    ROW,
    BlockJudge,
    arrow_schema,
    edge_validator,
    resolve_columns,
    split_expression,
    unfused,
)
from trunkline.contracts import Contract, Day, Flag, Instant, Integer, Number, Rule, Table, Text, col, field
from trunkline.contracts.written import WrittenName
from trunkline.engine import Engine, open_engine
from trunkline.settings.engine import EngineSettings

AT_ONCE: Final = 50_000
SHOWN: Final = 20

Row = Mapping[str, str | None]
Texts = Callable[[Random], str | None]
Judge = Callable[[type[Contract], Sequence[Row]], "Judged"]

# Fields of every kind


class Wide(Contract):
    """Rules that read imputed, refused and absent values; numbers that overflow where whole numbers would not.

    A row whose flag says that its key is gone may leave out what others need.
    """

    table: ClassVar[Table] = Table(
        key=("name",),
        deleted="flag",
        rules=(
            Rule("b_below_a", col("b") <= col("a")),
            Rule("a_is_there", ~col("a").is_null() | col("flag")),
            Rule("ordered", col("first_at") <= col("last_at")),
            Rule("born_before", col("born_on") != col("died_on")),
            Rule("not_dsl", ~((col("kind") == "dsl") & col("flag"))),
            Rule("share", (col("a") / col("x")) < 1e6),
            Rule("product", col("a") * col("x") * col("b") != 12.5),
        ),
    )

    name: Text = field(max_length=5)
    a: Integer | None = field(minimum=0)
    b: Integer = field(impute=7, maximum=9)
    x: Number | None = field(minimum=-1, maximum=1)
    flag: Flag | None = field()
    kind: Literal["dsl", "fiber"]
    first_at: Instant | None = field()
    last_at: Instant | None = field(zone="Europe/Berlin")
    born_on: Day
    died_on: Day | None = field()


# Texts of every kind

WHITE: Final = " \t\n\r\v\f"
NOT_WHITE: Final = "\u00a0\u2003\u0085\u2028\u2029\u200b\ufeff\x1c\x1f\u3000\u1680"
"""White space elsewhere, but not in the grammar: never trimmed."""
ALPHABET: Final = (
    "0123456789+-.eE_,/:TZzdDfFlLxX '\"\\%$"
    + WHITE
    + NOT_WHITE
    + "\x00\x07\u0661\uff15\u0967\u017f\u0130\u212aébnNaAyes"
)
NULLS: Final = ("", "NA", "N/A", "NULL", "null", "None", "NaN", "nan", "?", "Null", "n/a", "-")
CORNERS: Final = (
    *("1_000", "5.", ".5", ".", "+", "-", "", " ", "NaN", "nan", "inf", "-Infinity", "1e400", "1e-400", "0x10", "1,5"),
    *("007", "+5", "9" * 18, "9" * 19, "-" + "9" * 18, "5e-324", "2e-324", "1.7976931348623157e308", "5d", "5f"),
    *("1.7976931348623159e308", "0.1e1", "123456789012345678.0", "-0", "-0.0", "4.35", "2.2250738585072011e-308"),
    *("2026-02-29", "2024-02-29", "2026-02-30", "20260230", "20141013T000000", "2026-01-01T00:00:00", "1900-02-29"),
    *("2026-01-01 00:00", "2026-01-01T00:00:00.000000000", "0000-01-01", "9999-12-31", "0001-01-01T00:00:00Z"),
    *("0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59-00:01", "1582-10-10"),
    *("2026-06-30T23:59:60Z", "2026-01-01T24:00:00Z", "2026-03-29 02:30", "2026-10-25 02:30", "true", "TRUE"),
    *("2026-01-01T00:00-00", "2026-01-01T00:00+23:59", "2026-01-01 00:00:00-2359", "2026-01-01T00:00+18:01"),
    *("ye\u017f", "\u0661", "\uff15", "a\x00b", "\x00", "\ud7ff", "\U0001f600" * 8, "\U0001f600" * 9, "1e5", "1E+05"),
    *("5\u0085", "5\u2028", "5\n", "\u00a05", "\ufeff5", "vf5", "a\rb.", "a\u2028b.", "a\nb.", "a\u0085b.."),
)


def texts(usual: Texts) -> Texts:
    """A usual text as it is, or with something around it, or with one character changed; or anything."""

    def text(chance: Random) -> str | None:
        which = chance.random()
        if which < 0.02:
            return None
        if which < 0.06:
            return chance.choice(CORNERS)
        if which < 0.08:
            return chance.choice(NULLS)
        if which < 0.10:
            return "".join(chance.choice(ALPHABET) for _ in range(chance.randrange(24)))
        if which < 0.11:
            return "".join(chr(_code_point(chance)) for _ in range(chance.randrange(12)))
        made = usual(chance) or ""
        if which < 0.55:
            return made
        if which < 0.8:
            return _padding(chance) + made + _padding(chance)
        at = chance.randrange(len(made) + 1)
        new = "".join(chance.choice(ALPHABET) for _ in range(chance.randrange(3)))
        return made[:at] + new + made[at + 1 :]

    return text


def _code_point(chance: Random) -> int:
    found = chance.randrange(chance.choice((0x80, 0x800, 0x10000, 0x110000)))
    return found if not 0xD800 <= found < 0xE000 else 0xFFFD


def _padding(chance: Random) -> str:
    alphabet = WHITE if chance.random() < 0.7 else WHITE + NOT_WHITE
    return "".join(chance.choice(alphabet) for _ in range(chance.randrange(4)))


def one_of(*usual: str) -> Texts:
    """Any of these."""
    return lambda chance: chance.choice(usual)


def either(*usual: Texts) -> Texts:
    """Any text of any of these."""
    return lambda chance: chance.choice(usual)(chance)


def digits(chance: Random, most: int = 20) -> str:
    """One ASCII digit or more."""
    return "".join(chance.choice("0123456789") for _ in range(chance.randrange(1, most + 1)))


def whole(chance: Random) -> str:
    """A whole number, or nearly one."""
    if chance.random() < 0.4:
        return str(chance.randrange(-10, 50))
    if chance.random() < 0.3:
        return str(chance.randrange(-(10**20), 10**20))
    return chance.choice(("", "", "+", "-")) + digits(chance) + chance.choice(("", "", ".", ".0", ".000", ".5"))


def number(chance: Random) -> str:
    """A number, or nearly one."""
    which = chance.random()
    if which < 0.3:
        return repr(chance.uniform(-1, 1) * 10.0 ** chance.randrange(-320, 309))
    if which < 0.5:
        return f"{chance.uniform(-1e6, 1e6):.{chance.randrange(12)}f}"
    fraction = chance.choice(("", ".", ".5", ".125", "." + digits(chance, 41), ",5"))
    exponent = chance.choice(
        ("", "", "e5", "E-7", "e+300", "e-320", "e-323", "e308", "e400", "e1234", "e", "e+", "e05")
    )
    return chance.choice(("", "", "+", "-")) + chance.choice((digits(chance, 41), "")) + fraction + exponent


def flag(chance: Random) -> str:
    """A truth in any mixture of cases."""
    said = chance.choice(("true", "false", "t", "f", "yes", "no", "y", "n", "0", "1", "on", "oui", "01", "yE\u017f"))
    return "".join(chance.choice((letter, letter.upper())) for letter in said)


def _year(chance: Random) -> str:
    if chance.random() < 0.3:
        return chance.choice(("0000", "0001", "1582", "1899", "1900", "1969", "1970", "2024", "9999", "10000", "20"))
    return f"{chance.randrange(1, 10_000) if chance.random() < 0.5 else chance.randrange(1950, 2050):04}"


def day(chance: Random) -> str:
    """A day, or nearly one."""
    year, month, dom = _year(chance), f"{chance.randrange(14):02}", f"{chance.randrange(33):02}"
    if chance.random() < 0.6:
        month, dom = f"{chance.randrange(1, 13):02}", f"{chance.randrange(1, 29):02}"
    if chance.random() < 0.3:
        return year + month + dom + chance.choice(("", "T000000", "T010000", "T00:00"))
    midnight = chance.choice(("", "", "T00:00", " 00:00:00", "T00:00:00.000", "T00:00:01", " 00:00:00."))
    return f"{year}-{month}-{dom}{midnight}"


def _clock(chance: Random) -> str:
    hour = chance.randrange(24 if chance.random() < 0.9 else 26)
    minute = chance.choice(("00", "15", "30", "59", f"{chance.randrange(60):02}", "60"))
    micro = digits(chance, 7)
    return f"{hour:02}:{minute}" + chance.choice(
        ("", ":00", ":59", ":60", ":07.1", f":{micro[:2]}", f":07.{micro}", ":07.", ":7")
    )


def _offset(chance: Random) -> str:
    if chance.random() < 0.5:
        return chance.choice(("Z", "+00:00", "+01:00", "+02"))
    sign, hour, minute = chance.choice("+-"), f"{chance.randrange(25):02}", f"{chance.randrange(61):02}"
    return chance.choice(
        (f"{sign}{hour}:{minute}", f"{sign}{hour}{minute}", sign + hour, "", "z", "+1", " UTC", "+1:00")
    )


def instant(chance: Random) -> str:
    """An instant with its offset, or nearly one."""
    days = (
        day(chance)
        if chance.random() < 0.3
        else f"{_year(chance)}-{chance.randrange(1, 13):02}-{chance.randrange(1, 29):02}"
    )
    return days + chance.choice(("T", " ", "T", " ", "t", "  ")) + _clock(chance) + _offset(chance)


_CHANGES: Final = (
    *("2026-03-29", "2026-10-25", "2026-04-05", "2026-10-04", "2011-12-29", "2011-12-30", "2011-12-31"),
    *("2026-03-08", "2026-11-01", "1916-04-30", "1945-05-24", "1947-05-11", "1883-11-18", "1893-04-01", "2036-10-26"),
)


def local(chance: Random) -> str:
    """A local time; often near a change of clocks of the zones above."""
    end = chance.choice(("", "", "", "", "Z", "+02:00", "-0330"))
    if chance.random() < 0.5:
        clock = f"{chance.randrange(4) if chance.random() < 0.8 else chance.randrange(24):02}:{chance.randrange(60):02}"
        return f"{chance.choice(_CHANGES)} {clock}{chance.choice(('', ':00', ':59.999999'))}{end}"
    at = datetime(1971, 1, 2) + timedelta(microseconds=chance.randrange(66 * 365 * 86_400 * 10**6))  # noqa: DTZ001 - local
    return at.isoformat(sep=chance.choice(" T"), timespec=chance.choice(("minutes", "seconds", "auto"))) + end


_EPOCHS: Final = (253_402_300_800 * 10**6, -62_135_596_800 * 10**6, 0, 1_795_342_500 * 10**6)


def count_of(chance: Random) -> str:
    """Seconds since 1970, or thousandths of them and so on; or nearly."""
    if chance.random() < 0.1:
        return instant(chance)
    micros = chance.choice(_EPOCHS) + chance.randrange(-2, 3) if chance.random() < 0.3 else chance.randrange(10**18)
    text = str(micros if chance.random() < 0.7 else -micros)
    cut = chance.choice((0, 0, 3, 6, -3))
    text = text[:-cut] if cut > 0 else text + "000" * (cut < 0)
    return text + chance.choice(("", "", "", ".", ".0", ".5"))


def written(form: str) -> Texts:
    """Days in a form, or nearly; sometimes with a clock."""

    def text(chance: Random) -> str:
        is_right = chance.random() < 0.7
        month = chance.randrange(1, 13) if is_right else chance.randrange(14)
        dom = chance.randrange(1, 29) if is_right else chance.randrange(33)
        drawn = {
            "YYYY": _year(chance),
            "MON": chance.choice(("Jan", "FEB", "mar", "Apr", "MAY", "jun", "Jul", "AUG", "sep", "Oct", "NOV", "Dez")),
            "MM": f"{month:02}",
            "DD": f"{dom:02}",
            "M": str(month),
            "D": str(dom),
        }
        said = re.sub("YYYY|MON|MM|DD|M|D", lambda part: drawn[part[0]], form)
        if chance.random() < 0.1:
            return chance.choice((day, instant))(chance)
        if chance.random() < 0.5:
            return said + chance.choice(("T", " ")) + _clock(chance) + _offset(chance)
        return said + chance.choice(("", "", "", " 00:00", "T00:00:00.0", "T00:00:01"))

    return text


def compact(chance: Random) -> str:
    """A day and a clock in digits, or nearly."""
    at = datetime(1, 1, 1) + timedelta(seconds=chance.randrange(9998 * 365 * 86_400))  # noqa: DTZ001 - local
    return f"{at:%Y%m%d%H%M%S}".rjust(14, "0") + _offset(chance)


def marked(chance: Random) -> str:
    """A number with marks between thousands, or nearly."""
    size = chance.randrange(10 ** chance.randrange(1, 21))
    text = f"{size:,}".replace(",", chance.choice((".", ",", " ", "\u00a0", "\u202f", "'", "")))
    end = chance.choice(("", ",5", ".5", ",", ".", ",00", ".125", "," + digits(chance, 41)))
    return chance.choice(("", "", "+", "-")) + text + end + chance.choice(("", "", "", "e5", "E-7", "e+300"))


def letters(chance: Random) -> str:
    """Short text."""
    return "".join(chance.choice("abAB é-.x19_\U0001f600") for _ in range(chance.randrange(11)))


def shaped(chance: Random) -> str:
    """Text near the pattern of letters and digits."""
    made = chance.choice("ABZ") * chance.randrange(1, 4) + digits(chance, 3)
    return (
        made + chance.choice(("", "-", "-ab", "-a\nb", "-y", "\n"))
        if chance.random() < 0.7
        else chance.choice(("-é", "é\u2028", ". ", " .", "_a", "é\r", "-\n", "\U0001f600\U0001f600"))
    )


def dotted(chance: Random) -> str:
    """Text near the pattern of dots, with ends of lines."""
    if chance.random() < 0.002:  # Java's regular expressions recurse
        return "xyy" * chance.randrange(1000, 3300)
    between = chance.choice(("x", "\r", "\n", "\u0085", "\u2028", "\u2029", "\U0001f600", "", "é"))
    return chance.choice(
        (f"a{between}b.", f"a{between}b...{between}", f"ab1-{between}", f"a_-{between}{between}", "xyyx" * 3)
    )


def narrow(usual: Texts) -> Callable[[Random], Row]:
    """Rows of one field."""
    fuzzed = texts(usual)
    return lambda chance: {"value": fuzzed(chance)}


def wide(chance: Random) -> Row:
    """A row of which most fields are right."""
    usual: Mapping[str, Texts] = {
        "name": one_of("n", "abc", "12345"),
        "a": one_of("5", "8", "0", "100", "3.0"),
        "b": one_of("3", "7", "9", ""),
        "x": one_of("0.5", "1", "-1", "1e-7", "0"),
        "flag": flag,
        "kind": one_of("dsl", "fiber"),
        "first_at": one_of("2026-01-01T00:00Z", "2026-01-01T01:00+02:00", "2025-12-31 23:59:59.5Z"),
        "last_at": one_of("2026-01-01T00:30", "2026-01-01T00:00Z", "2026-10-25 02:30"),
        "born_on": one_of("2026-01-01", "20260101", "2026-01-01 00:00"),
        "died_on": one_of("2026-01-01", "2026-01-02", "20260102"),
    }
    return {
        name: None if chance.random() < 0.03 else (texts(text) if chance.random() < 0.05 else text)(chance)
        for name, text in usual.items()
    }


FIELDS: Final[Mapping[str, tuple[Any, Any, Texts]]] = {
    "text": (Text | None, field(max_length=8), letters),
    "needed": (
        Text,
        field(null_tokens=("unknown",), mapping={"a": "b", "c": "Unknown", "it's": "\\v\v\\'$1{0}"}),
        one_of("a", "c", "it's", "unknown", "Unknown", "v", "\\v", "x"),
    ),
    "pattern": (Text | None, field(pattern=r"^[A-Z]{1,2}\d+(?:-[^x-z ]*)?|\W.$"), shaped),
    "dots": (Text | None, field(pattern=r"a.b\.[.]*.?|\w{2,4}-\D[^ ]?|(?:x|yy)*"), dotted),
    "category": (
        Literal["dsl", "fiber", "é", "it's", 'a\\"b', "x\vy"] | None,
        field(mapping={"Fiber optic": "fiber", "E\u0301": "é", "\\": "dsl"}),
        one_of(
            "dsl", "fiber", "é", "it's", 'a\\"b', "x\vy", "xvy", "Fiber optic", "E\u0301", "\\", "DSL", "fiber optic"
        ),
    ),
    "integer": (Integer | None, field(minimum=-5, maximum=1e17), whole),
    "half limits": (
        Integer | None,
        field(minimum=-0.5, maximum=2.5, impute=1),
        one_of("-1", "0", "1", "2", "3", "-0", "x", "", "2.0", "2.5"),
    ),
    "scaled integer": (Integer | None, field(scale=0.1, minimum=0), either(whole, number)),
    "number": (Number | None, field(maximum=1e300), number),
    "scaled number": (
        Number,
        field(scale=1e9, null_tokens=("-1",), mapping={"1": "2"}),
        either(number, whole, one_of("-1", "1", "-1.0", "1e299", "1e300")),
    ),
    "flag": (Flag | None, field(mapping={"oui": "yes", "0": "no"}), flag),
    "day": (Day | None, field(), day),
    "instant": (Instant | None, field(), instant),
    "Berlin": (Instant | None, field(zone="Europe/Berlin"), either(instant, local)),
    "Lord Howe": (Instant | None, field(zone="Australia/Lord_Howe"), local),
    "Apia": (Instant | None, field(zone="Pacific/Apia"), local),
    "New York": (Instant | None, field(zone="America/New_York"), local),
    "commas": (Number | None, field(decimal=",", maximum=1e300), either(number, marked)),
    "German": (Number | None, field(decimal=",", thousands=".", impute=1.5), marked),
    "English": (Number | None, field(thousands=","), marked),
    "French": (Number | None, field(decimal=",", thousands=" ", scale=0.001), marked),
    "German whole": (Integer | None, field(decimal=",", thousands=".", minimum=-5), either(marked, whole)),
    **{name: (Day | None, field(written=name), written(name)) for name in get_args(WrittenName)[:11]},
    "Berlin with dots": (Instant | None, field(written="DD.MM.YYYY", zone="Europe/Berlin"), written("DD.MM.YYYY")),
    "slashes with clock": (Instant | None, field(written="M/D/YYYY"), written("M/D/YYYY")),
    "months with clock": (Instant | None, field(written="DD-MON-YYYY"), written("DD-MON-YYYY")),
    "digits": (Instant | None, field(written="YYYYMMDDHHMMSS"), compact),
    "digits in Berlin": (Instant | None, field(written="YYYYMMDDHHMMSS", zone="Europe/Berlin"), compact),
    **{name: (Instant | None, field(written=name), count_of) for name in get_args(WrittenName)[12:]},
}
"""Of each kind: its type, what is said of it, and usual texts."""


def _cases() -> dict[type[Contract], Callable[[Random], Row]]:
    """One contract per field, so that a refused one does not hide the others' values; and one of many fields."""
    made: dict[type[Contract], Callable[[Random], Row]] = {
        create_model(name, __base__=Contract, value=(kind, said)): narrow(usual)
        for name, (kind, said, usual) in FIELDS.items()
    }
    return made | {Wide: wide}


# Judges


@dataclass(frozen=True)
class Judged:
    """What a judge said of rows.

    Attributes:
        verdicts: In the order of the rows: ``reasons`` joined, and the typed values, null where there are reasons;
            floats as their bits.
        lost: Rows without a verdict.
        doubled: Rows with more than one.
    """

    verdicts: pa.Table
    lost: int = 0
    doubled: int = 0


def _verdicts(contract: type[Contract], reasons: Sequence[str], typed: pa.Table) -> pa.Table:
    import pyarrow.compute as pc

    joined = pa.array(reasons, pa.string())
    good = pc.equal(joined, "")
    columns: dict[str, pa.Array] = {"reasons": joined}
    for name in contract.model_fields:
        values = typed.column(name).combine_chunks()
        kept = pc.if_else(good, values, pa.scalar(None, values.type))
        if pa.types.is_floating(kept.type):  # -0.0 is not 0.0 here
            bits = kept.fill_null(0.0).view(pa.int64())
            kept = pc.if_else(kept.is_valid(), bits, pa.scalar(None, pa.int64()))
        columns[name] = kept
    return pa.table(columns)


def _typed(contract: type[Contract], rows: Sequence[Mapping[str, object]]) -> pa.Table:
    names = list(contract.model_fields)
    schema = arrow_schema(contract)
    return pa.table({name: pa.array([row.get(name) for row in rows], schema.field(name).type) for name in names})


def at_the_edge(contract: type[Contract], rows: Sequence[Row]) -> Judged:
    """Judge messages one by one."""
    judge = edge_validator(contract).judge
    judged = [judge(row) for row in rows]
    typed = _typed(contract, [{} if one.reasons else one.row for one in judged])
    return Judged(_verdicts(contract, [", ".join(one.reasons) for one in judged], typed))


def by_pydantic(contract: type[Contract], rows: Sequence[Row]) -> Judged:
    """Judge by ``model_validate``."""
    reasons, typed = [], []
    for row in rows:
        try:
            typed.append(contract.model_validate(row).model_dump())
            reasons.append("")
        except ValidationError as error:
            typed.append({})
            reasons.append(str(error.errors(include_url=False)[0]["ctx"]["reasons"]))
    return Judged(_verdicts(contract, reasons, _typed(contract, typed)))


def by_blocks(contract: type[Contract], rows: Sequence[Row]) -> Judged:
    """Judge a block as ingestion does."""
    names = list(contract.model_fields)
    judge = BlockJudge(contract, resolve_columns(contract, names))
    block = judge.judge(
        {name: pa.array([row.get(name) for row in rows], pa.string()) for name in names}, rows=len(rows)
    )
    reasons = [""] * len(rows)
    for place, why in zip(block.refused.tolist(), block.reasons, strict=True):
        reasons[place] = ", ".join(why)
    return Judged(_verdicts(contract, reasons, block.rows))


def by_split(engine: Engine) -> Judge:
    """Judge by the query that an engine runs."""

    def judge(contract: type[Contract], rows: Sequence[Row]) -> Judged:
        names = list(contract.model_fields)
        raw = pa.table(
            {
                ROW: pa.array(range(len(rows)), pa.int64()),
                **{name: pa.array([row.get(name) for row in rows], pa.string()) for name in names},
            }
        )
        split = split_expression(contract, engine.table(raw), resolve_columns(contract, names))
        with unfused():
            found = engine.arrow(split.table).sort_by(ROW)
        places = found.column(ROW).to_pylist()
        lost, doubled = len(rows) - len(set(places)), len(places) - len(set(places))
        masks = zip(*(found.column(mask).to_pylist() for mask in split.masks), strict=True)
        known: dict[tuple[int, ...], str] = {}
        reasons = []
        for mask in masks:
            if mask not in known:
                known[mask] = ", ".join(split.decode(mask))
            reasons.append(known[mask])
        return Judged(_verdicts(contract, reasons, found), lost, doubled)

    return judge


# The comparison


@dataclass
class Found:
    """What came of it."""

    points: int = 0
    lost: int = 0
    duplicated: int = 0
    differences: int = 0


def compare(rows: int, *, seed: int, engines: Sequence[Engine]) -> tuple[Found, list[str]]:
    """Judge rows in all ways.

    Args:
        rows: How many, shared among the kinds of fields.
        seed: Of the texts.
        engines: Those that split.

    Returns:
        The counts, and the first differences in words.
    """
    judges: dict[str, Judge] = {"pydantic": by_pydantic, "blocks": by_blocks}
    judges |= {engine.capabilities.name: by_split(engine) for engine in engines}
    found, words = Found(), list[str]()
    for contract, made in _made(rows, seed):
        reference = at_the_edge(contract, made).verdicts
        found.points += len(made)
        for name, judge in judges.items():
            judged = judge(contract, made)
            found.lost += judged.lost
            found.duplicated += judged.doubled
            if judged.verdicts.equals(reference):
                continue
            if judged.verdicts.num_rows != reference.num_rows or judged.verdicts.schema != reference.schema:
                found.differences += len(made)
                words.append(f"{contract.__name__}: {name} gives {judged.verdicts.schema}, not {reference.schema}")
                continue
            for row, right, wrong in zip(made, reference.to_pylist(), judged.verdicts.to_pylist(), strict=True):
                if right != wrong:
                    found.differences += 1
                    words.append(f"{contract.__name__} {dict(row)!r}: the edge says {right}, {name} says {wrong}")
    return found, words


def _made(rows: int, seed: int) -> Iterator[tuple[type[Contract], list[Row]]]:
    """Share the rows among the contracts, in pieces that fit in memory."""
    cases = _cases()
    share, rest = divmod(rows, len(cases))
    for number, (contract, row) in enumerate(cases.items()):
        chance = Random(f"{seed} {contract.__name__}")  # the same texts each time
        left = share + (number < rest)
        while left:
            size = min(left, AT_ONCE)
            left -= size
            yield contract, [row(chance) for _ in range(size)]


def main() -> int:
    """Run the drill."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=20260101)
    asked = parser.parse_args()
    with (
        open_engine("duckdb") as duckdb,
        open_engine("spark", settings=EngineSettings(name="spark", url="local[2]")) as spark,
    ):
        found, words = compare(asked.rows, seed=asked.seed, engines=[duckdb, spark])
    for line in words[:SHOWN]:
        print(line, file=sys.stderr)
    passed = found.points == asked.rows and not (found.lost or found.duplicated or found.differences)
    print(json.dumps({"drill": "verdicts", **vars(found), "passed": passed}), flush=True)
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
