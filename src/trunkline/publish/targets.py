"""From a use case's declarations to targets: what leaves, column by column, under which name. Pure.

Of personal data only leaves what the contract keeps in clear; a protected column leaves as its pseudonym, and as the
original only where the sink is told a purpose and the vault has it. A masked column shows no value at all.
"""

from dataclasses import dataclass, replace
from typing import ClassVar, Final

from trunkline.contracts import Contract, Flag, Instant, Number, Table, Text, field
from trunkline.contracts.columns import Column
from trunkline.contracts.records import Outcome, Reading
from trunkline.publish.daily_views import DAILY_VIEWS
from trunkline.publish.protocol import Capabilities, Summed, Target, TargetColumn, TargetMode
from trunkline.spec import UseCase
from trunkline.spec.publish import Publication

__all__ = ["MASK", "Planned", "PublishedPrediction", "fitted", "planned"]

MASK: Final = "***"
"""What a masked text shows."""

_PSEUDONYM_CHARACTERS: Final = 64
_LONG: Final = 10_000_000


class PublishedPrediction(Contract):
    """One row per answered row, without the features it rests on."""

    table: ClassVar[Table] = Table(key=("prediction_id",), event_at="predicted_at")

    prediction_id: Text = field("Request id and row, or run id and row")
    request_id: Text = field("Of the API call, or the run id of a batch")
    usecase: Text = field()
    entity_key: Text | None = field("The row's key in its contract, parts joined by '|'")
    segment: Text | None = field("Values of the use case's segments, joined by ' | '; null where it has none")
    model_version: Text = field()
    alias: Text = field("Alias that answered: champion, challenger")
    channel: Text = field("api or batch")
    score: Number = field("Calibrated probability, or the predicted value")
    decision: Flag | None = field("Score at or above the model's threshold; null for regression")
    reasons: Text | None = field("JSON list: the features that moved the score most", max_length=_LONG)
    predicted_at: Instant = field()


@dataclass(frozen=True)
class Planned:
    """One publication as a sink is to have it.

    Attributes:
        name: Of the publication, without prefix.
        target: The target; of ``dated`` publications without the day in its name.
        publication: What was declared; None for the platform's own tables.
        contract: Of its rows.
        view: Name of the view of the newest dated target, prefix included; empty for none.
        dated_by: Column by which rows go to dated targets; empty otherwise.
        summed: Views that sum it up, of a table of the platform.
    """

    name: str
    target: Target
    publication: Publication
    contract: type[Contract]
    view: str = ""
    dated_by: str = ""
    summed: tuple[Summed, ...] = ()


def planned(usecase: UseCase, *, prefix: str = "", reidentifies: bool = False) -> tuple[Planned, ...]:
    """Give everything that a use case publishes.

    Args:
        usecase: The use case.
        prefix: Begins all names.
        reidentifies: Whether pseudonyms that the vault has originals of are replaced.
    """
    own = [_planned(usecase, one, prefix=prefix, reidentifies=reidentifies) for one in usecase.publish]
    return (*own, *(_platform(usecase, prefix=prefix, reidentifies=reidentifies) if usecase.task else ()))


def fitted(one: Planned, able: Capabilities) -> Planned:
    """Give a publication in a mode that a sink follows.

    Where rows have no place of their own (files), those by key are replaced as a whole; where nothing can be replaced
    (messages), what is new is sent.

    Args:
        one: The publication.
        able: What the sink can.
    """
    target = one.target
    if target.shared and not able.shares:
        target = replace(target, name=f"{target.name}_{target.usecase}", shared=False)
        one = replace(one, summed=tuple(_of_one_usecase(view, target.usecase) for view in one.summed))
    if target.mode in able.modes:
        return replace(one, target=target)
    if "replace" in able.modes:
        return replace(one, target=replace(target, mode="replace"))
    return replace(one, target=replace(target, mode="append"), dated_by="", view="")


def _of_one_usecase(view: Summed, usecase: str) -> Summed:
    """The view of a use case that has the platform's tables to itself."""
    tables = {name: f"{table}_{usecase}" for name, table in view.tables.items()}
    return replace(view, name=f"{view.name}_{usecase}", tables=tables)


def _planned(usecase: UseCase, one: Publication, *, prefix: str, reidentifies: bool) -> Planned:
    contract = one.contract_among(usecase.contracts)
    assert contract is not None, "the use case was refused without one"
    known = {column.name: column for column in contract.columns}
    modes: dict[str, TargetMode] = {
        "append": "append",
        "upsert": "upsert",
        "replace": "replace",
        "dated": "replace",
        "daily": "upsert",
    }
    columns = tuple(
        _column(known[name], masked=name in one.masked, kind=_vaulted(usecase, known[name]) if reidentifies else "")
        for name in one.leaving(contract)
    )
    target = Target(
        name=f"{prefix}{one.name}",
        usecase=usecase.name,
        columns=columns,
        key=one.key_of(contract),
        mode=modes[one.mode],
        description=" ".join((contract.__doc__ or "").split()),
    )
    view = f"{prefix}{one.view}" if one.view else ""
    return Planned(one.name, target, one, contract, view, one.dated_by)


def _platform(usecase: UseCase, *, prefix: str, reidentifies: bool) -> tuple[Planned, ...]:
    """Give the tables that all use cases share."""
    found = []
    shared: tuple[tuple[str, type[Contract]], ...] = (
        ("predictions", PublishedPrediction),
        ("outcomes", Outcome),
        ("readings", Reading),
    )
    for name, contract in shared:
        columns = tuple(
            _column(column, masked=False, kind=_vaulted(usecase, column) if reidentifies else "")
            for column in contract.columns
        )
        target = Target(
            name=f"{prefix}trunkline_{name}",
            usecase=usecase.name,
            columns=columns,
            key=contract.table.key,
            mode="upsert",
            description=" ".join((contract.__doc__ or "").split()),
            shared=True,
        )
        publication = Publication(name=f"trunkline_{name}", table=f"platform.{name}", mode="upsert", contract=contract)
        summed = tuple(
            Summed(view, f"{prefix}trunkline_{view}", {table: f"{prefix}trunkline_{table}" for table in said.tables})
            for view, said in DAILY_VIEWS.items()
            if name in said.tables
        )
        found.append(Planned(publication.name, target, publication, contract, summed=summed))
    return tuple(found)


def _column(column: Column, *, masked: bool, kind: str) -> TargetColumn:
    protected = column.is_protected
    longest = max((len(value) for value in column.values), default=None) or column.max_length
    if protected:
        longest = None if kind else max(_PSEUDONYM_CHARACTERS, longest or 0)
    return TargetColumn(
        name=column.name,
        kind="text" if protected else column.kind,
        nullable=column.nullable,
        max_length=longest,
        description=column.description,
        unit=column.unit,
        masked=masked,
        vault=kind,
    )


def _vaulted(usecase: UseCase, column: Column) -> str:
    """Identifier type by which the vault knows a column's pseudonyms; empty where it has none of them."""
    if column.keep == "encrypted":
        return column.pii
    if column.name == "entity_key" and len(usecase.entity_key) == 1:  # what the platform calls the key of a row
        own = next(one for one in usecase.contract.columns if one.name == usecase.entity_key[0])
        return own.pii if own.keep == "encrypted" else ""
    return ""
