"""Alarms as network operations know them: raised once, updated while they last, cleared when it is over.

A pure state machine: takes the alarms that stand and what an evaluation has found, gives the rows to write. Finding the
same again changes nothing, so an evaluation may be repeated. Severities are those of ITU-T X.733 (perceived severity,
8.1.2.3), kinds and probable causes those of X.733 8.1.1 and 8.1.2.1; :func:`tmf642` gives the shape of TM Forum's
TMF642 Alarm Management API, and ``tmf642_alarm.schema.json`` beside this module is its JSON Schema as far as it is
filled here.

Handing over: whoever sends alarms away reads the rows of the lake's table in the order of ``changed_at``, each row is
one event, and gives :func:`tmf642` of it to the receiver. ``alarm_id`` and ``state`` together name an event.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib import resources
from typing import ClassVar, Final, Literal

from trunkline.contracts import Contract, Instant, Integer, Number, Table, Text, field

__all__ = ["Alarm", "AlarmKind", "Found", "Severity", "advance", "alarm_schema", "severity_of", "tmf642"]

Severity = Literal["critical", "major", "minor", "warning", "indeterminate", "cleared"]
"""Perceived severity of X.733."""

AlarmKind = Literal["communicationsAlarm", "qualityOfServiceAlarm", "processingErrorAlarm", "equipmentAlarm"]
"""Event types of X.733 that are used here; those of TMF642's ``alarmType``."""

_RANK: Final[Mapping[str, int]] = {"warning": 0, "indeterminate": 1, "minor": 2, "major": 3, "critical": 4}


class Alarm(Contract):
    """One row per alarm and change of it; the newest row of an alarm says how it stands."""

    table: ClassVar[Table] = Table(key=("alarm_id",), event_at="changed_at")

    alarm_id: Text = field("Follows from the object, the problem and when it was raised", max_length=64)
    state: Literal["raised", "updated", "cleared"] = field("What this row says")
    object_id: Text = field("The cell, or whatever the alarm is about", max_length=200)
    object_type: Text = field(max_length=60)
    alarm_type: Literal["communicationsAlarm", "qualityOfServiceAlarm", "processingErrorAlarm", "equipmentAlarm"] = (
        field("Event type of X.733")
    )
    severity: Literal["critical", "major", "minor", "warning", "indeterminate", "cleared"] = field(
        "Perceived severity of X.733"
    )
    probable_cause: Text = field("Of X.733", max_length=80)
    problem: Text = field("Specific problem: one object has one alarm of each", max_length=80)
    details: Text = field("Why, in words", max_length=2_000)
    score: Number = field("Highest score of its periods", minimum=0)
    repeats: Integer = field("Evaluations that found it again", minimum=0)
    raised_at: Instant = field("Begin of its first odd period")
    seen_at: Instant = field("Begin of its newest odd period")
    changed_at: Instant = field("When this row was written")
    cleared_at: Instant | None = field("When it was over; null while it stands")


@dataclass(frozen=True)
class Found:
    """What an evaluation says of one object.

    Attributes:
        object_id: The object.
        problem: Specific problem.
        alarm_type: Event type.
        probable_cause: Of X.733.
        severity: How bad.
        details: Why, in words.
        score: Highest score of its periods.
        first_at: Begin of the first odd period.
        last_at: Begin of the newest.
        is_open: Whether it lasts to the end of the rows.
    """

    object_id: str
    problem: str
    alarm_type: AlarmKind
    probable_cause: str
    severity: Severity
    details: str
    score: float
    first_at: datetime
    last_at: datetime
    is_open: bool


def severity_of(rows: int, *, score: float, stops_service: bool) -> Severity:
    """Say how bad an episode is.

    Args:
        rows: Periods that it lasts.
        score: Its highest score.
        stops_service: Whether nobody is served: critical from the fourth period on.

    >>> [severity_of(rows, score=5, stops_service=False) for rows in (2, 4, 12)]
    ['warning', 'minor', 'major']
    """
    if stops_service and rows >= 4:
        return "critical"
    if rows >= 8:
        return "major" if score >= 4 else "minor"
    return "minor" if rows >= 4 else "warning"


