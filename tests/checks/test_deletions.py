"""Rows that say that their key is gone need no more than that: by every path, and by the exported JSON Schema."""

from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar, Literal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from trunkline.checks import edge_validator, exact_json_schema, format_checker
from trunkline.contracts import Contract, Flag, Instant, Integer, Number, Table, Text, field

Verdict = tuple[tuple[str, ...], Mapping[str, object]]
AllVerdicts = Callable[[type[Contract], Sequence[Mapping[str, str | None]]], list[Verdict]]

pytestmark = pytest.mark.hypothesis


class Versioned(Contract):
    """Rows of which some say that their key is gone: those need no more than the key, the place and the flag."""

    table: ClassVar[Table] = Table(key=("name",), ordered_by="place", deleted="gone", event_at="at")

    name: Text = field(max_length=5)
    place: Integer = field(minimum=0)
    gone: Flag = field(mapping={"D": "yes"})
    note: Text = field(max_length=3)
    kind: Literal["dsl", "fiber"]
    share: Number = field(maximum=1)
    at: Instant
    is_live: Flag = field(impute=True)


@pytest.mark.slow
@given(
    rows=st.lists(
        st.fixed_dictionaries(
            {
                "name": st.sampled_from(["n", "toolong", None]),
                "place": st.sampled_from(["1", "-1", "", None]),
                "gone": st.sampled_from(["yes", "1", " D ", "no", "x", "", None]),
                "note": st.sampled_from(["a", "long", "", None]),
            },
            optional={
                "kind": st.sampled_from(["dsl", "x", None]),
                "share": st.sampled_from(["0.5", "2", "x", None]),
                "at": st.sampled_from(["2026-01-01T00:00Z", "x", None]),
                "is_live": st.sampled_from(["no", "x", None]),
            },
        ).map(lambda row: {name: row.get(name) for name in Versioned.model_fields}),
        min_size=1,
        max_size=30,
    )
)
@example(rows=[{"name": "n", "place": "1", "gone": "yes"}, {"name": "n", "place": "1", "gone": "no"}])
def test_rows_that_say_that_a_key_is_gone_get_one_verdict(
    rows: list[dict[str, str | None]], verdicts: AllVerdicts
) -> None:
    found = verdicts(Versioned, rows)
    for row, (reasons, _) in zip(rows, found, strict=True):
        is_gone = (row["gone"] or "").strip() in ("yes", "1", "D")
        lacks = any(row.get(name) in (None, "") for name in ("note", "kind", "share", "at"))
        spared = {f"{name}.null" for name in ("note", "kind", "share", "at")}
        assert bool(spared & set(reasons)) == (lacks and not is_gone)


class Order(Contract):
    table: ClassVar[Table] = Table(key=("name",), deleted="gone", ordered_by="place")

    name: Text = field(max_length=4)
    place: Integer
    gone: Flag | None
    note: Text = field(max_length=3)
    at: Instant
    count: Integer | None = field(maximum=9)


class OddOrder(Order):
    table: ClassVar[Table] = Table(key=("name",), deleted="gone", null_tokens=("", "true", "0"))

    gone: Flag | None = field(mapping={"D": "t", "I": "no", "2": "yes"}, impute=True)


@pytest.mark.parametrize("contract", [Order, OddOrder])
@given(
    documents=st.lists(
        st.fixed_dictionaries(
            {"name": st.sampled_from(["a", "long name", "", None]), "place": st.sampled_from([1, "2", None, "x"])},
            optional={
                "gone": st.sampled_from(
                    [True, False, 0, 1, 1.0, 2, "yes", " Y", "TRUE", "no", "D", "I", "", None, "x"]
                ),
                "note": st.sampled_from(["a", "long", "", None, 7]),
                "at": st.sampled_from(["2026-11-22T10:15Z", "x", None]),
                "count": st.sampled_from([1, 10, None]),
            },
        ),
        min_size=6,
        max_size=15,
    )
)
@example(documents=[{"name": "a", "place": 1, "gone": number} for number in (0, 1, 2, 3, 1.0)])
def test_a_deleted_row_needs_its_key_alone(contract: type[Contract], documents: list[dict[str, object]]) -> None:
    schema, judge = exact_json_schema(contract), edge_validator(contract).judge
    Draft202012Validator.check_schema(schema)
    exact = Draft202012Validator(schema, format_checker=format_checker(contract)).is_valid
    lax = Draft202012Validator(schema).is_valid

    def right(document: object) -> bool:
        return not judge(document).reasons

    assert right({"name": "a", "place": 1, "gone": "y"})
    assert not right({"name": "a", "place": 1, "gone": "n"})
    for document in documents:
        assert exact(document) == right(document), document
        assert lax(document) or not right(document), document
