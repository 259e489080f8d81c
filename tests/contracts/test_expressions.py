"""Expressions: one row, whole columns and the engine agree; null, overflow and division by zero are null."""

import json
import math
from collections.abc import Mapping

import ibis
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.checks.rules import ibis_value
from trunkline.contracts import Expr, col, count_true, larger, smaller
from trunkline.contracts.expressions import RowValue, from_data, row_function, vector
from trunkline.contracts.row_program import row_functions
from trunkline.errors import ContractError

NUMBERS, FLAGS, TEXTS = ("a", "b", "n"), ("f", "g"), ("s", "t")

finite = st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from(
    [0.0, -0.0, -1.0, 1.0, 1e308, -1e308, 5e-324]
)
cells = {
    "a": st.none() | finite,
    "b": st.none() | finite,
    "n": st.none() | st.integers(-(10**18) + 1, 10**18 - 1) | st.integers(-3, 3),
    "f": st.none() | st.booleans(),
    "g": st.none() | st.booleans(),
    "s": st.none() | st.sampled_from(["", "x", "y", "é"]),
    "t": st.none() | st.sampled_from(["", "x", "y"]),
}
rows_of_cells = st.lists(st.fixed_dictionaries(cells), min_size=1, max_size=20)

texts = st.sampled_from(TEXTS).map(col) | st.builds(lambda s: col(s).fill_null("x"), st.sampled_from(TEXTS))


def grow(conditions: st.SearchStrategy[Expr], numbers: st.SearchStrategy[Expr]) -> st.SearchStrategy[Expr]:
    return st.one_of(
        st.builds(Expr.__and__, conditions, conditions),
        st.builds(Expr.__or__, conditions, conditions),
        st.builds(Expr.__invert__, conditions),
        st.builds(Expr.is_null, conditions | numbers | texts),
        st.builds(lambda c, v: c.fill_null(v), conditions, st.booleans()),
        st.builds(Expr.__lt__, numbers, numbers | finite),
        st.builds(Expr.__ge__, numbers, numbers | st.integers(-3, 3)),
        st.builds(Expr.__eq__, numbers, numbers | finite),
        st.builds(Expr.__ne__, texts, texts | st.sampled_from(["x", "é"])),
    )


def numbers_from(conditions: st.SearchStrategy[Expr], inner: st.SearchStrategy[Expr]) -> st.SearchStrategy[Expr]:
    either = inner | finite | st.integers(-3, 3)
    return st.one_of(
        st.builds(Expr.__add__, inner, either),
        st.builds(Expr.__rsub__, inner, finite),
        st.builds(Expr.__mul__, inner, either),
        st.builds(Expr.__truediv__, inner, either),
        st.builds(Expr.__rtruediv__, inner, finite),
        st.builds(smaller, inner, either),
        st.builds(larger, either, inner),
        st.builds(abs, inner),
        st.builds(Expr.as_number, conditions),
        st.builds(lambda n, v: n.fill_null(v), inner, finite),
    )


simple_flags, simple_numbers = st.sampled_from(FLAGS).map(col), st.sampled_from(NUMBERS).map(col)
number_trees = st.recursive(simple_numbers, lambda inner: numbers_from(simple_flags, inner), max_leaves=6)
condition_trees = st.recursive(
    simple_flags | grow(simple_flags, number_trees), lambda inner: grow(inner, number_trees), max_leaves=6
)


def columns_of(rows: list[dict[str, RowValue]]) -> dict[str, np.ndarray[tuple[int], np.dtype[np.generic]]]:
    def column(name: str) -> np.ndarray[tuple[int], np.dtype[np.generic]]:
        values = [row[name] for row in rows]
        if name in TEXTS:
            return np.array([*values, None], dtype=object)[:-1]
        return np.array([math.nan if value is None else float(value) for value in values], dtype=np.float64)

    return {name: column(name) for name in cells}


def as_float(value: RowValue) -> float:
    assert not isinstance(value, str)
    return math.nan if value is None else float(value)


def same(one: list[float], other: list[float]) -> bool:
    return all(a == b or (math.isnan(a) and math.isnan(b)) for a, b in zip(one, other, strict=True))


@given(expr=number_trees | condition_trees, rows=rows_of_cells)
def test_one_row_and_whole_columns_agree_to_the_bit(expr: Expr, rows: list[dict[str, RowValue]]) -> None:
    one_by_one = [as_float(row_function(expr)(row)) for row in rows]
    assert same(one_by_one, vector(expr, columns_of(rows), rows=len(rows)).tolist())
    assert not any(map(math.isinf, one_by_one))


@given(st.lists(number_trees | condition_trees, max_size=5), rows_of_cells)
def test_several_at_once_are_the_same_as_one_by_one(trees: list[Expr], rows: list[dict[str, RowValue]]) -> None:
    together = row_functions(trees)
    for row in rows:
        alone = [as_float(row_function(expr)(row)) for expr in trees]
        assert same(alone, [as_float(value) for value in together(row)])


