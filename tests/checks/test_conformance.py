"""One verdict on a row: at the edge, by ``model_validate`` and by the split; reason by reason, value by value."""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar, Literal

import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import create_model

from trunkline.checks import ROW, BlockJudge, resolve_columns, split_expression, unfused
from trunkline.contracts import Contract, Day, Flag, Instant, Integer, Number, Rule, Table, Text, col, field
from trunkline.contracts.contract import with_table
from trunkline.contracts.expressions import count_true, larger, smaller
from trunkline.contracts.kinds import Scalar, canonical_text
from trunkline.contracts.written import WRITTEN, WrittenName
from trunkline.engine import Engine
from trunkline.errors import SchemaError

Verdict = tuple[tuple[str, ...], Mapping[str, object]]
EdgeVerdicts = Callable[[type[Contract], Sequence[object]], list[Verdict]]
AllVerdicts = Callable[[type[Contract], Sequence[Mapping[str, str | None]]], list[Verdict]]

pytestmark = pytest.mark.hypothesis  # also those whose property is inside the test

WHITE = " \t\n\r\v\f"
NOT_WHITE = "\u00a0\u2003\u0085\u2028\u200b\ufeff\x1c\x1f\u3000"
"""White space elsewhere, but not in the grammar: never trimmed."""

ALPHABET = "0123456789+-.eE_,/:TZ " + WHITE + NOT_WHITE + "\x00\u0661\uff15\u017f\u0130\u212aabnNaAyesYESinfINF"

any_text = st.text(max_size=12) | st.text(alphabet=ALPHABET, max_size=24)


