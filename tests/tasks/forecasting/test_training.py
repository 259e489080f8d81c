"""Training, whole: better than naive, the same twice, at rest and back, refusals; tiny series, one try."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from trunkline.errors import LabelError, TamperedError
from trunkline.tasks import load_model
from trunkline.tasks.forecasting import Forecasting, ForecastModel, ForecastReport
from trunkline.tasks.forecasting.blending import Blend
from trunkline.tasks.task import Trained

pytestmark = pytest.mark.slow

TASK = Forecasting(
    target="ms",
    trials=1,
    parameters={"max_depth": 4, "eta": 0.15, "min_child_weight": 10.0, "subsample": 0.8, "rounds": 40},
    search={},
    evaluation_days=7,
    warm_up_days=5,
    horizons=3,
    baselines=("last_value", "naive_day"),
)
HOURS = 700


def rows(*, hours: int = HOURS, servers: int = 3, seed: int = 1) -> pa.Table:
    drawn = np.random.default_rng(seed)
    time = np.arange(hours)
    parts = []
    for place in range(servers):
        values = 40 * (place % 4 + 1) * (1 + 0.4 * np.sin(2 * np.pi * time / 24)) + drawn.normal(0, 3, hours)
        known = drawn.random(hours) > 0.02
        at = np.datetime64("2026-01-05T00") + time[known].astype("timedelta64[h]")
        parts.append(
            pa.table(
                {
                    "at": pa.array(at.astype("datetime64[us]")).cast(pa.timestamp("us", tz="UTC")),
                    "server": pa.array([f"s{place}"] * int(known.sum())),
                    "metric": pa.array(["ms"] * int(known.sum())),
                    "value": pa.array(values[known]),
                }
            )
        )
    return pa.concat_tables(parts)


@pytest.fixture(scope="module")
def trained() -> Trained:
    return TASK.train(rows(), seed=3)


def test_it_beats_the_value_of_a_day_ago_at_every_hour(trained: Trained) -> None:
    report = trained.report
    assert isinstance(report, ForecastReport)
    naive = next(one for one in report.baselines if one.name == "naive_day")
    assert all(ours < theirs for ours, theirs in zip(naive.ours, naive.mase, strict=True))
    assert set(report.metrics) == {"mase_h1", "mase_h2", "mase_h3", "mase", "coverage_80"}
    for found in report.metrics.values():
        assert found.low <= found.value <= found.high
    assert 0.7 < report.metrics["coverage_80"].value < 0.9
    assert ForecastReport.model_validate_json(report.model_dump_json()) == report


def test_the_same_rows_and_seed_give_the_same_model(trained: Trained) -> None:
    again = TASK.train(rows(), seed=3, threads=2)
    assert again.model.fingerprint == trained.model.fingerprint


def test_a_model_at_rest_comes_back_and_a_changed_one_is_refused(trained: Trained, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    fingerprint = trained.model.with_lineage(run_id="r").save(folder)
    loaded = load_model(folder, fingerprint=fingerprint)
    assert isinstance(loaded, ForecastModel)
    assert isinstance(trained.model, ForecastModel)
    assert not [path for path in folder.iterdir() if path.suffix not in (".json", ".npy")], "no pickle"
    panel = TASK.panel(rows())
    one, two = (model.forecast(panel, HOURS - 1) for model in (trained.model, loaded))
    np.testing.assert_allclose(one.median, two.median, rtol=1e-6)
    np.testing.assert_allclose(one.quantiles, two.quantiles, rtol=1e-4)
    next(folder.glob("h1_*.json")).write_text("{}")
    with pytest.raises(TamperedError):
        load_model(folder)


def test_a_model_of_the_first_format_forecasts_as_it_did(trained: Trained, tmp_path: Path) -> None:
    assert isinstance(trained.model, ForecastModel)
    trained.model.save(tmp_path)
    document = json.loads((tmp_path / "model.json").read_text())
    boosters = [one["boosters"]["newest"] for one in document.pop("blends")]
    for facts in document["info"]["horizons"]:
        del facts["usual"]
    (tmp_path / "model.json").write_text(json.dumps({**document, "format": 1, "boosters": boosters}))
    loaded = load_model(tmp_path)
    assert isinstance(loaded, ForecastModel)
    panel, origins = TASK.panel(rows()), np.array([HOURS - 1])
    now = replace(trained.model, blends=tuple(Blend({"newest": one.boosters["newest"]}, 0.0) for one in loaded.blends))
    np.testing.assert_array_equal(loaded.medians(panel, origins), now.medians(panel, origins))
    np.testing.assert_array_equal(loaded.medians(panel, origins)[:, 0], trained.model.medians(panel, origins)[:, 0])
    assert np.isfinite(loaded.forecast(panel, HOURS - 1).median).all()


def test_hours_that_come_later_do_not_move_a_forecast(trained: Trained) -> None:
    assert isinstance(trained.model, ForecastModel)
    longer = TASK.panel(rows(hours=HOURS + 60, seed=1))
    values = longer.targets.values
    place = HOURS + 20
    first = trained.model.forecast(longer, place)
    values[:, place + 1 :] = 1e6
    second = trained.model.forecast(longer, place)
    np.testing.assert_array_equal(first.median, second.median)
    np.testing.assert_array_equal(first.quantiles, second.quantiles)


def test_the_forecast_that_is_given_is_the_one_that_is_judged(trained: Trained) -> None:
    assert isinstance(trained.model, ForecastModel)
    panel = TASK.panel(rows(hours=HOURS + 30))
    for origin in range(HOURS, HOURS + 20):
        given = trained.model.forecast(panel, origin)
        judged = trained.model.medians(panel, np.array([origin]))[:, :, 0]
        np.testing.assert_allclose(given.median, np.clip(judged, given.quantile(0.1), given.quantile(0.9)))
        inside = (judged >= given.quantile(0.1)) & (judged <= given.quantile(0.9))
        assert inside.mean() > 0.9
        np.testing.assert_array_equal(given.degraded, np.isnan(panel.targets.values[:, origin]))


def test_medians_of_earlier_hours_may_be_handed_in_and_change_nothing(trained: Trained) -> None:
    assert isinstance(trained.model, ForecastModel)
    panel = TASK.panel(rows(hours=HOURS + 30))
    origin = HOURS + 20
    past = np.full((3, 3, panel.hours), np.nan)
    for hour in range(HOURS - 10, origin):
        past[:, :, hour] = trained.model.forecast(panel, hour).median
    given, made = trained.model.forecast(panel, origin, past=past), trained.model.forecast(panel, origin)
    np.testing.assert_allclose(given.quantiles, made.quantiles)


def test_a_server_that_is_new_is_forecast_by_its_own_scale(trained: Trained) -> None:
    assert isinstance(trained.model, ForecastModel)
    panel = TASK.panel(rows(servers=4))
    made = trained.model.forecast(panel, HOURS - 1)
    assert panel.servers[3] == "s3"
    assert np.isfinite(made.median[3]).all()
    assert abs(made.median[3] / 160 - 1).max() < 0.6


def test_short_series_are_refused() -> None:
    with pytest.raises(LabelError, match="too short"):
        TASK.train(rows(hours=100), seed=1)


def test_a_report_tells_what_people_read_first(trained: Trained) -> None:
    told = dict(trained.model.info.told())
    assert told["1 h ahead"].startswith("xgboost, MASE")
    assert "outliers above" in told["s0"]
    assert trained.model.info.seen_until is not None
    assert trained.model.info.seen_until < datetime(2026, 3, 1, tzinfo=UTC)
    assert json.loads(trained.model.info.model_dump_json())["task"] == "forecasting"


def test_lightgbm_learns_as_well() -> None:
    task = TASK.model_copy(update={"booster": "lightgbm", "baselines": ()})
    report = task.train(rows(), seed=3).report
    assert report.metrics["mase_h1"].value < 0.9


def test_many_series_are_learned_by_one_booster_an_hour(tmp_path: Path) -> None:
    task = TASK.model_copy(update={"most_rows_of_many": 4_000, "most_judged": 6})
    trained = task.train(rows(hours=450, servers=66), seed=3)
    model = trained.model
    assert isinstance(model, ForecastModel)
    assert [list(blend.boosters) for blend in model.blends] == [["newest"], ["both"], ["both"]]
    assert "series" not in model.info.inputs
    report = trained.report
    assert isinstance(report, ForecastReport)
    naive = next(one for one in report.baselines if one.name == "naive_day")
    assert all(ours < theirs for ours, theirs in zip(naive.ours, naive.mase, strict=True))
    loaded = load_model(tmp_path / "model", fingerprint=model.save(tmp_path / "model"))
    assert isinstance(loaded, ForecastModel)
    panel = task.panel(rows(hours=450, servers=66))
    np.testing.assert_array_equal(loaded.forecast(panel, 440).median, model.forecast(panel, 440).median)


def test_hours_before_a_long_gap_are_left_out_and_the_judged_ones_stay_where_they_were() -> None:
    late = rows(hours=450)
    old = rows(hours=450, seed=2)
    years = pa.scalar(9 * 365 * 86_400_000_000, pa.duration("us"))
    before = old.set_column(0, "at", pc.subtract(old.column("at"), years).cast(pa.timestamp("us", tz="UTC")))
    table = pa.concat_tables([before, late])
    trained = TASK.train(table, seed=3)
    model, alone = trained.model, TASK.train(late, seed=3).model
    assert isinstance(model, ForecastModel)
    assert isinstance(alone, ForecastModel)
    assert any("left out" in one for one in trained.report.warnings)
    np.testing.assert_array_equal(model.out_of_fold, alone.out_of_fold)
    whole, part = TASK.panel(table), TASK.panel(late)
    there, here = model.origins_in(whole), alone.origins_in(part)
    np.testing.assert_array_equal(whole.targets.values[:, there], part.targets.values[:, here])
