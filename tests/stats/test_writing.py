"""Decimals by class, against the text of the numbers themselves."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.stats.writing import DecimalGrid, decimal_grid, off_grid

_decimals = st.decimals(min_value=-10_000_000, max_value=10_000_000, places=4)


@given(st.lists(_decimals, min_size=1), st.integers(0, 5))
def test_what_leaves_a_grid_is_what_its_text_says(numbers: list[object], decimals: int) -> None:
    written = [str(number).rstrip("0").partition(".")[2] for number in numbers]
    found = off_grid([float(str(number)) for number in numbers], decimals)
    assert found.tolist() == [len(text) > decimals for text in written]


def test_the_class_that_keeps_to_fewer_decimals_is_found() -> None:
    rng = np.random.default_rng(0)
    measured = np.round(rng.random(5_000) * 30, 3)
    made_up = np.round(rng.random(1_000) * 30, 4)
    values, y = np.concatenate([measured, made_up]), np.repeat([0, 1], [5_000, 1_000])
    found = decimal_grid(values, y)
    assert found is not None
    assert (found.decimals, found.kept_by) == (3, 0)
    assert found.off_share == pytest.approx(0.9, abs=0.03)  # a tenth of four decimals ends with 0
    turned = decimal_grid(values, 1 - y)
    assert turned == DecimalGrid(3, 1, found.off_share)


def test_numbers_that_are_all_written_alike_have_no_grid_between_classes() -> None:
    rng = np.random.default_rng(1)
    y = rng.integers(0, 2, 3_000)
    assert decimal_grid(np.round(rng.random(3_000), 3), y) is None
    assert decimal_grid(rng.random(3_000), y) is None
    assert decimal_grid(rng.integers(0, 9, 3_000), y) is None
    assert decimal_grid([0.1, np.nan], [0, 1]) is None
