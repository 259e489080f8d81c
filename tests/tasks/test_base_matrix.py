"""Rows become the same numbers whether they come as a table or one by one."""

import json
import math
from collections.abc import Callable, Mapping
from time import thread_time

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.contracts import Contract, Integer, Text, col, field, larger
from trunkline.contracts.contract import Table
from trunkline.contracts.expressions import RowValue
from trunkline.errors import SchemaError, UseCaseError
from trunkline.tasks import Feature, features_of
from trunkline.tasks.base_matrix import LIMIT, BaseMatrix, Matrix

FEATURES = (Feature("n"), Feature("x"), Feature("flag", "flag"), Feature("word", "category", minimum_count=2))
ROW = {
    "ratio": col("x") / col("n"),
    "log": larger(col("x"), 0.0).log1p(),
    "is_red": (col("word") == "red").as_number(),
    "either": ((col("flag") == True) | col("n").is_null()).as_number(),  # noqa: E712 - builds an expression
}
LEARNED = BaseMatrix.learn(
    pa.table(
        {
            "n": pa.array([1, 2, 3, 4], pa.int64()),
            "x": [0.1, 0.2, None, 0.3],
            "flag": [True, False, None, True],
            "word": ["red", "red", "blue", "green"],
        }
    ),
    features=FEATURES,
    row_features=ROW,
)

rows = st.fixed_dictionaries(
    {
        "n": st.none() | st.integers(-(2**53), 2**53),
        "x": st.none()
        | st.floats(allow_nan=False, allow_infinity=False, width=64)
        | st.sampled_from([0.0, -0.0, 1e15, -1e15, 1e-30, -1e-30, 9e-31, 5e-324, 1.7e308, 16777217.0, 0.1]),
        "flag": st.none() | st.booleans(),
        "word": st.none() | st.sampled_from(["red", "blue", "green", "unheard of", ""]),
    }
)


@given(st.lists(rows, min_size=1, max_size=20))
def test_table_and_row_agree_to_the_bit(batch: list[dict[str, object]]) -> None:
    schema = pa.schema([("n", pa.int64()), ("x", pa.float64()), ("flag", pa.bool_()), ("word", pa.string())])
    whole = LEARNED.from_table(pa.Table.from_pylist(batch, schema=schema))
    encode = LEARNED.row_encoder()
    single = np.concatenate([encode(row) for row in batch])  # type: ignore[arg-type]  # typed row values
    assert whole.dtype == single.dtype == np.float32
    np.testing.assert_array_equal(whole, single)
    np.testing.assert_array_equal(np.signbit(whole), np.signbit(single))


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan, 2**53 + 1, -(10**17), 16777217, True, 1e-31, -0.0])
def test_odd_numbers_are_the_same_bits_both_ways(value: float) -> None:
    row = {"x": col("x") * 2.0, "negated": 0.0 - col("x"), "small": col("x") * 1e-40, "large": col("x") * 1e300}
    base = BaseMatrix.learn(pa.table({"x": [1.0]}), features=[Feature("x")], row_features=row)
    whole = base.from_table(pa.table({"x": pa.array([float(value)])}))
    single = base.row_encoder()({"x": None if math.isnan(value) else value})  # a typed row has null for NaN
    np.testing.assert_array_equal(whole, single)
    np.testing.assert_array_equal(np.signbit(whole), np.signbit(single))


def test_codes_nulls_unknown_and_rare() -> None:
    assert LEARNED.vocabularies == {"word": ("red",)}
    table = pa.table({"n": [1, 1, 1], "x": [1.0, 1.0, 1.0], "flag": [True, None, False], "word": ["red", None, "blue"]})
    found = LEARNED.from_table(table)
    np.testing.assert_array_equal(found[:, 3], np.array([0, np.nan, -1], dtype=np.float32))
    np.testing.assert_array_equal(found[:, 2], np.array([1, np.nan, 0], dtype=np.float32))


def test_most_values_keeps_the_frequent_and_orders_by_text() -> None:
    table = pa.table({"word": ["b"] * 3 + ["a"] * 2 + ["c"]})
    learned = BaseMatrix.learn(table, features=[Feature("word", "category", most_values=2)])
    assert learned.vocabularies["word"] == ("a", "b")


def test_numbers_beyond_the_limit_are_cut() -> None:
    base = BaseMatrix.learn(pa.table({"x": [1.0]}), features=[Feature("x")])
    found = base.from_table(pa.table({"x": [1e300, -1e300, 1.0]}))[:, 0]
    np.testing.assert_array_equal(found, np.array([LIMIT, -LIMIT, 1.0], dtype=np.float32))
    assert base.row_encoder()({"x": 1e300})[0, 0] == np.float32(LIMIT)


def test_json_round_trip() -> None:
    again = BaseMatrix.from_data(json.loads(json.dumps(LEARNED.to_data())))
    assert again.to_data() == LEARNED.to_data()
    assert again.names == ("n", "x", "flag", "word", "ratio", "log", "is_red", "either")
    assert again.columns == ("flag", "n", "word", "x")


def test_a_missing_column_is_named() -> None:
    with pytest.raises(SchemaError, match="flag, word"):
        LEARNED.from_table(pa.table({"n": [1], "x": [1.0]}))


def test_a_column_of_another_type_is_refused() -> None:
    with pytest.raises(SchemaError, match="type string"):
        LEARNED.from_table(pa.table({"n": ["1"], "x": [1.0], "flag": [True], "word": ["a"]}))


def test_sixty_columns_are_encoded_within_the_budget() -> None:
    names = [f"c{at}" for at in range(60)]
    base = BaseMatrix.learn(pa.table({name: [1.0] for name in names}), features=[Feature(name) for name in names])
    encode, row = base.row_encoder(), dict.fromkeys(names, 1.5)
    best = min(_seconds_of_a_hundred(encode, row) for _ in range(20)) / 100
    assert best < 30e-6


def _seconds_of_a_hundred(encode: Callable[[Mapping[str, RowValue]], Matrix], row: Mapping[str, RowValue]) -> float:
    start = thread_time()
    for _ in range(100):
        encode(row)
    return thread_time() - start


class Subscribers(Contract):
    """Rows of this test."""

    table = Table(key=("subscriber",))
    subscriber: Text = field("Who")
    phone: Text | None = field("Number", pii="phone")
    months: Integer | None = field("Since when")
    area: Text | None = field("Where")


def test_features_of_a_contract_leave_out_key_and_personal_data() -> None:
    found = features_of(Subscribers, without=["area"])
    assert found == (Feature("months"),)
    with pytest.raises(UseCaseError, match="nonsense"):
        features_of(Subscribers, without=["nonsense"])
