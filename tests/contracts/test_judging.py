"""A message in the usual form is judged by a shorter way; the verdict is that of the long one."""

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar, Literal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from trunkline.contracts import Contract, Flag, Integer, Number, Rule, Table, Text, col, field
from trunkline.contracts.judging import RowJudge


class Cell(Contract):
    """One row per cell."""

    table: ClassVar[Table] = Table(
        key=("name",), null_tokens=("NA",), rules=(Rule("used_below_sold", col("used") <= col("sold")),)
    )

    name: Text = field(max_length=6)
    note: Text | None = field(pattern="[a-z]+")
    sold: Number = field(minimum=0, maximum=100)
    used: Number | None = field(maximum=99.5)
    count: Integer | None = field(minimum=-3, maximum=2**53 + 1)
    missing: Number | None = field(null_tokens=("-1",))
    filled: Integer | None = field(impute=7)
    leased: Flag | None = field()
    grade: Literal["A", "B", "C"] | None = field(mapping={"a": "A", "1": "B", "x": "C"})
    fails: Flag = field()


JUDGE = RowJudge(Cell.columns, Cell.table, optional=("fails",))

scalars: st.SearchStrategy[object] = (
    st.none()
    | st.booleans()
    | st.integers(-5, 101)
    | st.sampled_from([2**53, 2**53 + 1, 2**53 + 2, 10**18 - 1, 10**18, -(10**18), 2**70, -1.0, -0.0, 99.5, 99.6])
    | st.floats()
    | st.sampled_from(
        ["NA", "-1", "A", "B", " C", "C", "a", "x", "1", " A", "abc", "abcdefg", "ab\0", "yes", "", " 5 "]
    )
    | st.text(max_size=7)
    | st.just([])
)
names = st.sampled_from([column.name for column in Cell.columns] * 4 + ["Sold", " used", "unknown"])
messages = st.dictionaries(names, scalars, max_size=11)


def shown(row: Mapping[str, object]) -> list[tuple[str, str]]:
    """Values with their types and all their bits."""
    return sorted((name, repr(value)) for name, value in row.items())


@given(messages)
@example({"name": "N1", "sold": 5.0, "used": 4.5, "count": 3, "leased": True, "grade": "a"})
@example({"name": "N1", "sold": 5.0, "used": 5.5})
@example({"name": "N1", "sold": math.nextafter(1e18, 0), "missing": -1})
@example({"name": "NA", "sold": 1})
def test_the_short_way_gives_the_same_verdict(message: dict[str, object]) -> None:
    short, long = JUDGE.judge(message), JUDGE.judge(MappingProxyType(message))
    assert short.reasons == long.reasons
    if not long.reasons:
        assert shown(short.row) == shown(long.row)


@pytest.mark.parametrize(
    ("message", "reasons"),
    [
        ({"name": "N1", "sold": 1.5, "grade": "1"}, ()),
        ({"name": "N1", "sold": 100.5}, ("sold.maximum",)),
        ({"name": "N1", "sold": math.inf}, ("sold.type",)),
        ({"name": "N123456", "sold": 1.0}, ("name.length",)),
        ({"sold": 1.0}, ("name.null",)),
        ({"name": "N1", "sold": 1.0, "used": 2.0}, ("used_below_sold",)),
        ({"name": "N1", "sold": 1.0, "solt": 2.0}, ("solt.unknown",)),
    ],
)
def test_verdicts(message: dict[str, object], reasons: tuple[str, ...]) -> None:
    assert JUDGE.judge(message).reasons == reasons