def test_what_expressions_share_is_computed_once_and_constants_are_told_apart() -> None:
    base = col("a") + 1
    trees = [base / 2, base / 2.0, base * True, (col("s") == "x").as_number() * base, (col("a") == 1).as_number()]
    assert list(row_functions(trees)({"a": 3, "s": "x"})) == [2.0, 2.0, 4.0, 4.0, 0.0]
    assert list(row_functions(trees)({"a": 1})) == [1.0, 1.0, 2.0, None, 1.0]
    assert list(row_functions([])({})) == []


@given(st.lists(st.none() | finite | st.floats(-2, 2), min_size=1, max_size=70))
def test_logarithms_agree_to_the_bit(values: list[float | None]) -> None:
    expr = col("a").log1p()
    column = np.array([math.nan if value is None else value for value in values])
    row = row_function(expr)
    assert same(
        [as_float(row({"a": value})) for value in values], vector(expr, {"a": column}, rows=len(values)).tolist()
    )


@pytest.fixture(scope="module")
def duckdb() -> ibis.BaseBackend:
    return ibis.duckdb.connect()


SCHEMA = {
    **dict.fromkeys(("a", "b"), "float64"),
    "n": "int64",
    **dict.fromkeys(FLAGS, "boolean"),
    **dict.fromkeys(TEXTS, "string"),
}


@given(expr=condition_trees | number_trees, rows=rows_of_cells)
def test_the_engine_agrees_with_one_row(expr: Expr, rows: list[dict[str, RowValue]], duckdb: ibis.BaseBackend) -> None:
    import pyarrow as pa

    table = pa.Table.from_pylist(rows, schema=ibis.schema(SCHEMA).to_pyarrow())
    duckdb.con.register("rules_raw", table)
    raw = ibis.table(SCHEMA, name="rules_raw")
    found = duckdb.con.sql(duckdb.compile(raw.select(value=ibis_value(expr, raw)))).to_arrow_table()
    row = row_function(expr)
    assert same([as_float(row(cells)) for cells in rows], [as_float(value) for value in found["value"].to_pylist()])


@pytest.mark.parametrize("expr", [(~col("f")).is_null(), (~(~col("f"))).is_null(), ~(~col("f")).is_null()])
def test_the_engine_knows_when_a_negation_is_null(expr: Expr, duckdb: ibis.BaseBackend) -> None:
    import pyarrow as pa

    rows: list[dict[str, RowValue]] = [{"f": None}, {"f": True}, {"f": False}]
    duckdb.con.register("negated", pa.Table.from_pylist(rows, schema=pa.schema({"f": pa.bool_()})))
    raw = ibis.table({"f": "boolean"}, name="negated")
    found = duckdb.con.sql(duckdb.compile(raw.select(value=ibis_value(expr, raw)))).to_arrow_table()
    assert found["value"].to_pylist() == [row_function(expr)(row) for row in rows]


@given(number_trees | condition_trees)
def test_data_and_back(expr: Expr) -> None:
    stored = json.loads(json.dumps(expr.to_data()))
    assert from_data(stored).to_data() == expr.to_data() == stored
    assert from_data(stored).columns() == expr.columns() <= set(cells)


@pytest.mark.parametrize(
    ("expr", "row", "value"),
    [
        (col("a") / col("b"), {"a": 1, "b": 0}, None),
        (col("a") * 10.0, {"a": 1e308}, None),
        (col("a") + 1, {}, None),
        ((col("a") > 0) | (col("b") > 0), {"a": 1}, True),
        ((col("a") > 0) & (col("b") > 0), {"a": 1}, None),
        ((col("a") > 0) & (col("b") > 0), {"a": 0}, False),
        (~(col("a") > 0), {}, None),
        (col("a").is_null(), {}, True),
        (col("a").log1p(), {"a": -1}, None),
        (2 - col("a"), {"a": 3}, -1.0),
        (2 / col("a"), {"a": 4}, 0.5),
        (col("n") == 10**17, {"n": 10**17 + 1}, True),  # numbers are 64-bit floats
        (count_true(col("f"), col("g"), col("a") > 1), {"f": True, "g": None, "a": 2}, 2.0),
        (smaller(col("a"), col("b")), {"a": 1}, None),
        (larger(col("a"), 2), {"a": 1}, 2.0),
    ],
    ids=lambda case: str(case.to_data()) if isinstance(case, Expr) else None,
)
def test_by_hand(expr: Expr, row: Mapping[str, RowValue], value: RowValue) -> None:
    assert row_function(expr)(row) == value
    assert type(row_function(expr)(row)) is type(value)


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        ["add"],
        ["add", ["column", "a"]],
        ["eval", "x"],
        ["column", 5],
        ["column"],
        ["literal", None],
        ["literal", [1]],
        ["literal", math.nan],
        "x",
        [["a"]],
    ],
    ids=repr,
)
def test_what_is_no_expression_is_refused(data: object) -> None:
    with pytest.raises(ContractError):
        from_data(data)


def test_mistakes_of_authors() -> None:
    with pytest.raises(ContractError, match="no truth value"):
        bool(col("a") < col("b"))
    with pytest.raises(ContractError, match="infinity"):
        _ = col("a") < math.inf
    with pytest.raises(ContractError, match="list cannot stand"):
        _ = col("a") == [1]
    with pytest.raises(ContractError, match="needs a condition"):
        count_true()
    with pytest.raises(TypeError):
        hash(col("a"))
