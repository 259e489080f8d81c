"""What would have been accepted is said from the contract alone."""

from typing import ClassVar, Literal

import pytest

from trunkline.checks import resolve_columns
from trunkline.checks.hints import Hint, hints_of
from trunkline.contracts import Contract, Day, Instant, Integer, Number, Rule, Table, Text, col, field
from trunkline.errors import SchemaError


class Call(Contract):
    """One call."""

    table: ClassVar[Table] = Table(
        key=("call_id",),
        rules=(Rule("billed", col("cost") <= col("seconds"), "nobody pays more than a unit a second"),),
    )

    call_id: Text = field(pattern="c[0-9]+", max_length=20)
    seconds: Integer = field(unit="seconds", minimum=0, maximum=86_400, aliases=("Duration",))
    cost: Number | None = field(minimum=0)
    kind: Literal["voice", "video"] | None = field()
    begun_at: Instant = field()
    ended_at: Instant | None = field(zone="Europe/Rome")
    billed_on: Day = field(written="DD.MM.YYYY")
    paid: Number | None = field(decimal=",", thousands=".")


@pytest.mark.parametrize(
    ("reason", "hint"),
    [
        ("billed_on.type", {"allowed": ("a day written like 22.11.2026",)}),
        ("billed_on.null", {"allowed": ("a day like 22.11.2026, not null",)}),
        ("paid.type", {"allowed": ("a number written like 1.234,5",)}),
        ("kind.category", {"allowed": ("voice", "video")}),
        ("seconds.minimum", {"limit": 0, "unit": "seconds"}),
        ("seconds.maximum", {"limit": 86_400, "unit": "seconds"}),
        ("cost.minimum", {"limit": 0}),
        ("cost.type", {"allowed": ("a number",)}),
        ("seconds.null", {"allowed": ("a whole number, not null",)}),
        ("call_id.pattern", {"pattern": "c[0-9]+"}),
        ("call_id.length", {"limit": 20, "unit": "characters"}),
        ("ended_at.type", {"allowed": ("an instant, in Europe/Rome where it has no offset",)}),
        ("duratoin.unknown", {"allowed": ("seconds",)}),
        ("billed", {"rule": "nobody pays more than a unit a second"}),
    ],
)
def test_a_reason_has_its_hint(reason: str, hint: Hint) -> None:
    assert hints_of(Call, [reason, reason]) == {reason: hint}


def test_an_instant_names_its_offset() -> None:
    (hint,) = hints_of(Call, ["begun_at.type"]).values()
    assert "offset from UTC" in hint["allowed"][0]  # type: ignore[index]  # a sentence


def test_what_speaks_for_itself_has_none_and_many_are_cut() -> None:
    assert hints_of(Call, ["row.not_an_object", "kind.twice", "qqq.unknown", "nothing"]) == {}
    assert len(hints_of(Call, ["kind.category", *(f"x{number}.unknown" for number in range(100)), "cost.type"])) == 1


@pytest.mark.parametrize(
    ("header", "step"),
    [
        (["call_id/seconds/cost"], "'/' seems to divide its columns"),
        (["call_id", "seconds", "begun_at/billed_on"], "name the columns with --map"),
        (["call_id/seconds", "begun_at/billed_on"], "name the columns with --map"),
        (["call_id"], "name the columns with --map"),
    ],
)
def test_another_delimiter_is_advised_where_all_columns_were_read_as_one(header: list[str], step: str) -> None:
    with pytest.raises(SchemaError) as refused:
        resolve_columns(Call, header)
    assert refused.value.next_step.startswith(step)
