"""Alarms as network operations know them: raised once, updated while they last, cleared when it is over.

A pure state machine: takes the alarms that stand and what an evaluation has found, gives the rows to write. Finding the
same again changes nothing, so an evaluation may be repeated. Severities are those of ITU-T X.733 (perceived severity,
8.1.2.3), kinds and probable causes those of X.733 8.1.1 and 8.1.2.1; :func:`tmf642` gives the shape of TM Forum's
TMF642 Alarm Management API, and ``tmf642_alarm.schema.json`` beside this module is its JSON Schema as far as it is
filled here.

Handing over: whoever sends alarms away reads the rows of the lake's table in the order of ``changed_at``, each row is
one event, and gives its column ``tmf642`` to the receiver. ``alarm_id`` and ``changed_at`` together name an event.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib import resources
from typing import ClassVar, Final, Literal

from trunkline.contracts import Contract, Instant, Integer, Number, Table, Text, field

__all__ = [
    "Alarm",
    "AlarmKind",
    "Found",
    "Severity",
    "advance",
    "alarm_schema",
    "found_by",
    "severity_of",
    "tmf642",
    "within_week",
]

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
    cleared_at: Instant | None = field("When its object had been as usual for long enough; null while it stands")
    tmf642: Text | None = field(
        "The row as an Alarm of TMF642, JSON; null in rows of versions before", max_length=20_000
    )


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


def found_by(alarm: Alarm) -> Found:
    """Say again what an alarm says, by which it may be judged."""
    return Found(
        object_id=alarm.object_id,
        problem=alarm.problem,
        alarm_type=alarm.alarm_type,
        probable_cause=alarm.probable_cause,
        severity=alarm.severity,
        details=alarm.details,
        score=alarm.score,
        first_at=alarm.raised_at,
        last_at=alarm.seen_at,
        is_open=alarm.state != "cleared",
    )


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
        if stands is not None and _goes_on(stands, one, clear_after):
            # what was over before the alarm began was told, or left out, by an evaluation before
            updated = None if one.last_at < stands.raised_at else _updated(stands, one, now)
            if updated is not None:
                rows.append(updated)
                open_ones[one.object_id, one.problem] = updated
            continue
        if stands is None and _told(known.values(), one):
            continue
        if stands is not None:
            rows.append(_cleared(stands, now, clear_after))
        raised = _raised(one, now, object_type)
        rows.append(raised)
        known[raised.alarm_id] = raised
        open_ones[one.object_id, one.problem] = raised
    for alarm in sorted(open_ones.values(), key=lambda alarm: (alarm.object_id, alarm.problem)):
        until = evaluated_until.get(alarm.object_id)
        if until is not None and until >= alarm.seen_at + clear_after:
            rows.append(_cleared(alarm, now, clear_after))
    return rows


def within_week(standing: Iterable[Alarm], found: Sequence[Found], *, most: int, clear_after: timedelta) -> list[Found]:
    """Leave out what would raise more alarms of an object in a week than people can look at.

    Weeks begin on Monday (UTC), and an alarm counts in the week in which it began, whichever evaluation raised it. What
    updates an alarm, or was told before, costs nothing; of the rest the highest scores are kept. What is critical
    counts and is never left out: a cell that has stopped serving is no matter of how many alarms are welcome.

    Args:
        standing: The newest row of each alarm, those that are cleared among them.
        found: What was found.
        most: New alarms per object and week.
        clear_after: As :func:`advance`.

    Returns:
        What :func:`advance` is to be given, in the order of ``found``.
    """
    of_object: dict[str, list[Alarm]] = {}
    for alarm in standing:
        of_object.setdefault(alarm.object_id, []).append(alarm)
    raised = Counter(_object_week(one.object_id, one.raised_at) for alarms in of_object.values() for one in alarms)
    new = [one for one in found if not _is_known(of_object.get(one.object_id, ()), one, clear_after)]
    left_out: set[Found] = set()
    for alarm_of in sorted(_joined(new, clear_after), key=lambda several: -max(one.score for one in several)):
        week = _object_week(alarm_of[0].object_id, alarm_of[0].first_at)
        if raised[week] >= most and not any(one.severity == "critical" for one in alarm_of):
            left_out.update(alarm_of)
        raised[week] += 1
    return [one for one in found if one not in left_out]


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


def _goes_on(alarm: Alarm, one: Found, clear_after: timedelta) -> bool:
    """Whether what was found is more of an alarm that stands, or earlier."""
    return (
        alarm.state != "cleared"
        and (alarm.object_id, alarm.problem) == (one.object_id, one.problem)
        and one.first_at <= alarm.seen_at + clear_after
    )


def _is_known(alarms: Sequence[Alarm], one: Found, clear_after: timedelta) -> bool:
    return _told(alarms, one) or any(_goes_on(alarm, one, clear_after) for alarm in alarms)


def _joined(found: Iterable[Found], clear_after: timedelta) -> list[list[Found]]:
    """What is found, by the alarm that it makes: episodes of one problem that follow each other closely make one."""
    joined: list[list[Found]] = []
    for one in sorted(found, key=lambda found: (found.object_id, found.problem, found.first_at)):
        last = joined[-1] if joined else []
        same = bool(last) and (last[0].object_id, last[0].problem) == (one.object_id, one.problem)
        if same and one.first_at <= max(before.last_at for before in last) + clear_after:
            last.append(one)
        else:
            joined.append([one])
    return joined


def _object_week(object_id: str, moment: datetime) -> tuple[str, int, int]:
    year, week, _ = moment.astimezone(UTC).isocalendar()
    return object_id, year, week


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
        tmf642=None,
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


def _cleared(alarm: Alarm, now: datetime, clear_after: timedelta) -> Alarm:
    # raised and cleared by one evaluation, the order of the rows is told by a microsecond
    at = max(now, alarm.changed_at + timedelta(microseconds=1))
    over = {"state": "cleared", "severity": "cleared", "changed_at": at, "cleared_at": alarm.seen_at + clear_after}
    return alarm.model_copy(update=over)
