"""The limits of a field over an Arrow array: which values of a typed block break which of them.

Takes a column of a contract; gives conditions on its values, true where a value fails and null where it is null. Where
the least and the greatest value are within a limit, all are. They say what
:func:`trunkline.contracts.judging.broken_limits` says of one value.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from trunkline.checks.intervals import Interval
from trunkline.contracts import Column
from trunkline.contracts.contract import LONGEST_TEXT
from trunkline.contracts.kinds import INTEGER_LIMIT
from trunkline.contracts.patterns import without_anchors

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Broken", "limits_of"]

Broken = Callable[["pa.Array", Interval], "pa.Array | None"]
"""From values, and where they lie, to where they fail; None where none does."""


def limits_of(column: Column) -> list[tuple[str, Broken]]:
    """Give the limits of a column as pairs of its reason code and what tells broken values."""
    found: list[tuple[str, Broken]] = []
    if column.minimum is not None:
        low = _whole(math.ceil, column.minimum) if column.kind == "integer" else float(column.minimum)
        found.append(("minimum", partial(_below, low)))
    if column.maximum is not None:
        high = _whole(math.floor, column.maximum) if column.kind == "integer" else float(column.maximum)
        found.append(("maximum", partial(_above, high)))
    if column.kind == "category":
        found.append(("category", partial(_outside, column.values)))
    if column.kind == "text":
        found.append(("length", partial(_longer, column.max_length or LONGEST_TEXT)))
        if column.pattern:
            found.append(("pattern", partial(_unlike, rf"^(?:{without_anchors(column.pattern)})\z")))
    return [(f"{column.name}.{check}", broken) for check, broken in found]


def _whole(nearest: Callable[[float], int], limit: float) -> int:
    return nearest(max(-INTEGER_LIMIT, min(INTEGER_LIMIT, limit)))


def _below(limit: float, values: "pa.Array", within: Interval) -> "pa.Array | None":
    import pyarrow as pa
    import pyarrow.compute as pc

    return None if within.low >= limit else pc.less(values, pa.scalar(limit, values.type))


def _above(limit: float, values: "pa.Array", within: Interval) -> "pa.Array | None":
    import pyarrow as pa
    import pyarrow.compute as pc

    return None if within.high <= limit else pc.greater(values, pa.scalar(limit, values.type))


def _outside(known: tuple[str, ...], values: "pa.Array", _within: Interval) -> "pa.Array":
    import pyarrow as pa
    import pyarrow.compute as pc

    return pc.and_(pc.is_valid(values), pc.invert(pc.is_in(values, value_set=pa.array(known, pa.string()))))


def _longer(most: int, words: "pa.Array", _within: Interval) -> "pa.Array | None":
    import pyarrow.compute as pc

    longest = pc.max(pc.binary_length(words)).as_py()
    if longest is None or longest <= most:  # no text has more characters than bytes
        return None
    return pc.greater(pc.utf8_length(words), most)


def _unlike(pattern: str, words: "pa.Array", _within: Interval) -> "pa.Array":
    import pyarrow.compute as pc

    return pc.invert(pc.match_substring_regex(words, pattern=pattern))
