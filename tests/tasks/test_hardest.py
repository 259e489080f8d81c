"""The hardest slice of rows that were made to have one: another load, another way of writing, more that is missed."""

import numpy as np
import pyarrow as pa
import pytest

from trunkline.tasks.hardest import decimal_grids, hardest_slices
from trunkline.tasks.slices import slice_reports

CELLS = ("A", "B", "C", "D", "E", "F")
EACH = 400


@pytest.fixture(scope="module")
def scored() -> tuple[pa.Table, np.ndarray, np.ndarray]:
    """Rows of six cells; D has five times the load, half of its positives are missed and written as the negatives."""
    rng = np.random.default_rng(5)
    cell = np.repeat(CELLS, EACH)
    y = (rng.random(cell.size) < 0.3).astype(float)
    load = np.where(cell == "D", 25.0, 5.0) + rng.normal(0, 0.4, cell.size) + np.repeat(rng.normal(0, 0.2, 6), EACH)
    finer = (y == 1) & ((cell != "D") | (rng.random(cell.size) < 0.5))
    load = np.where(finer, np.round(load, 3) + 0.0004, np.round(load, 3))
    scores = np.where(y == 1, 0.9, 0.1)
    scores[(cell == "D") & (y == 1) & ~finer] = 0.1
    steady = rng.normal(0, 1, cell.size)
    return pa.table({"cell": cell, "load": load, "steady": steady, "users": np.arange(cell.size)}), y, scores


def test_the_hardest_slice_and_what_sets_it_apart(scored: tuple[pa.Table, np.ndarray, np.ndarray]) -> None:
    table, y, scores = scored
    columns = ("load", "steady", "users", "absent")
    reports = slice_reports(table, columns=("cell",), target=y, scores=scores, threshold=0.5, seed=0)
    grids = decimal_grids(table, columns=columns, target=y)
    assert {name: (one.decimals, one.kept_by) for name, one in grids.items()} == {"load": (3, 0)}
    found = hardest_slices(table, columns=columns, reports=reports, grids=grids, target=y)["cell"]
    here = (np.asarray(table["cell"]) == "D") & (y == 1)
    missed = float((scores[here] < 0.5).mean())
    assert found.name == "D"
    assert found.f1 == pytest.approx(2 * (1 - missed) / (2 - missed))
    assert found.missed == pytest.approx(missed)
    assert found.mistaken == 0.0
    (load,) = found.far
    medians = [float(np.median(np.asarray(table["load"])[np.asarray(table["cell"]) == one])) for one in CELLS]
    middle = float(np.median(medians))
    spread = 1.4826 * float(np.median(np.abs(np.array(medians) - middle)))
    assert (load.column, load.is_extreme) == ("load", True)
    assert load.median == pytest.approx(medians[3])
    assert load.usual == pytest.approx(middle)
    assert load.deviations == pytest.approx((medians[3] - middle) / spread)
    assert found.grid == "load"
    assert found.off_share == pytest.approx(1 - missed)
    assert found.whole_off_share == pytest.approx(float((scores[y == 1] > 0.5).mean()))


def test_few_slices_have_no_hardest(scored: tuple[pa.Table, np.ndarray, np.ndarray]) -> None:
    table, y, scores = scored[0].slice(0, 3 * EACH), scored[1][: 3 * EACH], scored[2][: 3 * EACH]
    reports = slice_reports(table, columns=("cell",), target=y, scores=scores, threshold=0.5, seed=0)
    assert hardest_slices(table, columns=("load",), reports=reports, grids={}, target=y) == {}
