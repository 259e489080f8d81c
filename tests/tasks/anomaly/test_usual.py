"""What is usual, against plain loops over NumPy; and that faults do not become usual."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trunkline.tasks.anomaly.grouped import Floats, medians, runs
from trunkline.tasks.anomaly.usual import Usual

HOURS = np.repeat(np.arange(24), 4)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.lists(st.one_of(st.floats(-1e6, 1e6), st.just(float("nan"))), min_size=1, max_size=9), min_size=1, max_size=9
    )
)
def test_medians_are_those_of_each_run_alone(groups: list[list[float]]) -> None:
    found = medians(np.concatenate([np.array(one) for one in groups]), np.array([len(one) for one in groups]))
    for one, group in zip(found, groups, strict=True):
        known = [value for value in group if not np.isnan(value)]
        assert one == pytest.approx(np.median(known), rel=1e-12, abs=1e-9) if known else np.isnan(one)


def test_runs_of_nothing_are_none() -> None:
    assert [len(one) for one in runs(np.zeros(0, np.int64))] == [0, 0]


def fleet(seed: int = 0, cells: int = 60) -> Floats:
    rng = np.random.default_rng(seed)
    course = 2 + np.sin(np.arange(96) / 96 * 2 * np.pi)
    values: Floats = rng.gamma(4, 25, (cells, 1)) * course * rng.lognormal(0, 0.1, (cells, 96))
    return values.reshape(-1, 1)


def learned(values: Floats, *, enough: int = 12) -> Usual:
    cells = len(values) // 96
    return Usual.learn(values, amounts=[True], lengths=np.full(cells, 96), hours=np.tile(HOURS, cells), enough=enough)


def test_deviations_of_usual_rows_are_about_one_whatever_the_size_of_the_cell() -> None:
    values = fleet()
    found = learned(values).compare(values, lengths=np.full(60, 96), hours=np.tile(HOURS, 60)).deviations
    by_cell = np.median(np.abs(found.reshape(60, 96)), axis=1)
    assert np.all((by_cell > 0.3) & (by_cell < 1.2))
    assert abs(np.median(found)) < 0.05


def test_a_fault_of_half_the_busy_day_stands_out_and_is_not_its_own_measure() -> None:
    values = fleet()
    values[96 * 7 + 30 : 96 * 7 + 60] = 0.0
    compared = learned(values).compare(values, lengths=np.full(60, 96), hours=np.tile(HOURS, 60))
    deviations = compared.deviations.reshape(60, 96)
    assert deviations[7, 30:60].max() < -8
    assert np.abs(deviations[7, :30]).max() < 8
    assert compared.usual.reshape(60, 96)[7, 45] > 50


def test_with_enough_rows_an_hour_is_compared_with_itself() -> None:
    rng = np.random.default_rng(1)
    days = 20
    hours = np.tile(np.arange(24), days)
    values = np.where(hours == 3, 500.0, 100.0) * rng.lognormal(0, 0.05, len(hours))  # a batch job at night
    values[5 * 24 + 3] = 100.0
    usual = learned(fleet(), enough=12)
    found = usual.compare(values.reshape(-1, 1), lengths=np.array([len(hours)]), hours=hours)
    at_three = found.deviations[hours == 3, 0]
    assert at_three[5] < -5
    assert np.abs(np.delete(at_three, 5)).max() < 5
    assert found.usual[3, 0] == pytest.approx(np.median(values[hours == 3]), rel=1e-4)


def test_what_never_varies_is_odd_when_it_does_and_what_is_missing_is_not() -> None:
    values = np.full((96 * 40, 1), 100.0)
    values[500] = 99.0
    values[600] = np.nan
    hours = np.tile(HOURS, 40)
    usual = Usual.learn(values, amounts=[False], lengths=np.full(40, 96), hours=hours, enough=12)
    found = usual.compare(values, lengths=np.full(40, 96), hours=hours).deviations[:, 0]
    assert found[500] == -50.0
    assert np.isnan(found[600])
    assert np.all(np.delete(found, [500, 600]) == 0)
