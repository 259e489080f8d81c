"""Contracts: what they say of themselves, and what is refused when the class is made."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, ClassVar, Literal

import pytest
from pydantic import ValidationError, create_model, field_validator

from trunkline.contracts import Contract, Day, Expr, Flag, Instant, Integer, Number, Rule, Table, Text, col, field
from trunkline.contracts.patterns import compiled, outside_subset
from trunkline.contracts.records import RECORDS
from trunkline.contracts.written import WrittenName
from trunkline.errors import ContractError


class Call(Contract):
    table: ClassVar[Table] = Table(
        key=("call_id",), event_at="began_at", rules=(Rule("short", col("seconds") < 10_000),)
    )

    call_id: Text = field("Identifier", aliases=("Call No",))
    seconds: Integer | None = field("Length", unit="s", minimum=0, impute=0)
    began_at: Instant = field(zone="UTC")
    kind: Literal["voice", "video"] | None = field(mapping={"V": "voice"})


def test_all_reasons_at_once_and_no_value_in_the_message() -> None:
    with pytest.raises(ValidationError) as caught:
        Call.model_validate({"seconds": "-7", "began_at": "yesterday", "kind": "fax", "note": "hello"})
    assert caught.value.errors()[0]["ctx"]["reasons"].split(", ") == [
        "note.unknown",
        "call_id.null",
        "seconds.minimum",
        "began_at.type",
        "kind.category",
    ]
    for value in ("-7", "yesterday", "fax", "hello"):
        assert value not in str(caught.value)


def test_aliases_mappings_and_imputed_values() -> None:
    call = Call.model_validate({" CALL NO ": " c1 ", "began_at": "2026-01-01 10:00", "kind": "V"})
    assert call.model_dump() == {
        "call_id": "c1",
        "seconds": 0,
        "began_at": datetime(2026, 1, 1, 10, tzinfo=UTC),
        "kind": "voice",
    }
    assert Call.model_validate(call.model_dump()) == call
    assert Call.model_validate_json(call.model_dump_json()) == call
    with pytest.raises(ValidationError, match="frozen"):
        call.seconds = 5  # type: ignore[misc]  # what is tested


def test_two_names_of_one_field_are_refused() -> None:
    with pytest.raises(ValidationError, match=r"call_id\.twice"):
        Call.model_validate({"call_id": "a", "call no": "b", "began_at": "2026-01-01T10:00Z"})


def test_the_fingerprint_is_of_what_verdicts_depend_on() -> None:
    def made(description: str = "", maximum: float | None = None) -> str:
        class Some(Contract):
            x: Number = field(description, maximum=maximum)

        return Some.fingerprint

    assert made() == made("other words")
    assert made() != made(maximum=5)
    assert made() == "ca0d434e730bf5a0"  # batches that were taken in have ids made of it


def test_the_fingerprint_is_of_the_form() -> None:
    class Plain(Contract):
        x: Number = field()
        day: Day = field()

    def made(decimal: str | None = None, written: WrittenName | None = None) -> str:
        class Plain(Contract):
            x: Number = field(decimal=decimal)
            day: Day = field(written=written)

        return Plain.fingerprint

    assert made() == Plain.fingerprint
    assert len({made(), made(","), made(written="D.M.YYYY"), made(written="DD.MM.YYYY")}) == 4


def test_a_mark_of_thousands_is_a_matter_of_text() -> None:
    class Bill(Contract):
        amount: Number = field(decimal=",", thousands=".")

    def read(value: object) -> float:
        return Bill.model_validate({"amount": value}).amount

    assert (read("1.234"), read(1.125), read(1234)) == (1234, 1125, 1234)  # as a file of JSON lines reads it
    with pytest.raises(ValidationError, match=r"amount\.type"):
        read(1.5)


def test_forms_that_no_kind_has() -> None:
    def made(kind: Any, said: Any) -> None:  # noqa: ANN401 - what field itself would refuse to the type checker
        create_model("Made", __base__=Contract, value=(kind, field(**said)))

    cases: tuple[tuple[Any, dict[str, str], str], ...] = (
        (Day, {"written": "DD. Month YYYY"}, "DD.MM.YYYY"),
        (Day, {"written": "epoch_s"}, "YYYYMMDD"),
        (Text, {"written": "DD.MM.YYYY"}, "day"),
        (Day, {"decimal": ","}, "number"),
        (Number, {"decimal": ";"}, ","),
        (Number, {"thousands": "'"}, "' '"),
        (Number, {"thousands": "."}, 'decimal=","'),
        (Number, {"decimal": ",", "thousands": ","}, 'decimal=","'),
    )
    for kind, said, allowed in cases:
        with pytest.raises(ContractError) as caught:
            made(kind, said)
        assert allowed in str(caught.value)
    with pytest.raises(ContractError, match="no time zone"):
        made(Instant, {"written": "epoch_ms", "zone": "UTC"})


def test_records_are_contracts() -> None:
    assert all(contract.fingerprint and contract.table.key for contract in RECORDS.values())
    assert len({contract.fingerprint for contract in RECORDS.values()}) == len(RECORDS)


def with_rule(condition: Expr) -> type[Contract]:
    class Some(Contract):
        table: ClassVar[Table] = Table(rules=(Rule("rule", condition),))
        n: Number
        f: Flag
        s: Text
        at: Instant

    return Some


@pytest.mark.parametrize(
    ("condition", "says"),
    [
        (col("gone") > 1, "unknown column"),
        (col("n") + 1, "must be true or false"),
        (col("n") > "1", "cannot take number and text"),
        (col("s") < col("s"), "cannot take text and text"),
        (col("f") == 1, "cannot take flag and number"),
        (col("at") > "2026-01-01T00:00Z", "cannot take instant and text"),
        (col("n").log1p() > 0, "'log1p' cannot take"),
        (~col("n"), "'not' cannot take number"),
        (col("f") & (col("n") + col("f") > 1), "number and flag"),
    ],
    ids=lambda case: str(case.to_data()) if isinstance(case, Expr) else None,
)
def test_rules_that_engines_would_not_agree_on(condition: Expr, says: str) -> None:
    with pytest.raises(ContractError, match=says) as caught:
        with_rule(condition)
    assert "rule rule" in caught.value.where


def test_rules_over_all_kinds() -> None:
    with_rule((col("at") <= col("at")) & (col("s") == "x") & col("f") & (col("f").as_number() + col("n") > 1))


def test_free_validators_are_refused() -> None:
    with pytest.raises(ContractError, match="free Python validators: check"):

        class Some(Contract):
            x: Number

            @field_validator("x")
            @classmethod
            def check(cls, value: float) -> float:
                return value


def make_float() -> None:
    class Some(Contract):
        x: float


def make_default() -> None:
    class Some(Contract):
        x: Number | None = None


def make_claims() -> None:
    class Some(Contract):
        x: Number = field(aliases=("Y",))
        y: Number


def make_key() -> None:
    class Some(Contract):
        table: ClassVar[Table] = Table(key=("z",))
        x: Number


def make_nullable_key() -> None:
    class Some(Contract):
        table: ClassVar[Table] = Table(key=("x",))
        x: Text | None


def make_event() -> None:
    class Some(Contract):
        table: ClassVar[Table] = Table(event_at="x")
        x: Number


def make_limit_on_text() -> None:
    class Some(Contract):
        x: Text = field(minimum=1)


def make_zone() -> None:
    class Some(Contract):
        x: Instant = field(zone="Mars/Olympus")


def make_pattern() -> None:
    class Some(Contract):
        x: Text = field(pattern=r"(?=a)a")


def make_mapping() -> None:
    class Some(Contract):
        x: Literal["a"] = field(mapping={"A": "b"})


def make_lost_mapping() -> None:
    class Some(Contract):
        x: Text = field(mapping={"NA": "north america"})


def make_padded() -> None:
    class Some(Contract):
        x: Text = field(null_tokens=(" -",))


def make_impute() -> None:
    class Some(Contract):
        x: Integer = field(minimum=0, impute=-1)


def make_numbers() -> None:
    class Some(Contract):
        x: Literal[1, 2]


def make_rules() -> None:
    class Some(Contract):
        table: ClassVar[Table] = Table(rules=(Rule("r", col("x") > 0), Rule("r", col("x") > 1)))
        x: Number


def make_keyless_deletions() -> None:
    class Some(Contract):
        table: ClassVar[Table] = Table(deleted="x")
        x: Flag


def make_deletions() -> None:
    class Some(Contract):
        table: ClassVar[Table] = Table(key=("y",), deleted="x")
        x: Text
        y: Text


def make_order() -> None:
    class Some(Contract):
        table: ClassVar[Table] = Table(key=("y",), ordered_by="x")
        x: Flag
        y: Text


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (make_keyless_deletions, "without a key have no versions"),
        (make_deletions, "marks deletions is a Flag"),
        (make_order, "in no order"),
        (make_float, "one of the kinds"),
        (make_default, "no default"),
        (make_claims, "both claim 'Y'"),
        (make_key, "not a field: z"),
        (make_nullable_key, "may not be null: x"),
        (make_event, "neither an instant nor a day"),
        (make_limit_on_text, "minimum is said of a text"),
        (make_zone, "no time zone"),
        (make_pattern, "a group other than"),
        (make_mapping, "mapped to 'b'"),
        (make_lost_mapping, "'NA' means null"),
        (make_padded, "white space around"),
        (make_impute, "breaks: minimum"),
        (make_numbers, "one of the kinds"),
        (make_rules, "a rule cannot be called 'r'"),
    ],
    ids=lambda case: getattr(case, "__name__", None),
)
def test_contradictions_are_refused_when_the_class_is_made(make: Callable[[], None], says: str) -> None:
    with pytest.raises(ContractError, match=says) as caught:
        make()
    assert "Some" in caught.value.where


@pytest.mark.parametrize(
    "pattern",
    ["[A-Z]{2}[0-9]{1,10}", r"\d+(\.\d+)?", "^a|b$", r"[^\]a-c]+", r"a\$", "é+", r"\w+@\w+\.com", "(?:ab)*?", ""],
)
def test_patterns_inside_the_subset(pattern: str) -> None:
    assert outside_subset(pattern) is None


@pytest.mark.parametrize(
    "pattern",
    [
        "(?=a)", "(?P<n>a)", "(?i)a", r"(a)\1", r"\s", r"\b", r"\Aa", "a^b", "a$b", "a++", "a{2}+", "a{,3}", "a{x}",
        "[[:alpha:]]", "[a&&b]", "[]a]", "(", "a{2000}", "*", r"\N", r"\u0061", "a\\", "[\U0001f600]",
    ],
)  # fmt: skip
def test_patterns_outside_the_subset(pattern: str) -> None:
    assert outside_subset(pattern)


def test_patterns_match_whole_texts() -> None:
    assert compiled("a|ab").fullmatch("ab")
    assert not compiled("^a$").fullmatch("a\n")
    assert not compiled(r"\d").fullmatch("\u0661")
    assert compiled(r"a\$").fullmatch("a$")
