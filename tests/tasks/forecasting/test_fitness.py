"""What can be learned from is told before any time is spent: gaps, hours to come, too little to judge."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from trunkline.errors import LabelError
from trunkline.tasks.forecasting import Panel
from trunkline.tasks.forecasting.fitness import fit_to_learn, refuse_unjudged
from trunkline.tasks.forecasting.panel import Floats, Grid

START = datetime(2017, 3, 1, tzinfo=UTC)


def panel(values: Floats, *, metric: str = "load", beside: Floats | None = None) -> Panel:
    one = np.zeros(1, dtype=np.int64)
    covariate = np.full(len(values), np.nan) if beside is None else beside
    return Panel(
        START,
        ("all",),
        Grid((("s", "ms"),), one, values[None]),
        Grid((("s", metric),), one, covariate[None]),
    )


def with_gap(*, before: int, gap: int, after: int) -> Floats:
    return np.concatenate([np.arange(before, dtype=np.float64), np.full(gap, np.nan), np.arange(after) + 0.5])


def test_hours_before_a_gap_of_years_are_left_out_and_that_is_said() -> None:
    values = with_gap(before=900, gap=9 * 365 * 24, after=600)
    found, said = fit_to_learn(panel(values), known_ahead=())
    assert found.hours == 600
    assert found.start_at == START + timedelta(hours=900 + 9 * 365 * 24)
    np.testing.assert_array_equal(found.targets.values[0], np.arange(600) + 0.5)
    assert len(said) == 1
    assert "900 hours" in said[0]
    assert "gap of 3285 days" in said[0]


def test_too_little_after_a_gap_is_refused_with_where_it_ends() -> None:
    with pytest.raises(LabelError, match=r"too short: 200 hours .* gap of 3285 days that ends at 2026-") as caught:
        fit_to_learn(panel(with_gap(before=900, gap=9 * 365 * 24, after=200)), known_ahead=())
    assert "gap" in str(caught.value.next_step)


def test_a_gap_of_four_weeks_is_part_of_a_series() -> None:
    values = with_gap(before=400, gap=28 * 24 - 1, after=400)
    found, said = fit_to_learn(panel(values), known_ahead=())
    assert (found.hours, said) == (len(values), ())


@pytest.mark.parametrize(("metric", "hours"), [("planned", 500), ("load", 1_500)])
def test_hours_that_have_only_plans_are_still_to_come(metric: str, hours: int) -> None:
    values = np.concatenate([np.arange(500.0), np.full(1_000, np.nan)])
    found, _ = fit_to_learn(panel(values, metric=metric, beside=np.ones(1_500)), known_ahead=("planned",))
    assert found.hours == hours


def test_series_that_ended_before_the_hours_to_judge_are_refused() -> None:
    ended = panel(np.concatenate([np.arange(500.0), np.full(600, np.nan)]))
    with pytest.raises(LabelError, match=r"0 values since .*the newest is of 2017-03-21 19:00"):
        refuse_unjudged(ended, judge=600)
    refuse_unjudged(ended, judge=452)
