"""The contracts take real rows as they are, refuses broken ones, and the profiles differ where they say."""

from trunkline.testing import check_usecase, judged
from trunkline.usecases.towers import usecase
from trunkline.usecases.towers.indicators import INDICATORS, watched

PERIOD = (
    b'{"Time": "10:45", "CellName": "3BLTE", "PRBUsageUL": 12.3848, "meanThr_DL": 0.3927, "maxUE_UL+DL": 8,'
    b' "Unusual": 1}'
)
CUSTOMER = (
    b'{"Index": 1695, "tenure": 54, "PhoneService": "Yes", "MultipleLines": "Yes", "InternetService": "DSL",'
    b' "CellTower": "3CLTE"}'
)


def test_a_period_as_the_export_writes_it_passes() -> None:
    verdict = judged(usecase, PERIOD)
    assert verdict.reasons == ()
    assert verdict.row["max_users_ul_dl"] == 8.0
    assert verdict.row["is_unusual"] is True


def test_a_customer_as_the_export_writes_it_passes() -> None:
    verdict = judged(usecase, CUSTOMER, dataset="customers")
    assert verdict.reasons == ()
    assert verdict.row["customer_number"] == 1695
    assert verdict.row["phone_service"] is True


def test_every_reason_is_named() -> None:
    broken = CUSTOMER.replace(b"1695", b'"A-1"').replace(b": 54", b": -1").replace(b"3CLTE", b"")
    reasons = judged(usecase, broken, dataset="customers").reasons
    assert set(reasons) == {"customer_number.type", "tenure_months.minimum", "cell_name.null"}
    late = PERIOD.replace(b"10:45", b"24:00").replace(b"12.3848", b"101")
    assert set(judged(usecase, late).reasons) == {"time_of_day.pattern", "prb_usage_ul.maximum"}


def test_the_corrected_profile_mends_one_direction() -> None:
    assert watched("usual") == INDICATORS
    changed = [one for one in watched("corrected") if one not in INDICATORS]
    assert [(one.name, one.defect) for one in changed] == [("drop_blk_Mean", "above")]


def test_it_holds_what_every_use_case_must() -> None:
    check_usecase(usecase)
