"""What would have been accepted, said of a reason: for people who read a refusal and do not have the contract.

Takes a contract and reasons, gives one hint per reason that has one, from the contract alone: nothing of a refused
row is in it. Built for refused rows only.
"""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Final

from trunkline.contracts import Contract
from trunkline.contracts.columns import LONGEST_TEXT, Column
from trunkline.contracts.judging import names_of
from trunkline.contracts.kinds import KindName
from trunkline.contracts.written import form_of

__all__ = ["Hint", "hints_of"]

Hint = Mapping[str, str | int | float | Sequence[str]]
"""``allowed`` (what is accepted), ``limit`` with its ``unit``, ``pattern`` (RE2), or ``rule`` (a sentence)."""

_MOST_HINTS: Final = 24
_MOST_VALUES: Final = 50
_NEAR: Final = 3

_KINDS: Final[Mapping[KindName, str]] = {
    "text": "text",
    "category": "text",
    "integer": "a whole number",
    "number": "a number",
    "flag": "true or false",
    "instant": "an instant with its offset from UTC, e.g. 2026-11-22T12:00:00Z",
    "day": "a day, e.g. 2026-11-22",
}


def hints_of(contract: type[Contract], reasons: Iterable[str]) -> dict[str, Hint]:
    """Say of reasons what would have been accepted.

    Args:
        contract: The contract that the rows broke.
        reasons: ``field.check`` or a rule's name, in any number.

    Returns:
        Reason to hint, in the order of the reasons: for the first two dozen, without those that speak for themselves.
    """
    columns = {column.name: column for column in contract.columns}
    rules = {rule.name: rule.message for rule in contract.table.rules}
    found: dict[str, Hint] = {}
    for reason in islice(dict.fromkeys(reasons), _MOST_HINTS):
        name, _, check = reason.rpartition(".")
        hint: Hint | None = None
        if name in columns:
            hint = _hint(columns[name], check)
        elif check == "unknown":
            hint = _meant(contract.columns, name)
        elif rules.get(reason):
            hint = {"rule": rules[reason]}
        if hint:
            found[reason] = hint
    return found


def _hint(column: Column, check: str) -> Hint | None:
    if check == "category":
        return {"allowed": column.values[:_MOST_VALUES]}
    if check == "type":
        form = form_of(column)
        if form is not None:
            return {"allowed": (f"{_KINDS[column.kind].partition(',')[0]} written like {form.example}",)}
        local = column.kind == "instant" and column.zone
        return {"allowed": (f"an instant, in {column.zone} where it has no offset" if local else _KINDS[column.kind],)}
    if check == "null":
        form = form_of(column)
        kind = _KINDS[column.kind].partition(",")[0] + f" like {form.example}" if form else _KINDS[column.kind]
        return {"allowed": (f"{kind}, not null",)}
    if check == "length":
        return {"limit": column.max_length or LONGEST_TEXT, "unit": "characters"}
    if check == "pattern" and column.pattern:
        return {"pattern": column.pattern}
    limit = {"minimum": column.minimum, "maximum": column.maximum}.get(check)
    if limit is None:
        return None
    return {"limit": limit, "unit": column.unit} if column.unit else {"limit": limit}


def _meant(columns: Sequence[Column], name: str) -> Hint | None:
    """Fields whose name or alias is like a name that is none; None where nothing is like it."""
    names = names_of(columns)
    near = difflib.get_close_matches(name.strip().lower(), list(names), n=_NEAR)
    return {"allowed": tuple(dict.fromkeys(names[one] for one in near))} if near else None
