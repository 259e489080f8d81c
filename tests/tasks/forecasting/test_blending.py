"""Two views of an hour ahead are averaged, and each tells what the other cannot."""

from datetime import UTC, datetime

import numpy as np
import pytest

from trunkline.tasks.forecasting import Forecasting, Panel
from trunkline.tasks.forecasting.blending import Blend, View
from trunkline.tasks.forecasting.effort import effort_of
from trunkline.tasks.forecasting.panel import Floats, Grid
from trunkline.tasks.forecasting.rolling import Span, fit_all, learned_design, roll

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
    return roll(
        TASK, panel, [dict(TASK.parameters)] * 2, span=SPAN, effort=effort_of(TASK, series=1), seed=1, threads=1
    )


@pytest.mark.slow
def test_nothing_later_moves_a_forecast() -> None:
    changed = 480 - 72
    whole, other = rolled(), rolled(changed_from=changed)
    known = changed - SPAN.warm
    np.testing.assert_array_equal(whole[:, :, :known], other[:, :, :known])
    assert not np.array_equal(whole, other)


def test_two_boosters_are_averaged_by_their_shares_and_one_counts_from_the_average() -> None:
    values = 50 + 10 * np.sin(np.arange(480) * 2 * np.pi / 24) + np.random.default_rng(5).normal(0, 3, (1, 480))
    none = Grid((), np.zeros(0, dtype=np.int64), np.zeros((0, 480)))
    targets = Grid((("s", "ms"),), np.zeros(1, dtype=np.int64), values)
    panel = Panel(datetime(2026, 1, 5, tzinfo=UTC), ("all",), targets, none)
    few, many = effort_of(TASK, series=1), effort_of(TASK, series=1_000)
    design = learned_design(TASK, panel, until=400, effort=few)
    after, before = (
        fit_all(TASK, design, until=400, parameters=[dict(TASK.parameters)] * 2, effort=effort, seed=1, threads=1)
        for effort in (few, many)
    )
    assert [list(one.boosters) for one in after] == [["newest"], ["newest", "usual"]]
    assert [list(one.boosters) for one in before] == [["newest"], ["both"]]
    series, hour = np.zeros(40, dtype=np.int64), np.arange(400, 440)

    def alone(blend: Blend, view: View, usual: float) -> Floats:
        inputs = design.matrix(series, hour, horizon=2, usual=usual)
        return design.anchor(series, hour, horizon=2, usual=usual) + blend.boosters[view].predict(inputs)

    two = 0.9 * alone(after[1], "newest", 0.0) + 0.1 * alone(after[1], "usual", 1.0)
    np.testing.assert_allclose(after[1].forecast(design, series, hour, horizon=2), two)
    one = alone(before[1], "both", 0.1)
    np.testing.assert_allclose(before[1].forecast(design, series, hour, horizon=2), one)
    truth = values[0, hour + 2] / design.scales.scale[0]
    assert all(
        np.abs(made - truth).mean() < np.abs(values[0, hour] / design.scales.scale[0] - truth).mean()
        for made in (one, two)
    )


def test_many_series_are_not_told_apart_and_have_a_bound_of_their_own() -> None:
    few, many = effort_of(TASK, series=64), effort_of(TASK, series=65)
    assert (few.named, few.averaged, few.most_rows) == (True, "after", TASK.most_rows)
    assert (many.named, many.averaged, many.most_rows) == (False, "before", TASK.most_rows_of_many)
    assert effort_of(TASK.model_copy(update={"most_rows": 2_000}), series=65).most_rows == 2_000
