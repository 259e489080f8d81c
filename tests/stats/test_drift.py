"""Drift against SciPy on the raw rows, against its theory without drift, and on real batches."""

import json
import os
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydantic import TypeAdapter
from scipy import stats
from scipy.spatial.distance import jensenshannon

from trunkline.stats.drift import (
    category_drift,
    null_shift,
    number_drift,
    psi,
    psi_limit,
)
from trunkline.stats.false_discoveries import benjamini_hochberg
from trunkline.stats.profiles import CategoryProfile, NumberProfile, category_profile, number_profile

Floats = NDArray[np.float64]

_DATA = Path(os.environ.get("TRUNKLINE_DATA", Path(__file__).parents[3] / "shared" / "data")) / "cell2cell"

_column = st.lists(st.one_of(st.integers(-20, 20).map(float), st.just(float("nan"))), min_size=1, max_size=80)


@given(_column, _column)
def test_few_distinct_values_give_scipys_statistics_exactly(reference: list[float], batch: list[float]) -> None:
    before, after = np.array(reference), np.array(batch)
    drift = number_drift(after, reference=number_profile(before))
    before, after = before[~np.isnan(before)], after[~np.isnan(after)]
    if not (before.size and after.size):
        assert (drift.ks, drift.ks_p_value, drift.wasserstein, drift.mean_shift) == (None, None, None, None)
        return
    if 2 * before.size * after.size > before.size + after.size:  # else SciPy divides by 0 effective rows
        expected = stats.ks_2samp(before, after, method="asymp")
        assert drift.ks == pytest.approx(expected.statistic)
        assert drift.ks_p_value == pytest.approx(expected.pvalue, abs=1e-9)
    if before.size > 1 and before.std() > 0:
        scale = before.std(ddof=1)
        assert drift.wasserstein == pytest.approx(stats.wasserstein_distance(before, after) / scale, abs=1e-9)
        assert drift.mean_shift == pytest.approx((after.mean() - before.mean()) / scale, abs=1e-9)


@pytest.mark.parametrize("shift", [0.0, 0.2, 1.5])
def test_many_distinct_values_give_scipys_statistics_nearly(shift: float) -> None:
    rng = np.random.default_rng(0)
    before, after = rng.lognormal(0, 1, 50_000), rng.lognormal(shift, 1, 5000)
    drift = number_drift(after, reference=number_profile(before))
    expected = stats.ks_2samp(before, after, method="asymp")
    assert drift.ks is not None
    assert expected.statistic - 0.005 <= drift.ks <= expected.statistic + 1e-12
    assert drift.wasserstein == pytest.approx(
        stats.wasserstein_distance(before, after) / before.std(ddof=1), rel=0.02, abs=0.005
    )


@given(_column)
def test_number_profile_adds_up_and_survives_json(column: list[float]) -> None:
    profile = number_profile(column)
    values = np.array(column)[~np.isnan(column)]
    assert sum(profile.counts) == profile.rows - profile.nulls == values.size
    assert len(profile.edges) == len(profile.counts) - 1
    assert list(profile.edges) == sorted(set(profile.edges))
    assert list(profile.points) == sorted(set(values.tolist()))
    text = json.dumps(asdict(profile), allow_nan=False)
    assert TypeAdapter(NumberProfile).validate_json(text) == profile
    same = number_drift(column, reference=profile)
    assert same.psi < 1e-2 + 1.0 / len(column)
    assert same.ks in (None, 0.0)
    assert same.nulls.z == 0.0


def test_profile_stays_small() -> None:
    profile = number_profile(np.random.default_rng(1).normal(size=100_000))
    assert len(profile.points) <= 221
    assert profile.counts == (10_000,) * 10
    assert (np.diff(profile.up_to) > 0).all()


@pytest.mark.parametrize(
    ("reference", "batch"),
    [
        (np.full(500, 3.0), np.full(500, 4.0)),
        (np.full(500, 3.0), np.full(500, 2.0)),
        (np.repeat([0.0, 1.0], [25, 475]), np.repeat([0.0, 1.0], [250, 250])),
        (np.repeat(np.arange(51.0), [1] * 50 + [950]), np.repeat(np.arange(51.0), [10] * 50 + [500])),
        (np.repeat(np.arange(51.0), [950] + [1] * 50), np.repeat(np.arange(51.0), [500] + [10] * 50)),
        (np.arange(500.0), np.full(500, np.nan)),
        (np.full(500, np.nan), np.arange(500.0)),
    ],
    ids=["constant up", "constant down", "flag", "mass at maximum", "mass at minimum", "values lost", "values found"],
)
def test_psi_sees_moved_mass_wherever_it_lies(reference: Floats, batch: Floats) -> None:
    drift = number_drift(batch, reference=number_profile(reference))
    assert drift.psi > max(0.25, drift.psi_limit)
    assert number_drift(reference, reference=number_profile(reference)).psi < 0.02


