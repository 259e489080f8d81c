"""Gates of forecasts: better than simpler ways at every hour ahead, and intervals that hold what they promise."""

from datetime import UTC, datetime

import pytest

from trunkline.plugins import load_usecase
from trunkline.spec import BeatsBaselines, CoverageWithin
from trunkline.stats.intervals import Interval
from trunkline.tasks.forecasting.report import BaselineReport, ForecastReport, SpikeReport
from trunkline.tasks.report import Chosen
from trunkline.train import Evidence, judge

OURS = (0.5, 0.7, 0.8)

DAY = datetime(2026, 3, 1, tzinfo=UTC)
BLANK = ForecastReport(
    label="value",
    seed=0,
    metric="mase",
    champion=Chosen(name="xgboost", why="it is the only one"),
    metrics={},
    test_metrics={},
    seconds={},
    warnings=(),
    target="response_time_ms",
    series=1,
    judged=1,
    values=100,
    from_at=DAY,
    until_at=DAY,
    evaluated_from=DAY,
    origins=9,
    horizons=(),
    tuning=(),
    baselines=(),
    servers=(),
    spikes=SpikeReport(warn_at=0.4, warnings=0, right=0, spikes=0, foreseen=0, mean_lead_hours=None),
    importances={},
)


def evidence(**baselines: tuple[float, ...]) -> Evidence:
    """Of a candidate whose errors are ``OURS``, beside simpler ways."""
    reports = tuple(BaselineReport(name=name, mase=mase, ours=OURS, origins=9) for name, mase in baselines.items())
    facts: dict[str, object] = {"baselines": reports, "metrics": {"coverage_80": Interval(0.74, 0.73, 0.76)}}
    return Evidence(BLANK.model_copy(update=facts))


@pytest.mark.parametrize(("horizon", "passed"), [(1, False), (2, True), (3, True)])
def test_each_hour_ahead_is_compared_with_the_last_value_too(horizon: int, passed: bool) -> None:
    given = evidence(last_value=(0.4, 0.9, 1.2), naive_day=(0.9, 0.8, 0.9), naive_week=(1.4, 1.4, 1.4))
    (result,) = judge([BeatsBaselines(horizon=horizon)], given)
    assert (result.name, result.passed) == (f"beats_baselines_h{horizon}", passed)
    assert ("last_value" in result.detail) is (horizon == 1)


def test_a_margin_is_asked_for_and_only_of_those_that_are_named() -> None:
    given = evidence(last_value=(0.1, 0.1, 0.1), naive_day=(1.0, 1.0, 1.0))
    named = BeatsBaselines(horizon=1, baselines=("naive_day",), margin=0.4)
    assert judge([named], given)[0].passed
    assert not judge([named.model_copy(update={"margin": 0.6})], given)[0].passed


def test_what_could_not_be_computed_says_so() -> None:
    (result,) = judge([BeatsBaselines(horizon=1)], evidence())
    assert result.passed
    assert "no baseline could be computed" in result.detail


@pytest.mark.parametrize(("low", "high", "passed"), [(0.72, 0.88, True), (0.77, 0.83, False)])
def test_intervals_hold_their_share(low: float, high: float, passed: bool) -> None:
    (result,) = judge([CoverageWithin(low=low, high=high)], evidence())
    assert (result.passed, result.limit) == (passed, 0.88 if passed else 0.77)


def test_the_use_case_asks_it_of_every_hour_ahead() -> None:
    gates = [gate for gate in load_usecase("response_time").gates if isinstance(gate, BeatsBaselines)]
    assert [gate.horizon for gate in gates] == [1, 2, 3, 4, 5, 6]
    assert all("last_value" in gate.baselines for gate in gates)
