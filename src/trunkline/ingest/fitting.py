"""Which dataset of a use case a file belongs to, told by its columns.

Takes a header and gives the one dataset whose contract knows most of it, or refuses: none knows more than what names a
row, two know as much, or the nearest lacks a column that has to be there. Nothing is guessed from names of files.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from trunkline.checks import claimed_columns, resolve_columns
from trunkline.contracts import Contract
from trunkline.errors import SchemaError

if TYPE_CHECKING:
    from trunkline.spec import UseCase

__all__ = ["fitting_dataset"]


def fitting_dataset(
    usecase: "UseCase", header: Sequence[str], *, mapping: Mapping[str, str] | None = None, where: str = ""
) -> str:
    """Name the dataset that a file's columns fit best.

    A dataset fits the better the more of the columns are fields of it, by the mapping, by name or by alias; of two that
    know as many, the one none of whose fields is absent. Fields that only say whose row it is (key, entity, event time,
    personal identifiers) are no reason to put a file anywhere, unless the dataset has no others.

    Args:
        usecase: Its datasets are looked at.
        header: Column names as the file spells them.
        mapping: Source column to field name, from the user.
        where: The file, for the error.

    Raises:
        SchemaError: No dataset fits, or several do as well as each other; or the nearest one cannot take the file.
    """
    claims = {
        name: claimed_columns(contract, header, mapping=mapping)[0] for name, contract in usecase.datasets.items()
    }
    known = {
        name: (sum(map(len, claimed.values())), len(claimed) == len(usecase.datasets[name].columns))
        for name, claimed in claims.items()
        if _says_something(usecase, name, claimed)
    }
    best = [name for name, fit in known.items() if fit == max(known.values())]
    if not best:
        raise SchemaError(
            f"the columns fit no dataset of {usecase.name!r}: none knows more of them than whose row it is",
            where=where,
            allowed=[f"{name} ({_shown(contract)})" for name, contract in usecase.datasets.items()],
            next_step=f"say whose rows they are with --dataset NAME, and name columns with --map FILE.toml; "
            f"the file has: {', '.join(header)}",
        )
    if len(best) > 1:
        raise SchemaError(
            f"the columns fit {len(best)} datasets of {usecase.name!r} as well as each other",
            where=where,
            allowed=[f"--dataset {name}" for name in best],
            next_step="say whose rows they are",
        )
    try:
        resolve_columns(usecase.datasets[best[0]], header, mapping=mapping, where=where)
    except SchemaError as error:
        error.what = f"of the datasets of {usecase.name!r} {best[0]!r} is nearest, but {error.what}"
        raise
    return best[0]


def _says_something(usecase: "UseCase", name: str, claimed: Mapping[str, Sequence[str]]) -> bool:
    """Whether columns say more of a dataset than whose row it is; one column alone does only where it is enough."""
    contract = usecase.datasets[name]
    naming = {*contract.table.key, contract.table.event_at, *(usecase.entity if name == usecase.main else ())}
    content = {column.name for column in contract.columns if column.name not in naming and not column.pii}
    if not content:
        return len(claimed) == len(contract.columns)
    needed = {column.name for column in contract.columns if not column.nullable}
    return bool(content & claimed.keys()) and (len(claimed) > 1 or needed <= claimed.keys())


def _shown(contract: type[Contract]) -> str:
    names = [column.name for column in contract.columns]
    return ", ".join(names[:4]) + (", ..." if len(names) > 4 else "")