@pytest.mark.parametrize("rows", [50, *(pytest.param(rows, marks=pytest.mark.slow) for rows in (200, 2000))])
def test_batches_without_drift_stay_below_the_limit(rows: int) -> None:
    rng = np.random.default_rng(rows)
    profile = number_profile(rng.gamma(2, 10, 20_000))
    drifts = [number_drift(rng.gamma(2, 10, rows), reference=profile) for _ in range(400)]
    # One in a hundred lies above by design; 12 of 400 is four standard errors more.
    assert sum(drift.psi > drift.psi_limit for drift in drifts) <= 12
    if rows >= 200:
        expected = 9 * (1 / 20_000 + 1 / rows)
        assert np.mean([drift.psi for drift in drifts]) == pytest.approx(expected, rel=0.12)


@pytest.mark.parametrize("rows", [60, pytest.param(3000, marks=pytest.mark.slow)])
def test_batches_of_many_categories_without_drift_stay_below_the_limit(rows: int) -> None:
    rng = np.random.default_rng(rows)
    names = np.array([f"area {number}" for number in range(300)])
    shares = 1 / np.arange(1, 301)
    shares /= shares.sum()
    profile = category_profile(rng.choice(names, 20_000, p=shares).tolist())
    drifts = [category_drift(rng.choice(names, rows, p=shares).tolist(), reference=profile) for _ in range(300)]
    assert sum(drift.psi > drift.psi_limit for drift in drifts) <= 10
    p_values = [drift.chi_squared_p_value for drift in drifts if drift.chi_squared_p_value is not None]
    assert len(p_values) == 300
    assert 0.02 <= np.mean(np.array(p_values) < 0.05) <= 0.09


@given(
    st.lists(st.integers(0, 500), min_size=2, max_size=12).filter(any),
    st.integers(1, 20),
)
def test_psi_is_zero_for_equal_shares_and_never_negative(counts: list[int], times: int) -> None:
    assert psi(counts, counts) >= 0
    large = np.array(counts) * 1000
    assert psi(large, large * times) == pytest.approx(0, abs=1e-4)
    assert psi(large, large[::-1]) >= 0


def test_psi_equals_the_textbook_for_full_bins() -> None:
    before, after = np.array([30_000, 50_000, 20_000]), np.array([2500, 4500, 3000])
    a, b = before / before.sum(), after / after.sum()
    assert psi(before, after) == pytest.approx(((b - a) * np.log(b / a)).sum(), rel=1e-3)


def test_category_distances_are_scipys() -> None:
    before, after = {"a": 500, "b": 300, "c": 200}, {"a": 40, "b": 35, "c": 25}
    drift = category_drift(after, reference=category_profile(before))
    assert drift.jensen_shannon == pytest.approx(
        jensenshannon(np.array([0.5, 0.3, 0.2]), np.array([0.4, 0.35, 0.25]), base=2)
    )
    expected = stats.chi2_contingency([[500, 300, 200], [40, 35, 25]], correction=False)
    assert drift.chi_squared == pytest.approx(expected.statistic)
    assert drift.chi_squared_p_value == pytest.approx(expected.pvalue)
    assert drift.unseen_share == 0.0


def test_rare_categories_are_known_and_unseen_ones_are_not() -> None:
    profile = category_profile({"a": 900, "b": 90, "c": 7, "d": 3}, most=2)
    assert (profile.categories, profile.rare, profile.rare_rows) == (("a", "b"), ("c", "d"), 10)
    drift = category_drift(["a"] * 85 + ["b"] * 9 + ["c"] + ["x"] * 3 + ["w", None], reference=profile)
    assert (drift.unseen_share, drift.unseen) == (0.04, ("x", "w"))
    assert drift.nulls.batch == 0.01
    assert TypeAdapter(CategoryProfile).validate_json(json.dumps(asdict(profile))) == profile


def test_one_category_has_no_chi_squared() -> None:
    drift = category_drift({"a": 10}, reference=category_profile({"a": 100}))
    assert (drift.chi_squared, drift.chi_squared_p_value, drift.psi_limit) == (None, None, 0.0)
    assert drift.psi == 0.0


