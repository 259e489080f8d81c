"""Rows in long form on a grid of hours.

Takes typed rows (group, server, metric, instant, value), gives one row of the grid per series and one column per hour,
absent hours as NaN. Several values of one hour are averaged, so sources may be finer than an hour. Hours are UTC:
a local hour that a clock change repeats or skips is two hours here, or none.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from trunkline.errors import InputError, SchemaError

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["HOUR", "Floats", "Grid", "Panel", "panel_of"]

Floats = npt.NDArray[np.float64]
"""Numbers in double precision."""
Places = npt.NDArray[np.int64]
"""Places on an axis."""

HOUR: Final = timedelta(hours=1)
"""Step of the grid."""
_HOUR_US: Final = 3_600_000_000
_MOST_CELLS: Final = 400_000_000
_MOST_COUNTED: Final = 10_000_000


@dataclass(frozen=True)
class Grid:
    """Series of one kind on the hours of a panel.

    Attributes:
        names: Server and metric of each series, in order.
        group: Which group each belongs to, shape (series,).
        values: Shape (series, hours); NaN where nothing is known.
    """

    names: tuple[tuple[str, str], ...]
    group: Places
    values: Floats


@dataclass(frozen=True)
class Panel:
    """All series of a table on one grid of hours.

    Attributes:
        start_at: First hour, UTC.
        groups: Name of each group.
        targets: The series that are forecast.
        covariates: What moves beside them.
    """

    start_at: datetime
    groups: tuple[str, ...]
    targets: Grid
    covariates: Grid

    @property
    def hours(self) -> int:
        """Hours of the grid."""
        return int(self.targets.values.shape[1])

    @property
    def servers(self) -> tuple[str, ...]:
        """Server of each series that is forecast."""
        return tuple(server for server, _ in self.targets.names)

    def hour_at(self, place: int) -> datetime:
        """The instant at which an hour of the grid begins; places beyond its end are hours to come."""
        return self.start_at + place * HOUR

    def place_of(self, instant: datetime) -> int:
        """The hour of the grid in which an instant lies; negative before it."""
        return int((instant - self.start_at) // HOUR)

    def until(self, place: int) -> "Panel":
        """The panel as it was when the hour ``place`` was the newest."""
        cut = place + 1
        return replace(
            self,
            targets=replace(self.targets, values=self.targets.values[:, :cut]),
            covariates=replace(self.covariates, values=self.covariates.values[:, :cut]),
        )

    def since(self, place: int) -> "Panel":
        """The panel without the hours before one."""
        return replace(
            self,
            start_at=self.hour_at(place),
            targets=replace(self.targets, values=self.targets.values[:, place:]),
            covariates=replace(self.covariates, values=self.covariates.values[:, place:]),
        )

    def only(self, series: Places) -> "Panel":
        """The panel with some of the series that are forecast; covariates stay."""
        names = tuple(self.targets.names[place] for place in series)
        grid = Grid(names, self.targets.group[series], self.targets.values[series])
        return replace(self, targets=grid)


def panel_of(
    table: "pa.Table", *, target: str, at: str, server: str, metric: str, value: str, group: str | None = None
) -> Panel:
    """Put rows on a grid.

    Args:
        table: Rows in long form; those without an instant or a finite value are left out.
        target: The metric whose series are forecast; all others are covariates.
        at: Column of instants, UTC.
        server: Column of server names.
        metric: Column of metric names.
        value: Column of numbers.
        group: Column that says which servers belong together; None: all do.

    Returns:
        The panel; series in the order of group, server and metric.

    Raises:
        SchemaError: A column is missing.
        InputError: There is no row of the target, or the grid would not fit into memory.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    wanted = [at, server, metric, value, *([group] if group else [])]
    if missing := [name for name in wanted if name not in table.column_names]:
        raise SchemaError(f"the rows have no column {missing[0]!r}", allowed=table.column_names)
    values = table.column(value).cast(pa.float64())
    known = pc.and_(pc.is_valid(table.column(at)), pc.and_kleene(pc.is_valid(values), pc.is_finite(values)))
    if not pc.all(known).as_py():  # all texts would be copied
        table, values = table.filter(known), values.filter(known)
    if table.num_rows == 0:
        raise InputError("there are no rows with an instant and a value", next_step="take some in first")
    instants = table.column(at).cast(pa.timestamp("us", tz="UTC")).cast(pa.int64()).to_numpy()
    hours = instants // _HOUR_US
    with ThreadPoolExecutor() as pool:  # Arrow encodes beside Python
        coded = list(pool.map(_coded, (table.column(name) for name in wanted if name not in (at, value))))
    (server_code, servers), (metric_code, metrics) = coded[:2]
    group_code, groups = coded[2] if group else (np.zeros(table.num_rows, dtype=np.int64), ("all",))
    if target not in metrics:
        raise InputError(f"there are no rows of the metric {target!r}", allowed=metrics)
    joint = (group_code * len(servers) + server_code) * len(metrics) + metric_code
    keys, row = _ranked(joint, most=len(groups) * len(servers) * len(metrics))
    first = int(hours.min())
    width = int(hours.max()) - first + 1
    if len(keys) * width > _MOST_CELLS:
        raise InputError(
            f"{len(keys)} series over {width} hours are more than fit into memory",
            next_step="hand in fewer hours: they are cut at the front",
        )
    grid = _means(row * width + (hours - first), values.to_numpy(), cells=len(keys) * width).reshape(len(keys), width)
    of_metric = keys % len(metrics)
    of_server = keys // len(metrics) % len(servers)
    of_group = keys // (len(metrics) * len(servers))
    is_target = of_metric == metrics.index(target)

    def part(chosen: npt.NDArray[np.bool_]) -> Grid:
        names = [(servers[s], metrics[m]) for s, m in zip(of_server[chosen], of_metric[chosen], strict=True)]
        return Grid(tuple(names), of_group[chosen].astype(np.int64), grid[chosen])

    start_at = datetime.fromtimestamp(0, UTC) + first * HOUR
    return Panel(start_at, groups, part(is_target), part(~is_target))


