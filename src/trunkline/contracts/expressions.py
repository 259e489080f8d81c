"""Arithmetic and conditions over the columns of one row, as data.

Rules of contracts and row features of models are written once in this closed language and evaluated by three
back ends: as an Ibis expression over a table (``trunkline.checks``), as a closure over one row (HTTP edge, serving) and
over whole numpy columns (training, batches). Being data, an expression can be stored beside a model and fingerprinted.

Null behaves as in SQL: arithmetic and comparison with null give null, ``&`` and ``|`` are three-valued, division by zero
and the logarithm of -1 or less give null. A rule is broken only when it is *false*.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from trunkline.errors import ContractError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

Literal = str | int | float | bool
"""A constant inside an expression."""

RowValue = str | int | float | bool | None

_ARITY: Final = {
    "add": 2,
    "subtract": 2,
    "multiply": 2,
    "divide": 2,
    "minimum": 2,
    "maximum": 2,
    "eq": 2,
    "ne": 2,
    "lt": 2,
    "le": 2,
    "gt": 2,
    "ge": 2,
    "and": 2,
    "or": 2,
    "not": 1,
    "abs": 1,
    "log1p": 1,
    "is_null": 1,
    "coalesce": 2,
    "as_number": 1,
}


@dataclass(frozen=True, eq=False)
class Expr:
    """One node: ``column`` with a name, ``literal`` with a constant, or an operation on nodes.

    Attributes:
        op: The operation's name.
        args: Its operands.
    """

    op: str
    args: "tuple[Expr | Literal, ...]"

    def __add__(self, other: "Expr | Literal") -> "Expr":
        return _node("add", self, other)

    def __radd__(self, other: Literal) -> "Expr":
        return _node("add", other, self)

    def __sub__(self, other: "Expr | Literal") -> "Expr":
        return _node("subtract", self, other)

    def __rsub__(self, other: Literal) -> "Expr":
        return _node("subtract", other, self)

    def __mul__(self, other: "Expr | Literal") -> "Expr":
        return _node("multiply", self, other)

    def __rmul__(self, other: Literal) -> "Expr":
        return _node("multiply", other, self)

    def __truediv__(self, other: "Expr | Literal") -> "Expr":
        return _node("divide", self, other)

    def __rtruediv__(self, other: Literal) -> "Expr":
        return _node("divide", other, self)

    def __eq__(self, other: object) -> "Expr":  # type: ignore[override]  # builds a comparison, as in every column API
        return _node("eq", self, _operand(other))

    def __ne__(self, other: object) -> "Expr":  # type: ignore[override]  # as above
        return _node("ne", self, _operand(other))

    __hash__ = None  # type: ignore[assignment]  # equality builds an expression, so an Expr must not be a key

    def __lt__(self, other: "Expr | Literal") -> "Expr":
        return _node("lt", self, other)

    def __le__(self, other: "Expr | Literal") -> "Expr":
        return _node("le", self, other)

    def __gt__(self, other: "Expr | Literal") -> "Expr":
        return _node("gt", self, other)

    def __ge__(self, other: "Expr | Literal") -> "Expr":
        return _node("ge", self, other)

    def __and__(self, other: "Expr") -> "Expr":
        return _node("and", self, other)

    def __or__(self, other: "Expr") -> "Expr":
        return _node("or", self, other)

    def __invert__(self) -> "Expr":
        return _node("not", self)

    def __abs__(self) -> "Expr":
        return _node("abs", self)

    def __bool__(self) -> bool:
        raise ContractError(
            "an expression has no truth value while it is written", next_step="use &, | and ~ with parentheses"
        )

    def is_null(self) -> "Expr":
        """True where the value is null; never null itself."""
        return _node("is_null", self)

    def fill_null(self, value: Literal) -> "Expr":
        """Replace null by a constant."""
        return _node("coalesce", self, value)

    def log1p(self) -> "Expr":
        """Natural logarithm of one plus the value; null at -1 and below."""
        return _node("log1p", self)

    def as_number(self) -> "Expr":
        """True as 1, false as 0; numbers unchanged."""
        return _node("as_number", self)

    def columns(self) -> frozenset[str]:
        """Names of the columns that the expression reads."""
        if self.op == "column":
            return frozenset([str(self.args[0])])
        return frozenset().union(*(arg.columns() for arg in self.args if isinstance(arg, Expr)))

    def to_data(self) -> list[object]:
        """Give the expression as nested JSON lists ``[op, arg, ...]``."""
        return [self.op, *(arg.to_data() if isinstance(arg, Expr) else arg for arg in self.args)]


def col(name: str) -> Expr:
    """Refer to a column of the row.

    >>> (col("total") / col("months")).to_data()
    ['divide', ['column', 'total'], ['column', 'months']]
    """
    return Expr("column", (name,))


def smaller(first: Expr | Literal, second: Expr | Literal) -> Expr:
    """The smaller of two values; null if either is null."""
    return _node("minimum", first, second)


def larger(first: Expr | Literal, second: Expr | Literal) -> Expr:
    """The larger of two values; null if either is null."""
    return _node("maximum", first, second)


def count_true(*conditions: Expr) -> Expr:
    """How many of the conditions hold; null counts as not.

    Raises:
        ContractError: There is no condition.
    """
    if not conditions:
        raise ContractError("count_true needs a condition")
    terms = [condition.fill_null(False).as_number() for condition in conditions]  # noqa: FBT003 - a literal operand
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total


def from_data(data: object) -> Expr:
    """Read an expression back from ``to_data``.

    Raises:
        ContractError: The data is not an expression of this language.
    """
    if not isinstance(data, list) or not data or not isinstance(data[0], str):
        raise ContractError("not an expression", where=repr(data)[:80])
    op, *args = data
    if op in ("column", "literal"):
        if len(args) != 1 or not isinstance(args[0], str | int | float | bool):
            raise ContractError("malformed expression", where=repr(data)[:80])
        return Expr(op, (args[0],))
    return _node(op, *(from_data(arg) for arg in args))


def row_function(expr: Expr) -> Callable[[Mapping[str, RowValue]], RowValue]:
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
    parts = [row_function(arg) for arg in expr.args if isinstance(arg, Expr)]
    if len(parts) == 1:
        return _unary_row(expr.op, parts[0])
    return _binary_row(expr.op, parts[0], parts[1])


def vector(expr: Expr, columns: "Mapping[str, npt.NDArray[np.generic]]", *, rows: int) -> "npt.NDArray[np.float64]":
    """Evaluate an expression over whole columns.

    Args:
        expr: The expression.
        columns: Float columns (null as NaN; flags as 0/1) and object columns of text (null as None), shape (rows,).
        rows: The number of rows.

    Returns:
        Shape (rows,), null as NaN, conditions as 0/1.
    """
    import numpy as np

    with np.errstate(all="ignore"):
        return np.asarray(_vector(expr, columns, rows), dtype=np.float64)


def _operand(value: object) -> "Expr | Literal":
    if isinstance(value, Expr | str | int | float | bool):
        return value
    raise ContractError(f"a {type(value).__name__} cannot stand in an expression", allowed=("column", "constant"))


def _node(op: str, *args: "Expr | Literal") -> Expr:
    if op not in _ARITY:
        raise ContractError(f"unknown operation {op!r}", allowed=sorted(_ARITY))
    if len(args) != _ARITY[op]:
        raise ContractError(f"{op!r} takes {_ARITY[op]} operands, not {len(args)}")
    return Expr(op, tuple(arg if isinstance(arg, Expr) else Expr("literal", (_operand(arg),)) for arg in args))


def _literal(expr: Expr) -> Literal:
    constant = expr.args[0]
    if isinstance(constant, Expr):
        raise ContractError("malformed literal")
    return constant


def _number(value: RowValue) -> float:
    return float(value)  # type: ignore[arg-type]  # callers have excluded None; text raises as it should


_UNARY: Final[Mapping[str, Callable[[RowValue], RowValue]]] = {
    "not": lambda a: not a,
    "abs": lambda a: abs(_number(a)),
    "log1p": lambda a: math.log1p(_number(a)) if _number(a) > -1 else None,
    "as_number": lambda a: float(_number(a)),
}

_BINARY: Final[Mapping[str, Callable[[RowValue, RowValue], RowValue]]] = {
    "add": lambda a, b: _number(a) + _number(b),
    "subtract": lambda a, b: _number(a) - _number(b),
    "multiply": lambda a, b: _number(a) * _number(b),
    "divide": lambda a, b: _number(a) / _number(b) if b else None,
    "minimum": lambda a, b: min(_number(a), _number(b)),
    "maximum": lambda a, b: max(_number(a), _number(b)),
    "eq": lambda a, b: a == b,
    "ne": lambda a, b: a != b,
    "lt": lambda a, b: a < b,  # type: ignore[operator]  # operands of one kind, by the contract
    "le": lambda a, b: a <= b,  # type: ignore[operator]  # as above
    "gt": lambda a, b: a > b,  # type: ignore[operator]  # as above
    "ge": lambda a, b: a >= b,  # type: ignore[operator]  # as above
}


def _unary_row(
    op: str, part: Callable[[Mapping[str, RowValue]], RowValue]
) -> Callable[[Mapping[str, RowValue]], RowValue]:
    if op == "is_null":
        return lambda row: part(row) is None
    compute = _UNARY[op]

    def unary(row: Mapping[str, RowValue]) -> RowValue:
        value = part(row)
        return None if value is None else compute(value)

    return unary


def _binary_row(
    op: str,
    left: Callable[[Mapping[str, RowValue]], RowValue],
    right: Callable[[Mapping[str, RowValue]], RowValue],
) -> Callable[[Mapping[str, RowValue]], RowValue]:
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
    compute = _BINARY[op]

    def binary(row: Mapping[str, RowValue]) -> RowValue:
        a = left(row)
        if a is None:
            return None
        b = right(row)
        return None if b is None else compute(a, b)

    return binary


def _vector(
    expr: Expr, columns: "Mapping[str, npt.NDArray[np.generic]]", rows: int
) -> "npt.NDArray[np.generic] | Literal":
    import numpy as np

    if expr.op == "column":
        name = str(expr.args[0])
        return columns[name] if name in columns else np.full(rows, np.nan)
    if expr.op == "literal":
        return _literal(expr)
    parts = [_vector(arg, columns, rows) for arg in expr.args if isinstance(arg, Expr)]
    null = np.zeros(rows, dtype=bool)
    for part in parts:
        null |= _is_null(part, rows)
    if expr.op == "is_null":
        return null.astype(np.float64)
    if expr.op == "coalesce":
        return np.where(_is_null(parts[0], rows), _floats(parts[1]), _floats(parts[0]))
    if expr.op in ("eq", "ne"):
        same = np.asarray(parts[0] == parts[1])
        return np.where(null, np.nan, same if expr.op == "eq" else ~same)
    numbers = [_floats(part) for part in parts]
    if expr.op in ("and", "or"):
        decisive = 1.0 if expr.op == "or" else 0.0
        decided = (numbers[0] == decisive) | (numbers[1] == decisive)
        return np.where(decided, decisive, np.where(null, np.nan, 1.0 - decisive))
    result = np.asarray(_NUMPY[expr.op](*numbers), dtype=np.float64)
    return np.where(null | ~np.isfinite(result), np.nan, result)


def _is_null(part: "npt.NDArray[np.generic] | Literal", rows: int) -> "npt.NDArray[np.bool_]":
    import numpy as np

    if not isinstance(part, np.ndarray):
        return np.zeros(rows, dtype=bool)
    if part.dtype == object:
        return np.equal(part, None).astype(bool)
    return np.isnan(part.astype(np.float64))


def _floats(part: "npt.NDArray[np.generic] | Literal") -> "npt.NDArray[np.float64]":
    import numpy as np

    return np.asarray(part, dtype=np.float64)


def _divide(a: "npt.NDArray[np.float64]", b: "npt.NDArray[np.float64]") -> "npt.NDArray[np.float64]":
    import numpy as np

    return a / np.where(b == 0, np.nan, b)


def _log1p(a: "npt.NDArray[np.float64]") -> "npt.NDArray[np.float64]":
    import numpy as np

    return np.log1p(np.where(a > -1, a, np.nan))


_NUMPY: Final[Mapping[str, Callable[..., object]]] = {
    "add": lambda a, b: a + b,
    "subtract": lambda a, b: a - b,
    "multiply": lambda a, b: a * b,
    "divide": _divide,
    "minimum": lambda a, b: _pick(a, b, larger=False),
    "maximum": lambda a, b: _pick(a, b, larger=True),
    "lt": lambda a, b: a < b,
    "le": lambda a, b: a <= b,
    "gt": lambda a, b: a > b,
    "ge": lambda a, b: a >= b,
    "not": lambda a: a == 0,
    "abs": abs,
    "log1p": _log1p,
    "as_number": lambda a: a,
}


def _pick(
    a: "npt.NDArray[np.float64]", b: "npt.NDArray[np.float64]", *, larger: bool
) -> "npt.NDArray[np.float64]":
    import numpy as np

    return np.maximum(a, b) if larger else np.minimum(a, b)
