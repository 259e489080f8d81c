"""Tells what became of runs, gates and alerts to those whom the settings name.

Looks at the platform's own tables, so nothing is told that the lake does not hold, whoever wrote it: the run of this
process, a scheduler's job, a server. What was told to whom stands in ``platform.notifications``; one process at a time
looks, and another that comes meanwhile waits for it. A target that does not answer costs a run some seconds
and never its success: the notice is tried again at the next look, and is a dead letter when nobody took it in time.

A process that is killed between a call and its record makes the same call again: a target may be told twice, and is
never not told. CloudEvents carry the notice's id for that.
"""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Literal, cast

from pydantic import BaseModel, ConfigDict

from trunkline.brokers import Broker, Message
from trunkline.brokers.opening import open_broker
from trunkline.checks import arrow_schema, table_from_rows
from trunkline.contracts import Contract
from trunkline.contracts.records import (
    ALERTS,
    AUDIENCES,
    NOTIFICATIONS,
    RUNS,
    Alert,
    AudienceMember,
    Notification,
    RunRecord,
)
from trunkline.errors import BusyError, TrunklineError
from trunkline.lake import held
from trunkline.notify import (
    Choice,
    Notice,
    Sender,
    Words,
    choose,
    event_bytes,
    notice_of_alert,
    notice_of_audience,
    notice_of_run,
    words_of,
)

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from trunkline.run.workspace import Workspace
    from trunkline.settings.notify import NotifySettings

__all__ = ["EVENTS", "Told", "announce", "notify", "tell_a_test"]

EVENTS: Final = "events"
"""Name under which the broker's topic stands beside the targets."""

_LONGEST_WAIT_S: Final = 60.0
_State = Literal["sent", "failed", "repeated", "waits", "dead"]
_logger = logging.getLogger(__name__)


class Told(BaseModel):
    """What became of one notice for one target.

    Attributes:
        notice: The notice.
        target: The target's name; ``events`` is the broker's topic.
        state: As in ``platform.notifications``; ``send`` where this was a dry run.
        title: The first line, as it is said.
        text: What follows.
        reason: Why the target did not take it, without addresses; empty where it did, or was not asked.
    """

    model_config = ConfigDict(frozen=True)

    notice: Notice
    target: str
    state: str
    title: str
    text: str
    reason: str = ""


def announce(workspace: "Workspace") -> None:
    """Tell what is new, where anybody is to be told; what fails is logged, and harms nobody."""
    settings = workspace.settings.notify
    if not settings.targets and not settings.events_topic:
        return
    try:
        notify(workspace)
    except BusyError:
        _logger.warning("notices wait: another process is telling others")
    except (TrunklineError, OSError) as error:
        said = error.what if isinstance(error, TrunklineError) else type(error).__name__
        _logger.error("notices could not be sent: %s", said)  # noqa: TRY400 - nobody needs the traceback of a network


def notify(workspace: "Workspace", *, dry_run: bool = False) -> tuple[Told, ...]:
    """Tell what is new.

    Args:
        workspace: Its settings say whom, its lake what.
        dry_run: Only say what would be told.

    Returns:
        What became of each notice that is not done with.

    Raises:
        InputError: A target's URL is none that Apprise knows.
        MissingExtraError: Apprise is not installed.
        BusyError: Another process is telling others, for longer than this one waits.
        UnavailableError: The lake or the broker did not answer.
    """
    if not workspace.root.exists():
        return ()
    lock = workspace.folder("locks") / "notify.lock"
    with held(lock, what="notices of this workspace", timeout_s=_LONGEST_WAIT_S, clock=workspace.clock):
        looking = _Round(workspace, dry_run=dry_run)
        found = looking.told()
    if looking.fault is not None:
        raise looking.fault
    return found


def tell_a_test(workspace: "Workspace", *, dry_run: bool = False) -> tuple[Told, ...]:
    """Send a notice for trying to every target, whatever it wants to be told; nothing is written down of it.

    Raises:
        InputError: A target's URL is none that Apprise knows.
        MissingExtraError: Apprise is not installed.
    """
    settings, now = workspace.settings.notify, workspace.clock()
    notice = Notice(
        notice_id=f"test:{now.isoformat()}",
        kind="alert",
        usecase="platform",
        severity="info",
        title="Trunkline can tell you",
        text=f"This notice was sent for trying, of the workspace {workspace.root.name}.",
        at=now,
        run_id="test",
    )
    words = Words(notice.title, notice.text)
    found = []
    for name, target in sorted(settings.targets.items()):
        sender = Sender(name, target)
        reason = None if dry_run else sender.send(notice, words)
        state = "send" if dry_run else "sent" if reason is None else "failed"
        found.append(
            Told(notice=notice, target=name, state=state, title=words.title, text=words.text, reason=reason or "")
        )
    return tuple(found)


