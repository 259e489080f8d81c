"""Alarms: raised once, cleared once, whatever is evaluated twice; and their TMF642 shape against the schema."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trunkline.tasks.anomaly.alarms import Alarm, Found, Severity, advance, alarm_schema, severity_of, tmf642

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
    assert (log[-1].state, log[-1].severity, log[-1].cleared_at) == ("cleared", "cleared", DAY + 15 * HOUR)
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


def test_an_object_that_sends_nothing_keeps_its_alarms() -> None:
    log = evaluated([], [found(1, 2)], until=2.5, now=3)
    assert advance(log, [], evaluated_until={}, now=DAY + 99 * HOUR, clear_after=HOUR) == []


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 40), st.integers(0, 6), st.sampled_from("ab"), st.sampled_from(["x", "y"])), max_size=8
    ),
    st.integers(0, 60),
)
def test_an_evaluation_that_is_repeated_writes_nothing(what: list[tuple[int, int, str, str]], until: int) -> None:
    episodes = [found(first, first + long, cell=cell, problem=problem) for first, long, cell, problem in what]
    log = evaluated([], episodes, until=until, now=100)
    standing = newest(log)
    assert evaluated(standing, episodes, until=until, now=101) == []
    open_ones = [(one.object_id, one.problem) for one in standing if one.state != "cleared"]
    assert len(open_ones) == len(set(open_ones))
    for alarm in log:
        VALIDATOR.validate(tmf642(alarm, source="trunkline"))


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
