"""Slices against the same figures taken by hand from each part."""

import json
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.stats.delong import delong_interval
from trunkline.stats.intervals import wilson_interval
from trunkline.stats.metrics import evaluate
from trunkline.stats.slices import slice_report

_rows = st.lists(
    st.tuples(st.integers(0, 1), st.integers(0, 10), st.sampled_from(["a", "b", "c", None])), min_size=1, max_size=80
)


@given(_rows, st.integers(0, 10))
def test_each_slice_is_its_rows_alone(rows: list[tuple[int, int, str | None]], tenths: int) -> None:
    y, p = np.array([row[0] for row in rows]), np.array([row[1] for row in rows]) / 10
    groups = [row[2] for row in rows]
    threshold = tenths / 10
    report = slice_report(y, p, groups, threshold=threshold, seed=0, smallest=1000)
    assert {part.name for part in report.slices} == set(groups)
    assert sum(part.rows for part in report.slices) == report.whole.rows == len(rows)
    assert sum(part.positives for part in report.slices) == y.sum()
    assert [part.rows for part in report.slices] == sorted((part.rows for part in report.slices), reverse=True)
    for part in report.slices:
        chosen = np.array([group == part.name for group in groups])
        predicted = p[chosen] >= threshold
        assert part.selection_rate == wilson_interval(int(predicted.sum()), int(chosen.sum()))
        assert part.mean_score_gap == pytest.approx(p[chosen].mean() - y[chosen].mean())
        if part.true_positive_rate is None:
            assert y[chosen].sum() == 0
        else:
            assert part.true_positive_rate.value == pytest.approx(
                evaluate(y[chosen], p[chosen], metric="recall", threshold=threshold)
            )
        assert (part.precision is None) == (not predicted.any())
        assert part.too_small
        assert part.f1 is part.roc_auc is None
    assert report.largest_true_positive_rate_gap is report.smallest_roc_auc is None
    json.dumps(asdict(report), allow_nan=False)


def _two_regions() -> tuple[np.ndarray, np.ndarray, list[str | None]]:
    rng = np.random.default_rng(0)
    p = rng.beta(2, 3, 3000)
    y = (rng.random(3000) < p).astype(np.int64)
    groups = rng.choice(["north", "south"], 3000).astype(object)
    groups[:30] = "islands"
    groups[30:330] = None
    south = groups == "south"
    p[south] = p[south] / 2  # churners of the south are scored too low
    return y, p, list(groups)


def test_an_unfair_score_shows_in_the_gaps() -> None:
    y, p, groups = _two_regions()
    report = slice_report(y, p, groups, threshold=0.4, seed=0)
    parts = {part.name: part for part in report.slices}
    assert [part.name for part in report.slices if part.too_small] == ["islands"]
    south, north = parts["south"], parts["north"]
    assert south.mean_score_gap < -0.15 < -0.05 < north.mean_score_gap
    assert south.true_positive_rate is not None
    assert north.true_positive_rate is not None
    assert south.true_positive_rate.high < north.true_positive_rate.low
    judged = [part for part in report.slices if not part.too_small]
    rates = [part.true_positive_rate.value for part in judged if part.true_positive_rate is not None]
    assert report.largest_true_positive_rate_gap == pytest.approx(max(rates) - min(rates))
    selected = [part.selection_rate.value for part in judged]
    assert report.smallest_selection_rate_ratio is not None
    assert report.smallest_selection_rate_ratio == pytest.approx(min(selected) / max(selected))
    assert report.smallest_selection_rate_ratio < 0.8
    chosen = np.array([group == "north" for group in groups])
    assert north.roc_auc == delong_interval(y[chosen], p[chosen])
    assert report.whole.roc_auc is not None
    assert north.roc_auc_gap == pytest.approx(north.roc_auc.value - report.whole.roc_auc.value)
    assert north.selection_rate_ratio == pytest.approx(north.selection_rate.value / report.whole.selection_rate.value)
    assert north.f1 is not None
    assert north.f1.value == pytest.approx(evaluate(y[chosen], p[chosen], metric="f1", threshold=0.4))


def test_a_slice_of_one_class_is_too_small_to_judge() -> None:
    y = np.repeat([0, 1], [300, 300])
    p = np.full(600, 0.5)
    report = slice_report(y, p, ["only 0"] * 295 + ["mixed"] * 305, threshold=0.5, seed=0, smallest_class=5)
    assert {part.name: part.too_small for part in report.slices} == {"only 0": True, "mixed": False}
    assert report.slices[1].true_positive_rate is None


def test_nobody_selected_has_no_ratio() -> None:
    y, p, groups = _two_regions()
    report = slice_report(y, p, groups, threshold=1.0, seed=0)
    assert report.smallest_selection_rate_ratio is None
    assert {part.selection_rate_ratio for part in report.slices} == {None}
    assert {part.precision for part in report.slices} == {None}


def test_bad_input_is_refused() -> None:
    with pytest.raises(ValueError, match="same rows"):
        slice_report([0, 1], [0.1, 0.2], ["a"], threshold=0.5, seed=0)
    with pytest.raises(ValueError, match="smallest_class"):
        slice_report([0, 1], [0.1, 0.2], ["a", "b"], threshold=0.5, seed=0, smallest_class=1)
