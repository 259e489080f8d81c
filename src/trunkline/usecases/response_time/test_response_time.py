"""Both forms of hours become one, and messages of a monitoring API are taken apart."""

from datetime import UTC, datetime

import ibis
import numpy as np
import orjson
import pyarrow as pa
import pytest

from trunkline.errors import InputError
from trunkline.testing import check_usecase, judged
from trunkline.usecases.response_time import usecase
from trunkline.usecases.response_time.features import long_form, percentiles
from trunkline.usecases.response_time.simulate import simulate, simulated_hours
from trunkline.usecases.response_time.unwrapping import metric_data

HOUR = b'{"hour_utc": "2017-04-01 10:00:00", "ART_SN00": 197.211154, "ART_SNCS": 34.1, "CPM_A": 7441.9}'


def test_an_hour_as_the_table_has_it_passes() -> None:
    verdict = judged(usecase, HOUR)
    assert verdict.reasons == ()
    assert verdict.row["main_ms"] == 197.211154
    assert verdict.row["sub_7_ms"] == 34.1
    assert verdict.row["at"] == datetime(2017, 4, 1, 10, tzinfo=UTC)


def test_every_reason_is_named() -> None:
    verdict = judged(usecase, b'{"hour_utc": "yesterday", "ART_SN00": -1}')
    assert set(verdict.reasons) == {"at.type", "main_ms.minimum"}


def test_it_holds_what_every_use_case_must() -> None:
    check_usecase(usecase)


def hours(**columns: float | None) -> pa.Table:
    given: dict[str, pa.Array] = {
        column.name: pa.array([None], pa.float64()) for column in usecase.contract.columns if column.name != "at"
    }
    given |= {name: pa.array([value], pa.float64()) for name, value in columns.items()}
    return pa.table({"at": pa.array([datetime(2026, 1, 5, 8, tzinfo=UTC)], pa.timestamp("us", tz="UTC")), **given})


def metrics(*rows: tuple[str, str, datetime, float]) -> pa.Table:
    server, metric, at, value = zip(*rows, strict=True)
    return pa.table(
        {
            "application": pa.array(["all"] * len(rows)),
            "server": pa.array(server),
            "metric": pa.array(metric),
            "at": pa.array(at, pa.timestamp("us", tz="UTC")),
            "value": pa.array(value),
        }
    )


def test_wide_hours_become_long_and_absent_values_nothing() -> None:
    rows = long_form({"hours": ibis.memtable(hours(main_ms=12.5, load_a=3.0))}).to_pyarrow().to_pylist()
    found = {(row["server"], row["metric"]): row["value"] for row in rows}
    assert found == {("main", "response_time_ms"): 12.5, ("load_a", "load"): 3.0}


def test_what_both_forms_tell_counts_as_the_long_one_tells_it() -> None:
    at = datetime(2026, 1, 5, 8, 30, tzinfo=UTC)
    tables = {
        "hours": ibis.memtable(hours(main_ms=12.5, sub_1_ms=7.0)),
        "metrics": ibis.memtable(metrics(("main", "response_time_ms", at, 99.0))),
    }
    found = {row["server"]: row["value"] for row in long_form(tables).to_pyarrow().to_pylist()}
    assert found == {"main": 99.0, "sub_1": 7.0}


def test_percentiles_stand_by_server_and_hour_of_the_day() -> None:
    rows = [("edge", "response_time_ms", datetime(2026, 1, day, 9, tzinfo=UTC), float(day)) for day in range(1, 12)]
    found = percentiles({"metrics": ibis.memtable(metrics(*rows))}).to_pyarrow().to_pylist()
    assert [(row["server"], row["hour_of_day"], row["hours"], row["p50_ms"]) for row in found] == [("edge", 9, 11, 6.0)]


def test_metric_data_of_a_monitoring_api_is_taken_apart() -> None:
    item = {
        "metricId": 7,
        "metricName": "BTM|Application Summary|Average Response Time (ms)",
        "metricPath": "shop|checkout|Average Response Time (ms)",
        "frequency": "SIXTY_MIN",
        "metricValues": [
            {"startTimeInMillis": 1_767_600_000_000, "count": 60, "value": 210},
            {"startTimeInMillis": 1_767_603_600_000, "count": 0, "value": 0},
        ],
    }
    assert usecase.envelopes["metrics"] is metric_data
    rows = metric_data(item)
    assert rows is not None
    assert len(rows) == 1, "an interval in which nothing was measured is no value"
    verdict = judged(usecase, orjson.dumps(rows[0]), dataset="metrics")
    assert verdict.reasons == ()
    assert verdict.row == {
        "server": "checkout",
        "metric": "response_time_ms",
        "at": datetime(2026, 1, 5, 8, tzinfo=UTC),
        "value": 210.0,
        "application": "shop",
    }


def test_simulated_levels_shift_where_the_truth_says_so() -> None:
    truth = simulated_hours(hours=2_000, seed=3)
    assert truth.response.shape == (8, 2_000)
    assert (truth.response > 0).all()
    assert truth.shifts == sorted(truth.shifts)
    spread = np.abs(np.log(truth.response / truth.expected)).mean()
    assert 0.03 < spread < 0.07, "the noise of the hour is what nobody can know"


def test_the_best_score_is_that_of_who_knows_all_but_the_noise() -> None:
    assert 0.05 < simulate(rows=1_000, seed=1).best_score < 0.9


def test_what_may_be_set_is_set_and_all_else_is_refused() -> None:
    chosen = usecase.with_choices({"limits_ms": {"main": 250.0}, "zone": "Europe/Berlin", "trials": 2})
    task = chosen.task
    assert task is not None
    assert getattr(task, "limits", None) == {"main": 250.0}
    assert getattr(task, "trials", None) == 2
    with pytest.raises(InputError, match="limit"):
        usecase.with_choices({"limit": 3})
