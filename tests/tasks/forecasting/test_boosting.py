"""A few rows are answered by walking the trees, many by the library: both the same."""

import numpy as np
import pytest

from trunkline.tasks.forecasting import boosting
from trunkline.tasks.forecasting.boosting import Examples, Library, fit


@pytest.mark.parametrize("depth", [1, 3, 7])
def test_few_rows_and_many_have_the_same_answers(depth: int, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = np.random.default_rng(depth)
    matrix = drawn.normal(0, 1, (600, 5)).astype(np.float32)
    matrix[drawn.random(matrix.shape) < 0.1] = np.nan
    target = np.nan_to_num(matrix[:, 0]) * 3 + drawn.normal(0, 0.1, 600)
    parameters = {"max_depth": depth, "eta": 0.3, "rounds": 30}
    booster = fit(Examples(matrix, target), library="xgboost", parameters=parameters, seed=1)
    few = np.concatenate([booster.predict(matrix[:300]), booster.predict(matrix[300:])])
    monkeypatch.setattr(boosting, "_FEW_ROWS", 0)
    np.testing.assert_allclose(few, booster.predict(matrix), atol=1e-5)
    assert np.abs(few - target).mean() < np.abs(target).mean()


@pytest.mark.parametrize("library", ["xgboost", "lightgbm"])
def test_shares_of_gain_sum_to_one(library: Library) -> None:
    matrix = np.random.default_rng(1).normal(0, 1, (200, 3)).astype(np.float32)
    examples = Examples(matrix, matrix[:, 1].astype(float))
    booster = fit(examples, library=library, parameters={"rounds": 10}, seed=1)
    gains = booster.gains(("a", "b", "c"))
    assert sum(gains.values()) == pytest.approx(1)
    assert max(gains, key=lambda name: gains[name]) == "b"


@pytest.mark.parametrize("library", ["xgboost", "lightgbm"])
def test_what_counts_more_is_fitted_more(library: Library) -> None:
    matrix = np.zeros((300, 1), dtype=np.float32)
    target, newer = np.repeat([1.0, 2.0], 150), np.repeat([False, True], 150)
    weight = np.where(newer, 1.8, 0.2)
    booster = fit(Examples(matrix, target, weight), library=library, parameters={"rounds": 200, "eta": 0.3}, seed=1)
    assert booster.predict(matrix[:1])[0] == pytest.approx(2.0, abs=0.01)
    booster = fit(
        Examples(matrix, target, weight[::-1]), library=library, parameters={"rounds": 200, "eta": 0.3}, seed=1
    )
    assert booster.predict(matrix[:1])[0] == pytest.approx(1.0, abs=0.01)
