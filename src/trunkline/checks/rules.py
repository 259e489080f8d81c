"""Expressions of contracts as Ibis expressions, so that DuckDB and Spark evaluate them over whole tables."""

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final, cast

from trunkline.contracts import Expr

if TYPE_CHECKING:
    import ibis.expr.types as ir

__all__ = ["ibis_value"]

_OPERATIONS: Final[Mapping[str, Callable[..., object]]] = {
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
    "coalesce": lambda a, b: a.fill_null(b),
    "as_number": lambda a: a.cast("float64"),
}

_ARITHMETIC: Final[Mapping[str, Callable[..., object]]] = {
    "add": lambda a, b: a + b,
    "subtract": lambda a, b: a - b,
    "multiply": lambda a, b: a * b,
    "divide": lambda a, b: a / b.nullif(0.0),
}


def ibis_value(expr: Expr, table: "ir.Table") -> "ir.Value":
    """Translate an expression to Ibis over the columns of a table.

    Args:
        expr: The expression, of the types that rules have.
        table: A table that has all its columns, typed by their contract.

    Returns:
        An Ibis value with the null behaviour that ``trunkline.contracts.expressions`` states. Numbers are float64, also
        those of integer columns: whole numbers would overflow where floats do not.
    """
    import ibis

    if expr.op == "column":
        column = table[str(expr.args[0])]
        return column.cast("float64") if column.type().is_integer() else column
    if expr.op == "literal":
        constant = expr.args[0]
        is_number = isinstance(constant, int | float) and not isinstance(constant, bool)
        return cast("ir.Value", ibis.literal(float(constant), "float64") if is_number else ibis.literal(constant))  # type: ignore[arg-type]  # a number, as was just asked
    if expr.op == "is_null":
        # Ibis 12 writes `NOT x IS NULL` without parentheses, and SQL reads that as NOT (x IS NULL); a negation is null
        # where what it negates is
        inner = expr.args[0]
        while isinstance(inner, Expr) and inner.op == "not":
            inner = inner.args[0]
        assert isinstance(inner, Expr)
        return cast("ir.Value", ibis_value(inner, table).isnull())
    parts = [ibis_value(arg, table) for arg in expr.args if isinstance(arg, Expr)]
    if expr.op in _ARITHMETIC:
        # finite operands give no NaN, and infinity counts as null
        number = cast("ir.NumericValue", _ARITHMETIC[expr.op](*parts))
        return cast("ir.Value", number.nullif(math.inf).nullif(-math.inf))
    if expr.op in ("minimum", "maximum"):
        choose = ibis.least if expr.op == "minimum" else ibis.greatest
        both = parts[0].notnull() & parts[1].notnull()
        return cast("ir.Value", ibis.ifelse(both, choose(*parts), ibis.null("float64")))
    return cast("ir.Value", _OPERATIONS[expr.op](*parts))
