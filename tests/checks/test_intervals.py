"""The interval of an expression holds every value that the expression has on rows of its columns' intervals."""

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.checks.arrow_rules import arrow_value
from trunkline.checks.intervals import Interval, array_interval, expression_interval
from trunkline.contracts import Expr, col, larger, smaller

_FINITE = st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from([0.0, -0.0, 1e308, -1e308, 5e-324])
_CELLS = {
    "a": (pa.float64(), _FINITE),
    "b": (pa.float64(), st.floats(-3, 3) | st.integers(-3, 3).map(float)),
    "n": (pa.int64(), st.integers(-(10**18) + 1, 10**18 - 1) | st.integers(-3, 3)),
    "f": (pa.bool_(), st.booleans()),
    "s": (pa.string(), st.sampled_from(["", "x", "y"])),
}


@st.composite
def blocks(draw: st.DrawFn) -> dict[str, pa.Array]:
    rows = draw(st.integers(1, 8))
    columns = {}
    for name, (kind, values) in _CELLS.items():
        cells = draw(st.sampled_from([values, st.none() | values, st.just(draw(values)), st.none()]))
        columns[name] = pa.array(draw(st.lists(cells, min_size=rows, max_size=rows)), kind)
    return columns


_numbers: st.SearchStrategy[Expr] = st.deferred(
    lambda: st.one_of(
        st.sampled_from("abn").map(col),
        st.builds(Expr.__add__, _numbers, _numbers | _FINITE),
        st.builds(Expr.__rsub__, _numbers, _numbers | _FINITE),
        st.builds(Expr.__mul__, _numbers, _numbers | _FINITE),
        st.builds(Expr.__truediv__, _numbers, _numbers | _FINITE),
        st.builds(smaller, _numbers, _numbers | _FINITE),
        st.builds(larger, _numbers, _numbers | _FINITE),
        st.builds(abs, _numbers),
        st.builds(Expr.fill_null, _numbers, _FINITE),
        st.builds(Expr.as_number, _conditions),
    )
)
_conditions: st.SearchStrategy[Expr] = st.deferred(
    lambda: st.one_of(
        st.just(col("f")),
        st.builds(Expr.__lt__, _numbers, _numbers | _FINITE),
        st.builds(Expr.__le__, _numbers, _numbers | st.integers(-3, 3)),
        st.builds(Expr.__gt__, _numbers, _numbers | _FINITE),
        st.builds(Expr.__ge__, _numbers, _numbers | st.integers(-3, 3)),
        st.builds(Expr.__eq__, _numbers, _numbers | st.integers(-3, 3)),
        st.builds(Expr.__ne__, _numbers, _numbers | st.integers(-3, 3)),
        st.builds(Expr.__ne__, st.just(col("s")), st.sampled_from(["x", "z"])),
        st.builds(Expr.__eq__, _conditions, _conditions | st.booleans()),
        st.builds(Expr.__and__, _conditions, _conditions),
        st.builds(Expr.__or__, _conditions, _conditions),
        st.builds(Expr.__invert__, _conditions),
        st.builds(Expr.is_null, _numbers | _conditions | st.just(col("s"))),
        st.builds(Expr.fill_null, _conditions, st.booleans()),
    )
)


@given(columns=blocks(), expr=_conditions | _numbers)
def test_no_value_lies_outside(columns: dict[str, pa.Array], expr: Expr) -> None:
    interval = expression_interval(expr, {name: array_interval(values) for name, values in columns.items()})
    said = arrow_value(expr, columns)
    values = said.to_pylist() if isinstance(said, pa.Array) else [said.as_py()]
    assert interval.has_null or None not in values
    assert all(interval.low <= value <= interval.high for value in values if value is not None)


@pytest.mark.parametrize(
    ("expr", "low", "high"),
    [
        ((col("x") >= 0) & (col("x") <= 1), 1, 1),
        (col("x") + col("y") <= 3, 1, 1),
        (col("x") + col("y") < 3, 0, 1),
        ((col("x") + col("y")) / 2 <= 1.5, 1, 1),
        ((col("s") != "gold") | (col("x") >= 0), 1, 1),
        ((col("s") != "gold") & (col("x") >= 0), 0, 1),
        (~col("f") | (col("y") > 2), 0, 1),
        (col("x") > col("y"), 0, 0),
        (col("y") - col("x") < 0, 0, 0),
        (1 / col("x") > 0, 0, 1),
        (col("x").is_null() | (col("z") == 2), 1, 1),
    ],
)
def test_decides_what_the_ends_decide(expr: Expr, low: int, high: int) -> None:
    within = {
        "x": Interval(0.0, 1.0, has_null=False),
        "y": Interval(1, 2, has_null=True),
        "z": Interval(2, 2, has_null=True),
        "s": Interval(has_null=True),
        "f": Interval(0, 1, has_null=True),
    }
    found = expression_interval(expr, within)
    assert (found.low, found.high) == (low, high)


def test_a_column_that_is_all_null_could_be_anything() -> None:
    assert array_interval(pa.nulls(3, pa.float64())) == Interval()
    assert array_interval(pa.array([2, None, -1])) == Interval(-1, 2, has_null=True)
