"""Which column of a source is which field of a contract.

Takes the header of a source and gives a resolution, or refuses with ``SchemaError``: a needed field has no column, or
two columns claim one field and their table does not want them coalesced. Names match ignoring case and surrounding
white space, first by the user's mapping, then by the field's own name, then by its aliases.
"""

import difflib
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from trunkline.contracts import Contract
from trunkline.contracts.contract import column_names
from trunkline.contracts.judging import ranks_of
from trunkline.errors import MappingError, SchemaError

__all__ = ["Resolution", "claimed_columns", "dialect_hint", "resolve_columns"]


_ENOUGH_NAMES: Final = 2
"""Known names within one column, by which it is taken for several."""


@dataclass(frozen=True)
class Resolution:
    """How a source's columns meet a contract's fields.

    Attributes:
        source_of: Field name to source column.
        absent: Fields that the source lacks and may lack; they are null, or what their contract imputes.
        extra: Source columns that no field claims; kept aside and reported.
        optional: Fields that may be null in this source although they are not nullable.
        others: Field name to further source columns that mean it, where the contract wants them coalesced.
        missing: Fields that the source lacks and may not lack, where the contract wants the rows quarantined for it.
    """

    source_of: Mapping[str, str]
    absent: tuple[str, ...]
    extra: tuple[str, ...]
    optional: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    others: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def resolve_columns(
    contract: type[Contract],
    header: Sequence[str],
    *,
    mapping: Mapping[str, str] | None = None,
    where: str = "",
    optional: Sequence[str] = (),
) -> Resolution:
    """Match the columns of a source to the fields of a contract.

    Args:
        contract: The contract.
        header: Column names as the source spells them.
        mapping: Source column to field name, from the user; it wins over names and aliases.
        where: The source, for the error.
        optional: Fields that may be absent or null although they are not nullable.

    Returns:
        The resolution.

    Raises:
        MappingError: The mapping names what does not exist.
        SchemaError: A field has no column that has to have one, a field has two, or a column is new and the contract
            refuses those.
    """
    fields = [column.name for column in contract.columns]
    _refuse_unknown(mapping or {}, header, fields, where)
    claims, extra = claimed_columns(contract, header, mapping=mapping)
    twice = {name: columns for name, columns in claims.items() if len(columns) > 1}
    if twice and contract.table.on_two_columns == "refuse":
        name, columns = next(iter(twice.items()))
        raise SchemaError(
            f"columns {columns[0]!r} and {columns[1]!r} both mean field {name!r}",
            where=where,
            next_step="remove one of them, or say which one counts with --map FILE.toml",
        )
    ranks = ranks_of(contract.columns)
    for columns in claims.values():
        columns.sort(key=lambda column: (ranks.get(column.strip().lower(), 0), column))
    source_of = {name: columns[0] for name, columns in claims.items()}
    others = {name: tuple(columns[1:]) for name, columns in claims.items() if len(columns) > 1}
    absent = [column for column in contract.columns if column.name not in source_of]
    policy = contract.table.on_missing_column
    missing = [
        column.name for column in absent if column.name not in optional and (policy == "refuse" or not column.nullable)
    ]
    if missing and policy != "quarantine":
        raise SchemaError(
            f"the source lacks the column{'s' if len(missing) > 1 else ''} for: {', '.join(missing)}",
            where=where,
            allowed=[f"{name} (or {_aliases(contract, name)})" for name in missing],
            next_step=dialect_hint(header, column_names(contract))
            or f"name the columns with --map FILE.toml; the source has: {', '.join(header) or 'none'}",
        )
    if extra and contract.table.on_new_column == "refuse":
        raise SchemaError(
            f"the source has columns that the contract does not know: {', '.join(extra)}",
            where=where,
            allowed=fields,
            next_step="remove them, name their fields with --map FILE.toml, or let the contract report new columns",
        )
    return Resolution(
        source_of, tuple(column.name for column in absent), tuple(extra), tuple(optional), tuple(missing), others
    )


