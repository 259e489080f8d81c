"""Headlines, confusion matrix, class report and curves against scikit-learn."""

import json
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sk

from trunkline.errors import LabelError
from trunkline.stats.classification import (
    class_report,
    confusion_matrix,
    headline,
    precision_recall_curve,
    regression_headline,
    roc_curve,
)
from trunkline.stats.delong import delong_interval
from trunkline.stats.metrics import BINARY_METRICS, REGRESSION_METRICS

_RNG = np.random.default_rng(0)
_P = _RNG.beta(2, 4, 3000)
_Y = (_RNG.random(3000) < _P).astype(np.int64)


def test_headline_has_every_metric_with_its_interval() -> None:
    found = headline(_Y, _P, threshold=0.4, seed=0, resamples=200)
    assert tuple(found) == BINARY_METRICS
    assert found["roc_auc"] == delong_interval(_Y, _P)
    assert found["f1"].value == pytest.approx(sk.f1_score(_Y, _P >= 0.4))
    assert all(interval.low <= interval.value <= interval.high for interval in found.values())
    json.dumps({name: asdict(interval) for name, interval in found.items()}, allow_nan=False)


def test_regression_headline_has_every_metric_and_covers_the_truth() -> None:
    rng = np.random.default_rng(1)
    y = rng.normal(50, 10, 2000)
    predicted = y + rng.normal(0, 5, 2000)
    found = regression_headline(y, predicted, seed=0)
    assert tuple(found) == REGRESSION_METRICS
    assert found["r2"].low < 0.75 < found["r2"].high
    assert found["neg_root_mean_squared_error"].low < -5 < found["neg_root_mean_squared_error"].high
    assert found["neg_mean_absolute_error"].value == pytest.approx(-sk.mean_absolute_error(y, predicted))


def test_regression_on_zeros_and_ones_is_not_split_by_class() -> None:
    first = regression_headline([0.0, 1.0, 1.0, 0.0] * 20, [0.2, 0.8, 0.7, 0.1] * 20, seed=0)
    assert first["r2"].low < first["r2"].high


@given(
    st.lists(st.tuples(st.integers(0, 1), st.integers(0, 10)), min_size=1, max_size=50),
    st.integers(0, 11),
)
def test_matrix_and_report_are_sklearns(rows: list[tuple[int, int]], tenths: int) -> None:
    y, p = np.array([row[0] for row in rows]), np.array([row[1] for row in rows]) / 10
    predicted = p >= tenths / 10
    cells = confusion_matrix(y, p, threshold=tenths / 10)
    expected = sk.confusion_matrix(y, predicted, labels=[0, 1])
    assert [[cells.true_negatives, cells.false_positives], [cells.false_negatives, cells.true_positives]] == (
        expected.tolist()
    )
    precision, recall, f1, rows_of = sk.precision_recall_fscore_support(y, predicted, labels=[0, 1], zero_division=0.0)
    for number, record in enumerate(class_report(y, p, threshold=tenths / 10, names=["no", "yes"])):
        assert record.rows == rows_of[number]
        assert (record.precision, record.recall, record.f1) == pytest.approx(
            (precision[number], recall[number], f1[number])
        )


def test_thinned_roc_keeps_shape_and_ends() -> None:
    curve = roc_curve(_Y, _P)
    assert len(curve.thresholds) == len(curve.true_positive_rate) == len(curve.false_positive_rate) <= 200
    assert (curve.false_positive_rate[0], curve.true_positive_rate[0], curve.thresholds[0]) == (0.0, 0.0, None)
    assert (curve.false_positive_rate[-1], curve.true_positive_rate[-1]) == (1.0, 1.0)
    area = np.trapezoid(curve.true_positive_rate, curve.false_positive_rate)
    assert area == pytest.approx(sk.roc_auc_score(_Y, _P), abs=0.001)
    json.dumps(asdict(curve), allow_nan=False)
    for threshold, rate in zip(curve.thresholds[1:], curve.true_positive_rate[1:], strict=True):
        assert threshold is not None
        assert rate == pytest.approx((_P[_Y == 1] >= threshold).mean())


def test_thinned_precision_recall_keeps_shape_and_ends() -> None:
    curve = precision_recall_curve(_Y, _P, most_points=150)
    assert len(curve.recall) == len(curve.precision) == len(curve.thresholds) <= 150
    assert (curve.recall[0], curve.recall[-1], curve.precision[-1], curve.thresholds[-1]) == (1.0, 0.0, 1.0, None)
    area = np.trapezoid(curve.precision[::-1], curve.recall[::-1])
    assert area == pytest.approx(sk.average_precision_score(_Y, _P), abs=0.01)
    for threshold, precision in zip(curve.thresholds[:-1], curve.precision[:-1], strict=True):
        assert threshold is not None
        assert precision == pytest.approx(_Y[threshold <= _P].mean())


def test_few_points_are_kept_whole() -> None:
    assert len(roc_curve([0, 1, 0, 1], [0.1, 0.4, 0.35, 0.8]).thresholds) == len(
        sk.roc_curve([0, 1, 0, 1], [0.1, 0.4, 0.35, 0.8])[0]
    )
    assert len(roc_curve(_Y, _P, most_points=2).thresholds) == 2


def test_bad_input_is_refused() -> None:
    with pytest.raises(LabelError, match="each class"):
        headline([1, 1, 1], [0.1, 0.2, 0.3], threshold=0.5, seed=0)
    with pytest.raises(LabelError, match="each class"):
        roc_curve([1, 1, 1], [0.1, 0.2, 0.3])
    with pytest.raises(ValueError, match="names"):
        class_report([0, 1], [0.1, 0.2], threshold=0.5, names=["only"])
    with pytest.raises(ValueError, match="most_points"):
        roc_curve(_Y, _P, most_points=1)
    with pytest.raises(ValueError, match="same rows"):
        regression_headline([1.0, 2.0], [1.0], seed=0)
