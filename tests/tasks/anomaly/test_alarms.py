"""Alarms: raised once, cleared once, whatever is evaluated twice; and their TMF642 shape against the schema."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trunkline.tasks.anomaly.alarms import (
    Alarm,
    Found,
    Severity,
    advance,
    alarm_schema,
    severity_of,
    tmf642,
    within_week,
)

DAY = datetime(2026, 3, 2, tzinfo=UTC)
HOUR = timedelta(hours=1)
VALIDATOR = jsonschema.Draft202012Validator(
    alarm_schema(), format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER
)


def found(
    first: float, last: float, *, cell: str = "a", problem: str = "congestion", severity: Severity = "minor"
) -> Found:
    return Found(
        object_id=cell,
        problem=problem,
        alarm_type="qualityOfServiceAlarm",
        probable_cause="congestion",
        severity=severity,
        details="downlink throughput is 5.0 robust deviations below this cell's usual 18:00",
        score=5.0,
        first_at=DAY + first * HOUR,
        last_at=DAY + last * HOUR,
        is_open=False,
    )


def evaluated(standing: Sequence[Alarm], what: Sequence[Found], *, until: float, now: float) -> list[Alarm]:
    cells = {one.object_id for one in standing} | {one.object_id for one in what} | {"a", "b"}
    return advance(
        standing,
        what,
        evaluated_until=dict.fromkeys(cells, DAY + until * HOUR),
        now=DAY + now * HOUR,
        clear_after=HOUR,
    )


def newest(rows: Sequence[Alarm]) -> list[Alarm]:
    return list({alarm.alarm_id: alarm for alarm in sorted(rows, key=lambda alarm: alarm.changed_at)}.values())


def test_the_life_of_an_alarm() -> None:
    log = evaluated([], [found(10, 11)], until=11.5, now=12)
    assert [one.state for one in log] == ["raised"]
    again = evaluated(newest(log), [found(10, 11)], until=11.5, now=13)
    assert again == []
    log += evaluated(newest(log), [found(10, 12, severity="major")], until=12.5, now=14)
    assert [(one.state, one.severity, one.repeats) for one in log] == [("raised", "minor", 0), ("updated", "major", 1)]
    log += evaluated(newest(log), [found(10, 12, severity="major")], until=13, now=15)
    assert (log[-1].state, log[-1].severity, log[-1].cleared_at) == ("cleared", "cleared", DAY + 13 * HOUR)
    assert len({one.alarm_id for one in log}) == 1
    assert evaluated(newest(log), [found(10, 12, severity="major")], until=20, now=21) == []


def test_the_same_problem_later_is_another_alarm_and_another_problem_stands_beside() -> None:
    log = evaluated([], [found(1, 2), found(8, 9), found(8, 9, problem="interference")], until=9.5, now=10)
    assert [(one.problem, one.state) for one in log] == [
        ("congestion", "raised"),
        ("congestion", "cleared"),
        ("congestion", "raised"),
        ("interference", "raised"),
    ]
    standing = [one for one in newest(log) if one.state != "cleared"]
    assert sorted(one.problem for one in standing) == ["congestion", "interference"]


def test_what_was_over_before_an_alarm_began_does_not_change_it() -> None:
    episodes = [found(1, 2, severity="major"), found(8, 9)]
    log = evaluated([], episodes, until=9.5, now=10)
    assert [one.state for one in log] == ["raised", "cleared", "raised"]
    assert evaluated(newest(log), episodes, until=9.5, now=11) == []


def test_an_object_that_sends_nothing_keeps_its_alarms() -> None:
    log = evaluated([], [found(1, 2)], until=2.5, now=3)
    assert advance(log, [], evaluated_until={}, now=DAY + 99 * HOUR, clear_after=HOUR) == []


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 40), st.integers(0, 6), st.sampled_from("ab"), st.sampled_from(["x", "y"])), max_size=8
    ),
    st.integers(0, 60),
    st.integers(1, 9),
)
def test_an_evaluation_that_is_repeated_writes_nothing(
    what: list[tuple[int, int, str, str]], until: int, most: int
) -> None:
    episodes = [found(first, first + long, cell=cell, problem=problem) for first, long, cell, problem in what]
    log = evaluated([], within_week([], episodes, most=most, clear_after=HOUR), until=until, now=100)
    standing = newest(log)
    again = within_week(standing, episodes, most=most, clear_after=HOUR)
    assert evaluated(standing, again, until=until, now=101) == []
    assert max(Counter(one.object_id for one in standing).values(), default=0) <= most
    open_ones = [(one.object_id, one.problem) for one in standing if one.state != "cleared"]
    assert len(open_ones) == len(set(open_ones))
    for alarm in log:
        VALIDATOR.validate(tmf642(alarm, source="trunkline"))


def test_a_week_has_no_more_alarms_of_an_object_than_people_can_look_at() -> None:
    log = evaluated([], [found(1, 2)], until=6, now=6)
    assert [one.state for one in log] == ["raised", "cleared"]
    weak, strong = found(20, 21), replace(found(30, 31, problem="interference"), score=9.0)
    later = [weak, strong, found(20, 21, cell="b"), found(24 * 7 + 1, 24 * 7 + 2)]
    assert within_week(newest(log), later, most=1, clear_after=HOUR) == later[2:], "another cell, another week"
    assert within_week(newest(log), later, most=2, clear_after=HOUR) == later[1:], "the stronger of the two"
    outage = found(40, 60, problem="sleeping cell", severity="critical")
    assert within_week(newest(log), [weak, outage], most=1, clear_after=HOUR) == [outage], "an outage is always told"
    stands = evaluated([], [found(1, 2)], until=2.5, now=3)
    assert within_week(stands, [found(1, 4)], most=1, clear_after=HOUR) == [found(1, 4)], "more of it costs nothing"


def test_the_schema_refuses_what_is_no_alarm() -> None:
    (alarm,) = evaluated([], [found(1, 2)], until=2.5, now=3)
    good = tmf642(alarm, source="trunkline")
    VALIDATOR.validate(good)
    for wrong in ({"perceivedSeverity": "bad"}, {"state": "cleared"}, {"alarmRaisedTime": "yesterday"}, {"extra": 1}):
        with pytest.raises(jsonschema.ValidationError):
            VALIDATOR.validate(good | wrong)
    assert good["alarmRaisedTime"] == "2026-03-02T01:00:00Z"


@pytest.mark.parametrize(
    ("rows", "score", "stops", "wanted"),
    [(3, 9.0, True, "warning"), (4, 1.0, True, "critical"), (8, 3.0, False, "minor"), (8, 4.0, False, "major")],
)
def test_severities(rows: int, score: float, stops: bool, wanted: str) -> None:
    assert severity_of(rows, score=score, stops_service=stops) == wanted
