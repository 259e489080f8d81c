"""The contract takes real rows as they are, and refuses broken ones."""

from trunkline.testing import check_usecase, judged
from trunkline.usecases.house_prices import usecase

SALE = (
    b'{"id": "7129300520", "date": "20141013T000000", "price": 221900.0, "bedrooms": 3, "bathrooms": 1.0,'
    b' "sqft_living": 1180, "sqft_lot": 5650, "floors": 1.0, "waterfront": 0, "view": 0, "condition": 3, "grade": 7,'
    b' "sqft_above": 1180, "sqft_basement": 0, "yr_built": 1955, "yr_renovated": 0, "zipcode": "98178",'
    b' "lat": 47.5112, "long": -122.257, "sqft_living15": 1340, "sqft_lot15": 5650}'
)


def test_a_sale_as_the_county_writes_it_passes() -> None:
    verdict = judged(usecase, SALE)
    assert verdict.reasons == ()
    assert verdict.row["price_usd"] == 221_900.0
    assert verdict.row["waterfront"] is False


def test_every_reason_is_named() -> None:
    broken = SALE.replace(b'"bedrooms": 3', b'"bedrooms": -1').replace(b'"sqft_above": 1180', b'"sqft_above": 2000')
    verdict = judged(usecase, broken)
    assert set(verdict.reasons) == {"bedrooms.minimum", "above_within_living"}


def test_the_identity_of_a_house_is_no_feature() -> None:
    assert usecase.task is not None
    assert "house_id" not in {feature.name for feature in usecase.task.features}


def test_it_holds_what_every_use_case_must() -> None:
    check_usecase(usecase)
