"""The measures against the definitions written out plainly, and the detector that never looks ahead."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trunkline.tasks.anomaly.grouped import Floats
from trunkline.tasks.anomaly.judging import NabProfile, Ranged, nab_score, probation, ranges_of, vus_pr
from trunkline.tasks.anomaly.series import first_told, series_scores


def plain_vus_pr(labels: npt.NDArray[np.bool_], scores: Floats, buffer: int) -> float:
    """As Paparrizos et al. define it, threshold by threshold and range by range."""
    areas = []
    for width in range(buffer + 1):
        weights = labels.astype(float)
        for first, last in ranges_of(labels):
            for place in range(last, min(last + width // 2, len(labels))):
                weights[place] = min(1.0, weights[place] + np.sqrt(1 - (place - last) / width))
            for place in range(max(first - width // 2, 0), first):
                weights[place] = min(1.0, weights[place] + np.sqrt(1 - (first - place) / width))
        segments = ranges_of(weights > 0)
        rates, precisions = [0.0], [1.0]
        ranked = -np.sort(-scores)
        for at in np.linspace(0, len(scores) - 1, 250).astype(int):
            odd = scores >= ranked[at]
            hits = float((weights * odd).sum())
            recall = min(hits / ((labels.sum() + weights.sum()) / 2), 1)
            existence = np.mean([(weights * odd)[first : last + 1].sum() > 0 for first, last in segments])
            rates.append(recall * existence)
            precisions.append(hits / odd.sum())
        areas.append(
            sum((rates[at] - rates[at - 1]) * (precisions[at] + precisions[at - 1]) / 2 for at in range(1, len(rates)))
        )
    return float(np.mean(areas))


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1_000), st.integers(0, 7))
def test_vus_pr_is_what_its_definition_says(seed: int, buffer: int) -> None:
    rng = np.random.default_rng(seed)
    labels = np.zeros(60, bool)
    for begin in rng.integers(0, 55, 3):
        labels[begin : begin + rng.integers(1, 6)] = True
    scores = np.round(rng.random(60), 1)  # with ties
    assert vus_pr(labels, scores, buffer=buffer) == pytest.approx(plain_vus_pr(labels, scores, buffer), rel=1e-9)


def test_better_scores_have_a_larger_volume() -> None:
    labels = np.zeros(1_000, bool)
    labels[400:430] = labels[700:720] = True
    rng = np.random.default_rng(0)
    noise = rng.random(1_000)
    volumes = [vus_pr(labels, noise + gain * labels, buffer=20) for gain in (0.0, 0.3, 2.0)]
    assert volumes[0] < volumes[1] < volumes[2]
    with pytest.raises(ValueError, match="labelled"):
        vus_pr(np.zeros(5, bool), np.zeros(5))


def test_the_nab_score_of_perfect_and_of_no_detections() -> None:
    scores = np.zeros(1_000)
    windows = [(300, 399), (600, 699)]
    assert nab_score([Ranged(scores, windows)]).score == 0.0
    scores[[300, 600]] = 1.0
    perfect = nab_score([Ranged(scores, windows)])
    assert perfect.score == pytest.approx(100.0)
    assert (perfect.found, perfect.false) == (2, 0)


def test_late_detections_are_worth_less_and_false_ones_cost_more_the_farther_they_are() -> None:
    def score(*places: int) -> float:
        scores = np.zeros(1_000)
        scores[list(places)] = 1.0
        return nab_score([Ranged(scores, [(300, 399)])]).score

    assert score(300) > score(350) > score(399) > 0
    middle = 2 / (1 + np.exp(5 * -50 / 100)) - 1
    earliest = 2 / (1 + np.exp(-5)) - 1
    assert score(350) == pytest.approx(100 * (middle / earliest + 1) / 2)
    assert score(300, 405) > score(300, 900)
    assert score(300) - score(300, 900) == pytest.approx(100 * 0.11 / 2)
    assert score(10, 300) == score(300)  # the first rows are not judged
    assert probation(1_000) == 150


def test_profiles_weigh_misses_and_false_alarms() -> None:
    scores = np.zeros(1_000)
    scores[[320, 800]] = 1.0
    series = [Ranged(scores, [(300, 399)])]
    assert nab_score(series, profile=NabProfile(false=0.5)).score < nab_score(series).score
    with pytest.raises(ValueError, match="window"):
        nab_score([Ranged(scores, [])])


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1_000), st.integers(130, 390))
def test_no_score_changes_when_later_points_come(seed: int, cut: int) -> None:
    values = np.random.default_rng(seed).normal(100, 1, 400)
    values[seed % 400] = np.nan
    whole, part = series_scores(values, window=200), series_scores(values[:cut], window=200)
    assert whole[:cut] == pytest.approx(part, rel=1e-9, abs=1e-9)
    assert first_told(whole, back=50)[:cut] == pytest.approx(first_told(part, back=50), rel=1e-9, abs=1e-9)


def test_one_trouble_is_told_once_and_a_flat_series_never() -> None:
    scores = np.zeros(100)
    scores[[20, 25, 90]] = [10.0, 10.0, 10.0]
    told = first_told(scores, back=30)
    assert told[20] == pytest.approx(10.0)
    assert told[25] == pytest.approx(5.0)
    assert told[90] == pytest.approx(10.0)
    assert series_scores(np.full(500, 7.0)).max() == 0.0
    assert len(series_scores(np.zeros(0))) == 0
