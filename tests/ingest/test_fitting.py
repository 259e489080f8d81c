"""Which dataset a file belongs to, told by its columns."""

from typing import ClassVar

import pytest

from trunkline.contracts import Contract, Instant, Number, Reference, Table, Text, field
from trunkline.errors import MappingError, SchemaError
from trunkline.ingest.fitting import fitting_dataset
from trunkline.spec import UseCase
from trunkline.spec.references import referenced_first


class Cell(Contract):
    """One row per cell."""

    table: ClassVar[Table] = Table(key=("cell",))

    cell: Text = field(aliases=("CellName",))
    band: Text | None = field()
    height_m: Number | None = field()
    vendor: Text | None = field()


class Hour(Contract):
    """One row per cell and hour."""

    table: ClassVar[Table] = Table(
        key=("cell", "at"), event_at="at", references=(Reference(("cell",), "cells", ("cell",)),)
    )

    cell: Text = field(aliases=("CellName",))
    at: Instant = field()
    load: Number | None = field()
    users: Number | None = field()


class Seen(Contract):
    """One row per subscriber and cell, which is all there is to say."""

    table: ClassVar[Table] = Table()

    subscriber: Text = field(pii="subscriber")
    cell: Text = field()


USECASE = UseCase(
    name="cells",
    title="Cells",
    question="?",
    datasets={"hours": Hour, "cells": Cell, "seen": Seen},
    main="hours",
    entity=(),
    task=None,
    metric="roc_auc",
)


@pytest.mark.parametrize(
    ("header", "dataset"),
    [
        (["cell", "at", "load"], "hours"),
        (["CELLNAME", "At", "Users", "vendor"], "hours"),
        (["CellName", "band"], "cells"),
        (["cell", "height_m", "colour", "owner"], "cells"),
        (["subscriber", "cell"], "seen"),
    ],
)
def test_the_dataset_that_knows_most_columns_takes_the_file(header: list[str], dataset: str) -> None:
    assert fitting_dataset(USECASE, header) == dataset


@pytest.mark.parametrize("header", [["cell", "colour"], ["cell", "at"], ["x", "y"], ["CellName"]])
def test_what_only_names_a_row_is_no_reason(header: list[str]) -> None:
    with pytest.raises(SchemaError, match="fit no dataset") as told:
        fitting_dataset(USECASE, header, where="in/a.csv")
    assert told.value.where == "in/a.csv"
    assert [one.split(" ")[0] for one in told.value.allowed] == ["hours", "cells", "seen"]


def test_two_that_fit_alike_are_named() -> None:
    with pytest.raises(SchemaError, match="2 datasets") as told:
        fitting_dataset(USECASE, ["cell", "at", "load", "band", "height_m"])
    assert told.value.allowed == ("--dataset hours", "--dataset cells")


def test_the_nearest_says_what_it_lacks() -> None:
    with pytest.raises(SchemaError, match=r"'hours' is nearest, but the source lacks the column for: at"):
        fitting_dataset(USECASE, ["cell", "load", "users"])


def test_a_mapping_counts() -> None:
    assert fitting_dataset(USECASE, ["Zelle", "Band"], mapping={"Zelle": "cell"}) == "cells"
    with pytest.raises(MappingError, match="absent column 'Bnd'"):
        fitting_dataset(USECASE, ["cell", "band", "vendor"], mapping={"Bnd": "band"})


def test_what_is_referred_to_comes_first() -> None:
    assert referenced_first(USECASE.datasets) == ("cells", "hours", "seen")
    ring = {
        name: type(
            name,
            (Contract,),
            {
                "table": Table(references=(Reference(("of",), to, ("of",)),)),
                "of": field(),
                "__annotations__": {"table": ClassVar[Table], "of": Text},
                "__module__": __name__,
            },
        )
        for name, to in (("a", "b"), ("b", "a"))
    }
    assert referenced_first(ring) == ("b", "a")
