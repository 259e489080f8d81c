"""What makes the worst slice hard: where its numbers lie beyond those of the other slices, and how they were written.

Takes the scored rows, their classes and the reports by slice; gives a frozen record per slicing column. Pure. A slice
whose values lie beyond those of the rows that a model learned from is extrapolated to; one whose positives are written
as negatives are gives a learner less to see.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import types

from trunkline.stats.slices import SliceReport
from trunkline.stats.writing import DecimalGrid, decimal_grid, off_grid
from trunkline.tasks.base_matrix import Floats, number_column
from trunkline.tasks.report import FarMedian, HardestSlice
from trunkline.tasks.slices import slice_names

__all__ = ["decimal_grids", "hardest_slices"]

_FEWEST_SLICES: Final = 4
_FAR: Final = 3.0
_TOLD: Final = 3
_TO_STANDARD_DEVIATION: Final = 1.4826
_SMALLEST_SPREAD: Final = 1e-9


def decimal_grids(table: pa.Table, *, columns: Sequence[str], target: Floats) -> dict[str, DecimalGrid]:
    """Find the columns whose number of decimals tells the classes apart.

    Args:
        table: The rows.
        columns: Columns that the model reads; those that are no floating numbers of the table are left out.
        target: 0/1, shape (rows,).

    Returns:
        The grid by column, the most telling first.
    """
    found = {name: decimal_grid(values, target) for name, values in _numbers(table, columns).items()}
    told = {name: grid for name, grid in found.items() if grid is not None}
    return dict(sorted(told.items(), key=lambda item: (-item[1].off_share, item[0])))


def hardest_slices(
    table: pa.Table,
    *,
    columns: Sequence[str],
    reports: Mapping[str, SliceReport],
    grids: Mapping[str, DecimalGrid],
    target: Floats,
) -> dict[str, HardestSlice]:
    """Say of each slicing column which slice is the hardest, and what sets it apart.

    Args:
        table: The scored rows.
        columns: Columns that the model reads.
        reports: By slicing column, as :func:`~trunkline.tasks.slices.slice_reports` gives them for the same rows.
        grids: As :func:`decimal_grids` gives them for the same rows.
        target: 0/1, shape (rows,).

    Returns:
        By slicing column; one with fewer than four slices that can be judged has none.
    """
    numbers = _numbers(table, columns)
    found = {}
    for column, report in reports.items():
        judged = [part for part in report.slices if part.f1 is not None and part.name is not None]
        if len(judged) < _FEWEST_SLICES or report.whole.f1 is None:
            continue
        worst = min(judged, key=lambda part: (part.f1.value if part.f1 else 0.0, part.name or ""))
        names = np.array([name or "" for name in slice_names(table, column)])
        read = {name: values for name, values in numbers.items() if name != column}
        told = next(iter(grids), "")
        leaving = target == (1 - grids[told].kept_by) if told else np.zeros(len(target), dtype=bool)
        here = leaving & (names == worst.name)
        off = off_grid(numbers[told], grids[told].decimals) if told else leaving
        assert worst.f1 is not None
        found[column] = HardestSlice(
            name=str(worst.name),
            f1=worst.f1.value,
            whole_f1=report.whole.f1.value,
            missed=1.0 - worst.true_positive_rate.value if worst.true_positive_rate else 0.0,
            mistaken=1.0 - worst.precision.value if worst.precision else None,
            far=_far(read, names, worst=str(worst.name), slices=[str(part.name) for part in judged]),
            grid=told,
            off_share=float(off[here].mean()) if here.any() else None,
            whole_off_share=float(off[leaving].mean()) if told else None,
        )
    return found


def _far(
    numbers: Mapping[str, Floats], names: npt.NDArray[np.str_], *, worst: str, slices: Sequence[str]
) -> tuple[FarMedian, ...]:
    rows = [names == name for name in slices]
    at = slices.index(worst)
    found = []
    for column, values in numbers.items():
        parts = [values[part & ~np.isnan(values)] for part in rows]
        if not all(part.size for part in parts):
            continue
        medians = np.array([np.median(part) for part in parts])
        usual = float(np.median(medians))
        spread = float(np.median(np.abs(medians - usual))) * _TO_STANDARD_DEVIATION
        away = float(medians[at]) - usual
        if spread > _SMALLEST_SPREAD * max(1.0, abs(usual)) and abs(away) >= _FAR * spread:
            farthest = medians.max() if away > 0 else medians.min()
            found.append(
                FarMedian(
                    column=column,
                    median=float(medians[at]),
                    usual=usual,
                    deviations=away / spread,
                    is_extreme=bool(medians[at] == farthest),
                )
            )
    return tuple(sorted(found, key=lambda one: (-abs(one.deviations), one.column))[:_TOLD])


def _numbers(table: pa.Table, columns: Sequence[str]) -> dict[str, Floats]:
    return {
        name: number_column(table, name)
        for name in dict.fromkeys(columns)
        if name in table.column_names and types.is_floating(table[name].type)
    }
