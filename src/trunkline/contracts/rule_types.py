"""Refuses rules that engines would not evaluate alike: a condition is checked against the kinds of its columns.

Takes an expression and the kinds of the columns it may read; gives the type of its value, or refuses with
``ContractError``. Numbers, flags, texts, instants and days do not mix; text has no order (collations differ), and
logarithms are not in rules (their last digit differs between engines).
"""

from collections.abc import Mapping
from typing import Final, Literal

from trunkline.contracts.expressions import Expr
from trunkline.contracts.kinds import KindName
from trunkline.errors import ContractError

__all__ = ["refuse_mistyped"]

_Type = Literal["number", "flag", "text", "instant", "day"]

_TYPE_OF: Final[Mapping[KindName, _Type]] = {
    "text": "text",
    "category": "text",
    "integer": "number",
    "number": "number",
    "flag": "flag",
    "instant": "instant",
    "day": "day",
}
_RESULTS: Final[Mapping[str, tuple[tuple[_Type, ...], _Type]]] = {
    **dict.fromkeys(("eq", "ne"), (("number", "flag", "text", "instant", "day"), "flag")),
    **dict.fromkeys(("lt", "le", "gt", "ge"), (("number", "instant", "day"), "flag")),
    **dict.fromkeys(("and", "or", "not"), (("flag",), "flag")),
    **dict.fromkeys(("add", "subtract", "multiply", "divide", "minimum", "maximum", "abs"), (("number",), "number")),
    "as_number": (("flag", "number"), "number"),
}
"""Operation to the types it takes in rules, and the type it gives."""


def refuse_mistyped(condition: Expr, *, kinds: Mapping[str, KindName], where: str) -> None:
    """Refuse a rule's condition that is no condition, or mixes types.

    Args:
        condition: The condition.
        kinds: Kind of each column of the contract.
        where: Names the rule in the message.

    Raises:
        ContractError: The condition is not true or false for every row, or reads what is not there.
    """
    if _type(condition, kinds, where) != "flag":
        raise ContractError("a rule must be true or false", where=where, next_step="compare its value with something")


def _type(expr: Expr, kinds: Mapping[str, KindName], where: str) -> _Type:
    if expr.op == "column":
        name = str(expr.args[0])
        if name not in kinds:
            raise ContractError(f"a rule reads the unknown column {name!r}", where=where, allowed=sorted(kinds))
        return _TYPE_OF[kinds[name]]
    if expr.op == "literal":
        constant = expr.args[0]
        return "flag" if isinstance(constant, bool) else "text" if isinstance(constant, str) else "number"
    types = [_type(part, kinds, where) for part in expr.args if isinstance(part, Expr)]
    first = types[0]
    given = " and ".join(types)
    if expr.op == "is_null":
        return "flag"
    if any(other != first for other in types):
        raise ContractError(
            f"{expr.op!r} cannot take {given}",
            where=where,
            allowed=("operands of one type",),
            next_step="instants and days compare with columns of their kind; a flag becomes 1 or 0 by as_number()",
        )
    if expr.op == "coalesce":
        return first
    if expr.op in _RESULTS and (first in _RESULTS[expr.op][0]):
        return _RESULTS[expr.op][1]
    raise ContractError(
        f"{expr.op!r} cannot take {given} in a rule",
        where=where,
        next_step="compare the argument of a logarithm instead of the logarithm" if expr.op == "log1p" else "",
    )
