"""Dashboards of response times equal a count by hand over the lake's forecasts and accuracy."""

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest

pytest.importorskip("sqlalchemy", reason="the extra sql is not installed")
import sqlalchemy as sa
from pydantic import SecretStr

from trunkline.checks import table_from_rows
from trunkline.contracts.forecasts import Forecast, ForecastAccuracy
from trunkline.engine import open_engine
from trunkline.lake import Lake
from trunkline.publish import Outbox, Published, Publisher
from trunkline.publish.sql.address import writable_address
from trunkline.settings.lake import LakeSettings
from trunkline.settings.publish import PublishSettings, SinkSettings
from trunkline.usecases.response_time import usecase

NOW = datetime(2026, 3, 1, tzinfo=UTC)
SERVERS = ("main", "sub 1")
HOURS = 24 * 16


def forecasts() -> list[dict[str, Any]]:
    return [
        {
            "made_at": NOW + timedelta(hours=hour),
            "target_at": NOW + timedelta(hours=hour + ahead),
            "horizon_hours": ahead,
            "server": server,
            "application": "shop",
            "mean": 100.0 + hour,
            "q10": 90.0 + hour,
            "q50": 99.0 + hour,
            "q90": 120.0 + hour,
            "limit": None,
            "exceeds": None,
            "degraded": False,
            "model_version": "1",
            "run_id": "r",
        }
        for hour in range(0, HOURS, 6)
        for ahead in (1, 6)
        for server in SERVERS
        if not (server == "sub 1" and hour == HOURS - 6)  # one server is an hour behind
    ]


def judged(rows: list[dict[str, Any]], *, until: datetime, actual: float = 0.0) -> list[dict[str, Any]]:
    return [
        {
            **{name: row[name] for name in ("made_at", "target_at", "horizon_hours", "server", "application")},
            "actual": row["q50"] + row["horizon_hours"] + actual,
            "forecast": row["q50"],
            "error": row["horizon_hours"] + actual,
            "scaled_error": (row["horizon_hours"] + actual) / 10,
            "inside": row["horizon_hours"] == 1,
            "naive_error": None if row["server"] == "main" else 3.0,
            "model_version": "1",
            "judged_at": until,
        }
        for row in rows
        if row["target_at"] <= until
    ]


@pytest.fixture(
    params=[
        "sqlite",
        pytest.param("mariadb_url", marks=pytest.mark.servers),
        pytest.param("postgres_url", marks=pytest.mark.servers),
    ]
)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/out.db"
    return str(request.getfixturevalue(request.param))


def ask(url: str, table: str) -> list[dict[str, Any]]:
    engine = sa.create_engine(writable_address(url).url, poolclass=sa.pool.NullPool)
    with engine.connect() as connection:
        return [dict(row) for row in connection.execute(sa.text(f"SELECT * FROM {table}")).mappings()]


def instant(value: object) -> datetime:
    found = datetime.fromisoformat(value) if isinstance(value, str) else value
    assert isinstance(found, datetime)
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


@pytest.mark.slow
def test_dashboards_are_those_of_the_lake(url: str, tmp_path: Path) -> None:
    rows = forecasts()
    until = NOW + timedelta(hours=HOURS - 12)
    settings = PublishSettings(sinks={"here": SinkSettings(url=SecretStr(url))}, prefix="rt_", attempts=1)
    with open_engine("duckdb", threads=1) as engine:
        lake = Lake(tmp_path / "lake", engine=engine, settings=LakeSettings(), clock=lambda: NOW)
        publisher = Publisher(lake=lake, outbox=Outbox(tmp_path / "outbox.db"), settings=settings, clock=lambda: NOW)

        def publish() -> dict[str, Published]:
            return {one.publication: one for one in publisher.publish(usecase, run_id="r")}

        lake.append("response_time.forecasts", table_from_rows(Forecast, rows))
        first = publish()
        assert first["dashboard_history"].state == "delivered"  # nothing is judged yet, and shown all the same
        assert {row["actual"] for row in ask(url, "rt_dashboard_history")} == {None}
        lake.append("response_time.accuracy", table_from_rows(ForecastAccuracy, judged(rows, until=until)))
        lake.append(
            "response_time.accuracy",
            table_from_rows(ForecastAccuracy, judged(rows[:2], until=until + timedelta(hours=1), actual=5.0)),
        )
        again = publish()
    assert again["server_forecasts"].state == "unchanged"
    assert again["dashboard_current"].state == "unchanged"
    states = {again[name].state for name in ("server_accuracy", "dashboard_history", "dashboard_accuracy")}
    assert states == {"delivered"}

    there = {
        (row["server"], instant(row["made_at"]), row["horizon_hours"]): row for row in ask(url, "rt_server_forecasts")
    }
    assert len(there) == len(rows)
    for row in rows:
        mine = there[(row["server"], row["made_at"], row["horizon_hours"])]
        assert instant(mine["target_at"]) == row["target_at"]
        assert all(mine[name] == row[name] for name in ("mean", "q10", "q50", "q90", "model_version"))

    current = {
        (row["server"], row["horizon_hours"]): instant(row["made_at"]) for row in ask(url, "rt_dashboard_current")
    }
    newest = {server: max(row["made_at"] for row in rows if row["server"] == server) for server in SERVERS}
    assert current == {(server, ahead): newest[server] for server in SERVERS for ahead in (1, 6)}

    truth = {(r["server"], r["made_at"], r["horizon_hours"]): r for r in judged(rows, until=until)}
    for row in judged(rows[:2], until=until, actual=5.0):  # corrected later: the newer one counts
        truth[(row["server"], row["made_at"], row["horizon_hours"])] = row
    since = max(row["target_at"] for row in rows) - timedelta(days=14)
    shown = {
        (r["server"], instant(r["made_at"]), r["horizon_hours"]): r["actual"] for r in ask(url, "rt_dashboard_history")
    }
    assert shown == {
        (row["server"], row["made_at"], row["horizon_hours"]): truth.get(
            (row["server"], row["made_at"], row["horizon_hours"]), {"actual": None}
        )["actual"]
        for row in rows
        if row["target_at"] > since
    }

    groups: dict[tuple[str, int], list[dict[str, Any]]] = defaultdict(list)
    for row in truth.values():
        groups[(row["server"], row["horizon_hours"])].append(row)
    accuracy = {(row["server"], row["horizon_hours"]): row for row in ask(url, "rt_dashboard_accuracy")}
    assert set(accuracy) == set(groups)
    for key, mine in accuracy.items():
        assert mine["forecasts"] == len(groups[key])
        assert mine["mase"] == pytest.approx(fmean(row["scaled_error"] for row in groups[key]))
        assert mine["mean_absolute_error"] == pytest.approx(fmean(abs(row["error"]) for row in groups[key]))
        assert mine["coverage"] == pytest.approx(fmean(row["inside"] for row in groups[key]))
        assert (mine["naive_mean_absolute_error"] is None) == (key[0] == "main")