@given(st.integers(0, 50), st.integers(50, 500), st.integers(0, 30), st.integers(30, 300))
def test_null_shift_is_pearsons_chi_squared(before: int, rows: int, after: int, batch: int) -> None:
    shift = null_shift(before, rows, after, batch)
    if before + after == 0 or before + after == rows + batch:
        assert (shift.z, shift.p_value) == (0.0, 1.0)
        return
    table = [[before, rows - before], [after, batch - after]]
    expected = stats.chi2_contingency(table, correction=False)
    assert shift.z**2 == pytest.approx(expected.statistic, abs=1e-9)
    assert shift.p_value == pytest.approx(expected.pvalue, abs=1e-9)


def test_benjamini_hochberg_gives_the_published_example() -> None:
    # Benjamini and Hochberg (1995), section 4.1: 15 tests, of which the first four are rejected at 0.05.
    p_values = [0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344]
    p_values += [0.0459, 0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1.0]
    found = benjamini_hochberg(p_values)
    assert found.rejected == (True,) * 4 + (False,) * 11
    assert found.adjusted[3] == pytest.approx(0.0095 * 15 / 4)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=40))
def test_benjamini_hochberg_is_the_step_up_rule(p_values: list[float]) -> None:
    ordered = sorted(p_values)
    passing = [p for rank, p in enumerate(ordered, start=1) if p <= 0.05 * rank / len(ordered)]
    limit = max(passing, default=-1.0)
    # Adjusted p-values within rounding of the rate may fall on either side of it.
    assert all(
        rejected == (p <= limit) or adjusted == pytest.approx(0.05)
        for p, rejected, adjusted in zip(
            p_values, benjamini_hochberg(p_values).rejected, benjamini_hochberg(p_values).adjusted, strict=True
        )
    )


@pytest.mark.skipif(not _DATA.exists(), reason=f"real data is not at {_DATA}; set TRUNKLINE_DATA")
def test_means_of_real_batches_drift_and_those_of_the_control_do_not() -> None:
    columns = ["MonthsInService", "CurrentEquipmentDays"]
    train = pd.read_csv(_DATA / "train.csv.gz", usecols=columns)
    profiles = {name: number_profile(train[name].to_numpy(float)) for name in columns}
    moved = {}
    for batch in (1, 2, 3, 4):
        rows = pd.read_csv(_DATA / f"holdout_batch_{batch}.csv", usecols=columns)
        for name in columns:
            drift = number_drift(rows[name].to_numpy(float), reference=profiles[name])
            moved[batch, name] = drift
            raw = stats.ks_2samp(train[name].dropna(), rows[name].dropna(), method="asymp").statistic
            assert drift.ks == pytest.approx(raw, abs=0.006)
    # The shifts that the data's description states, in reference standard deviations.
    for batch, months, days in ((1, 1.25, 0.58), (3, -0.61, -0.30), (4, -0.71, -0.46)):
        assert moved[batch, "MonthsInService"].mean_shift == pytest.approx(months, abs=0.02)
        assert moved[batch, "CurrentEquipmentDays"].mean_shift == pytest.approx(days, abs=0.02)
        assert all(moved[batch, name].psi > 0.1 > moved[batch, name].psi_limit for name in columns)
    # The control's means stay. Its shape does not: the batches are slices of a file sorted by customer, so that PSI and
    # Kolmogorov-Smirnov rightly see a narrow slice of tenures in all four.
    assert all(abs(moved[2, name].mean_shift or 0.0) < 0.2 for name in columns)


def test_bad_input_is_refused() -> None:
    profile = number_profile([1.0, 2.0])
    with pytest.raises(ValueError, match="at least one row"):
        number_drift([], reference=profile)
    with pytest.raises(ValueError, match="infinity"):
        number_drift([np.inf], reference=profile)
    with pytest.raises(ValueError, match="bins"):
        number_profile([1.0], bins=1)
    with pytest.raises(ValueError, match="at least one row"):
        category_drift([], reference=category_profile(["a"]))
    with pytest.raises(ValueError, match="at least 1"):
        category_profile({"a": 0})
    with pytest.raises(ValueError, match="counted in a column"):
        category_profile(["a"], nulls=1)
    with pytest.raises(ValueError, match="same bins"):
        psi([1, 2], [1, 2, 3])
    with pytest.raises(ValueError, match="level"):
        psi_limit(10, 10, 10, level=1.0)
    with pytest.raises(ValueError, match=r"\[0, rows\]"):
        null_shift(2, 1, 0, 1)
    with pytest.raises(ValueError, match="p-values"):
        benjamini_hochberg([1.2])
