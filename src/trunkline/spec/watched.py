"""What of a use case is watched for anomalies without labels, and what an alert of it means; pure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from trunkline.tasks.anomaly import Anomalies, Budget
    from trunkline.tasks.anomaly.alarms import AlarmKind

__all__ = ["FaultLog", "Meaning", "Places", "WatchedSeries"]


@dataclass(frozen=True)
class Meaning:
    """What an alert probably means.

    Attributes:
        problem: Specific problem, a word; one object has one alarm of each.
        alarm_type: Event type of X.733.
        probable_cause: Of X.733.
        stops_service: Whether nobody is served while it lasts.
    """

    problem: str
    alarm_type: "AlarmKind"
    probable_cause: str
    stops_service: bool = False


@dataclass(frozen=True)
class Places:
    """Where the watched objects stand.

    Attributes:
        dataset: The dataset that says it, one row per object.
        entity: Its column with the object.
        latitude: Its column with degrees north (WGS 84); null where nobody knows.
        longitude: Its column with degrees east.
    """

    dataset: str
    entity: str
    latitude: str = "latitude"
    longitude: str = "longitude"


@dataclass(frozen=True, kw_only=True)
class FaultLog:
    """Faults of the watched objects that are known, by which alerts are judged.

    Attributes:
        dataset: The dataset that has them, one row per fault.
        entity: Its column with the object.
        problems: What an alert of each kind of fault is called, as :attr:`Meaning.problem`.
        kind: Its column with the kind.
        begin: Its column with the begin of the first period.
        end: Its column with the end of the last.
    """

    dataset: str
    entity: str
    problems: Mapping[str, str]
    kind: str = "kind"
    begin: str = "begin_at"
    end: str = "end_at"


@dataclass(frozen=True, kw_only=True)
class WatchedSeries:
    """A dataset whose rows are watched.

    Attributes:
        dataset: The dataset; ``declared.at`` is an instant of its rows.
        rows: Makes the rows that are watched, lazily.
        declared: Which columns of them.
        budget: Alerts that people can look at, unless they ask for others.
        meaning: From the median deviations of an alert (in the order of ``declared.values``) and its number of rows.
        object_type: What alarms are about.
        clear_after: How long an object must be as usual before its alarm is cleared.
        places: Where the objects stand, for a map; None where no dataset says it.
        faults: Faults that are known; None where nobody keeps them.
    """

    dataset: str
    rows: "Callable[[ir.Table], ir.Table]"
    declared: "Anomalies"
    budget: "Budget"
    meaning: "Callable[[Sequence[float], int], Meaning]"
    object_type: str = "cell"
    clear_after: timedelta = field(default=timedelta(hours=1))
    places: Places | None = None
    faults: FaultLog | None = None
