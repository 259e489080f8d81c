"""Expressions of contracts over Arrow columns: the same values as on an engine, for blocks that are in memory.

Takes an expression of the types that rules have and typed columns by name; gives an Arrow array, or a scalar where no
column is read. What null, overflow and division by zero give is said in :mod:`trunkline.contracts.expressions`.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from trunkline.contracts import Expr

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["arrow_value"]

_FUNCTIONS: Final[Mapping[str, str]] = {
    "eq": "equal",
    "ne": "not_equal",
    "lt": "less",
    "le": "less_equal",
    "gt": "greater",
    "ge": "greater_equal",
    "and": "and_kleene",
    "or": "or_kleene",
    "not": "invert",
    "abs": "abs",
    "coalesce": "coalesce",
}
_ARITHMETIC: Final[Mapping[str, str]] = {
    "add": "add",
    "subtract": "subtract",
    "multiply": "multiply",
    "divide": "divide",
}
_EXTREMES: Final[Mapping[str, str]] = {"minimum": "min_element_wise", "maximum": "max_element_wise"}


def arrow_value(expr: Expr, columns: "Mapping[str, pa.Array]") -> "pa.Array | pa.Scalar":
    """Evaluate an expression.

    Args:
        expr: The expression, of the types that rules have.
        columns: Typed columns of one length, among them all that it reads.

    Returns:
        Its value in each row. Numbers are float64, also those of integer columns.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    if expr.op == "column":
        column = columns[str(expr.args[0])]
        # whole numbers beyond 2^53 become the nearest float, as everywhere
        return column.cast(pa.float64(), safe=False) if pa.types.is_integer(column.type) else column
    if expr.op == "literal":
        constant = expr.args[0]
        is_number = isinstance(constant, int | float) and not isinstance(constant, bool)
        return pa.scalar(float(constant), pa.float64()) if is_number else pa.scalar(constant)  # type: ignore[arg-type]  # a number, as was just asked
    parts = [arrow_value(arg, columns) for arg in expr.args if isinstance(arg, Expr)]
    if expr.op == "is_null":
        return pc.is_null(parts[0])
    if expr.op == "as_number":
        return parts[0].cast(pa.float64())
    if expr.op in _ARITHMETIC:
        return _finite(pc.call_function(_ARITHMETIC[expr.op], parts))
    if expr.op in _EXTREMES:
        return pc.call_function(_EXTREMES[expr.op], parts, pc.ElementWiseAggregateOptions(skip_nulls=False))
    return pc.call_function(_FUNCTIONS[expr.op], parts)


def _finite(number: "pa.Array | pa.Scalar") -> "pa.Array | pa.Scalar":
    """Infinity and NaN count as null: finite operands give them only by overflow and division by zero."""
    import pyarrow as pa
    import pyarrow.compute as pc

    is_finite = pc.is_finite(number)
    if not isinstance(number, pa.Scalar) and pc.all(is_finite, min_count=0).as_py():
        return number
    return pc.if_else(is_finite, number, pa.scalar(None, pa.float64()))
