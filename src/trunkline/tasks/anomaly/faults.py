"""Alerts held against faults that are known: how many of the alerts are right, how many of the faults were found.

Takes alerts and faults with their times, gives counts and shares with intervals; pure. A team writes its faults down, a
simulator knows what it injected.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from trunkline.stats.intervals import Interval, wilson_interval
from trunkline.tasks.anomaly.alarms import Found

__all__ = ["FaultScore", "JudgedAlerts", "KnownFault", "judged_alerts"]


@dataclass(frozen=True, slots=True)
class KnownFault:
    """One fault of one object.

    Attributes:
        object_id: The object.
        kind: What was wrong.
        begin_at: Begin of the first period with it.
        end_at: End of the last.
    """

    object_id: str
    kind: str
    begin_at: datetime
    end_at: datetime


@dataclass(frozen=True, slots=True)
class FaultScore:
    """How one kind of fault was found.

    Attributes:
        known: Faults of the kind.
        found: Those with an alert, whatever it was called.
        recall: The share of them, with Wilson's 95 % interval; None where none is known.
        named: Alerts that were called so.
        right: Those whose object had a fault of this kind at the time.
        precision: The share of them, likewise; None where no alert was called so.
    """

    known: int
    found: int
    recall: Interval | None
    named: int
    right: int
    precision: Interval | None


@dataclass(frozen=True, slots=True)
class JudgedAlerts:
    """Alerts against known faults.

    Attributes:
        alerts: How many were raised.
        hits: Those whose object had a fault of any kind at the time.
        precision: The share of them, with Wilson's 95 % interval; None without alerts.
        kinds: By kind of fault.
    """

    alerts: int
    hits: int
    precision: Interval | None
    kinds: Mapping[str, FaultScore]


def judged_alerts(
    alerts: Sequence[Found], faults: Sequence[KnownFault], *, problems: Mapping[str, str], late: timedelta
) -> JudgedAlerts:
    """Judge alerts.

    Args:
        alerts: What was found.
        faults: What is known of the same objects and time.
        problems: What an alert of each kind of fault is called.
        late: An alert that begins this long after the end of a fault, or sooner, is still about it.

    Returns:
        Counts and shares; kinds in the order of their names.
    """
    of_object: dict[str, list[KnownFault]] = {}
    for fault in faults:
        of_object.setdefault(fault.object_id, []).append(fault)
    hits = [
        [
            fault
            for fault in of_object.get(alert.object_id, ())
            if alert.first_at < fault.end_at + late and alert.last_at >= fault.begin_at
        ]
        for alert in alerts
    ]
    told = {id(fault) for hit in hits for fault in hit}
    kinds = {}
    for kind in sorted({*problems, *(fault.kind for fault in faults)}):
        known = [fault for fault in faults if fault.kind == kind]
        found = sum(id(fault) in told for fault in known)
        named = [hit for alert, hit in zip(alerts, hits, strict=True) if alert.problem == problems.get(kind)]
        right = sum(any(fault.kind == kind for fault in hit) for hit in named)
        if known or named:
            kinds[kind] = FaultScore(
                len(known), found, _share(found, len(known)), len(named), right, _share(right, len(named))
            )
    count = sum(bool(hit) for hit in hits)
    return JudgedAlerts(len(alerts), count, _share(count, len(alerts)), kinds)


def _share(part: int, whole: int) -> Interval | None:
    return wilson_interval(part, whole) if whole else None
