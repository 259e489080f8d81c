"""Arithmetic and conditions over the columns of one row, as data.

Rules of contracts and row features of models are written once in this closed language and evaluated by three
back ends: as an Ibis expression over a table (``trunkline.checks``), as a closure over one row (HTTP edge, serving) and
over whole numpy columns (training, batches). Being data, an expression can be stored beside a model and fingerprinted.

All numbers are 64-bit floats, integer columns too. Null behaves as in SQL: arithmetic and comparison with null give
null, ``&`` and ``|`` are three-valued; division by zero, the logarithm of -1 or less and overflow give null. A rule is
broken only when it is *false*.
"""

import math
from dataclasses import dataclass
from typing import Final

from trunkline.contracts.evaluation import RowValue, row_function, vector
from trunkline.errors import ContractError

__all__ = [
    "Expr",
    "Literal",
    "RowValue",
    "col",
    "count_true",
    "from_data",
    "larger",
    "row_function",
    "smaller",
    "vector",
]

Literal = str | int | float | bool
"""A constant inside an expression."""

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
    terms = [condition.fill_null(False).as_number() for condition in conditions]
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
        if len(args) != 1 or not isinstance(args[0], str if op == "column" else str | int | float | bool):
            raise ContractError("malformed expression", where=repr(data)[:80])
        return Expr(op, (_constant(args[0]),))
    return _node(op, *(from_data(arg) for arg in args))


def _operand(value: object) -> "Expr | Literal":
    return value if isinstance(value, Expr) else _constant(value)


def _constant(value: object) -> Literal:
    if isinstance(value, float) and not math.isfinite(value):
        raise ContractError("infinity and NaN cannot stand in an expression")
    if isinstance(value, str | int | float | bool):
        return value
    raise ContractError(f"a {type(value).__name__} cannot stand in an expression", allowed=("column", "constant"))


def _node(op: str, *args: "Expr | Literal") -> Expr:
    if op not in _ARITY:
        raise ContractError(f"unknown operation {op!r}", allowed=sorted(_ARITY))
    if len(args) != _ARITY[op]:
        raise ContractError(f"{op!r} takes {_ARITY[op]} operands, not {len(args)}")
    return Expr(op, tuple(arg if isinstance(arg, Expr) else Expr("literal", (_constant(arg),)) for arg in args))
