"""Expressions of contracts as Ibis expressions, so that DuckDB and Spark evaluate them over whole tables."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final, cast

from trunkline.contracts import Expr

if TYPE_CHECKING:
    import ibis.expr.types as ir

__all__ = ["ibis_value"]

_OPERATIONS: Final[Mapping[str, Callable[..., object]]] = {
    "add": lambda a, b: a + b,
    "subtract": lambda a, b: a - b,
    "multiply": lambda a, b: a * b,
    "eq": lambda a, b: a == b,
    "ne": lambda a, b: a != b,
    "lt": lambda a, b: a < b,
    "le": lambda a, b: a <= b,
    "gt": lambda a, b: a > b,
    "ge": lambda a, b: a >= b,
    "and": lambda a, b: a & b,
    "or": lambda a, b: a | b,
    "not": lambda a: ~a,
    "abs": lambda a: a.abs(),
    "is_null": lambda a: a.isnull(),
}


def ibis_value(expr: Expr, table: "ir.Table") -> "ir.Value":
    """Translate an expression to Ibis over the columns of a table.

    Args:
        expr: The expression.
        table: A table that has all its columns, typed by their contract.

    Returns:
        An Ibis value with the null behaviour that ``trunkline.contracts.expressions`` states.
    """
    import ibis

    if expr.op == "column":
        return table[str(expr.args[0])]
    if expr.op == "literal":
        return cast("ir.Value", ibis.literal(expr.args[0]))
    parts = [ibis_value(arg, table) for arg in expr.args if isinstance(arg, Expr)]
    if expr.op == "divide":
        return cast("ir.Value", _number(parts[0]) / _number(parts[1]).nullif(0.0))  # type: ignore[operator]  # numeric by contract
    if expr.op == "coalesce":
        return ibis.coalesce(*parts)
    if expr.op == "as_number":
        return _number(parts[0])
    if expr.op == "log1p":
        number = _number(parts[0])
        return cast("ir.Value", ibis.ifelse(number > -1.0, (number + 1.0).ln(), ibis.null("float64")))  # type: ignore[attr-defined]  # numeric
    if expr.op in ("minimum", "maximum"):
        choose = ibis.least if expr.op == "minimum" else ibis.greatest
        both = parts[0].notnull() & parts[1].notnull()
        return cast("ir.Value", ibis.ifelse(both, choose(*parts), ibis.null(parts[0].type())))
    return cast("ir.Value", _OPERATIONS[expr.op](*parts))


def _number(value: "ir.Value") -> "ir.Value":
    return value.cast("float64")
