"""Resampling adds rows that could be, to the training side only."""

import numpy as np
import pytest

from trunkline.errors import LabelError, UseCaseError
from trunkline.tasks.base_matrix import Matrix
from trunkline.tasks.features import FeatureKind
from trunkline.tasks.preprocessing import Preprocessing
from trunkline.tasks.sampling import Resampling, resample
from trunkline.tasks.view_fitting import fit_view
from trunkline.tasks.views import View


class Columns:
    names: tuple[str, ...] = ("x", "z", "plan", "flag")
    kinds: tuple[FeatureKind, ...] = ("number", "number", "category", "flag")
    sizes: tuple[int, ...] = (0, 0, 3, 0)


def make(*, nulls: bool = False, rare: int = 30) -> tuple[Matrix, np.ndarray, View, Matrix]:
    rng = np.random.default_rng(0)
    base = np.column_stack(
        [rng.normal(size=200), rng.normal(size=200), rng.integers(0, 3, 200), rng.integers(0, 2, 200)]
    ).astype(np.float32)
    target = np.zeros(200)
    target[:rare] = 1
    base[:rare, 0] += 1.5
    if nulls:
        base[::9, 1], base[::7, 2] = np.nan, np.nan
    declared = Preprocessing(impute="none" if nulls else "median")
    view, matrix = fit_view(base, target=target, columns=Columns(), preprocessing=declared, seed=0)
    return base, target, view, matrix


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["smote", "borderline", "adasyn", "random_over", "smotenc"])
def test_the_rare_class_is_filled_up_and_original_rows_stay(kind: Resampling) -> None:
    base, target, view, matrix = make()
    rows, labels = resample(matrix, target=target, base=base, view=view, columns=Columns(), kind=kind, seed=0)
    assert rows.dtype == np.float32
    assert labels.mean() == pytest.approx(0.5, abs=0.05)
    np.testing.assert_array_equal(rows[:200], matrix)
    assert set(labels[200:]) == {1.0}


def test_random_under_keeps_rows_that_exist() -> None:
    base, target, view, matrix = make()
    rows, labels = resample(matrix, target=target, base=base, view=view, columns=Columns(), kind="random_under", seed=0)
    assert len(rows) == 60
    assert labels.mean() == 0.5
    assert {row.tobytes() for row in rows} <= {row.tobytes() for row in matrix}


def test_smotenc_copies_categories_and_takes_nulls() -> None:
    base, target, view, matrix = make(nulls=True)
    rows, _ = resample(matrix, target=target, base=base, view=view, columns=Columns(), kind="smotenc", seed=0)
    one_hot = [at for at, name in enumerate(view.names) if name.startswith("plan=")]
    assert set(np.unique(rows[200:, one_hot])) <= {0.0, 1.0}


def test_nulls_in_front_of_an_interpolating_method_are_refused() -> None:
    base, target, view, matrix = make(nulls=True)
    with pytest.raises(UseCaseError, match="cannot take nulls"):
        resample(matrix, target=target, base=base, view=view, columns=Columns(), kind="smote", seed=0)


def test_too_few_rows_for_neighbours_are_refused() -> None:
    base, target, view, matrix = make(rare=5)
    with pytest.raises(LabelError, match="more than 5"):
        resample(matrix, target=target, base=base, view=view, columns=Columns(), kind="smote", seed=0)