class _Round:
    """One look at what there is to tell."""

    def __init__(self, workspace: "Workspace", *, dry_run: bool) -> None:
        self._workspace, self._dry_run = workspace, dry_run
        self._lake = workspace.lake
        self._settings: NotifySettings = workspace.settings.notify
        self._now = workspace.clock()
        self._senders: dict[str, Sender] = {}
        self._down: dict[str, str] = {}
        self.fault: TrunklineError | None = None

    def told(self) -> tuple[Told, ...]:
        """Look, send, write down."""
        settings = self._settings
        since = self._now - 2 * settings.give_up_after
        notices = self._notices(since)
        ledger = self._ledger(since - settings.repeat_after)
        known = {(one.notice_id, one.target): one.state for one in ledger}
        choices = choose(notices, ledger, settings=settings, now=self._now)
        waiting = Counter(choice.target for choice in choices if choice.verdict == "waits")
        found = [self._done(choice, known, waiting) for choice in choices]
        try:
            found += self._published(notices, known)
        except TrunklineError as fault:  # a broker that is down keeps nobody else from being told
            self.fault = fault
        return tuple(found)

    def _done(self, choice: Choice, known: Mapping[tuple[str, str], str], waiting: Mapping[str, int]) -> Told:
        notice, target = choice.notice, choice.target
        words = words_of(notice, settings=self._settings, waiting=waiting.get(target, 0))
        state: _State | Literal["send"] = choice.verdict
        attempts = choice.attempts
        if state == "send" and not self._dry_run:
            state, tried = self._sent(notice, target, words)
            attempts += tried
        if state != "send" and known.get((notice.notice_id, target)) != state and not self._dry_run:
            self._record([_row(notice, target, state, attempts=attempts, now=self._now)])
        reason = self._down.get(target, "") if state == "failed" else ""
        return Told(notice=notice, target=target, state=state, title=words.title, text=words.text, reason=reason)

    def _sent(self, notice: Notice, target: str, words: Words) -> tuple[Literal["sent", "failed"], int]:
        """Send, with some patience; gives what became of it and how often it was tried.

        A target that did not take one notice is not asked for the others: a run would wait for each of them.
        """
        if target in self._down:
            return "failed", 0
        if target not in self._senders:
            try:
                self._senders[target] = Sender(target, self._settings.targets[target])
            except TrunklineError as fault:
                self.fault = fault
                self._down[target] = fault.what
                return "failed", 0
        reason, tried = self._senders[target].insist(notice, words, attempts=self._settings.attempts)
        if reason is not None:
            self._down[target] = reason
            _logger.warning(
                "notify target %s did not take a notice: %s", target, reason, extra={"run_id": notice.run_id}
            )
        return "sent" if reason is None else "failed", tried

    def _published(self, notices: Sequence[Notice], known: Mapping[tuple[str, str], str]) -> tuple[Told, ...]:
        """Append what is new to the broker's topic, all at once."""
        topic = self._settings.events_topic
        if not topic:
            return ()
        meant = [notice for notice in notices if not notice.actions or EVENTS in notice.actions]
        new = [notice for notice in meant if known.get((notice.notice_id, EVENTS)) != "sent"]
        if new and not self._dry_run:
            with closing(self._broker()) as broker:
                broker.publish({topic: [Message(event_bytes(notice), notice.usecase.encode()) for notice in new]})
            self._record([_row(notice, EVENTS, "sent", attempts=1, now=self._now) for notice in new])
        state = "send" if self._dry_run else "sent"
        return tuple(
            Told(notice=one, target=EVENTS, state=state, title=one.title, text=event_bytes(one).decode()) for one in new
        )

    def _broker(self) -> Broker:
        workspace = self._workspace
        path = workspace.folder("log") / "log.db"
        return open_broker(workspace.settings.broker, path=path, clock=workspace.clock)

    def _notices(self, since: datetime) -> list[Notice]:
        alerts = [Alert.model_construct(**row) for row in self._rows(ALERTS, Alert, "raised_at", since)]
        runs = [RunRecord.model_construct(**row) for row in self._rows(RUNS, RunRecord, "changed_at", since)]
        ended = [notice_of_run(run) for run in runs]
        told = [notice for notice in ended if notice is not None]
        return [*map(notice_of_alert, alerts), *told, *self._audiences(since)]

    def _audiences(self, since: datetime) -> list[Notice]:
        if not self._lake.exists(AUDIENCES):
            return []

        def counted(rows: "ir.Table") -> "ir.Table":
            import ibis

            recent = rows.filter(rows["decided_at"] >= ibis.literal(since))
            return recent.group_by(["usecase", "campaign"]).aggregate(
                members=recent.count(), held_out=recent["holdout"].cast("int64").sum(), at=recent["decided_at"].max()
            )

        found = self._lake.collect(counted, AUDIENCES, schemas={AUDIENCES: arrow_schema(AudienceMember)})
        return [notice_of_audience(**row) for row in cast("list[dict[str, Any]]", found.to_pylist())]

    def _ledger(self, since: datetime) -> list[Notification]:
        """What became of earlier notices; of one notice and target only the newest state."""
        rows = self._rows(NOTIFICATIONS, Notification, "changed_at", since)
        newest = {(row["notice_id"], row["target"]): row for row in sorted(rows, key=lambda row: row["changed_at"])}
        return [Notification.model_construct(**row) for row in newest.values()]

    def _rows(self, table: str, contract: type[Contract], at: str, since: datetime) -> list[dict[str, Any]]:
        if not self._lake.exists(table):
            return []
        rows = self._lake.arrow(table, schema=arrow_schema(contract), where=lambda rows: rows[at] >= since)
        return cast("list[dict[str, Any]]", rows.to_pylist())

    def _record(self, rows: Sequence[Notification]) -> None:
        self._lake.append(NOTIFICATIONS, table_from_rows(Notification, [row.model_dump() for row in rows]))


def _row(notice: Notice, target: str, state: _State, *, attempts: int, now: datetime) -> Notification:
    return Notification(
        notice_id=notice.notice_id,
        target=target,
        subject=notice.subject,
        state=state,
        attempts=attempts,
        changed_at=now,
    )