def _means(cell: Places, values: Floats, *, cells: int) -> Floats:
    """Give the mean of the values of each cell, NaN where there is none."""
    counts = np.bincount(cell, minlength=cells)
    if counts.max() == 1:  # as usual: no hour was sent twice
        grid = np.full(cells, np.nan)
        grid[cell] = values
        return grid
    sums = np.bincount(cell, weights=values, minlength=cells)
    with np.errstate(invalid="ignore"):
        return sums / counts


def _ranked(codes: Places, *, most: int) -> tuple[Places, Places]:
    """Give the codes that occur, rising, and the place of each row's code among them.

    Args:
        codes: Shape (rows,), not negative.
        most: All codes are below it.
    """
    if most > max(_MOST_COUNTED, len(codes)):
        keys, row = np.unique(codes, return_inverse=True)
        return keys, row
    occurs = np.bincount(codes, minlength=most) > 0  # counting takes one look at each row, sorting some twenty
    return np.flatnonzero(occurs), (np.cumsum(occurs) - 1)[codes]


def _coded(column: "pa.ChunkedArray") -> tuple[Places, tuple[str, ...]]:
    """Codes of texts in the order of the texts, and the texts."""
    encoded = column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
    encoded = encoded.dictionary_encode()
    texts = [str(text) for text in encoded.dictionary.to_pylist()]
    order = sorted(range(len(texts)), key=texts.__getitem__)
    rank = np.empty(len(texts), dtype=np.int64)
    rank[order] = np.arange(len(texts))
    codes = encoded.indices.fill_null(0).to_numpy(zero_copy_only=False)
    return rank[codes].astype(np.int64), tuple(texts[place] for place in order)
