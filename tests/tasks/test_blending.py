"""Weights are few, non-negative, and judged on rows they were not learned on."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from trunkline.tasks.blending import blend_weights, cross_fitted_blend
from trunkline.tasks.folds import Structure, make_folds


@given(st.integers(0, 10_000), st.integers(2, 4), st.booleans())
def test_weights_are_a_share(seed: int, learners: int, classification: bool) -> None:
    rng = np.random.default_rng(seed)
    margins = rng.normal(size=(80, learners))
    target = (rng.random(80) < 0.5).astype(float) if classification else rng.normal(size=80)
    weights = blend_weights(margins, target, classification=classification)
    assert weights.min() >= 0
    np.testing.assert_allclose(weights.sum(), 1.0)


def test_the_learner_that_knows_gets_the_weight() -> None:
    rng = np.random.default_rng(0)
    z = rng.normal(0, 2, 2_000)
    target = (rng.random(2_000) < 1 / (1 + np.exp(-z))).astype(float)
    margins = np.column_stack([z, rng.normal(size=2_000), -z])
    weights = blend_weights(margins, target, classification=True)
    assert weights[0] > 0.85
    assert weights[2] == 0


def test_two_half_informed_learners_share() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=4_000), rng.normal(size=4_000)
    target = a + b + rng.normal(0, 0.1, 4_000)
    np.testing.assert_allclose(
        blend_weights(np.column_stack([a, b]), target, classification=False), [0.5, 0.5], atol=0.02
    )


def test_a_judged_rows_label_does_not_move_its_blend() -> None:
    rng = np.random.default_rng(0)
    target = np.tile([0.0, 1.0], 60)
    margins = rng.normal(size=(120, 2)) + target[:, np.newaxis]
    folds = make_folds(target, folds=3, repeats=1, structure=Structure(stratified=True), seed=0)
    blended = cross_fitted_blend(margins, target, folds=folds, classification=True)
    judge = folds[0].judge
    changed = target.copy()
    changed[judge] = 1 - changed[judge]
    again = cross_fitted_blend(margins, changed, folds=folds, classification=True)
    np.testing.assert_array_equal(blended[judge], again[judge])
    assert not np.array_equal(blended, again)
