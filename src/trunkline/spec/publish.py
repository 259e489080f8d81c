"""What a use case hands to others: which rows go where under which name, as data. Settings say to whom.

A publication takes rows of one table of the lake, or what an Ibis expression makes of several, and names the table,
file or topic that others read. Only columns of a contract leave, and of protected ones the pseudonym. Refused when the
use case is made (``UseCaseError``): tables and columns that do not exist, a missing key, a name that two share.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, Self

from trunkline.contracts import Contract
from trunkline.contracts.forecasts import Forecast, ForecastAccuracy
from trunkline.contracts.records import RECORDS
from trunkline.errors import UseCaseError
from trunkline.spec.derived import Expression

__all__ = ["PUBLISHABLE_RECORDS", "SERIES_TABLES", "Mode", "Publication", "contract_of", "refuse_unpublishable"]

Mode = Literal["append", "upsert", "replace", "dated", "daily"]
"""How a target follows its rows. ``append``: rows that are new are added. ``upsert``: the newest row of each key takes
the place of the one before. ``replace``: all rows are put in the place of all, at once. ``dated``: one target per day,
``NAME_20261122``, of which the newest is also shown under the name of ``view``. ``daily``: the same, and each day
follows its rows as ``upsert`` does: for tables that grow all day."""

_OF_DAYS: Final = ("dated", "daily")

PUBLISHABLE_RECORDS: Final = {
    name: RECORDS[f"platform.{name}"]
    for name in ("predictions", "outcomes", "audiences", "readings", "alerts", "receipts", "runs")
}
"""Tables of the platform whose rows may leave, as ``platform.NAME``; each use case publishes its own rows of them."""

SERIES_TABLES: Final[Mapping[str, type[Contract]]] = {"forecasts": Forecast, "accuracy": ForecastAccuracy}
"""Tables that use cases of series have, as ``USECASE.NAME``."""

_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,39}")
_OWN: Final = "trunkline_"


@dataclass(frozen=True, kw_only=True)
class Publication:
    """One table that others read.

    Attributes:
        name: Its name there, without the prefix of the settings: lower-case letters, digits and underscores.
        table: Where its rows come from: a dataset or derived table of the use case, ``platform.predictions`` and the
            like, or with ``contract`` any other table of the lake by its whole name.
        columns: Columns that leave, in this order; empty for all of the contract. Of ``platform.predictions`` the
            features never leave.
        key: Columns that name a row; empty takes the key of the contract, as far as its columns leave.
        mode: How the target follows the rows.
        masked: Columns of which only is shown whether there is a value: a text is ``***``, all else null.
        contract: What the rows look like where the use case declares no such table, or ``rows`` makes others.
        rows: Makes the rows of the tables in ``inputs``, pure and lazy; for ``replace`` alone. Each input has one row
            per key, the newest.
        inputs: What ``rows`` reads: datasets, derived tables, or tables of the lake by their whole names; ``table`` if
            empty. Of tables that are not the use case's own the columns are those of the lake.
        dated_by: Instant or day by which ``dated`` and ``daily`` rows are told apart; days are days of UTC. For
            ``daily`` it is a part of the key, so that a row stays in its day.
        view: Name under which the newest of the dated targets is shown; empty for none.
        by_name: It leaves only to sinks whose ``tables`` name it, and not to those that take all tables.
    """

    name: str
    table: str = ""
    columns: tuple[str, ...] = ()
    key: tuple[str, ...] = ()
    mode: Mode = "replace"
    masked: tuple[str, ...] = ()
    contract: type[Contract] | None = None
    rows: Expression | None = None
    inputs: tuple[str, ...] = ()
    dated_by: str = ""
    view: str = ""
    by_name: bool = False

    @classmethod
    def of_predictions(cls, name: str, *, view: str) -> Self:
        """Give a table a day of what the champion has answered, the features left out.

        Args:
            name: Its name, which that of the day follows.
            view: Name under which the newest day is shown.
        """
        return cls(
            name=name,
            table="platform.predictions",
            columns=("entity_key", "score", "decision", "reasons", "model_version", "predicted_at"),
            key=("entity_key",),
            mode="dated",
            dated_by="predicted_at",
            view=view,
        )

    @property
    def reads(self) -> tuple[str, ...]:
        """What its rows are made of."""
        return self.inputs or (self.table,)

    def contract_among(self, contracts: Mapping[str, type[Contract]]) -> type[Contract] | None:
        """Find the contract of its rows; None where nothing is known of the table.

        Args:
            contracts: Those of the use case's tables.
        """
        if self.contract is not None:
            return self.contract
        return contract_of(self.table, contracts)

    def leaving(self, contract: type[Contract]) -> tuple[str, ...]:
        """Name the columns that leave.

        Args:
            contract: That of its rows.
        """
        if self.columns:
            return self.columns
        kept_here = ("features",) if self.table == "platform.predictions" else ()
        return tuple(column.name for column in contract.columns if column.name not in kept_here)

    def key_of(self, contract: type[Contract]) -> tuple[str, ...]:
        """Name the columns that name a row; none where the contract has no key, or parts of it stay.

        Args:
            contract: That of its rows.
        """
        if self.key:
            return self.key
        leaving = self.leaving(contract)
        return contract.table.key if set(contract.table.key) <= set(leaving) else ()


def contract_of(table: str, contracts: Mapping[str, type[Contract]]) -> type[Contract] | None:
    """Find the contract of a table by its name in a publication; None where nothing is known of it.

    Args:
        table: A dataset or derived table of the use case, ``platform.NAME``, or ``USECASE.forecasts`` and the like.
        contracts: Those of the use case's tables.
    """
    if table in contracts:
        return contracts[table]
    place, _, name = table.partition(".")
    return (PUBLISHABLE_RECORDS if place == "platform" else SERIES_TABLES).get(name)


def refuse_unpublishable(
    publications: tuple[Publication, ...], contracts: Mapping[str, type[Contract]], *, where: str
) -> None:
    """Refuse publications that could not be made.

    Args:
        publications: All of a use case.
        contracts: Contracts of its datasets and derived tables.
        where: Names the use case.

    Raises:
        UseCaseError: A name is malformed or there twice, a table or column does not exist, the mode lacks its key or
            day, or a column of the key is masked.
    """
    seen: set[str] = set()
    for one in publications:
        here = f"{where}, publication {one.name!r}"
        for name in filter(None, (one.name, one.view)):
            if not _NAME.fullmatch(name) or name.startswith(_OWN):
                raise UseCaseError(
                    "a published name is lower-case letters, digits and underscores, 40 at most, and does not begin "
                    f"with {_OWN}",
                    where=here,
                )
            if name in seen:
                raise UseCaseError(f"two publications are called {name!r}", where=here)
            seen.add(name)
        contract = one.contract_among(contracts)
        if contract is None:
            raise UseCaseError(
                f"there is no table {one.table!r} whose rows could leave",
                where=here,
                allowed=[*contracts, *(f"platform.{name}" for name in PUBLISHABLE_RECORDS)],
                next_step="say its contract: Publication(contract=...)",
            )
        if not (one.table or one.rows):
            raise UseCaseError("it is not said where the rows come from", where=here, next_step="say table=, or rows=")
        _refuse_columns(one, contract, here)


def _refuse_columns(one: Publication, contract: type[Contract], where: str) -> None:
    known = {column.name: column.kind for column in contract.columns}
    key, leaving = one.key_of(contract), one.leaving(contract)
    for name in (*leaving, *filter(None, (one.dated_by,))):
        if name not in known:
            raise UseCaseError(f"{contract.__name__} has no column {name!r}", where=where, allowed=known)
    for name in (*key, *one.masked):
        if name not in leaving:
            raise UseCaseError(f"{name!r} is no column that leaves", where=where, allowed=leaving)
    if hidden := set(one.masked) & set(key):
        raise UseCaseError(f"{min(hidden)!r} names the rows, and cannot be masked", where=where)
    if one.mode in ("upsert", "daily") and not key:
        raise UseCaseError("without a key no row can take another's place", where=where, next_step="say key=(...)")
    loose = [column.name for column in contract.columns if column.nullable and column.name in key]
    if one.mode in ("upsert", "daily") and loose:
        raise UseCaseError(f"{loose[0]!r} may be null, and cannot name a row", where=where)
    if (one.mode in _OF_DAYS) != bool(one.dated_by) or (one.view and one.mode not in _OF_DAYS):
        raise UseCaseError("dated_by and view go with mode='dated' and mode='daily', which need dated_by", where=where)
    if one.mode == "daily" and one.dated_by not in key:
        raise UseCaseError(
            f"{one.dated_by!r} is no part of the key: a row could leave its day", where=where, next_step="take dated"
        )
    if one.dated_by and known[one.dated_by] not in ("instant", "day"):
        raise UseCaseError(f"{one.dated_by!r} is no instant and no day", where=where)
    if one.rows is not None and one.mode != "replace":
        raise UseCaseError("rows that an expression makes are replaced as a whole", where=where)
