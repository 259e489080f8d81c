"""Alarms of the fleet, and one cell's day beside what is usual for it.

Takes the lake and a use case that watches series, gives frozen records for two pages. What is usual is learned from the
cell and up to 150 others, drawn by their names, so the page is the same for everybody and takes a second.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from trunkline.checks import arrow_schema
from trunkline.console.day_chart import WatchedValue
from trunkline.console.site_map import Placed
from trunkline.errors import UnknownNameError
from trunkline.spec import UseCase, WatchedSeries

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from trunkline.lake import Lake
    from trunkline.tasks.anomaly.faults import JudgedAlerts

__all__ = ["CellDay", "FleetAlarms", "ObjectAlarms", "cell_day", "fleet_alarms"]

SEVERITIES: Final = ("critical", "major", "minor", "warning", "indeterminate")
"""From the worst on."""

_TABLE: Final = "alarms"
_MOST_OBJECTS: Final = 200
_MOST_PLACED: Final = 2_000
_OTHERS: Final = 150
_MOST_ROWS: Final = 96
_ODD: Final = 3.0


@dataclass(frozen=True)
class ObjectAlarms:
    """The alarms of one object.

    Attributes:
        object_id: The object.
        severity: The worst that stands; empty where none does.
        standing: Alarms that stand.
        alarms: All that were ever raised.
        problem: Of the worst one, or else of the newest.
        details: Why it was raised.
        raised_at: When it began, UTC.
        score: Its highest score.
    """

    object_id: str
    severity: str
    standing: int
    alarms: int
    problem: str
    details: str
    raised_at: datetime
    score: float


@dataclass(frozen=True)
class FleetAlarms:
    """A fleet by severity, and its worst objects.

    Attributes:
        usecase: The use case.
        object_type: What alarms are about.
        objects: How many there are.
        by_severity: Objects by the worst severity that stands, from the worst on.
        worst: Objects with alarms: those that stand first, by severity, then by their number of alarms; 200 at most.
        placed: Objects whose position is known: those with an alarm that stands, and others drawn by their names, 2,000
            at most of either.
        unplaced: Objects with an alarm that stands and no known position.
        judged: All alarms ever raised against the faults that are known; None where none are.
    """

    usecase: str
    object_type: str
    objects: int
    by_severity: Mapping[str, int]
    worst: tuple[ObjectAlarms, ...]
    placed: tuple[Placed, ...] = ()
    unplaced: int = 0
    judged: "JudgedAlerts | None" = None


@dataclass(frozen=True)
class CellDay:
    """One object's last day.

    Attributes:
        usecase: The use case.
        object_id: The object.
        first_at: Begin of the first row shown, UTC.
        last_at: Begin of the last.
        watched: Each number that is watched.
    """

    usecase: str
    object_id: str
    first_at: datetime
    last_at: datetime
    watched: tuple[WatchedValue, ...]


def fleet_alarms(lake: "Lake", usecase: UseCase) -> FleetAlarms:
    """Count a fleet by severity.

    Args:
        lake: The lake.
        usecase: One that watches series.
    """
    from trunkline.lake.versions import newest
    from trunkline.tasks.anomaly.alarms import Alarm

    watched = _watched(usecase)
    source, name = usecase.table_name(watched.dataset), usecase.table_name(_TABLE)
    objects = 0
    if lake.exists(source):
        counted = lake.collect(lambda rows: rows.aggregate(n=rows[watched.declared.entity].nunique()), source)
        objects = int(counted.column("n")[0].as_py())
    rows: list[Mapping[str, object]] = []
    if lake.exists(name):
        table = newest(
            lake.read(name, schema=arrow_schema(Alarm)), key=("alarm_id",), newest_by=("changed_at",), table=name
        )
        rows = lake.engine.arrow(table.order_by("raised_at", "alarm_id")).to_pylist()
    by_object: dict[str, list[Mapping[str, object]]] = {}
    for row in rows:
        by_object.setdefault(str(row["object_id"]), []).append(row)
    found = [_of_object(name, alarms) for name, alarms in by_object.items()]
    rank = {severity: place for place, severity in enumerate((*SEVERITIES, ""))}
    found.sort(key=lambda one: (rank[one.severity], -one.standing, -one.alarms, -one.score, one.object_id))
    counts = {severity: sum(one.severity == severity for one in found) for severity in SEVERITIES}
    stands = {one.object_id: one for one in found if one.severity}
    placed, unplaced = _placed(lake, usecase, stands)
    return FleetAlarms(
        usecase.name,
        watched.object_type,
        objects,
        counts,
        tuple(found[:_MOST_OBJECTS]),
        placed,
        unplaced,
        _judged(lake, usecase, rows),
    )


def cell_day(lake: "Lake", usecase: UseCase, object_id: str) -> CellDay:
    """Hold the last rows of an object beside what is usual for it.

    Args:
        lake: The lake.
        usecase: One that watches series.
        object_id: The object.

    Raises:
        UnknownNameError: The watched table has no such object.
    """
    import numpy as np

    from trunkline.tasks.anomaly import gathered
    from trunkline.tasks.anomaly.model import compared_with

    watched = _watched(usecase)
    declared, name = watched.declared, usecase.table_name(watched.dataset)
    if not lake.exists(name):
        raise UnknownNameError(f"there are no rows of {name} yet")
    rows = _current(lake, usecase, watched.dataset)
    names = lake.engine.arrow(rows.select(declared.entity).distinct().order_by(declared.entity)).column(0).to_pylist()
    if object_id not in names:
        raise UnknownNameError(f"there is no {watched.object_type} {object_id[:80]!r} in {name}")
    step = max(1, len(names) // _OTHERS)
    chosen = {*names[::step][:_OTHERS], object_id}
    kept = rows.filter(rows[declared.entity].isin(sorted(chosen)))
    things = lake.engine.arrow(gathered(watched.rows(kept), declared))
    at, values, compared, bounds = compared_with(things, declared, object_id, deviations=_ODD)
    last = slice(max(0, len(at) - _MOST_ROWS), len(at))
    shown = []
    for place, column in enumerate(declared.values):
        numbers, away = values[last, place], np.nan_to_num(compared[last, place])
        low, high = (bound[last, place] for bound in bounds)
        if declared.title(column) and not np.isnan(numbers).all():
            shown.append(
                WatchedValue(
                    declared.title(column),
                    declared.units.get(column, ""),
                    tuple(at[last]),
                    tuple(None if np.isnan(one) else float(one) for one in numbers),
                    tuple(map(float, low)),
                    tuple(map(float, high)),
                    tuple(np.flatnonzero(np.abs(away) > _ODD).tolist()),
                )
            )
    return CellDay(usecase.name, object_id, at[last.start], at[-1], tuple(shown))


def _watched(usecase: UseCase) -> WatchedSeries:
    if usecase.watched is None:
        raise UnknownNameError(f"the use case {usecase.name!r} watches no series")
    return usecase.watched


def _current(lake: "Lake", usecase: UseCase, dataset: str) -> "ir.Table":
    from trunkline.ingest.derived.inputs import lineage_schema
    from trunkline.lake.versions import current_rows

    name, contract = usecase.table_name(dataset), usecase.contract_of(dataset)
    return current_rows(lake.read(name, schema=lineage_schema(contract)), contract, table=name)


def _placed(lake: "Lake", usecase: UseCase, stands: Mapping[str, ObjectAlarms]) -> tuple[tuple[Placed, ...], int]:
    """The objects of the map: the worst with an alarm, every so many of the others; and how many stand nowhere."""
    places = _watched(usecase).places
    if places is None or not lake.exists(usecase.table_name(places.dataset)):
        return (), len(stands)
    rows = _current(lake, usecase, places.dataset)
    rows = rows.select(object_id=places.entity, latitude=places.latitude, longitude=places.longitude).drop_null()
    known = {
        str(row["object_id"]): (float(row["latitude"]), float(row["longitude"]))
        for row in lake.engine.arrow(rows.order_by("object_id")).to_pylist()
    }
    worst = [one for key, one in stands.items() if key in known][:_MOST_PLACED]
    quiet = [key for key in known if key not in stands]
    quiet = quiet[:: max(1, -(-len(quiet) // _MOST_PLACED))]
    placed = (
        *(Placed(one.object_id, *known[one.object_id], one.severity, one.problem) for one in worst),
        *(Placed(key, *known[key]) for key in quiet),
    )
    return placed, sum(key not in known for key in stands)


def _judged(lake: "Lake", usecase: UseCase, alarms: Sequence[Mapping[str, Any]]) -> "JudgedAlerts | None":
    from trunkline.run.alarming import judged_by_faults
    from trunkline.tasks.anomaly.alarms import Alarm, found_by

    watched = _watched(usecase)
    source, declared = usecase.table_name(watched.dataset), watched.declared
    if watched.faults is None or not lake.exists(source) or not lake.exists(usecase.table_name(watched.faults.dataset)):
        return None
    ends = lake.collect(lambda rows: rows.group_by(declared.entity).aggregate(end=rows[declared.at].max()), source)
    until = {str(row[declared.entity]): row["end"] for row in ends.to_pylist()}
    found = [found_by(Alarm.model_construct(**row)) for row in alarms]
    return judged_by_faults(lake, usecase, found, until=until)


def _of_object(name: str, alarms: Sequence[Mapping[str, object]]) -> ObjectAlarms:
    standing = [one for one in alarms if one["state"] != "cleared"]
    ranked = sorted(standing, key=lambda one: SEVERITIES.index(str(one["severity"])))
    told = ranked[0] if ranked else alarms[-1]
    raised = told["raised_at"]
    assert isinstance(raised, datetime)
    return ObjectAlarms(
        object_id=name,
        severity=str(told["severity"]) if ranked else "",
        standing=len(standing),
        alarms=len(alarms),
        problem=str(told["problem"]),
        details=str(told["details"]),
        raised_at=raised,
        score=max(float(str(one["score"])) for one in alarms),
    )
