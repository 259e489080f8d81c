"""The contract takes both public tables as they are; the simulator is repeatable and its truth is known."""

import numpy as np
import pytest

from trunkline.contracts.expressions import row_function
from trunkline.testing import check_usecase, judged
from trunkline.usecases.churn import usecase
from trunkline.usecases.churn.features import ROW_FEATURES

IBM = (
    b'{"customerID": "7590-VHVEG", "gender": "Female", "SeniorCitizen": 0, "Partner": "Yes", "Dependents": "No",'
    b' "tenure": 1, "PhoneService": "No", "MultipleLines": "No phone service", "InternetService": "DSL",'
    b' "OnlineSecurity": "No internet service", "Contract": "Month-to-month", "PaperlessBilling": "Yes",'
    b' "PaymentMethod": "Electronic check", "MonthlyCharges": 29.85, "TotalCharges": " ", "Churn": "No"}'
)
CELL2CELL = (
    b'{"CustomerID": "3000002", "Churn": "Yes", "MonthlyRevenue": "24.0", "PercChangeMinutes": "-157.0",'
    b' "MonthsInService": "61", "UniqueSubs": "2", "ActiveSubs": "1", "Handsets": "2.0", "HandsetModels": "2.0",'
    b' "CurrentEquipmentDays": "361.0", "HandsetPrice": "Unknown", "CreditRating": "1-Highest", "MaritalStatus": "No"}'
)


def test_a_row_of_ibm_telco_passes_as_it_is() -> None:
    verdict = judged(usecase, IBM)
    assert verdict.reasons == ()
    assert verdict.row["total_charges"] is None
    assert verdict.row["multiple_lines"] == "no_phone"
    assert verdict.row["churned"] is False


def test_a_row_of_cell2cell_passes_as_it_is() -> None:
    verdict = judged(usecase, CELL2CELL)
    assert verdict.reasons == ()
    assert verdict.row["current_equipment_days"] == 361
    assert verdict.row["handset_price"] is None
    assert verdict.row["credit_rating"] == 1


def test_more_active_than_there_are_is_refused() -> None:
    verdict = judged(usecase, CELL2CELL.replace(b'"ActiveSubs": "1"', b'"ActiveSubs": "3"'))
    assert verdict.reasons == ("active_among_unique",)


def test_simulated_rows_fit_the_contract_and_repeat() -> None:
    assert usecase.simulate is not None
    made = usecase.simulate(rows=2_000, seed=3)
    table = made.tables["subscribers"]
    assert table.equals(usecase.simulate(rows=2_000, seed=3).tables["subscribers"])
    churned = table["churned"].to_numpy(zero_copy_only=False)
    assert np.mean(churned) == pytest.approx(0.24, abs=0.03)
    assert 0.75 < made.best_score < 0.95


def test_the_cause_structure_points_the_right_way() -> None:
    assert usecase.simulate is not None
    table = usecase.simulate(rows=20_000, seed=1).tables["subscribers"].to_pandas()
    by_term = table.groupby("contract_term")["churned"].mean()
    assert by_term["month"] > by_term["one_year"] > by_term["two_year"]
    assert table[table.customer_care_calls >= 3].churned.mean() > table[table.customer_care_calls == 0].churned.mean()


def test_recent_minutes_are_the_mean_and_its_change() -> None:
    recent = row_function(ROW_FEATURES["recent_minutes"])
    assert recent({"monthly_minutes": 219.0, "change_minutes": -157.0}) == 62.0
    assert recent({"monthly_minutes": 219.0}) is None


def test_it_holds_what_every_use_case_must() -> None:
    check_usecase(usecase)
