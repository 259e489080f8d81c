"""Device upgrade: the label is what docs/upgrade.md says, and the simulator keeps to the order of time."""

import ibis
import numpy as np
import pyarrow as pa
import pytest

from trunkline.checks import arrow_schema
from trunkline.plugins import load_usecase
from trunkline.tasks import Classification

usecase = load_usecase("upgrade")
Subscriber = usecase.contract
assert usecase.table_features is not None
labelled = usecase.table_features


def label_of(**row: object) -> object:
    given = {
        name: pa.array([row.get(name)], kind)
        for name, kind in zip(*_columns(), strict=True)
        if not name.startswith("_")
    }
    rows = ibis.memtable(pa.table(given))
    (found,) = labelled({"subscribers": rows}).to_pyarrow().to_pylist()
    return found["upgraded"]


def _columns() -> tuple[list[str], list[pa.DataType]]:
    schema = arrow_schema(Subscriber)
    return list(schema.names), list(schema.types)


@pytest.mark.parametrize(
    ("days", "handsets", "months", "label"),
    [
        (90, 2, 7, True),
        (91, 2, 7, False),
        (-3, 3, 40, True),
        (10, 1, 7, False),
        (10, 2, 6, None),
        (400, 1, 3, None),
        (None, 2, 20, None),
        (10, None, 20, None),
        (10, 2, None, None),
    ],
)
def test_the_proxy_is_a_second_handset_of_at_most_90_days_after_half_a_year(
    days: int | None, handsets: int | None, months: int | None, label: bool | None
) -> None:
    assert label_of(current_equipment_days=days, handsets=handsets, tenure_months=months) is label


def test_a_label_that_came_with_the_row_stays() -> None:
    assert label_of(upgraded=False, current_equipment_days=10, handsets=2, tenure_months=20) is False


def test_with_instants_an_upgrade_is_one_of_the_90_days_after_the_observation() -> None:
    first = np.datetime64("2026-01-01T00:00:00", "us")

    def after(days: float | None) -> object:
        then = None if days is None else (first + np.timedelta64(int(days * 24), "h")).astype(object)
        return label_of(observed_at=first.astype(object), upgraded_at=then, tenure_months=3, handsets=5)

    assert [after(days) for days in (None, -1, 0, 0.5, 90, 91)] == [False, False, False, True, True, False]


def features_of(given: pa.Table) -> pa.Table:
    """Rows as a run learns from them: typed by the contract, with label and bands."""
    rows = {name: given[name] if name in given.column_names else pa.nulls(len(given)) for name in _columns()[0]}
    typed = pa.table(rows).cast(arrow_schema(Subscriber))
    return labelled({"subscribers": ibis.memtable(typed)}).to_pyarrow()


def test_simulated_upgrades_come_after_the_observation() -> None:
    assert usecase.simulate is not None
    made = usecase.simulate(rows=5_000, seed=3)
    table = made.tables["subscribers"].to_pandas()
    upgraded = table[table.upgraded]
    days = (upgraded.upgraded_at - upgraded.observed_at).dt.total_seconds() / 86_400
    assert days.between(0, 90).all()
    assert table[~table.upgraded].upgraded_at.isna().all()
    assert table.upgraded.mean() == pytest.approx(0.12, abs=0.02)
    assert 0.65 < made.best_score < 0.80, "below what the leakage gate calls too good"
    without = made.tables["subscribers"].drop_columns(["upgraded"])
    derived = features_of(without).select(["subscriber_id", "upgraded"]).to_pandas()
    joined = table.merge(derived, on="subscriber_id")
    assert (joined.upgraded_x == joined.upgraded_y.astype(bool)).all()


@pytest.mark.slow
def test_the_champion_comes_within_a_hundredth_of_the_best_score_of_the_simulator() -> None:
    assert usecase.simulate is not None
    assert isinstance(usecase.task, Classification)
    made = usecase.simulate(rows=usecase.simulated_rows, seed=0)
    rows = features_of(made.tables["subscribers"])
    task = usecase.task.model_copy(update={"folds": 3, "repeats": 1}).present_in(rows)
    reached = task.train(rows, seed=0).report.metrics["roc_auc"].value
    assert made.best_score - 0.01 < reached < made.best_score + 0.005, "and above it by chance alone"