def advance(
    standing: Iterable[Alarm],
    found: Sequence[Found],
    *,
    evaluated_until: Mapping[str, datetime],
    now: datetime,
    clear_after: timedelta,
    object_type: str = "cell",
) -> list[Alarm]:
    """Decide which alarms are raised, updated and cleared.

    An object has at most one standing alarm per problem: finding the problem again, or finding more of it, updates that
    one (X.733 calls this a repeated notification). It is cleared when the object was evaluated ``clear_after`` beyond
    the newest odd period; an object that sends nothing keeps its alarms. What began and ended inside the rows is raised
    and cleared at once, unless it was told before.

    Args:
        standing: The newest row of each alarm, those that are cleared among them.
        found: What was found.
        evaluated_until: By object, the begin of its newest period that was looked at.
        now: UTC.
        clear_after: How long an object must be as usual.
        object_type: What objects are.

    Returns:
        Rows to write, by object and problem, none where nothing has changed.
    """
    known = {alarm.alarm_id: alarm for alarm in standing}
    open_ones = {(one.object_id, one.problem): one for one in known.values() if one.state != "cleared"}
    rows: list[Alarm] = []
    for one in sorted(found, key=lambda found: (found.object_id, found.problem, found.first_at)):
        stands = open_ones.get((one.object_id, one.problem))
        if stands is not None and one.first_at <= stands.seen_at + clear_after:
            updated = _updated(stands, one, now)
            if updated is not None:
                rows.append(updated)
                open_ones[one.object_id, one.problem] = updated
            continue
        if stands is None and _told(known.values(), one):
            continue
        if stands is not None:
            rows.append(_cleared(stands, now))
        raised = _raised(one, now, object_type)
        rows.append(raised)
        known[raised.alarm_id] = raised
        open_ones[one.object_id, one.problem] = raised
    for alarm in sorted(open_ones.values(), key=lambda alarm: (alarm.object_id, alarm.problem)):
        until = evaluated_until.get(alarm.object_id)
        if until is not None and until >= alarm.seen_at + clear_after:
            rows.append(_cleared(alarm, now))
    return rows


def tmf642(alarm: Alarm, *, source: str) -> dict[str, object]:
    """Give an alarm in the shape of TMF642.

    Args:
        alarm: A row of the table.
        source: Name of the system that raises alarms.
    """

    def at(moment: datetime) -> str:
        return moment.isoformat().replace("+00:00", "Z")

    document: dict[str, object] = {
        "id": alarm.alarm_id,
        "@type": "Alarm",
        "state": alarm.state,
        "alarmType": alarm.alarm_type,
        "perceivedSeverity": alarm.severity,
        "probableCause": alarm.probable_cause,
        "specificProblem": alarm.problem,
        "alarmDetails": alarm.details,
        "alarmedObject": {"id": alarm.object_id},
        "alarmedObjectType": alarm.object_type,
        "sourceSystemId": source,
        "ackState": "unacknowledged",
        "isRootCause": False,
        "alarmRaisedTime": at(alarm.raised_at),
        "alarmReportingTime": at(alarm.changed_at),
    }
    if alarm.state != "raised":
        document["alarmChangedTime"] = at(alarm.changed_at)
    if alarm.cleared_at is not None:
        document["alarmClearedTime"] = at(alarm.cleared_at)
    return document


def alarm_schema() -> dict[str, object]:
    """Read the JSON Schema (2020-12) of what :func:`tmf642` gives."""
    text = resources.files("trunkline.tasks.anomaly").joinpath("tmf642_alarm.schema.json").read_text(encoding="utf-8")
    found: dict[str, object] = json.loads(text)
    return found


def _told(known: Iterable[Alarm], one: Found) -> bool:
    """Whether an alarm that is over was about the same periods."""
    return any(
        (alarm.object_id, alarm.problem) == (one.object_id, one.problem)
        and alarm.raised_at <= one.last_at
        and one.first_at <= alarm.seen_at
        for alarm in known
    )


def _raised(one: Found, now: datetime, object_type: str) -> Alarm:
    named = json.dumps([one.object_id, one.problem, one.first_at.isoformat()])
    return Alarm.model_construct(
        alarm_id=hashlib.blake2b(named.encode(), digest_size=16).hexdigest(),
        state="raised",
        object_id=one.object_id,
        object_type=object_type,
        alarm_type=one.alarm_type,
        severity=one.severity,
        probable_cause=one.probable_cause,
        problem=one.problem,
        details=one.details,
        score=one.score,
        repeats=0,
        raised_at=one.first_at,
        seen_at=one.last_at,
        changed_at=now,
        cleared_at=None,
    )


def _updated(alarm: Alarm, one: Found, now: datetime) -> Alarm | None:
    """The alarm with what was found since; None where nothing is new."""
    worse = max((alarm.severity, one.severity), key=lambda severity: _RANK[severity])
    if one.last_at <= alarm.seen_at and worse == alarm.severity:
        return None
    return alarm.model_copy(
        update={
            "state": "updated",
            "severity": worse,
            "details": one.details,
            "score": max(alarm.score, one.score),
            "repeats": alarm.repeats + 1,
            "seen_at": max(alarm.seen_at, one.last_at),
            "changed_at": now,
        }
    )


def _cleared(alarm: Alarm, now: datetime) -> Alarm:
    # raised and cleared by one evaluation, the order of the rows is told by a microsecond
    at = max(now, alarm.changed_at + timedelta(microseconds=1))
    return alarm.model_copy(update={"state": "cleared", "severity": "cleared", "changed_at": at, "cleared_at": at})
