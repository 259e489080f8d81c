"""Who is told what, now: by kind, use case and severity, no repetition, no flood. Pure.

A notice reaches a target once. An alert that says the same as one told a moment ago is left out; what goes beyond the
hourly limit waits, and the target is told how many do. What nobody took for too long is a dead letter.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

from trunkline.contracts.records import Notification
from trunkline.notify.notices import SEVERITIES, Notice
from trunkline.settings.notify import NotifySettings, NotifyTarget

__all__ = ["Choice", "choose", "wants"]

_HOUR: Final = timedelta(hours=1)
_DONE: Final = ("sent", "repeated", "dead")

Verdict = Literal["send", "repeated", "waits", "dead"]
"""What becomes of a notice for a target."""


@dataclass(frozen=True)
class Choice:
    """What becomes of one notice for one target.

    Attributes:
        notice: The notice.
        target: Name of the target.
        verdict: ``send`` it; it is ``repeated``; it ``waits`` for the hour to pass; it is a ``dead`` letter.
        attempts: How often it was tried before.
    """

    notice: Notice
    target: str
    verdict: Verdict
    attempts: int


def wants(name: str, target: NotifyTarget, notice: Notice) -> bool:
    """Whether a target is told: it is named by the notice, or the notice names nobody and is what the target wants.

    Args:
        name: The target's name.
        target: What it wants: kinds, use cases, the least severity.
        notice: The notice.
    """
    if notice.actions:
        return name in notice.actions
    return (
        notice.kind in target.kinds
        and (not target.usecases or notice.usecase in target.usecases)
        and SEVERITIES.index(notice.severity) >= SEVERITIES.index(target.least)
    )


def choose(
    notices: Iterable[Notice], ledger: Iterable[Notification], *, settings: NotifySettings, now: datetime
) -> tuple[Choice, ...]:
    """Decide for every notice and target that are not done with each other.

    Args:
        notices: What there is to tell.
        ledger: What became of earlier ones, in any order; of one notice and target the newest counts.
        settings: Who wants what.
        now: UTC.

    Returns:
        Choices by target, the oldest notice first.
    """
    newest: dict[tuple[str, str], Notification] = {}
    for one in sorted(ledger, key=lambda one: one.changed_at):
        newest[one.notice_id, one.target] = one
    ordered = sorted(notices, key=lambda notice: (notice.at, notice.notice_id))
    found: list[Choice] = []
    for name in sorted(settings.targets):
        target = settings.targets[name]
        sent = [one for one in newest.values() if one.target == name and one.state == "sent"]
        told = {one.subject: one.changed_at for one in sorted(sent, key=lambda one: one.changed_at)}
        room = target.at_most_per_hour - sum(one.changed_at > now - _HOUR for one in sent)
        for notice in ordered:
            if not wants(name, target, notice):
                continue
            before = newest.get((notice.notice_id, name))
            if before is not None and before.state in _DONE:
                continue
            if notice.at < now - settings.give_up_after:
                if before is not None:  # what was older when it was first seen is no news
                    found.append(Choice(notice, name, "dead", before.attempts))
                continue
            verdict = _verdict(notice, told, room=room, repeat_after=settings.repeat_after, now=now)
            if verdict == "send":
                room -= 1
                told[notice.subject] = now
            found.append(Choice(notice, name, verdict, 0 if before is None else before.attempts))
    return tuple(found)


def _verdict(
    notice: Notice, told: Mapping[str, datetime], *, room: int, repeat_after: timedelta, now: datetime
) -> Verdict:
    last = told.get(notice.subject)
    if notice.kind == "alert" and last is not None and now - last < repeat_after:
        return "repeated"
    return "send" if room > 0 else "waits"
