"""Rows on a grid of hours: gaps, finer intervals, clock changes, groups."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pytest

from trunkline.errors import InputError
from trunkline.tasks.forecasting import Panel, panel_of
from trunkline.tasks.forecasting.calendars import Calendar

START = datetime(2026, 3, 28, 22, tzinfo=UTC)


def panel(*rows: tuple[str, str, datetime, float | None]) -> Panel:
    server, metric, at, value = zip(*rows, strict=True)
    table = pa.table(
        {
            "server": pa.array(server),
            "metric": pa.array(metric),
            "at": pa.array(at, pa.timestamp("us", tz="UTC")),
            "value": pa.array(value, pa.float64()),
        }
    )
    return panel_of(table, target="ms", at="at", server="server", metric="metric", value="value")


@pytest.mark.parametrize(("counted", "block"), [(0, 1_000), (1_000, 1_000), (1_000, 2), (0, 1)])
def test_gaps_are_unknown_and_values_of_one_hour_are_averaged(
    counted: int, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trunkline.tasks.forecasting.panel._MOST_COUNTED", counted)  # names are ranked in two ways
    monkeypatch.setattr("trunkline.tasks.forecasting.panel._BLOCK_ROWS", block)
    made = panel(
        ("b", "ms", START, 1.0),
        ("a", "ms", START + timedelta(minutes=5), 2.0),
        ("a", "ms", START + timedelta(minutes=50), 4.0),
        ("a", "ms", START + timedelta(hours=2), 8.0),
        ("a", "load", START, 5.0),
        ("a", "ms", START + timedelta(hours=9), None),
        ("c", "calls", START, 7.0),
    )
    assert made.servers == ("a", "b")
    assert made.hours == 3
    np.testing.assert_array_equal(made.targets.values, [[3.0, np.nan, 8.0], [1.0, np.nan, np.nan]])
    assert made.covariates.names == (("a", "load"), ("c", "calls"))


def test_the_grid_has_no_hour_twice_and_none_less_where_clocks_change() -> None:
    zone = ZoneInfo("Europe/Berlin")
    hours = [START + timedelta(hours=number) for number in range(8)]
    made = panel(*(("a", "ms", hour.astimezone(zone), float(number)) for number, hour in enumerate(hours)))
    np.testing.assert_array_equal(made.targets.values[0], np.arange(8.0))
    told = Calendar(START, 8, "Europe/Berlin").columns(np.arange(8))
    np.testing.assert_array_equal(told["hour"], [23, 0, 1, 3, 4, 5, 6, 7])


def test_holidays_of_a_country_are_known_ahead() -> None:
    pytest.importorskip("holidays", reason="the extra `forecast` is not installed")
    told = Calendar(datetime(2026, 12, 24, tzinfo=UTC), 24, "Europe/Berlin", "DE").columns(np.array([0, 30]))
    np.testing.assert_array_equal(told["holiday"], [0, 1])
    np.testing.assert_array_equal(told["before_holiday"], [1, 1])


def test_a_panel_without_the_metric_says_which_there_are() -> None:
    with pytest.raises(InputError, match="'ms'") as refused:
        panel(("a", "load", START, 1.0))
    assert "load" in str(refused.value)


def test_a_panel_that_cannot_fit_is_refused_before_it_is_made() -> None:
    with pytest.raises(InputError, match="memory"):
        panel(
            ("a", "ms", START - timedelta(days=365 * 100_0 // 20), 1.0),
            *((f"s{number}", "ms", START, 1.0) for number in range(1_000)),
        )
