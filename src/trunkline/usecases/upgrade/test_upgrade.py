"""The contract takes Cell2Cell as it is; the label is what the README says; nothing of the handset is read."""

import ibis
import numpy as np
import pyarrow as pa
import pytest

from trunkline.checks import arrow_schema
from trunkline.errors import InputError
from trunkline.testing import check_usecase, judged
from trunkline.usecases.upgrade import usecase
from trunkline.usecases.upgrade.columns import GROUPS, left_out
from trunkline.usecases.upgrade.contracts import Subscriber
from trunkline.usecases.upgrade.features import labelled

CELL2CELL = (
    b'{"CustomerID": "3000002", "Churn": "Yes", "MonthlyRevenue": "24.0", "PercChangeMinutes": "-157.0",'
    b' "MonthsInService": "61", "UniqueSubs": "2", "ActiveSubs": "1", "Handsets": "2.0", "HandsetModels": "2.0",'
    b' "CurrentEquipmentDays": "361.0", "HandsetPrice": "Unknown", "CreditRating": "1-Highest", "MaritalStatus": "No"}'
)


def test_a_row_of_cell2cell_passes_as_it_is() -> None:
    verdict = judged(usecase, CELL2CELL)
    assert verdict.reasons == ()
    assert verdict.row["tenure_months"] == 61
    assert verdict.row["upgraded"] is None


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


def test_no_column_of_the_handset_is_read_and_every_other_late_one_is_justified() -> None:
    assert usecase.task is not None
    read = {feature.name for feature in usecase.task.features}
    read |= {name for expr in getattr(usecase.task, "row_features").values() for name in expr.columns()}  # noqa: B009
    assert not read & {*GROUPS["handset"], *GROUPS["handset_age"], "churned", "upgraded", "upgraded_at", "observed_at"}
    late = {name for names in GROUPS.values() for name in names}
    assert read & late == set(usecase.justified or {})


def test_groups_are_put_back_by_a_setting_and_every_one_has_its_reason() -> None:
    for group, names in GROUPS.items():
        chosen = usecase.with_choices({"also": [group]})
        assert chosen.task is not None
        assert set(names) <= {feature.name for feature in chosen.task.features}
        assert set(chosen.justified or {}) == set(names)
    bare = usecase.with_choices({"also": []})
    assert bare.task is not None
    assert not set(left_out(())) & set(bare.task.columns) - {*GROUPS["handset"], *GROUPS["handset_age"]}
    both = usecase.with_choices({"also": "changes, churn"})
    assert set(both.justified or {}) == {*GROUPS["changes"], *GROUPS["churn"]}, "as settings write it"
    assert not usecase.with_choices({"also": ""}).justified
    with pytest.raises(InputError, match="also"):
        usecase.with_choices({"also": ["income"]})


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
    rows = {name: without[name] if name in without.column_names else pa.nulls(5_000) for name in _columns()[0]}
    typed = pa.table(rows).cast(arrow_schema(Subscriber))
    derived = labelled({"subscribers": ibis.memtable(typed)}).select("subscriber_id", "upgraded").to_pandas()
    joined = table.merge(derived, on="subscriber_id")
    assert (joined.upgraded_x == joined.upgraded_y.astype(bool)).all()


def test_it_holds_what_every_use_case_must() -> None:
    check_usecase(usecase)
