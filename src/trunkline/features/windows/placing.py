"""Which windows of event time a row is in."""

from datetime import timedelta
from typing import TYPE_CHECKING, Final, cast

if TYPE_CHECKING:
    import ibis.expr.types as ir

__all__ = ["END", "START", "in_windows"]

START: Final = "window_start_at"
"""Column with the begin of a window, UTC; it is in the window."""

END: Final = "window_end_at"
"""Column with the end of a window, UTC; it is in the next one."""


def in_windows(rows: "ir.Table", *, at: str, length: timedelta, every: timedelta) -> "ir.Table":
    """Give each row once for every window that it is in; windows are counted from 1970-01-01, UTC.

    Args:
        rows: Any rows; those whose instant is null are in no window.
        at: Column with the instant, UTC.
        length: How long a window is; whole seconds, a multiple of ``every``.
        every: How far the begins of two windows are apart; whole seconds.

    Returns:
        The rows with :data:`START` and :data:`END`.
    """
    import ibis

    step, span = int(every.total_seconds()), int(length.total_seconds())
    moment = cast("ir.TimestampValue", rows[at])
    # cut to seconds first: engines differ in how they round what is left of one
    second = moment.truncate("s").epoch_seconds().cast("int64")
    newest = second - ((second % step) + step) % step
    placed = rows.filter(moment.notnull()).mutate(_newest=newest)
    if span == step:
        placed = placed.mutate(_start=placed["_newest"])
    else:
        placed = placed.mutate(_back=ibis.range(0, span // step).unnest())
        placed = placed.mutate(_start=placed["_newest"] - placed["_back"] * step).drop("_back")
    start = cast("ir.IntegerColumn", placed["_start"])
    ends = start + span
    return placed.mutate(**{START: _instant(start), END: _instant(cast("ir.IntegerColumn", ends))}).drop(
        "_newest", "_start"
    )


def _instant(seconds: "ir.IntegerColumn") -> "ir.Value":
    return cast("ir.Value", seconds.as_timestamp("s").cast("timestamp('UTC', 6)"))
