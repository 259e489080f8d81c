"""Numbers judged by the shift of their mean: on either side, nothing else of them, and categories as ever."""

from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pyarrow as pa
import pytest

from trunkline.monitor import Window, alerts_of, drift_readings, score_readings
from trunkline.plugins import load_usecase
from trunkline.spec import Watch
from trunkline.stats.profiles import category_profile, number_profile
from trunkline.tasks import Classification, ModelInfo

PLUGINS = Path(__file__).resolve().parents[1] / "plugins"
WINDOW = Window("run", "leavers", "1", datetime(2026, 3, 1, tzinfo=UTC))


def info() -> ModelInfo:
    rng = np.random.default_rng(0)
    made = SimpleNamespace(
        profiles={
            "bill": number_profile(rng.normal(50.0, 10.0, 5_000)),
            "region": category_profile(["north", "south"] * 2_500),
        },
        score_profile=number_profile(rng.beta(2, 8, 5_000)),
    )
    return cast("ModelInfo", made)


def batch(mean: float, spread: float, north: float = 0.5) -> pa.Table:
    rng = np.random.default_rng(1)
    region = np.where(rng.random(2_000) < north, "north", "south")
    return pa.table({"bill": rng.normal(mean, spread, 2_000), "region": region.tolist()})


@pytest.mark.parametrize(("mean", "crossed"), [(50.0, False), (52.0, False), (54.0, True), (46.0, True)])
def test_a_mean_that_moved_either_way_crosses(mean: float, crossed: bool) -> None:
    found = drift_readings(info(), batch(mean, 10.0), window=WINDOW, watch=Watch(mean_shift=0.25))
    by = {(one.subject, one.metric): one for one in found}
    shift = by["bill", "mean_shift"]
    assert (shift.crossed, shift.limit) == (crossed, 0.25)
    assert shift.value == pytest.approx((mean - 50.0) / 10.0, abs=0.08)


def test_a_narrower_batch_is_no_drift_then_and_is_without_the_choice() -> None:
    narrow = batch(50.0, 3.0)
    by_mean = drift_readings(info(), narrow, window=WINDOW, watch=Watch(mean_shift=0.25))
    index = next(one for one in by_mean if (one.subject, one.metric) == ("bill", "psi"))
    assert index.value is not None
    assert index.value > 0.2
    assert (index.limit, index.crossed) == (None, False), "it is read, and judges nothing"
    assert not alerts_of(by_mean, window=WINDOW)
    by_index = drift_readings(info(), narrow, window=WINDOW, watch=Watch())
    assert [one.subject for one in by_index if one.crossed] == ["bill"]


def test_categories_are_judged_by_the_index_either_way() -> None:
    found = drift_readings(info(), batch(50.0, 10.0, north=0.95), window=WINDOW, watch=Watch(mean_shift=0.25))
    assert [(one.subject, one.metric) for one in found if one.crossed] == [("region", "psi")]


def test_scores_follow_the_same_choice_and_the_farthest_is_named_first() -> None:
    scores = np.random.default_rng(2).beta(5, 8, 2_000)
    found = score_readings(info(), scores, window=WINDOW, watch=Watch(mean_shift=0.25))
    assert [(one.metric, one.crossed) for one in found] == [("psi", False), ("mean_shift", True)]
    low = drift_readings(info(), batch(20.0, 10.0, north=0.99), window=WINDOW, watch=Watch(mean_shift=0.25))
    (alert,) = alerts_of(low, window=WINDOW)
    assert alert.text.startswith("bill mean_shift -3.0")
    assert alert.severity == "major", "three times its limit"


def test_watched_columns_are_profiled_and_not_read() -> None:
    usecase = load_usecase("leavers", plugin_dir=PLUGINS)
    assert isinstance(usecase.task, Classification)
    assert usecase.simulate is not None
    features = tuple(one for one in usecase.task.features if one.name not in ("plan_charge", "region"))
    task = usecase.task.model_copy(
        update={"features": features, "row_features": {}, "watched": ("plan_charge", "region"), "folds": 2}
    )
    rows = usecase.simulate(rows=600, seed=0).tables["subscribers"]
    model = task.train(rows, seed=0).model
    assert isinstance(model.info, ModelInfo)
    assert {"plan_charge", "region"} <= set(model.info.profiles)
    assert not {"plan_charge", "region"} & set(model.info.columns)
    gone = task.present_in(rows.drop_columns(["region"]))
    assert gone.watched == ("plan_charge",)
