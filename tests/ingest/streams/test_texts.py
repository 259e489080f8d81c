"""Columns of records as texts: what Arrow writes means what is written value by value, in every kind of field."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.contracts.kinds import Malformed, Scalar, parse
from trunkline.ingest.formats.json_values import scalar_text, scalar_texts

VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(1 << 63), (1 << 64) - 1),
    st.integers(-5, 5),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=5),
    st.lists(st.integers(), max_size=2),
)


def meant(kind: str, text: str | None) -> Scalar | str | None:
    if text is None:
        return None
    try:
        return parse(kind, text)  # type: ignore[arg-type]  # a kind
    except Malformed:
        return "malformed"


@given(st.lists(VALUES, max_size=6))
def test_a_column_of_values_is_written_as_each_value_is(values: list[object]) -> None:
    assert scalar_texts(values, is_number=False).to_pylist() == list(map(scalar_text, values))


@given(st.lists(VALUES, max_size=6))
def test_a_column_of_numbers_means_what_each_value_means(values: list[object]) -> None:
    for value, text in zip(values, scalar_texts(values, is_number=True).to_pylist(), strict=True):
        found, wanted = meant("number", text), meant("number", scalar_text(value))
        assert found == wanted
        if isinstance(wanted, float):
            assert math.copysign(1, wanted) == math.copysign(1, found)  # type: ignore[arg-type]  # equal


@pytest.mark.parametrize("value", [1e-7, 1e16, 1e22, 5.0, -0.0, 0.1, 5e-324, 1.7976931348623157e308, 2.0**53 + 2])
def test_a_column_of_numbers_keeps_every_bit(value: float) -> None:
    (text,) = scalar_texts([value], is_number=True).to_pylist()
    assert parse("number", text).hex() == value.hex()  # type: ignore[union-attr]  # a float


def test_whole_numbers_that_floats_cannot_hold_keep_their_digits() -> None:
    assert scalar_texts([2**53 + 1, 0.5], is_number=True).to_pylist() == [str(2**53 + 1), "0.5"]
    assert scalar_texts([2**64 - 1, 1], is_number=True).to_pylist() == [str(2**64 - 1), "1"]
