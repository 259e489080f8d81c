"""What is known of the rows of a block without a look at each: the least and the greatest value of an expression.

Takes the intervals of columns; gives that of an expression, by interval arithmetic (Moore, Interval Analysis, 1966).
Operands and results are rounded alike, to nearest, which keeps their order: so the ends are exact and need no widening.
Almost all blocks of a real source keep their contract, and mostly the ends of their columns alone say so.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, Final

from trunkline.contracts import Expr

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Interval", "array_interval", "expression_interval"]


@dataclass(frozen=True)
class Interval:
    """Where values lie that are not null; false counts as 0 and true as 1.

    Attributes:
        low: No value is less.
        high: No value is greater.
        has_null: Whether there may be nulls besides.
    """

    low: float = -math.inf
    high: float = math.inf
    has_null: bool = True


_ANYTHING: Final = Interval()
_EITHER: Final = (0.0, 1.0)


def array_interval(values: "pa.Array") -> Interval:
    """Give the interval of an array: that of numbers ends at two of them, that of texts and times nowhere."""
    import pyarrow as pa

    has_null = values.null_count > 0
    if pa.types.is_boolean(values.type):
        return Interval(*_EITHER, has_null)
    if not (pa.types.is_integer(values.type) or pa.types.is_floating(values.type)):
        return Interval(has_null=has_null)
    there = (values.drop_null() if has_null else values).to_numpy()
    # Arrow's own takes twenty times as long for floats
    return Interval(there.min().item(), there.max().item(), has_null) if len(there) else Interval(has_null=has_null)


def expression_interval(expr: Expr, columns: Mapping[str, Interval]) -> Interval:
    """Give the interval of an expression.

    Args:
        expr: The expression, of the types that rules have.
        columns: The intervals of all columns that it reads.

    Returns:
        An interval that no value of :func:`trunkline.checks.arrow_rules.arrow_value` is outside of.
    """
    if expr.op == "column":
        column = columns[str(expr.args[0])]
        return Interval(float(column.low), float(column.high), column.has_null)
    if expr.op == "literal":
        constant = expr.args[0]
        if isinstance(constant, int | float):
            return Interval(float(constant), float(constant), has_null=False)
        return Interval(has_null=False)
    parts = [expression_interval(arg, columns) for arg in expr.args if isinstance(arg, Expr)]
    return _OPERATIONS[expr.op](*parts)


def _either(*parts: Interval) -> bool:
    return any(part.has_null for part in parts)


def _truth(is_true: bool, is_false: bool, *parts: Interval) -> Interval:
    return Interval(float(is_true), float(not is_false), _either(*parts))


def _less(a: Interval, b: Interval) -> Interval:
    return _truth(a.high < b.low, a.low >= b.high, a, b)


def _less_equal(a: Interval, b: Interval) -> Interval:
    return _truth(a.high <= b.low, a.low > b.high, a, b)


def _equal(a: Interval, b: Interval) -> Interval:
    return _truth(a.low == a.high == b.low == b.high, a.high < b.low or b.high < a.low, a, b)


def _not(a: Interval) -> Interval:
    return Interval(1 - a.high, 1 - a.low, a.has_null)


def _minimum(a: Interval, b: Interval) -> Interval:
    return Interval(min(a.low, b.low), min(a.high, b.high), _either(a, b))


def _maximum(a: Interval, b: Interval) -> Interval:
    return Interval(max(a.low, b.low), max(a.high, b.high), _either(a, b))


def _finite(ends: "list[float]", *parts: Interval) -> Interval:
    """The interval between ends; where one overflows, some values may have become null."""
    if not all(map(math.isfinite, ends)):
        return _ANYTHING
    return Interval(min(ends), max(ends), _either(*parts))


def _add(a: Interval, b: Interval) -> Interval:
    return _finite([a.low + b.low, a.high + b.high], a, b)


def _subtract(a: Interval, b: Interval) -> Interval:
    return _finite([a.low - b.high, a.high - b.low], a, b)


def _corners(work: Callable[[float, float], float], a: Interval, b: Interval) -> Interval:
    return _finite([work(one, other) for one in (a.low, a.high) for other in (b.low, b.high)], a, b)


def _multiply(a: Interval, b: Interval) -> Interval:
    return _corners(lambda one, other: one * other, a, b)


def _divide(a: Interval, b: Interval) -> Interval:
    if b.low <= 0 <= b.high:
        return _ANYTHING
    return _corners(lambda one, other: one / other, a, b)


def _abs(a: Interval) -> Interval:
    ends = (abs(a.low), abs(a.high))
    return Interval(0.0 if a.low <= 0 <= a.high else min(ends), max(ends), a.has_null)


def _coalesce(*parts: Interval) -> Interval:
    def filled(a: Interval, b: Interval) -> Interval:
        return Interval(min(a.low, b.low), max(a.high, b.high), b.has_null) if a.has_null else a

    return reduce(filled, parts)


_OPERATIONS: Final[Mapping[str, Callable[..., Interval]]] = {
    "eq": _equal,
    "ne": lambda a, b: _not(_equal(a, b)),
    "lt": _less,
    "le": _less_equal,
    "gt": lambda a, b: _less(b, a),
    "ge": lambda a, b: _less_equal(b, a),
    # of three-valued conditions null is between false and true, so that these are the smaller and the larger one
    "and": _minimum,
    "or": _maximum,
    "not": _not,
    "abs": _abs,
    "is_null": lambda a: Interval(0.0, float(a.has_null), has_null=False),
    "coalesce": _coalesce,
    "as_number": lambda a: a,
    "add": _add,
    "subtract": _subtract,
    "multiply": _multiply,
    "divide": _divide,
    "minimum": _minimum,
    "maximum": _maximum,
}
