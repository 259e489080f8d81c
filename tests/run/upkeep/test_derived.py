"""Sums stay when the rows that they were computed from have gone."""

from datetime import timedelta

import pytest
from tests.run.upkeep.conftest import NOW, PLUGIN, Shop

DERIVED = PLUGIN.replace(
    "usecase = UseCase(",
    '''class Load(Contract):
    """One row per caller."""

    table: ClassVar[Table] = Table(key=("caller",))

    caller: Text = field()
    calls: Integer = field()


def load(tables):
    return tables["calls"].group_by("caller").aggregate(calls=tables["calls"].count())


by_caller = Derived(inputs=("calls",), contract=Load, expression=load, refresh=Incremental(by=("caller",)))
usecase = UseCase(
    derived={"load": by_caller},''',
).replace("import UseCase", "import Derived, Incremental, UseCase")


@pytest.fixture
def loads(shop: Shop) -> Shop:
    """Three callers of long ago, and one of today."""
    (shop.folder / "usecases" / "phone" / "__init__.py").write_text(DERIVED)
    shop.take([1, 2, 3], days_ago=31)
    shop.take([4], days_ago=1)
    return shop


def sums(shop: Shop) -> dict[object, object]:
    rows = sorted(shop.rows("phone.load"), key=lambda row: str(row["_ingested_at"]))
    return {row["caller"]: row["calls"] for row in rows}


@pytest.mark.slow
def test_groups_of_rows_that_have_gone_stay(loads: Shop) -> None:
    assert sums(loads) == {"s1": 1, "s2": 1, "s3": 1, "s4": 1}
    assert loads.retired(loads.tidy()) == 3
    loads.take([5], days_ago=0.5, now=NOW + timedelta(minutes=1))
    assert sums(loads) == {"s1": 1, "s2": 1, "s3": 1, "s4": 1, "s5": 1}
    loads.take([14], days_ago=0.4, caller="s4", now=NOW + timedelta(minutes=2))
    assert sums(loads)["s4"] == 2


@pytest.mark.slow
def test_rows_that_went_otherwise_leave_their_groups(loads: Shop) -> None:
    loads.tidy()
    with loads.open(now=NOW + timedelta(minutes=1)) as workspace:
        batch = next(str(row["_batch_id"]) for row in loads.rows())
        workspace.lake.remove("phone.calls", "_batch_id", batch)
    loads.take([5], days_ago=0.5, now=NOW + timedelta(minutes=2))
    assert sums(loads) == {"s1": 1, "s2": 1, "s3": 1, "s5": 1}
