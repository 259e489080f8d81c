"""Wilson's interval, the corrected resampled t, and DeLong against independent oracles."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats
from sklearn.metrics import roc_auc_score

from trunkline.errors import LabelError
from trunkline.stats.delong import delong_interval, delong_test
from trunkline.stats.intervals import corrected_resampled_test, wilson_interval

# Few rows with heavy ties, so that the brute-force oracle sees every kind of pair.
_LABELS = np.array([0, 0, 0, 0, 0, 1, 1, 1, 1, 0, 1, 0])
_FIRST = np.array([1, 2, 2, 3, 1, 3, 2, 5, 4, 4, 5, 1]) / 5
_SECOND = np.array([2, 1, 3, 3, 1, 2, 4, 5, 4, 1, 3, 2]) / 5


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    # Newcombe (1998), Statistics in Medicine 17:857-872, table I, method 3 (score without continuity correction).
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0000, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_equals_the_published_table(successes: int, trials: int, low: float, high: float) -> None:
    interval = wilson_interval(successes, trials)
    assert (interval.low, interval.high) == pytest.approx((low, high), abs=5e-5)


@given(st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_holds_its_share_and_mirrors(counts: tuple[int, int]) -> None:
    successes, trials = counts
    interval, mirror = wilson_interval(successes, trials), wilson_interval(trials - successes, trials)
    assert 0.0 <= interval.low <= interval.value <= interval.high <= 1.0
    assert interval.low == pytest.approx(1.0 - mirror.high, abs=1e-12)


@pytest.mark.parametrize(("successes", "trials"), [(0, 0), (3, 2), (-1, 5)])
def test_wilson_refuses_impossible_counts(successes: int, trials: int) -> None:
    with pytest.raises(ValueError, match="successes"):
        wilson_interval(successes, trials)


@pytest.mark.parametrize("level", [0.0, 1.0])
def test_a_level_outside_the_unit_interval_is_refused(level: float) -> None:
    with pytest.raises(ValueError, match="level"):
        wilson_interval(1, 2, level=level)


def test_corrected_t_is_the_plain_t_with_a_wider_standard_error() -> None:
    differences = np.random.default_rng(0).normal(0.01, 0.02, 25)
    plain = stats.ttest_1samp(differences, 0.0)
    corrected = corrected_resampled_test(differences, train_rows=4, test_rows=1)
    # Nadeau and Bengio: 1/J becomes 1/J + n_test/n_train, here 1/25 + 1/4.
    widening = np.sqrt((1 / 25 + 1 / 4) / (1 / 25))
    assert corrected.t == pytest.approx(plain.statistic / widening)
    ends = plain.confidence_interval(0.95)
    assert corrected.mean.high - corrected.mean.low == pytest.approx((ends.high - ends.low) * widening)
    assert corrected.p_value == pytest.approx(2 * stats.t.sf(abs(plain.statistic) / widening, 24))


def test_corrected_t_holds_its_size_where_the_plain_t_does_not() -> None:
    # Two constant rules of equal worth, compared in repeated random halves of 60 rows: differences share rows.
    rng = np.random.default_rng(1)
    plain = corrected = 0
    for _ in range(300):
        margins = rng.normal(size=60)
        scores = np.array([margins[rng.permutation(60)[:30]].mean() for _ in range(30)])
        plain += int(stats.ttest_1samp(scores, 0.0).pvalue < 0.05)
        corrected += int(corrected_resampled_test(scores, train_rows=30, test_rows=30).p_value < 0.05)
    assert plain > 150
    assert corrected <= 25


def test_shares_have_intervals_within_their_range_and_the_same_test() -> None:
    near = [0.99, 1.0, 1.0, 0.98, 1.0]
    plain = corrected_resampled_test(near, train_rows=80, test_rows=20)
    kept = corrected_resampled_test(near, train_rows=80, test_rows=20, shares=True)
    assert plain.mean.high > 1.0
    assert 0.9 < kept.mean.low < kept.mean.value < kept.mean.high < 1.0
    assert (kept.t, kept.p_value) == (plain.t, plain.p_value)
    mirrored = corrected_resampled_test([1 - one for one in near], train_rows=80, test_rows=20, shares=True)
    assert mirrored.mean.low == pytest.approx(1 - kept.mean.high)
    # far from the ends it is the symmetric one, to a term of second order
    middle = np.array([0.50, 0.52, 0.51, 0.49, 0.53])
    symmetric, bent = (
        corrected_resampled_test(middle, train_rows=80, test_rows=20, shares=s).mean for s in (False, True)
    )
    assert bent.low == pytest.approx(symmetric.low, abs=5e-4)
    assert bent.high == pytest.approx(symmetric.high, abs=5e-4)
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        corrected_resampled_test([0.5, 1.5], train_rows=80, test_rows=20, shares=True)


def test_corrected_t_covers_an_area_near_1_where_the_symmetric_one_leaves_its_range() -> None:
    rng = np.random.default_rng(3)
    covered, outside, true = 0, 0, 0.985
    for _ in range(400):  # independent folds: shares of 40 rows that are right
        scores = rng.binomial(40, true, 10) / 40
        if np.ptp(scores) == 0:
            continue
        found = corrected_resampled_test(scores, train_rows=1e9, test_rows=1, shares=True).mean
        covered += found.low <= true <= found.high
        outside += corrected_resampled_test(scores, train_rows=1e9, test_rows=1).mean.high > 1.0
    assert covered >= 0.9 * 400
    assert outside > 0


def test_corrected_t_of_equal_scores_is_a_point() -> None:
    same = corrected_resampled_test([0.1] * 7, train_rows=4, test_rows=1)
    assert same.mean.low == same.mean.high == same.mean.value
    assert (same.t, same.p_value) == (np.inf, 0.0)
    none = corrected_resampled_test([0.0, 0.0], train_rows=4, test_rows=1)
    assert (none.t, none.p_value) == (0.0, 1.0)


@pytest.mark.parametrize("scores", [[0.1], [0.1, np.nan], [[0.1, 0.2]]])
def test_corrected_t_refuses_too_little(scores: list[float]) -> None:
    with pytest.raises(ValueError, match="scores"):
        corrected_resampled_test(scores, train_rows=4, test_rows=1)


def _brute(y: NDArray[np.int64], scores: list[NDArray[np.float64]]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Areas and covariance straight from equations (1) to (6) of DeLong et al. (1988), pair by pair."""
    places = []
    for score in scores:
        pairs = np.array(
            [[1.0 if a > b else 0.5 if a == b else 0.0 for b in score[y == 0]] for a in score[y == 1]], dtype=np.float64
        )
        places.append((pairs.mean(axis=1), pairs.mean(axis=0), pairs.mean()))
    size = len(scores)
    covariance = np.zeros((size, size))
    for i, j in itertools.product(range(size), repeat=2):
        for side, count in ((0, int((y == 1).sum())), (1, int((y == 0).sum()))):
            deviations = (places[i][side] - places[i][2]) * (places[j][side] - places[j][2])
            covariance[i, j] += deviations.sum() / (count - 1) / count
    return np.array([place[2] for place in places]), covariance


