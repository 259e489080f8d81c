"""Computed windows, judged by their contract, by the text of each value as a cell of a file is.

A window is refused where the expression gives what the contract does not allow: it goes to the quarantine, and stops
no other. Scores are not judged, for they are computed of what is.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

from trunkline.checks import BlockJudge, resolve_columns
from trunkline.errors import SchemaError, UseCaseError
from trunkline.ingest.derived.judging import RefusedRow
from trunkline.spec.windows import Windowed

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["JudgedWindows", "judged_windows"]


@dataclass(frozen=True)
class JudgedWindows:
    """Windows after the split.

    Attributes:
        good: Those that broke nothing, the contract's columns.
        bad: The others.
        reasons: How many windows failed for each reason.
    """

    good: "pa.Table"
    bad: tuple[RefusedRow, ...]
    reasons: Counter[str]

    @property
    def read(self) -> int:
        """All windows."""
        return int(self.good.num_rows) + len(self.bad)

    @property
    def quarantined(self) -> int:
        """Windows that broke the contract."""
        return len(self.bad)

    def refused(self) -> Iterator[list[RefusedRow]]:
        """Give the refused windows."""
        if self.bad:
            yield list(self.bad)


def judged_windows(computed: "pa.Table", windowed: Windowed, *, where: str) -> JudgedWindows:
    """Judge computed windows.

    Args:
        computed: One row per device and window.
        windowed: The declaration.
        where: Names the table, for errors.

    Raises:
        UseCaseError: The expression lacks a needed column, or gives two rows of one window.
    """
    import numpy as np
    import pyarrow as pa

    contract = windowed.contract
    try:
        resolution = resolve_columns(contract, computed.column_names, where=where)
    except SchemaError as error:
        raise UseCaseError(
            f"the expression does not give what its contract wants: {error.what}",
            where=where,
            allowed=computed.column_names,
        ) from None
    if computed.select(list(windowed.key)).group_by(list(windowed.key)).aggregate([]).num_rows < computed.num_rows:
        raise UseCaseError(
            "the expression gives more than one row of a device and window",
            where=where,
            next_step=f"aggregate by {', '.join(windowed.key)} and the window's end",
        )
    columns = [one.combine_chunks() for one in computed.columns]
    texts = {name: _texts(column) for name, column in zip(computed.column_names, columns, strict=True)}
    judged = BlockJudge(contract, resolution).judge(texts, rows=computed.num_rows)
    is_good = np.ones(computed.num_rows, dtype=bool)
    is_good[judged.refused] = False
    bad = tuple(
        RefusedRow(place + 1, list(reasons), {name: text[place].as_py() for name, text in texts.items()})
        for place, reasons in zip(judged.refused.tolist(), judged.reasons, strict=True)
    )
    return JudgedWindows(judged.rows.filter(pa.array(is_good)), bad, Counter(chain.from_iterable(judged.reasons)))


def _texts(column: "pa.Array") -> "pa.Array":
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_timestamp(column.type):  # %S has the microseconds; the quarantine is asked for such texts again
        return pc.strftime(column, format="%Y-%m-%dT%H:%M:%SZ")
    return column.cast(pa.string())
