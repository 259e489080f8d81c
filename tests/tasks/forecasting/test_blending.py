"""Two views of an hour ahead are averaged, and each tells what the other cannot."""

from datetime import UTC, datetime

import numpy as np
import pytest

from trunkline.tasks.forecasting import Forecasting, Panel
from trunkline.tasks.forecasting.blending import blended, shares_of
from trunkline.tasks.forecasting.panel import Floats, Grid
from trunkline.tasks.forecasting.rolling import Span, roll

TASK = Forecasting(
    target="ms",
    parameters={"max_depth": 2, "eta": 0.3, "min_child_weight": 5.0, "rounds": 8},
    search={},
    horizons=2,
    refit_hours=72,
)
SPAN = Span(warm=192, judge=336, end=479)


def rolled(*, changed_from: int = 480) -> Floats:
    """Roll over a daily wave with noise."""
    values = 50 + 10 * np.sin(np.arange(480) * 2 * np.pi / 24) + np.random.default_rng(5).normal(0, 3, (1, 480))
    values[:, changed_from:] = 500.0
    none = Grid((), np.zeros(0, dtype=np.int64), np.zeros((0, 480)))
    targets = Grid((("s", "ms"),), np.zeros(1, dtype=np.int64), values)
    panel = Panel(datetime(2026, 1, 5, tzinfo=UTC), ("all",), targets, none)
    return roll(TASK, panel, [dict(TASK.parameters)] * 2, span=SPAN, seed=1, threads=1)


@pytest.mark.slow
def test_nothing_later_moves_a_forecast() -> None:
    changed = 480 - 72
    whole, other = rolled(), rolled(changed_from=changed)
    known = changed - SPAN.warm
    np.testing.assert_array_equal(whole[:, :, :known], other[:, :, :known])
    assert not np.array_equal(whole, other)


def test_views_are_averaged_and_one_without_a_share_is_not_looked_at() -> None:
    views = np.array([[[[1.0], [1.0], [np.nan]]], [[[np.nan], [5.0], [3.0]]]])
    assert blended(views, (0.0, 0.25, 1.0)).ravel().tolist() == [1.0, 2.0, 3.0]
    assert np.isnan(blended(views, (0.5, 0.5, 0.5))).ravel().tolist() == [True, False, True]
    assert [dict(shares_of(share)) for share in (0.0, 0.25)] == [{"newest": 1.0}, {"newest": 0.75, "usual": 0.25}]