def around(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """A text as it is, or with something around it, or with one character changed."""
    padding = st.text(alphabet=WHITE + NOT_WHITE, max_size=3)
    padded = st.builds(lambda a, b, c: a + b + c, padding, inner, padding)
    changed = st.builds(
        lambda text, at, new: text[: at % (len(text) + 1)] + new + text[at % (len(text) + 1) + 1 :],
        inner,
        st.integers(0, 40),
        st.text(alphabet=ALPHABET, max_size=2),
    )
    return inner | inner | padded | changed


digits = st.text(alphabet="0123456789", min_size=1, max_size=20)
sign = st.sampled_from(["", "", "+", "-"])
whole = st.integers(-(10**20), 10**20).map(str) | st.builds(
    lambda a, b, c: a + b + c, sign, digits, st.sampled_from(["", ".", ".0", ".000", ".5"])
)
floats = st.floats().map(repr) | st.builds(
    lambda a, b, c, d: a + b + c + d,
    sign,
    digits,
    st.sampled_from(["", ".", ".5", ".125", ".0000000000000000000000000000000000000001", ",5"]),
    st.sampled_from(["", "e5", "E-7", "e+300", "e-320", "e400", "e1234", "e"]),
)
flags = st.sampled_from(["true", "TRUE", "Yes", "yE\u017f", "n", "F", "0", "1", "01", "on", "oui", "no", "None", "t"])
two = st.integers(0, 99).map("{:02}".format)
year = st.sampled_from(["0000", "0001", "1582", "1899", "1970", "2024", "2026", "9999", "10000", "20"]) | st.integers(
    0, 9999
).map("{:04}".format)
month, dom = st.integers(0, 13).map("{:02}".format), st.integers(0, 32).map("{:02}".format)
days = st.builds(lambda y, m, d: f"{y}-{m}-{d}", year, month, dom) | st.builds(
    lambda y, m, d, t: f"{y}{m}{d}{t}", year, month, dom, st.sampled_from(["", "T000000", "T010000", "T00:00"])
)
hour = st.integers(0, 25).map("{:02}".format)
clock = st.builds(
    lambda a, b, c: f"{a}:{b}{c}",
    hour,
    st.sampled_from(["00", "30", "59", "60"]),
    st.sampled_from(["", ":00", ":59", ":60", ":07.1", ":07.123456", ":07.1234567", ":07.", ":7"]),
)
offset = st.sampled_from(
    ["", "Z", "z", "+00", "+01:00", "-0530", "+14:00", "-12", "+23:59", "-23:59", "+24:00", "+1", " UTC"]
)
instants = st.builds(lambda a, b, c, d: a + b + c + d, days, st.sampled_from(["T", " ", "t", "  "]), clock, offset)
# local times around the changes of clocks, and everywhere else in times whose rules are known
local_instants = st.builds(
    lambda at, end: at.isoformat(sep=" ") + end,
    st.datetimes(min_value=datetime(1971, 1, 2), max_value=datetime(2037, 12, 30)),  # noqa: DTZ001 - local times
    st.sampled_from(["", "", "", "Z", "+02:00"]),
) | st.builds(
    lambda day, h, m: f"{day} {h}:{m}",
    st.sampled_from(["2026-03-29", "2026-10-25", "2026-04-05", "2026-10-04", "2011-12-30", "2026-03-08", "2026-11-01"]),
    hour,
    st.sampled_from(["00", "15", "30", "45", "59:59.999999"]),
)


def written(form: str) -> st.SearchStrategy[str]:
    """Days in a form, or nearly: each of its parts by itself, then sometimes a clock."""
    short = st.sampled_from(["1", "9", "0", "12", "31"])
    names = st.sampled_from(["jan", "FEB", "Mar", "apr", "May", "jun", "jul", "Aug", "sep", "oct", "nov", "DEC", "Mai"])
    drawn = {"YYYY": year, "MM": month, "DD": dom, "MON": names, "M": month | short, "D": dom | short}
    found = re.findall(r"YYYY|MON|MM|DD|M|D|.", form)
    parts = [drawn[part] if part in drawn else st.just(part) for part in found]
    ends = st.sampled_from(["", "", "", " 00:00", "T00:00:00.0", " 00:00:01", "T"]) | st.builds(
        lambda a, b, c: a + b + c, st.sampled_from(["T", " "]), clock, offset
    )
    return st.builds(lambda *said: "".join(said), *parts, ends) | st.sampled_from(["2026-11-22", "2026-11-22T10:15Z"])


compact_clocks = st.builds(
    lambda *said: "".join(said), year, month, dom, hour, st.sampled_from(["00", "59", "60"]), hour, offset
)
edges = st.sampled_from(
    [
        at + by
        for at in (253_402_300_800 * 10**6, -62_135_596_800 * 10**6, 0, 1_795_342_500 * 10**6)
        for by in (-1, 0, 1)
    ]
)
counts = (
    st.builds(
        lambda at, factor, end: f"{at * factor // 1000}{end}",
        edges | st.integers(-(10**17), 10**18),
        st.sampled_from([10**6, 1000, 1]).map(lambda unit: 1000 // unit if unit <= 1000 else 1),
        st.sampled_from(["", "", "", ".0", ".5", "000", "e3"]),
    )
    | st.builds(lambda at, cut: str(at)[:-cut] if cut else f"{at}000", edges, st.sampled_from([0, 3, 6]))
    | instants
)
marked = st.builds(
    lambda a, b, c, d: a + b + c + d,
    sign,
    st.lists(digits.map(lambda text: text[:3]), min_size=1, max_size=8).flatmap(
        lambda groups: st.sampled_from([".", ",", " ", "\u00a0", "\u202f", "'"]).map(lambda mark: mark.join(groups))
    )
    | st.integers(0, 10**20).map("{:,}".format)
    | st.integers(0, 10**20).map(lambda number: f"{number:_}".replace("_", "."))
    | digits,
    st.sampled_from(["", ",5", ".5", ",", ".", ",000", ".125", ",0000000000000000000000000000000000000001"]),
    st.sampled_from(["", "", "", "e5", "E-7", "e+300"]),
)


class OfText(Contract):
    value: Text | None = field(max_length=8)


class OfNeededText(Contract):
    value: Text = field(null_tokens=("unknown",), mapping={"a": "b", "c": "Unknown"})


class OfPattern(Contract):
    value: Text | None = field(pattern=r"^[A-Z]{1,2}\d+(?:-[^x-z ]*)?|\W.$")


class OfCategory(Contract):
    value: Literal["dsl", "fiber", "é"] | None = field(mapping={"Fiber optic": "fiber", "E\u0301": "é"})


class OfInteger(Contract):
    value: Integer | None = field(minimum=-5, maximum=1e17)


class OfHalfLimits(Contract):
    value: Integer | None = field(minimum=-0.5, maximum=2.5, impute=1)


class OfFarLimits(Contract):
    value: Integer | None = field(minimum=-1e30, maximum=1e30)


class OfScaledInteger(Contract):
    value: Integer | None = field(scale=0.1, minimum=0)


class OfNumber(Contract):
    value: Number | None = field(maximum=1e300)


class OfScaledNumber(Contract):
    value: Number = field(scale=1e9, null_tokens=("-1",), mapping={"1": "2"})


class OfFlag(Contract):
    value: Flag | None = field(mapping={"oui": "yes", "0": "no"})


class OfDay(Contract):
    value: Day | None = field()


class OfInstant(Contract):
    value: Instant | None = field()


class OfBerlin(Contract):
    value: Instant | None = field(zone="Europe/Berlin")


class OfLordHowe(Contract):
    value: Instant | None = field(zone="Australia/Lord_Howe")


class OfApia(Contract):
    value: Instant | None = field(zone="Pacific/Apia")


class OfCommas(Contract):
    value: Number | None = field(decimal=",", maximum=1e300, mapping={"viel": "99,5"})


class OfGerman(Contract):
    value: Number | None = field(decimal=",", thousands=".", impute=1.5)


class OfEnglish(Contract):
    value: Number | None = field(thousands=",")


class OfFrench(Contract):
    value: Number | None = field(decimal=",", thousands=" ", scale=0.001, null_tokens=("-1",))


class OfGermanWhole(Contract):
    value: Integer | None = field(decimal=",", thousands=".", minimum=-5)


def of_written(name: WrittenName, *, zone: str | None = None) -> type[Contract]:
    """A field of days or instants in another form; instants where a zone is given or days have no such form."""
    is_instant = zone is not None or name not in WRITTEN["day"]
    said: Any = field(written=name, zone=zone or None, mapping={"heute": "22.11.2026"})
    title = f"Of {name}{' ' + (zone or 'UTC') if is_instant else ''}"
    kind: Any = Instant | None if is_instant else Day | None
    made: type[Contract] = create_model(title, __base__=Contract, value=(kind, said))
    return made


IN_BERLIN: tuple[WrittenName, ...] = ("DD.MM.YYYY", "M/D/YYYY")
IN_UTC: tuple[WrittenName, ...] = ("D.M.YYYY", "DD-MON-YYYY", "YYYYMMDD")

CASES: Mapping[type[Contract], st.SearchStrategy[str]] = {
    OfText: around(st.text(max_size=10)),
    OfNeededText: around(st.sampled_from(["a", "c", "unknown", "Unknown", "", "NA", "null", "NULL", "Null", "?"])),
    OfPattern: st.from_regex(r"\A[A-Z]{1,2}[0-9]+(-[^x-z\s]*)?\Z")
    | around(st.text(alphabet="ABÀ19-xyz\n\u0661é.", max_size=6)),
    OfCategory: around(st.sampled_from(["dsl", "fiber", "é", "Fiber optic", "E\u0301", "DSL", "fiber optic"])),
    OfInteger: around(whole),
    OfFarLimits: around(whole),
    OfHalfLimits: around(st.sampled_from(["-1", "0", "1", "2", "3", "-0", "x", "", "2.0", "2.5"])),
    OfScaledInteger: around(whole | floats),
    OfNumber: around(floats | whole),
    OfScaledNumber: around(floats | whole | st.sampled_from(["-1", "1", "-1.0", "1e299", "1e300"])),
    OfFlag: around(flags),
    OfDay: around(days),
    OfInstant: around(instants),
    OfBerlin: around(instants | local_instants),
    OfLordHowe: around(local_instants),
    OfApia: around(local_instants),
    OfCommas: around(marked | floats | st.just("viel")),
    OfGerman: around(marked),
    OfEnglish: around(marked),
    OfFrench: around(marked | whole),
    OfGermanWhole: around(marked | whole),
    **{of_written(name): around(written(name)) for name in WRITTEN["day"]},
    **{of_written(name, zone=""): around(written(name)) for name in IN_UTC},
    **{of_written(name, zone="Europe/Berlin"): around(written(name)) for name in IN_BERLIN},
    of_written("YYYYMMDDHHMMSS"): around(compact_clocks),
    of_written("YYYYMMDDHHMMSS", zone="Europe/Berlin"): around(compact_clocks),
    **{of_written(name): around(counts) for name in WRITTEN["instant"] if name.startswith("epoch_")},
}

QUICK = (OfGerman, OfText, OfInteger, OfNumber, OfInstant, OfBerlin)
EVERY = [pytest.param(contract, marks=() if contract in QUICK else pytest.mark.slow) for contract in CASES]

CORNERS = [
    *("1_000", "5.", ".5", ".", "+", "-", "", " ", "NaN", "nan", "inf", "-Infinity", "1e400", "1e-400", "0x10", "1,5"),
    *("007", "+5", "9" * 18, "9" * 19, "-" + "9" * 18, "5e-324", "1.7976931348623157e308", "1.7976931348623159e308"),
    *("2026-02-29", "2024-02-29", "2026-02-30", "20260230", "20141013T000000", "2026-01-01T00:00:00"),
    *("2026-01-01 00:00", "2026-01-01T00:00:00.000000000", "0000-01-01", "9999-12-31", "0001-01-01T00:00:00Z"),
    *("0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59-00:01"),
    *("2026-06-30T23:59:60Z", "2026-01-01T24:00:00Z", "2026-03-29 02:30", "2026-10-25 02:30", "true", "TRUE"),
    *("ye\u017f", "\u0661", "\uff15", "a\x00b", "\x00", "\ud7ff", "\U0001f600" * 8, "\U0001f600" * 9),
    *("5\u0085", "5\u2028", "5\n", "\u00a05", "\ufeff5"),
    *("1.234.567,89", "1 234", "1\u00a0234,5", "1,234.5", "1.23", "12.34", "1.2345", ",5", "-,5", "1.234.56", "0.001"),
    *("31.02.2026", "29.02.2024", "22-NOV-2026", "22-\u017fep-2026", "22.11.2026\n", "22.11.2026\u2028", "1.1.2026"),
    *("253402300800", "-62135596801", "253402300799999999", "1795342500123456789", "-1", "-999", "-1001", "+0000"),
]


@pytest.mark.parametrize("contract", EVERY, ids=lambda contract: contract.__name__)
def test_texts_get_one_verdict(contract: type[Contract], verdicts: AllVerdicts) -> None:
    verdicts(contract, [{"value": text} for text in (*CORNERS, None)])

    @given(st.lists(CASES[contract] | any_text | st.none(), min_size=1, max_size=40))
    def prove(texts: list[str | None]) -> None:
        verdicts(contract, [{"value": text} for text in texts])

    prove()


def test_what_the_grammars_say(verdicts: AllVerdicts) -> None:
    def accepted(contract: type[Contract], *texts: str) -> list[bool]:
        return [not reasons for reasons, _ in verdicts(contract, [{"value": text} for text in texts])]

    assert accepted(OfInteger, "5", "+5", "005", "5.0", "5.", "-5") == [True] * 6
    assert accepted(OfInteger, "5.5", "1e3", "1_000", "1,000", "\u0661", "9" * 19, "-6", "0x1") == [False] * 8
    assert accepted(OfNumber, ".5", "5.", "-1e-400", "1E5") == [True] * 4
    assert accepted(OfNumber, "1e400", "inf", "1e301", "1,5", "\u00a05", "5\u2028") == [False] * 6
    assert accepted(OfFlag, "TRUE", "y", "oui", "0") == [True] * 4
    assert accepted(OfFlag, "ye\u017f", "on", "2") == [False] * 3
    assert accepted(OfDay, "2024-02-29", "20240229", "2024-02-29T00:00:00", "20240229T000000") == [True] * 4
    assert accepted(OfDay, "2026-02-29", "2024-2-29", "2024-02-29T00:00:01", "0000-01-01") == [False] * 4
    assert accepted(OfInstant, "2026-01-01T00:00Z", "2026-01-01 00:00:00.5+0530") == [True] * 2
    assert (
        accepted(OfInstant, "2026-01-01T00:00", "2026-06-30T23:59:60Z", "2026-01-01", "2026-01-01T24:00Z")
        == [False] * 4
    )
    assert accepted(OfText, "\U0001f600" * 8, "\U0001f600" * 9, "a\x00") == [True, False, False]


def test_what_the_forms_say(verdicts: AllVerdicts) -> None:
    def read(contract: type[Contract], *texts: str) -> list[object]:
        found = verdicts(contract, [{"value": text} for text in texts])
        return [None if reasons else row["value"][1] for reasons, row in found]  # type: ignore[index]  # comparable

    named = {contract.__name__: contract for contract in CASES}
    assert read(named["Of DD.MM.YYYY"], "22.11.2026", "heute", "22.11.2026 00:00", "2026-11-22", "2.1.2026") == [
        *["2026-11-22"] * 4, None
    ]  # fmt: skip
    assert read(named["Of D.M.YYYY"], "2.1.2026", "02.01.2026", "30.2.2026") == [*["2026-01-02"] * 2, None]
    assert read(named["Of DD/MM/YYYY"], "03/04/2026", "31/12/2026", "12/31/2026") == ["2026-04-03", "2026-12-31", None]
    assert read(named["Of MM/DD/YYYY"], "03/04/2026", "12/31/2026", "31/12/2026") == ["2026-03-04", "2026-12-31", None]
    assert read(named["Of DD-MON-YYYY"], "22-Nov-2026", "22-NOV-2026", "22-Mai-2026") == [*["2026-11-22"] * 2, None]
    assert read(named["Of YYYYMMDDHHMMSS Europe/Berlin"], "20260701120000") == ["2026-07-01T10:00:00+00:00"]
    assert read(named["Of DD.MM.YYYY Europe/Berlin"], "01.07.2026 12:00") == ["2026-07-01T10:00:00+00:00"]
    assert read(named["Of epoch_s UTC"], "1795342500", "1795342500.0", "0", "1795342500.5", "9" * 12) == [
        *["2026-11-22T10:15:00+00:00"] * 2, "1970-01-01T00:00:00+00:00", None, None
    ]  # fmt: skip
    assert read(named["Of epoch_ns UTC"], "1795342500123456789", "-999", "-1001") == [
        "2026-11-22T10:15:00.123456+00:00", "1970-01-01T00:00:00+00:00", "1969-12-31T23:59:59.999999+00:00"
    ]  # fmt: skip
    numbers = read(OfGerman, "1.234.567,89", "1.234", "1234", "0,5", "1.23", "1,5,5", "1.5")
    assert [one and float.fromhex(one) for one in map(str, filter(None, numbers))] == [1234567.89, 1234.0, 1234.0, 0.5]
    assert numbers[4:] == [None] * 3
    assert read(OfCommas, "1,5", "1.5", "1.234,5")[::2] == ["0x1.8000000000000p+0", None]
    assert read(OfGermanWhole, "1.234", "1.234,00", "1.234,5", "123.4") == [1234, 1234, None, None]


def test_typed_values_are_read_again() -> None:
    """What a row holds can be judged again, whatever its texts looked like."""
    at = datetime(2026, 11, 22, 10, 15, tzinfo=UTC)
    for contract in CASES:
        name = contract.__name__
        if name.startswith("Of ") or name == "OfCommas":
            value = 1.5 if name == "OfCommas" else at if "UTC" in name or "Berlin" in name else at.date()
            row = contract.model_validate({"value": value}).model_dump()
            assert row == {"value": value}, name


def test_a_local_time_that_exists_twice_is_the_earlier_one(verdicts: AllVerdicts) -> None:
    found = verdicts(
        OfBerlin, [{"value": text} for text in ("2026-10-25 02:30", "2026-03-29 02:30", "2026-07-01 12:00")]
    )
    assert [row["value"] for _, row in found] == [
        ("instant", "2026-10-25T00:30:00+00:00"),
        ("instant", "2026-03-29T01:30:00+00:00"),  # a time that never was counts by the offset before the change
        ("instant", "2026-07-01T10:00:00+00:00"),
    ]


class Wide(Contract):
    """More checks than one mask has bits, with rules that read imputed, refused and absent values."""

    table: ClassVar[Table] = Table(
        key=("name",),
        rules=(
            Rule("b_below_a", col("b") <= col("a")),
            Rule("a_is_there", ~col("a").is_null() | col("flag")),
            Rule("ordered", col("first_at") <= col("last_at")),
            Rule("born_before", col("born_on") != col("died_on")),
            Rule("not_dsl", ~((col("kind") == "dsl") & col("flag"))),
        ),
    )

    name: Text = field(max_length=5)
    a: Integer | None = field(minimum=0)
    b: Integer = field(impute=7, maximum=9)
    x: Number | None = field(minimum=-1, maximum=1)
    flag: Flag | None = field()
    kind: Literal["dsl", "fiber"] | None = field()
    first_at: Instant | None = field()
    last_at: Instant | None = field()
    born_on: Day | None = field()
    died_on: Day | None = field()


row_of_wide = st.fixed_dictionaries(
    {
        "name": st.sampled_from(["n", "toolong", "", None]),
        "a": st.sampled_from(["-1", "5", "8", "x", "", None]),
        "b": st.sampled_from(["3", "10", "x", "", None]),
        "x": st.sampled_from(["0.5", "2", "-2", "x", None]),
        "flag": st.sampled_from(["yes", "no", "x", None]),
        "kind": st.sampled_from(["dsl", "fiber", "x", None]),
        "first_at": st.sampled_from(["2026-01-01T00:00Z", "2026-01-01T01:00+02:00", "x", None]),
        "last_at": st.sampled_from(["2025-12-31T23:30Z", "2026-01-01T00:00Z", None]),
        "born_on": st.sampled_from(["2026-01-01", "20260101", "x", None]),
        "died_on": st.sampled_from(["2026-01-01", "2026-01-02", None]),
    }
)


@pytest.mark.slow
@given(rows=st.lists(row_of_wide, min_size=1, max_size=30))
def test_whole_rows_with_rules_get_one_verdict(rows: list[dict[str, str | None]], verdicts: AllVerdicts) -> None:
    verdicts(Wide, rows)


class Sums(Contract):
    """Rules with every operation, over numbers that overflow, are lost in a float, or divide by zero."""

    table: ClassVar[Table] = Table(
        rules=(
            Rule("sum", col("a") + col("b") <= col("n")),
            Rule("difference", abs(col("a") - col("n")) != 1.0),
            Rule("product", ~(col("a") * col("b") > 1e300)),
            Rule("quotient", (col("a") / col("b") >= 0) | col("b").is_null()),
            Rule("whole_quotient", col("n") / col("m") == col("m")),
            Rule("rounded", col("n") == col("m")),
            Rule("smaller", smaller(col("a"), col("b")) < larger(col("n"), 0)),
            Rule("filled", col("a").fill_null(-1) > -1),
            Rule("counted", count_true(col("a") > 0, col("flag"), col("word") == "x") <= 1),
            Rule("known", ~(~col("flag")).is_null() & (col("flag").fill_null(False) | (col("word") != "x"))),
            Rule("texts", (col("word") != col("other")) | (col("other").fill_null("y") == "y")),
            Rule("constant", smaller(1, 2) < 3),
        )
    )

    a: Number | None = field()
    b: Number | None = field()
    n: Integer | None = field()
    m: Integer | None = field(minimum=-2.5, maximum=5e17)
    flag: Flag | None = field()
    word: Text | None = field()
    other: Literal["x", "y"] | None = field()


some_numbers = st.sampled_from(["0", "-0.0", "0.1", "1", "-1", "2.5", "1e308", "-1e308", "5e-324", "x", None])
some_whole = st.sampled_from(["0", "1", "-1", "-3", "9007199254740992", "9007199254740993", "9" * 18, "x", None])
some_words = st.sampled_from(["x", "y", "z", None])
row_of_sums = st.fixed_dictionaries(
    {"a": some_numbers, "b": some_numbers, "n": some_whole, "m": some_whole}
    | {"flag": st.sampled_from(["yes", "no", None]), "word": some_words, "other": some_words}
)


@given(rows=st.lists(row_of_sums, min_size=1, max_size=30))
def test_arithmetic_of_rules_gets_one_verdict(rows: list[dict[str, str | None]], verdicts: AllVerdicts) -> None:
    verdicts(Sums, rows)


json_scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.sampled_from([0, 1, -1, 5, 10**17, 10**18, 2**63, 2**64, 10**40, 10**41, 5.0, 0.1, 1e18, -0.0])
    | st.floats(allow_nan=False, allow_infinity=False)
    | any_text
)


@pytest.mark.parametrize("contract", EVERY, ids=lambda contract: contract.__name__)
def test_typed_scalars_are_judged_by_their_text(
    contract: type[Contract], verdicts: AllVerdicts, edge_verdicts: EdgeVerdicts
) -> None:
    @given(st.lists(json_scalars, min_size=1, max_size=30))
    @example([1, True, 1.0, -1, "1", math.nan, math.inf])
    def prove(values: list[Scalar | None]) -> None:
        texts = [{"value": None if value is None else canonical_text(value)} for value in values]
        assert edge_verdicts(contract, [{"value": value} for value in values]) == verdicts(contract, texts)

    prove()


@pytest.mark.parametrize("value", [["a"], {"a": 1}, b"a", object(), 1j])
def test_what_is_no_scalar_is_refused(value: object, edge_verdicts: EdgeVerdicts) -> None:
    for contract in CASES:
        assert edge_verdicts(contract, [{"value": value}]) == [(("value.type",), {})]


class Spelled(Contract):
    """A table whose columns may have several names at once."""

    table: ClassVar[Table] = Table(null_tokens=("", "NA"), on_two_columns="coalesce")

    a: Integer = field(aliases=("alpha", "Aye"), minimum=0)
    b: Text | None = field(aliases=("beta",), null_tokens=("none",))
    c: Number | None = field(impute=1)


some_wholes = st.sampled_from([None, "", " NA ", "1", "2", "x", "-1"])
row_of_spelled = st.fixed_dictionaries(
    {"a": some_wholes, "Alpha": some_wholes, " AYE": some_wholes, "c": some_wholes}
    | {"BETA": st.sampled_from([None, "none", "x", "NA"]), "b": st.sampled_from([None, "none", "y", ""])}
)


@given(rows=st.lists(row_of_spelled, min_size=1, max_size=30))
def test_columns_of_one_field_are_coalesced_row_by_row(
    rows: list[dict[str, str | None]],
    engine: Engine,
    edge_verdicts: EdgeVerdicts,
    as_verdict: Callable[[Sequence[str], Mapping[str, object]], Verdict],
) -> None:
    names = list(rows[0])
    resolution = resolve_columns(Spelled, names)
    assert (resolution.source_of["a"], resolution.others["a"]) == ("a", ("Alpha", " AYE"))
    texts = {name: pa.array([row[name] for row in rows], pa.string()) for name in names}
    block = BlockJudge(Spelled, resolution).judge(texts, rows=len(rows))
    reasons = dict(zip(block.refused.tolist(), block.reasons, strict=True))
    by_block = [as_verdict(reasons.get(place, ()), row) for place, row in enumerate(block.rows.to_pylist())]
    assert by_block == edge_verdicts(Spelled, rows)
    raw = engine.table(pa.table({ROW: range(len(rows)), **texts}))
    split = split_expression(Spelled, raw, resolution)
    with unfused():
        found = engine.arrow(split.table).sort_by(ROW).to_pylist()
    assert by_block == [
        as_verdict(
            split.decode([row[mask] for mask in split.masks]), {name: row[name] for name in Spelled.model_fields}
        )
        for row in found
    ]


def test_two_columns_of_one_field_are_refused_otherwise() -> None:
    with pytest.raises(SchemaError, match=r"'Alpha' and 'a' both mean field 'a'"):
        resolve_columns(with_table(Spelled, on_two_columns="refuse"), ["Alpha", "a"])
    assert with_table(Spelled, on_two_columns="refuse").fingerprint == Spelled.fingerprint
