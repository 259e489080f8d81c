"""Alerts against known faults, counted by hand."""

from datetime import UTC, datetime, timedelta

from trunkline.stats.intervals import wilson_interval
from trunkline.tasks.anomaly.alarms import Found
from trunkline.tasks.anomaly.faults import KnownFault, judged_alerts

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
PROBLEMS = {"sleeping": "sleeping cell", "congestion": "congestion"}


def alert(name: str, problem: str, begin: float, end: float) -> Found:
    return Found(
        object_id=name,
        problem=problem,
        alarm_type="qualityOfServiceAlarm",
        probable_cause="congestion",
        severity="minor",
        details="",
        score=3.0,
        first_at=NOON + begin * HOUR,
        last_at=NOON + end * HOUR,
        is_open=False,
    )


def fault(name: str, kind: str, begin: float, end: float) -> KnownFault:
    return KnownFault(name, kind, NOON + begin * HOUR, NOON + end * HOUR)


def test_precision_and_recall_by_kind() -> None:
    faults = [
        fault("a", "sleeping", 0, 2),
        fault("b", "congestion", 0, 2),
        fault("c", "sleeping", 0, 2),
        fault("c", "congestion", 6, 8),
        fault("d", "reset", 1, 2),
    ]
    alerts = [
        alert("a", "sleeping cell", 1, 2),  # right
        alert("b", "sleeping cell", 0.5, 1),  # finds the congestion, under a wrong name
        alert("c", "congestion", 2.5, 3),  # within the hour after its sleep
        alert("c", "congestion", 8.99, 9.5),  # within the hour after its congestion
        alert("a", "congestion", 3, 4),  # an hour after: about nothing
        alert("e", "unusual performance", 0, 1),  # a cell without a fault
    ]
    found = judged_alerts(alerts, faults, problems=PROBLEMS, late=HOUR)
    assert (found.alerts, found.hits) == (6, 4)
    assert found.precision == wilson_interval(4, 6)
    assert list(found.kinds) == ["congestion", "reset", "sleeping"]
    congestion, reset, sleeping = found.kinds.values()
    assert (congestion.known, congestion.found, congestion.named, congestion.right) == (2, 2, 3, 1)
    assert congestion.recall == wilson_interval(2, 2)
    assert congestion.precision == wilson_interval(1, 3)
    assert (sleeping.known, sleeping.found, sleeping.named, sleeping.right) == (2, 2, 2, 1)
    assert (reset.known, reset.found, reset.named, reset.precision) == (1, 0, 0, None)


def test_no_alerts_and_no_faults() -> None:
    nothing = judged_alerts([], [], problems=PROBLEMS, late=HOUR)
    assert nothing.precision is None
    assert nothing.kinds == {}
