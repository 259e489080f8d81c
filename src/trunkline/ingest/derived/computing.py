"""One derived table with everything that computing it needs: its inputs at pinned versions, its steps, its recipe.

Pure but for what it reads: nothing is written here. Steps that several of the refreshed tables begin with are computed
once and kept by the engine for as long as the refresh goes on.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING

from trunkline.checks import arrow_schema
from trunkline.ingest.derived.inputs import Input
from trunkline.ingest.derived.judging import recipe
from trunkline.lake import Lake
from trunkline.spec import UseCase
from trunkline.spec.derived import Derived, Incremental

if TYPE_CHECKING:
    import ibis.expr.types as ir

__all__ = ["Kept", "PinnedTable", "count_step", "pinned_table"]


@dataclass(frozen=True)
class Kept:
    """Steps that more than one query of a refresh reads, computed once.

    Attributes:
        named: The steps that are kept: those on the way to several of the tables that are refreshed.
        found: Those that were computed, by name and versions of the inputs.
    """

    named: frozenset[str] = frozenset()
    found: "dict[tuple[str, tuple[tuple[str, int], ...]], ir.Table]" = field(default_factory=dict)

    @classmethod
    def of(cls, tables: Iterable[Derived]) -> "Kept":
        """Keep what several of these tables have in common."""
        counted = Counter(step for table in tables for step in table.steps)
        return cls(frozenset(step for step, tables in counted.items() if tables > 1))

    def steps(self, table: "PinnedTable", given: "Mapping[str, ir.Table]") -> "dict[str, ir.Table]":
        """Give the last kept step on the way to a table; none where none is kept."""
        for step in reversed(tuple(table.derived.steps)):
            if step in self.named:
                key = (step, tuple(sorted(table.versions.items())))
                if key not in self.found:
                    self.found[key] = table.lake.engine.kept(table.derived.stepwise(given)[step])
                return {step: self.found[key]}
        return {}


@dataclass(frozen=True)
class PinnedTable:
    """One derived table with everything that its refresh needs.

    Attributes:
        usecase: Declares it.
        name: Its name there.
        derived: Its declaration.
        inputs: What it reads, at versions.
        recipe: Hash of what its expression computes.
        lake: The lake, with its engine.
        clock: Gives the current instant.
        kept: Steps that other tables of the same refresh begin with as well.
    """

    usecase: UseCase
    name: str
    derived: Derived
    inputs: Mapping[str, Input]
    recipe: str
    lake: Lake
    clock: Callable[[], datetime]
    kept: Kept

    @property
    def table(self) -> str:
        """Its lake table."""
        return self.usecase.table_name(self.name)

    @property
    def by(self) -> tuple[str, ...]:
        """Columns that name a group; none where the table is computed whole."""
        return self.derived.refresh.by if isinstance(self.derived.refresh, Incremental) else ()

    @property
    def versions(self) -> dict[str, int]:
        """Version of each input that exists."""
        return {name: one.version for name, one in self.inputs.items() if one.version is not None}

    def at(self, versions: Mapping[str, int]) -> "PinnedTable":
        """Give the same with inputs pinned at other versions."""
        pinned = {name: replace(one, version=versions.get(name)) for name, one in self.inputs.items()}
        return replace(self, inputs=pinned)

    def stepwise(self, groups: "ir.Table | None") -> "Mapping[str, ir.Table]":
        """Give the inputs and the steps by name.

        Args:
            groups: Of inputs that have their columns only rows of these groups, one row a group; None for all rows.
        """
        given = {
            name: one.current(
                self.lake,
                groups if groups is not None and set(self.by) <= set(arrow_schema(one.contract).names) else None,
            )
            for name, one in self.inputs.items()
        }
        return self.derived.stepwise(given | (self.kept.steps(self, given) if groups is None else {}))


def pinned_table(
    usecase: UseCase, name: str, *, lake: Lake, clock: Callable[[], datetime], kept: Kept | None = None
) -> PinnedTable:
    """Pin a derived table's inputs at their newest versions.

    Args:
        usecase: Declares the table.
        name: The table.
        lake: The lake, with its engine.
        clock: Gives the current instant.
        kept: Steps that other tables of the same refresh begin with as well; None where it is refreshed alone.

    Raises:
        UseCaseError: Its expression cannot be built.
    """
    derived = usecase.derived[name]
    contracts = {one: usecase.contract_of(one) for one in derived.inputs}
    inputs = {
        one: Input(usecase.table_name(one), contract, lake.version(usecase.table_name(one)), derived.in_order)
        for one, contract in contracts.items()
    }
    said = recipe(derived, contracts, where=f"use case {usecase.name!r}, derived table {name!r}")
    return PinnedTable(usecase, name, derived, inputs, said, lake, clock, kept or Kept())


def count_step(usecase: UseCase, table: str, step: str, *, lake: Lake, clock: Callable[[], datetime]) -> int:
    """Compute a step on the way to a derived table over all rows of the inputs, and count what it gives.

    Args:
        usecase: Declares the table.
        table: The table.
        step: One of its steps.
        lake: The lake, with its engine.
        clock: Gives the current instant.

    Raises:
        UseCaseError: An expression cannot be built.
    """
    one = pinned_table(usecase, table, lake=lake, clock=clock)
    if not one.versions:
        return 0  # nothing was ever taken in
    rows = one.stepwise(None)[step]
    return int(lake.engine.arrow(rows.aggregate(rows=rows.count())).column("rows")[0].as_py())
