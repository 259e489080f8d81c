"""Expressions evaluated: as a closure over one row, and over whole numpy columns. Both give the same bits.

Takes an expression as :mod:`trunkline.contracts.expressions` builds it. What null, overflow and division by zero
give is said there.
"""

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final, cast

from trunkline.errors import ContractError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from trunkline.contracts.expressions import Expr, Literal

__all__ = ["BINARY", "RowFunction", "RowValue", "row_function", "unary_operation", "vector"]

RowValue = str | int | float | bool | None
"""A value of a column in one row; null is None."""

RowFunction = Callable[[Mapping[str, RowValue]], RowValue]
"""From a row (column name to value, absent = null) to the value of an expression; null is None."""


def row_function(expr: "Expr") -> RowFunction:
    """Compile an expression into a function of one row.

    Args:
        expr: The expression.

    Returns:
        A function from a row (column name to value, absent = null) to the value; null as None.
    """
    if expr.op == "column":
        name = str(expr.args[0])
        return lambda row: row.get(name)
    if expr.op == "literal":
        constant = _literal(expr)
        return lambda _row: constant
    parts = [row_function(part) for part in _parts(expr)]
    if len(parts) == 1:
        return _unary_row(expr.op, parts[0])
    return _binary_row(expr.op, parts[0], parts[1])


def vector(expr: "Expr", columns: "Mapping[str, npt.NDArray[np.generic]]", *, rows: int) -> "npt.NDArray[np.float64]":
    """Evaluate an expression over whole columns.

    Args:
        expr: The expression; its value is a number or a condition.
        columns: Float columns (null as NaN; flags as 0/1) and object columns of text (null as None), shape (rows,).
        rows: The number of rows.

    Returns:
        Shape (rows,), null as NaN, conditions as 0/1.
    """
    import numpy as np

    with np.errstate(all="ignore"):
        value = np.asarray(_vector(expr, columns, rows), dtype=np.float64)
    return np.array(np.broadcast_to(value, (rows,)))


def _parts(expr: "Expr") -> "list[Expr]":
    return cast("list[Expr]", list(expr.args))  # an operation has nodes only, see expressions._node


def _literal(expr: "Expr") -> "Literal":
    constant = expr.args[0]
    if not isinstance(constant, str | int | float | bool):
        raise ContractError("malformed literal")
    return constant


def _number(value: RowValue) -> float:
    return float(value)  # type: ignore[arg-type]  # callers have excluded None; text raises as it should


def _finite(value: float) -> float | None:
    return value if -math.inf < value < math.inf else None


def _comparable(value: RowValue) -> RowValue:
    return float(value) if type(value) is int else value


def _add(a: RowValue, b: RowValue) -> RowValue:
    return _finite(float(a) + float(b))  # type: ignore[arg-type]  # as in _number, here and below


def _subtract(a: RowValue, b: RowValue) -> RowValue:
    return _finite(float(a) - float(b))  # type: ignore[arg-type]


def _multiply(a: RowValue, b: RowValue) -> RowValue:
    return _finite(float(a) * float(b))  # type: ignore[arg-type]


def _quotient(a: RowValue, b: RowValue) -> RowValue:
    divisor = float(b)  # type: ignore[arg-type]
    return _finite(float(a) / divisor) if divisor else None  # type: ignore[arg-type]


_UNARY: Final[Mapping[str, Callable[[RowValue], RowValue]]] = {
    "not": lambda a: not a,
    "abs": lambda a: abs(_number(a)),
    "as_number": _number,
}

BINARY: Final[Mapping[str, Callable[[RowValue, RowValue], RowValue]]] = {
    "add": _add,
    "subtract": _subtract,
    "multiply": _multiply,
    "divide": _quotient,
    "minimum": lambda a, b: min(_number(a), _number(b)),
    "maximum": lambda a, b: max(_number(a), _number(b)),
    "eq": lambda a, b: _comparable(a) == _comparable(b),
    "ne": lambda a, b: _comparable(a) != _comparable(b),
    "lt": lambda a, b: _comparable(a) < _comparable(b),  # type: ignore[operator]  # one kind, by the contract
    "le": lambda a, b: _comparable(a) <= _comparable(b),  # type: ignore[operator]  # as above
    "gt": lambda a, b: _comparable(a) > _comparable(b),  # type: ignore[operator]  # as above
    "ge": lambda a, b: _comparable(a) >= _comparable(b),  # type: ignore[operator]  # as above
}
"""Operations of two values that are not null."""


def _unary_row(op: str, part: RowFunction) -> RowFunction:
    if op == "is_null":
        return lambda row: part(row) is None
    compute = unary_operation(op)

    def unary(row: Mapping[str, RowValue]) -> RowValue:
        value = part(row)
        return None if value is None else compute(value)

    return unary


def unary_operation(op: str) -> Callable[[RowValue], RowValue]:
    """Give an operation of one value that is not null."""
    return _log1p_row() if op == "log1p" else _UNARY[op]


def _log1p_row() -> Callable[[RowValue], RowValue]:
    # numpy's own, because its vectorised logarithm differs from the C library's in the last bit on some processors
    from numpy import log1p

    def compute(value: RowValue) -> RowValue:
        number = _number(value)
        return float(log1p(number)) if number > -1 else None

    return compute


