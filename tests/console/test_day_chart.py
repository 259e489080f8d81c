"""The chart of one number over a day: gaps, marks, and scales of values and hours."""

import re
from datetime import UTC, datetime, timedelta

import pytest

from trunkline.console.day_chart import WatchedValue, band_chart

AT = datetime(2026, 3, 2, 21, 30, tzinfo=UTC)


def chart(values: tuple[float | None, ...], *, low: float, high: float, every: timedelta, unit: str = "%") -> str:
    at = tuple(AT + place * every for place in range(len(values)))
    odd = tuple(place for place, value in enumerate(values) if value is not None and not low <= value <= high)
    return str(band_chart(WatchedValue("a <b>", unit, at, values, (low,) * len(at), (high,) * len(at), odd)))


def texts(drawn: str, kind: str) -> list[str]:
    return re.findall(rf'<text class="{kind}"[^>]*>([^<]*)</text>', drawn)


def test_a_band_marks_what_is_outside_and_leaves_gaps() -> None:
    drawn = chart((1.0, None, 9.0), low=0.0, high=2.0, every=timedelta(minutes=15))
    assert drawn.count("<circle") == 1
    assert "<title>22:00 9 %</title>" in drawn
    assert drawn.count("<polyline") == 2
    assert "a &lt;b&gt;: 1 of 3" in drawn


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (99.2, 100.0, ["99.2", "99.4", "99.6", "99.8", "100.0"]),
        (0.0, 0.0, ["-0.50", "-0.25", "0.00", "0.25", "0.50"]),
        (-3.0, 8.0, ["-5", "0", "5", "10"]),
        (99.0, 100.0, ["99.00", "99.25", "99.50", "99.75", "100.00"]),
        (100_000.0, 290_000.0, ["100,000", "150,000", "200,000", "250,000", "300,000"]),
        (0.0, 14e6, ["0 M", "5 M", "10 M", "15 M"]),
    ],
)
def test_values_have_a_scale_of_round_numbers(low: float, high: float, expected: list[str]) -> None:
    drawn = chart((low, high), low=low, high=high, every=timedelta(hours=1), unit="<kbit>")
    assert texts(drawn, "of-value") == expected
    assert ">&lt;kbit&gt;</text>" in drawn


def test_hours_are_whole_ones_and_a_day_begins_with_its_date() -> None:
    day = chart((1.0,) * 96, low=0.0, high=2.0, every=timedelta(minutes=15))
    assert texts(day, "of-time") == ["03 Mar", "03:00", "06:00", "09:00", "12:00", "15:00", "18:00", "21:00"]
    assert ">UTC</text>" in day
    places = [float(x) for x in re.findall(r'class="of-time" x="([0-9.]+)"', day)]
    assert places == sorted(places)
    assert texts(chart((1.0,), low=0.0, high=2.0, every=timedelta(hours=1)), "of-time") == []
