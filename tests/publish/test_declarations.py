"""What a use case may declare, and what is refused when it is made."""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

import pytest

from trunkline.contracts import Contract, Day, Integer, Pii, Table, Text, field
from trunkline.errors import UseCaseError
from trunkline.publish import Capabilities, planned
from trunkline.publish.targets import fitted
from trunkline.spec import Publication, UseCase

if TYPE_CHECKING:
    import ibis.expr.types as ir


class Call(Contract):
    """One row per call."""

    table: ClassVar[Table] = Table(key=("call_id",))

    call_id: Text = field(max_length=12)
    caller: Text = field(max_length=12, pii=Pii("msisdn", keep="encrypted"))
    cell: Text | None = field()
    minutes: Integer | None = field()
    called_on: Day = field()


def summed(tables: "Mapping[str, ir.Table]") -> "ir.Table":
    """Never called here."""
    return tables["calls"]


def usecase(*publications: Publication) -> UseCase:
    return UseCase(
        name="calls",
        title="Calls",
        question="?",
        datasets={"calls": Call},
        main="calls",
        task=None,
        metric="",
        publish=publications,
    )


@pytest.mark.parametrize(
    ("publication", "said"),
    [
        pytest.param(Publication(name="Calls", table="calls"), "lower-case", id="name"),
        pytest.param(Publication(name="trunkline_x", table="calls"), "does not begin with", id="taken name"),
        pytest.param(Publication(name="x", table="nothing"), "no table 'nothing'", id="table"),
        pytest.param(Publication(name="x", table="platform.vault"), "no table 'platform.vault'", id="the vault"),
        pytest.param(Publication(name="x", table="platform.quarantine"), "no table", id="the quarantine"),
        pytest.param(Publication(name="x", table="calls", columns=("nothing",)), "no column 'nothing'", id="column"),
        pytest.param(Publication(name="x", table="calls", masked=("call_id",)), "cannot be masked", id="masked key"),
        pytest.param(
            Publication(name="x", table="calls", columns=("minutes",), masked=("cell",)),
            "no column that leaves",
            id="mask",
        ),
        pytest.param(
            Publication(name="x", table="calls", columns=("minutes",), mode="upsert"), "without a key", id="no key"
        ),
        pytest.param(
            Publication(name="x", table="calls", key=("cell",), mode="upsert"), "may be null", id="key may be null"
        ),
        pytest.param(Publication(name="x", table="calls", mode="dated"), "need dated_by", id="no day"),
        pytest.param(Publication(name="x", table="calls", view="y"), "go with mode='dated'", id="view without days"),
        pytest.param(
            Publication(name="x", table="calls", mode="daily", dated_by="called_on", key=("caller",)),
            "could leave its day",
            id="a row that may leave its day",
        ),
        pytest.param(
            Publication(name="x", table="calls", mode="dated", dated_by="minutes"),
            "no instant and no day",
            id="no time",
        ),
        pytest.param(
            Publication(name="x", contract=Call, rows=summed, inputs=("calls",), mode="append"), "as a whole", id="rows"
        ),
        pytest.param(Publication(name="x", contract=Call), "where the rows come from", id="no rows"),
    ],
)
def test_what_could_not_be_published_is_refused(publication: Publication, said: str) -> None:
    with pytest.raises(UseCaseError, match=said):
        usecase(publication)


def test_two_of_one_name_and_personal_segments_are_refused() -> None:
    with pytest.raises(UseCaseError, match="two publications"):
        usecase(Publication(name="x", table="calls"), Publication(name="x", table="calls"))
    with pytest.raises(UseCaseError, match="personal data"):
        replace(usecase(), segments=("caller",))


def test_audiences_and_other_records_may_leave() -> None:
    for name in ("audiences", "alerts", "receipts", "runs", "outcomes"):
        (found,) = planned(usecase(Publication(name="x", table=f"platform.{name}", mode="upsert")), prefix="p_")
        assert found.target.name == "p_x"
        assert found.target.key


def test_pseudonyms_leave_as_texts_and_features_stay() -> None:
    (found,) = planned(usecase(Publication(name="x", table="calls")))
    (caller,) = [column for column in found.target.columns if column.name == "caller"]
    assert (caller.vault, caller.max_length) == ("", 64)
    (found,) = planned(usecase(Publication(name="x", table="calls")), reidentifies=True)
    (caller,) = [column for column in found.target.columns if column.name == "caller"]
    assert (caller.vault, caller.max_length) == ("msisdn", None)
    (found,) = planned(usecase(Publication(name="x", table="platform.predictions", mode="append")))
    assert "features" not in found.target.names


def test_modes_that_a_sink_lacks_become_those_that_it_has() -> None:
    by_key, dated = (
        planned(usecase(one))[0]
        for one in (
            Publication(name="x", table="calls", mode="upsert"),
            Publication(name="x", table="calls", mode="dated", dated_by="called_on", view="y"),
        )
    )
    files = Capabilities("files", frozenset(("append", "replace")), remembers=True, views=True, keeps=True)
    hook = Capabilities("hook", frozenset(("append",)), remembers=False, views=False, keeps=False)
    assert fitted(by_key, files).target.mode == "replace"
    assert fitted(dated, files) == dated
    assert [fitted(one, hook).target.mode for one in (by_key, dated)] == ["append", "append"]
    assert (fitted(dated, hook).dated_by, fitted(dated, hook).view) == ("", "")
