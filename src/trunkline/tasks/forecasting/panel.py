"""Rows in long form on a grid of hours.

Takes typed rows (group, server, metric, instant, value), gives one row of the grid per series and one column per hour,
absent hours as NaN. Several values of one hour are averaged, so sources may be finer than an hour. Hours are UTC:
a local hour that a clock change repeats or skips is two hours here, or none.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

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
_BLOCK_ROWS: Final = 1_000_000
"""Rows that are put on the grid at a time: memory for columns of all rows takes longer to get than to fill."""


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
        table: Rows in long form; those without an instant, a name or a finite value are left out.
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
    wanted = [at, value, server, metric, *([group] if group else [])]
    if missing := [name for name in wanted if name not in table.column_names]:
        raise SchemaError(f"the rows have no column {missing[0]!r}", allowed=table.column_names)
    rows = table.select(wanted)
    pieces = [rows.slice(start, _BLOCK_ROWS) for start in range(0, rows.num_rows, _BLOCK_ROWS)]
    with ThreadPoolExecutor() as pool:
        blocks = [block for block in pool.map(_block_of, pieces) if len(block.values)]
        if not blocks:
            raise InputError("there are no rows with an instant and a value", next_step="take some in first")
        names = sorted({name for block in blocks for name in block.names})
        if target not in (metrics := sorted({name.metric for name in names})):
            raise InputError(f"there are no rows of the metric {target!r}", allowed=metrics)
        first = min(int(block.hours.min()) for block in blocks)
        width = max(int(block.hours.max()) for block in blocks) - first + 1
        if len(names) * width > _MOST_CELLS:
            raise InputError(
                f"{len(names)} series over {width} hours are more than fit into memory",
                next_step="hand in fewer hours: they are cut at the front",
            )
        row = {name: place for place, name in enumerate(names)}
        cells = list(pool.map(lambda block: block.cells(row, first=first, width=width), blocks))
    grid = _means(cells, [block.values for block in blocks], count=len(names) * width).reshape(len(names), width)
    groups = sorted({name.group for name in names})
    group_of = {name: place for place, name in enumerate(groups)}

    def part(*, forecast: bool) -> Grid:
        chosen = [place for place, name in enumerate(names) if (name.metric == target) is forecast]
        return Grid(
            names=tuple((names[place].server, names[place].metric) for place in chosen),
            group=np.array([group_of[names[place].group] for place in chosen], dtype=np.int64),
            values=grid if len(chosen) == len(names) else grid[chosen],
        )

    start_at = datetime.fromtimestamp(0, UTC) + first * HOUR
    return Panel(start_at, tuple(groups), part(forecast=True), part(forecast=False))


class _Name(NamedTuple):
    """Of a series."""

    group: str
    server: str
    metric: str


@dataclass(frozen=True)
class _Block:
    """Some rows.

    Attributes:
        names: Of their series.
        series: Place of each row's series among the names, shape (rows,).
        hours: Since 1970, shape (rows,).
        values: Finite, shape (rows,).
    """

    names: Sequence[_Name]
    series: Places
    hours: Places
    values: Floats

    def cells(self, row: Mapping[_Name, int], *, first: int, width: int) -> Places:
        """Where each value stands on the flattened grid, shape (rows,)."""
        begins = np.array([row[name] * width - first for name in self.names], dtype=np.int64)
        cells = begins[self.series]
        cells += self.hours
        return cells


def _block_of(rows: "pa.Table") -> _Block:
    """Take rows of an instant, a value, a server, a metric and, where there is one, a group."""
    import pyarrow as pa
    import pyarrow.compute as pc

    values = rows.column(1).cast(pa.float64())
    known = pc.and_kleene(pc.is_valid(values), pc.is_finite(values))
    for place in (0, *range(2, rows.num_columns)):
        known = pc.and_(known, pc.is_valid(rows.column(place)))
    if not pc.all(known).as_py():
        rows, values = rows.filter(known), values.filter(known)
    hours = rows.column(0).cast(pa.timestamp("us", tz="UTC")).cast(pa.int64()).to_numpy() // _HOUR_US
    (server, servers), (metric, metrics), *grouped = (_coded(column) for column in rows.columns[2:])
    group, groups = grouped[0] if grouped else (np.zeros(len(hours), dtype=np.int32), ["all"])
    joint = (group.astype(np.int64) * len(servers) + server) * len(metrics) + metric
    keys, series = _ranked(joint, most=len(groups) * len(servers) * len(metrics))
    of_group, of_server = keys // len(metrics) // len(servers), keys // len(metrics) % len(servers)
    named = zip(of_group.tolist(), of_server.tolist(), (keys % len(metrics)).tolist(), strict=True)
    names = [_Name(groups[one], servers[two], metrics[three]) for one, two, three in named]
    return _Block(names, series, hours, values.to_numpy())


def _means(cells: Sequence[Places], values: Sequence[Floats], *, count: int) -> Floats:
    """Give the mean of the finite values of each cell, NaN where there is none, shape (count,)."""
    grid = np.full(count, np.nan)
    for cell, some in zip(cells, values, strict=True):
        grid[cell] = some
    if np.count_nonzero(np.isfinite(grid)) == sum(map(len, values)):  # as usual: no hour was sent twice
        return grid
    every = np.concatenate(cells)
    sums, counts = np.bincount(every, np.concatenate(values), minlength=count), np.bincount(every, minlength=count)
    with np.errstate(invalid="ignore"):
        return np.asarray(sums / counts, dtype=np.float64)


def _ranked(codes: Places, *, most: int) -> tuple[Places, Places]:
    """Give the codes that occur, rising, and the place of each row's code among them.

    Args:
        codes: Shape (rows,), not negative.
        most: All codes are below it.
    """
    if most > max(_MOST_COUNTED, len(codes)):
        keys, row = np.unique(codes, return_inverse=True)
        return keys, row
    occurs = np.zeros(most, dtype=np.bool_)
    occurs[codes] = True  # takes one look at each row, sorting some twenty
    return np.flatnonzero(occurs), (np.cumsum(occurs) - 1)[codes]


def _coded(column: "pa.ChunkedArray") -> tuple[npt.NDArray[np.int32], list[str]]:
    """Codes of texts, none of them null, and the texts."""
    encoded = column.combine_chunks().dictionary_encode()
    return encoded.indices.to_numpy(), [str(text) for text in encoded.dictionary.to_pylist()]
