"""References between the datasets of a use case: what a contract alone cannot know of them."""

from collections.abc import Mapping

from trunkline.contracts import Contract
from trunkline.errors import UseCaseError

__all__ = ["referenced_first", "refuse_dangling"]


def refuse_dangling(contract: type[Contract], contracts: Mapping[str, type[Contract]], *, where: str) -> None:
    """Refuse references to datasets and fields that do not exist, or are of another kind.

    Args:
        contract: Has the references.
        contracts: Contracts of all datasets and derived tables of the use case.
        where: Names use case and dataset.

    Raises:
        UseCaseError: A reference names what is not there.
    """
    kinds = {column.name: column.kind for column in contract.columns}
    for reference in contract.table.references:
        here = f"{where}, {reference.reason}"
        if reference.dataset not in contracts:
            raise UseCaseError(f"there is no dataset {reference.dataset!r}", where=here, allowed=contracts)
        there = {column.name: column.kind for column in contracts[reference.dataset].columns}
        for name, to in zip(reference.columns, reference.to, strict=True):
            if to not in there:
                raise UseCaseError(f"{reference.dataset!r} has no field {to!r}", where=here, allowed=there)
            if kinds[name] != there[to] and {kinds[name], there[to]} != {"text", "category"}:
                raise UseCaseError(f"{name!r} is {kinds[name]}, {to!r} is {there[to]}", where=here)


def referenced_first(contracts: Mapping[str, type[Contract]]) -> tuple[str, ...]:
    """Order datasets so that what others refer to comes before them; in a circle of references as they are declared.

    Args:
        contracts: Contracts by the names of their datasets.
    """
    found: list[str] = []
    visited: set[str] = set()

    def visit(name: str) -> None:
        if name in visited or name not in contracts:
            return
        visited.add(name)
        for reference in contracts[name].table.references:
            visit(reference.dataset)
        found.append(name)

    for name in contracts:
        visit(name)
    return tuple(found)
