"""Forecasts from a monitoring API through the real command: faults, gaps, late data, and a source that is down."""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.ingest.rest.loopback import Reply
from tests.ingest.rest.monitoring import Monitoring, millis, monitoring, write_items

from trunkline.plugins import load_usecase
from trunkline.run import Workspace
from trunkline.settings import load_settings

Trunkline = Callable[..., tuple[int, str, str]]

pytestmark = pytest.mark.slow

BEGAN = datetime(2025, 3, 17, tzinfo=UTC)  # clocks in Europe change thirteen days later
HOURS = 400
GAPS = (HOURS - 31, HOURS - 15, HOURS - 7)  # 32, 16 and 8 hours old when the source is back, and so asked for again
TIERS = ("main", "sub_1", "sub_2")
QUICK = {"trials": 1, "evaluation_days": 7, "zone": "Europe/Berlin"}
ATTEMPTS = 4


def hour(place: int) -> datetime:
    return BEGAN + timedelta(hours=place)


@pytest.fixture(scope="module")
def values() -> Mapping[str, Mapping[str, list[float]]]:
    simulate = load_usecase("response_time").simulate
    assert simulate is not None
    hours = simulate(rows=HOURS + 12, seed=3).tables["hours"]
    # milliseconds are whole numbers in this form
    return {
        tier: {
            "response_time": [100 * value for value in hours.column(f"{tier}_ms").fill_null(1.0).to_pylist()],
            **({"calls": hours.column("load_a").fill_null(0.0).to_pylist()} if tier == "main" else {}),
        }
        for tier in TIERS
    }


@pytest.fixture(scope="module")
def told(
    tmp_path_factory: pytest.TempPathFactory, trunkline: Trunkline, values: Mapping[str, Mapping[str, list[float]]]
) -> dict[str, Any]:
    """What runs of one workspace printed, hour by hour, while the API has its troubles."""
    place = tmp_path_factory.mktemp("monitoring")
    write_items(place / "metric-data.json", since=BEGAN, values=values)
    runs: dict[str, Any] = {"workspace": place / "workspace"}
    with (
        monitoring(place / "metric-data.json", now=hour(HOURS)) as (api, server),
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("TRUNKLINE_USECASES", json.dumps({"response_time": QUICK}))
        patch.setenv("TRUNKLINE_SOURCES", json.dumps({"appdynamics": api.declared(attempts=ATTEMPTS)}))

        def run(name: str) -> None:
            server.seen.clear()
            api.asked.clear()
            code, out, err = trunkline("run", "response_time", "--workspace", runs["workspace"], "--json")
            assert code == 0, err
            assert "s3cret" not in out + err
            runs[name] = {**json.loads(out), "asked": list(api.asked), "requests": len(server.seen)}

        steps: tuple[tuple[str, Callable[[Monitoring], object]], ...] = (
            ("first", _first_troubles),
            ("hour", lambda api: setattr(api, "now", hour(HOURS + 1))),
            ("down", _goes_down),
            ("back", lambda api: api.hidden.clear()),
        )
        for name, change in steps:
            change(api)
            run(name)
        runs["tokens"] = api.tokens
    return runs


def _first_troubles(api: Monitoring) -> None:
    api.hidden["sub_1"] = {hour(GAPS[0])}
    api.hidden[""] = {hour(GAPS[1]), hour(GAPS[2])}
    api.faults += [
        Reply(status=429, headers={"Retry-After": "0"}),
        Reply(status=500),
        Reply([{"a": 1}] * 99, cut_after=9),
    ]


def _goes_down(api: Monitoring) -> None:
    api.now = hour(HOURS + 3)
    api.faults += [Reply(status=503)] * ATTEMPTS * 2  # for a gap, and then for what is new


def rows(told: dict[str, Any], table: str) -> list[dict[str, Any]]:
    with Workspace(load_settings(workspace=told["workspace"])) as workspace:
        return list(workspace.lake.arrow(table).to_pylist())


def test_faults_that_pass_are_outlasted(told: dict[str, Any]) -> None:
    first = told["first"]
    metrics = 4 * (HOURS + 1) - 1 - 2 * 4
    assert (first["ingest"]["read"], first["ingest"]["quarantined"]) == (metrics, 0)
    assert first["requests"] == 1 + 4, "a token, three faults, and the answer"
    assert first["predictions"]["rows"] == 6 * len(TIERS)
    assert first["predictions"]["degraded"] == []


def test_the_next_run_asks_for_each_gap_alone_and_for_what_is_new(told: dict[str, Any]) -> None:
    *gaps, (begin, end) = told["hour"]["asked"]
    assert gaps == [(millis(hour(gap)), millis(hour(gap + 1))) for gap in GAPS]
    assert begin == millis(hour(HOURS - 2)), "the overlap"
    assert end > millis(hour(HOURS + 1))
    assert told["hour"]["predictions"]["hours"] == 1


def test_a_source_that_is_down_degrades_the_forecast_and_is_told(told: dict[str, Any]) -> None:
    down = told["down"]
    assert down["ingest"]["unreachable"] == ["appdynamics"]
    assert sorted(down["predictions"]["degraded"]) == list(TIERS)
    assert [one["severity"] for one in down["monitor"]["alerts"] if "out of reach" in one["title"]] == ["major"]


def test_hours_that_come_later_are_merged_and_what_was_missed_is_made_up_for(told: dict[str, Any]) -> None:
    back = told["back"]
    assert back["ingest"]["unreachable"] == []
    assert back["predictions"]["degraded"] == []
    assert back["predictions"]["hours"] == 2
    assert not [one for one in back["monitor"]["alerts"] if "out of reach" in one["title"]]
    known = {(row["server"], row["metric"], row["at"]) for row in rows(told, "response_time.metrics")}
    whole = {(tier, "response_time_ms", hour(place)) for tier in TIERS for place in range(HOURS + 4)}
    late = {hour(gap) for gap in GAPS}
    assert {(tier, at) for tier, _, at in whole - known} == set(), "nothing is lacking"
    assert late <= {at for _, _, at in known}


def test_no_hour_is_forecast_twice_and_a_token_serves_a_run(told: dict[str, Any]) -> None:
    made = [(row["made_at"], row["server"], row["horizon_hours"]) for row in rows(told, "response_time.forecasts")]
    assert len(made) == len(set(made)) == 4 * 6 * len(TIERS)
    assert told["tokens"] == 4
