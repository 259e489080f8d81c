"""The health of sources, written down as readings and announced by alerts. Pure."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final, Literal

from trunkline.contracts.records import Alert, Reading
from trunkline.monitor.readings import Window
from trunkline.monitor.sources.health import Problem, SourceHealth

__all__ = ["source_alerts", "source_readings"]

_SEVERITIES: Final[Mapping[Problem, Literal["critical", "major", "minor", "warning"]]] = {
    "late": "major",
    "empty": "major",
    "over_budget": "major",
    "failed": "major",
    "small": "minor",
}
_SAID: Final[Mapping[Problem, str]] = {
    "late": "late",
    "empty": "empty",
    "small": "unusually small",
    "over_budget": "over its reject budget",
    "failed": "failing",
}


def source_readings(health: Sequence[SourceHealth], *, window: Window) -> tuple[Reading, ...]:
    """Write the health of one use case's sources down as readings of the families ``freshness`` and ``volume``.

    Args:
        health: From :func:`health_of`; sources of other use cases are left out.
        window: What the readings have in common; ``read_at`` is the instant of the look.
    """
    readings: list[Reading] = []
    for one in health:
        newest = one.newest
        if one.key.usecase != window.usecase or newest is None:
            continue
        subject = f"{one.key.dataset} from {one.key.label}"
        problems = {finding.problem: finding for finding in one.findings}
        late, small = problems.get("late"), problems.get("small") or problems.get("empty")
        readings += [
            window.reading(
                "freshness",
                "hours_since_batch",
                subject,
                value=(window.read_at - newest.at).total_seconds() / 3600,
                rows=newest.read,
                limit=None if one.due_at is None else (one.due_at - newest.at).total_seconds() / 3600,
                crossed=late is not None,
            ),
            window.reading(
                "volume",
                "accepted_rows",
                subject,
                value=float(newest.accepted),
                rows=newest.read,
                limit=None if small is None else small.limit,
                crossed=small is not None,
            ),
            window.reading(
                "volume",
                "refused_share",
                subject,
                value=newest.quarantined / newest.read if newest.read else None,
                rows=newest.read,
                limit=one.budget,
                crossed="over_budget" in problems,
            ),
        ]
    return tuple(readings)


def source_alerts(health: Sequence[SourceHealth], *, run_id: str, raised_at: datetime) -> tuple[Alert, ...]:
    """Announce what is wrong: one alert per source and problem.

    The id follows from source, problem and the last arrival (of late and failing ones: when the source was last heard
    of), so that a problem that lasts is the same alert at every look, and one that comes again another.

    Args:
        health: From :func:`health_of`.
        run_id: The run that looks.
        raised_at: UTC.
    """
    alerts = []
    for one in health:
        for finding in one.findings:
            last = finding.since or (one.newest and one.newest.at)
            since = last.isoformat() if last else "never"
            said = json.dumps([one.key.usecase, one.key.dataset, one.key.source, finding.problem, since])
            alerts.append(
                Alert(
                    alert_id=hashlib.sha256(said.encode()).hexdigest()[:24],
                    run_id=run_id,
                    usecase=one.key.usecase,
                    severity=_SEVERITIES[finding.problem],
                    title=f"{one.key.usecase}.{one.key.dataset}: source {one.key.label} is {_SAID[finding.problem]}",
                    text=finding.text,
                    raised_at=raised_at,
                )
            )
    return tuple(alerts)
