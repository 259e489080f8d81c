"""Which dataset of a use case a file belongs to, told by its columns.

Takes a header and gives the one dataset whose contract knows most of it, or refuses: none knows more than what names a
row, two know as much, or the nearest lacks a column that has to be there. Nothing is guessed from names of files.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from trunkline.checks import claimed_columns, dialect_hint, resolve_columns
from trunkline.contracts import Contract
from trunkline.contracts.contract import column_names
from trunkline.errors import MappingError, SchemaError

if TYPE_CHECKING:
    from trunkline.spec import UseCase

__all__ = ["fitting_dataset", "is_foreign", "own_mapping"]


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
        MappingError: The mapping names a field that no dataset has.
        SchemaError: No dataset fits, or several do as well as each other; or the nearest one cannot take the file.
    """
    known = {field.name for contract in usecase.datasets.values() for field in contract.columns}
    for column, name in (mapping or {}).items():
        if name not in known:
            raise MappingError(
                f"the mapping names an unknown field {name!r}",
                column=column,
                field=name,
                where=where,
                allowed=sorted(known),
                next_step=f"name a field of one of the datasets on the right of {column!r}",
            )
    best = _best(usecase, header, mapping=mapping)
    if not best:
        raise SchemaError(
            f"the columns fit no dataset of {usecase.name!r}: none knows more of them than whose row it is",
            where=where,
            allowed=[f"{name} ({_shown(contract)})" for name, contract in usecase.datasets.items()],
            next_step=dialect_hint(header, {name for one in usecase.datasets.values() for name in column_names(one)})
            or "say whose rows they are with --dataset NAME, and name columns with --map FILE.toml; "
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
        own = own_mapping(usecase, best[0], header, mapping=mapping)
        resolve_columns(usecase.datasets[best[0]], header, mapping=own, where=where)
    except SchemaError as error:
        error.what = f"of the datasets of {usecase.name!r} {best[0]!r} is nearest, but {error.what}"
        raise
    return best[0]


def is_foreign(
    usecase: "UseCase", dataset: str, header: Sequence[str], *, mapping: Mapping[str, str] | None = None
) -> bool:
    """Say whether a file's rows are surely not a dataset's: others fit better, or none of its columns is a field of it.

    A file of the dataset that is broken, so that its rows may come later, is not foreign.

    Args:
        usecase: The use case.
        dataset: Its dataset.
        header: Column names as the file spells them.
        mapping: Source column to field name, from the user.
    """
    best = _best(usecase, header, mapping=mapping)
    if best:
        return dataset not in best
    return not claimed_columns(usecase.datasets[dataset], header, mapping=mapping)[0]


def own_mapping(
    usecase: "UseCase", dataset: str, header: Sequence[str], *, mapping: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Keep what a mapping, given for files of several datasets, says of one of them.

    Left out are fields of other datasets alone, and columns that the file lacks and need not have: its dataset shares
    the field with another one, or the file has it under another name.

    Args:
        usecase: The use case.
        dataset: The file's dataset.
        header: Column names as the file spells them.
        mapping: Source column to field name, from the user.
    """
    present = {column.strip().lower() for column in header}
    claimed, _ = claimed_columns(usecase.datasets[dataset], header, mapping=mapping)
    own = {}
    for column, name in (mapping or {}).items():
        knowing = [
            one for one, contract in usecase.datasets.items() if name in (field.name for field in contract.columns)
        ]
        if dataset in knowing and (column.strip().lower() in present or not (name in claimed or len(knowing) > 1)):
            own[column] = name
    return own


def _best(usecase: "UseCase", header: Sequence[str], *, mapping: Mapping[str, str] | None) -> list[str]:
    """The datasets that know most of a file's columns; none where none knows more than whose row it is."""
    claims = {
        name: claimed_columns(contract, header, mapping=mapping)[0] for name, contract in usecase.datasets.items()
    }
    known = {
        name: (sum(map(len, claimed.values())), len(claimed) == len(usecase.datasets[name].columns))
        for name, claimed in claims.items()
        if _says_something(usecase, name, claimed)
    }
    return [name for name, fit in known.items() if fit == max(known.values())]


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
