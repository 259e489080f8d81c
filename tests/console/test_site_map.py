"""The map of a fleet: distances, north, the worst on top, texts of data escaped."""

import re

import pytest

from trunkline.console.site_map import Placed, site_map


def dots(drawn: str) -> dict[str, tuple[float, float]]:
    """Where each object was drawn, by the name in its title, in the order of drawing."""
    found = re.findall(r'cx="([0-9.-]+)" cy="([0-9.-]+)" r="[0-9.]+"><title>([^:]+):', drawn)
    return {name: (float(x), float(y)) for x, y, name in found}


def link(name: str) -> str:
    return f"/console/alarms/towers?name={name}"


def test_north_is_up_and_a_kilometre_is_as_long_to_the_east() -> None:
    # at 60 degrees a degree of longitude is half as long as one of latitude
    placed = [Placed("a", 60.0, 10.0), Placed("north", 60.5, 10.0), Placed("east", 60.0, 11.0), Placed("b", 59.5, 10.0)]
    found = dots(str(site_map(placed, link)))
    assert found["north"][0] == pytest.approx(found["a"][0])
    assert found["north"][1] < found["a"][1] < found["b"][1]
    assert found["east"][0] - found["a"][0] == pytest.approx(found["a"][1] - found["north"][1], abs=0.2)


def test_the_line_is_as_long_as_it_says() -> None:
    drawn = str(site_map([Placed("a", 0.0, 0.0), Placed("b", 0.0, 1.0)], link))
    found = dots(drawn)
    bar = re.search(r'class="ruler" x1="([0-9.]+)" x2="([0-9.]+)".*?>(\d+) km<', drawn)
    assert bar is not None
    per_km = (found["b"][0] - found["a"][0]) / 111.195  # a degree on the equator
    assert (float(bar[2]) - float(bar[1])) / per_km == pytest.approx(float(bar[3]), rel=0.01)


def test_the_worst_lie_on_top_and_lead_to_their_page() -> None:
    placed = [
        Placed("bad", 1.0, 1.0, "critical", "sleeping cell"),
        Placed("quiet", 1.0, 1.1),
        Placed("w", 1, 1, "minor", "x"),
    ]
    drawn = str(site_map(placed, link))
    assert list(dots(drawn)) == ["quiet", "w", "bad"]
    assert 'href="/console/alarms/towers?name=bad"' in drawn
    assert "bad: critical, sleeping cell" in drawn
    assert "Map of 3 positions, 2 with an alarm that stands" in drawn


def test_one_position_and_the_date_line_are_drawn() -> None:
    (alone,) = dots(str(site_map([Placed("a", 48.0, 11.0)], link))).values()
    assert 300 < alone[0] < 460
    found = dots(str(site_map([Placed("fiji", -17.0, 179.0), Placed("beyond", -17.0, -179.0)], link)))
    assert 0 < found["beyond"][0] - found["fiji"][0] < 760


def test_texts_of_data_are_escaped() -> None:
    drawn = str(site_map([Placed("<b>", 1.0, 1.0, "major", '"&')], lambda name: f"/?name={name}&x"))
    assert "<b>" not in drawn
    assert "&lt;b&gt;: major, &#34;&amp;" in drawn
