"""What there is to tell: runs that ended, candidates that the gates refused, alerts, audiences.

Made from the platform's own records, so that nothing is told that the lake does not know, and one thing has one id
however often it is looked at. Pure.
"""

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

from pydantic import AwareDatetime, BaseModel, ConfigDict

from trunkline.contracts.records import Alert, RunRecord
from trunkline.settings.notify import NoticeKind, Severity

__all__ = ["SEVERITIES", "Notice", "notice_of_alert", "notice_of_audience", "notice_of_run"]

SEVERITIES: Final[tuple[Severity, ...]] = ("info", "warning", "minor", "major", "critical")
"""From the least grave to the gravest."""

_RUN_KINDS: Final[Mapping[str, tuple[NoticeKind, Severity, str]]] = {
    "finished": ("run.finished", "info", "has finished"),
    "refused": ("gate.refused", "warning", "has a candidate that the gates refused"),
    "failed": ("run.failed", "major", "has failed"),
}


class Notice(BaseModel):
    """One thing to tell.

    Attributes:
        notice_id: The same for the same thing, at every look.
        kind: What it is.
        usecase: The use case it is about.
        severity: How grave it is.
        title: In a line.
        text: In a few.
        at: When it happened, UTC.
        run_id: The run that it happened in.
        about: The one thing of many that it is about, e.g. a device; empty where there is none.
        actions: Who is told, by name; empty is whoever wants such notices.
    """

    model_config = ConfigDict(frozen=True)

    notice_id: str
    kind: NoticeKind
    usecase: str
    severity: Severity
    title: str
    text: str
    at: AwareDatetime
    run_id: str
    about: str = ""
    actions: tuple[str, ...] = ()

    @property
    def subject(self) -> str:
        """What two notices have in common that say the same."""
        return f"{self.kind}|{self.usecase}|{self.title}{f'|{self.about}' if self.about else ''}"


def notice_of_alert(alert: Alert) -> Notice:
    """Tell an alert."""
    return Notice(
        notice_id=f"alert:{alert.alert_id}",
        kind="alert",
        usecase=alert.usecase,
        severity=alert.severity,
        title=alert.title,
        text=alert.text,
        at=alert.raised_at,
        run_id=alert.run_id,
        about=alert.about or "",
        actions=tuple(json.loads(alert.actions)) if alert.actions else (),
    )


def notice_of_run(record: RunRecord) -> Notice | None:
    """Tell how a run ended; None of one that has not, or waits for steps that are started one by one."""
    document = json.loads(record.document)
    if record.state not in _RUN_KINDS or document.get("left"):
        return None
    kind, severity, said = _RUN_KINDS[record.state]
    return Notice(
        notice_id=f"run:{record.run_id}:{record.state}",
        kind=kind,
        usecase=record.usecase,
        severity=severity,
        title=f"{record.usecase}: run {record.run_id} {said}",
        text=_why(record.state, document, took=record.changed_at - record.started_at),
        at=record.changed_at,
        run_id=record.run_id,
    )


def notice_of_audience(usecase: str, campaign: str, *, members: int, held_out: int, at: datetime) -> Notice:
    """Tell that an audience is there to be contacted.

    Args:
        usecase: The use case.
        campaign: The run that made it.
        members: Members, those held out included.
        held_out: Members who are never contacted.
        at: When it was made, UTC.
    """
    return Notice(
        notice_id=f"audience:{usecase}:{campaign}",
        kind="audience.ready",
        usecase=usecase,
        severity="info",
        title=f"{usecase}: an audience of {members:,} is ready",
        text=f"{held_out:,} of them are held out. To see who would get what: "
        f"trunkline contact {usecase} --campaign {campaign} --dry-run",
        at=at,
        run_id=campaign,
    )


def _why(state: str, document: Mapping[str, object], *, took: timedelta) -> str:
    if state == "refused":
        failed = document.get("failed")
        named = ", ".join(map(str, failed)) if isinstance(failed, list | tuple) else "see its report"
        return f"Evidence that failed: {named}. The standing champion goes on."
    if state == "failed":
        # the text of what is no error of ours may hold values of rows
        return str(document.get("text")) if document.get("ours") else f"{document.get('error')}. The log says more."
    return f"It took {took.total_seconds():.0f} s."
