"""The pages of forecasts over tables made by hand: who is at risk, one server's hours, and which hour ahead is good."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from trunkline.checks import arrow_schema
from trunkline.console import WorkspaceReader, mount
from trunkline.console.forecasts import ServerForecast
from trunkline.contracts.forecasts import Forecast, ForecastAccuracy
from trunkline.engine import open_engine
from trunkline.lake import Lake
from trunkline.plugins import load_usecase
from trunkline.registry import NoTracker, Registry
from trunkline.settings.lake import LakeSettings
from trunkline.settings.registry import RegistrySettings

AT = datetime(2026, 3, 29, 3, tzinfo=UTC)  # Europe's clocks have just changed
HOUR = timedelta(hours=1)
SERVERS = {"main": 0.2, "<edge>": 0.9}
JUDGED = 30


def forecasts() -> list[dict[str, object]]:
    return [
        {
            "made_at": made_at,
            "target_at": made_at + ahead * HOUR,
            "horizon_hours": ahead,
            "server": server,
            "application": "all",
            "mean": 100.0 + ahead,
            "q10": 90.0,
            "q50": 100.0 + ahead,
            "q90": 120.0,
            "limit": 150.0,
            "exceeds": exceeds * ahead / 6,
            "degraded": server == "<edge>",
            "model_version": "1",
            "run_id": "r1",
        }
        for made_at in (AT - HOUR, AT)
        for server, exceeds in SERVERS.items()
        for ahead in range(1, 7)
    ]


def accuracy() -> list[dict[str, object]]:
    """One hour ahead beats the value a day before, two hours ahead does not; one truth was corrected later."""
    rows: list[dict[str, object]] = [
        {
            "made_at": AT - (back + ahead) * HOUR,
            "target_at": AT - back * HOUR,
            "horizon_hours": ahead,
            "server": "main",
            "application": "all",
            "actual": 100.0,
            "forecast": 100.0 - 4 * ahead,
            "error": 4.0 * ahead,
            "scaled_error": 0.5 * ahead,
            "inside": back % 5 > 0,
            "naive_error": 6.0,
            "model_version": "1",
            "judged_at": AT,
        }
        for back in range(JUDGED)
        for ahead in (1, 2)
    ]
    return [*rows, {**rows[0], "judged_at": AT + HOUR, "scaled_error": 15.5}]


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[TestClient, WorkspaceReader]]:
    root: Path = tmp_path_factory.mktemp("workspace")

    def lake() -> Lake:
        engine = open_engine("duckdb", threads=1)
        return Lake(root / "lake", engine=engine, settings=LakeSettings(), clock=lambda: AT)

    usecase = load_usecase("response_time")
    metrics = [
        {"server": "main", "metric": "response_time_ms", "at": AT - back * HOUR, "value": 100.0 + back}
        for back in (0, 1, 3)
    ]
    schema = arrow_schema(usecase.datasets["metrics"])
    table = pa.Table.from_pylist([{**row, "application": "all"} for row in metrics], schema=schema)
    table = table.append_column("_ingested_at", pa.array([AT] * 3, pa.timestamp("us", tz="UTC")))
    written = lake()
    written.append("response_time.metrics", table.append_column("_row", pa.array(range(3), pa.int64())))
    written.append("response_time.forecasts", pa.Table.from_pylist(forecasts(), schema=arrow_schema(Forecast)))
    written.append("response_time.accuracy", pa.Table.from_pylist(accuracy(), schema=arrow_schema(ForecastAccuracy)))
    reader = WorkspaceReader(
        lake=lake,
        registry=Registry(root, settings=RegistrySettings(), clock=lambda: AT, follower=NoTracker()),
        usecases={"response_time": usecase},
        reports=root / "runs",
        is_running=lambda _name: False,
        clock=lambda: AT,
    )
    app = FastAPI()
    mount(app, reader)
    with TestClient(app) as client:
        yield client, reader


@pytest.fixture(scope="module")
def main(console: tuple[TestClient, WorkspaceReader]) -> ServerForecast:
    return console[1].server_forecast("response_time", "main")


def test_servers_most_at_risk_come_first(console: tuple[TestClient, WorkspaceReader]) -> None:
    (found,) = console[1].forecasts()
    assert [(row.server, row.made_at) for row in found.rows] == [("<edge>", AT), ("main", AT)]
    assert [row.exceeds for row in found.rows] == pytest.approx([0.9, 0.2])
    page = console[0].get("/console/forecasts").text
    assert "&lt;edge&gt;" in page
    assert "<edge>" not in page


def test_the_last_week_has_its_gaps_and_the_fan_follows(main: ServerForecast) -> None:
    assert len(main.fan.past) == 168
    assert main.fan.past[-4:] == (103.0, None, 101.0, 100.0)
    assert main.fan.q50 == (101.0, 102.0, 103.0, 104.0, 105.0, 106.0)


def test_which_hour_ahead_is_good(main: ServerForecast) -> None:
    one, two = main.accuracy
    assert (one.horizon, one.hours, one.is_good, two.is_good) == (1, JUDGED, True, False)
    assert one.mase == pytest.approx((29 * 0.5 + 15.5) / 30), "a truth that was corrected counts once"
    assert one.skill == pytest.approx(1 - 4 / 6)
    assert one.inside == pytest.approx(0.8)
    assert one.by_week == (None, None, None, one.mase)


def test_a_page_shows_history_fan_and_accuracy(console: tuple[TestClient, WorkspaceReader]) -> None:
    page = console[0].get("/console/forecasts/response_time", params={"name": "main"}).text
    for part in ('id="chart-fan"', 'id="chart-accuracy"', "1 of 6", "no better", "last 7 days"):
        assert part in page


@pytest.mark.parametrize(("usecase", "server"), [("response_time", "nobody<b>"), ("nothing", "main")])
def test_an_unknown_server_is_not_found(console: tuple[TestClient, WorkspaceReader], usecase: str, server: str) -> None:
    answer = console[0].get(f"/console/forecasts/{usecase}", params={"name": server})
    assert answer.status_code == 404
    assert "<b>" not in answer.text
