"""The platform's own tables and views: predictions, outcomes and readings, equal to the lake, and versioned."""

import json
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest

pytest.importorskip("sqlalchemy", reason="the extra sql is not installed")
import sqlalchemy as sa
import sqlglot
from pydantic import SecretStr

from trunkline.checks import table_from_rows
from trunkline.contracts.records import Outcome, PredictionLog, Reading, StepRecord
from trunkline.engine import open_engine
from trunkline.errors import InputError, UnavailableError
from trunkline.lake import Lake
from trunkline.publish import Outbox, Publisher
from trunkline.publish.daily_views import DAILY_VIEWS, daily_query
from trunkline.publish.sql import SqlSink
from trunkline.publish.sql.address import writable_address
from trunkline.publish.sql.migrations import migrate, newest_version
from trunkline.settings.lake import LakeSettings
from trunkline.settings.publish import PublishSettings, SinkSettings
from trunkline.usecases.churn import usecase

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAYS = 3
PER_DAY = 20
TERMS = ("month", "one_year", None)


def answers(*, channel: str, run: str, day: int) -> list[dict[str, Any]]:
    return [
        {
            "prediction_id": f"{run}-{number}",
            "request_id": run,
            "usecase": "churn",
            "entity_key": f"s{number % (PER_DAY - 2)}",  # two are scored twice: the later one counts
            "model_version": str(1 + day // 2),
            "alias": "champion",
            "channel": channel,
            "score": (number + day) / 100,
            "decision": number % 2 == 0,
            "features": json.dumps({"contract_term": TERMS[number % 3], "monthly_charges": 70.5}),
            "reasons": None,
            "predicted_at": NOW + timedelta(days=day, seconds=number),
        }
        for number in range(PER_DAY)
    ]


@contextmanager
def lake_at(path: Path) -> Iterator[Lake]:
    with open_engine("duckdb", threads=1) as engine:
        yield Lake(path, engine=engine, settings=LakeSettings(), clock=lambda: NOW)


def fill(lake: Lake) -> dict[str, list[dict[str, Any]]]:
    predictions = [row for day in range(DAYS) for row in answers(channel="batch", run=f"run-{day}", day=day)]
    others = answers(channel="api", run="call", day=DAYS) + answers(channel="batch", run="by-hand", day=DAYS)
    foreign = [row | {"usecase": "others", "prediction_id": f"o-{n}"} for n, row in enumerate(predictions)]
    lake.append("platform.predictions", table_from_rows(PredictionLog, predictions + others + foreign))
    steps = [
        {
            "run_id": f"run-{day}",
            "usecase": "churn",
            "step": "predict",
            "document": "{}",
            "seconds": 1.0,
            "finished_at": NOW,
        }
        for day in range(DAYS)
    ]
    lake.append("platform.steps", table_from_rows(StepRecord, steps))
    outcomes = [
        {
            "outcome_id": f"o{number}",
            "usecase": "churn",
            "entity_key": f"s{number}",
            "prediction_id": f"run-0-{number}" if number % 2 else None,
            "value": float(number % 2),
            "observed_at": NOW + timedelta(days=1, hours=6),
            "recorded_at": NOW + timedelta(days=2),
        }
        for number in range(10)
    ]
    lake.append("platform.outcomes", table_from_rows(Outcome, outcomes))
    readings = [
        {
            "reading_id": f"r{number}",
            "run_id": "run-0",
            "usecase": "churn",
            "model_version": "1",
            "family": "drift",
            "metric": "psi",
            "subject": f"feature {number % 2}",
            "value": None if number == 3 else number / 10,
            "low": None,
            "high": None,
            "limit": 0.2,
            "crossed": number > 2,
            "rows": 100,
            "window_start_at": None,
            "window_end_at": NOW,
            "read_at": NOW,
        }
        for number in range(6)
    ]
    lake.append("platform.readings", table_from_rows(Reading, readings))
    return {"predictions": predictions, "all": predictions + others, "outcomes": outcomes, "readings": readings}


Databases = Callable[[str], str]


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


def ask(url: str, query: str) -> list[dict[str, Any]]:
    engine = sa.create_engine(writable_address(url).url, poolclass=sa.pool.NullPool)
    with engine.connect() as connection:
        if "postgresql" in url:
            connection.execute(sa.text("SET TimeZone = 'UTC'"))
        return [dict(row) for row in connection.execute(sa.text(query)).mappings()]


def publisher(lake: Lake, url: str, folder: Path, *, prefix: str) -> Publisher:
    settings = PublishSettings(
        sinks={"here": SinkSettings(url=SecretStr(url))}, prefix=prefix, attempts=1, chunk_rows=7
    )
    return Publisher(lake=lake, outbox=Outbox(folder / "outbox.db"), settings=settings, clock=lambda: NOW)


def instant(value: object) -> datetime:
    found = datetime.fromisoformat(value) if isinstance(value, str) else value
    assert isinstance(found, datetime)
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


def test_predictions_outcomes_and_readings_are_those_of_the_lake(url: str, tmp_path: Path) -> None:
    with lake_at(tmp_path / "lake") as lake:
        given = fill(lake)
        found = publisher(lake, url, tmp_path, prefix="pf_").publish(usecase, run_id="run-2")
    assert {one.state for one in found} == {"delivered"}

    there = {row["prediction_id"]: row for row in ask(url, "SELECT * FROM pf_trunkline_predictions")}
    assert len(there) == len({row["prediction_id"] for row in given["all"]})
    for row in given["all"]:
        mine = there[row["prediction_id"]]
        assert "features" not in mine
        assert mine["segment"] == (json.loads(row["features"])["contract_term"] or "?")
        assert bool(mine["decision"]) == row["decision"]
        assert instant(mine["predicted_at"]) == row["predicted_at"]
        for name in ("entity_key", "model_version", "score", "channel", "request_id", "reasons"):
            assert mine[name] == row[name]
    outcomes = {row["outcome_id"]: row["value"] for row in ask(url, "SELECT * FROM pf_trunkline_outcomes")}
    assert outcomes == {row["outcome_id"]: row["value"] for row in given["outcomes"]}
    readings = {row["reading_id"]: row["value"] for row in ask(url, "SELECT * FROM pf_trunkline_readings")}
    assert readings == {row["reading_id"]: row["value"] for row in given["readings"]}

    newest: dict[str, float] = {}
    for day in range(DAYS):
        date = f"{NOW + timedelta(days=day):%Y%m%d}"
        dated = {r["entity_key"]: r["score"] for r in ask(url, f"SELECT * FROM pf_churn_predictions_{date}")}
        newest = {r["entity_key"]: r["score"] for r in given["predictions"] if r["request_id"] == f"run-{day}"}
        assert dated == newest  # rows are in order of time: the last of an entity stays
    latest = {row["entity_key"]: row["score"] for row in ask(url, "SELECT * FROM pf_latest_predictions")}
    assert latest == newest
    assert len(latest) == PER_DAY - 2


def test_views_say_what_a_count_by_hand_says(url: str, tmp_path: Path) -> None:
    with lake_at(tmp_path / "lake") as lake:
        given = fill(lake)
        publisher(lake, url, tmp_path, prefix="vw_").publish(usecase, run_id="run-2")
    as_counted(given, lambda view: ask(url, f"SELECT * FROM vw_trunkline_{view}"))


def as_counted(given: dict[str, list[dict[str, Any]]], view_of: Callable[[str], list[dict[str, Any]]]) -> None:
    """Compare the three views with a count by hand."""
    by: dict[tuple[object, ...], list[dict[str, Any]]] = defaultdict(list)
    for row in given["all"]:
        segment = json.loads(row["features"])["contract_term"] or "?"
        by[(row["model_version"], row["channel"], segment, row["predicted_at"].date().isoformat())].append(row)
    view = view_of("predictions_daily")
    assert len(view) == len(by)
    for row in view:
        mine = by[(row["model_version"], row["channel"], row["segment"], str(row["predicted_on"]))]
        assert row["prediction_count"] == len(mine)
        assert row["decided_count"] == sum(one["decision"] for one in mine)
        assert row["mean_score"] == pytest.approx(fmean(one["score"] for one in mine))

    judged = view_of("outcomes_daily")
    assert sum(row["outcome_count"] for row in judged) == len(given["outcomes"])
    # an outcome that names no answer judges the newest before it: that of the second day
    wanted = defaultdict(list)
    for row in given["outcomes"]:
        named = row["prediction_id"] or f"run-1-{row['entity_key'][1:]}"
        answer = next(one for one in given["predictions"] if one["prediction_id"] == named)
        late = [
            one
            for one in given["predictions"]
            if one["entity_key"] == row["entity_key"] and one["predicted_at"] <= row["observed_at"]
        ]
        answer = answer if row["prediction_id"] else max(late, key=lambda one: one["predicted_at"])
        segment = json.loads(answer["features"])["contract_term"] or "?"
        wanted[(answer["model_version"], segment)].append((row["value"], answer["score"]))
    assert {(row["model_version"], row["segment"]) for row in judged} == set(wanted)
    for row in judged:
        pairs = wanted[(row["model_version"], row["segment"])]
        assert row["outcome_count"] == len(pairs)
        assert row["mean_squared_error"] == pytest.approx(fmean((value - score) ** 2 for value, score in pairs))

    read = {row["subject"]: row for row in view_of("readings_daily")}
    assert read["feature 1"]["reading_count"] == 3
    assert read["feature 1"]["crossed_count"] == 2
    assert read["feature 1"]["greatest_value"] == pytest.approx(0.5)
    assert read["feature 0"]["limit_value"] == pytest.approx(0.2)


@pytest.mark.servers
def test_bigquery_has_the_same_views_of_each_use_case(bigquery_emulator: Any, tmp_path: Path) -> None:  # noqa: ANN401 - of a fixture
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import bigquery

    client = bigquery.Client(
        "local",
        AnonymousCredentials(),  # type: ignore[no-untyped-call]  # it has no types
        client_options={"api_endpoint": bigquery_emulator.endpoint},
    )
    client.create_dataset("views", exists_ok=True, timeout=10)
    options = {"endpoint": SecretStr(bigquery_emulator.endpoint)}
    with lake_at(tmp_path / "lake") as lake:
        given = fill(lake)
        settings = PublishSettings(
            sinks={"here": SinkSettings(url=SecretStr("bigquery://local/views"), options=options)},
            prefix="vw_",
            attempts=1,
        )
        outbox = Outbox(tmp_path / "outbox.db")
        there = Publisher(lake=lake, outbox=outbox, settings=settings, clock=lambda: NOW)
        would = [line for _, lines in there.preview(usecase) for line in lines]
        assert {one.state for one in there.publish(usecase, run_id="run-2")} == {"delivered"}
    for view in DAILY_VIEWS:
        (told,) = {
            line for line in would if line.startswith(f"CREATE OR REPLACE VIEW `local.views.vw_trunkline_{view}_")
        }
        assert isinstance(sqlglot.parse_one(told, dialect="bigquery"), sqlglot.exp.Create)

    def view_of(name: str) -> list[dict[str, Any]]:
        query = f"SELECT * FROM `local.views.vw_trunkline_{name}_churn`"
        return [dict(row.items()) for row in client.query(query, job_retry=None).result(timeout=30)]

    as_counted(given, view_of)


@pytest.mark.parametrize("dialect", ["sqlite", "mariadb", "postgresql", "bigquery"])
@pytest.mark.parametrize("view", DAILY_VIEWS)
def test_each_view_is_sql_of_the_database(view: str, dialect: str) -> None:
    tables = {name: (name,) for name in DAILY_VIEWS[view].tables}
    said = daily_query(view, dialect=dialect, tables=tables)
    spoken = {"mariadb": "mysql", "postgresql": "postgres"}.get(dialect, dialect)
    parsed = sqlglot.parse_one(said, dialect=spoken, error_level=sqlglot.ErrorLevel.RAISE)
    assert {one.name for one in parsed.find_all(sqlglot.exp.Table)} == set(tables)
    assert ("AT TIME ZONE" in said) == (dialect == "postgresql"), "others keep instants in UTC"


def test_tables_of_an_older_version_are_migrated_and_of_a_newer_refused(url: str, tmp_path: Path) -> None:
    engine = sa.create_engine(writable_address(url).url, poolclass=sa.pool.NullPool)
    with engine.connect() as connection:
        migrate(connection, prefix="mg_", shown="here")
        connection.commit()
        # as the first version left it: neither tables nor views of later ones, and rows of its own
        for view in ("predictions", "outcomes", "readings"):
            connection.execute(sa.text(f"DROP VIEW mg_trunkline_{view}_daily"))
        for table in ("predictions", "outcomes"):  # a process died in the middle of the second step: readings are there
            connection.execute(sa.text(f"DROP TABLE mg_trunkline_{table}"))
        connection.execute(sa.text("UPDATE mg_trunkline_version SET version_num = '0001'"))
        connection.commit()
    with lake_at(tmp_path / "lake") as lake:
        fill(lake)
        found = publisher(lake, url, tmp_path, prefix="mg_").publish(usecase, run_id="run-2")
    assert {one.state for one in found} == {"delivered"}
    assert ask(url, "SELECT * FROM mg_trunkline_version") == [{"version_num": newest_version()}]
    assert ask(url, "SELECT count(*) AS n FROM mg_trunkline_predictions_daily")[0]["n"] > 0

    with engine.connect() as connection:
        connection.execute(sa.text("UPDATE mg_trunkline_version SET version_num = '9999'"))
        connection.commit()
    sink = SqlSink(url, prefix="mg_")
    with pytest.raises(InputError, match="newer Trunkline") as refused:
        sink.check()
    assert "9999" in str(refused.value)
    assert newest_version() in refused.value.allowed


@pytest.mark.servers
@pytest.mark.parametrize("server", ["mariadb_url", "postgres_url"])
def test_a_wrong_login_is_told_without_the_password(server: str, request: pytest.FixtureRequest) -> None:
    right = str(request.getfixturevalue(server))
    wrong = right.replace("n0t-shown", "not-this-one")
    with pytest.raises(InputError, match="refused the login") as refused:
        SqlSink(wrong).check()
    assert "not-this-one" not in str(refused.value)
    nowhere = right.rpartition("/")[0] + "/no_such_database"
    with pytest.raises(InputError, match="no such database"):
        SqlSink(nowhere).check()


def test_a_full_disk_is_no_fault_of_the_declaration(tmp_path: Path) -> None:
    sink = SqlSink(f"sqlite:///{tmp_path}/out.db")
    sink.check()
    from trunkline.publish.sql.faults import _ours  # what the drivers say cannot be had here without filling a disk

    class Said(Exception):  # noqa: N818 - as drivers name theirs
        sqlstate: str | None = None

    full_postgres = Said("could not extend file")
    full_postgres.sqlstate = "53100"
    for error in (Said(1021, "Disk full"), Said(1114, "The table is full"), full_postgres, Said("disk is full")):
        told = _ours(error, "here")
        assert isinstance(told, UnavailableError)
        assert "disk is full" in told.what
        assert "make room" in told.next_step
