"""The contract takes Cell2Cell as it is; the label is what the README says; nothing of the handset is read."""

import pytest

from trunkline.errors import InputError
from trunkline.testing import check_usecase, judged
from trunkline.usecases.upgrade import usecase
from trunkline.usecases.upgrade.columns import GROUPS, left_out

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


def test_it_holds_what_every_use_case_must() -> None:
    check_usecase(usecase)
