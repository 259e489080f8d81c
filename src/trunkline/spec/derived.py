"""Derived tables of a use case: what is computed from the tables it takes in, and how it is kept fresh.

A use case declares them by name. Each has a contract of its own, the tables it reads and one Ibis expression. Refused
when the use case is made (``UseCaseError``): inputs that do not exist, circles, a name that is taken, and refreshing by
columns that are not part of the table's key.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING

from trunkline.contracts import Contract
from trunkline.errors import UseCaseError

if TYPE_CHECKING:
    import ibis.expr.types as ir

__all__ = ["Derived", "Expression", "Full", "Incremental", "refresh_order", "refuse_underivable"]

Expression = Callable[["Mapping[str, ir.Table]"], "ir.Table"]
"""From the inputs, by name, to the derived rows: pure and lazy. Each input has its contract's columns and, where it has
a key, one row per key, the newest."""


@dataclass(frozen=True)
class Full:
    """The table is computed anew from all rows of its inputs, and replaced in one commit."""


@dataclass(frozen=True)
class Incremental:
    """Only the groups that new rows touch are computed anew; their rows supersede the older ones.

    The promise that the expression has to keep: rows of a group depend on no rows of other groups, in all inputs that
    have the columns of ``by``. Inputs that lack one of them are looked up: a change there computes every group anew.

    Attributes:
        by: Columns that name a group, part of the derived table's key.
    """

    by: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Derived:
    """One derived table.

    Attributes:
        contract: What its rows must look like; those that break it go to the quarantine.
        inputs: Datasets and other derived tables that it reads.
        expression: Gives its rows.
        refresh: How it follows its inputs.
        steps: What is computed on the way, in this order; each expression, and ``expression`` after them, gets the
            inputs and the steps before it by name. They are shown in the plan, and are no tables of the lake. Tables
            that begin with the same steps share them: a refresh of both computes them once.
        notes: One row of numbers and texts about the rows that were computed, for the receipt: what the joins lost, for
            instance. It gets inputs and steps, and as ``rows`` what ``expression`` gives.
        in_order: Inputs also have ``_ingested_at`` and ``_row``, which together tell the order in which rows came.
    """

    contract: type[Contract]
    inputs: tuple[str, ...]
    expression: Expression
    refresh: Full | Incremental = Full()
    steps: Mapping[str, Expression] = field(default_factory=dict)
    notes: Expression | None = None
    in_order: bool = False

    def stepwise(self, tables: "Mapping[str, ir.Table]") -> "Mapping[str, ir.Table]":
        """Give the inputs and every step, by name.

        Args:
            tables: The inputs by name, and steps that are computed already.
        """
        known = dict(tables)
        for name, expression in self.steps.items():
            if name not in known:
                known[name] = expression(known)
        return known

    def rows(self, tables: "Mapping[str, ir.Table]") -> "ir.Table":
        """Give the derived rows, lazily.

        Args:
            tables: The inputs by name, and steps that are computed already.
        """
        return self.expression(self.stepwise(tables))


def refresh_order(derived: Mapping[str, Derived]) -> tuple[str, ...]:
    """Order derived tables so that each comes after those it reads.

    Raises:
        UseCaseError: They go round in a circle.
    """
    graph = {name: [one for one in table.inputs if one in derived] for name, table in derived.items()}
    try:
        return tuple(TopologicalSorter(graph).static_order())
    except CycleError as error:
        circle = " <- ".join(error.args[1])
        raise UseCaseError(f"derived tables read each other in a circle: {circle}") from None


def refuse_underivable(datasets: Mapping[str, type[Contract]], derived: Mapping[str, Derived], *, where: str) -> None:
    """Refuse derived tables that could not be computed or kept fresh.

    Args:
        datasets: Contract of each table that the use case takes in.
        derived: The derived tables by name.
        where: Names the use case.

    Raises:
        UseCaseError: A name is malformed or taken, an input does not exist, one name means two steps, tables go round
            in a circle, or the columns of an incremental refresh do not fit.
    """
    contracts = {**datasets, **{name: table.contract for name, table in derived.items()}}
    for name, table in derived.items():
        here = f"{where}, derived table {name!r}"
        if not re.fullmatch(r"[a-z][a-z0-9_]{0,39}", name):
            raise UseCaseError("a derived table's name is lower-case letters, digits and underscores", where=here)
        if name in datasets:
            raise UseCaseError("there is a dataset of that name", where=here, next_step="give it a name of its own")
        if not table.inputs:
            raise UseCaseError("a derived table has inputs", where=here, allowed=[*contracts])
        if unknown := [one for one in table.inputs if one not in contracts]:
            raise UseCaseError(f"the input {unknown[0]!r} does not exist", where=here, allowed=[*contracts])
        if taken := [step for step in table.steps if step in (*contracts, "rows")]:
            raise UseCaseError(
                f"a step cannot be called {taken[0]!r}", where=here, next_step="give it a name that no table has"
            )
        if isinstance(table.refresh, Incremental):
            _refuse_ungrouped(table, table.refresh, contracts, here)
    _refuse_ambiguous_steps(derived, where)
    refresh_order(derived)


def _refuse_ambiguous_steps(derived: Mapping[str, Derived], where: str) -> None:
    """Refuse two steps of one name that are not the same: the same expressions up to it, over the same inputs."""
    known: dict[str, tuple[object, str]] = {}
    for name, table in derived.items():
        way: tuple[tuple[str, Expression], ...] = ()
        for step in table.steps.items():
            way = (*way, step)
            said = (way, sorted(table.inputs), table.in_order)
            first, owner = known.setdefault(step[0], (said, name))
            if first != said:
                raise UseCaseError(
                    f"the step {step[0]!r} is another one on the way to {owner!r}",
                    where=f"{where}, derived table {name!r}",
                    next_step="give them two names, or let both tables begin with the same steps over the same inputs",
                )


def _refuse_ungrouped(
    table: Derived, refresh: Incremental, contracts: Mapping[str, type[Contract]], where: str
) -> None:
    said = table.contract.table
    if not refresh.by or not set(refresh.by) <= set(said.key):
        raise UseCaseError(
            f"the table cannot be refreshed by {', '.join(refresh.by) or 'nothing'}",
            where=where,
            allowed=said.key,
            next_step="refresh by columns of the key of its contract, or refresh it whole: Full()",
        )
    if said.versions_by or said.deleted:
        raise UseCaseError(
            "rows of an incremental table supersede each other in the order of refreshes, not by a column",
            where=where,
            next_step="leave event_at, ordered_by and deleted out of its contract",
        )
    kinds = {column.name: column.kind for column in table.contract.columns}
    grouped = False
    for one in table.inputs:
        given = {column.name: column.kind for column in contracts[one].columns}
        if not set(refresh.by) <= set(given):
            continue
        grouped = True
        for name in refresh.by:
            if given[name] != kinds[name] and {given[name], kinds[name]} != {"text", "category"}:
                raise UseCaseError(f"{name!r} is {given[name]} in {one!r} and {kinds[name]} here", where=where)
    if not grouped:
        raise UseCaseError(
            f"no input has the columns {', '.join(refresh.by)}", where=where, next_step="refresh it whole: Full()"
        )
