"""What a forecast may know: nothing after its hour but the calendar and what is planned."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from trunkline.tasks.forecasting import Forecasting, Panel
from trunkline.tasks.forecasting.design import LOOKBACK, Design, arrange
from trunkline.tasks.forecasting.effort import effort_of
from trunkline.tasks.forecasting.panel import Floats, Grid
from trunkline.tasks.forecasting.rolling import calendar_of, learned_design, learned_from, pairs, truths
from trunkline.tasks.forecasting.scaling import Scales, capped, seasonal_scale

HOURS = 400
TASK = Forecasting(target="ms", known_ahead=("planned",))
EFFORT = effort_of(TASK, series=3)


def panel(values: Floats, load: Floats, planned: Floats) -> Panel:
    zeros = np.zeros(len(values), dtype=np.int64)
    targets = Grid(tuple((f"s{place}", "ms") for place in range(len(values))), zeros, values)
    beside = Grid((("s0", "load"), ("s0", "planned")), np.zeros(2, dtype=np.int64), np.stack([load, planned]))
    return Panel(datetime(2026, 1, 5, tzinfo=UTC), ("all",), targets, beside)


@pytest.fixture
def made() -> tuple[Floats, Floats, Floats]:
    drawn = np.random.default_rng(4)
    values = 50 + 10 * np.sin(np.arange(HOURS) * 2 * np.pi / 24) + drawn.normal(0, 2, (3, HOURS))
    values[1, drawn.random(HOURS) < 0.2] = np.nan
    return values, drawn.normal(100, 5, HOURS), (drawn.random(HOURS) < 0.05).astype(float)


@pytest.mark.parametrize("usual", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("horizon", [1, 3, 6])
def test_nothing_after_the_hour_moves_an_input(made: tuple[Floats, Floats, Floats], horizon: int, usual: float) -> None:
    values, load, planned = made
    series, hour = np.repeat(np.arange(3), 40), np.tile(np.arange(260, 300), 3)
    design = learned_design(TASK, panel(values, load, planned), until=299, effort=EFFORT)
    before = design.matrix(series, hour, horizon=horizon, usual=usual)
    anchor = design.anchor(series, hour, horizon=horizon, usual=usual)
    other_values, other_load = values.copy(), load.copy()
    other_values[:, 300:] = 9_999.0
    other_load[300:] = -9_999.0
    # hours 300 and later may not be seen by forecasts made at 299 or before
    other = learned_design(TASK, panel(other_values, other_load, planned), until=299, effort=EFFORT)
    np.testing.assert_array_equal(before, other.matrix(series, hour, horizon=horizon, usual=usual))
    np.testing.assert_array_equal(anchor, other.anchor(series, hour, horizon=horizon, usual=usual))


def test_what_is_planned_is_read_at_the_hour_that_is_forecast(made: tuple[Floats, Floats, Floats]) -> None:
    values, load, planned = made
    design = learned_design(TASK, panel(values, load, planned), until=HOURS - 1, effort=EFFORT)
    hour = np.arange(300, 350)
    for horizon in (1, 2, 6):
        matrix = design.matrix(np.zeros(50, dtype=np.int64), hour, horizon=horizon, usual=0.0)
        place = design.names.index("ahead_0")
        np.testing.assert_array_equal(matrix[:, place], planned[hour + horizon])


def test_lags_and_means_are_what_they_say(made: tuple[Floats, Floats, Floats]) -> None:
    values, load, planned = made
    design = learned_design(TASK, panel(values, load, planned), until=HOURS - 1, effort=EFFORT)
    design = replace(design, scales=Scales(np.ones(3), np.full(3, np.inf)))
    matrix = design.matrix(np.array([0]), np.array([300]), horizon=2, usual=0.0)[0]
    told = dict(zip(design.names, matrix, strict=True))
    own = values[0]
    assert told["lag_1"] == pytest.approx(own[299] - own[300], abs=1e-4)
    assert told["day_before_target_+0"] == pytest.approx(own[300 + 2 - 24] - own[300], abs=1e-4)
    assert told["mean_12"] == pytest.approx(own[289:301].mean() - own[300], abs=1e-4)
    assert told["servers_mean_3"] == pytest.approx(
        np.nanmean(values[:, 298:301], axis=0).mean() - np.nanmean(values[:, 300]), abs=1e-4
    )


def test_servers_see_the_mean_of_their_own_group_in_whatever_order_they_stand() -> None:
    drawn = np.random.default_rng(2)
    values = drawn.uniform(10, 20, (5, HOURS))
    values[3, 298:301] = np.nan
    group = np.array([2, 0, 2, 0, 2])
    grid = Grid(tuple((f"s{place}", "ms") for place in range(5)), group, values)
    nothing = Grid((), np.zeros(0, dtype=np.int64), np.zeros((0, HOURS)))
    given = Panel(datetime(2026, 1, 5, tzinfo=UTC), ("a", "without any", "b"), grid, nothing)
    learned = learned_design(TASK, given, until=HOURS - 1, effort=EFFORT)
    design = replace(learned, scales=Scales(np.ones(5), np.full(5, np.inf)))
    matrix = design.matrix(np.arange(5), np.full(5, 300), horizon=1, usual=0.0)
    found = matrix[:, design.names.index("servers_mean_3")]
    for place in range(5):
        hours = np.nanmean(values[group == group[place]][:, 298:301], axis=0)
        assert found[place] == pytest.approx(hours.mean() - hours[-1], abs=1e-4)


def test_the_usual_value_is_the_mean_of_the_hour_over_seven_days(made: tuple[Floats, Floats, Floats]) -> None:
    values, load, planned = made
    design = learned_design(TASK, panel(values, load, planned), until=HOURS - 1, effort=EFFORT)
    design = replace(design, scales=Scales(np.ones(3), np.full(3, np.inf)))
    one, at = np.array([0]), np.array([300])
    usual = values[0, [302 - 24 * day for day in range(1, 8)]].mean()
    assert design.anchor(one, at, horizon=2, usual=1.0)[0] == pytest.approx(usual)
    matrix = design.matrix(one, at, horizon=2, usual=1.0)[0]
    told = dict(zip(design.names, matrix, strict=True))
    assert told["lag_1"] == pytest.approx(values[0, 299] - usual, abs=1e-4)
    assert told["target_hour_7_days"] == pytest.approx(usual - values[0, 300], abs=1e-4), "how far the views lie apart"


@pytest.mark.parametrize("silent", [LOOKBACK - 1, LOOKBACK, LOOKBACK + 1, LOOKBACK + 200])
def test_inputs_look_no_further_back_than_they_say(silent: int) -> None:
    hours = 2 * LOOKBACK
    drawn = np.random.default_rng(5)
    values = drawn.normal(50, 5, (2, hours))
    origin = hours - 1
    values[1, origin - silent + 1 :] = np.nan
    whole = panel(values, drawn.normal(100, 5, hours), np.zeros(hours))
    first = origin - LOOKBACK
    series, hour = np.arange(2), np.full(2, origin)
    scales = learned_design(TASK, whole, until=origin, effort=EFFORT).scales
    slots = arrange(whole, known_ahead=("planned",), most=8, until=origin)
    for horizon in (1, 6):
        for usual in (0.0, 0.5):
            found = [
                Design(seen, scales, calendar_of(TASK, seen), slots).matrix(
                    series, hour - start, horizon=horizon, usual=usual
                )
                for seen, start in ((whole, 0), (whole.since(first), first))
            ]
            np.testing.assert_allclose(found[0], found[1], rtol=1e-5, atol=1e-5)


def test_pairs_have_a_known_truth(made: tuple[Floats, Floats, Floats]) -> None:
    values, load, planned = made
    series, hour = pairs(panel(values, load, planned), horizon=4, until=350, most=100, seed=1)
    assert len(series) == 100
    assert (hour + 4 <= 350).all()
    assert np.isfinite(values[series, hour + 4]).all()


def test_an_hour_counts_half_as_much_as_one_a_half_life_later(made: tuple[Floats, Floats, Floats]) -> None:
    values, load, planned = made
    given = panel(values, load, planned).only(np.array([0]))
    design = learned_design(TASK, given, until=350, effort=EFFORT)

    def weights(half_life_days: float | None) -> Floats | None:
        drawn = learned_from(
            design, horizon=2, until=350, most=10_000, half_life_days=half_life_days, seed=1, usual=0.0
        )
        return drawn.weight

    weight = weights(3.0)
    assert weight is not None
    np.testing.assert_allclose(weight[72:] / weight[:-72], 2.0)
    assert weight.mean() == pytest.approx(1.0)
    assert weights(None) is None


def test_truths_beyond_the_grid_are_unknown(made: tuple[Floats, Floats, Floats]) -> None:
    values, load, planned = made
    found = truths(panel(values, load, planned), np.array([HOURS - 3]), horizons=4)[0, :, 0]
    np.testing.assert_array_equal(found, [values[0, -2], values[0, -1], np.nan, np.nan])


def test_a_spike_is_capped_and_a_new_level_is_not() -> None:
    values = np.array([[1.0, 1.0, 50.0, 1.0, 1.0, 50.0, 50.0, 50.0, 50.0]])
    np.testing.assert_array_equal(capped(values, np.array([2.0]))[0], [1, 1, 2, 1, 1, 2, 2, 50, 50])


def test_the_scale_of_a_series_that_does_not_move_is_one() -> None:
    assert seasonal_scale(np.full((1, 100), 5.0)).tolist() == [1.0]


def test_a_share_moves_what_is_counted_from_between_both(made: tuple[Floats, Floats, Floats]) -> None:
    values, load, planned = made
    design = learned_design(TASK, panel(values, load, planned), until=HOURS - 1, effort=EFFORT)
    series, hour = np.zeros(30, dtype=np.int64), np.arange(300, 330)
    newest, some, usual = (design.anchor(series, hour, horizon=2, usual=share) for share in (0.0, 0.25, 1.0))
    np.testing.assert_allclose(some, 0.75 * newest + 0.25 * usual)
    matrix = design.matrix(series, hour, horizon=2, usual=0.25)
    lag = design.names.index("lag_1")
    np.testing.assert_allclose(matrix[:, lag] + some, values[0, hour - 1] / design.scales.scale[0], rtol=1e-5)