def claimed_columns(
    contract: type[Contract], header: Sequence[str], *, mapping: Mapping[str, str] | None = None
) -> tuple[dict[str, list[str]], list[str]]:
    """Say which columns of a source mean which field, whether or not the source fits the contract.

    Args:
        contract: The contract.
        header: Column names as the source spells them.
        mapping: Source column to field name, from the user; it wins over names and aliases. What it says of other
            contracts' fields is passed over.

    Returns:
        Field name to the columns that mean it, in the order of the header; and the columns that mean none.
    """
    fields = {column.name for column in contract.columns}
    told = {column.strip().lower(): name for column, name in (mapping or {}).items() if name in fields}
    names = column_names(contract)
    claims: dict[str, list[str]] = {}
    extra = []
    for column in header:
        folded = column.strip().lower()
        name = told.get(folded) or (None if names.get(folded) in told.values() else names.get(folded))
        if name is None:
            extra.append(column)
        else:
            claims.setdefault(name, []).append(column)
    return claims, extra


def dialect_hint(header: Sequence[str], names: Collection[str]) -> str:
    """Say what to do about a CSV whose columns were read as one, since another character divides them.

    Args:
        header: Column names as the source spells them.
        names: Lower-case names of columns that are known.

    Returns:
        What to do; empty where there are several columns, or the one does not hold several known names.

    >>> dialect_hint(["call_id^seconds"], {"call_id", "seconds"})
    "'^' seems to divide its columns: say --csv 'delimiter=^' to ingest or run, or set ingest.csv.delimiter"
    >>> dialect_hint(["call id (of a day)"], {"call", "seconds"})
    ''
    >>> dialect_hint(["call_id/seconds", "cell"], {"call_id", "seconds"})
    ''
    """
    if len(header) != 1:
        return ""
    (column,) = header
    known: Counter[str] = Counter()
    for character in sorted({one for one in column if one.isascii() and not (one.isalnum() or one in "_\"'")}):
        parts = {part.strip("\"' ").lower() for part in column.split(character)}
        known[character] = len(parts & set(names))
    (character, count), *_ = known.most_common(1) or [("", 0)]
    if count < _ENOUGH_NAMES:
        return ""
    said = f"'delimiter={character}'" if character.isprintable() else f"$'delimiter=\\x{ord(character):02x}'"
    return f"{character!r} seems to divide its columns: say --csv {said} to ingest or run, or set ingest.csv.delimiter"


def _refuse_unknown(mapping: Mapping[str, str], header: Sequence[str], fields: Sequence[str], where: str) -> None:
    folded = {column.strip().lower() for column in header}
    for column, name in mapping.items():
        if name not in fields:
            near, known = _nearest_first(name, fields)
            raise MappingError(
                f"the mapping names an unknown field {name!r}",
                column=column,
                field=name,
                where=where,
                allowed=known,
                next_step=f"{near}name a field of the contract on the right of {column!r}",
            )
        if column.strip().lower() not in folded:
            near, known = _nearest_first(column, header)
            raise MappingError(
                f"the mapping names an absent column {column!r}",
                column=column,
                field=name,
                where=where,
                allowed=known,
                next_step=f"{near}name a column of the source on the left of {name!r}, or take the line out",
            )


def _nearest_first(given: str, known: Sequence[str]) -> tuple[str, list[str]]:
    """Order names by their likeness to one that is none of them, and ask whether the first was meant if it is like."""
    folded = {name.strip().lower(): name for name in known}
    near = [folded[one] for one in difflib.get_close_matches(given.strip().lower(), list(folded), n=3)]
    asked = f"did you mean {near[0]!r}? " if near else ""
    return asked, [*near, *(name for name in known if name not in near)]


def _aliases(contract: type[Contract], name: str) -> str:
    column = next(column for column in contract.columns if column.name == name)
    return ", ".join(column.aliases[:4]) or "no alias"