def _binary_row(op: str, left: RowFunction, right: RowFunction) -> RowFunction:
    if op == "coalesce":

        def coalesce(row: Mapping[str, RowValue]) -> RowValue:
            value = left(row)
            return right(row) if value is None else value

        return coalesce
    if op in ("and", "or"):
        decisive = op == "or"

        def logical(row: Mapping[str, RowValue]) -> RowValue:
            values = (left(row), right(row))
            if any(value is not None and bool(value) is decisive for value in values):
                return decisive
            return None if None in values else not decisive

        return logical
    compute = BINARY[op]

    def computed(row: Mapping[str, RowValue]) -> RowValue:
        a = left(row)
        b = right(row)
        return None if a is None or b is None else compute(a, b)

    return computed


def _vector(
    expr: "Expr", columns: "Mapping[str, npt.NDArray[np.generic]]", rows: int
) -> "npt.NDArray[np.generic] | Literal":
    import numpy as np

    if expr.op == "column":
        name = str(expr.args[0])
        return columns[name] if name in columns else np.full(rows, np.nan)
    if expr.op == "literal":
        return _literal(expr)
    parts = [_vector(part, columns, rows) for part in _parts(expr)]
    null = np.zeros(rows, dtype=bool)
    for part in parts:
        null |= _is_null(part, rows)
    if expr.op == "is_null":
        return null.astype(np.float64)
    if expr.op == "coalesce":
        return _coalesce(parts[0], parts[1], rows)
    if expr.op in ("eq", "ne"):
        same = _same(parts[0], parts[1], rows)
        return np.where(null, np.nan, same if expr.op == "eq" else ~same)
    numbers = [_floats(part) for part in parts]
    if expr.op in ("and", "or"):
        decisive = 1.0 if expr.op == "or" else 0.0
        decided = (_truth(numbers[0]) == decisive) | (_truth(numbers[1]) == decisive)
        return np.where(decided, decisive, np.where(null, np.nan, 1.0 - decisive))
    result = np.asarray(_NUMPY[expr.op](*numbers), dtype=np.float64)
    return np.where(null | ~np.isfinite(result), np.nan, result)


def _is_null(part: "npt.NDArray[np.generic] | Literal", rows: int) -> "npt.NDArray[np.bool_]":
    import numpy as np

    if not isinstance(part, np.ndarray):
        return np.zeros(rows, dtype=bool)
    if part.dtype == object:
        return np.array([value is None for value in part], dtype=bool)
    return np.asarray(np.isnan(part.astype(np.float64)))


def _is_text(part: "npt.NDArray[np.generic] | Literal") -> bool:
    import numpy as np

    return isinstance(part, str) or (isinstance(part, np.ndarray) and part.dtype.kind in "OUS")


def _coalesce(
    first: "npt.NDArray[np.generic] | Literal", second: "npt.NDArray[np.generic] | Literal", rows: int
) -> "npt.NDArray[np.generic]":
    import numpy as np

    null = _is_null(first, rows)
    if _is_text(first) or _is_text(second):
        return np.where(null, np.asarray(second, dtype=object), np.asarray(first, dtype=object))
    return np.where(null, _floats(second), _floats(first))


def _same(
    first: "npt.NDArray[np.generic] | Literal", second: "npt.NDArray[np.generic] | Literal", rows: int
) -> "npt.NDArray[np.bool_]":
    import numpy as np

    if _is_text(first) != _is_text(second):  # a text is no number; numpy would answer with one value or a warning
        return np.zeros(rows, dtype=bool)
    if _is_text(first):
        same = np.equal(np.asarray(first, dtype=object), np.asarray(second, dtype=object))
    else:
        same = _floats(first) == _floats(second)
    return np.array(np.broadcast_to(np.asarray(same, dtype=bool), (rows,)))


def _floats(part: "npt.NDArray[np.generic] | Literal") -> "npt.NDArray[np.float64]":
    import numpy as np

    return np.asarray(part, dtype=np.float64)


def _truth(values: "npt.NDArray[np.float64]") -> "npt.NDArray[np.float64]":
    """Conditions as 0/1, NaN where null; any other number counts as true."""
    import numpy as np

    return np.where(np.isnan(values), values, (values != 0).astype(np.float64))


def _divide(a: "npt.NDArray[np.float64]", b: "npt.NDArray[np.float64]") -> "npt.NDArray[np.float64]":
    import numpy as np

    return a / np.where(b == 0, np.nan, b)


def _log1p(a: "npt.NDArray[np.float64]") -> "npt.NDArray[np.float64]":
    import numpy as np

    return np.log1p(np.where(a > -1, a, np.nan))


def _minimum(a: "npt.NDArray[np.float64]", b: "npt.NDArray[np.float64]") -> "npt.NDArray[np.float64]":
    import numpy as np

    return np.minimum(a, b)


def _maximum(a: "npt.NDArray[np.float64]", b: "npt.NDArray[np.float64]") -> "npt.NDArray[np.float64]":
    import numpy as np

    return np.maximum(a, b)


_NUMPY: Final[Mapping[str, Callable[..., object]]] = {
    "add": lambda a, b: a + b,
    "subtract": lambda a, b: a - b,
    "multiply": lambda a, b: a * b,
    "divide": _divide,
    "minimum": _minimum,
    "maximum": _maximum,
    "lt": lambda a, b: a < b,
    "le": lambda a, b: a <= b,
    "gt": lambda a, b: a > b,
    "ge": lambda a, b: a >= b,
    "not": lambda a: a == 0,
    "abs": abs,
    "log1p": _log1p,
    "as_number": lambda a: a,
}
