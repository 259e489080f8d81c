"""Several expressions over one row, evaluated together: what they share is computed once.

Takes expressions as :mod:`trunkline.contracts.expressions` builds them, gives one function from a row to all their
values, the same bits as :func:`~trunkline.contracts.evaluation.row_function` gives one by one. The row features of a
model repeat themselves (``minutes + 1`` in four ratios) and stand in the way of every answer, so they become a flat
list of operations on numbered values instead of closures within closures.
"""

from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import TYPE_CHECKING, Final

from trunkline.contracts.evaluation import BINARY, RowFunction, RowValue, row_function, unary_operation

if TYPE_CHECKING:
    from trunkline.contracts.expressions import Expr

__all__ = ["RowFunctions", "row_functions"]

RowFunctions = Callable[[Mapping[str, RowValue]], Sequence[RowValue]]
"""From a row (column name to value, absent = null) to the values of several expressions; null is None."""

_Operation = Callable[[RowValue, RowValue], RowValue]

_LOOK_AT_NULL: Final = frozenset({"and", "or", "coalesce", "is_null"})
"""Operations that do not simply give null for null."""


def row_functions(expressions: "Sequence[Expr]") -> RowFunctions:
    """Compile expressions into one function of one row.

    Args:
        expressions: The expressions.

    Returns:
        A function from a row (column name to value, absent = null) to their values, in order; null as None.
    """
    program = _Program()
    wanted = [program.place(expr) for expr in expressions]
    return program.function(wanted)


class _Program:
    """Values by number: those of columns, of constants, of closures, then one per operation."""

    def __init__(self) -> None:
        self._places: dict[str, tuple[str, int]] = {}
        self._columns: list[str] = []
        self._constants: list[RowValue] = []
        self._closures: list[RowFunction] = []
        self._operations: list[tuple[_Operation, tuple[str, int], tuple[str, int]]] = []

    def place(self, expr: "Expr") -> tuple[str, int]:
        """Say where the value of an expression will be: in which group, and at which position of it."""
        key = repr(expr.to_data())
        if key not in self._places:
            self._places[key] = self._new(expr)
        return self._places[key]

    def _new(self, expr: "Expr") -> tuple[str, int]:
        if expr.op == "column":
            self._columns.append(str(expr.args[0]))
            return "column", len(self._columns) - 1
        if expr.op == "literal":
            self._constants.append(row_function(expr)({}))
            return "constant", len(self._constants) - 1
        if expr.op in _LOOK_AT_NULL:
            self._closures.append(row_function(expr))
            return "closure", len(self._closures) - 1
        parts: list[Expr] = list(expr.args)  # type: ignore[arg-type]  # an operation has nodes only
        compute: _Operation
        if len(parts) == 2:
            compute = BINARY[expr.op]
        elif expr.op == "as_number" and _is_text_equality(parts[0]):
            parts = list(parts[0].args)  # type: ignore[arg-type]  # as above
            compute = _is_same_text
        else:
            compute = _ignoring_second(unary_operation(expr.op))
        first, second = self.place(parts[0]), self.place(parts[-1])
        self._operations.append((compute, first, second))
        return "operation", len(self._operations) - 1

    def function(self, wanted: Sequence[tuple[str, int]]) -> RowFunctions:
        """Give the finished function."""
        names, constants, closures = tuple(self._columns), tuple(self._constants), tuple(self._closures)
        begins = {"column": 0, "constant": len(names), "closure": len(names) + len(constants)}
        begins["operation"] = begins["closure"] + len(closures)
        steps = [
            (compute, begins[first[0]] + first[1], begins[second[0]] + second[1])
            for compute, first, second in self._operations
        ]
        # itemgetter gives a tuple from two positions on
        pick = itemgetter(*(begins[group] + at for group, at in wanted), 0, 0) if wanted else None

        def values(row: Mapping[str, RowValue]) -> Sequence[RowValue]:
            if pick is None:
                return ()
            found = [*map(row.get, names), *constants]
            found += [closure(row) for closure in closures]
            add = found.append
            for compute, first, second in steps:
                a = found[first]
                b = found[second]
                add(None if a is None or b is None else compute(a, b))
            picked: tuple[RowValue, ...] = pick(found)
            return picked[:-2]

        return values


def _is_text_equality(expr: "Expr") -> bool:
    """Whether it compares something with a constant text."""
    if expr.op != "eq":
        return False
    second = expr.args[1]
    return not isinstance(second, str | int | float) and second.op == "literal" and isinstance(second.args[0], str)


def _is_same_text(value: RowValue, text: RowValue) -> RowValue:
    return 1.0 if value == text else 0.0


def _ignoring_second(compute: Callable[[RowValue], RowValue]) -> _Operation:
    return lambda value, _same: compute(value)