def test_delong_equals_the_definition() -> None:
    areas, covariance = _brute(_LABELS, [_FIRST, _SECOND])
    test = delong_test(_LABELS, _FIRST, _SECOND)
    assert (test.auc_a.value, test.auc_b.value) == pytest.approx(tuple(areas))
    error = np.sqrt(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    assert test.z == pytest.approx((areas[0] - areas[1]) / error)
    assert test.p_value == pytest.approx(2 * stats.norm.sf(abs(areas[0] - areas[1]) / error))
    assert test.difference.high - test.difference.value == pytest.approx(stats.norm.ppf(0.975) * error)
    alone = delong_interval(_LABELS, _FIRST)
    assert alone == test.auc_a
    assert alone.value - alone.low == pytest.approx(stats.norm.ppf(0.975) * np.sqrt(covariance[0, 0]))


@given(
    st.lists(st.tuples(st.integers(0, 1), st.integers(0, 6), st.integers(0, 6)), min_size=8, max_size=40).filter(
        lambda rows: 2 <= sum(row[0] for row in rows) <= len(rows) - 2
    )
)
def test_delong_agrees_with_sklearn_and_turns_with_its_arguments(rows: list[tuple[int, int, int]]) -> None:
    y, first, second = (np.array(column) for column in zip(*rows, strict=True))
    there, back = delong_test(y, first, second), delong_test(y, second, first)
    assert there.auc_a.value == pytest.approx(roc_auc_score(y, first))
    assert there.difference.value == pytest.approx(-back.difference.value, abs=1e-12)
    assert there.p_value == pytest.approx(back.p_value, abs=1e-9)
    # A strictly rising map of the score and a change of the row order change nothing.
    order = np.argsort(second, kind="stable")
    same = delong_test(y[order], np.exp(first[order].astype(float)), second[order])
    assert same.difference.value == pytest.approx(there.difference.value, abs=1e-12)
    assert same.p_value == pytest.approx(there.p_value, abs=1e-6)
    assert delong_test(y, first, first).p_value == 1.0


def test_delong_covers_the_true_area() -> None:
    # Two unit normals 1 apart have area Phi(1 / sqrt 2).
    rng = np.random.default_rng(2)
    truth = stats.norm.cdf(1 / np.sqrt(2))
    y = np.repeat([0, 1], [120, 80])
    inside = 0
    for _ in range(400):
        interval = delong_interval(y, rng.normal(size=200) + y)
        inside += interval.low <= truth <= interval.high
    assert 0.92 <= inside / 400 <= 0.975


def test_delong_needs_two_rows_of_each_class() -> None:
    with pytest.raises(LabelError, match="at least 2 rows of each class"):
        delong_interval([0, 0, 1], [0.1, 0.2, 0.3])
    with pytest.raises(ValueError, match="same rows"):
        delong_interval([0, 0, 1, 1], [0.1, 0.2, 0.3])
    with pytest.raises(ValueError, match="only 0 and 1"):
        delong_interval([0, 2, 1, 1], [0.1, 0.2, 0.3, 0.4])
    with pytest.raises(ValueError, match="NaN"):
        delong_interval([0, 0, 1, 1], [0.1, np.nan, 0.3, 0.4])
